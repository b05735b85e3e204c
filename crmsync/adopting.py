"""An org that carries writes which this ledger does not know: refused before a write, until they are adopted.

That is so when the state folder was lost, or restored from an older copy, or when another ledger writes the same org.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.belt import Belt
from crmsync.errors import ConfigError, UnknownWrites
from crmsync.ledger.tokens import adopt_values, unknown_tokens
from crmsync.programs.program import Program
from crmsync.snapshots import MANIFEST, Snapshot, open_snapshot
from crmsync.writeback.beside import STANDINGS, held_beside, key_of
from crmsync.writeback.fields import FieldMap
from crmsync.writeback.inputs import CURRENT_VALUES
from crmsync.writeback.plan import Plan

LOOKED_AT = 50_000
"""Accounts whose tokens are looked up; of more, every so manieth: a ledger that is lost lacks them all."""


def check_known(belt: Belt, snapshot: Snapshot) -> None:
    """Refuse when accounts carry tokens that this ledger never wrote. Errors: UnknownWrites."""
    table = snapshot.tables.get(CURRENT_VALUES)
    if belt.fields.token is None or table is None or belt.fields.token not in table.columns:
        return
    column = pq.read_table(table.path, columns=[belt.fields.token])[0].combine_chunks().drop_null()
    step = -(-len(column) // LOOKED_AT) or 1
    _refuse(belt, column.take(pa.array(range(0, len(column), step), pa.int64())).to_pylist(), len(column))


def check_plan_known(belt: Belt, plan: Plan) -> None:
    """The same for a saved plan: of what its run read, or of what it writes where that is gone. Errors: as above."""
    folder = belt.state / "snapshots" / plan.run_id
    if (folder / MANIFEST).is_file():
        check_known(belt, open_snapshot(folder))
        return
    token = belt.fields.token
    seen = [change.expected.get(token) for change in plan.changes] if token else []
    _refuse(belt, [one for one in seen if one], len(seen))


def _refuse(belt: Belt, tokens: Iterable[str | None], accounts: int) -> None:
    found = {one for one in tokens if one}
    unknown = unknown_tokens(belt.ledger, found)
    if not unknown:
        return
    raise UnknownWrites(
        f"{len(unknown)} of {accounts} accounts carry a write token ({belt.fields.token}, such as {min(unknown)}) that "
        f"{belt.ledger.place} does not know: the ledger was lost or restored from an older copy, or another one writes "
        "this org. Nothing was written. Restore the state folder; or, when it is gone for good and nobody else writes, "
        "`crmsync adopt` takes what stands in the CRM as last written"
    )


@dataclass(frozen=True)
class Adopted:
    """What was taken over. `unknown`: tokens that the ledger did not know; `tiers`: standings taken from the CRM, which
    movement starts from on `as_of`; None where the ledger had accepted standings."""

    run_id: str
    accounts: int
    unknown: int
    fields: int
    tiers: int | None
    as_of: date | None


def held_values(snapshot: Snapshot, token: str) -> dict[str, dict[str, str | None]]:
    """The managed values of every account that carries a token, by record id."""
    table = pq.read_table(snapshot.tables[CURRENT_VALUES].path)
    rows = table.filter(pc.is_valid(table[token])).drop_columns(["partner_id"]).to_pylist()
    return {row.pop("record_id"): row for row in rows}


def adopt_records(belt: Belt, run_id: str, snapshot: Snapshot) -> tuple[int, int, int]:
    """Take the accounts' values as last written; returns accounts, unknown tokens, fields. Errors: ConfigError."""
    token = belt.fields.token
    if token is None or CURRENT_VALUES not in snapshot.tables:
        raise ConfigError(f"{belt.target.identity()}: nothing to adopt; only a CRM carries write tokens")
    held = held_values(snapshot, token)
    if not held:  # tiers of nobody would be accepted, and the first fill would look like a promotion of everybody
        raise ConfigError(
            f"no account of {belt.target.identity()} carries a write token ({token}): nothing was ever written there, "
            "so there is nothing to adopt; `crmsync plan` shows what a first run would write"
        )
    unknown = unknown_tokens(belt.ledger, {one for values in held.values() if (one := values[token])})
    return len(held), len(unknown), adopt_values(belt.ledger, held, token, run_id)


Held = dict[tuple[str, str], tuple[str | None, str | None]]
"""Partner and category -> tier key and the day it is held since, as they stand in the CRM."""


def standings_of_crm(fields: FieldMap, program: Program, snapshot: Snapshot, computed: pa.Table) -> pa.Table:
    """The computed standings with the tiers, and the days they are held since, that stand in the CRM.

    `computed`: standings of the day before, without anything before them.
    """
    held = _held_tiers(fields, program, snapshot, computed)
    rows = [
        _as_held(row, *held.get((row["partner_id"], row["category"]), (None, None))) for row in computed.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema=computed.schema)


def _held_tiers(fields: FieldMap, program: Program, snapshot: Snapshot, computed: pa.Table) -> Held:
    """From the records per category where there are any, else from the accounts, which tell one category each."""
    accounts = pq.read_table(snapshot.tables[CURRENT_VALUES].path).to_pylist()
    of_partner = {row["partner_id"]: row for row in accounts}
    sink = fields.sink(STANDINGS)
    beside = held_beside(snapshot, sink) if sink is not None else None
    found: Held = {}
    for row in computed.select(["partner_id", "category", "primary_category"]).to_pylist():
        partner, category = row["partner_id"], row["category"]
        account = of_partner.get(partner)
        if account is None:
            continue
        if sink is not None and beside is not None:
            record = beside.get(key_of(account["record_id"], program.key, category))
            values, names = (record.values, sink.fields) if record else ({}, sink.fields)
        elif category == (row["primary_category"] or next(iter(program.categories))):
            values, names = account, fields.fields
        else:
            continue
        tier = tier_named(program, category, values.get(names.get("granted_tier", "")))
        found[partner, category] = (tier, values.get(names.get("tier_since", "")))
    return found


def tier_named(program: Program, category: str, label: str | None) -> str | None:
    """Key of the tier with this label in a category; None where the program has none of that name."""
    tiers = program.ladder_of(category.partition("/")[0]).tiers
    return next((tier.key for tier in tiers if tier.label == label), None)


def _as_held(row: dict[str, Any], tier: str | None, since: str | None) -> dict[str, Any]:
    day = date.fromisoformat(since) if tier and since else None
    nothing = dict.fromkeys(("previous_tier", "grace_until", "pending_tier", "pending_on"))
    movement = row["movement"] if tier else None
    return {**row, **nothing, "granted_tier": tier, "earned_tier": tier, "movement": movement, "tier_since": day}
