"""`metrics:`: one number, yes/no or text per partner, each with exactly one source.

Source: program-language, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from crmsync.programs import unbuilt
from crmsync.programs.durings import read_shift, read_window
from crmsync.programs.expressions import parse_formula
from crmsync.programs.names import (
    AS_OF,
    CLOCK,
    METRIC,
    PARTNERS,
    Kind,
    Tables,
    UnknownNameError,
    kind_of_unit,
    read_label,
)
from crmsync.programs.program import (
    Aggregate,
    Formula,
    FromField,
    FromFormula,
    FromPast,
    FromRows,
    InForce,
    Metric,
    RollsUp,
    Source,
    Unit,
    WhenMissing,
)
from crmsync.programs.rates import MoneyColumns, reads_money
from crmsync.programs.vocabulary import Vocabulary, column_kind
from crmsync.strict_yaml import Node, nearest
from crmsync.tables import ColumnType

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RESERVED = frozenset(
    {
        *(
            METRIC,
            CLOCK,
            AS_OF,
            PARTNERS,
            "parent",
            "all",
            "any",
            "none",
            "at_least",
            "of",
            "including",
            "by",
            "default",
        ),
        *("and", "or", "not", "in", "between", "like", "is", "null", "case", "when", "then", "else", "end"),
        *("yes", "no", "true", "false", "date", "interval", "select", "from"),
    }
)
_SOURCE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)\s*\.\s*(\S.*)", re.DOTALL)
_AGGREGATES = tuple(str(aggregate) for aggregate in Aggregate)
_SOURCES = (*_AGGREGATES, "field", "formula", "growth_of", "change_of")
_COMMON = ("label", "means", "unit", "kind", "rolls_up", "when_missing", "better")
_ROWS = ("where", "during", "dated_by")
_OPTIONS = {
    **dict.fromkeys(_AGGREGATES, _ROWS),
    "field": ("of_hundred",),
    "formula": (),
    "growth_of": ("versus", "when_base_is_zero"),
    "change_of": ("versus",),
}


def read_units(node: Node) -> dict[str, Unit]:
    """The unit of each metric, in file order: what formulas need to know before the metrics are read."""
    found: dict[str, Unit] = {}
    for key, entry in node.mapping().items():
        _check_key(node, key, found)
        parts = entry.mapping()
        found[key] = Unit(_word(parts["unit"], [str(unit) for unit in Unit])) if "unit" in parts else Unit.NUMBER
    if not found:
        raise node.fail("`metrics:` names no metric")
    return found


def _check_key(node: Node, key: str, before: Mapping[str, Unit]) -> None:
    if not _KEY.fullmatch(key) or key.lower() in _RESERVED:
        raise node.fail_at_key(
            key, f"`{key}` cannot name a metric; use letters, digits, `_`, and no word of the language"
        )
    for other in before:
        if other.lower() == key.lower():
            raise node.fail_at_key(key, f"`{key}` and `{other}` differ in case alone; rename one")


def read_metrics(node: Node, words: Vocabulary) -> dict[str, Metric]:
    """The metrics of a program, in file order. Errors: ConfigError."""
    found = {key: _metric(key, node.key_lines[key], entry, words) for key, entry in node.mapping().items()}
    for key, metric in found.items():
        _check_name(node, metric, words.tables)
        _check_circle(node, key, found)
    return found


def _metric(key: str, line: int, entry: Node, words: Vocabulary) -> Metric:
    unbuilt.refuse(entry, unbuilt.METRIC)
    kind = _source_key(entry)
    parts = entry.mapping(required=(kind,), optional=(*_COMMON, *_OPTIONS[kind]))
    unit = words.units[key]
    source = _source(kind, parts, unit, words)
    rows = source if isinstance(source, FromRows) else None
    metric = Metric(
        key=key,
        line=line,
        unit=unit,
        source=source,
        label=read_label(parts, key),
        means=parts["means"].text() if "means" in parts else "",
        where=_where(parts.get("where"), rows, words),
        during=read_window(parts["during"]) if "during" in parts else None,
        dated_by=_dated_by(parts.get("dated_by"), rows, words.tables),
        rolls_up=_rolls_up(parts.get("rolls_up"), kind, unit),
        when_missing=_when_missing(parts.get("when_missing"), unit),
        kind=_word(parts["kind"], ("leading", "lagging")) if "kind" in parts else None,
        lower_is_better="better" in parts and _word(parts["better"], ("lower", "higher")) == "lower",
    )
    if rows is not None:
        _check_window(parts, metric, rows, words.tables)
    return metric


def _word(node: Node, known: tuple[str, ...] | list[str]) -> str:
    text = node.text()
    if text not in known:
        raise node.fail(f"`{text}` is not one of {', '.join(known)}{nearest(text, known) if len(known) > 12 else ''}")
    return text


def _source_key(entry: Node) -> str:
    given = [key for key in entry.mapping() if key in _SOURCES]
    if len(given) == 1:
        return given[0]
    if given:
        raise entry.fail_at_key(given[1], f"two sources, `{given[0]}` and `{given[1]}`; a metric has exactly one")
    for key in entry.mapping():
        if key not in (*_COMMON, *_ROWS, "of_hundred", "versus", "when_base_is_zero"):
            raise entry.fail_at_key(key, f"unknown key `{key}`{nearest(key, (*_SOURCES, *_COMMON, *_ROWS))}")
    raise entry.fail(f"a metric needs one source: {', '.join(_SOURCES)}")


def _source(kind: str, parts: Mapping[str, Node], unit: Unit, words: Vocabulary) -> Source:
    node = parts[kind]
    if kind == "field":
        return _field(node, parts, unit, words)
    if kind == "formula":
        return FromFormula(parse_formula(node.text(), node.line, node.file, words.partner(), kind_of_unit(unit)))
    if kind in ("growth_of", "change_of"):
        return _past(kind, node, parts, unit, words)
    return _rows(Aggregate(kind), node, unit, words)


def _rows(aggregate: Aggregate, node: Node, unit: Unit, words: Vocabulary) -> FromRows:
    if kind_of_unit(unit) is not Kind.NUMBER and aggregate not in (Aggregate.MINIMUM, Aggregate.MAXIMUM):
        raise node.fail(f"`{aggregate}` gives a number, but the unit is {unit}")
    if aggregate is Aggregate.COUNT:
        return FromRows(aggregate, _counted(node, unit, words.tables), None)
    found = _SOURCE.fullmatch(node.text())
    if not found:
        raise node.fail(f"`{node.text()}` is not a source; write table.column or table.expression")
    table = _table(node, found[1], words.tables)
    needs = {Aggregate.SUM: Kind.NUMBER, Aggregate.AVERAGE: Kind.NUMBER, Aggregate.COUNT_DISTINCT: None}
    value = parse_formula(found[2], node.line, node.file, words.rows(table), needs.get(aggregate, kind_of_unit(unit)))
    if aggregate is Aggregate.COUNT_DISTINCT and unit in (Unit.MONEY, Unit.PERCENT):
        raise node.fail(f"`{aggregate}` gives a number of things, but the unit is {unit}")
    return FromRows(aggregate, table, value)


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
    if not _KEY.fullmatch(name) or not tables.has(name):
        raise node.fail(f"unknown table `{name}`{nearest(name, tables.names())}")
    return name


def _field(node: Node, parts: Mapping[str, Node], unit: Unit, words: Vocabulary) -> FromField:
    text = node.text()
    prefix, _, column = text.partition(".")
    if prefix != PARTNERS or not _KEY.fullmatch(column):
        raise node.fail(f"`{text}` is not a column of the partner; write partners.column")
    kind, wanted = column_kind(node, column, words.tables), kind_of_unit(unit)
    if kind is not None and kind is not wanted:
        units = {
            Kind.CONDITION: "; say `unit: yes_no`",
            Kind.TEXT: "; say `unit: text`",
            Kind.DATE: f"; write days as `formula: as_of - {text}`",
        }
        raise node.fail(f"`{text}` is a {kind}, but the unit is {unit}{units.get(kind, '')}")
    of_hundred = "of_hundred" in parts and parts["of_hundred"].yes_no()
    if of_hundred and unit is not Unit.PERCENT:
        raise parts["of_hundred"].fail(f"`of_hundred` is for `unit: percent`, but the unit is {unit}")
    return FromField(column, of_hundred)


def _past(kind: str, node: Node, parts: Mapping[str, Node], unit: Unit, words: Vocabulary) -> FromPast:
    of = words.unit_of(node)
    for one in (of, unit):
        if kind_of_unit(one) is not Kind.NUMBER:
            raise node.fail(f"`{kind}` needs numbers, but the unit of `{node.text() if one is of else 'it'}` is {one}")
    if "versus" not in parts:
        raise node.fail(f"`{kind}` needs `versus:`, like `versus: 1 year earlier`")
    base: Decimal | None = None
    if "when_base_is_zero" in parts and parts["when_base_is_zero"].text() != "unknown":
        base = parts["when_base_is_zero"].decimal()
    return FromPast(node.text(), read_shift(parts["versus"]), kind == "growth_of", base)


def _where(node: Node | None, rows: FromRows | None, words: Vocabulary) -> Formula | None:
    if node is None or rows is None:
        return None
    return parse_formula(node.text(), node.line, node.file, words.rows(rows.table), Kind.CONDITION)


def _dated_by(node: Node | None, rows: FromRows | None, tables: Tables) -> str | None:
    if node is None or rows is None:
        return None
    try:
        kind = tables.kind(rows.table, node.text())
    except UnknownNameError:
        dates = [name for name, one in tables.columns(rows.table).items() if one is ColumnType.DATE]
        raise node.fail(f"`{rows.table}` has no date `{node.text()}`{nearest(node.text(), dates)}") from None
    if kind not in (Kind.DATE, None):
        raise node.fail(f"`{node.text()}` is a {kind}, not a date")
    return node.text()


def _check_window(parts: Mapping[str, Node], metric: Metric, rows: FromRows, tables: Tables) -> None:
    if not isinstance(metric.during, InForce):
        return
    if metric.dated_by is not None:
        raise parts["dated_by"].fail(
            "`in force` asks for issued_on and expires_on; leave `dated_by` out or name a window"
        )
    if not tables.has_validity(rows.table):
        raise parts["during"].fail(
            f"`in force` needs the columns issued_on and expires_on; `{rows.table}` has not both"
        )


def _rolls_up(node: Node | None, source: str, unit: Unit) -> RollsUp:
    if node is None:
        return RollsUp.OWN
    text = node.text()
    if text in unbuilt.ROLLS_UP:
        raise node.fail(f"`rolls_up: {text}` is not built yet")
    found = RollsUp(_word(node, [str(one) for one in RollsUp]))
    if found is RollsUp.SUM and source in ("formula", "growth_of", "change_of"):
        raise node.fail(f"`{source}` is computed from rolled-up inputs; put `rolls_up: sum` on the metrics it reads")
    if found is RollsUp.SUM and source == "field" and kind_of_unit(unit) is not Kind.NUMBER:
        raise node.fail(f"a field of unit {unit} cannot be added up")
    return found


def _when_missing(node: Node | None, unit: Unit) -> WhenMissing:
    if node is None:
        return WhenMissing.UNKNOWN
    found = WhenMissing(_word(node, [str(one) for one in WhenMissing]))
    if found is WhenMissing.ZERO and unit is Unit.TEXT:
        raise node.fail("a text cannot be zero when missing; write unknown or fail")
    return found


def _check_name(node: Node, metric: Metric, tables: Tables) -> None:
    """Source: program-language, section 2: only the field of that very column may bear a partner column's name."""
    # Ignoring case, because the engine does: `Region` and `region` would be one column.
    column = next((name for name in tables.columns(PARTNERS) if name.lower() == metric.key.lower()), None)
    if column is None:
        return
    if not (isinstance(metric.source, FromField) and metric.source.column == metric.key):
        raise node.fail_at_key(
            metric.key,
            f"metric `{metric.key}` bears the name of a partner column; rename it (that is `{PARTNERS}.{column}`)",
        )


def inputs(metric: Metric) -> frozenset[str]:
    """The metrics that a metric is computed from."""
    if isinstance(metric.source, FromFormula):
        return metric.source.formula.metrics
    return frozenset({metric.source.metric}) if isinstance(metric.source, FromPast) else frozenset()


def _check_circle(node: Node, start: str, metrics: Mapping[str, Metric]) -> None:
    """Errors: ConfigError for a metric that is computed from itself."""
    came_from: dict[str, str] = {}
    waiting = [start]
    while waiting:
        key = waiting.pop()
        for each in sorted(inputs(metrics[key])):
            if each == start:
                raise node.fail_at_key(
                    start, f"metrics in a circle: {' -> '.join([*_path(key, start, came_from), start])}"
                )
            if each not in came_from:
                came_from[each] = key
                waiting.append(each)


def _path(key: str, start: str, came_from: Mapping[str, str]) -> list[str]:
    path = [key]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


def money_readers(metrics: Mapping[str, Metric], money: MoneyColumns) -> list[Metric]:
    """The metrics that are money or read a column of money."""
    return [metric for metric in metrics.values() if metric.unit is Unit.MONEY or reads_money(_columns(metric), money)]


def _columns(metric: Metric) -> frozenset[tuple[str, str]]:
    source, read = metric.source, metric.where.columns if metric.where else frozenset()
    if isinstance(source, FromField):
        return frozenset({(PARTNERS, source.column)})
    formula = (
        source.value if isinstance(source, FromRows) else source.formula if isinstance(source, FromFormula) else None
    )
    return read | (formula.columns if formula else frozenset())
