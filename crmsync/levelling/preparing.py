"""What all metrics of one assessment share: registered tables, money, the tree of accounts, overrides in force."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from crmsync.errors import ConfigError
from crmsync.levelling import overrides, sql
from crmsync.levelling.atoms import days_of
from crmsync.levelling.benefits import benefit_columns
from crmsync.levelling.criteria import Limits, attributes_used
from crmsync.levelling.engine import Engine
from crmsync.levelling.hierarchy import Hierarchy, build_hierarchy
from crmsync.levelling.levelling import Levelling, rows_of_metric
from crmsync.levelling.measures import partner_columns_used
from crmsync.levelling.money import money_of
from crmsync.levelling.overrides import Overrides
from crmsync.levelling.references import register_references
from crmsync.levelling.rules import movement_columns
from crmsync.levelling.spots import HORIZON, NOW, category_bound, spots_of
from crmsync.programs.program import Program, RollsUp
from crmsync.snapshots import Snapshot
from crmsync.tables import CANONICAL


def prepare(
    program: Program, snapshot: Snapshot, as_of: date, engine: Engine, without: Sequence[str] = ()
) -> tuple[Levelling, Overrides]:
    """Register the tables and compute what all metrics share. `without`: kinds of overrides that are left out.

    Errors: ConfigError.
    """
    _check_tables(program, snapshot)
    for name, table in snapshot.tables.items():
        engine.register(f"t_{name}", table.path)
    days = days_of(program, as_of)
    seen = overrides.Days(as_of, {NOW: days.as_of, HORIZON: days.horizon})
    acting = overrides.overrides_in_force(program, snapshot, seen, engine, without)
    bound = category_bound(program, [metric for metric, of_category in acting.credited if of_category])
    money = money_of(program, snapshot, engine)
    columns = partner_columns_used(program) | attributes_used(program) | movement_columns(program)
    columns |= benefit_columns(program)
    declared = program.declared or "declared_categories"
    if program.has_categories and declared in snapshot.tables["partners"].columns:
        columns |= {declared}
    made = Levelling(
        program,
        spots_of(program, bound),
        snapshot,
        days,
        engine,
        money,
        register_references(program, engine),
        _hierarchy(program, snapshot, engine),
        Limits(money, program.effective_from, as_of, str(program.file)),
        frozenset(columns),
        credits=acting.credited,
    )
    return made, acting


def _check_tables(program: Program, snapshot: Snapshot) -> None:
    file = str(program.file)
    if "partners" not in snapshot.tables:
        raise ConfigError("the tables hold no partners: nobody can be levelled", file=str(snapshot.folder))
    for metric in program.metrics.values():
        for table in (source.table for source in rows_of_metric(metric)):
            if table not in snapshot.tables and table not in CANONICAL:
                there = ", ".join(sorted(set(snapshot.tables) | set(CANONICAL)))
                raise ConfigError(
                    f"metric {metric.key}: there is no table {table}; there are {there}", file=file, line=metric.line
                )


def _hierarchy(program: Program, snapshot: Snapshot, engine: Engine) -> Hierarchy | None:
    rolls = any(metric.rolls_up is not RollsUp.OWN for metric in program.metrics.values())
    families = any(program.family_of(ladder) is not None for ladder in program.ladders.values())
    if not (rolls or families) or "parent_id" not in snapshot.tables["partners"].columns:
        return None
    wanted = [sql.col("partner_id"), sql.col("parent_id")]
    table = engine.read(sql.select(wanted, sql.table("t_partners"), order=[sql.col("partner_id")]))
    return build_hierarchy(table.column("partner_id"), table.column("parent_id"))
