"""Fields that roll up: the sum of an account's column over its subtree, unknown only where every cell is empty."""

from __future__ import annotations

from crmsync.levelling import sql
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import typed_value
from crmsync.programs.program import FromField, Metric, RollsUp

ROLLED = "rolled_fields"


def rolled_fields(levelling: Levelling) -> list[Metric]:
    """The metrics that are a field summed over the subtree; none where nobody has a parent."""
    metrics = levelling.program.metrics.values()
    rolls = [one for one in metrics if isinstance(one.source, FromField) and one.rolls_up is RollsUp.SUM]
    return [] if levelling.flat else rolls


def compute_rolled_fields(levelling: Levelling) -> None:
    """Compute the table `rolled_fields` (one row per partner) and make it known to the rows of partners."""
    metrics = rolled_fields(levelling)
    if not metrics:
        return
    rows = levelling.rows("partners")
    values = {}
    for metric in metrics:
        assert isinstance(metric.source, FromField)
        cell = rows.value("partners", metric.source.column)
        values[metric.key] = typed_value(metric, cell, metric.source.of_hundred)
    own = sql.select([sql.col("partner_id", "f"), *sql.columns(values)], rows.source(), rows.joins())
    keys = {"partner_id": sql.col("ancestor", "c")}
    totals = {key: sql.sum_(sql.col(key, "m")) for key in values}
    match = sql.eq(sql.col("member", "c"), sql.col("partner_id", "m"))
    query = sql.select(
        [*sql.columns(keys), *sql.columns(totals)], sql.subquery(own, "m"),
        [("inner", sql.table("closure", "c"), match)], group=list(keys.values()),
    )  # fmt: skip
    levelling.engine.run(ROLLED, query)
    rows.rolled_fields = frozenset(values)
