"""The standings of the assessment before: all that movement remembers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.errors import ConfigError
from crmsync.levelling.standings import read_standings
from crmsync.programs.program import Program

PREVIOUS = "previous"
SHAPE = pa.schema(
    [
        ("partner_id", pa.string()),
        ("category", pa.string()),
        ("earned_tier", pa.string()),
        ("granted_tier", pa.string()),
        ("tier_since", pa.date32()),
        ("overridden", pa.bool_()),
        ("headline_tier", pa.string()),
        ("primary_category", pa.string()),
        ("unread", pa.bool_()),
    ]
)
CARRIED = ("headline_tier", "primary_category")
"""What only a row that is carried on needs of the standing before."""


def previous_standings(program: Program, path: Path | None, as_of: date, rejected: Sequence[str] = ()) -> pa.Table:
    """Standings that still stand, of this program. Shape: SHAPE, one row per partner and category.

    `rejected`: partners of today whose row could not be read; their standings are marked `unread`.
    Errors: ConfigError when they are not earlier than as_of, or hold a tier or category that the program does not know.
    """
    if path is None:
        return SHAPE.empty_table()
    carried = CARRIED if rejected else ()
    table = read_standings(path, ["program", "as_of", "partner_id", "category", "earned_tier", "granted_tier",
                                  "tier_since", "overrides", "movement", *carried])  # fmt: skip
    table = table.filter(pc.equal(table.column("program"), program.key))
    if table.num_rows == 0:
        raise ConfigError(f"holds no standings of program {program.key}", file=str(path))
    latest = pc.max(table.column("as_of")).as_py()
    if latest >= as_of:
        raise ConfigError(
            f"its as_of {latest} is not before {as_of}: previous standings are those of an earlier day", file=str(path)
        )
    _check_tiers(program, table, path)
    # a standing whose tier is empty is one all the same; a row without movement and tier is of no member
    known = pc.or_(pc.is_valid(table.column("movement")), pc.is_valid(table.column("earned_tier")))
    stands = pc.and_(known, pc.not_equal(pc.fill_null(table.column("movement"), ""), "left"))
    return _shaped(table.filter(stands), rejected)


def _shaped(table: pa.Table, rejected: Sequence[str]) -> pa.Table:
    for column in CARRIED:
        if column not in table.column_names:
            table = table.append_column(column, pa.nulls(table.num_rows, pa.string()))
    unread = pc.is_in(table.column("partner_id"), value_set=pa.array(rejected, pa.string()))
    return table.append_column("unread", unread).select(SHAPE.names).cast(SHAPE)


def unread_partners(before: pa.Table) -> list[str]:
    """The partners whose standing before is carried on because their own row was rejected, in order."""
    found: list[str] = before.filter(before.column("unread")).column("partner_id").unique().to_pylist()
    return sorted(found)


def _check_tiers(program: Program, table: pa.Table, path: Path) -> None:
    pairs = (
        table.select(["category", "earned_tier", "granted_tier"])
        .group_by(["category", "earned_tier", "granted_tier"])
        .aggregate([])
    )
    for row in pairs.to_pylist():
        if row["category"] not in program.categories:
            raise ConfigError(
                f"category {row['category']!r} is not one of {', '.join(program.categories)}", file=str(path)
            )
        known = [tier.key for tier in program.ladder_of(row["category"]).tiers]
        for column in ("earned_tier", "granted_tier"):
            if row[column] is not None and row[column] not in known:
                raise ConfigError(
                    f"{column} {row[column]!r} in category {row['category']} is not a tier of this version "
                    f"({', '.join(known)})", file=str(path),
                )  # fmt: skip
