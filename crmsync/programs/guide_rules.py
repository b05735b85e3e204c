"""How tiers change, how numbers are counted, how points are earned: the rules of a partner guide in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crmsync.programs.guide_expressions import condition_words, formula_words
from crmsync.programs.guide_tiers import Table, attribute_columns, paths_of
from crmsync.programs.guide_words import (
    NOTHING,
    Words,
    counted,
    grouped,
    joined,
    percent,
    sentence_case,
    window_words,
    words_of,
)
from crmsync.programs.lint_findings import OTHERS, value_for
from crmsync.programs.program import (
    Aggregate,
    Bands,
    BestOf,
    ByAttribute,
    Computed,
    FromField,
    FromFormula,
    FromGroups,
    FromHeld,
    FromPart,
    FromParts,
    FromPast,
    FromRank,
    FromRows,
    FromTier,
    Linear,
    Metric,
    OtherMetric,
    PerUnit,
    Points,
    Program,
    RollsUp,
    Unit,
)

_TABLES = {
    "opportunities": "deals",
    "certifications": "certificates",
    "activities": "activities",
    "partners": "accounts",
}
_THINGS = {"person": "people", "customer": "customers", "opportunity": "deals", "certification": "certificates"}


@dataclass(frozen=True)
class ScoreText:
    """How the points of one score are earned."""

    label: str
    means: str
    most: str
    table: Table


@dataclass(frozen=True)
class CountText:
    """How one number is counted."""

    label: str
    means: str
    how: str


# --- numbers


def count_texts(words: Words, program: Program) -> list[CountText]:
    """How each number that is asked for is counted; parts of scores stand with their score."""
    found = []
    for metric in program.metrics.values():
        if isinstance(metric.source, FromPart) or (isinstance(metric.source, FromParts) and "." in metric.key):
            continue
        found.append(CountText(words.metric(metric.key), metric.means, sentence_case(_how(words, metric)) + "."))
    return found


def _how(words: Words, metric: Metric) -> str:
    parts = [_source(words, metric), window_words(metric.during)]
    text = " ".join(one for one in parts if one)
    if isinstance(metric.source, FromRows) and metric.source.aggregate is Aggregate.COUNT_DISTINCT:
        text = f"{text}, each counted once"
    where = condition_words(words, metric.where)
    # what a text of the program says need not be said a second time by its condition
    if where and not metric.means:
        text = f"{text}, where {where}"
    rolled = _ROLLED.get(metric.rolls_up)
    if metric.split_by:
        text = f"{text}; counted for each {words_of(metric.split_by.rpartition('.')[2])} and in total"
    return f"{text}; {rolled}" if rolled else text


_ROLLED = {
    RollsUp.SUM: "subsidiaries are included",
    RollsUp.FAMILY: "the whole group of companies counts together",
    RollsUp.BEST: "the best value among the partner and its subsidiaries counts",
    RollsUp.FAMILY_BEST: "the best value in the whole group of companies counts",
    RollsUp.INHERIT: "the parent company's value counts where it is better",
}


def _source(words: Words, metric: Metric) -> str:
    match metric.source:
        case FromRows() as source:
            return _rows(source)
        case FromField(column=column):
            return f"as recorded on your account ({words_of(column)})"
        case FromFormula(formula=formula):
            return formula_words(words, formula)
        case FromPast(metric=key, shift=shift, relative=relative):
            what = "growth" if relative else "change"
            return f"{what} of “{words.metric(key)}” against the same time {counted(shift.count, shift.period)} earlier"
        case FromGroups() as groups:
            return _groups(words, groups)
        case FromParts():
            return "points, see how they are earned"
        case FromRank(metric=key, percentile=percentile, within=within, within_category=category):
            among = [words_of(one) for one in within] + (["category"] if category else [])
            where = f" among the partners of the same {joined(among)}" if among else " among all partners"
            return f"{'place as a share of' if percentile else 'place by'} “{words.metric(key)}”{where}"
        case FromTier(program=other, category=category, ladder=ladder):
            if other is not None:
                return f"the tier in the program “{words_of(other)}”"
            if category is not None:
                return f"the tier as {words.category(category)}"
            return f"the tier in “{words_of(ladder or '')}”"
        case Computed(words=made):
            return made
        case FromHeld(tier=tier):
            return f"days since you hold {words.tier(tier)} or higher" if tier else "days without a break"
        case _:
            return "points"


def _rows(source: FromRows) -> str:
    rows = _TABLES.get(source.table, words_of(source.table))
    value = words_of(source.value.text.rpartition(".")[2]) if source.value else ""
    match source.aggregate:
        case Aggregate.COUNT:
            return f"number of {rows}"
        case Aggregate.COUNT_DISTINCT:
            thing = value.removesuffix(" id")
            return f"number of different {_THINGS.get(thing, _plural(thing))}"
        case Aggregate.SUM:
            return f"total {value} of {rows}"
        case Aggregate.FIRST | Aggregate.LAST:
            return f"{value} of the {source.aggregate.value} of your {rows}"
    return f"{source.aggregate.value} {value} of {rows}"


def _plural(thing: str) -> str:
    return thing if thing.endswith("s") else f"{thing}s"


def _groups(words: Words, source: FromGroups) -> str:
    thing = words_of(source.of).removesuffix(" id")
    name = _THINGS.get(thing, _plural(thing))
    conditions = []
    for one in source.having:
        bound = "at most" if one.at_most else "at least"
        limit = words.value(one.limit, Unit.MONEY) if one.money else grouped(one.limit)
        window, where = window_words(one.during), condition_words(words, one.where)
        text = f"{_rows(one.source)} {bound} {limit}{f' {window}' if window else ''}"
        # two conditions may differ in nothing else, so this is said even where the metric has a text of its own
        conditions.append(f"{text} (where {where})" if where else text)
    if source.share:
        return f"share of the {name} with {conditions[0]} that also have {joined(conditions[1:]) or 'it'}"
    return f"number of {name} with {joined(conditions)}"


# --- points


def score_texts(words: Words, program: Program) -> list[ScoreText]:
    """How the points of each score are earned, a row for each part."""
    found = []
    for metric in program.metrics.values():
        if isinstance(metric.source, FromParts) and "." not in metric.key:
            rows = tuple(_part_rows(words, metric.source))
            table = Table("", ("Part", "How points are earned", "At most", "Only if"), rows, 4)
            found.append(ScoreText(words.metric(metric.key), metric.means, _points(words, metric.source.max), table))
    return found


def _part_rows(words: Words, score: FromParts) -> Iterator[tuple[str, ...]]:
    """The parts of a score; a group stands before its parts."""
    for key in score.parts:
        metric = words.program.metrics[key]
        name = _part_name(words, key)
        if isinstance(metric.source, FromParts):
            parts = [_part_name(words, one) for one in metric.source.parts]
            told = f"The sum of {joined([one[:1].lower() + one[1:] for one in parts])}"
            yield sentence_case(name), told, _points(words, metric.source.max) or NOTHING, NOTHING
            yield from _part_rows(words, metric.source)
        elif isinstance(metric.source, FromPart):
            yield from _one_part(words, name, metric.source)


def _one_part(words: Words, name: str, part: FromPart) -> Iterator[tuple[str, ...]]:
    needs = condition_words(words, part.needs)
    most = _points(words, part.max) or _own_cap(words, part) or NOTHING
    yield sentence_case(name), sentence_case(_earning(words, part)), most, sentence_case(needs) or NOTHING
    if isinstance(part.earning, BestOf):
        for key in part.earning.metrics:
            inner = words.program.metrics.get(key)
            if inner is not None and isinstance(inner.source, FromPart):
                yield from _one_part(words, f"of these: {_part_name(words, key)}", inner.source)


def _own_cap(words: Words, part: FromPart) -> str:
    if isinstance(part.earning, Linear):
        return _points(words, part.earning.worth)
    if isinstance(part.earning, Bands) and part.earning.steps:
        return _points(words, part.earning.steps[-1][1])
    return ""


def _points(words: Words, points: Points | None) -> str:
    """A number of points, or how it depends on the partner."""
    if points is None:
        return ""
    if not isinstance(points, ByAttribute):
        return words.value(points, Unit.NUMBER)
    parts = [
        f"{words.value(value_for(points, path), Unit.NUMBER)} for "
        + joined([f"{words_of(c)} {v}" if v != OTHERS else f"any other {words_of(c)}" for c, v in path.items()])
        for path in paths_of(points)
    ]
    return joined(parts)


def _earning(words: Words, part: FromPart) -> str:
    of = words.program.metrics.get(part.of or "")
    name = f"“{words.metric(of.key)}”" if of else ""
    unit = of.unit if of else Unit.NUMBER
    match part.earning:
        case Linear(worth=worth, full_at=None):
            return f"{_points(words, worth)} points for {name}"
        case Linear(worth=worth, full_at=full_at):
            full = f"{_points(words, worth)} points from {_amount(words, full_at, unit)} of {name} on"
            return f"{full}, fewer in proportion below"
        case PerUnit(points=points, per=per, whole_units=whole):
            many, each = (
                _points(words, points),
                "one" if per == 1 and unit is not Unit.MONEY else _amount(words, per, unit),
            )
            full = ", whole ones only" if whole else ""
            return f"{many} {'point' if many == '1' else 'points'} for each {each} of {name}{full}"
        case Bands(steps=steps):
            told = [f"{words.value(low, unit)}: {_points(words, points)}" for low, points in steps]
            return f"points by {name}, from {joined(told)}"
        case BestOf(metrics=metrics):
            return f"the better of {joined([_quoted(words, one) for one in metrics])}"
    return ""


def _quoted(words: Words, key: str) -> str:
    return f"“{_part_name(words, key)}”"


def _part_name(words: Words, key: str) -> str:
    """The name of a part without that of its score."""
    return words.metric(key).rpartition(": ")[2]


def _amount(words: Words, points: Points | None, unit: Unit) -> str:
    if points is None:
        return ""
    if isinstance(points, ByAttribute | OtherMetric):
        return _points(words, points)
    return words.value(points, unit)


# --- commission


def commission_table(words: Words, program: Program) -> tuple[Table, str] | None:
    """The bands of the commission, and its most."""
    commission = program.commission
    if commission is None:
        return None
    unit = program.metrics[commission.of].unit
    rows = tuple((f"from {words.value(low, unit)}", percent(rate)) for low, rate in commission.bands)
    table = Table("", (words.metric(commission.of), "Commission"), rows)
    return table, _most(words, commission.max)


def _most(words: Words, most: object) -> str:
    if isinstance(most, ByAttribute):
        named = {"tier": words.tier, "category": words.category}
        column = attribute_columns(most)[0]
        parts = [
            f"{words.value(value_for(most, path), Unit.PERCENT)} for "
            + joined([named.get(c, str)(v) if v != OTHERS else "all others" for c, v in path.items()])
            for path in paths_of(most)
        ]
        return f"At most {joined(parts)}." if column else ""
    return f"At most {words.value(most, Unit.PERCENT)}." if most is not None else ""  # type: ignore[arg-type]
