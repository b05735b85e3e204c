"""Anything in any order: runs, deaths, faults, edits, deletions, lost fields, quota, configurations, jumping clocks.

A Hypothesis state machine over ledger, plan, guards, conflicts and outbox, against the small org. After every step: no
write is lost or doubled, what is applied carries our token, no edit of a person is overwritten unseen, no mass demotion
is written unapproved, and the audit chain is whole. `SOAK_MACHINE` (make soak) says how many stories are told.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from crmsync import failpoints
from crmsync.configuration_conflicts import Conflicts
from crmsync.connectors.base import Unwritable
from crmsync.errors import Conflict, CrmsyncError, Deferred, UnsafePlan
from crmsync.ledger import tables as t
from crmsync.ledger.approvals import approve
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.ledger import Ledger
from crmsync.people_edits import keep_edits, settle_edits, watch_of
from crmsync.writeback.apply import accept_plan, apply_plan, check_open, settle_open_intents
from crmsync.writeback.plan import Drafting, Plan, draft_plan
from crmsync.writeback.planfile import save_plan
from tests.writeback.facts import AS_OF, FIELDS, a_program, a_snapshot, standing, standings
from tests.writeback.org import Fault, Org

STORIES = int(os.environ.get("SOAK_MACHINE", "12"))
STEPS = 18
RECORDS = [f"001{n:02}" for n in range(12)]
TIERS = ("registered", "silver", "gold")
TIER, TOKEN = "granted_tier__c", "token__c"
MOST_DEMOTIONS = 5  # of a program with fewer than 100 partners
EDITED = (TIER, "risk__c", "why__c")


class Died(BaseException):
    """The process was killed here."""


class MeteredOrg(Org):
    """The small org with an allowance of calls, and fields that become read-only."""

    used = 0
    lost: frozenset[str] = frozenset()

    def unwritable(self, fields: Sequence[str]) -> dict[str, Unwritable]:
        return {name: Unwritable("made read-only", hidden=False) for name in fields if name in self.lost}

    @property
    def api_usage(self) -> tuple[int, int]:
        return self.used, 1000

    @property
    def calls_used(self) -> int:
        return 0


class Machine(RuleBasedStateMachine):
    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.state = Path(shutil.copytree(self.template, self.folder / "state"))
        self.ledger = Ledger.open(self.state)
        self.org = MeteredOrg(fault=self.fault)
        self.faults: list[Fault] = []
        self.edits: dict[tuple[str, str], str] = {}
        self.tiers = dict.fromkeys(RECORDS, "silver")
        self.accepted: pa.Table | None = None
        self.blocked: tuple[Plan, pa.Table] | None = None
        self.config = "one"
        self.runs = self.made = 0
        self.ahead = timedelta()

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fault(self, call: str) -> Fault:
        return self.faults.pop(0) if self.faults and call != "read" else None

    # What happens

    @initialize()
    def fill(self) -> None:
        for record in RECORDS:
            self.org.put(record, dict.fromkeys(FIELDS.names))
        self.one_run()

    @rule(
        moved=st.dictionaries(st.sampled_from(RECORDS), st.sampled_from(TIERS), max_size=9),
        dies=st.one_of(st.none(), st.integers(1, 30)),
        faults=st.lists(st.sampled_from([None, "before", "after"]), max_size=4),
        bulk=st.booleans(),
        edited_meanwhile=st.booleans(),
    )
    def run(
        self, moved: dict[str, str], dies: int | None, faults: list[Fault], bulk: bool, edited_meanwhile: bool
    ) -> None:
        """Tiers move and a run writes them; it may be killed, and the CRM may not answer."""
        self.tiers |= moved
        self.faults = list(faults)
        self.org.bulk_from = 1 if bulk else None
        with dying(dies):
            try:
                self.one_run(edited_meanwhile)
            except Died:
                self.start_again()
        self.faults = []

    @rule(record=st.sampled_from(RECORDS), name=st.sampled_from(EDITED))
    def edit(self, record: str, name: str) -> None:
        """Somebody edits a computed field."""
        if record not in self.org.effects():
            return
        self.made += 1
        value = f"by hand {self.made}"
        self.org.put(record, {**self.org.held(record), name: value})
        self.edits[record, name] = value

    @rule(record=st.sampled_from(RECORDS[-3:]))
    def delete(self, record: str) -> None:
        """An account is deleted, or merged into another one."""
        self.org.delete(record)
        self.edits = {place: value for place, value in self.edits.items() if place[0] != record}

    @rule(record=st.sampled_from(RECORDS), refused=st.booleans())
    def refuse(self, record: str, refused: bool) -> None:
        """A validation rule refuses a record, or lets it pass again."""
        if refused:
            self.org.refuses[record] = "fill in the region first"
        else:
            self.org.refuses.pop(record, None)

    @rule(used=st.sampled_from([0, 0, 700, 900]))
    def quota(self, used: int) -> None:
        """Other clients use up the day's allowance, or it is renewed."""
        self.org.used = used

    @rule(lost=st.sets(st.sampled_from(EDITED), max_size=2))
    def drop(self, lost: set[str]) -> None:
        """Fields are made read-only, or may be written again."""
        self.org.lost = frozenset(lost)

    @rule()
    def configure(self) -> None:
        """The configuration is changed."""
        self.config += "'"

    @rule(hours=st.integers(-30, 30))
    def jump(self, hours: int) -> None:
        """The clock jumps, in either direction."""
        self.ahead += timedelta(hours=hours)

    @precondition(lambda self: self.blocked is not None)
    @rule()
    def approve(self) -> None:
        """Somebody approves the blocked plan, and it is applied."""
        assert self.blocked is not None
        plan, table = self.blocked
        self.blocked = None
        with self.now():
            approve(self.ledger, plan.digest, "Ann")
            try:
                check_open(plan, self.ledger, config_digest=self.config)
            except Conflict:
                assert plan.basis.config_digest != self.config or self.superseded(plan)
                return
            self.write(plan, table)

    # A run

    def one_run(self, edited_meanwhile: bool = False) -> None:
        with self.now():
            self.runs += 1
            run_id = self.ledger.start_run("run")
            settle_open_intents(self.ledger, self.org, pause=lambda _: None)
            there = self.org.effects()
            rows = [standing(record, tier) for record, tier in self.tiers.items()]
            table = standings(rows)
            plan = self.drafted(run_id, table, there)
            save_plan(plan, self.ledger)
            keep_edits(self.ledger, plan)
            if edited_meanwhile:
                self.edit(RECORDS[self.runs % 5], TIER)
            if plan.blocked:
                self.blocked = (plan, table)
                return
            assert len(self.demoted(table)) <= MOST_DEMOTIONS, "a mass demotion was not blocked"
            self.blocked = None
            self.write(plan, table)

    def drafted(self, run_id: str, table: pa.Table, there: Counter[str] | dict[str, int]) -> Plan:
        path = self.state / f"{run_id}.parquet"
        pq.write_table(table, path)
        folder = self.folder / f"snapshot-{run_id}-{self.made}-{len(list(self.folder.iterdir()))}"
        snapshot = a_snapshot(folder, {record: self.org.held(record) for record in there})
        watch = watch_of(self.ledger, Conflicts())
        given = Drafting(config_digest=self.config, standings_path=str(path), previous=self.accepted, watch=watch)
        return draft_plan(a_program(), table, snapshot, FIELDS, run_id, AS_OF, given)

    def write(self, plan: Plan, table: pa.Table) -> None:
        try:
            outcomes = apply_plan(plan, self.org, self.ledger, pause=lambda _: None)
        except Deferred:
            assert self.org.used >= 700
            return
        except (UnsafePlan, CrmsyncError):  # a canary that was edited, no answer at all: a later run goes on
            return
        settle_edits(self.ledger, plan, told=True)
        accept_plan(plan, self.ledger, table, plan.run_id)
        self.accepted = table
        if outcomes.clean:
            again = self.drafted(f"{plan.run_id}-again", table, self.org.effects())
            waits = {(edit.record_id, edit.field) for edit in again.hand_edits}
            left = [(one.record_id, name) for one in again.changes for name in one.values]
            left = [place for place in left if place[1] not in self.org.lost]
            assert not {*left} - waits, "a second plan over a clean one is not empty"

    def demoted(self, table: pa.Table) -> list[str]:
        if self.accepted is None:
            return []
        before, now = (
            {row["partner_id"]: TIERS.index(row["granted_tier"]) for row in one.to_pylist()}
            for one in (self.accepted, table)
        )
        return [partner for partner, rank in now.items() if rank < before[partner]]

    def superseded(self, plan: Plan) -> bool:
        with self.ledger.reading() as connection:
            states = connection.execute(select(t.plan.c.state).where(t.plan.c.digest == plan.digest)).scalars()
            return "superseded" in set(states)

    def start_again(self) -> None:
        """The kernel frees the lock of a process that is gone; the next one opens the ledger."""
        self.ledger.close()
        self.ledger = Ledger.open(self.state)

    @contextlib.contextmanager
    def now(self) -> Iterator[None]:
        with time_machine.travel(datetime.now(UTC) + self.ahead, tick=True):
            yield

    # What holds after every step

    def intents(self) -> list[Any]:
        with self.ledger.reading() as connection:
            return list(connection.execute(select(t.intent)).all())

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        applied, sent = Counter[str](), Counter[str]()
        for one in self.intents():
            applied[one.record_id] += one.state == "applied"
            sent[one.record_id] += one.attempts > 0
        for record, effects in self.org.effects().items():
            assert applied[record] <= effects <= sent[record], record

    @invariant()
    def an_intent_ends_once(self) -> None:
        with self.ledger.reading() as connection:
            ended = connection.execute(select(t.outcome.c.intent_id).where(t.outcome.c.state == "applied")).scalars()
            assert max(Counter(ended).values(), default=0) <= 1

    @invariant()
    def what_was_written_carries_our_token(self) -> None:
        tokens = {one.token for one in self.intents()}
        for record in self.org.effects():
            held = self.org.held(record)[TOKEN]
            assert held is None or held in tokens

    @invariant()
    def no_edit_is_overwritten_unseen(self) -> None:
        with self.ledger.reading() as connection:
            rows = connection.execute(select(t.conflict.c.record_id, t.conflict.c.field, t.conflict.c.found))
            known = {(row.record_id, row.field, row.found) for row in rows}
        for (record, name), value in list(self.edits.items()):
            if self.org.held(record)[name] != value:
                assert (record, name, value) in known, f"{value} on {record} was overwritten unseen"
                del self.edits[record, name]

    @invariant()
    def the_chain_is_whole(self) -> None:
        assert not verify_chain(self.ledger).faults


@contextlib.contextmanager
def dying(nth: int | None) -> Iterator[None]:
    """Die at the n-th failpoint that is reached; never where it is None."""
    if nth is None:
        yield
        return

    def kill(*_: object) -> None:
        raise Died

    shim = SimpleNamespace(environ={failpoints.ENVIRONMENT: f"{failpoints.ANY}:{nth}"}, kill=kill, getpid=os.getpid)
    with patch.object(failpoints, "os", shim), patch.object(failpoints, "_reached", {}):
        yield


@pytest.mark.timeout(120 + 20 * STORIES)
def test_any_story_ends_well(template: Path) -> None:
    kind = type("OfTemplate", (Machine,), {"template": template})
    told = settings(
        max_examples=STORIES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
    )
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(kind, settings=told)
