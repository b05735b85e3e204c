"""Days served: how long the granted tier is a tier or higher, or a criterion holds, without a break.

Only the previous standings are remembered: `state.held` keeps the day since when each condition holds. A tier counts
from what was granted before this assessment; a criterion must hold today as well. Undecided counts as not holding.

Source: program-language, section 3 (held_for) and 7 (state).
"""

from __future__ import annotations

from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.spots import Spot
from crmsync.levelling.sql import Sql
from crmsync.levelling.standing_before import PREVIOUS, remembers
from crmsync.programs.program import FromHeld, Program


@dataclass(frozen=True)
class HeldRecord:
    """A condition whose first day `state.held` keeps under `id`. `tier` None: the criterion of a metric."""

    id: str
    metric: str
    tier: str | None


def recorded(program: Program) -> list[HeldRecord]:
    """The conditions that the state of every standing records."""
    return [
        HeldRecord(key, key, metric.source.tier)
        for key, metric in program.metrics.items()
        if isinstance(metric.source, FromHeld)
    ]


def since_column(metric: str, spot: Spot) -> str:
    """Name of the column with the day since when a criterion holds today; NULL where it does not."""
    return f"held.{metric}" if spot.category is None else f"held.{metric}~{spot.category}"


def before_column(metric: str, category: str | None) -> str:
    """Name of the column with the day since when it held at the assessment before."""
    return f"held.{metric}?before" if category is None else f"held.{metric}?before~{category}"


def criteria_joins(levelling: Levelling) -> tuple[dict[str, Sql], list[tuple[str, Sql, Sql]]]:
    """The columns of since when criteria held before, and the joins (of alias f) that give them.

    A criterion that is the same in every category has one first day: the earliest that any of them knows.
    """
    columns: dict[str, Sql] = {}
    joins: list[tuple[str, Sql, Sql]] = []
    keys = [one.metric for one in recorded(levelling.program) if one.tier is None]
    bound = levelling.spots.bound
    categories: list[str | None] = list(levelling.program.categories)
    places = [(key, category) for key in keys for category in (categories if key in bound else [None])]
    if not remembers(levelling):
        return {before_column(key, category): sql.null(sql.DATE) for key, category in places}, []
    for category in dict.fromkeys(category for _, category in places):
        found = {before_column(key, of): sql.min_(sql.col(f"held:{key}")) for key, of in places if of == category}
        alias, partner = f"held{len(joins)}", sql.col("partner_id")
        where = sql.eq(sql.col("category"), sql.text(category)) if category is not None else None
        query = sql.select([partner, *sql.columns(found)], sql.table(PREVIOUS), where=where, group=[partner])
        columns |= {name: sql.col(name, alias) for name in found}
        match = sql.eq(sql.col("partner_id", alias), sql.col("partner_id", "f"))
        joins.append(("left", sql.subquery(query, alias), match))
    return columns, joins


def since(holds: Sql, before: Sql, as_of: Sql) -> Sql:
    """The day since when a criterion holds: today where it did not before."""
    return sql.case([(sql.coalesce(holds, sql.false()), sql.coalesce(before, as_of))], sql.null(sql.DATE))


def days_since(day: Sql, first: Sql) -> Sql:
    """Days served by `day`; 0 where nothing has been served."""
    return sql.coalesce(sql.cast(sql.days_between(day, first), sql.DOUBLE), sql.double(0))
