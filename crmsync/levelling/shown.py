"""Metrics as standings show them: totals, split values as `metric[EMEA]`, parts of scores as `score.part`."""

from __future__ import annotations

from collections.abc import Iterator

from crmsync.levelling import sql
from crmsync.levelling.measures import Measures, text_column, with_shown
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import show
from crmsync.programs.program import Unit


def shown_texts(names: Measures) -> dict[str, Sql]:
    """The columns that hold the texts of the metrics of today; yes/no has none."""
    found: dict[str, Sql] = {}
    for key, split in _shown(names):
        if names.spots.program.metrics[key].unit is not Unit.YES_NO:
            found[text_column(key, split)] = show(with_shown(names, False).at(split=split).metric(key))
    return found


def metrics_struct(names: Measures) -> Sql:
    """Every metric's value: exact decimal text, true or false, text, or null."""
    fields: dict[str, Sql] = {}
    for key, split in _shown(names):
        seen = names.at(split=split)
        value = seen.metric(key)
        shown = value.sql if names.spots.program.metrics[key].unit is Unit.YES_NO else show(value)
        if split is not None:
            shown = sql.case([(seen.has_value([key]), shown)])
        fields[shown_name(key, split)] = shown
    return sql.struct(fields)


def shown_name(metric: str, split: str | None) -> str:
    """The key of a metric in the standings' `metrics`."""
    return metric if split is None else f"{metric}[{split}]"


def _shown(names: Measures) -> Iterator[tuple[str, str | None]]:
    for key in names.spots.program.metrics:
        yield key, None
        yield from ((key, value) for value in names.splits.get(key, ()))
