"""The granted tier: the earned one with family and overrides, and the next one to climb to.

A pin beats floor and ceiling, a ceiling beats a floor. Source: program-language, sections 5 and 8.
"""

from __future__ import annotations

from collections.abc import Iterator

from crmsync.levelling import sql
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql

INHERITED = "inherited"
"""Column with the earned tier of the account above, where the ladder has a family floor."""


def granted_columns(rules: Rules, inherits: bool) -> Iterator[tuple[str, dict[str, Sql]]]:
    """The layers that give `granted` and `next`. `inherits`: whether the account above lifts a tier."""
    granted = sql.col("earned")
    if inherits:
        granted = sql.greatest(granted, sql.coalesce(sql.col(INHERITED), granted))
    if "floor" in rules.filled:
        granted = sql.greatest(granted, sql.coalesce(sql.col("floored"), granted))
    above = sql.add(sql.col("calculated"), sql.number(1))
    if "ceiling" in rules.filled:
        yield "uncapped", {"uncapped": granted}
        granted = sql.least(sql.col("uncapped"), sql.coalesce(sql.col("capped"), sql.col("uncapped")))
        stops = sql.coalesce(sql.gt(above, sql.col("capped")), sql.false())
        above = sql.case([(stops, sql.null(sql.INT))], above)
    if "pin" in rules.filled:
        granted = sql.coalesce(sql.col("pinned"), granted)
    if not rules.is_plain:  # who no longer belongs climbs nowhere
        above = sql.case([(sql.col("belongs"), above)], sql.null(sql.INT))
    yield "granted", {"granted": granted, "next": above}
