"""What a draft reads: standings as rows, what the accounts hold now, and the few facts of partners that texts name."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.errors import DataError
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from crmsync.writeback.wording import Attributes, columns_asked

CURRENT_VALUES = "current_values"
NESTED = ("overrides", "gap", "risk_reasons", "provisional_reasons", "metrics")
READ = (
    "program", "program_version", "partner_id", "category", "calculated_tier", "earned_tier", "granted_tier",
    "previous_tier", "movement",
    "headline_tier", "primary_category", "overrides", "tier_since", "grace_until", "next_review", "pending_tier",
    "pending_on", "category_check", "next_tier", "progress", "gap", "gap_summary", "main_blocker", "risk", "risk_on",
    "risk_reasons", "provisional", "provisional_reasons", "metrics",
)  # fmt: skip
DECIDED = ("partner_id", "category", "calculated_tier", "earned_tier", "granted_tier", "movement")


@dataclass(frozen=True)
class Current:
    """What one record holds now: CRM field -> canonical text."""

    record_id: str
    values: Mapping[str, str | None]


@dataclass(frozen=True)
class PartnerFacts:
    """Name and threshold columns of one partner."""

    name: str | None
    attributes: Attributes


NO_FACTS = PartnerFacts(None, {})


def standing_rows(standings: pa.Table, program: str) -> list[dict[str, Any]]:
    """The standings of one program as rows, nested columns as Python values."""
    present = [column for column in READ if column in standings.column_names]
    rows = [row for row in standings.select(present).to_pylist() if row.get("program", program) == program]
    for row in rows:
        for column in NESTED:
            if column in row:
                row[column] = _nested(row[column])
    return rows


def _nested(value: Any) -> Any:
    """Standings read back from CSV hold JSON text; Arrow maps come as pairs."""
    found = json.loads(value) if isinstance(value, str) else value
    if isinstance(found, list) and found and isinstance(found[0], tuple):
        return dict(found)
    return found


def decided_rows(standings: pa.Table, program: str) -> list[dict[str, Any]]:
    """What was decided in the standings of one program: tiers and movement only."""
    columns = [column for column in ("program", *DECIDED) if column in standings.column_names]
    return [row for row in standings.select(columns).to_pylist() if row.get("program", program) == program]


def by_partner(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of each partner, ordered by partner."""
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["partner_id"]].append(row)
    return dict(sorted(grouped.items()))


def current_values(snapshot: Snapshot) -> dict[str, Current] | None:
    """What each partner's record holds now; None where the snapshot does not say.

    Errors: DataError when two records hold the same partner.
    """
    file = snapshot.tables.get(CURRENT_VALUES)
    if file is None:
        return None
    found: dict[str, Current] = {}
    for row in pq.read_table(file.path).to_pylist():
        record_id, partner_id = row.pop("record_id"), row.pop("partner_id")
        if partner_id in found:
            records = f"{found[partner_id].record_id} and {record_id}"
            raise DataError(f"partner {partner_id}: two records of the target hold it ({records}); merge them")
        found[partner_id] = Current(record_id, row)
    return found


def partner_facts(snapshot: Snapshot, program: Program) -> dict[str, PartnerFacts]:
    """Name and threshold columns by partner, as far as they were delivered."""
    file = snapshot.tables.get("partners")
    if file is None:
        return {}
    asked = sorted(column for column in columns_asked(program) if column in file.columns)
    names = ["name"] if "name" in file.columns else []
    table = pq.read_table(file.path, columns=list(dict.fromkeys(["partner_id", *names, *asked])))
    return {row["partner_id"]: _facts(row, asked) for row in table.to_pylist()}


def _facts(row: Mapping[str, Any], asked: Sequence[str]) -> PartnerFacts:
    return PartnerFacts(
        row.get("name"), {column: None if row[column] is None else str(row[column]) for column in asked}
    )


def owners_of(snapshot: Snapshot) -> dict[str, str]:
    """The user who owns each partner's account, where it was delivered."""
    file = snapshot.tables.get("partners")
    if file is None or "owner_id" not in file.columns:
        return {}
    rows = pq.read_table(file.path, columns=["partner_id", "owner_id"]).to_pylist()
    return {row["partner_id"]: row["owner_id"] for row in rows if row["owner_id"]}


def table_rows(snapshot: Snapshot) -> dict[str, int]:
    """Rows per table that a program reads."""
    read = ((name, table) for name, table in sorted(snapshot.tables.items()) if not is_current(name))
    return {name: table.rows for name, table in read}


def is_current(table: str) -> bool:
    """Whether a table of a snapshot says what write-back finds in the CRM, and not what a program reads."""
    return table.partition(".")[0] == CURRENT_VALUES
