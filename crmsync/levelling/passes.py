"""Passes: the atoms of a program, table by table."""

from __future__ import annotations

from collections.abc import Mapping

from crmsync.levelling.aggregates import TablePass
from crmsync.levelling.atoms import Atom
from crmsync.levelling.levelling import Levelling, tables_used
from crmsync.levelling.reach import subtrees
from crmsync.levelling.scans import fixed_bounds, source_of
from crmsync.programs.program import RollsUp


def compute_atoms(levelling: Levelling, atoms: Mapping[str, Atom]) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """Run one pass per table; returns the tables made with their columns, and the columns that can lose records."""
    made: list[tuple[str, list[str]]] = []
    lossy: list[str] = []
    limits = fixed_bounds(levelling.days)
    for table in tables_used(levelling.program):
        mine = [atom for atom in atoms.values() if atom.source.table == table]
        if not mine or table not in levelling.snapshot.tables:
            continue
        rows = levelling.rows(table)
        source = source_of(rows, mine, levelling.days, levelling.file, limits)
        if any(atom.metric.rolls_up is RollsUp.SUM for atom in mine) and not levelling.flat:
            subtrees(levelling)
        one = TablePass(rows, mine, levelling.days, levelling.engine, source, levelling.flat)
        made += one.compute(limits)
        levelling.lost.update(one.lost_records(limits))
        lossy += [column for column, columns in one.columns.items() if columns.lost is not None]
    return made, lossy
