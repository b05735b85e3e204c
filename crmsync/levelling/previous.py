"""The standings of the assessment before: all that movement remembers.

One row per partner and category, flat: tiers, days, what waits, and the parts of `state`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.errors import ConfigError
from crmsync.levelling import versions
from crmsync.levelling.before import NO_TIER
from crmsync.levelling.standings import read_nested
from crmsync.levelling.state import HELD, MET, shape_of
from crmsync.levelling.words import EVENTS, LASTING, had_column
from crmsync.programs.program import Program, Take

PREVIOUS = "previous"
KEY = ("partner_id", "category")
CARRIED = ("headline_tier", "primary_category")
"""What only a row that is carried on needs of the standing before."""

FIRST = ("first_earned_tier", "first_granted_tier", "first_stood", "first_known")
"""What stood before the first of the review days that were assessed on the way."""

TYPES: dict[str, pa.DataType] = {
    **dict.fromkeys(("partner_id", "category", "earned_tier", "granted_tier", "pending_tier"), pa.string()),
    **dict.fromkeys(("tier_since", "grace_until", "pending_on"), pa.date32()),
    **dict.fromkeys(CARRIED, pa.string()),
    **dict.fromkeys((had_column(kind) for kind in LASTING), pa.bool_()),
    **dict.fromkeys((*EVENTS, "unread", "gone", "renamed", "first_stood", "first_known"), pa.bool_()),
    **dict.fromkeys(("first_earned_tier", "first_granted_tier"), pa.string()),
    **dict.fromkeys(("promoted_on", "decided_on", "member_since"), pa.date32()),
    "declined": pa.string(),
}
READ = ("program", "program_version", "as_of", "partner_id", "category", "earned_tier", "granted_tier", "tier_since",
        "overrides", "movement", "grace_until", "pending_tier", "pending_on", "state", *CARRIED)  # fmt: skip


@dataclass(frozen=True)
class Previous:
    """What stood before, and on which day it was assessed; no rows and no day at a first assessment.

    `version`: the version of the program whose tier keys it has; `reviewed`: review days on the way have been assessed.
    """

    table: pa.Table
    version: Program
    as_of: date | None = None
    reviewed: bool = False

    @property
    def filled(self) -> frozenset[str]:
        """Columns that hold anything: a value, or a yes; after a review day those of before it in any case."""
        holding = (name for name in self.table.column_names if _holds_anything(self.table.column(name)))
        return frozenset((*holding, *(FIRST if self.reviewed else ())))

    @property
    def stands(self) -> bool:
        """Whether anybody stood anywhere."""
        return bool(self.table.num_rows > 0)


def _holds_anything(column: pa.ChunkedArray) -> bool:
    if pa.types.is_boolean(column.type):
        return bool(pc.any(column).as_py())
    return bool(column.null_count < len(column))


def nothing_before(program: Program) -> Previous:
    """A first assessment."""
    return Previous(_shaped(pa.table({name: pa.array([], kind) for name, kind in TYPES.items()}), program), program)


def previous_standings(
    program: Program,
    source: Path | pa.Table | None,
    as_of: date,
    rejected: Sequence[str] = (),
    file: str | None = None,
) -> Previous:
    """Standings that still stand, of this program, in the tier keys of the version that was in force on their day.

    Shape: TYPES and the parts of `state`.
    `rejected`: partners of today whose row could not be read; their standings are marked `unread`. `file`: where a
    table comes from, for messages.
    Errors: ConfigError when they are not earlier than as_of, or hold a tier or category that no version explains.
    """
    if source is None:
        return nothing_before(program)
    file = str(source) if isinstance(source, Path) else file or "previous standings"
    whole: pa.Table = read_previous(source) if isinstance(source, Path) else source.select(READ)
    if whole.num_rows == 0:
        return nothing_before(program)  # nobody belonged anywhere
    table = whole.filter(pc.equal(whole.column("program"), program.key))
    if table.num_rows == 0:
        raise ConfigError(f"holds no standings of program {program.key}", file=file)
    latest = pc.max(table.column("as_of")).as_py()
    if latest >= as_of:
        raise ConfigError(
            f"its as_of {latest} is not before {as_of}: previous standings are those of an earlier day", file=file
        )
    # a standing whose tier is empty is one all the same; a row without movement and tier is of no member
    known = pc.or_(pc.is_valid(table.column("movement")), pc.is_valid(table.column("earned_tier")))
    table = table.filter(pc.and_(known, pc.not_equal(pc.fill_null(table.column("movement"), ""), "left")))
    version = pc.max(table.column("program_version")).as_py() if table.num_rows else None
    try:
        flat = _flat(table)
    except pa.ArrowException as error:
        raise ConfigError(f"state cannot be read: {error}", file=file) from error
    then = versions.on_day(program, latest)
    flat = versions.renamed(flat, versions.explained(then, version))
    _check_tiers(then, program, flat, file)
    unread = pc.is_in(flat.column("partner_id"), value_set=pa.array(rejected, pa.string()))
    return Previous(_shaped(flat.append_column("unread", unread), then), then, latest)


def in_version(before: Previous, version: Program) -> Previous:
    """The same standings in the tier keys, and with the state, of another version."""
    if before.version is version:
        return before
    table = versions.renamed(before.table, versions.explained(version, before.version.version))
    _check_tiers(version, version, table, "previous standings")
    return replace(before, table=_shaped(table, version), version=version)


def read_previous(file: Path) -> pa.Table:
    """The columns of a standings file that are remembered. Errors: ConfigError."""
    return read_nested(file, READ)


def unread_partners(before: Previous) -> list[str]:
    """The partners whose standing before is carried on because their own row was rejected, in order."""
    table = before.table
    found: list[str] = table.filter(table.column("unread")).column("partner_id").unique().to_pylist()
    return sorted(found)


def in_version_before(before: Previous) -> Previous:
    """The same standings as the version before would read them."""
    version = before.version
    assert version.before is not None
    return replace(
        before, table=_shaped(versions.written_back(before.table, version), version.before), version=version.before
    )


# --- flat columns


def _flat(table: pa.Table) -> pa.Table:
    plain = [name for name in table.column_names if name in TYPES]
    columns = {name: table.column(name).cast(TYPES[name]) for name in plain}
    columns |= _kinds(table.column("overrides")) | dict(_parts(table.column("state")))
    return pa.table(columns)


def _kinds(lists: pa.ChunkedArray) -> dict[str, pa.Array]:
    """Which lasting overrides were in force, per row. `lists`: lists of structs with a `kind`."""
    whole = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    if not pa.types.is_list(whole.type) or not pa.types.is_struct(whole.type.value_type):
        return {}
    parents = pc.list_parent_indices(whole).to_numpy()
    kinds = pc.struct_field(pc.list_flatten(whole), "kind")
    found = {}
    for kind in LASTING:
        flags = np.zeros(len(whole), dtype=bool)
        flags[parents[pc.fill_null(pc.equal(kinds, kind), False).to_numpy(zero_copy_only=False)]] = True
        if flags.any():
            found[had_column(kind)] = pa.array(flags)
    return found


def _parts(states: pa.ChunkedArray) -> Iterable[tuple[str, pa.Array]]:
    """The parts of `state` as columns: promoted_on, …, held:<id>, met:<tier>."""
    whole = states.combine_chunks() if isinstance(states, pa.ChunkedArray) else states
    if not pa.types.is_struct(whole.type):
        return
    for part in whole.type:
        values = pc.struct_field(whole, part.name)
        if part.name in (HELD, MET) and pa.types.is_struct(part.type):
            for one in part.type:
                yield f"{part.name}:{one.name}", pc.struct_field(values, one.name).cast(pa.date32())
        elif part.name in TYPES:
            yield part.name, values.cast(TYPES[part.name])


def _shaped(table: pa.Table, program: Program) -> pa.Table:
    """Every column that something may ask for, in one order; what is not there is empty, or no."""
    wanted = {**TYPES, **shape_of(program).columns}
    columns = {}
    for name, kind in wanted.items():
        if name in table.column_names:
            columns[name] = table.column(name).cast(kind)
        elif pa.types.is_boolean(kind):
            columns[name] = pa.array(np.zeros(table.num_rows, dtype=bool))
        else:
            columns[name] = pa.nulls(table.num_rows, kind)
    return pa.table(columns)


ALWAYS = frozenset({"partner_id", "category", "earned_tier", "granted_tier", "tier_since", "pending_tier", "pending_on",
                    "grace_until", "unread", *CARRIED})  # fmt: skip


def asked_columns(columns: Iterable[str], filled: Collection[str], program: Program) -> list[str]:
    """The columns that a day may ask for: of a large base those that hold nothing would cost memory for nothing."""
    wanted = ALWAYS | set(shape_of(program).columns) | set(filled)
    return [name for name in columns if name in wanted]


# --- what is wrong with them


def base_category(program: Program, category: str) -> str:
    """The category of a row: `reseller` of `reseller/EMEA` where its ladder has a standing per value."""
    base = category.split("/", 1)[0]
    if base != category and base in program.categories:
        per = program.ladder_of(base).per
        if per is not None and per.take is Take.EACH:
            return base
    return category


def _check_tiers(program: Program, newest: Program, table: pa.Table, file: str) -> None:
    columns = ["category", "earned_tier", "granted_tier", "pending_tier"]
    for row in table.select(columns).group_by(columns).aggregate([]).to_pylist():
        category = base_category(program, row["category"])
        if category not in program.categories:
            if any(base_category(one, row["category"]) in one.categories for one in versions.chain(newest)):
                continue  # a category of an older version: its standings end
            raise ConfigError(f"category {category!r} is not one of {', '.join(program.categories)}", file=file)
        known = [tier.key for tier in program.ladder_of(category).tiers]
        for column in columns[1:]:
            waits_for_none = (column, row[column]) == ("pending_tier", NO_TIER)
            if row[column] is not None and row[column] not in known and not waits_for_none:
                raise ConfigError(
                    f"{column} {row[column]!r} in category {row['category']} is not a tier of this version "
                    f"({', '.join(known)}); `migration: becomes:` says what an older tier is called now", file=file,
                )  # fmt: skip


# --- from one review day to the next


def after_review_day(before: Previous, acted: pa.Table, day: date) -> Previous:
    """What stands after a review day. `acted`: the rows that the day moved, in columns of `before`."""
    moved = _shaped(acted, before.version).cast(before.table.schema)
    same = pc.invert(pc.is_in(_places(before.table), value_set=_places(moved)))
    stay = before.table.filter(same)
    if not before.reviewed:
        stay = _first_seen(stay)
    return replace(before, table=pa.concat_tables([stay, moved]), as_of=day, reviewed=True)


def _first_seen(table: pa.Table) -> pa.Table:
    """Rows that no review day has moved yet: what stood first is what stands."""
    for name, value in (
        ("first_earned_tier", table.column("earned_tier")),
        ("first_granted_tier", table.column("granted_tier")),
        ("first_stood", pa.array(np.ones(table.num_rows, dtype=bool))),
        ("first_known", pa.array(np.ones(table.num_rows, dtype=bool))),
    ):
        table = table.set_column(table.column_names.index(name), name, value)
    return table


def _places(table: pa.Table) -> pa.Array:
    texts = pc.binary_join_element_wise(table.column("category"), table.column("partner_id"), "\n")
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
