"""Metrics as standings show them: totals, split values as `metric[EMEA]`, parts of scores as `score.part`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.measures import Measures, text_column, with_shown
from crmsync.levelling.spots import apart
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import show
from crmsync.programs.program import Unit


def shown_texts(names: Measures) -> dict[str, Sql]:
    """The columns that hold the texts of the metrics of today; yes/no has none."""
    found: dict[str, Sql] = {}
    for key, split, _ in _shown(names):
        if names.spots.program.metrics[key].unit is not Unit.YES_NO:
            found[text_column(key, split)] = show(with_shown(names, False).at(split=split).metric(key))
    return found


def metrics_struct(names: Measures) -> Sql:
    """Every metric's value: exact decimal text, true or false, text, or null."""
    fields: dict[str, Sql] = {}
    for key, split, field in _shown(names):
        seen = names.at(split=split)
        value = seen.metric(key)
        shown = value.sql if names.spots.program.metrics[key].unit is Unit.YES_NO else show(value)
        if split is not None:
            shown = sql.case([(seen.has_value([key]), shown)])
        fields[field] = shown
    return sql.struct(fields)


def shown_name(metric: str, split: str | None) -> str:
    """The key of a metric in the standings' `metrics`."""
    return metric if split is None else f"{metric}[{split}]"


def with_names(standings: pa.Table, names: Measures) -> pa.Table:
    """The standings with split values named as they are written, where the engine takes EMEA and emea for one name."""
    written = {field: shown_name(key, split) for key, split, field in _shown(names)}
    if all(field == name for field, name in written.items()) or not standings.num_rows:
        return standings
    at = standings.column_names.index("metrics")
    whole = standings.column(at).combine_chunks()
    renamed = [written.get(field.name, field.name) for field in whole.type]
    metrics = pa.StructArray.from_arrays(whole.flatten(), renamed)
    return standings.set_column(at, "metrics", metrics)


def _shown(names: Measures) -> Iterator[tuple[str, str | None, str]]:
    """Metric, split value (None: the total) and the name that the engine knows it by."""
    for key in names.spots.program.metrics:
        yield key, None, key
        values = names.splits.get(key, ())
        alike = Counter(value.lower() for value in values)
        for value in values:
            yield key, value, shown_name(key, apart(value) if alike[value.lower()] > 1 else value)
