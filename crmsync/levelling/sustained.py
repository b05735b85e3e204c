"""What a tier waits for whose numbers are there and must hold for some time: since when, and from when it is entered.

Source: program-language, section 5 (sustained).
"""

from __future__ import annotations

from datetime import date

from crmsync.levelling import sql
from crmsync.levelling.dates import after, before, next_day
from crmsync.levelling.demotion import plus
from crmsync.levelling.sql import Sql
from crmsync.programs.guide_words import stretch
from crmsync.programs.program import Horizon, Ladder, Tier


def since_column(position: int) -> str:
    """Name of the column with the day since when a tier's `requires` has held; NULL where it does not."""
    return f"since_{position}"


def entered_on(since: date, asked: Horizon) -> date:
    """The first day from which `since` lies as far back as is asked: after a 31st it may be the 1st of a month."""
    day = after(since, asked)
    return day if before(day, asked.count, asked.period) >= since else next_day(day)


def waiting(ladder: Ladder) -> Sql | None:
    """The sentence of a row whose next tier has its numbers and waits; NULL for others, None where no tier does so.

    Reads `next`, and since when each tier has held.
    """
    branches = [
        (sql.eq(sql.col("next"), sql.number(position)), _sentence(tier, tier.sustained, since_column(position)))
        for position, tier in enumerate(ladder.tiers, 1)
        if tier.sustained is not None and tier.sustained.count
    ]
    return sql.case(branches, sql.null(sql.TEXT)) if branches else None


def _sentence(tier: Tier, asked: Horizon, column: str) -> Sql:
    since = sql.col(column)
    day = plus(since, asked)
    too_early = sql.lt(plus(day, Horizon(-asked.count, asked.period)), since)
    entered = sql.case([(too_early, sql.plus_interval(day, 1, "DAY"))], day)
    return sql.concat(
        sql.text(f"{tier.label}: its numbers hold since "), sql.cast(since, sql.TEXT),
        sql.text(f", entered after {stretch(asked)}, on "), sql.cast(entered, sql.TEXT), sql.text(" at the earliest"),
    )  # fmt: skip
