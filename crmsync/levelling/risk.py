"""Risk: whether the granted tier will hold if nothing more happens, and at the pace of late.

Source: program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Callable

from crmsync.levelling import sql
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.gap import Leaf, leaves_of, paths_of, shown
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
            (sql.lt(sql.col("calculated"), granted), sql.text("high")),
            (sql.lt(sql.col("paced"), granted), sql.text("high")),
            (sql.lt(sql.col("projected"), granted), sql.text("medium")),
            (sql.col("thin"), sql.text("low")),
        ],
        sql.text("none"),
    )


def risk_reasons(ladder: Ladder, now: Criteria, pace: Criteria, horizon: Criteria, near: Criteria) -> Sql:
    """Texts: which criteria of the granted tier are missed, when and by how much they are met."""
    granted, calculated = sql.col("granted"), sql.col("calculated")
    below = sql.lt(calculated, granted)
    at_pace = sql.lt(sql.col("paced"), granted)
    empty = sql.empty_array(sql.TEXT)

    def reasons(criteria: Criteria, suffix: str, shown_in: Criteria) -> Callable[[Tier], Sql]:
        return lambda tier: _missed(tier, criteria, shown_in, suffix)

    return sql.case(
        [
            (sql.eq(sql.col("risk"), sql.text("none")), empty),
            (below, by_tier(ladder, granted, reasons(now, "now", now), empty)),
            (at_pace, by_tier(ladder, granted, reasons(pace, "at the current pace", pace), empty)),
            (
                sql.lt(sql.col("projected"), granted),
                by_tier(ladder, granted, reasons(horizon, "if nothing more happens", horizon), empty),
            ),
        ],
        by_tier(ladder, granted, reasons(near, "now: little to spare", now), empty),
    )


def _missed(tier: Tier, criteria: Criteria, shown_in: Criteria, suffix: str) -> Sql:
    requirement = keeps_of(tier)
    leaves = leaves_of(paths_of(requirement)) if requirement is not None else []
    lines = [_line(leaf, criteria, shown_in, suffix) for leaf in leaves]
    return sql.without_nulls(sql.array(lines)) if lines else sql.empty_array(sql.TEXT)


def _line(leaf: Leaf, criteria: Criteria, shown_in: Criteria, suffix: str) -> Sql:
    criterion = leaf.criterion
    label = criteria.program.metrics[criterion.metric].label
    value, required = shown_in.value(criterion), shown_in.required(criterion)
    comparison = f"not {criterion.comparison.value}" if leaf.turned else criterion.comparison.value
    text = sql.concat(
        sql.text(f"{label} {suffix}: "),
        sql.coalesce(shown(value.sql, value.kind), sql.text("unknown")),
        sql.text(f" ({comparison} "),
        sql.coalesce(shown(required.sql, required.kind), sql.text("unknown")),
        sql.text(")"),
    )
    holds = criteria.criterion(criterion)
    met = sql.coalesce(sql.not_(holds) if leaf.turned else holds, sql.false())
    return sql.case([(sql.not_(met), text)], sql.null(sql.TEXT))
