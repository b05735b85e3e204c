"""The rows of the standings, computed for some partners after the others: memory is bounded by those whose turn it is.

Measures hold all that hangs on other accounts (roll-ups, ranks, standings in other programs), so the rows of a partner
need no measures but its own; only where a family hands tiers down all partners are taken at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.levelling import sql
from crmsync.levelling.categories import Standing
from crmsync.levelling.criteria import LIMITS
from crmsync.levelling.engine import Turn
from crmsync.levelling.family import account_above
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import Measures
from crmsync.levelling.measuring import MEASURES
from crmsync.levelling.ordering import in_order
from crmsync.levelling.per_values import per_values
from crmsync.levelling.spots import HORIZON, NOW, PACE
from crmsync.levelling.sql import Sql
from crmsync.levelling.standings import COLUMNS

STANDING = "standing"
"""The rows of all categories together."""

OUTLOOK = ("partner_id", "category", "lost_ahead")
FALLEN = (*OUTLOOK, "granted_position")
"""What the days of loss and the lapses ask of the rows of those who will have lost a tier."""


def rows_in_turn(
    levelling: Levelling, names: Mapping[str, Measures], reads: Sequence[Sql], *,
    light: bool = False, outlook: bool = False, keep: bool = False,
) -> Iterator[list[pa.Table]]:  # fmt: skip
    """What `reads` find in `standing` and in `measures`, some partners after the others in the order of their ids.

    `light`: tiers and movement alone; `outlook`: who will have lost the tier. Measures are freed unless kept.
    """
    views = (NOW,) if light else (NOW, HORIZON, PACE)
    statements = [
        Standing(
            levelling.program, category, order, names, levelling.limits, levelling.days, levelling.file,
            levelling.partner_columns, levelling.remembers, light=light, outlook=outlook,
            values=per_values(levelling, category.key, views, light), above=account_above(levelling, category.key),
        ).statements(MEASURES)
        for order, category in enumerate(levelling.program.categories.values())
    ]  # fmt: skip
    levelling.engine.register(LIMITS, levelling.limits.table())  # compiling the statements has collected the thresholds
    # of the outlook only these are in the rows of every category
    columns = [sql.col(name) for name in OUTLOOK] if outlook else [sql.star()]
    together = sql.union_all([sql.select(columns, sql.table(one[-1][0])) for one in statements])
    hands_down = any(len(one) > 1 for one in statements)
    turn = Turn(_let_go(statements), [(STANDING, together)], reads)
    return levelling.engine.in_turn(MEASURES, turn, at_once=hands_down, keep=keep)


def _let_go(statements: list[list[tuple[str, Sql]]]) -> Iterator[tuple[str, Sql]]:
    """One category at a time, each let go once it is written: all trees at once would cost the memory of all."""
    while statements:
        yield from statements.pop(0)


def fallen_query() -> Sql:
    """The rows of those who will have lost a tier, as far as is asked of them."""
    return sql.select([sql.col(name) for name in FALLEN], sql.table(STANDING), where=sql.col("lost_ahead"))


def measures_of_fallen() -> Sql:
    """The measures of the partners of those rows."""
    who = sql.distinct([sql.col("partner_id")], sql.table(STANDING), sql.col("lost_ahead"))
    match = sql.eq(sql.col("partner_id", "f"), sql.col("partner_id", "m"))
    return sql.select([sql.star("m")], sql.table(MEASURES, "m"), [("inner", sql.subquery(who, "f"), match)])


class Filled:
    """Rows with the columns that are the same in all of them, which stand in memory once for all turns."""

    def __init__(self, same: pa.Table) -> None:
        """`same`: one row."""
        self._same = same
        self._many = same
        self._empty: dict[pa.DataType, pa.Array] = {}

    def whole(self, rows: pa.Table) -> pa.Table:
        """All columns of the standings, in their order."""
        count = rows.num_rows
        if count > self._many.num_rows:
            first = pa.array(np.zeros(count, dtype=np.int64))
            self._many = self._same.combine_chunks().take(first).combine_chunks()
        same = self._many.slice(0, count)
        columns = {name: self._shared(rows.column(name)) for name in rows.column_names}
        return pa.table({name: columns[name] if name in columns else same.column(name) for name in COLUMNS})

    def _shared(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """A column without any value in the memory that all such columns share."""
        count = len(column)
        if not count or column.null_count < count:
            return column
        if count > len(self._empty.get(column.type, ())):
            self._empty[column.type] = pa.nulls(count, column.type)
        return pa.chunked_array([self._empty[column.type].slice(0, count)], column.type)


class Merged:
    """Rows in order into which others (in order as well) are merged, chunk by chunk."""

    def __init__(self, others: pa.Table | None) -> None:
        self._others = others

    def with_those_before(self, rows: pa.Table) -> pa.Table:
        """The rows with those of the others that come before their end."""
        if self._others is None or not self._others.num_rows or not rows.num_rows:
            return rows
        last = rows.column("partner_id")[-1]
        here = pc.less_equal(self._others.column("partner_id"), last)
        mine, self._others = self._others.filter(here), self._others.filter(pc.invert(here))
        return in_order(pa.concat_tables([rows, mine])) if mine.num_rows else rows

    def rest(self) -> Iterable[pa.Table]:
        """What comes after all."""
        return [] if self._others is None else [self._others]
