"""Tiers beside each other: thresholds that do not rise, tiers harder on one axis and easier on another, cliffs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from crmsync.programs.lint_findings import (
    Attributes,
    Finding,
    Leaf,
    attributes_of,
    conjuncts,
    for_whom,
    found,
    metrics_asked,
    name,
    rising,
    shown,
    value_for,
)
from crmsync.programs.program import (
    Bands,
    Benefit,
    Criterion,
    FromPart,
    Ladder,
    Program,
    Requirement,
    Tier,
    criteria_of,
)

CLIFF = 10
"""A threshold that is more than so many times that of the tier below is a cliff."""


@dataclass(frozen=True)
class _Pair:
    """A criterion of one tier and the one of another tier on the same metric, in the same direction."""

    low: Criterion
    high: Criterion


def steps(program: Program) -> Iterator[Finding]:
    """Findings about neighbouring tiers, about `keeps` beside `requires`, bands and benefits."""
    for ladder in program.ladders.values():
        for below, above in pairwise(ladder.tiers):
            yield from _neighbours(program, ladder, below, above)
            yield from _benefits(program, below, above)
        for tier in ladder.tiers:
            yield from _keeps(program, tier)
    yield from _bands(program)


def _pairs(low: Requirement | None, high: Requirement | None) -> list[_Pair]:
    below: dict[tuple[str, bool | None], Criterion] = {}
    for criterion in conjuncts(low):
        below.setdefault((criterion.metric, rising(criterion.comparison)), criterion)
    found_pairs = []
    for criterion in conjuncts(high):
        other = below.pop((criterion.metric, rising(criterion.comparison)), None)
        if other is not None:
            found_pairs.append(_Pair(other, criterion))
    return found_pairs


def _harder(criterion: Criterion, low: Leaf | None, high: Leaf | None) -> int | None:
    """1 where `high` asks more than `low`, -1 where it asks less, 0 where it asks the same; None: not comparable."""
    if low == high:
        return 0
    up = rising(criterion.comparison)
    if up is None or not isinstance(low, Decimal) or not isinstance(high, Decimal):
        return None
    return 1 if (high > low) == up else -1


# --- neighbours


def _neighbours(program: Program, ladder: Ladder, below: Tier, above: Tier) -> Iterator[Finding]:
    if below.requires is None or above.requires is None:
        return
    pairs = _pairs(below.requires, above.requires)
    easier = [(pair, whom) for pair in pairs for whom in _where(pair, -1)]
    harder = [pair for pair in pairs if next(_where(pair, 1), None) is not None]
    dropped = [] if ladder.climb_steps else _dropped(below, above)
    more = metrics_asked(above.requires) - metrics_asked(below.requires)
    seen: set[str] = set()
    for pair, whom in easier:
        if pair.high.metric in seen:
            continue
        seen.add(pair.high.metric)
        told = _beside(program, pair, whom, below, above)
        if harder or more:
            yield found(program, "mixed", pair.high.line, f"{told}, though it asks more of {_names(harder, more)}")
        else:
            yield found(program, "not-rising", pair.high.line, told)
    for criterion in dropped:
        if harder or more:
            message = (
                f"{name(above)} asks nothing of {criterion.metric}, which {name(below)} below it does, though it asks "
                f"more of {_names(harder, more)}"
            )
            yield found(program, "mixed", above.line, message)
    if not easier and not dropped and _same(pairs, below, above):
        message = f"{name(above)} asks the same as {name(below)} below it, so that nobody is ever {below.key}"
        yield found(program, "not-rising", above.line, message)
    yield from _cliffs(program, pairs, below, above)


def _where(pair: _Pair, wanted: int) -> Iterator[Attributes]:
    """For whom the higher tier asks more (1) or less (-1)."""
    for attributes in attributes_of(pair.low.value, pair.high.value):
        low, high = value_for(pair.low.value, attributes), value_for(pair.high.value, attributes)
        if _harder(pair.high, low, high) == wanted:
            yield attributes


def _names(harder: Sequence[_Pair], more: set[str]) -> str:
    return " and ".join(dict.fromkeys([*(pair.high.metric for pair in harder), *sorted(more)]))


def _beside(program: Program, pair: _Pair, whom: Attributes, below: Tier, above: Tier) -> str:
    unit = program.metrics[pair.high.metric].unit
    low, high = value_for(pair.low.value, whom), value_for(pair.high.value, whom)
    return (
        f"{name(above)} asks {pair.high.metric} {pair.high.comparison.value} {shown(high, unit)}{for_whom(whom)}, less "
        f"than {name(below)} below it ({shown(low, unit)})"
    )


def _dropped(below: Tier, above: Tier) -> list[Criterion]:
    """Criteria of the lower tier on metrics that the higher one says nothing about."""
    asked = metrics_asked(above.requires)
    return [one for one in conjuncts(below.requires) if one.metric not in asked]


def _same(pairs: Sequence[_Pair], below: Tier, above: Tier) -> bool:
    flat = [len(list(conjuncts(tier.requires))) for tier in (below, above)]
    parts = [len(list(criteria_of(tier.requires))) for tier in (below, above)]
    if flat != parts or flat[0] != flat[1] or len(pairs) != flat[0]:
        return False
    return all(
        pair.low.comparison is pair.high.comparison and next(_where(pair, 1), None) is None for pair in pairs
    ) and all(_harder(pair.high, *_both(pair, whom)) == 0 for pair in pairs for whom in _everybody(pair))


def _both(pair: _Pair, whom: Attributes) -> tuple[Leaf | None, Leaf | None]:
    return value_for(pair.low.value, whom), value_for(pair.high.value, whom)


def _everybody(pair: _Pair) -> list[Attributes]:
    return attributes_of(pair.low.value, pair.high.value)


def _cliffs(program: Program, pairs: Sequence[_Pair], below: Tier, above: Tier) -> Iterator[Finding]:
    for pair in pairs:
        if rising(pair.high.comparison) is not True:
            continue
        for whom in _everybody(pair):
            low, high = _both(pair, whom)
            if isinstance(low, Decimal) and isinstance(high, Decimal) and low > 0 and high > CLIFF * low:
                unit = program.metrics[pair.high.metric].unit
                message = (
                    f"{pair.high.metric} jumps from {shown(low, unit)} in {name(below)} to {shown(high, unit)} in "
                    f"{name(above)}{for_whom(whom)}, more than {CLIFF} times; a tier between them would give a step"
                )
                yield found(program, "cliff", pair.high.line, message)
                break


# --- keeps


def _keeps(program: Program, tier: Tier) -> Iterator[Finding]:
    """What holds a tier should not be harder than what gives it."""
    if tier.keeps is None or tier.requires is None:
        return
    for pair in _pairs(tier.requires, tier.keeps):
        whom = next(_where(pair, 1), None)
        if whom is not None:
            unit = program.metrics[pair.high.metric].unit
            low, high = _both(pair, whom)
            message = (
                f"{name(tier)} is kept by {pair.high.metric} {pair.high.comparison.value} {shown(high, unit)}"
                f"{for_whom(whom)}, harder than entering it ({shown(low, unit)}): who just enters falls again"
            )
            yield found(program, "keeps-harder", pair.high.line, message)


# --- bands and benefits


def _bands(program: Program) -> Iterator[Finding]:
    for metric in program.metrics.values():
        source = metric.source
        if not isinstance(source, FromPart) or not isinstance(source.earning, Bands) or source.of is None:
            continue
        if program.metrics[source.of].lower_is_better:
            continue
        for (low_from, low), (high_from, high) in pairwise(source.earning.steps):
            if isinstance(low, Decimal) and isinstance(high, Decimal) and high <= low:
                unit = program.metrics[source.of].unit
                verb = "fewer points than" if high < low else "no more points than"
                message = (
                    f"part {metric.key}: the band from {shown(high_from, unit)} gives {shown(high)}, {verb} the one "
                    f"from {shown(low_from, unit)} ({shown(low)})"
                )
                yield found(program, "not-rising", metric.line, message)
            elif isinstance(low, Decimal) and isinstance(high, Decimal) and low > 0 and high > CLIFF * low:
                unit = program.metrics[source.of].unit
                message = (
                    f"part {metric.key}: from {shown(high_from, unit)} on it gives {shown(high)} points, just below "
                    f"only {shown(low)}, more than {CLIFF} times; a band between them would give a step"
                )
                yield found(program, "cliff", metric.line, message)
    if program.commission is not None:
        for (low_from, low), (high_from, high) in pairwise(program.commission.bands):
            if high < low:
                message = (
                    f"commission: the band from {_percent(high_from)} gives {_percent(high)}, less than the one from "
                    f"{_percent(low_from)} ({_percent(low)})"
                )
                yield found(program, "not-rising", program.commission.line, message)


def _percent(value: Decimal) -> str:
    return f"{(value * 100).normalize():f}%"


def _benefits(program: Program, below: Tier, above: Tier) -> Iterator[Finding]:
    for key, benefit in above.benefits.items():
        other = below.benefits.get(key)
        if other is None or benefit.value is None or other.value is None:
            continue
        yield from _less(program, key, (below, other), (above, benefit))


def _less(program: Program, key: str, low: tuple[Tier, Benefit], high: tuple[Tier, Benefit]) -> Iterator[Finding]:
    below, above = low[1].value, high[1].value
    assert below is not None
    assert above is not None
    for whom in attributes_of(below, above):
        small, large = value_for(below, whom), value_for(above, whom)
        if isinstance(small, Decimal) and isinstance(large, Decimal) and large < small:
            unit = high[1].unit
            message = (
                f"{name(high[0])} gives {key} {shown(large, unit)}{for_whom(whom)}, less than {name(low[0])} below it "
                f"({shown(small, unit)})"
            )
            yield found(program, "benefit-falls", high[1].line, message)
            return
