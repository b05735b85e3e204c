"""What each metric is computed from, and the refusal of what is computed from itself.

Source: program-language, section 5, order of evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from crmsync.errors import ConfigError
from crmsync.programs.program import (
    BestOf,
    ByAttribute,
    Category,
    Computed,
    Earning,
    Formula,
    FromField,
    FromFormula,
    FromGroups,
    FromHeld,
    FromPart,
    FromParts,
    FromPast,
    FromRank,
    FromRows,
    FromSheet,
    FromTier,
    Group,
    Ladder,
    Linear,
    Metric,
    OtherMetric,
    PerUnit,
    Points,
    Requirement,
    Source,
    Value,
)

PARTNERS = "partners"
_T = TypeVar("_T")

Step = tuple[str, str]
"""What is computed: ("metric" | "ladder" | "category" | "membership", key)."""


def inputs(metric: Metric) -> tuple[str, ...]:
    """The metrics that a metric is computed from, each once, in the order of the file where it has one."""
    return tuple(dict.fromkeys(_source_inputs(metric.source)))


def _source_inputs(source: Source) -> Iterable[str]:
    match source:
        case FromFormula(formula):
            return sorted(formula.metrics)
        case FromPast(metric=of):
            return (of,)
        case FromPart():
            return _part_inputs(source)
        case FromParts(parts=parts, max=most):
            return (*parts, *sorted(value_metrics(most)))
        case FromRank(metric=of, where=where):
            return (of, *sorted(where.metrics if where else ()))
        case Computed(metrics=metrics):
            return metrics
        case FromHeld(criterion=criterion) if criterion is not None:
            return (criterion.metric, *sorted(value_metrics(criterion.value)))
        case _:
            return ()


def _part_inputs(part: FromPart) -> Iterable[str]:
    yield from (part.of,) if part.of is not None else ()
    yield from part.earning.metrics if isinstance(part.earning, BestOf) else ()
    for points in (*_points_of(part.earning), part.max):
        yield from sorted(value_metrics(points))
    yield from sorted(part.needs.metrics) if part.needs else ()


def _points_of(earning: Earning) -> tuple[Points | None, ...]:
    if isinstance(earning, Linear):
        return (earning.worth, earning.full_at)
    if isinstance(earning, PerUnit):
        return (earning.points, earning.per)
    return () if isinstance(earning, BestOf) else tuple(points for _, points in earning.steps)


def value_metrics(value: Value | Points | None) -> frozenset[str]:
    """The metrics that a value, or a number of a score, names."""
    if isinstance(value, OtherMetric):
        return frozenset({value.key})
    if isinstance(value, ByAttribute):
        leaves = (*value.cases.values(), value.default)
        return frozenset[str]().union(*(value_metrics(leaf) for leaf in leaves))
    if isinstance(value, FromSheet):
        return frozenset[str]().union(*(value_metrics(row.value) for row in value.rows))
    return frozenset()


def requirement_metrics(part: Requirement | None) -> frozenset[str]:
    """The metrics that a requirement asks for or compares with."""
    if part is None:
        return frozenset()
    if isinstance(part, Group):
        return frozenset[str]().union(*(requirement_metrics(one) for one in part.parts))
    return value_metrics(part.value) | {part.metric}


def ladder_metrics(ladder: Ladder) -> frozenset[str]:
    """The metrics that some tier of a ladder asks for or compares with."""
    asked = (requirement_metrics(one) for tier in ladder.tiers for one in (tier.requires, tier.keeps))
    return frozenset[str]().union(*asked)


def columns_of(metric: Metric) -> frozenset[tuple[str, str]]:
    """The columns that a metric reads: (table or reference, column)."""
    source = metric.source
    own = {(PARTNERS, source.column)} if isinstance(source, FromField) else set()
    formulas = (metric.where, metric.rolls_up_where, *_formulas(source))
    return frozenset(own).union(*(one.columns for one in formulas if one is not None))


def _formulas(source: Source) -> Iterable[Formula | None]:
    match source:
        case FromRows(value=value):
            return (value,)
        case FromFormula(formula):
            return (formula,)
        case FromGroups(having=having):
            return (one for condition in having for one in (condition.source.value, condition.where))
        case FromPart(needs=needs):
            return (needs,)
        case FromRank(where=where):
            return (where,)
        case _:
            return ()


def check_circles(metrics: Mapping[str, Metric], file: str) -> None:
    """Errors: ConfigError for a metric that is computed from itself."""
    before = {key: sorted(inputs(metric)) for key, metric in metrics.items()}
    for key, metric in metrics.items():
        path = _circle(key, before.__getitem__)
        if path:
            raise ConfigError(f"metrics in a circle: {' -> '.join(path)}", file=file, line=metric.line)


def check_tiers(
    metrics: Mapping[str, Metric], ladders: Mapping[str, Ladder], categories: Mapping[str, Category], file: str
) -> None:
    """Errors: ConfigError for a metric that needs a tier or a membership which is decided by that very metric."""
    after = _steps(metrics, ladders, categories)
    for key, metric in metrics.items():
        is_late = isinstance(metric.source, FromTier) or (
            isinstance(metric.source, FromRank) and metric.source.within_category
        )
        path = _circle(("metric", key), after) if is_late else []
        if path:
            shown = " -> ".join(name if kind == "metric" else f"{kind} {name}" for kind, name in path)
            raise ConfigError(
                f"`{key}` needs a result that is decided by it: {shown}; a metric reads only what is known before it",
                file=file,
                line=metric.line,
            )


def _steps(
    metrics: Mapping[str, Metric], ladders: Mapping[str, Ladder], categories: Mapping[str, Category]
) -> Callable[[Step], list[Step]]:
    asked = {key: ladder_metrics(ladder) for key, ladder in ladders.items()}

    def after(step: Step) -> list[Step]:
        kind, key = step
        if kind == "ladder":
            return [("metric", each) for each in sorted(asked[key])]
        if kind == "category":
            return [("membership", key), ("ladder", categories[key].ladder)]
        if kind == "membership":
            member = categories[key].member
            return [("metric", each) for each in sorted(member.metrics)] if member else []
        return [*(("metric", each) for each in sorted(inputs(metrics[key]))), *_results(metrics[key], categories)]

    return after


def _results(metric: Metric, categories: Mapping[str, Category]) -> list[Step]:
    """The tiers and memberships that a metric reads."""
    source = metric.source
    if isinstance(source, FromRank) and source.within_category:
        return [("membership", key) for key in categories]
    if isinstance(source, FromTier) and source.ladder is not None:
        return [("ladder", source.ladder)]
    if isinstance(source, FromTier) and source.program is None and source.category is not None:
        return [("category", source.category)]
    return []


def _circle(start: _T, after: Callable[[_T], list[_T]]) -> list[_T]:
    """The way from `start` back to it, or nothing."""
    came_from: dict[_T, _T] = {}
    waiting = [start]
    while waiting:
        step = waiting.pop()
        for each in after(step):
            if each == start:
                path = [step]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return [*path[::-1], start]
            if each not in came_from:
                came_from[each] = step
                waiting.append(each)
    return []
