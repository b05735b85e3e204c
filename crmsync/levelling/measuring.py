"""Measuring: the table of measures, from one pass per table of rows to every metric of every partner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.atoms import atoms_needed
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import VIEWS, Measures
from crmsync.levelling.passes import compute_atoms
from crmsync.levelling.per_values import share_values
from crmsync.levelling.rules import deciding_metrics, measured_today
from crmsync.levelling.splits import find_splits, ladder_values, split_metrics_of
from crmsync.levelling.spots import HORIZON, NOW, PACE, Spot
from crmsync.levelling.sql import Sql
from crmsync.levelling.stages import MeasureQuery

MEASURES = "measures"


def wanted_metrics(levelling: Levelling, light: bool = False) -> list[tuple[str, Spot]]:
    """Every metric today, and what tiers depend on also ahead; each for every split value and category it has.

    `light`: only what standings and movement depend on, today.
    """
    find_splits(levelling)
    share_values(levelling)
    program, deciding = levelling.program, deciding_metrics(levelling.program)
    ahead = () if light else (HORIZON, PACE)
    today = measured_today(program, light)
    found = [(key, one) for key in program.metrics if key in today for one in _spots(levelling, key, Spot(NOW))]
    ordered = [key for key in program.metrics if key in deciding]
    found += [(key, one) for key in ordered for view in ahead for one in _spots(levelling, key, Spot(view))]
    return list(dict.fromkeys([*found, *_per_value(levelling, (NOW, *ahead))]))


def _spots(levelling: Levelling, key: str, spot: Spot) -> Iterator[Spot]:
    """The spots of a metric in one view: its total and every split value, in every category that makes a difference."""
    for split in (None, *levelling.splits.get(key, ())):
        for category in levelling.program.categories if key in levelling.spots.bound else (None,):
            yield replace(spot, split=split, category=category)


def _per_value(levelling: Levelling, views: Sequence[str]) -> Iterator[tuple[str, Spot]]:
    """Ladders with `per` ask all their split metrics for every value that one of them has."""
    for ladder in levelling.program.ladders.values():
        values = ladder_values(levelling, ladder)
        for key in split_metrics_of(levelling, ladder) if values else ():
            for view, split in product(views, values):
                for category in levelling.program.categories if key in levelling.spots.bound else (None,):
                    yield key, Spot(view, split=split, category=category)


def compute_measures(levelling: Levelling, wanted: Sequence[tuple[str, Spot]]) -> dict[str, Measures]:
    """Compute the table `measures`; returns the names of its columns by view."""
    engine = levelling.engine
    atoms = atoms_needed(levelling.spots, wanted, levelling.validity())
    made, lossy = compute_atoms(levelling, atoms)
    views = {NOW: levelling.days.as_of, HORIZON: levelling.days.horizon, PACE: levelling.days.horizon}
    builder = MeasureQuery(levelling, {view: sql.day(on) for view, on in views.items()})
    cyclic, joins = _cyclic(levelling)
    keys = {"partner_id": sql.col("partner_id", "f"), "cyclic": cyclic}
    first = builder.build(wanted, atoms, made, lossy, keys, levelling.rows("partners").source(), joins)
    query, stages = builder.run_barriers(first, MEASURES)
    engine.spread(MEASURES, query, "partner_id")
    engine.drop([*(name for name, _ in made), *stages])
    return {view: builder.names(Spot(view)) for view in VIEWS}


def _cyclic(levelling: Levelling) -> tuple[Sql, list[tuple[str, Sql, Sql]]]:
    """Whether a partner's place in the tree was cut, and the join that says so; there may be many of them."""
    if levelling.hierarchy is None or not levelling.hierarchy.cyclic:
        return sql.false(), []
    levelling.engine.register("cyclic", pa.table({"partner_id": pa.array(levelling.hierarchy.cyclic, pa.string())}))
    match = sql.eq(sql.col("partner_id", "cy"), sql.col("partner_id", "f"))
    return sql.not_null(sql.col("partner_id", "cy")), [("left", sql.table("cyclic", "cy"), match)]
