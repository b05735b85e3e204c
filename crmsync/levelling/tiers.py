"""Tiers as positions on a ladder: 0 is no tier, 1 the lowest. Which one holds, and their keys and labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crmsync.levelling import sql
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Group, Ladder, Tier


def keeps_of(tier: Tier) -> Group | None:
    """What holds a tier: its `keeps`, by default its `requires`."""
    return tier.keeps if tier.keeps is not None else tier.requires


def highest_position(ladder: Ladder, holds: Sequence[Sql], undecided_holds: bool = False) -> Sql:
    """Position of the tier that holds: the highest, or with `climb: steps` the last before the first that does not.

    Undecided counts as unmet, or as met where `undecided_holds`.
    """
    sure = [sql.coalesce(condition, sql.true() if undecided_holds else sql.false()) for condition in holds]
    if ladder.climb_steps:
        branches = [(sql.not_(condition), sql.number(position)) for position, condition in enumerate(sure)]
        return sql.case(branches, sql.number(len(sure)))
    branches = [(condition, sql.number(position + 1)) for position, condition in reversed(list(enumerate(sure)))]
    return sql.case(branches, sql.number(0))


def by_tier(ladder: Ladder, position: Sql, value: Callable[[Tier], Sql], otherwise: Sql | None = None) -> Sql:
    """A value chosen by the tier at a position; NULL at 0 unless `otherwise` is given."""
    branches = [(sql.eq(position, sql.number(at + 1)), value(tier)) for at, tier in enumerate(ladder.tiers)]
    return sql.case(branches, otherwise)


def key_at(ladder: Ladder, position: Sql) -> Sql:
    """Key of the tier at a position, NULL at 0."""
    return by_tier(ladder, position, lambda tier: sql.text(tier.key), sql.null(sql.TEXT))


def position_of_key(ladder: Ladder, key: Sql) -> Sql:
    """Position of a tier key; 0 for an empty or unknown key."""
    branches = [(sql.eq(key, sql.text(tier.key)), sql.number(at + 1)) for at, tier in enumerate(ladder.tiers)]
    return sql.case(branches, sql.number(0))


def rank_at(ladder: Ladder, position: Sql) -> Sql:
    """How a tier compares with those of other ladders: its `rank`, by default its position."""
    ranks = {tier.key: tier.rank if tier.rank is not None else at + 1 for at, tier in enumerate(ladder.tiers)}
    return by_tier(ladder, position, lambda tier: sql.number(ranks[tier.key]), sql.number(0))
