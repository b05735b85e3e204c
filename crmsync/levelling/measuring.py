"""Measuring: the table of measures, from one pass per table of rows to every metric of every partner."""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.levelling import sql
from crmsync.levelling.atoms import atoms_needed
from crmsync.levelling.criteria import metrics_of, tiers_of
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import VIEWS, MeasureQuery, Measures
from crmsync.levelling.passes import compute_atoms
from crmsync.levelling.spots import HORIZON, NOW, PACE, Spot
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Program

MEASURES = "measures"


def wanted_metrics(program: Program) -> list[tuple[str, Spot]]:
    """Every metric today; those that tiers depend on also ahead."""
    deciding: set[str] = set()
    for tier in tiers_of(program):
        deciding |= metrics_of(tier.requires) | metrics_of(tier.keeps)
    ahead = [(key, Spot(view)) for key in program.metrics if key in deciding for view in (HORIZON, PACE)]
    return [(key, Spot(NOW)) for key in program.metrics] + ahead


def compute_measures(levelling: Levelling, wanted: Sequence[tuple[str, Spot]]) -> dict[str, Measures]:
    """Compute the table `measures`; returns the names of its columns by view."""
    engine = levelling.engine
    atoms = atoms_needed(levelling.spots, wanted, levelling.validity())
    made, lossy = compute_atoms(levelling, atoms)
    partners = levelling.rows("partners")
    views = {NOW: levelling.days.as_of, HORIZON: levelling.days.horizon, PACE: levelling.days.horizon}
    builder = MeasureQuery(
        levelling.spots, levelling.days, partners, levelling.validity(), levelling.file,
        {view: sql.day(on) for view, on in views.items()},
    )  # fmt: skip
    keys = {"partner_id": sql.col("partner_id", "f"), "cyclic": _is_cyclic(levelling)}
    query = builder.build(wanted, atoms, made, lossy, levelling.partner_columns, keys, partners.source())
    engine.spread(MEASURES, sql.in_order_of(query, "partner_id"))
    engine.drop(name for name, _ in made)
    lossy_columns = frozenset(builder.lossy)
    return {
        view: Measures(levelling.spots, Spot(view), builder.as_of_sql[view], builder.kinds, lossy_columns)
        for view in VIEWS
    }


def _is_cyclic(levelling: Levelling) -> Sql:
    cyclic = levelling.hierarchy.cyclic if levelling.hierarchy else ()
    return sql.in_(sql.col("partner_id", "f"), [sql.text(one) for one in cyclic]) if cyclic else sql.false()
