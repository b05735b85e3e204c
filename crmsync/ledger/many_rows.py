"""One statement for many rows, straight through the driver: SQLAlchemy's own work per row costs more than the insert.

Rows are tuples, so that no dictionary is made per row. What a column would do to a value on its way in
(`kept_text.Text`) is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.dml import UpdateBase

from crmsync.ledger.kept_text import storable

ROWS_AT_ONCE = 2_000

Cell = str | int | None
Ordered = Callable[[tuple[Cell, ...]], Any]


def execute_many(
    connection: Connection, statement: UpdateBase, parameters: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]
) -> None:
    """Run the statement once per row. `parameters`: the names of its parameters, in the order of the cells of a row;
    it may have no others. Give the same statement each time: it is compiled once per connection to a database."""
    text, order = _compiled(statement, parameters, connection.dialect)
    for part in _parts(rows):
        if order is None:
            connection.exec_driver_sql(text, [dict(zip(parameters, row, strict=True)) for row in part])
        else:
            connection.exec_driver_sql(text, [order(row) for row in part])


@lru_cache(maxsize=64)
def _compiled(statement: UpdateBase, parameters: tuple[str, ...], dialect: Dialect) -> tuple[str, Ordered | None]:
    """The statement as text, and how the cells of a row are ordered for it; None where they are given by name."""
    compiled = statement.compile(dialect=dialect, column_keys=parameters)
    names: list[str] | None = compiled.positiontup
    if names is None:
        return str(compiled), None
    if names == list(parameters):
        return str(compiled), tuple
    return str(compiled), itemgetter(*(parameters.index(name) for name in names))


def _parts(rows: Iterable[tuple[Cell, ...]]) -> Iterable[list[tuple[Cell, ...]]]:
    """Some thousand at a time, as the database takes them."""
    left = iter(rows)
    while some := list(islice(left, ROWS_AT_ONCE)):
        yield [row if _is_storable(row) else tuple([_stored(cell) for cell in row]) for row in some]


def _is_storable(row: tuple[Cell, ...]) -> bool:
    """Whether no cell needs a change, as a rule at a glance: what is printable holds no character that is replaced."""
    return "".join([cell for cell in row if isinstance(cell, str)]).isprintable()


def _stored(cell: Cell) -> Cell:
    return storable(cell) if isinstance(cell, str) else cell
