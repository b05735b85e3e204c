"""A task for the account's owner when a tier is at risk: once per partner, category, period and reason. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from crmsync.programs.program import Program
from crmsync.writeback.beside import Beside, Drafted, belongs, key_of, new_record
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import Sink, day, normalised
from crmsync.writeback.wording import Standing, label_of_category, label_of_tier, said_all

RISK_TASK = "risk_task"
HIGH = "high"
DAYS = 14
MONTHS = {"month": 1, "quarter": 3, "year": 12}
DECIDES = " (needs "
"""Stands in every reason that names a criterion; the others tell what lapses, and change from day to day."""


def task_changes(
    drafted: Drafted,
    sink: Sink,
    partners: Mapping[str, Sequence[Standing]],
    held: Mapping[str, Beside] | None,
    owners: Mapping[str, str],
) -> Iterator[Change]:
    """A task per standing at high risk that has none yet; what people make of a task is theirs."""
    for partner, rows in partners.items():
        account = drafted.accounts.get(partner)
        for row in rows if account is not None else ():
            if row.get("risk") != HIGH or not belongs(row):
                continue
            key = task_key(drafted.program, account, row, period_of(drafted.as_of, sink.every))
            if key not in (held or {}):
                wanted = _wanted(drafted, row, owners.get(partner))
                yield from new_record(sink, key, partner, account or "", wanted)


def task_key(program: Program, account: str | None, row: Standing, period: str) -> str:
    """The same for as long as the same criteria are at risk in the same period."""
    reason = hashlib.sha256("\n".join(_criteria(program, row)).encode()).hexdigest()[:8]
    return key_of("risk", account, program.key, row["category"], period, reason)


def _criteria(program: Program, row: Standing) -> list[str]:
    said = [str(reason) for reason in row.get("risk_reasons") or () if DECIDES in str(reason)]
    return sorted({key for key, metric in program.metrics.items() if any(one.startswith(metric.label) for one in said)})


def period_of(as_of: date, every: str) -> str:
    """The period of a day: `2026-10` is the quarter that begins in October."""
    months = MONTHS[every]
    return f"{as_of.year}-{(as_of.month - 1) // months * months + 1:02}"


def _wanted(drafted: Drafted, row: Standing, owner: str | None) -> dict[str, str | None]:
    program, category = drafted.program, row["category"]
    tier = label_of_tier(program, category, row.get("granted_tier")) or "tier"
    where = f" as {label_of_category(program, category)}" if program.has_categories else ""
    due = max(day(row.get("risk_on")) or "", (drafted.as_of + timedelta(days=DAYS)).isoformat())
    texts = {
        "subject": f"{tier}{where} is at risk",
        "due_on": due,
        "why": said_all(row.get("risk_reasons")),
        "owner": owner,
    }
    return {what: normalised(what, text) for what, text in texts.items()}
