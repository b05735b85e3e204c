"""Fields that roll up: the sum of an account's column over its subtree or family.

Empty cells are ignored; the sum is unknown where every cell is empty. An account whose money has no rate is lost, and
the rest is a lower bound. Source: program-language, section 3 (roll-up, unknown).
"""

from __future__ import annotations

from collections.abc import Mapping

from crmsync.levelling import sql
from crmsync.levelling.derived import typed_value
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.rollups import over_tree, pairs_of
from crmsync.levelling.sql import Sql
from crmsync.programs.program import FromField, Metric, RollsUp

ADDED_UP = frozenset({RollsUp.SUM, RollsUp.FAMILY})


def adds_up(levelling: Levelling, metric: Metric) -> bool:
    """Whether a metric is a field summed over other accounts; never where nobody has a parent."""
    return isinstance(metric.source, FromField) and metric.rolls_up in ADDED_UP and not levelling.flat


def rolled_column(metric: str) -> str:
    """Name of a field's sum in the table of measures; with `!` behind it the flag that some of it was lost."""
    return f"rolled.{metric}"


def rolled_fields(levelling: Levelling) -> tuple[dict[str, Sql], list[tuple[str, Sql, Sql]]]:
    """Compute the sums; the columns that hold them and the joins (of alias f) that give them."""
    groups: dict[tuple[RollsUp, str], list[Metric]] = {}
    for metric in levelling.program.metrics.values():
        if adds_up(levelling, metric):
            groups.setdefault((metric.rolls_up, pairs_of(levelling, metric)), []).append(metric)
    columns: dict[str, Sql] = {}
    joins: list[tuple[str, Sql, Sql]] = []
    for (rolls_up, pairs), metrics in groups.items():
        name = f"rolled_fields_{pairs}_{rolls_up.name.lower()}"
        found = _sums(levelling, name, rolls_up, pairs, metrics)
        columns |= {column: sql.col(column, name) for column in found}
        joins.append(("left", sql.table(name), sql.eq(sql.col("partner_id", name), sql.col("partner_id", "f"))))
    return columns, joins


def _sums(levelling: Levelling, name: str, rolls_up: RollsUp, pairs: str, metrics: list[Metric]) -> list[str]:
    """Compute one table of sums, the first time it is asked for; gives its columns."""
    rows = levelling.rows("partners")
    own: dict[str, Sql] = {}
    totals: dict[str, Sql] = {}
    for metric in metrics:
        assert isinstance(metric.source, FromField)
        cell = rows.value("partners", metric.source.column)
        column = rolled_column(metric.key)
        own[column] = typed_value(metric, cell, metric.source.of_hundred)
        totals[column] = sql.sum_(sql.col(column, "m"))
        if cell.found:
            own[f"{column}!"] = sql.not_(sql.and_(*cell.found))
            totals |= _with_lost(column, totals[column])
    if name not in levelling.made:
        levelling.made[name] = name
        _note_losses(levelling, metrics, own)
        accounts = sql.select([sql.col("partner_id", "f"), *sql.columns(own)], rows.source(), rows.joins())
        levelling.engine.run(name, over_tree(rolls_up, pairs, sql.subquery(accounts, "m"), totals))
    return list(totals)


def _note_losses(levelling: Levelling, metrics: list[Metric], own: Mapping[str, Sql]) -> None:
    """Count the accounts whose money has no rate, for the notes."""
    rows = levelling.rows("partners")
    for metric in metrics:
        lost = own.get(f"{rolled_column(metric.key)}!")
        if lost is None:
            continue
        found = [sql.count(), sql.min_(sql.col("partner_id", "f"))]
        counted = levelling.engine.read(sql.select(found, rows.source(), rows.joins(), where=lost))
        number, example = (column[0].as_py() for column in counted.columns)
        if number:
            levelling.lost[metric.key] = (number, str(example))


def _with_lost(column: str, total: Sql) -> dict[str, Sql]:
    """The sum as a lower bound where some account is lost; unknown where something in it is below 0."""
    value, flag = sql.col(column, "m"), sql.any_true(sql.col(f"{column}!", "m"))
    negative = sql.any_true(sql.lt(value, sql.number(0)))
    unknown = sql.coalesce(sql.and_(flag, negative), sql.false())
    return {column: sql.case([(unknown, sql.null())], total), f"{column}!": flag}
