"""What is worth knowing about an assessment: what was asked for and nobody delivered, and faults of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crmsync.levelling.ecb import age_note
from crmsync.levelling.levelling import Levelling, tables_used
from crmsync.levelling.sheet_notes import sheet_notes
from crmsync.levelling.windows import partner_dates
from crmsync.programs.program import Formula, FromGroups, FromRows, Window
from crmsync.tables import CANONICAL, ColumnType

NOTED = 20
"""How many partners are named, at most, of those that have the same fault."""

COMPUTED = frozenset({"credited_amount", "share", "role"})


def notes_of(levelling: Levelling) -> Iterable[str]:
    """What the program reads and nobody delivered, and faults of the hierarchy; each said once."""
    snapshot, starts = levelling.snapshot, levelling.program.effective_from
    if starts is not None and starts > levelling.days.as_of:
        yield f"program {levelling.program.key} is in force from {starts} on; it was asked for {levelling.days.as_of}"
    old_rates = age_note(levelling.program, levelling.days.as_of)
    if old_rates is not None:
        yield old_rates
    for table in tables_used(levelling.program):
        if table not in snapshot.tables:
            yield f"table {table} was not delivered: it is empty"
    for table, column in sorted(_columns_read(levelling)):
        listed: Mapping[str, ColumnType] = CANONICAL[table].columns if table in CANONICAL else {}
        file = snapshot.tables.get(table)
        if file is not None and column in listed and column not in file.columns and column not in COMPUTED:
            yield f"column {table}.{column} was not delivered: it is empty"
    for metric, (number, example) in levelling.lost.items():
        line = levelling.program.metrics[metric].line
        lost = f"1 record ({example})" if number == 1 else f"{number} records ({example} among them)"
        yield (
            f"{levelling.program.file}:{line}: metric {metric} lost {lost} for want of an exchange rate or a reference "
            "row; it keeps the rest as a lower bound"
        )
    yield from sheet_notes(levelling)
    if levelling.hierarchy is not None:
        for partner, parent in levelling.hierarchy.orphans[:NOTED]:
            why = "names a row that was rejected" if parent in snapshot.rejected_partners else "is not a partner"
            yield f"partner {partner}: its parent_id {parent} {why}; it stands at the top of its tree"
        for partner in levelling.hierarchy.cyclic[:NOTED]:
            yield f"partner {partner}: parent_id runs in a circle or is deeper than 64 levels; it is provisional"


def _columns_read(levelling: Levelling) -> set[tuple[str, str]]:
    """(table, column) of everything that is read of rows and of partners."""
    read = {("partners", column) for column in levelling.partner_columns}
    for metric in levelling.program.metrics.values():
        read |= {("partners", column) for _, column in _columns_of(metric.rolls_up_where)}
        match metric.source:
            case FromRows() as source:
                read |= _of_rows(source, metric.where, metric.during, metric.dated_by)
                read |= {_place(source.table, metric.split_by)} if metric.split_by is not None else set()
            case FromGroups(of=of, having=having):
                for one in having:
                    read |= _of_rows(one.source, one.where, one.during, one.dated_by) | {(one.source.table, of)}
    return read


def _of_rows(
    source: FromRows, where: Formula | None, during: Window | None, dated_by: str | None
) -> set[tuple[str, str]]:
    read = _columns_of(where) | _columns_of(source.value)
    read |= {("partners", column) for column in partner_dates(during)} if during is not None else set()
    return read | ({(source.table, dated_by)} if dated_by is not None else set())


def _columns_of(formula: Formula | None) -> set[tuple[str, str]]:
    return set(formula.columns) if formula is not None else set()


def _place(table: str, column: str) -> tuple[str, str]:
    other, _, name = column.rpartition(".")
    return other or table, name
