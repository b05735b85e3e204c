"""A program as a case sees it: metrics that the case gives come from the case, everything built on them is computed.

A metric that reads rows and is not given is unknown, unless the case gives facts. What the case leaves out of the
conditions of `takes_part` and `member` cannot shut its partner out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import pyarrow as pa

from crmsync.programs.expressions import parse_formula
from crmsync.programs.names import Scope, Tables
from crmsync.programs.program import (
    Aggregate,
    Ever,
    Formula,
    FromField,
    FromGroups,
    FromPast,
    FromRank,
    FromRows,
    FromTier,
    Metric,
    Program,
    RollsUp,
    Source,
    Unit,
    WhenMissing,
)
from crmsync.studies.case_files import Amount, Given
from crmsync.tables import CANONICAL, ColumnType

FACTS = ("opportunities", "certifications", "activities")
TOTAL = "total"
"""The key of a metric given by value that names the total, where it is not the sum."""


@dataclass(frozen=True)
class Setting:
    """What the cases of one assessment have in common."""

    given: frozenset[str]  # metrics that are given as one value
    split: frozenset[str]  # metrics that are given by value of their split
    with_facts: bool  # whether rows are given, so that metrics that are not given are computed from them
    belongs: frozenset[str]  # categories to which the partner belongs whatever `member` says
    takes_part: bool  # whether `takes_part` is asked


def column_of_given(metric: str) -> str:
    """The column of partners that holds a given metric."""
    return f"given.{metric}"


def table_of_given(metric: str) -> str:
    """The table that holds a metric given by value."""
    return "given_" + metric.replace(".", "__")


def as_given(program: Program, setting: Setting) -> Program:
    """The program with the given metrics read from where `given_columns` and `split_rows` put them."""
    metrics = {key: _metric(program, metric, setting) for key, metric in program.metrics.items()}
    categories = {
        key: replace(category, member=None) if key in setting.belongs else category
        for key, category in program.categories.items()
    }
    takes_part = program.takes_part if setting.takes_part else None
    before = as_given(program.before, setting) if program.before else None
    return replace(program, metrics=metrics, categories=categories, takes_part=takes_part, before=before)


def _metric(program: Program, metric: Metric, setting: Setting) -> Metric:
    if metric.key in setting.split:
        return _from_values(program, metric)
    if metric.key in setting.given:
        # what the case gives is the value, so that nothing of a missing one is left to be said
        return _from_case(replace(metric, when_missing=WhenMissing.UNKNOWN))
    if not setting.with_facts and _reads_rows(metric.source):
        return _from_case(metric)
    return metric


def _reads_rows(source: Source) -> bool:
    """Whether a metric cannot be told from what a case without facts gives."""
    past = isinstance(source, FromPast)
    return (
        past
        or isinstance(source, FromRows | FromGroups)
        or (isinstance(source, FromTier) and source.program is not None)
    )


def _from_case(metric: Metric) -> Metric:
    source = FromField(column_of_given(metric.key))
    return replace(
        metric, source=source, where=None, during=None, dated_by=None, rolls_up=RollsUp.OWN, rolls_up_where=None,
        split_by=None,
    )  # fmt: skip


def _from_values(program: Program, metric: Metric) -> Metric:
    table, split = table_of_given(metric.key), split_column(program, metric)
    assert split is not None, "the case was checked"
    columns = {"partner_id": ColumnType.TEXT, "value": ColumnType.NUMBER, split: ColumnType.TEXT}
    scope = Scope(Tables({"partners": {}, table: columns}), table)
    value = parse_formula("value", metric.line, str(program.file), scope)
    source = FromRows(Aggregate.SUM, table, value)
    return replace(
        metric, source=source, where=None, during=Ever(), dated_by=None, rolls_up=RollsUp.OWN, rolls_up_where=None,
        split_by=split, when_missing=WhenMissing.UNKNOWN,
    )  # fmt: skip


def split_column(program: Program, metric: Metric) -> str | None:
    """The column by which a metric is split, its own or that of what it is built on; None where it has none."""
    found = _split_by(program, metric.key, set())
    return found.rpartition(".")[2] if found else None


def _split_by(program: Program, key: str, seen: set[str]) -> str | None:
    if key in seen or key not in program.metrics:
        return None
    seen.add(key)
    metric = program.metrics[key]
    if metric.split_by:
        return metric.split_by
    return next((found for other in inputs(metric) if (found := _split_by(program, other, seen))), None)


def inputs(metric: Metric) -> Sequence[str]:
    """The metrics that a metric is directly built on."""
    source = metric.source
    found: list[str] = []
    for name in ("metric", "of"):
        one = getattr(source, name, None)
        if isinstance(one, str) and not isinstance(source, FromGroups):
            found.append(one)
    formula = getattr(source, "formula", None)
    needs = getattr(source, "needs", None)
    for one in (formula, needs):
        if isinstance(one, Formula):
            found += sorted(one.metrics)
    found += list(getattr(source, "parts", ()))
    earning = getattr(source, "earning", None)
    found += list(getattr(earning, "metrics", ()))
    return found


def ranks_within_population(program: Program, given: Collection[str]) -> bool:
    """Whether a metric that is not given looks at all partners at once."""
    return any(isinstance(m.source, FromRank) and m.key not in given for m in program.metrics.values())


# --- the values


def given_columns(
    program: Program, setting: Setting, of_partners: Sequence[Mapping[str, Given]]
) -> dict[str, tuple[pa.Array, ColumnType]]:
    """Further columns of partners, a row for each of `of_partners`; null where a metric is not given."""
    found: dict[str, tuple[pa.Array, ColumnType]] = {}
    asked = as_given(program, setting)
    everything = {**(asked.before.metrics if asked.before else {}), **asked.metrics}
    for key, metric in everything.items():
        if not (isinstance(metric.source, FromField) and metric.source.column == column_of_given(key)):
            continue
        values = [one.get(key) for one in of_partners]
        kind = {Unit.YES_NO: ColumnType.YES_NO, Unit.TEXT: ColumnType.TEXT}.get(metric.unit, ColumnType.NUMBER)
        found[column_of_given(key)] = (_array(values, kind), kind)
    return found


def _array(values: Sequence[Given | None], kind: ColumnType) -> pa.Array:
    if kind is ColumnType.NUMBER:
        return pa.array([float(one) if isinstance(one, Decimal) else None for one in values], pa.float64())
    if kind is ColumnType.YES_NO:
        return pa.array(values, pa.bool_())
    return pa.array(values, pa.string())


def split_rows(
    program: Program, key: str, of_partners: Mapping[str, Mapping[str, Given]]
) -> tuple[pa.Table, Mapping[str, ColumnType]]:
    """The rows of a metric given by value: one per partner and value, and what the total has beyond their sum."""
    split = split_column(program, program.metrics[key])
    assert split is not None, "the case was checked"
    columns = {"partner_id": ColumnType.TEXT, "value": ColumnType.NUMBER, split: ColumnType.TEXT}
    rows: list[tuple[str, float, str | None]] = []
    for partner, metrics in of_partners.items():
        rows += ((partner, float(amount), value) for value, amount in _amounts(metrics.get(key)))
    arrays = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    kinds = (pa.string(), pa.float64(), pa.string())
    return pa.table(
        {name: pa.array(one, kind) for name, one, kind in zip(columns, arrays, kinds, strict=True)}
    ), columns


def _amounts(given: Given | None) -> Sequence[tuple[str | None, Decimal]]:
    if not isinstance(given, Mapping):
        return []
    parts: dict[str, Decimal] = {
        value: amount for value, amount in given.items() if value != TOTAL and isinstance(amount, Decimal)
    }
    total: Amount = given.get(TOTAL)
    rest = total - sum(parts.values()) if isinstance(total, Decimal) else Decimal(0)
    return [*parts.items(), *([(None, rest)] if rest else [])]


# --- who is asked


def belonging(program: Program, named: Collection[str], known: Collection[tuple[str, str]],
              given: Collection[str], with_facts: bool) -> tuple[frozenset[str], bool]:  # fmt: skip
    """The categories that a partner belongs to without being asked, and whether `takes_part` is asked.

    `known`: columns of partners that the case gives.
    """
    asked = named or (program.categories if len(program.categories) == 1 else ())

    def decided(formula: Formula | None) -> bool:
        return formula is not None and _is_given(program, formula, known, given, with_facts)

    belongs = frozenset(
        key
        for key in asked
        if (category := program.categories[key]).member is not None and not decided(category.member)
    )
    return belongs, decided(program.takes_part)


def _is_given(
    program: Program, formula: Formula, known: Collection[tuple[str, str]], given: Collection[str], with_facts: bool
) -> bool:
    """Whether the case says something about everything that a condition reads."""
    if not formula.columns <= set(known):
        return False
    return all(_metric_is_given(program, key, known, given, with_facts) for key in formula.metrics)


def _metric_is_given(
    program: Program, key: str, known: Collection[tuple[str, str]], given: Collection[str], with_facts: bool
) -> bool:
    metric = program.metrics[key]
    if key in given:
        return True
    if isinstance(metric.source, FromField):
        return ("partners", metric.source.column) in known
    if _reads_rows(metric.source):
        return with_facts
    return all(_metric_is_given(program, one, known, given, with_facts) for one in inputs(metric))


def has_facts(tables: Collection[str]) -> bool:
    """Whether rows are given that metrics are computed from."""
    return any(table in FACTS or table not in CANONICAL for table in tables)
