"""What a program costs: its `costs:` formulas over the benefits and metrics of standings, added up by category.

Source: program-language, section 10.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.levelling import sql
from crmsync.levelling.conditions import value_of
from crmsync.levelling.engine import Engine
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import KIND_OF_COLUMN, NUMBER, WORDS, Value
from crmsync.programs.program import Formula, Program
from crmsync.snapshots import Snapshot
from crmsync.tables import ColumnType

COSTED = "costed"
BENEFIT, METRIC, PARTNERS = "benefit", "metric", "partners"


def costs_of(
    program: Program, standings: pa.Table, snapshot: Snapshot, engine: Engine
) -> dict[str, dict[str, Decimal]]:
    """Category -> cost -> total in the program's currency; standings without a tier and unknown costs add nothing.

    Units: each standing's cost is rounded to cents before it is added.
    """
    if not program.costs:
        return {}
    granted = standings.filter(pc.is_valid(standings.column("granted_tier")))
    formulas = program.costs.values()
    engine.register(COSTED, _numbers(granted, formulas))
    names = _Names(program, snapshot)
    file = str(program.file)
    amounts = {key: sql.sum_(sql.cents(value_of(one, names, file).sql)) for key, one in program.costs.items()}
    category = sql.col("category", "c")
    joins: list[tuple[str, Sql, Sql]] = []
    if any(table == PARTNERS for one in formulas for table, _ in one.columns):
        engine.register("t_partners", snapshot.tables[PARTNERS].path)
        match = sql.eq(sql.col("partner_id", "p"), sql.col("partner_id", "c"))
        joins.append(("left", sql.table("t_partners", "p"), match))
    query = sql.select(sql.columns({"category": category, **amounts}), sql.table(COSTED, "c"), joins, group=[category])
    totals = engine.read(query).to_pylist()
    engine.drop([COSTED])
    return {
        row["category"]: {key: Decimal(str(row[key])) if row[key] is not None else Decimal(0) for key in program.costs}
        for row in totals
    }


def _numbers(standings: pa.Table, formulas: Iterable[Formula]) -> pa.Table:
    """partner_id, category, and a column for each metric and benefit that the formulas read."""
    columns = {name: standings.column(name) for name in ("partner_id", "category")}
    for formula in formulas:
        for key in formula.metrics:
            columns[f"{METRIC}.{key}"] = _read(standings, "metrics", key)
        for table, key in formula.columns:
            if table == BENEFIT:
                columns[f"{BENEFIT}.{key}"] = _read(standings, "benefits", key)
    return pa.table(columns)


def _read(standings: pa.Table, column: str, key: str) -> pa.ChunkedArray:
    """One number of a nested column, from its exact text; null where it is unknown or not there."""
    kind = standings.schema.field(column).type
    if not pa.types.is_struct(kind) or kind.get_field_index(key) < 0:
        return pa.chunked_array([pa.nulls(standings.num_rows, pa.float64())])
    values = pc.struct_field(standings.column(column), key)
    return values.cast(pa.float64()) if not pa.types.is_boolean(values.type) else values


@dataclass(frozen=True)
class _Names:
    """Names of a cost: metrics and benefits of a standing, and columns of its partner."""

    program: Program
    snapshot: Snapshot

    def as_of(self) -> Sql:
        return sql.null(sql.DATE)

    def value(self, table: str, column: str) -> Value:
        if table == PARTNERS:
            kind = self.snapshot.tables[PARTNERS].columns.get(column, ColumnType.TEXT)
            return Value(sql.col(column, "p"), KIND_OF_COLUMN.get(kind, WORDS))
        return Value(sql.col(f"{table}.{column}", "c"), NUMBER, unknown=True)
