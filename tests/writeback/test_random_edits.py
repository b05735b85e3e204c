"""People edit computed fields at any moment: no edit is overwritten unless a conflict of it was recorded and told.

`SOAK_EDITS` (make soak) says how many edits are made; a part of them comes in the middle of an apply, between the look
at a record and its write, where the condition of that write is all that protects it.
"""

from __future__ import annotations

import contextlib
import os
import random
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import select

from crmsync.configuration_conflicts import Conflicts
from crmsync.errors import UnsafePlan
from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger
from crmsync.people_edits import keep_edits, settle_edits, watch_of
from crmsync.writeback.apply import apply_plan
from crmsync.writeback.plan import Drafting, draft_plan
from crmsync.writeback.planfile import save_plan
from tests.conftest import Place
from tests.writeback.facts import AS_OF, FIELDS, STANDINGS, a_program, a_snapshot, standing, standings
from tests.writeback.org import Fault, Org

EDITS = int(os.environ.get("SOAK_EDITS", "1000")) // 4  # two rules on two databases
RECORDS = [f"001{n:02}" for n in range(12)]
BESIDE = {f"{STANDINGS.object}/{record}|channel|all": f"{record}|channel|all" for record in RECORDS}
"""The record of each account's category: its name in the org of the tests, and its key."""
WITH_STANDINGS = replace(FIELDS, sinks=(STANDINGS,))
BY_HAND = ("granted_tier__c", "risk__c", "gap_summary__c", "why__c", "pending_tier__c")  # the last: always empty
TIERS = {"registered": "Registered", "silver": "Silver", "gold": "Gold"}


@dataclass
class People:
    """Who edits, and what of it is still there. `edits`: (record, field) -> the value a person set."""

    org: Org
    chance: random.Random
    edits: dict[tuple[str, str], str] = field(default_factory=dict)
    made: int = 0

    def edit(self, record: str | None = None) -> None:
        beside = [one for one in BESIDE if self.org.has(one)] if record is None and self.chance.random() < 0.2 else []
        record = record or self.chance.choice(beside or RECORDS)
        name = "Tier" if record in BESIDE else self.chance.choice(BY_HAND)
        value = f"{self.chance.choice(list(TIERS.values()))} by hand {self.made}"
        self.org.put(record, {**self.org.held(record), name: value})
        self.edits[record, name] = value
        self.made += 1

    def overwritten(self) -> list[tuple[str, str, str]]:
        """Edits that are not there any more, each told once."""
        gone = [(*place, value) for place, value in self.edits.items() if self.org.held(place[0])[place[1]] != value]
        for record, name, _ in gone:
            del self.edits[record, name]
        return gone


@pytest.mark.timeout(120 + EDITS)
@pytest.mark.parametrize("policy", ["restore", "freeze"])
def test_no_edit_is_overwritten_unseen(policy: str, place: Place, tmp_path: Path) -> None:
    chance = random.Random(f"{policy} {place.state.name}")
    org = Org(fault=lambda call: between(call))
    people = People(org, chance)
    for record in RECORDS:
        org.put(record, dict.fromkeys(FIELDS.names))

    def between(call: str) -> Fault:
        if call == "write_one" and people.made and people.made < EDITS and chance.random() < 0.05:
            people.edit()
        return None

    rounds = 0
    with place.open() as ledger:
        while people.made < EDITS:
            rounds += 1
            for _ in range(chance.randint(0, 8) if rounds > 1 else 0):  # nothing is computed before the first
                people.edit()
            one_run(ledger, org, people, Conflicts(policy), tmp_path / f"s{rounds}", f"run-{rounds}")  # type: ignore[arg-type]
            known = conflicts(ledger)
            for lost in people.overwritten():
                place = (BESIDE.get(lost[0], lost[0]), *lost[1:])
                assert place in known, f"{lost} was overwritten in run {rounds} without a conflict"
                assert policy == "restore", f"{lost} was frozen"
    assert rounds > 20


def one_run(ledger: Ledger, org: Org, people: People, rules: Conflicts, folder: Path, run_id: str) -> None:
    """Read, draft, let people edit, apply; the standings are different ones every time."""
    chance = people.chance
    rows = [standing(record, chance.choice(list(TIERS)), risk=chance.choice(("none", "high"))) for record in RECORDS]
    beside = {key: org.held(name) for name, key in BESIDE.items() if org.has(name)}
    snapshot = a_snapshot(folder, {record: org.held(record) for record in RECORDS}, standings=beside)
    drafting = Drafting(watch=watch_of(ledger, rules))
    plan = draft_plan(a_program(), standings(rows), snapshot, WITH_STANDINGS, run_id, AS_OF, drafting)
    save_plan(plan, ledger)
    keep_edits(ledger, plan)
    for _ in range(chance.randint(0, 2) if people.made else 0):
        people.edit()
    with contextlib.suppress(UnsafePlan):  # an edit of one of the first accounts, right after they were written
        apply_plan(plan, org, ledger, pause=lambda _: None)
        settle_edits(ledger, plan, told=True)


def conflicts(ledger: Ledger) -> set[tuple[str, str, str]]:
    with ledger.reading() as connection:
        rows = connection.execute(select(t.conflict.c.record_id, t.conflict.c.field, t.conflict.c.found))
        return {(row.record_id, row.field, row.found) for row in rows}
