"""The reasons of a risk as people read them: what lapses by its name instead of its record id. Pure.

The assessment names the record (`Revenue: opportunity 006… of 80000.00 leaves its window on 2026-11-25`), which is
exact and the same on every day; on an account people want to read which deal that is, and whose certificate.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.programs.program import Program, Unit
from crmsync.snapshots import Snapshot
from crmsync.tables import ROW_NAMES
from crmsync.writeback.amounts import grouped, money_in, money_said

_LAPSE = re.compile(
    r"(?P<thing>"
    + "|".join((*ROW_NAMES.values(), r"row of \w+"))
    + r") (?P<id>\S+)(?: of (?P<amount>-?\d+(?:\.\d+)?))?"
    r"(?P<end> (?:ends on|leaves its window on) .+)",
    re.DOTALL,
)
Row = Mapping[str, Any]


def _of(what: str, whose: object) -> str:
    return f"{what} of {whose}" if whose else what


def _deal(row: Row) -> str:
    name = row.get("name")
    return f"opportunity “{name}”" if name else ""


def _certificate(row: Row) -> str:
    what, who = row.get("credential"), row.get("person_name")
    return _of(f"certificate {what}" if what else "certificate", who) if what or who else ""


def _activity(row: Row) -> str:
    kind, on = row.get("kind"), row.get("happened_on")
    return _of(f"activity {kind}", on) if kind else ""


@dataclass(frozen=True)
class _Kind:
    """A table whose records lapse: its key, what is read, and how a record is called (empty: by its id)."""

    table: str
    key: str
    columns: tuple[str, ...]
    called: Callable[[Row], str]


_KINDS: Mapping[str, _Kind] = {
    "opportunity": _Kind("opportunities", "opportunity_id", ("name",), _deal),
    "certificate": _Kind("certifications", "certification_id", ("credential", "person_name"), _certificate),
    "activity": _Kind("activities", "activity_id", ("kind", "happened_on"), _activity),
}
Names = Mapping[tuple[str, str], str]
"""(thing, record id) -> its name."""


def readable_rows(program: Program, rows: Sequence[dict[str, Any]], snapshot: Snapshot) -> list[dict[str, Any]]:
    """The standings with their gap and the reasons of their risk as people read them."""
    reasons = {str(reason) for row in rows for reason in row.get("risk_reasons") or ()}
    lapses = {reason: found for reason in reasons if (found := _lapse(program, reason)) is not None}
    names = names_of(snapshot, ((found["thing"], found["id"]) for _, found in lapses.values()))
    said = {
        reason: _named(program, *lapses[reason], names) if reason in lapses else _plain(program, reason)
        for reason in reasons
    }
    return [_readable(row, said) for row in rows]


def _readable(row: dict[str, Any], said: Mapping[str, str]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    if row.get("gap_summary"):
        changed["gap_summary"] = grouped(row["gap_summary"])
    if row.get("risk_reasons"):
        changed["risk_reasons"] = [said[str(reason)] for reason in row["risk_reasons"]]
    return {**row, **changed}


def _lapse(program: Program, reason: str) -> tuple[str, re.Match[str]] | None:
    """The label that a reason begins with and what it says of a record; None where it is about something else."""
    for metric in program.metrics.values():
        begins = f"{metric.label}: "
        if reason.startswith(begins) and (found := _LAPSE.fullmatch(reason, len(begins))):
            return begins, found
    return None


def _plain(program: Program, reason: str) -> str:
    """What is missed, or nearly: amounts have their currency where the metric is one of money."""
    metrics = [metric for metric in program.metrics.values() if reason.startswith(metric.label)]
    asked = max(metrics, key=lambda metric: len(metric.label), default=None)
    if asked is None or asked.unit is not Unit.MONEY:
        return grouped(reason)
    return asked.label + money_in(reason[len(asked.label) :], program.currency)


def _named(program: Program, begins: str, found: re.Match[str], names: Names) -> str:
    name = names.get((found["thing"], found["id"]))
    what = f"{found['thing']} {found['id']}" if name is None else name
    amount = f" of {money_said(Decimal(found['amount']))} {program.currency or ''}".rstrip() if found["amount"] else ""
    return f"{begins}{what}{amount}{found['end']}"


def names_of(snapshot: Snapshot, records: Iterable[tuple[str, str]]) -> Names:
    """The names of these records, as far as the snapshot has them."""
    asked: dict[str, set[str]] = defaultdict(set)
    for thing, record_id in records:
        asked[thing].add(record_id)
    return {
        (thing, record_id): name for thing, ids in asked.items() for record_id, name in _names(snapshot, thing, ids)
    }


def _names(snapshot: Snapshot, thing: str, ids: set[str]) -> Iterable[tuple[str, str]]:
    kind = _KINDS.get(thing)
    if kind is None:
        return
    file = snapshot.tables.get(kind.table)
    columns = [column for column in kind.columns if file is not None and column in file.columns]
    if file is None or not columns or kind.key not in file.columns:
        return
    wanted = pc.field(kind.key).isin(pa.array(sorted(ids), pa.string()))
    for row in pq.read_table(file.path, columns=[kind.key, *columns], filters=wanted).to_pylist():
        if name := kind.called(row):
            yield row[kind.key], name
