"""What is worth knowing about an assessment: what was asked for and nobody delivered, and faults of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crmsync.levelling.ecb import age_note
from crmsync.levelling.levelling import Levelling, tables_used
from crmsync.levelling.sheet_notes import sheet_notes
from crmsync.programs.program import FromRows, Program
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
    for table, column in sorted(_columns_read(levelling.program)):
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


def _columns_read(program: Program) -> set[tuple[str, str]]:
    read: set[tuple[str, str]] = set()
    for metric in program.metrics.values():
        formulas = [metric.where, metric.source.value if isinstance(metric.source, FromRows) else None]
        for formula in formulas:
            read |= set(formula.columns) if formula is not None else set()
    return read
