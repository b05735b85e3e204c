"""Versions of a program at an assessment: tier keys of an older version, and the tiers it would still give.

Source: program-language, section 11.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.programs.program import Program

KEYED = ("earned_tier", "granted_tier", "pending_tier", "declined", "first_earned_tier", "first_granted_tier")
"""Columns of previous standings that hold tier keys."""


def chain(program: Program) -> Iterator[Program]:
    """The version and those before it, newest first."""
    found: Program | None = program
    while found is not None:
        yield found
        found = found.before


def on_day(program: Program, day: date) -> Program:
    """The version of a day among this one and those before it; the oldest where none had begun."""
    versions = list(chain(program))
    return next((one for one in versions if one.effective_from is None or one.effective_from <= day), versions[-1])


def explained(program: Program, version: str | None) -> Mapping[str, str]:
    """What tier keys of an older version are called now; empty where nothing was renamed since.

    Of a version that is not known here only keys are translated that this one does not have.
    """
    if version == program.version:
        return {}
    names = [one.version for one in chain(program)]
    later = list(chain(program))[: names.index(version)] if version in names else list(chain(program))
    known = {tier.key for ladder in program.ladders.values() for tier in ladder.tiers} if version not in names else ()
    found: dict[str, str] = {}
    for one in reversed(later):  # oldest first: what it renames may be renamed again
        becomes = dict(one.migration.becomes) if one.migration else {}
        found = {old: becomes.get(new, new) for old, new in found.items()} | {
            old: new for old, new in becomes.items() if old not in found
        }
    return {old: new for old, new in found.items() if old not in known}


def renamed(table: pa.Table, becomes: Mapping[str, str]) -> pa.Table:
    """The same standings with today's tier keys, and `renamed`: whether the earned tier had another key."""
    if not becomes:
        return table
    before = table.column("earned_tier")
    for name in KEYED:
        if name in table.column_names:
            at = table.column_names.index(name)
            table = table.set_column(at, name, _translated(table.column(name), becomes))
    table = _united([_renamed_part(name, becomes) for name in table.column_names], table)
    changed = pc.fill_null(pc.not_equal(before, table.column("earned_tier")), False)
    if "renamed" in table.column_names:
        changed = pc.or_(changed, table.column("renamed"))
        return table.set_column(table.column_names.index("renamed"), "renamed", changed)
    return table.append_column("renamed", changed)


def _united(names: list[str], table: pa.Table) -> pa.Table:
    """The columns under new names; of tiers that became one the latest day counts, as of one that goes on."""
    columns: dict[str, pa.ChunkedArray] = {}
    for name, column in zip(names, table.columns, strict=True):
        columns[name] = pc.max_element_wise(columns[name], column) if name in columns else column
    return pa.table(columns)


def _translated(keys: pa.ChunkedArray, becomes: Mapping[str, str]) -> pa.ChunkedArray:
    found = pc.index_in(keys, value_set=pa.array(list(becomes), pa.string()))
    return pc.coalesce(pa.array(list(becomes.values()), pa.string()).take(found.combine_chunks()), keys)


def _renamed_part(name: str, becomes: Mapping[str, str]) -> str:
    """`met:bronze` and `held:requires:bronze` under the tier's key of today."""
    for start in ("met:", "held:requires:"):
        if name.startswith(start):
            return start + becomes.get(name.removeprefix(start), name.removeprefix(start))
    return name


def before_floor(program: Program, as_of: date) -> Program | None:
    """The version whose tiers still bound demotions at as_of; None where there is none."""
    migration = program.migration
    return program.before if migration is not None and as_of <= migration.keep_until else None


def written_back(table: pa.Table, program: Program) -> pa.Table:
    """Previous standings in the keys of the version before: what it is asked about. Several old tiers that became one
    are told by the highest of them."""
    assert program.before is not None
    old = program.before
    known = {tier.key for ladder in old.ladders.values() for tier in ladder.tiers}
    back = {}
    for ladder in old.ladders.values():
        for tier in ladder.tiers:
            new = (program.migration.becomes if program.migration else {}).get(tier.key, tier.key)
            if new not in known or new == tier.key or new not in back:
                back[new] = tier.key
    for name in KEYED:
        if name in table.column_names:
            keys = _translated(table.column(name), back) if back else table.column(name)
            unknown = pc.invert(pc.is_in(keys, value_set=pa.array([*known, "none"], pa.string())))
            nothing = pa.scalar(None, pa.string())
            at = table.column_names.index(name)
            table = table.set_column(at, name, pc.if_else(unknown, nothing, keys))
    return table


def floor_of(rows: pa.Table, version: Program) -> pa.Table:
    """What the version before would give, in the tier keys of this one. Shape: partner_id, category, tier.

    `rows`: a day turned in the version before.
    """
    standing = rows.filter(rows.column("stands")).select(["partner_id", "category", "earned_tier"])
    becomes = dict(version.migration.becomes) if version.migration else {}
    tiers = standing.column("earned_tier")
    tiers = _translated(tiers, becomes) if becomes else tiers
    return pa.table(
        {"partner_id": standing.column("partner_id"), "category": standing.column("category"), "tier": tiers}
    )
