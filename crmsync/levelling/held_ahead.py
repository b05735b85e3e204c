"""Whether the tiers of those who fall still hold on a day ahead: their criteria over measures of that day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.criteria import LIMITS, Criteria, Slots
from crmsync.levelling.falling import FALLING, FALLING_TIERS
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import Measures
from crmsync.levelling.measuring import MEASURES, compute_measures, wanted_metrics
from crmsync.levelling.risk import position_by_keeps
from crmsync.levelling.spans import Join
from crmsync.levelling.spots import HORIZON
from crmsync.levelling.sql import Sql
from crmsync.levelling.standing_before import exemptions


def follows_from_measures(levelling: Levelling) -> bool:
    """Whether measures ahead and the granted tier of today say all: no standing per value, nobody exempt."""
    return all(ladder.per is None for ladder in levelling.program.ladders.values()) and not exemptions(levelling)


def lost_rows(levelling: Levelling, names: Measures, measures: Sql, joins: Sequence[Join]) -> Iterator[Sql]:
    """Per category the rows (alias lost) of `measures` (alias m) on which a tier does not hold, with the columns of
    `falling_tiers`, which `joins` bring in as alias s."""
    for key, category in levelling.program.categories.items():
        mine = sql.eq(sql.col("category", "s"), sql.text(key))
        tier = [sql.col("granted", "s"), sql.named(sql.col("place", "s"), "place")]
        limits: Join = ("cross", sql.table(LIMITS), sql.true())
        query: Sql = sql.select([sql.star("m"), sql.star(LIMITS), *tier], measures, [*joins, limits], mine)
        slots = Slots()
        criteria = Criteria(levelling.program, names.at(category=key), levelling.limits, slots=slots)
        position = position_by_keeps(levelling.program.ladders[category.ladder], criteria)
        below = {"required": slots.required_columns | slots.rounded_columns, "met": slots.met_columns}
        for alias, columns in {**below, "position": {"position": position}}.items():
            query = sql.select([sql.star(), *sql.columns(columns)], sql.subquery(query, alias)) if columns else query
        lost = sql.lt(sql.col("position"), sql.col("granted"))
        yield sql.select([sql.star()], sql.subquery(query, "held"), where=lost)


def lost_places(levelling: Levelling) -> pa.Table:
    """(place) of those of `falling_tiers` whose tier is lost at the horizon."""
    ahead = [one for one in wanted_metrics(levelling) if one[1].view == HORIZON]
    names = compute_measures(levelling, ahead)[HORIZON]
    account = sql.eq(sql.col("partner_id", "a"), sql.col("partner_id", "m"))
    tiers = sql.eq(sql.col("number", "s"), sql.col("number", "a"))
    joins: list[Join] = [("inner", sql.table(FALLING, "a"), account), ("inner", sql.table(FALLING_TIERS, "s"), tiers)]
    found = [
        sql.select([sql.col("place")], sql.subquery(rows, "lost"))
        for rows in lost_rows(levelling, names, sql.table(MEASURES, "m"), joins)
    ]
    levelling.engine.register(LIMITS, levelling.limits.table())
    places = levelling.engine.read(sql.union_all(found))
    levelling.engine.drop([MEASURES])
    return places
