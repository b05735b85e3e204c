"""Edits by hand from run to run, over an org of the tests: what is told, what is written again, what never is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from crmsync.configuration_conflicts import Conflicts
from crmsync.connectors.base import Into
from crmsync.ledger import tables as t
from crmsync.ledger.accepted import accept_standings
from crmsync.ledger.conflicts import ConflictRow, open_conflicts, record_conflicts
from crmsync.ledger.ledger import Ledger
from crmsync.people_edits import add_adopted, keep_edits, settle_edits, watch_of
from crmsync.snapshots import Staging, TableFile, write_table
from crmsync.tables import ColumnType
from crmsync.writeback.apply import apply_plan
from crmsync.writeback.fields import FieldMap
from crmsync.writeback.plan import Drafting, Plan, draft_plan
from crmsync.writeback.planfile import save_plan
from tests.writeback.facts import AS_OF, FIELDS, STANDINGS, a_program, a_snapshot, standing, standings
from tests.writeback.org import Org

EMPTY = dict.fromkeys(FIELDS.names)


@dataclass
class World:
    """An org with one account A, a ledger, and runs over them, a day each."""

    ledger: Ledger
    folder: Path
    org: Org = field(default_factory=Org)
    rules: Conflicts = field(default_factory=Conflicts)
    fields: FieldMap = FIELDS
    runs: int = 0

    def edit(self, name: str, value: str | None, record: str = "A") -> None:
        """What a person does."""
        self.org.put(record, {**self.org.held(record), name: value})

    def held(self, name: str, record: str = "A") -> str | None:
        return self.org.held(record)[name]

    def beside(self) -> dict[str, str | None]:
        """The record of the account's category."""
        found = self.org.into(Into(STANDINGS.object, STANDINGS.key)).read(["A|channel|all"], ["Tier"])
        return found.get("A|channel|all", {})

    def draft(self, tier: str | None = "silver", **given: Any) -> Plan:
        self.runs += 1
        run_id = f"run-{self.runs}"
        beside = {"A|channel|all": self.beside()} if self.beside() else {}
        snapshot = a_snapshot(self.folder / run_id, {"A": self.org.held("A")}, standings=beside)
        path = self.folder / f"{run_id}.parquet"
        path.write_bytes(run_id.encode())
        drafting = Drafting(standings_path=str(path), watch=watch_of(self.ledger, self.rules))
        rows = [standing("A", tier, **given)]
        day = AS_OF + timedelta(days=self.runs)
        plan = draft_plan(a_program(), standings(rows), snapshot, self.fields, run_id, day, drafting)
        save_plan(plan, self.ledger)
        return plan

    def run(self, tier: str | None = "silver", **given: Any) -> list[tuple[str, str | None, str]]:
        """A whole run; field, value found and what becomes of each edit."""
        plan = self.draft(tier, **given)
        keep_edits(self.ledger, plan)
        self.ledger.start_run("run")
        apply_plan(plan, self.org, self.ledger, pause=lambda _: None)
        accept_standings(self.ledger, plan.run_id, plan.as_of, Path(plan.standings))
        settle_edits(self.ledger, plan, told=True)
        return [(edit.field, edit.found, edit.outcome) for edit in plan.hand_edits]

    def conflicts(self) -> list[tuple[str, str | None, str]]:
        with self.ledger.reading() as connection:
            rows = connection.execute(select(t.conflict).order_by(t.conflict.c.found_at, t.conflict.c.conflict_id))
            return [(row.field, row.found, row.state) for row in rows]


@pytest.fixture
def world(ledger: Ledger, tmp_path: Path) -> World:
    made = World(ledger, tmp_path / "w")
    made.folder.mkdir()
    made.org.put("A", EMPTY)
    assert made.run() == []
    return made


TIER = "granted_tier__c"


@pytest.mark.parametrize("policy", ["restore", "freeze"])
def test_the_same_edit_made_again_after_it_was_taken_back_is_told_again(world: World, policy: str) -> None:
    world.rules = Conflicts(policy)  # type: ignore[arg-type]
    first = "waits" if policy == "restore" else "frozen"
    world.edit(TIER, "Gold")
    assert world.run() == [(TIER, "Gold", first)]
    world.edit(TIER, "Silver")
    assert world.run() == [(TIER, "Gold", "gone")]
    world.edit(TIER, "Gold")
    assert world.run() == [(TIER, "Gold", first)]
    assert len(open_conflicts(world.ledger)) == 1
    assert world.run() == [(TIER, "Gold", "restored" if policy == "restore" else "frozen")]
    assert world.held(TIER) == ("Silver" if policy == "restore" else "Gold")
    assert [state for *_, state in world.conflicts()] == ["gone", "restored" if policy == "restore" else "told"]


def test_a_field_that_was_empty_from_the_start_is_watched_too(world: World) -> None:
    """Nothing was ever written into it, because empty was right; what people put there is an edit all the same."""
    assert world.held("grace_until__c") is None
    world.edit("grace_until__c", "2027-01-31")
    assert world.run() == [("grace_until__c", "2027-01-31", "waits")]
    assert world.held("grace_until__c") == "2027-01-31"
    assert world.run() == [("grace_until__c", "2027-01-31", "restored")]
    assert world.held("grace_until__c") is None


def test_what_stood_in_a_field_before_it_was_mapped_is_no_edit(ledger: Ledger, tmp_path: Path) -> None:
    world = World(ledger, tmp_path)
    world.fields = replace(FIELDS, fields={key: name for key, name in FIELDS.fields.items() if key != "risk"})
    world.org.put("A", {**EMPTY, "risk__c": "as people said before"})
    assert world.run() == []
    world.fields = FIELDS
    assert world.run() == []
    assert world.held("risk__c") == "none"


def test_an_edit_follows_the_rule_of_today(world: World) -> None:
    """People are told of an edit, decide to keep it, and say so in the configuration before the next run."""
    world.edit(TIER, "Gold")
    assert world.run() == [(TIER, "Gold", "waits")]
    world.rules = Conflicts("freeze")
    assert (TIER, "Gold", "frozen") in world.run()
    assert world.held(TIER) == "Gold"
    world.rules = Conflicts("restore")
    assert (TIER, "Gold", "waits") in world.run()  # it is told that the rule is another
    assert world.run() == [(TIER, "Gold", "restored")]
    assert (world.held(TIER), open_conflicts(world.ledger)) == ("Silver", [])


def test_what_no_rule_can_adopt_is_told_once(world: World) -> None:
    world.rules = Conflicts("adopt")
    world.edit(TIER, "Platinum")
    assert world.run() == [(TIER, "Platinum", "waits")]
    assert world.run() == [(TIER, "Platinum", "restored")]


def test_an_edit_of_a_field_that_is_not_written_any_more_is_closed(world: World) -> None:
    world.rules = Conflicts("freeze")
    world.edit("risk__c", "by hand")
    assert world.run() == [("risk__c", "by hand", "frozen")]
    world.fields = replace(FIELDS, fields={key: name for key, name in FIELDS.fields.items() if key != "risk"})
    assert world.run() == [("risk__c", "by hand", "gone")]
    assert open_conflicts(world.ledger) == []


def test_an_account_that_is_gone_closes_its_edits(world: World) -> None:
    world.rules = Conflicts("freeze")
    world.edit(TIER, "Gold")
    world.run()
    world.org.put("B", EMPTY)
    snapshot = a_snapshot(world.folder / "later", {"B": world.org.held("B")})
    drafting = Drafting(watch=watch_of(world.ledger, world.rules))
    plan = draft_plan(a_program(), standings([standing("B")]), snapshot, FIELDS, "run-9", AS_OF, drafting)
    assert [(edit.record_id, edit.outcome) for edit in plan.hand_edits] == [("A", "gone")]


def test_an_edit_to_what_would_be_written_anyway_waits_for_nobody(world: World) -> None:
    world.edit(TIER, "Gold")
    assert world.run("gold") == []
    assert world.held(TIER) == "Gold"
    # it is the person's value until something else is due: then it is told before it goes
    assert world.run("silver") == [(TIER, "Gold", "waits")]


def test_an_edit_while_a_write_is_refused_is_told(world: World) -> None:
    world.org.refuses["A"] = "a rule of ours"
    assert world.run("gold") == []
    world.edit(TIER, "Registered")
    world.org.refuses.clear()
    assert world.run("gold") == [(TIER, "Registered", "waits")]
    assert world.held(TIER) == "Registered"
    assert world.run("gold") == [(TIER, "Registered", "restored")]
    assert world.held(TIER) == "Gold"


def test_an_edit_while_a_plan_waits_is_not_overwritten_by_it(world: World) -> None:
    waiting = world.draft("gold")
    world.edit(TIER, "Registered")
    apply_plan(waiting, world.org, world.ledger, pause=lambda _: None)
    assert world.held(TIER) == "Registered"
    assert world.run("gold") == [(TIER, "Registered", "waits")]


# --- beside the account

BESIDE = f"{STANDINGS.object}/A|channel|all"


@pytest.fixture
def with_record(world: World) -> World:
    """The same with a record of its category, which the worker has made."""
    world.fields = replace(FIELDS, sinks=(STANDINGS,))
    assert world.run() == []
    assert world.beside() == {"Tier": "Silver"}
    return world


def test_an_edit_beside_the_account_is_told_before_it_is_written_again(with_record: World) -> None:
    with_record.edit("Tier", "Gold", BESIDE)
    assert with_record.run() == [("Tier", "Gold", "waits")]
    (known,) = open_conflicts(with_record.ledger)
    assert (known.record_id, known.object, known.ours, known.found) == ("A|channel|all", "Standing", "Silver", "Gold")
    assert with_record.beside() == {"Tier": "Gold"}
    assert with_record.run() == [("Tier", "Gold", "restored")]
    assert with_record.beside() == {"Tier": "Silver"}
    assert open_conflicts(with_record.ledger) == []


def test_a_frozen_edit_beside_the_account_stays_until_it_is_taken_back(with_record: World) -> None:
    with_record.rules = Conflicts("freeze")
    with_record.edit("Tier", "Gold", BESIDE)
    for _ in range(2):
        assert with_record.run() == [("Tier", "Gold", "frozen")]
    with_record.edit("Tier", "Silver", BESIDE)
    assert with_record.run() == [("Tier", "Gold", "gone")]


def test_a_tier_beside_the_account_is_restored_where_those_of_accounts_are_adopted(with_record: World) -> None:
    with_record.rules = Conflicts("adopt")
    with_record.edit("Tier", "Gold", BESIDE)
    assert with_record.run() == [("Tier", "Gold", "waits")]
    assert with_record.run() == [("Tier", "Gold", "restored")]


def test_a_field_beside_the_account_that_was_emptied_is_an_edit_too(with_record: World) -> None:
    with_record.edit("Tier", None, BESIDE)
    assert with_record.run() == [("Tier", None, "waits")]


def test_a_record_beside_the_account_that_was_deleted_closes_its_edits_and_is_made_anew(
    with_record: World,
) -> None:
    with_record.edit("Tier", "Gold", BESIDE)
    with_record.run()
    with_record.org.store.execute("DELETE FROM record WHERE id = ?", (BESIDE,))
    assert with_record.run() == [("Tier", "Gold", "gone")]
    assert with_record.beside() == {"Tier": "Silver"}


# --- adopted tiers as overrides


def test_an_adopted_tier_of_a_partner_who_is_gone_is_no_override_any_more(ledger: Ledger, tmp_path: Path) -> None:
    """Merged into another, or deleted: it would be a rejected row in every run."""
    rows = [
        ConflictRow(
            partner, partner, partner, "Account", TIER, "Silver", "Gold", "adopt", "told", "run-1", "2026-11-01",
            "2027-01-30", None, "gold",
        )
        for partner in ("A", "B")
    ]  # fmt: skip
    record_conflicts(ledger, rows)
    staging = Staging(tmp_path / "s")
    kinds = {"partner_id": ColumnType.TEXT}
    count = write_table(staging.path("partners"), pa.table({"partner_id": ["A", "C"]}), kinds)
    staging.add(TableFile("partners", staging.path("partners"), count, kinds))
    add_adopted(staging, ledger)
    assert pq.read_table(staging.path("overrides"))["partner_id"].to_pylist() == ["A"]
