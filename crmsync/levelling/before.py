"""What stood before, as columns of a standing row: positions on the ladder, days, what waits.

Source: program-language, section 7 (state).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from crmsync.levelling import sql
from crmsync.levelling.measures import partner_column
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql
from crmsync.levelling.tiers import position_of_key
from crmsync.programs.program import Ladder, StartsFrom

NO_TIER = "none"
"""How a waiting change to no tier is written; no tier may be called so."""


@dataclass(frozen=True)
class Before:
    """Columns of the standing before: positions, days, whether it existed. `earned` is NULL at a first assessment.

    `first_…`: the same before the review days that were assessed on the way, which words and previous_tier speak of.
    """

    earned: str = "before_earned"
    granted: str = "before_granted"
    since: str = "before_since"
    stood: str = "stood"
    grace: str = "before_grace"
    pending: str = "before_pending"
    pending_on: str = "before_pending_on"
    promoted_on: str = "before_promoted_on"
    decided_on: str = "before_decided_on"
    declined: str = "before_declined"
    member_since: str = "before_member_since"
    first_earned: str = "first_earned"
    first_granted: str = "first_granted"
    first_stood: str = "first_stood"


BEFORE = Before()


def first(rules: Rules, column: str) -> Sql:
    """A column of what stood before the review days on the way; `column`: one of BEFORE, of what stood before today."""
    known = {
        BEFORE.earned: BEFORE.first_earned,
        BEFORE.granted: BEFORE.first_granted,
        BEFORE.stood: BEFORE.first_stood,
    }
    reviewed = BEFORE.first_stood in rules.filled
    return sql.col(known[column] if reviewed else column)


def held_column(identity: str) -> str:
    """Name of the column with the day since when a condition holds."""
    return f"before_held:{identity}"


def met_column(tier: str) -> str:
    """Name of the column with the last day on which a tier was met."""
    return f"before_met:{tier}"


def sustained_id(tier: str) -> str:
    """Under which id `state` keeps the day since when a tier's `requires` holds."""
    return f"requires:{tier}"


def before_columns(rules: Rules, starts_from: StartsFrom | None) -> dict[str, Sql]:
    """What stood before: the previous standing (alias pr), or the hand-kept tier as if granted the day before as_of."""
    ladder = rules.ladder
    stood = sql.not_null(sql.col("partner_id", "pr"))
    if "gone" in rules.filled:  # left on a review day since the previous standings
        stood = sql.and_(stood, sql.not_(sql.col("gone", "pr")))
    start: Sql = sql.null(sql.INT)
    if starts_from is not None:
        start = start_position(ladder, starts_from, sql.col(partner_column(starts_from.column), "m"))
    yesterday = sql.day(rules.as_of - timedelta(days=1))
    started = sql.not_null(start)
    columns = {
        BEFORE.earned: sql.case([(stood, position_of_key(ladder, sql.col("earned_tier", "pr")))], start),
        BEFORE.granted: sql.case([(stood, position_of_key(ladder, sql.col("granted_tier", "pr")))], start),
        BEFORE.since: sql.case([(stood, sql.col("tier_since", "pr")), (started, yesterday)]),
        BEFORE.stood: stood,
    }
    return columns | _first_columns(rules, columns) | dict(_waiting_columns(rules)) | dict(_state_columns(rules))


def _first_columns(rules: Rules, now: dict[str, Sql]) -> dict[str, Sql]:
    """What stood before the first review day, where there was one."""
    if BEFORE.first_stood not in rules.filled:
        return {}
    known = sql.not_null(sql.col("partner_id", "pr"))
    stood = sql.and_(known, sql.coalesce(sql.col("first_stood", "pr"), sql.false()))
    had_tier = sql.coalesce(sql.col("first_known", "pr"), sql.false())

    def first(column: str, otherwise: Sql) -> Sql:
        there = sql.case([(had_tier, position_of_key(rules.ladder, sql.col(column, "pr")))], sql.null(sql.INT))
        return sql.case([(known, there)], otherwise)

    return {
        BEFORE.first_earned: first("first_earned_tier", now[BEFORE.earned]),
        BEFORE.first_granted: first("first_granted_tier", now[BEFORE.granted]),
        BEFORE.first_stood: stood,
    }


def _waiting_columns(rules: Rules) -> Iterable[tuple[str, Sql]]:
    earned = position_of_key(rules.ladder, sql.col("earned_tier", "pr"))
    if rules.has_lag or rules.has_approval:
        yield BEFORE.pending, position_or_none(rules.ladder, sql.col("pending_tier", "pr"), earned)
        yield BEFORE.pending_on, sql.col("pending_on", "pr")
    if rules.has_grace:
        yield BEFORE.grace, sql.col("grace_until", "pr")


def _state_columns(rules: Rules) -> Iterable[tuple[str, Sql]]:
    earned = position_of_key(rules.ladder, sql.col("earned_tier", "pr"))
    if rules.holds_promoted:
        yield BEFORE.promoted_on, sql.col("promoted_on", "pr")
    if rules.has_approval:
        yield BEFORE.decided_on, sql.col("decided_on", "pr")
        yield BEFORE.declined, position_or_none(rules.ladder, sql.col("declined", "pr"), earned)
    if rules.program.reassess is not None:
        yield BEFORE.member_since, sql.col("member_since", "pr")
    for metric in rules.held_tiers:
        yield held_column(metric), sql.col(f"held:{metric}", "pr")
    for position in rules.sustained:
        identity = sustained_id(rules.ladder.tiers[position - 1].key)
        yield held_column(identity), sql.col(f"held:{identity}", "pr")
    for position in rules.windows:
        key = rules.ladder.tiers[position - 1].key
        yield met_column(key), sql.col(f"met:{key}", "pr")


def position_or_none(ladder: Ladder, key: Sql, earned: Sql) -> Sql:
    """Position of a waiting tier, NULL where nothing waits; `none` is no tier, or from there out of the category."""
    out = sql.case([(sql.eq(earned, sql.number(0)), sql.number(-1))], sql.number(0))
    branches = [(sql.eq(key, sql.text(NO_TIER)), out)]
    branches += [(sql.eq(key, sql.text(tier.key)), sql.number(at)) for at, tier in enumerate(ladder.tiers, 1)]
    return sql.case(branches, sql.null(sql.INT))


def start_position(ladder: Ladder, starts_from: StartsFrom, cell: Sql) -> Sql:
    """Position of the hand-kept tier in a cell; NULL where it is empty or not mapped."""
    cell = sql.cast(cell, sql.TEXT)
    names: dict[str, int] = {}
    for at, tier in enumerate(ladder.tiers, 1):
        for known in (tier.key, tier.label):
            names.setdefault(known, at)
    positions = {tier.key: at for at, tier in enumerate(ladder.tiers, 1)}
    names |= {text: positions[key] for text, key in starts_from.values.items() if key in positions}
    return sql.case([(sql.eq(cell, sql.text(text)), sql.number(at)) for text, at in names.items()], sql.null(sql.INT))
