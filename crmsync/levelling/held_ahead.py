"""Whether the tiers of those who fall still hold on a day ahead: their criteria over measures of that day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from sqlglot import exp

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


def lost_rows(
    levelling: Levelling, names: Measures, measures: Sql, joins: Sequence[Join], keep: Sequence[str] = ()
) -> Iterator[Sql]:
    """Per category the rows of `measures` (alias m) on which a tier does not hold: their place, and the columns `keep`.

    `joins` bring in `falling_tiers` as alias s.
    """
    limits: Join = ("cross", sql.table(LIMITS), sql.true())
    for key, category in levelling.program.categories.items():
        slots = Slots()
        criteria = Criteria(levelling.program, names.at(category=key), levelling.limits, slots=slots)
        position = position_by_keeps(levelling.program.ladders[category.ladder], criteria)
        required = {name: one for name, one in slots.required_columns.items() if not name.endswith("_text")}
        layers = [required | slots.rounded_columns, slots.met_columns, {"position": position}]
        # only what is read: there are many thresholds and measures, and each column costs planning in every layer
        made = {name for layer in layers for name in layer} | {"granted"}
        read = {one.name for layer in layers for value in layer.values() for one in value.find_all(exp.Column)} - made
        tier = [sql.col("granted", "s"), sql.col("place", "s")]
        cells = [sql.col(name, LIMITS if name in levelling.limits.columns else "m") for name in sorted({*read, *keep})]
        mine = sql.eq(sql.col("category", "s"), sql.text(key))
        query: Sql = sql.select([*tier, *cells], measures, [*joins, limits], mine)
        for number, layer in enumerate(layers):
            if layer:
                query = sql.select([sql.star(), *sql.columns(layer)], sql.subquery(query, f"layer{number}"))
        shown = [sql.col(name) for name in ("place", *keep)]
        lost = sql.lt(sql.col("position"), sql.col("granted"))
        yield sql.select(shown, sql.subquery(query, "held"), where=lost)


def lost_places(levelling: Levelling) -> pa.Table:
    """(place) of those of `falling_tiers` whose tier is lost at the horizon."""
    ahead = [one for one in wanted_metrics(levelling) if one[1].view == HORIZON]
    names = compute_measures(levelling, ahead)[HORIZON]
    account = sql.eq(sql.col("partner_id", "a"), sql.col("partner_id", "m"))
    tiers = sql.eq(sql.col("number", "s"), sql.col("number", "a"))
    joins: list[Join] = [("inner", sql.table(FALLING, "a"), account), ("inner", sql.table(FALLING_TIERS, "s"), tiers)]
    found = list(lost_rows(levelling, names, sql.table(MEASURES, "m"), joins))
    levelling.engine.register(LIMITS, levelling.limits.table())
    places = levelling.engine.read(sql.union_all(found))
    levelling.engine.drop([MEASURES])
    return places
