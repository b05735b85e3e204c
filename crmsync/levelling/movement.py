"""Movement: how the earned tier follows the calculated one, and the word that names what happened.

Built now: promotion and demotion on any day. Source: program-language, section 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from crmsync.levelling import sql
from crmsync.levelling.measures import partner_column
from crmsync.levelling.sql import Sql
from crmsync.levelling.tiers import position_of_key
from crmsync.programs.program import Ladder, StartsFrom


@dataclass(frozen=True)
class Before:
    """Columns of the standing before: positions, days, whether it existed. `earned` is NULL at a first assessment."""

    earned: str = "before_earned"
    granted: str = "before_granted"
    since: str = "before_since"
    stood: str = "stood"
    overridden: str = "before_overridden"


BEFORE = Before()


def before_columns(ladder: Ladder, starts_from: StartsFrom | None, as_of: date) -> dict[str, Sql]:
    """What stood before: the previous standing (alias pr), or the hand-kept tier as if granted the day before as_of."""
    stood = sql.not_null(sql.col("partner_id", "pr"))
    start = _start_position(ladder, starts_from) if starts_from is not None else sql.null(sql.INT)
    yesterday = sql.day(as_of - timedelta(days=1))
    started = sql.not_null(start)
    return {
        BEFORE.earned: sql.case([(stood, position_of_key(ladder, sql.col("earned_tier", "pr")))], start),
        BEFORE.granted: sql.case([(stood, position_of_key(ladder, sql.col("granted_tier", "pr")))], start),
        BEFORE.since: sql.case([(stood, sql.col("tier_since", "pr")), (started, yesterday)]),
        BEFORE.stood: stood,
        BEFORE.overridden: sql.coalesce(sql.col("overridden", "pr"), sql.false()),
    }


def _start_position(ladder: Ladder, starts_from: StartsFrom) -> Sql:
    """Position of the hand-kept tier; NULL where it is empty or not mapped."""
    cell = sql.cast(sql.col(partner_column(starts_from.column), "m"), sql.TEXT)
    names: dict[str, int] = {}
    for at, tier in enumerate(ladder.tiers, 1):
        for known in (tier.key, tier.label):
            names.setdefault(known, at)
    positions = {tier.key: at for at, tier in enumerate(ladder.tiers, 1)}
    names |= {text: positions[key] for text, key in starts_from.values.items() if key in positions}
    return sql.case([(sql.eq(cell, sql.text(text)), sql.number(at)) for text, at in names.items()], sql.null(sql.INT))


def keeps_from(position: int) -> Sql:
    """Whether a tier holds by `keeps`: it is the earned one or below it."""
    return sql.ge(sql.coalesce(sql.col(BEFORE.earned), sql.number(0)), sql.number(position))


def earned_position() -> Sql:
    """The earned tier after this day: up at once; down no lower than if every undecided criterion were met."""
    before, calculated, possible = sql.col(BEFORE.earned), sql.col("calculated"), sql.col("possible")
    fallen = sql.least(before, sql.greatest(calculated, possible))
    return sql.case(
        [(sql.is_null(before), calculated), (sql.ge(calculated, before), calculated)],
        fallen,
    )


def movement_word() -> Sql:
    """The first word that applies."""
    word = sql.text
    before, earned = sql.col(BEFORE.earned), sql.col("earned")
    return sql.case(
        [
            (sql.not_(sql.col("belongs")), sql.case([(sql.col(BEFORE.stood), word("left"))], sql.null(sql.TEXT))),
            (sql.is_null(before), word("entered")),
            (sql.not_null(sql.col("pinned")), word("pinned")),
            (sql.col(BEFORE.overridden), word("override_ended")),
            (sql.gt(earned, before), word("promoted")),
            (sql.lt(earned, before), word("demoted")),
        ],
        word("unchanged"),
    )


def tier_since(as_of: date) -> Sql:
    """The day since when the granted tier is what it is."""
    same = sql.eq(sql.col("granted"), sql.col(BEFORE.granted))
    return sql.case(
        [(sql.coalesce(same, sql.false()), sql.coalesce(sql.col(BEFORE.since), sql.day(as_of)))], sql.day(as_of)
    )
