"""Criteria that change nothing: always met, or implied by another one beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import combinations

from crmsync.programs.lint_findings import (
    Finding,
    asks,
    attributes_of,
    conjuncts,
    found,
    name,
    rising,
    shown,
    value_for,
)
from crmsync.programs.lint_ranges import Ranges
from crmsync.programs.program import (
    Comparison,
    Criterion,
    FromParts,
    FromSheet,
    Group,
    Junction,
    Program,
    Requirement,
    ThresholdRow,
    Tier,
    Unit,
    Value,
    criteria_of,
)

DEAD = "dead"


def dead(program: Program, ranges: Ranges) -> Iterator[Finding]:
    """A finding for each criterion that could be left out without changing any tier."""
    for ladder in program.ladders.values():
        for tier in ladder.tiers:
            for what in (tier.requires, tier.keeps):
                if what is not None:
                    yield from _always(program, ranges, tier, what)
                    yield from _implied(program, tier, what, ())
                    yield from _minimum_in_total(program, ranges, tier, what)
    yield from overlaps(program)


def _always(program: Program, ranges: Ranges, tier: Tier, part: Requirement) -> Iterator[Finding]:
    """Criteria that every value meets."""
    for criterion in criteria_of(part):
        metric = program.metrics[criterion.metric]
        if metric.unit in (Unit.TEXT, Unit.YES_NO):
            continue
        bounds = ranges.of(metric.key)
        leaves = [value_for(criterion.value, one) for one in attributes_of(criterion.value)]
        numbers = [leaf for leaf in leaves if isinstance(leaf, Decimal)]
        if len(numbers) == len(leaves) and all(
            _met_by_all(criterion.comparison, bounds.low, bounds.high, one) for one in numbers
        ):
            message = (
                f"{name(tier)}: {asks(program, criterion)} is met by everybody: no value of {metric.key} is outside"
            )
            yield found(program, DEAD, criterion.line, message)


def _met_by_all(comparison: Comparison, low: Decimal | None, high: Decimal | None, value: Decimal) -> bool:
    match comparison:
        case Comparison.GE:
            return low is not None and low >= value
        case Comparison.GT:
            return low is not None and low > value
        case Comparison.LE:
            return high is not None and high <= value
        case Comparison.LT:
            return high is not None and high < value
    return False


# --- implied by another


def _implied(
    program: Program, tier: Tier, part: Requirement, context: Sequence[Criterion], place: str = ""
) -> Iterator[Finding]:
    """Criteria that hold wherever those around them hold (`context`), and parts of `any` that a weaker one covers."""
    if isinstance(part, Criterion):
        return
    if part.junction is Junction.ALL:
        own = [one for one in part.parts if isinstance(one, Criterion)]
        yield from _repeated(program, tier, own, context)
        around = (*context, *(one for one in conjuncts(part) if one not in context))
        for one in part.parts:
            if isinstance(one, Group):
                within = list(conjuncts(one))
                inner = tuple(criterion for criterion in around if criterion not in within)
                yield from _implied(program, tier, one, inner, place)
        return
    if part.junction in (Junction.ANY, Junction.AT_LEAST):
        met = [one for one in part.parts if isinstance(one, Criterion) and _covered(one, context)]
        if part.junction is Junction.ANY:
            for criterion in met[:1]:
                by = next(one for one in context if _implies(one, criterion))
                message = (
                    f"{name(tier)}: `any` is always met here, because {asks(program, by)} is asked anyway and gives "
                    f"{asks(program, criterion)}"
                )
                yield found(program, DEAD, criterion.line, message)
            yield from _covered_in_any(program, tier, part)
        else:
            for criterion in met:
                message = f"{name(tier)}: {asks(program, criterion)} always counts in `at_least`: it is asked anyway"
                yield found(program, DEAD, criterion.line, message)
    for one in part.parts:
        if isinstance(one, Group) and part.junction is not Junction.NONE:
            yield from _implied(program, tier, one, context, place)


def _repeated(
    program: Program, tier: Tier, own: Sequence[Criterion], context: Sequence[Criterion]
) -> Iterator[Finding]:
    for place, criterion in enumerate(own):
        others = [*context, *own[:place], *(one for one in own[place + 1 :] if not _implies(criterion, one))]
        by = next((one for one in others if _implies(one, criterion)), None)
        if by is not None:
            message = (
                f"{name(tier)}: {asks(program, criterion)} changes nothing: {asks(program, by)} is asked beside it"
            )
            yield found(program, DEAD, criterion.line, message)


def _covered_in_any(program: Program, tier: Tier, group: Group) -> Iterator[Finding]:
    """Of two alternatives on one metric the harder one never decides."""
    own = [one for one in group.parts if isinstance(one, Criterion)]
    for first, second in combinations(own, 2):
        for hard, easy in ((first, second), (second, first)):
            if _implies(hard, easy):
                message = f"{name(tier)}: {asks(program, hard)} never decides: {asks(program, easy)} is enough"
                yield found(program, DEAD, hard.line, message)
                break


def _covered(criterion: Criterion, context: Sequence[Criterion]) -> bool:
    return any(_implies(one, criterion) for one in context)


def _implies(one: Criterion, other: Criterion) -> bool:
    """Whether whoever meets `one` meets `other`, whatever the attributes."""
    if one.metric != other.metric:
        return False
    return all(
        _leaf_implies(one.comparison, value_for(one.value, whom), other.comparison, value_for(other.value, whom))
        for whom in attributes_of(one.value, other.value)
    )


def _leaf_implies(one: Comparison, value: object, other: Comparison, wanted: object) -> bool:
    if one is other and value == wanted:
        return True
    if isinstance(value, bool) or not isinstance(value, Decimal) or not isinstance(wanted, Decimal):
        return False
    if one is Comparison.EQ:
        return _meets(value, other, wanted)
    if rising(one) != rising(other):
        return False
    strict = other in (Comparison.GT, Comparison.LT) and one not in (Comparison.GT, Comparison.LT)
    if rising(one):
        return value > wanted if strict else value >= wanted
    return value < wanted if strict else value <= wanted


def _meets(value: Decimal, comparison: Comparison, wanted: Decimal) -> bool:
    match comparison:
        case Comparison.GE:
            return value >= wanted
        case Comparison.GT:
            return value > wanted
        case Comparison.LE:
            return value <= wanted
        case Comparison.LT:
            return value < wanted
    return value == wanted


# --- scores


def _minimum_in_total(program: Program, ranges: Ranges, tier: Tier, part: Requirement) -> Iterator[Finding]:
    """A minimum of a part that the total cannot be reached without."""
    criteria = [one for one in conjuncts(part) if one.comparison is Comparison.GE and isinstance(one.value, Decimal)]
    by_metric = {one.metric: one for one in criteria}
    for total in criteria:
        source = program.metrics[total.metric].source
        if not isinstance(source, FromParts) or not isinstance(total.value, Decimal):
            continue
        highs = {key: ranges.of(key).high for key in source.parts}
        for key in source.parts:
            minimum = by_metric.get(key)
            others = [high for other, high in highs.items() if other != key]
            if minimum is None or not isinstance(minimum.value, Decimal) or None in others:
                continue
            rest = sum((high for high in others if high is not None), Decimal(0))
            if total.value - rest >= minimum.value:
                message = (
                    f"{name(tier)}: {asks(program, minimum)} changes nothing: {asks(program, total)} cannot be met "
                    f"without it, the other parts give at most {shown(rest)}"
                )
                yield found(program, DEAD, minimum.line, message)


# --- tables


def overlaps(program: Program) -> Iterator[Finding]:
    """Rows of a threshold table that may both fit one partner, neither of them the more exact one."""
    seen: set[tuple[str, int, int]] = set()
    for ladder in program.ladders.values():
        for tier in ladder.tiers:
            for what in (tier.requires, tier.keeps):
                for criterion in criteria_of(what):
                    for sheet in _sheets(criterion.value):
                        yield from _overlaps_of(program, tier, criterion, sheet, seen)


def _sheets(value: Value) -> Iterator[FromSheet]:
    if isinstance(value, FromSheet):
        yield value


def _overlaps_of(
    program: Program, tier: Tier, criterion: Criterion, sheet: FromSheet, seen: set[tuple[str, int, int]]
) -> Iterator[Finding]:
    for first, second in combinations(sorted(sheet.rows, key=lambda row: row.line), 2):
        place = (sheet.file, first.line, second.line)
        if place in seen or not _both_fit(first, second):
            continue
        seen.add(place)
        more = any(_settles(row, first, second) for row in sheet.rows)
        if more:
            continue
        message = (
            f"{name(tier)}, {criterion.metric}: the row of line {first.line} ({_said(first)}) and this one "
            f"({_said(second)}) both fit a partner with both, and neither has more attributes; add a row for both"
        )
        file = str(program.file.parent / sheet.file)
        yield Finding("overlap", file, second.line, message)


def _both_fit(first: ThresholdRow, second: ThresholdRow) -> bool:
    same = len(first.attributes) == len(second.attributes) and first.attributes != second.attributes
    shared = set(first.attributes) & set(second.attributes)
    return same and all(first.attributes[column] == second.attributes[column] for column in shared)


def _settles(row: ThresholdRow, first: ThresholdRow, second: ThresholdRow) -> bool:
    """Whether a row fits exactly those partners that both others fit."""
    return dict(row.attributes) == {**first.attributes, **second.attributes}


def _said(row: ThresholdRow) -> str:
    return ", ".join(f"{column} {cell}" for column, cell in row.attributes.items()) or "everybody"
