"""Values of sources that are computed from other metrics of the same account: one row of `VALUES` each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from crmsync.levelling.measures import Measures
from crmsync.levelling.values import Value
from crmsync.programs.program import Computed, Metric

VALUES: Mapping[type[Computed], Callable[[Any, Metric, Measures], Value]] = MappingProxyType({})
"""Source -> its value from the measures as seen from one spot."""


def computed_value(source: Computed, metric: Metric, names: Measures) -> Value:
    """The value of a computed metric; its `lower_bound` says where it is no more than that."""
    return VALUES[type(source)](source, metric, names)
