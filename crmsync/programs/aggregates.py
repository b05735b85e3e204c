"""Sources that count the rows of a table: `sum`, `count`, `median`, `last` and their kin, with `where` and `during`.

Source: program-language, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from crmsync.programs.durings import read_window
from crmsync.programs.expressions import parse_formula
from crmsync.programs.names import PARTNERS, Kind, Tables, UnknownNameError, kind_of_unit
from crmsync.programs.program import (
    Aggregate,
    Formula,
    FromRows,
    InForce,
    Unit,
    Window,
)
from crmsync.programs.vocabulary import Vocabulary, column_kind
from crmsync.strict_yaml import Node, nearest
from crmsync.tables import ColumnType

AGGREGATES = tuple(str(aggregate) for aggregate in Aggregate)
ROWS = ("where", "during", "dated_by")
KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

_SOURCE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*\.\s*(\S.*)", re.DOTALL)
_NUMBERS = (Aggregate.SUM, Aggregate.AVERAGE, Aggregate.MEDIAN)
_OF_ANY_KIND = (Aggregate.MINIMUM, Aggregate.MAXIMUM, Aggregate.FIRST, Aggregate.LAST)
_COUNTS = (Aggregate.COUNT, Aggregate.COUNT_DISTINCT)


def read_rows(aggregate: Aggregate, node: Node, unit: Unit, words: Vocabulary) -> FromRows:
    """`sum: table.expr`, `count: table`. Errors: ConfigError."""
    if kind_of_unit(unit) is not Kind.NUMBER and aggregate not in _OF_ANY_KIND:
        raise node.fail(f"`{aggregate}` gives a number, but the unit is {unit}")
    if aggregate is Aggregate.COUNT:
        return FromRows(aggregate, _counted(node, unit, words.tables), None)
    found = _SOURCE.fullmatch(node.text())
    if not found:
        raise node.fail(f"`{node.text()}` is not a source; write table.column or table.expression")
    table = _table(node, found[1], words.tables)
    value = parse_formula(found[2], node.line, node.file, words.rows(table), _needed(aggregate, unit))
    if aggregate is Aggregate.COUNT_DISTINCT and unit in (Unit.MONEY, Unit.PERCENT):
        raise node.fail(f"`{aggregate}` gives a number of things, but the unit is {unit}")
    return FromRows(aggregate, table, value)


def _needed(aggregate: Aggregate, unit: Unit) -> Kind | None:
    if aggregate is Aggregate.COUNT_DISTINCT:
        return None
    return Kind.NUMBER if aggregate in _NUMBERS else kind_of_unit(unit)


def is_count(aggregate: Aggregate) -> bool:
    """Whether the aggregate gives a number of things, whatever they are."""
    return aggregate in _COUNTS


def _counted(node: Node, unit: Unit, tables: Tables) -> str:
    text = node.text()
    if "." in text:
        raise node.fail(
            f"`count` counts the rows of a table; write `count: {text.split('.')[0]}` or `count_distinct: {text}`"
        )
    if unit in (Unit.MONEY, Unit.PERCENT):
        raise node.fail(f"`count` gives a number of rows, but the unit is {unit}")
    return _table(node, text, tables)


def _table(node: Node, name: str, tables: Tables) -> str:
    if not KEY.fullmatch(name) or not tables.has(name):
        raise node.fail(f"unknown table `{name}`{nearest(name, tables.names())}")
    return name


def read_where(parts: Mapping[str, Node], rows: FromRows, words: Vocabulary) -> Formula | None:
    """`where:` over the rows of the table. Errors: ConfigError."""
    if "where" not in parts:
        return None
    node = parts["where"]
    return parse_formula(node.text(), node.line, node.file, words.rows(rows.table), Kind.CONDITION)


def read_dated_by(parts: Mapping[str, Node], rows: FromRows, tables: Tables) -> str | None:
    """`dated_by:` another date of the table than its main date. Errors: ConfigError."""
    if "dated_by" not in parts:
        return None
    node = parts["dated_by"]
    try:
        kind = tables.kind(rows.table, node.text())
    except UnknownNameError:
        dates = [name for name, one in tables.columns(rows.table).items() if one is ColumnType.DATE]
        raise node.fail(f"`{rows.table}` has no date `{node.text()}`{nearest(node.text(), dates)}") from None
    if kind not in (Kind.DATE, None):
        raise node.fail(f"`{node.text()}` is a {kind}, not a date")
    return node.text()


def read_during(parts: Mapping[str, Node], rows: FromRows, tables: Tables) -> Window | None:
    """`during:`, None for the table's default. Errors: ConfigError for one that the table or partners cannot have."""
    if "during" not in parts:
        return None
    node = parts["during"]
    window = read_window(node)
    if isinstance(window, InForce):
        _check_in_force(parts, rows, tables)
    if window.until is not None and column_kind(node, window.until, tables) not in (Kind.DATE, None):
        raise node.fail(f"`until partners.{window.until}` is a {column_kind(node, window.until, tables)}, not a date")
    return window


def _check_in_force(parts: Mapping[str, Node], rows: FromRows, tables: Tables) -> None:
    if "dated_by" in parts:
        raise parts["dated_by"].fail(
            "`in force` asks for issued_on and expires_on; leave `dated_by` out or name a window"
        )
    if not tables.has_validity(rows.table):
        raise parts["during"].fail(
            f"`in force` needs the columns issued_on and expires_on; `{rows.table}` has not both"
        )


def read_split(node: Node, rows: FromRows, words: Vocabulary) -> str:
    """`split_by:` a column of the metric's table, else of the partner (`partners.column`). Errors: ConfigError."""
    text = node.text().strip()
    prefix, _, name = text.rpartition(".")
    if not KEY.fullmatch(name) or prefix not in ("", PARTNERS, rows.table):
        raise node.fail(f"`{text}` is not a column; write one of `{rows.table}`, or partners.column")
    tables = words.tables
    own, theirs = tables.columns(rows.table), tables.columns(PARTNERS)
    if prefix == PARTNERS or (not prefix and name not in own and name in theirs):
        kind, found = column_kind(node, name, tables), f"{PARTNERS}.{name}"
    elif name in own or tables.delivered is None:
        kind, found = tables.kind(rows.table, name), name
    else:
        raise node.fail(f"neither `{rows.table}` nor `partners` has a column `{name}`{nearest(name, [*own, *theirs])}")
    if kind in (Kind.LIST, Kind.DATE):
        raise node.fail(f"`{text}` is a {kind}; `split_by:` needs a column with one text, number or yes/no")
    return found
