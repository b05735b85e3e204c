"""Risk: whether the granted tier will hold if nothing more happens, and at the pace of late.

Source: program-language, section 9.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.demands import Aim, Demand, Demands, by_aim
from crmsync.levelling.gap import Leaf, asked_words, paths_of, said
from crmsync.levelling.holding import met, surely, surely_holds
from crmsync.levelling.sql import Sql
from crmsync.levelling.tiers import highest_position, keeps_of
from crmsync.levelling.values import COUNT, MONEY, NUMBER, Value, as_double, rounded
from crmsync.programs.program import Ladder, Metric

GRANTED = "granted"
"""The column with the position of the granted tier."""


def position_by_keeps(ladder: Ladder, criteria: Criteria, entered: str | None = None) -> Sql:
    """The tier that would be calculated, the granted one and those below it held by `keeps`.

    `entered`: how the columns begin that say by position whether `requires` holds, where there are such.
    """
    holds = []
    for position, tier in enumerate(ladder.tiers, 1):
        kept = sql.ge(sql.col("granted"), sql.number(position))
        known = entered is not None and tier.requires is not None
        requires = sql.col(f"{entered}{position}") if known else surely_holds(criteria, tier.requires)
        holds.append(
            requires if tier.keeps is None else sql.case([(kept, surely_holds(criteria, tier.keeps))], requires)
        )
    return highest_position(ladder, holds)


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


class Held:
    """What the granted tier asks to be held, once per demand of the ladder, in layers read by name.

    `asked` makes the column `thin` readable, `told` the lines of the reasons.
    """

    def __init__(self, ladder: Ladder, looks: Looks) -> None:
        self._ladder, self._looks = ladder, looks
        self._trees = {
            position: paths_of(requirement)
            for position, requirement in enumerate(map(keeps_of, ladder.tiers), 1)
            if requirement is not None
        }
        self._demands = Demands(looks.now, [Aim(*one) for one in self._trees.items()], GRANTED)
        required: dict[str, Sql] = {}
        near: dict[str, Sql] = {}
        self._required = {one.number: self._demands.required(one, required) for one in self._demands.all}
        thinly = {self._thin(one): self._met_by_far(one, near) for one in self._demands.all}
        self.asked = [("asked", required), ("near", near), ("by_far", thinly)]
        values: dict[str, Sql] = {"why_words": _by_why({n: sql.text(words) for n, words in WORDS.items()})}
        if self._trees:
            values["every"] = self._tells_every()
        texts: dict[str, Sql] = {}
        lines = {self._demands.name(one, "reason"): self._line(one, values, texts) for one in self._demands.all}
        self.told = [("looked_at", values), ("seen", texts), ("reasons", lines)]

    def thin(self) -> Sql:
        """Whether the granted tier would not hold if each threshold were further by `near`."""
        branches = []
        for position, tree in self._trees.items():
            holds = surely(tree, functools.partial(self._by_far, position))
            at = sql.eq(sql.col(GRANTED), sql.number(position))
            branches.append((at, sql.not_(sql.coalesce(holds, sql.false()))))
        return sql.case(branches, sql.false())

    def reasons(self) -> Sql:
        """A sentence for each criterion that is missed in the look that counts, and by which the tier holds now."""
        lines = [sql.col(self._demands.name(one, "reason")) for one in self._demands.all]
        if not lines:
            return sql.empty_array(sql.TEXT)
        at_risk = sql.gt(sql.col("why"), sql.number(0))
        return sql.case([(at_risk, sql.without_nulls(sql.array(lines)))], sql.empty_array(sql.TEXT))

    def _tells_every(self) -> Sql:
        """Whether all that is missed is told, not only what is met now.

        Where the granted tier holds now, what is missed already takes nothing away. It need not hold to be at risk
        only ahead: one above it may hold in its place.
        """
        holds = {at: surely(tree, functools.partial(met, self._looks.now)) for at, tree in self._trees.items()}
        return sql.not_(sql.coalesce(by_aim(GRANTED, holds, lambda one: one), sql.false()))

    def _by_far(self, position: int, leaf: Leaf) -> Sql:
        return sql.col(self._thin(self._demands.at(position, leaf.path)))

    def _thin(self, demand: Demand) -> str:
        return self._demands.name(demand, "met by far")

    def _met_by_far(self, demand: Demand, columns: dict[str, Sql]) -> Sql:
        """Whether the demand is met with something to spare; what is asked for that is added to the columns."""
        criterion, turned = demand.leaf.criterion, demand.leaf.turned
        criteria = self._looks.thin.as_turned(turned)
        asked = criteria.asked(criterion, self._required[demand.number])
        if not isinstance(asked.sql, exp.Column):
            if criteria.value(criterion).kind != MONEY:
                asked = rounded(asked)
            column = self._demands.name(demand, "near")
            columns[column] = asked.sql
            asked = replace(asked, sql=sql.col(column))
        holds = criteria.against(criterion, asked)
        return sql.not_(holds) if turned else holds

    def _line(self, demand: Demand, values: dict[str, Sql], texts: dict[str, Sql]) -> Sql:
        looks, leaf = self._looks, demand.leaf
        metric = looks.now.program.metrics[leaf.criterion.metric]
        seen = {number: self._demands.met_by(demand, look) for number, look in looks.by_number().items()}
        held_now = sql.coalesce(seen[BELOW], sql.false())
        seen[THIN] = sql.col(self._thin(demand))
        missed = sql.not_(sql.coalesce(_by_why(seen), sql.false()))
        told = sql.or_(sql.col("every"), held_now)
        sentence = sql.concat(
            sql.text(f"{metric.label} "), sql.col("why_words"), sql.text(": "), self._seen(metric, values, texts),
            sql.text(" (needs "), asked_words(leaf, metric, self._required[demand.number]), sql.text(")"),
        )  # fmt: skip
        at_risk = sql.gt(sql.col("why"), sql.number(0))
        return sql.case([(sql.and_(at_risk, self._demands.asked(demand), missed, told), sentence)], sql.null(sql.TEXT))

    def _seen(self, metric: Metric, values: dict[str, Sql], texts: dict[str, Sql]) -> Sql:
        """The text of a metric's value in the look that counts, as a column."""
        name = f"{metric.key}@seen"
        if name not in texts:
            looks = {number: look.names.metric(metric.key) for number, look in self._looks.by_number().items()}
            kinds = {value.kind for value in looks.values()}
            if kinds <= {COUNT, NUMBER} or kinds == {MONEY}:
                as_one = {n: one if kinds == {MONEY} else as_double(one) for n, one in looks.items()}
                values[f"{name} as number"] = _by_why({n: one.sql for n, one in as_one.items()})
                text = said(metric, Value(sql.col(f"{name} as number"), MONEY if kinds == {MONEY} else NUMBER))
            else:
                text = _by_why({number: said(metric, value) for number, value in looks.items()})
            at_risk = sql.gt(sql.col("why"), sql.number(0))
            texts[name] = sql.case([(at_risk, sql.coalesce(text, sql.text("unknown")))], sql.null(sql.TEXT))
        return sql.col(name)


def _by_why(values: Mapping[int, Sql]) -> Sql:
    """The value of the look that counts; looks of the same value share a branch."""
    return by_aim("why", values, lambda one: one)
