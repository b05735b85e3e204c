"""Passes: the atoms of a program, table by table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crmsync.levelling import sql
from crmsync.levelling.aggregates import Made, TablePass
from crmsync.levelling.atoms import AnyAtom, Atom, GroupsAtom
from crmsync.levelling.groups import GROUP, Groups, group_words
from crmsync.levelling.levelling import Levelling, tables_used
from crmsync.levelling.reach import Reach, reach_of
from crmsync.levelling.scans import BoundsOf, fixed_bounds, source_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.windows import partner_dates
from crmsync.programs.program import Metric


def compute_atoms(levelling: Levelling, atoms: Mapping[str, AnyAtom]) -> tuple[Made, list[str]]:
    """Run one pass per table; returns the tables made with their columns, and the columns that can lose records.

    Windows that depend on the account which receives the rows take a pass of their own for each kind of roll-up.
    """
    made: Made = []
    lossy: list[str] = []
    limits = fixed_bounds(levelling.days)
    for table in tables_used(levelling.program):
        mine = [atom for atom in atoms.values() if isinstance(atom, Atom) and atom.source.table == table]
        if table not in levelling.snapshot.tables:
            continue
        for united, chosen in _by_source(levelling, mine).items():
            one = _pass(levelling, table, chosen, united, limits)
            made += one.compute(limits)
            levelling.lost.update(one.lost_records(limits))
            lossy += [column for column, columns in one.columns.items() if columns.lost is not None]
    counted, losing, lost = _groups(
        levelling, [atom for atom in atoms.values() if isinstance(atom, GroupsAtom)], limits
    )
    levelling.lost.update(lost)
    return [*made, *counted], [*lossy, *losing]


def _groups(
    levelling: Levelling, atoms: Sequence[GroupsAtom], limits: BoundsOf
) -> tuple[Made, list[str], dict[str, tuple[int, str]]]:
    """Groups take a pass over each of their tables, per partner and value."""

    def pass_of(table: str, of: str, asked: Sequence[Atom]) -> TablePass | None:
        if table not in levelling.snapshot.tables:
            return None
        rows, days, engine = levelling.rows(table), levelling.days, levelling.engine
        value, filled = group_words(rows, table, of)
        source = source_of(rows, asked, days, levelling.file, limits, levelling.spans, more={GROUP: value}, only=filled)
        return TablePass(rows, asked, days, engine, source, keys=[GROUP], tag=f"_by_{of}")

    return Groups(levelling.engine, pass_of, limits, levelling.spans).compute(atoms)


def _by_source(levelling: Levelling, atoms: Sequence[Atom]) -> dict[Reach | None, list[Atom]]:
    """Atoms by where their rows come from: None the table as it is, else the rows given to each account they reach."""
    found: dict[Reach | None, list[Atom]] = {}
    for atom in atoms:
        reach = reach_of(levelling, atom.metric)
        united = reach if reach.pairs is not None and partner_dates(atom.window) else None
        found.setdefault(united, []).append(atom)
    return found


def _pass(levelling: Levelling, table: str, atoms: Sequence[Atom], united: Reach | None, limits: BoundsOf) -> TablePass:
    rows, days, engine = levelling.rows(table), levelling.days, levelling.engine
    pairs = united.pairs if united is not None else None
    more: dict[str, Sql] = {"member": sql.col("partner_id", "f")} if pairs is not None else {}
    source = source_of(rows, atoms, days, levelling.file, limits, levelling.spans, pairs=pairs, more=more)
    tag = f"_seen_by_{pairs}" if pairs is not None else ""

    def reach(metric: Metric) -> Reach:
        return reach_of(levelling, metric)

    return TablePass(rows, atoms, days, engine, source, reach, united=pairs is not None, tag=tag)
