"""What is written beside the account: a record per category, one per change of tier. Pure, like the plan."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow.parquet as pq

from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap, Sink, dated, day, normalised, outlook, provisional, same
from crmsync.writeback.inputs import CURRENT_VALUES
from crmsync.writeback.wording import Standing, label_of_category, label_of_tier, movement_said, overrides_said

STANDINGS, HISTORY = "standings", "history"
KEY, ACCOUNT = "key", "account"
KEY_MAX = 255
QUIET = "unchanged"
LEFT = "left"
"""Movement of a record whose category the partner has left: it stays, with its tiers empty."""

TIERS = ("calculated_tier", "granted_tier", "next_tier", "pending_tier")


@dataclass(frozen=True)
class Beside:
    """A record beside an account as the CRM holds it now."""

    record_id: str
    key: str
    account: str
    values: Mapping[str, str | None]


def table_of(sink: str) -> str:
    """The table of a snapshot that says what these records hold now."""
    return f"{CURRENT_VALUES}.{sink}"


def held_beside(snapshot: Snapshot, sink: Sink) -> dict[str, Beside] | None:
    """By key, what the CRM holds now; None where the snapshot does not say. Records without a key are people's own."""
    file = snapshot.tables.get(table_of(sink.name))
    if file is None:
        return None
    found = {}
    for row in pq.read_table(file.path).to_pylist():
        record_id, key, account = row.pop("record_id"), row.pop(KEY), row.pop(ACCOUNT)
        if key:
            found[key] = Beside(record_id, key, account, row)
    return found


@dataclass(frozen=True)
class Drafted:
    """The parts of a plan that the records beside an account are drafted from.

    `accounts`: partner -> record id of its account; `unread`: partners whose row was rejected; they are left alone.
    """

    program: Program
    fields: FieldMap
    as_of: date
    accounts: Mapping[str, str]
    unread: frozenset[str] = frozenset()


# --- a record per category


def standing_changes(
    drafted: Drafted, sink: Sink, partners: Mapping[str, Sequence[Standing]], held: Mapping[str, Beside] | None
) -> Iterator[Change]:
    """The records that differ: of partners by partner, then those of categories and partners that are gone."""
    seen = set()
    for partner, rows in partners.items():
        account = drafted.accounts.get(partner)
        for row in rows if account is not None else ():
            key = key_of(account, drafted.program.key, row["category"])
            seen.add(key)
            present = (held or {}).get(key)
            if belongs(row) or present is not None:
                wanted = standing_values(drafted.program, row, present, sink)
                yield from _change(sink, key, partner, account or "", wanted, present)
    yield from _left(drafted, sink, seen, held or {})


def belongs(row: Standing) -> bool:
    """Whether the partner is in that category, and not only observed or declared there."""
    return bool(row.get("movement")) and row.get("movement") != LEFT


def standing_values(program: Program, row: Standing, present: Beside | None, sink: Sink) -> dict[str, str | None]:
    """Wanted canonical text per key; an absent key is left as it is (previous tier, last movement)."""
    names: dict[str, str | None] = {
        "program": program.label or program.key,
        "category": label_of_category(program, row["category"]),
    }
    if not belongs(row):
        return {**_texts(names), **_cleared(sink, present)}
    values = {
        **names,
        **{key: label_of_tier(program, row["category"], row.get(key)) for key in TIERS},
        **outlook(program, row),
        **dated(row),
        "tier_since": day(row.get("tier_since")),
        "category_check": row.get("category_check"),
        "overrides": "; ".join(overrides_said(program, row)) or None,
        "provisional": provisional([row]),
    }
    if row.get("previous_tier") and row["previous_tier"] != row.get("granted_tier"):
        values["previous_tier"] = label_of_tier(program, row["category"], row["previous_tier"])
    if present is None or row["movement"] != QUIET:  # what moved last stays until something moves again
        values["movement"] = movement_said(row["movement"])
    values.pop("risk_reason")
    return _texts(values)


def _texts(values: Mapping[str, str | None]) -> dict[str, str | None]:
    return {key: normalised(key, value) for key, value in values.items()}


def _cleared(sink: Sink, present: Beside | None) -> dict[str, str | None]:
    """A record without a category: tiers and figures empty, the tier that was held kept as the previous one."""
    emptied = dict.fromkeys(
        (*TIERS, "progress", "gap_summary", "main_blocker", "risk", "risk_on", "pending_on", "tier_since",
         "grace_until", "next_review", "category_check", "overrides", "provisional")
    )  # fmt: skip
    values: dict[str, str | None] = {**emptied, "movement": LEFT}
    tier = sink.fields.get("granted_tier")
    if tier and present is not None and present.values.get(tier):
        values["previous_tier"] = present.values[tier]
    return _texts(values)


def _left(drafted: Drafted, sink: Sink, seen: set[str], held: Mapping[str, Beside]) -> Iterator[Change]:
    """Records of this program that no standing stands for any more."""
    partners = {account: partner for partner, account in drafted.accounts.items()}
    by_account = all(partner == account for account, partner in partners.items())
    for key in sorted(held):
        present = held[key]
        if key in seen or key.split("|")[1:2] != [drafted.program.key]:
            continue
        partner = partners.get(present.account)
        if partner is None and drafted.unread and (not by_account or present.account in drafted.unread):
            continue  # perhaps the partner whose row could not be read
        if partner is None or partner not in drafted.unread:
            yield from _change(sink, key, partner or present.account, present.account, _cleared(sink, present), present)


# --- a record per change of tier


def history_change(
    drafted: Drafted, sink: Sink, counted_from: str, row: Standing, from_tier: str | None, why: str
) -> Change | None:
    """The record of one change; None where the account is not known.

    Its key names what the change is counted from, so that a run that died and is repeated writes the same record.
    """
    partner, category, program = row["partner_id"], row["category"], drafted.program
    account = drafted.accounts.get(partner)
    if account is None:
        return None
    wanted = {
        "program": program.label or program.key,
        "category": label_of_category(program, category),
        "from_tier": label_of_tier(program, category, from_tier),
        "to_tier": label_of_tier(program, category, row.get("granted_tier")),
        "movement": movement_said(row.get("movement")),
        "effective_on": _effective(row, drafted.as_of),
        "program_version": row.get("program_version"),
    }
    texts = {**_texts(wanted), "why": normalised("gap_summary", why)}
    key = key_of(counted_from, account, program.key, category)
    return next(_change(sink, key, partner, account, texts, None), None)


def _effective(row: Standing, as_of: date) -> str:
    since = day(row.get("tier_since"))
    return since if since and row.get("granted_tier") else as_of.isoformat()


# --- changes


def key_of(*parts: str | None) -> str:
    """The external key of a record; a long one ends in a digest."""
    key = "|".join(part or "" for part in parts)
    if len(key) <= KEY_MAX:
        return key
    return f"{key[: KEY_MAX - 33]}#{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _change(
    sink: Sink, key: str, partner: str, account: str, wanted: Mapping[str, str | None], present: Beside | None
) -> Iterator[Change]:
    values = {
        sink.fields[what]: value
        for what, value in wanted.items()
        if what in sink.fields and not _holds(sink, present, what, value)
    }
    if present is None:
        values = {name: value for name, value in values.items() if value is not None}
        named = {sink.partner: account} if sink.partner else {}
        yield _of(sink, key, partner, account, {**named, **values}, {}, "new")
    elif values:
        expected = {name: present.values[name] for name in values if name in present.values}
        told = ", ".join(what for what in wanted if sink.fields.get(what) in values)
        yield _of(sink, key, partner, account, values, expected, f"changed: {told}")


def new_record(sink: Sink, key: str, partner: str, account: str, wanted: Mapping[str, str | None]) -> Iterator[Change]:
    """A record that is made and never changed."""
    yield from _change(sink, key, partner, account, wanted, None)


def changed_record(
    sink: Sink, key: str, partner: str, wanted: Mapping[str, str | None], present: Beside
) -> Iterator[Change]:
    """A record of somebody else's, of which only the named values are ours."""
    yield from _change(sink, key, partner, present.account, wanted, present)


def _holds(sink: Sink, present: Beside | None, what: str, wanted: str | None) -> bool:
    name = sink.fields[what]
    return present is not None and name in present.values and same(normalised(what, present.values[name]), wanted)


def _of(
    sink: Sink,
    key: str,
    partner: str,
    account: str,
    values: Mapping[str, str | None],
    expected: Mapping[str, str | None],
    why: str,
) -> Change:
    return Change(key, partner, dict(values), dict(expected), why, sink.name, sink.object, sink.key, account)
