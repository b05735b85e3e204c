"""`metrics:`: one number, yes/no or text per partner, each with exactly one source.

A new source is a node in `tree/sources.py` and a row in `SOURCES` with its reader; the compiler gives it its meaning.
Source: program-language, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from crmsync.errors import ConfigError
from crmsync.programs.aggregates import (
    AGGREGATES,
    KEY,
    ROWS,
    read_dated_by,
    read_during,
    read_rows,
    read_split,
    read_where,
)
from crmsync.programs.dependence import check_circles, columns_of, inputs
from crmsync.programs.durings import read_shift
from crmsync.programs.expressions import parse_formula
from crmsync.programs.groups import read_groups
from crmsync.programs.names import AS_OF, CLOCK, METRIC, PARENT, PARTNERS, Kind, Tables, kind_of_unit, read_label
from crmsync.programs.program import (
    Aggregate,
    FromField,
    FromFormula,
    FromHeld,
    FromPast,
    FromRows,
    FromTier,
    Metric,
    Source,
    Unit,
    WhenMissing,
)
from crmsync.programs.ranks import read_held_for, read_rank, read_tier_of
from crmsync.programs.rates import MoneyColumns, reads_money
from crmsync.programs.rollups import read_rolls_up, read_rolls_up_where
from crmsync.programs.scores import part_units, read_score
from crmsync.programs.thresholds import Conversion
from crmsync.programs.tree.sources import MeanOf
from crmsync.programs.vocabulary import Vocabulary, column_kind
from crmsync.strict_yaml import Node, nearest

_RESERVED = frozenset(
    {
        *(METRIC, CLOCK, AS_OF, PARTNERS, PARENT, "all", "any", "none", "at_least", "of", "including", "by", "default"),
        *("and", "or", "not", "in", "between", "like", "is", "null", "case", "when", "then", "else", "end"),
        *("yes", "no", "true", "false", "date", "interval", "select", "from"),
    }
)
_COMMON = ("label", "means", "unit", "kind", "rolls_up", "rolls_up_where", "when_missing", "better")


@dataclass(frozen=True)
class _Entry:
    """One metric while it is read. `word`: the key that names its source."""

    key: str
    word: str
    parts: Mapping[str, Node]
    unit: Unit
    words: Vocabulary
    conversion: Conversion

    @property
    def node(self) -> Node:
        return self.parts[self.word]


def read_units(node: Node) -> dict[str, Unit]:
    """The unit of each metric, in file order, those of a score's parts before it: what formulas need to know first."""
    found: dict[str, Unit] = {}
    for key, entry in node.mapping().items():
        _check_key(node, key, found)
        parts = entry.mapping()
        if "score" in parts:
            found |= part_units(key, entry)
        found[key] = Unit(_word(parts["unit"], [str(unit) for unit in Unit])) if "unit" in parts else Unit.NUMBER
    if not found:
        raise node.fail("`metrics:` names no metric")
    return found


def _check_key(node: Node, key: str, before: Mapping[str, Unit]) -> None:
    if not KEY.fullmatch(key) or key.lower() in _RESERVED:
        raise node.fail_at_key(
            key, f"`{key}` cannot name a metric; use letters, digits, `_`, and no word of the language"
        )
    for other in before:
        if other.lower() == key.lower():
            raise node.fail_at_key(key, f"`{key}` and `{other}` differ in case alone; rename one")


def read_metrics(node: Node, words: Vocabulary, conversion: Conversion) -> dict[str, Metric]:
    """The metrics of a program, in file order, parts and groups of a score before it. Errors: ConfigError."""
    found: dict[str, Metric] = {}
    for key, entry in node.mapping().items():
        for metric in _metrics(key, node.key_lines[key], entry, words, conversion):
            found[metric.key] = metric
    for metric in found.values():
        _check_name(node, metric, words.tables)
    check_circles(found, node.file)
    for metric in found.values():
        _check_past(node, metric, found)
    return found


def _metrics(key: str, line: int, entry: Node, words: Vocabulary, conversion: Conversion) -> list[Metric]:
    """The metric of one key, after the parts and groups where it is a score."""
    word = _source_word(entry)
    parts = entry.mapping(required=(word,), optional=(*_COMMON, *SOURCES[word].options))
    read = _Entry(key, word, parts, words.units[key], words, conversion)
    _check_unit(read)
    source, members = SOURCES[word].read(read)
    return [*members, _metric(read, line, source)]


def _metric(read: _Entry, line: int, source: Source) -> Metric:
    parts, words = read.parts, read.words
    rows = source if isinstance(source, FromRows) else None
    rolls_up = read_rolls_up(parts, read.word, read.unit)
    return Metric(
        key=read.key,
        line=line,
        unit=read.unit,
        source=source,
        label=read_label(parts, read.key),
        means=parts["means"].text() if "means" in parts else "",
        where=read_where(parts, rows, words) if rows else None,
        during=read_during(parts, rows, words.tables) if rows else None,
        dated_by=read_dated_by(parts, rows, words.tables) if rows else None,
        rolls_up=rolls_up,
        when_missing=_when_missing(parts.get("when_missing"), read.unit),
        kind=_word(parts["kind"], ("leading", "lagging")) if "kind" in parts else None,
        lower_is_better="better" in parts and _word(parts["better"], ("lower", "higher")) == "lower",
        rolls_up_where=read_rolls_up_where(parts, rolls_up, words),
        split_by=read_split(parts["split_by"], rows, words) if rows and "split_by" in parts else None,
    )


def _word(node: Node, known: tuple[str, ...] | list[str]) -> str:
    text = node.text()
    if text not in known:
        raise node.fail(f"`{text}` is not one of {', '.join(known)}{nearest(text, known) if len(known) > 12 else ''}")
    return text


def _source_word(entry: Node) -> str:
    given = [key for key in entry.mapping() if key in SOURCES]
    if len(given) == 1:
        return given[0]
    if given:
        raise entry.fail_at_key(given[1], f"two sources, `{given[0]}` and `{given[1]}`; a metric has exactly one")
    options = {option for source in SOURCES.values() for option in source.options}
    for key in entry.mapping():
        if key not in (*_COMMON, *options):
            near = nearest(key, (*SOURCES, *_COMMON, *ROWS)) or f"; a metric needs one source: {', '.join(SOURCES)}"
            raise entry.fail_at_key(key, f"unknown key `{key}`{near}")
    raise entry.fail(f"a metric needs one source: {', '.join(SOURCES)}")


def _check_unit(read: _Entry) -> None:
    """Errors: ConfigError for a unit that the source cannot give."""
    source = SOURCES[read.word]
    if source.units and read.unit not in source.units:
        raise read.parts["unit"].fail(
            f"`{read.word}` gives {source.gives}, but the unit is {read.unit}; write {' or '.join(source.units)}"
        )


def _field(read: _Entry) -> FromField:
    node, text, unit = read.node, read.node.text(), read.unit
    prefix, _, column = text.partition(".")
    if prefix != PARTNERS or not KEY.fullmatch(column):
        raise node.fail(f"`{text}` is not a column of the partner; write partners.column")
    kind, wanted = column_kind(node, column, read.words.tables), kind_of_unit(unit)
    if kind is not None and kind is not wanted:
        units = {
            Kind.CONDITION: "; say `unit: yes_no`",
            Kind.TEXT: "; say `unit: text`",
            Kind.DATE: f"; write days as `formula: as_of - {text}`",
        }
        raise node.fail(f"`{text}` is a {kind}, but the unit is {unit}{units.get(kind, '')}")
    of_hundred = "of_hundred" in read.parts and read.parts["of_hundred"].yes_no()
    if of_hundred and unit is not Unit.PERCENT:
        raise read.parts["of_hundred"].fail(f"`of_hundred` is for `unit: percent`, but the unit is {unit}")
    return FromField(column, of_hundred)


def _formula(read: _Entry) -> FromFormula:
    node = read.node
    return FromFormula(parse_formula(node.text(), node.line, node.file, read.words.partner(), kind_of_unit(read.unit)))


def _past(read: _Entry) -> FromPast:
    kind, node, parts = read.word, read.node, read.parts
    of = read.words.unit_of(node)
    for one in (of, read.unit):
        if kind_of_unit(one) is not Kind.NUMBER:
            raise node.fail(f"`{kind}` needs numbers, but the unit of `{node.text() if one is of else 'it'}` is {one}")
    if "versus" not in parts:
        raise node.fail(f"`{kind}` needs `versus:`, like `versus: 1 year earlier`")
    base: Decimal | None = None
    if "when_base_is_zero" in parts and parts["when_base_is_zero"].text() != "unknown":
        base = parts["when_base_is_zero"].decimal()
    return FromPast(node.text(), read_shift(parts["versus"]), kind == "growth_of", base)


def _check_past(node: Node, metric: Metric, metrics: Mapping[str, Metric]) -> None:
    """Errors: ConfigError for the growth of something that has no value in the past."""
    if not isinstance(metric.source, FromPast):
        return
    waiting, seen = [metric.source.metric], {metric.source.metric}
    while waiting:
        key = waiting.pop()
        source = metrics[key].source
        if isinstance(source, FromTier | FromHeld) or (isinstance(source, FromField) and key == metric.source.metric):
            name = "a field" if isinstance(source, FromField) else f"`{key}`, a tier_of or held_for,"
            raise ConfigError(
                f"metric `{metric.key}`: {name} has no value at an earlier day to compare with; name a metric of rows",
                file=node.file,
                line=metric.line,
            )
        waiting += [each for each in inputs(metrics[key]) if each not in seen]
        seen.update(inputs(metrics[key]))


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


def money_readers(metrics: Mapping[str, Metric], money: MoneyColumns) -> list[Metric]:
    """The metrics that are money or read a column of money."""
    return [
        metric for metric in metrics.values() if metric.unit is Unit.MONEY or reads_money(columns_of(metric), money)
    ]


_Read = tuple[Source, list[Metric]]
"""A source, and the metrics that come with it: the parts and groups of a score."""


@dataclass(frozen=True)
class _SourceWord:
    """One source: how it is read, the keys that may stand beside it, and the units it gives (empty: its own check).

    `gives`: what it gives, for messages.
    """

    read: Callable[[_Entry], _Read]
    options: tuple[str, ...] = ()
    units: tuple[Unit, ...] = ()
    gives: str = ""


def _alone(read_source: Callable[[_Entry], Source]) -> Callable[[_Entry], _Read]:
    return lambda read: (read_source(read), [])


def _score(read: _Entry) -> _Read:
    members, source = read_score(read.key, read.node, read.words)
    return source, members


def _rows(read: _Entry) -> Source:
    return read_rows(Aggregate(read.word), read.node, read.unit, read.words)


def _groups(read: _Entry) -> Source:
    return read_groups(read.node, read.unit, read.words)


def _rank(read: _Entry) -> Source:
    return read_rank(read.word, read.parts, read.words)


def _tier_of(read: _Entry) -> Source:
    return read_tier_of(read.node, read.words.tiers)


def _held_for(read: _Entry) -> Source:
    return read_held_for(read.node, read.words, read.conversion)


def _mean(read: _Entry) -> Source:
    node = read.node
    for item in node.sequence():
        if kind_of_unit(read.words.unit_of(item)) is not Kind.NUMBER:
            raise item.fail(f"`mean_of` needs numbers, but the unit of `{item.text()}` is {read.words.unit_of(item)}")
    metrics = tuple(item.text() for item in node.sequence())
    known = read.parts["known"].integer() if "known" in read.parts else 1
    if len(metrics) < 2 or len(set(metrics)) < len(metrics):
        raise node.fail("`mean_of` needs two metrics or more, each once")
    if not 1 <= known <= len(metrics):
        raise read.parts["known"].fail(f"`known: {known}` of {len(metrics)} metrics; write 1 to {len(metrics)}")
    return MeanOf(metrics, known)


_POPULATION = ("within", "where")
_NUMBERS = tuple(unit for unit in Unit if kind_of_unit(unit) is Kind.NUMBER)
SOURCES: Mapping[str, _SourceWord] = {
    **dict.fromkeys(AGGREGATES, _SourceWord(_alone(_rows), (*ROWS, "split_by"))),
    "field": _SourceWord(_alone(_field), ("of_hundred",)),
    "formula": _SourceWord(_alone(_formula)),
    "growth_of": _SourceWord(_alone(_past), ("versus", "when_base_is_zero")),
    "change_of": _SourceWord(_alone(_past), ("versus",)),
    "groups": _SourceWord(_alone(_groups)),
    "mean_of": _SourceWord(_alone(_mean), ("known",), _NUMBERS, "a number"),
    "score": _SourceWord(_score, (), (Unit.POINTS, Unit.NUMBER), "points"),
    "rank_of": _SourceWord(_alone(_rank), _POPULATION, (Unit.NUMBER,), "a place"),
    "percentile_of": _SourceWord(_alone(_rank), _POPULATION, (Unit.PERCENT, Unit.NUMBER), "a fraction"),
    "tier_of": _SourceWord(_alone(_tier_of), (), (Unit.NUMBER,), "the position of a tier"),
    "held_for": _SourceWord(_alone(_held_for), (), (Unit.DAYS, Unit.NUMBER), "days"),
}
