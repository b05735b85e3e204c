"""Risk: whether the granted tier will hold if nothing more happens, and at the pace of late.

Source: program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.gap import NEEDS, Leaf, leaves_of, paths_of, said
from crmsync.levelling.sql import Sql
from crmsync.levelling.tiers import by_tier, highest_position, keeps_of
from crmsync.programs.program import Ladder, Tier


def position_by_keeps(ladder: Ladder, criteria: Criteria) -> Sql:
    """The tier that would be calculated, the granted one and those below it held by `keeps`."""
    holds = []
    for position, tier in enumerate(ladder.tiers, 1):
        kept = sql.ge(sql.col("granted"), sql.number(position))
        requires, keeps = criteria.tier_holds(tier.requires), criteria.tier_holds(keeps_of(tier))
        holds.append(requires if tier.keeps is None else sql.case([(kept, keeps)], requires))
    return highest_position(ladder, holds)


def spare_is_thin(ladder: Ladder, near: Criteria) -> Sql:
    """Whether the granted tier would not hold if each threshold were further by `near`."""
    return by_tier(
        ladder,
        sql.col("granted"),
        lambda tier: sql.not_(sql.coalesce(near.tier_holds(keeps_of(tier)), sql.false())),
        sql.false(),
    )


def risk_word() -> Sql:
    """none, low, medium or high."""
    granted = sql.col("granted")
    return sql.case(
        [
            (sql.le(granted, sql.number(1)), sql.text("none")),
            (sql.lt(sql.col("kept"), granted), sql.text("high")),
            (sql.lt(sql.col("paced"), granted), sql.text("high")),
            (sql.lt(sql.col("projected"), granted), sql.text("medium")),
            (sql.col("thin"), sql.text("low")),
        ],
        sql.text("none"),
    )


BELOW, AT_PACE, AHEAD, THIN = 1, 2, 3, 4
"""Why a tier is at risk: the number in the column `why`."""

WORDS = {
    BELOW: "now",
    AT_PACE: "at the current pace",
    AHEAD: "if nothing more happens",
    THIN: "now, with little to spare",
}


def why_at_risk() -> dict[str, Sql]:
    """The columns `why` and `why_words`: which look at the tier makes the risk."""
    granted = sql.col("granted")
    why = sql.case(
        [
            (sql.eq(sql.col("risk"), sql.text("none")), sql.number(0)),
            (sql.lt(sql.col("kept"), granted), sql.number(BELOW)),
            (sql.lt(sql.col("paced"), granted), sql.number(AT_PACE)),
            (sql.lt(sql.col("projected"), granted), sql.number(AHEAD)),
        ],
        sql.number(THIN),
    )
    return {"why": why}


@dataclass(frozen=True)
class Looks:
    """The criteria as each look at a tier sees them."""

    now: Criteria
    pace: Criteria
    ahead: Criteria
    thin: Criteria

    def by_number(self) -> dict[int, Criteria]:
        """The looks by the number in `why`."""
        return {BELOW: self.now, AT_PACE: self.pace, AHEAD: self.ahead, THIN: self.thin}


class Reasons:
    """Texts that say which criteria of the granted tier are missed, in layers that later layers read by name."""

    def __init__(self, ladder: Ladder, looks: Looks) -> None:
        self.values: dict[str, Sql] = {"why_words": _by_why({n: sql.text(words) for n, words in WORDS.items()})}
        self.lines: dict[str, Sql] = {}
        self._names: dict[str, str] = {}
        self._looks = looks
        lists = {tier.key: self._of_tier(tier) for tier in ladder.tiers}
        self.chosen = sql.case(
            [(sql.eq(sql.col("why"), sql.number(0)), sql.empty_array(sql.TEXT))],
            by_tier(ladder, sql.col("granted"), lambda tier: lists[tier.key], sql.empty_array(sql.TEXT)),
        )

    def _of_tier(self, tier: Tier) -> Sql:
        requirement = keeps_of(tier)
        leaves = leaves_of(paths_of(requirement)) if requirement is not None else []
        lines = [sql.col(self._line(leaf)) for leaf in leaves]
        return sql.without_nulls(sql.array(lines)) if lines else sql.empty_array(sql.TEXT)

    def _line(self, leaf: Leaf) -> str:
        criterion = leaf.criterion
        key = f"{criterion.metric} {criterion.comparison} {criterion.value!r} {leaf.turned}"
        if key not in self._names:
            name = self._names[key] = f"reason_{len(self._names)}"
            self.lines[name] = self._sentence(leaf)
        return self._names[key]

    def _sentence(self, leaf: Leaf) -> Sql:
        criterion, now = leaf.criterion, self._looks.now
        looks = self._looks.by_number()
        met = _by_why({number: look.as_turned(leaf.turned).criterion(criterion) for number, look in looks.items()})
        missed = sql.coalesce(met if leaf.turned else sql.not_(met), sql.not_(sql.false()))
        metric = now.program.metrics[criterion.metric]
        needs = ("not " if leaf.turned else "") + NEEDS[criterion.comparison]
        required = sql.coalesce(said(metric, now.required(criterion)), sql.text("unknown"))
        sentence = sql.concat(
            sql.text(f"{metric.label} "), sql.col("why_words"), sql.text(": "), sql.col(self._value(criterion.metric)),
            sql.text(f" (needs {needs}"), required, sql.text(")"),
        )  # fmt: skip
        return sql.case([(sql.and_(sql.gt(sql.col("why"), sql.number(0)), missed), sentence)], sql.null(sql.TEXT))

    def _value(self, metric: str) -> str:
        """Name of the column with the metric's value in the look that counts."""
        name = f"{metric}@seen"
        if name not in self.values:
            known = self._looks.now.program.metrics[metric]
            texts = {n: said(known, look.names.metric(metric)) for n, look in self._looks.by_number().items()}
            self.values[name] = sql.coalesce(_by_why(texts), sql.text("unknown"))
        return name


def _by_why(values: Mapping[int, Sql]) -> Sql:
    return sql.case([(sql.eq(sql.col("why"), sql.number(number)), value) for number, value in values.items()])
