"""Values of sources that are computed from other metrics of the same account: one row of `VALUES` each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from crmsync.levelling import sql
from crmsync.levelling.measures import Measures
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import MONEY, NUMBER, Value, as_double, exact
from crmsync.programs.program import Computed, Metric, Unit
from crmsync.programs.tree.sources import MeanOf


def _mean(source: MeanOf, metric: Metric, names: Measures) -> Value:
    """The mean of the known; a lower bound counts as unknown."""
    sides = [as_double(exact(names.metric(key))).sql for key in source.metrics]
    total: Sql = sql.double(0)
    count: Sql = sql.double(0)
    for side in sides:
        total = sql.add(total, sql.coalesce(side, sql.double(0)))
        count = sql.add(count, sql.case([(sql.is_null(side), sql.double(0))], sql.double(1)))
    enough = sql.ge(count, sql.double(source.known))
    mean = sql.case([(enough, sql.div(total, count))], sql.null(sql.DOUBLE))
    if metric.unit is Unit.MONEY:
        return Value(sql.cents(mean), MONEY, unknown=True)
    return Value(mean, NUMBER, unknown=True, computed=True)


VALUES: Mapping[type[Computed], Callable[[Any, Metric, Measures], Value]] = MappingProxyType({MeanOf: _mean})
"""Source -> its value from the measures as seen from one spot."""


def computed_value(source: Computed, metric: Metric, names: Measures) -> Value:
    """The value of a computed metric; its `lower_bound` says where it is no more than that."""
    return VALUES[type(source)](source, metric, names)
