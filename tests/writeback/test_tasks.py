"""A task for the owner on risk: once per partner, category, period and reason, and off unless the field map asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from crmsync.belt import sinks_of
from crmsync.connectors.mapping_writes import read_writes
from crmsync.errors import ConfigError
from crmsync.strict_yaml import read_yaml
from crmsync.writeback.changes import Change
from crmsync.writeback.plan import draft_plan
from crmsync.writeback.tasks import period_of
from tests.writeback.facts import AS_OF, FIELDS, a_program, a_snapshot, standing, standings

WRITES = """\
object: Account
token: Token__c
fields: {granted_tier: Tier__c}
sinks: {risk_task: {key: Risk_Key__c, every: EVERY}}
"""
REASON = "Revenue at the current pace: 0.00 (needs 40000.00)"


def sinks(tmp_path: Path, every: str = "quarter") -> Any:
    file = tmp_path / f"writes-{every}.yaml"
    file.write_text(WRITES.replace("EVERY", every), encoding="utf-8")
    return tuple(sinks_of(read_writes(read_yaml(file))))


def tasks(
    tmp_path: Path, reasons: list[str], held: tuple[str, ...] = (), as_of: date = AS_OF, risk: str = "high"
) -> list[Change]:
    """The tasks of a draft; `held`: keys that the org has."""
    people = [{"partner_id": "A", "name": "Firm A", "region": "EMEA", "owner_id": "005A"}]
    folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    snapshot = a_snapshot(folder, {"A": {}}, people, beside={"risk_task": {key: {} for key in held}})
    row = standing("A", "silver", risk=risk, risk_on=date(2027, 1, 31), risk_reasons=reasons)
    fields = replace(FIELDS, sinks=sinks(tmp_path))
    plan = draft_plan(a_program(), standings([row]), snapshot, fields, "run-1", as_of)
    return list(plan.beside)


def test_the_owner_gets_a_task_that_says_what_and_until_when(tmp_path: Path):
    (task,) = tasks(tmp_path, [REASON])
    assert (task.object, task.key_field) == ("Task", "Risk_Key__c")
    assert task.values == {
        "WhatId": "A", "OwnerId": "005A", "Subject": "Silver is at risk", "ActivityDate": "2027-01-31",
        "Description": "Revenue at the current pace: 0 EUR (needs 40,000 EUR)",
    }  # fmt: skip


def test_there_is_one_per_period_and_reason(tmp_path: Path):
    (task,) = tasks(tmp_path, [REASON])
    moved = REASON.replace("0.00", "17.50")  # the numbers move every day; what is at risk does not
    lapse = "Revenue: opportunity 006 leaves its window on 2026-11-25"
    assert tasks(tmp_path, [moved, lapse], held=(task.record_id,)) == []
    assert tasks(tmp_path, [REASON], held=(task.record_id,), as_of=date(2026, 12, 31)) == []
    (other,) = tasks(tmp_path, ["Certified people now: 1 (needs 5)"], held=(task.record_id,))
    (later,) = tasks(tmp_path, [REASON], held=(task.record_id,), as_of=date(2027, 1, 1))
    assert len({task.record_id, other.record_id, later.record_id}) == 3


@pytest.mark.parametrize("risk", ["none", "low", "medium"])
def test_a_smaller_risk_makes_no_task(tmp_path: Path, risk: str):
    assert tasks(tmp_path, [REASON], risk=risk) == []


def test_without_being_asked_for_nothing_is_made(tmp_path: Path):
    row = standing("A", risk="high", risk_reasons=[REASON])
    plan = draft_plan(a_program(), standings([row]), a_snapshot(tmp_path, {"A": {}}), FIELDS, "run-1", AS_OF)
    assert plan.beside == ()


def test_a_period_that_is_none_is_refused_with_its_line(tmp_path: Path):
    with pytest.raises(ConfigError, match="`week` is no period of tasks") as refused:
        sinks(tmp_path, "week")
    assert refused.value.line == 4


def test_periods_begin_with_their_month():
    day = date(2026, 11, 21)
    assert [period_of(day, every) for every in ("month", "quarter", "year")] == ["2026-11", "2026-10", "2026-01"]
