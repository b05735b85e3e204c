"""Anything in any order: extracts that lose rows, assessments, writes, deaths, faults, edits, deletions, merges, lost
fields, quota, configurations, jumping clocks, and notices of it all.

A Hypothesis state machine over the belt of `stories.py`. After every step: no write is lost or doubled, what is applied
carries our token and the ledger agrees, no edit of a person is overwritten unseen, no mass demotion is written
unapproved, nobody hears of a tier that is not written, or twice, and the audit chain is whole. `SOAK_MACHINE` (make
soak) says how many stories are told.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from crmsync import failpoints
from crmsync.configuration import packaged_folder
from crmsync.configuration_conflicts import POLICIES, Conflicts, Policy
from crmsync.errors import Conflict, CrmsyncError, Deferred, UnsafePlan
from crmsync.ledger import tables as t
from crmsync.ledger.approvals import approve
from crmsync.ledger.chain import verify_chain
from crmsync.notices import outbox as o
from crmsync.notices.templates import Templates, open_templates
from crmsync.writeback.apply import check_open
from tests.notices.servers import Mailbox, Post
from tests.writeback.facts import FIELDS
from tests.writeback.org import Fault
from tests.writeback.stories import ERROR, LOSSES, MOST_DEMOTIONS, TIER, TIERS, TOKEN, Belt, Drafted

STORIES = int(os.environ.get("SOAK_MACHINE", "8"))
STEPS = 18
RECORDS = [f"001{n:02}" for n in range(12)]
MOVED = ("promoted", "demoted")
EDITED = (TIER, "risk__c", "why__c")
ANSWERS = ("250 OK", "250 OK", "451 later", "554 spam", "break after")
SEEN = frozenset({o.SENT, o.UNKNOWN, o.SENDING})
"""States of a notice that may have arrived."""


class Died(BaseException):
    """The process was killed here."""


class Machine(RuleBasedStateMachine):
    template: Path
    templates: Templates
    mailbox: Mailbox

    def __init__(self) -> None:
        super().__init__()
        self.belt = Belt(self.template, self.templates, self.mailbox, self.fault)
        self.org = self.belt.org
        self.faults: list[Fault] = []
        self.edits: dict[tuple[str, str], str] = {}
        self.blocked: Drafted | None = None
        self.made = self.heard = self.steps_seen = 0
        self.owed: dict[str, str] = {}  # partner -> the tier that it must hear of, once its account holds it
        self.ahead = timedelta()

    def teardown(self) -> None:
        self.belt.close()

    def fault(self, call: str) -> Fault:
        return self.faults.pop(0) if self.faults and call != "read" else None

    # What happens

    @initialize()
    def fill(self) -> None:
        self.mailbox.mails.clear()
        self.mailbox.content.clear()
        for record in RECORDS:
            self.belt.tiers[record] = "silver"
            self.org.put(record, dict.fromkeys((*FIELDS.names, ERROR)))
        with self.now():
            self.one_run("nothing")

    @rule(
        days=st.sampled_from([1, 1, 1, 0]),
        moved=st.one_of(
            st.dictionaries(st.sampled_from(RECORDS), st.sampled_from(TIERS), max_size=2),
            st.dictionaries(st.sampled_from(RECORDS), st.sampled_from(TIERS), max_size=9),
        ),
        loss=st.one_of(st.just("nothing"), st.just("nothing"), st.sampled_from([*LOSSES])),
        dies=st.one_of(st.none(), st.integers(1, 40)),
        faults=st.lists(st.sampled_from([None, "before", "after"]), max_size=4),
        mails=st.lists(st.sampled_from(ANSWERS), max_size=4),
        bulk=st.booleans(),
        edited_meanwhile=st.booleans(),
    )
    def run(
        self,
        days: int,
        moved: dict[str, str],
        loss: str,
        dies: int | None,
        faults: list[Fault],
        mails: list[str],
        bulk: bool,
        edited_meanwhile: bool,
    ) -> None:
        """What partners have reached changes, and a run follows, mostly on the next day; it may read too little, be
        killed, and neither the CRM nor the mail server may answer."""
        self.ahead += timedelta(days=days)
        self.belt.tiers |= moved
        self.faults, self.mailbox.content[:] = list(faults), mails
        self.org.bulk_from = 1 if bulk else None
        with self.now(), dying(dies):
            try:
                self.one_run(loss, edited_meanwhile)
            except Died:
                self.belt.start_again()
        self.faults.clear()
        self.mailbox.content.clear()

    @rule(moved=st.dictionaries(st.sampled_from(RECORDS), st.sampled_from(TIERS), max_size=1))
    def next_day(self, moved: dict[str, str]) -> None:
        """A day like others, on which whatever was left open is brought to its end."""
        self.belt.tiers |= moved
        self.ahead += timedelta(days=1)
        with self.now():
            self.one_run("nothing")

    @rule(record=st.sampled_from(RECORDS), name=st.sampled_from(EDITED), tier=st.sampled_from(["", "Gold", "Silver"]))
    def edit(self, record: str, name: str, tier: str = "") -> None:
        """Somebody edits a computed field."""
        if record not in self.org.effects():
            return
        self.made += 1
        value = tier if tier and name == TIER else f"by hand {self.made}"
        if self.org.held(record)[name] != value:
            self.org.put(record, {**self.org.held(record), name: value})
            self.edits[record, name] = value

    @rule(record=st.sampled_from(RECORDS[-3:]))
    def delete(self, record: str) -> None:
        """An account is deleted."""
        self.org.delete(record)
        self.forget(record)

    @rule(loser=st.sampled_from(RECORDS[-3:]), survivor=st.sampled_from(RECORDS[:3]))
    def merge(self, loser: str, survivor: str) -> None:
        """An account is merged into another one, which takes what it has reached."""
        if loser in self.org.effects():
            self.org.merge(loser, survivor)
            reached = (self.belt.tiers[loser], self.belt.tiers[survivor])
            self.belt.tiers[survivor] = max(reached, key=TIERS.index)
            self.forget(loser)

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

    @rule(lost=st.dictionaries(st.sampled_from(EDITED), st.booleans(), max_size=2))
    def drop(self, lost: dict[str, bool]) -> None:
        """Fields are made read-only or taken away, or may be written again."""
        self.org.lost = lost

    @rule(policy=st.sampled_from(POLICIES))
    def configure(self, policy: Policy) -> None:
        """The configuration is changed: edits by hand are met otherwise."""
        self.belt.config += "'"
        self.belt.policy = Conflicts(policy)

    @rule(hours=st.integers(-30, 30))
    def jump(self, hours: int) -> None:
        """The clock jumps, in either direction."""
        self.ahead += timedelta(hours=hours)

    @precondition(lambda self: self.blocked is not None)
    @rule()
    def approve(self) -> None:
        """Somebody approves the blocked plan, and it is applied."""
        assert self.blocked is not None
        drafted, self.blocked = self.blocked, None
        plan = drafted.plan
        with self.now():
            approve(self.belt.ledger, plan.digest, "Ann")
            try:
                check_open(plan, self.belt.ledger, config_digest=self.belt.config)
            except Conflict:
                assert plan.basis.config_digest != self.belt.config or self.superseded(plan.digest)
                return
            self.write(drafted)

    def forget(self, record: str) -> None:
        self.edits = {place: value for place, value in self.edits.items() if place[0] != record}

    # A run

    def one_run(self, loss: str, edited_meanwhile: bool = False) -> None:
        meanwhile = (lambda: self.edit(RECORDS[self.made % 5], TIER)) if edited_meanwhile else None
        there = len(self.org.effects())
        drafted = self.belt.run(loss, meanwhile)
        if drafted is None:
            return
        lost = there - drafted.snapshot.tables["partners"].rows
        if drafted.plan.blocked:
            self.blocked = drafted
            return
        assert not lost, f"{lost} of {there} partners were not read, and nothing was blocked"
        assert len(self.belt.demoted(drafted.table)) <= MOST_DEMOTIONS, "a mass demotion was not blocked"
        self.blocked = None
        self.write(drafted)

    def write(self, drafted: Drafted) -> None:
        try:
            outcomes = self.belt.write(drafted)
        except Deferred:
            assert self.org.used >= 700
            return
        except (UnsafePlan, CrmsyncError):  # a canary that was edited, no answer at all: a later run goes on
            return
        self.everybody_has_heard(drafted)
        if outcomes.clean and not self.org.lost:
            assert not self.belt.disagreements(), "the ledger knows of another token than the account"
            assert not self.belt.again(drafted), "a second plan over a clean one is not empty"

    def everybody_has_heard(self, drafted: Drafted) -> None:
        """Whoever has moved, and whose account says so, has a notice: of this run, or of one that was killed."""
        self.note_moves()
        rows = {row["partner_id"]: row["granted_tier"] for row in drafted.table.to_pylist()}
        waits = self.belt.unwritten() | set(drafted.plan.unknown_partners)
        told = {(one.partner_id, one.period.rpartition(">")[2]) for one in self.notices() if one.state != o.SUPPRESSED}
        for partner, tier in list(self.owed.items()):
            if rows.get(partner) == tier and partner not in waits:
                assert (partner, tier) in told, f"{partner} was never told of {tier}"
                del self.owed[partner]

    def note_moves(self) -> None:
        steps = self.belt.steps()
        for step in steps[self.steps_seen :]:
            self.owed.pop(step.partner_id, None)
            if step.from_tier and step.to_tier and step.movement != "entered":
                self.owed[step.partner_id] = step.to_tier
        self.steps_seen = len(steps)

    def notices(self) -> list[o.Notice]:
        return [one for one in o.notices_in(self.belt.ledger) if one.event in MOVED]

    def superseded(self, digest: str) -> bool:
        with self.belt.ledger.reading() as connection:
            states = connection.execute(select(t.plan.c.state).where(t.plan.c.digest == digest)).scalars()
            return "superseded" in set(states)

    @contextlib.contextmanager
    def now(self) -> Iterator[None]:
        with time_machine.travel(datetime.now(UTC) + self.ahead, tick=True):
            yield

    # What holds after every step

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        applied, sent = Counter[str](), Counter[str]()
        for one in self.belt.intents():
            applied[one.record_id] += one.state == "applied"
            sent[one.record_id] += one.attempts > 0
        for record, effects in self.org.effects().items():
            assert applied[record] <= effects <= sent[record], record

    @invariant()
    def an_intent_ends_once(self) -> None:
        assert max(self.belt.applied().values(), default=0) <= 1

    @invariant()
    def what_was_written_carries_our_token(self) -> None:
        tokens = {one.token for one in self.belt.intents()}
        for record in self.org.effects():
            held = self.org.held(record)[TOKEN]
            assert held is None or held in tokens

    @invariant()
    def no_edit_is_overwritten_unseen(self) -> None:
        with self.belt.ledger.reading() as connection:
            rows = connection.execute(select(t.conflict.c.record_id, t.conflict.c.field, t.conflict.c.found))
            known = {(row.record_id, row.field, row.found) for row in rows}
        for (record, name), value in list(self.edits.items()):
            if self.org.held(record)[name] != value:
                assert (record, name, value) in known, f"{value} on {record} was overwritten unseen"
                del self.edits[record, name]

    @invariant()
    def no_notice_leaves_twice_or_unseen(self) -> None:
        got = Counter(mail["Message-ID"].strip("<>").partition("@")[0] for mail in self.mailbox.mails)
        assert max(got.values(), default=0) <= 1, "a notice was sent twice"
        states = {one.notice_key: one.state for one in o.notices_in(self.belt.ledger)}
        assert all(states.get(key) in SEEN for key in got), "a mail left of which the outbox does not know"
        assert {key for key, state in states.items() if state == o.SENT} <= set(got), "sent is what nobody got"

    @invariant()
    def nobody_hears_of_a_tier_that_is_not_written(self) -> None:
        """Of each mail since the last step: the account was written with that tier and with no other after it, or a
        person had set it there and it was adopted."""
        notices = {one.notice_key: one for one in self.notices()}
        new, self.heard = self.mailbox.mails[self.heard :], len(self.mailbox.mails)
        applied = self.belt.applied()
        tiers: dict[str, str] = {}
        for one in sorted(self.belt.intents(), key=lambda one: one.created_at):
            if applied[one.intent_id] and TIER in (wanted := wanted_of(one)):
                tiers[one.partner_id] = str(wanted[TIER])
        for mail in new:
            one = notices.get(mail["Message-ID"].strip("<>").partition("@")[0])
            if one is not None:
                told = one.period.rpartition(">")[2]
                partner = str(one.partner_id)
                held = (self.org.held(partner)[TIER] or "").lower()
                written = tiers.get(partner, "").lower()
                assert told in (written, held), f"{partner} heard of {told}, its account got {written}, holds {held}"

    @invariant()
    def the_chain_is_whole(self) -> None:
        assert not verify_chain(self.belt.ledger).faults


def wanted_of(row: Any) -> dict[str, str | None]:
    return dict(json.loads(row.wanted))


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


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with Post() as opened:
        yield opened


@pytest.mark.timeout(120 + 20 * STORIES)
def test_any_story_ends_well(template: Path, mailbox: Mailbox, tmp_path: Path) -> None:
    texts = open_templates(tmp_path / "own", packaged_folder() / "notices")
    kind = type("OfTemplate", (Machine,), {"template": template, "templates": texts, "mailbox": mailbox})
    told = settings(
        max_examples=STORIES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(kind, settings=told)
