"""Splits: for which values a metric with `split_by` is computed besides its total. Source: program-language, section 3.

The values are looked up once in the rows that the metric's `where` lets through; each then becomes a spot of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.errors import DataError
from crmsync.levelling import sql
from crmsync.levelling.conditions import condition_of
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.scans import split_words
from crmsync.levelling.spots import inputs_of
from crmsync.levelling.sql import Sql
from crmsync.programs.dependence import ladder_metrics
from crmsync.programs.program import FromRows, Ladder, Metric

MOST = 500
SPLITS = "splits"


def find_splits(levelling: Levelling) -> None:
    """Fill `levelling.splits`: the values of every split metric, in order, and of what is built on one.

    Errors: DataError for a column of more than 500 values.
    """
    if SPLITS in levelling.made:
        return
    levelling.made[SPLITS] = SPLITS
    groups: dict[tuple[str, str], list[Metric]] = {}
    for metric in levelling.program.metrics.values():
        if metric.split_by is not None and isinstance(metric.source, FromRows):
            groups.setdefault((metric.source.table, metric.split_by), []).append(metric)
    for (table, _), metrics in groups.items():
        levelling.splits.update(_values(levelling, table, metrics))
    _pass_on(levelling)


def ladder_values(levelling: Levelling, ladder: Ladder) -> list[str]:
    """The values for which a ladder with `per` is evaluated: those that any split metric of its criteria has."""
    if ladder.per is None:
        return []
    return sorted({value for key in split_metrics_of(levelling, ladder) for value in levelling.splits.get(key, ())})


def split_metrics_of(levelling: Levelling, ladder: Ladder) -> list[str]:
    """The split metrics that the criteria of a ladder read, in file order."""
    read = ladder_metrics(ladder)
    return [key for key in levelling.program.metrics if key in read and key in levelling.spots.split]


def _values(levelling: Levelling, table: str, metrics: Sequence[Metric]) -> dict[str, tuple[str, ...]]:
    if table not in levelling.snapshot.tables:
        return {metric.key: () for metric in metrics}
    rows = levelling.rows(table)
    rows.on = sql.day(levelling.days.as_of)
    words = split_words(rows, metrics[0])
    counts = {
        metric.key: sql.any_true(sql.coalesce(condition_of(metric.where, rows, levelling.file), sql.true()))
        if metric.where is not None
        else sql.any_true(sql.true())
        for metric in metrics
    }
    filled = sql.and_(sql.not_null(words), sql.ne(words, sql.text("")))
    visible: Sql = sql.and_(filled, rows.visible() or sql.true())
    query = sql.select(
        [sql.named(words, "value"), *sql.columns(counts)], rows.source(), rows.joins(), visible, group=[words]
    )
    found = levelling.engine.read(query).to_pylist()
    return {
        metric.key: _checked(levelling, metric, [row["value"] for row in found if row[metric.key]])
        for metric in metrics
    }


def _checked(levelling: Levelling, metric: Metric, values: Sequence[str]) -> tuple[str, ...]:
    if len(values) > MOST:
        raise DataError(
            f"{levelling.file}:{metric.line}: metric {metric.key} is split by {metric.split_by}, which holds "
            f"{len(values):,} values ({', '.join(sorted(values)[:3])} …); {MOST} are the most, split by one with fewer"
        )
    return tuple(sorted(values))


def _pass_on(levelling: Levelling) -> None:
    """What is built on a split metric has its values too."""
    waiting = [key for key in levelling.program.metrics if key in levelling.spots.split]
    changed = True
    while changed:
        changed = False
        for key in waiting:
            inputs = inputs_of(levelling.program, levelling.program.metrics[key])
            values = {value for other in (key, *inputs) for value in levelling.splits.get(other, ())}
            if len(values) > len(levelling.splits.get(key, ())):
                levelling.splits[key] = tuple(sorted(values))
                changed = True
