"""What waits is looked at again: still so, still the right person, still wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import insert, update

from crmsync.configuration import Configuration, load_configuration, packaged_folder
from crmsync.configuration_notices import EVENTS, Audience
from crmsync.errors import Retriable
from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger
from crmsync.notices import outbox as o
from crmsync.notices.events import GUARD_TRIPPED
from crmsync.notices.people import Suppressed
from crmsync.notices.sending import send_due, settle_lost
from crmsync.notices.templates import Templates
from crmsync.notices.waiting import let_go_of_plans
from crmsync.settings import Settings
from crmsync.telling import Teller
from tests.databases import Place
from tests.notices.facts import NOW, TODAY, a_notice, channels, rules, sending
from tests.notices.servers import Hook, Mailbox
from tests.notices.test_events import PROGRAM
from tests.notices.test_facts import remember
from tests.writeback.facts import a_snapshot, standing, standings

ANNA = {"partner_id": "A", "name": "Nordlicht", "mail": "anna@nordlicht.example", "out": "no"}


def teller_of(ledger: Ledger, templates: Templates, mailbox: Mailbox, **given: Any) -> Teller:
    """Tells partners by mail, in the daytime, after an approval unless it is said otherwise."""
    audience = Audience("partner", EVENTS["partner"], columns={"address": "mail", "opted_out": "out"})
    asked = rules("partner", audiences={"partner": audience}, **{"approve": True, **given})
    return Teller(
        ledger, cast(Configuration, None), Settings(), asked, templates, channels(mail=mailbox.url), Suppressed(), None,
        lambda: NOW, "granted_tier__c", "Account",
    )  # fmt: skip


@pytest.fixture
def teller(ledger: Ledger, templates: Templates, mailbox: Mailbox) -> Teller:
    return teller_of(ledger, templates, mailbox)


class Days:
    """Runs one after the other, each with a snapshot of its own."""

    def __init__(self, teller: Teller, folder: Path) -> None:
        self.teller, self.folder, self.count = teller, folder, 0

    def run(self, *rows: dict[str, Any], **person: Any) -> int:
        """Tell of these standings; `person`: what differs of Anna. Returns how many notices are new."""
        self.count += 1
        snapshot = a_snapshot(self.folder / f"snapshot-{self.count}", partners=[{**ANNA, **person}])
        return self.teller.tell(f"run-{self.count}", TODAY, PROGRAM, standings(list(rows)), snapshot).new


@pytest.fixture
def days(teller: Teller, tmp_path: Path) -> Days:
    return Days(teller, tmp_path)


def waits(ledger: Ledger) -> list[tuple[str, str, str | None]]:
    """Event, state and reason of every notice, oldest first."""
    return [(one.event, one.state, one.error) for one in o.notices_in(ledger)]


FALLING, SAFE = standing("A", "gold", risk_on=TODAY + timedelta(days=20)), standing("A", "gold")


def test_what_is_so_again_waits_anew(ledger: Ledger, days: Days) -> None:
    """Only who was told is not told again: a risk that went and came back was never told."""
    assert days.run(FALLING) == 1
    assert days.run(SAFE) == 0
    assert waits(ledger) == [("will_fall", "suppressed", o.GONE)]
    assert days.run(FALLING) == 1
    assert waits(ledger) == [("will_fall", "held", None)]
    o.approve(ledger, o.notices_in(ledger), "Ada")
    days.run(FALLING)
    assert (days.run(SAFE), days.run(FALLING)) == (0, 0)
    assert waits(ledger) == [("will_fall", "sent", None)]


def test_what_waits_says_how_many_days_are_left_today(
    ledger: Ledger, teller: Teller, days: Days, mailbox: Mailbox, tmp_path: Path
) -> None:
    """An approval may come ten days later; what a person has approved stays as it was approved."""
    days.run(FALLING)
    later = a_snapshot(tmp_path / "later", partners=[ANNA])
    for day in (5, 6):
        today = TODAY + timedelta(days=day)
        (held,) = o.notices_in(ledger, o.HELD)
        assert teller.tell(f"later-{day}", today, PROGRAM, standings([FALLING]), later).new == 0
        (now,) = o.notices_in(ledger, o.HELD)
        assert (now.notice_key, now.created_at) == (held.notice_key, held.created_at)
        assert f"in {20 - day} days" in now.subject
        assert f"for {20 - day} more days" in now.body
    o.approve(ledger, o.notices_in(ledger, o.HELD), "Ada")
    teller.tell("last", TODAY + timedelta(days=7), PROGRAM, standings([FALLING]), later)
    assert "in 14 days" in mailbox.mails[0]["Subject"]


def test_on_both_databases_only_what_was_let_go_waits_anew(place: Place) -> None:
    states = {name: a_notice(f"{name}@x.example", state=name) for name in (o.SENT, o.HELD, o.FAILED, o.UNKNOWN)}
    gone, out = (a_notice(f"{n}@x.example", state=o.SUPPRESSED, error=why) for n, why in enumerate([o.GONE, "listed"]))
    with place.open() as ledger:
        o.add_notices(ledger, [*states.values(), gone, out])
        anew = [replace(one, state=o.WAITING, error=None, body="anew") for one in (*states.values(), gone, out)]
        assert o.known_keys(ledger, [one.notice_key for one in anew]) == {
            one.notice_key for one in (*states.values(), out)
        }
        assert o.add_notices(ledger, anew) == 1
        assert [one.recipient for one in o.notices_in(ledger, o.WAITING)] == [gone.recipient]
        assert [one.body for one in o.notices_in(ledger) if one.body == "anew"] == ["anew"]


@pytest.mark.parametrize(
    ("person", "told"),
    [({"mail": "new@nordlicht.example"}, ["new@nordlicht.example"]), ({"mail": "gone"}, []), ({"out": "yes"}, [])],
)
def test_what_waits_goes_to_nobody_who_left_or_does_not_want_it(
    ledger: Ledger, days: Days, mailbox: Mailbox, person: dict[str, str], told: list[str]
) -> None:
    """An approval can come days later: the contact may be somebody else by then, or have opted out."""
    days.run(FALLING)
    days.run(FALLING, **person)
    o.approve(ledger, o.notices_in(ledger, o.HELD), "Ada")
    days.run(FALLING, **person)
    assert mailbox.recipients == told


def test_who_takes_somebodys_place_hears_what_is_to_come_and_not_what_was_told(
    ledger: Ledger, templates: Templates, mailbox: Mailbox, tmp_path: Path
) -> None:
    days = Days(teller_of(ledger, templates, mailbox, approve=False), tmp_path)
    remember(ledger, "run-1", ("A", "silver", "gold", "promoted"))
    days.run(FALLING)
    assert len(mailbox.mails) == 2
    days.run(FALLING, mail="new@nordlicht.example")
    assert mailbox.recipients.count("new@nordlicht.example") == 1
    assert [one.event for one in o.notices_in(ledger) if one.recipient == "new@nordlicht.example"] == ["will_fall"]


# --- the account does not hold it


def conflict(ledger: Ledger, **given: str) -> None:
    row = {
        "conflict_id": "c1", "record_id": "001A", "partner_id": "A", "object": "Account", "field": "granted_tier__c",
        "ours": "Gold", "found": "Silver", "policy": "restore", "state": "open", "run_id": "run-1",
        "found_at": "2026", "changed_at": "2026", "since": "2026", **given,
    }  # fmt: skip
    with ledger.writing() as connection:
        connection.execute(insert(t.conflict).values(row))


@pytest.mark.parametrize(
    ("given", "new"),
    [
        ({}, 0),
        ({"policy": "freeze", "state": "told"}, 0),
        ({"policy": "adopt"}, 0),  # it counts from the next run on
        ({"policy": "adopt", "state": "told"}, 1),
        ({"field": "why__c"}, 1),
        ({"object": "Partner_Standing__c"}, 1),  # of a record beside the account, whose field has the same name
        ({"state": "restored"}, 1),
    ],
)
def test_a_tier_is_not_told_while_the_account_holds_one_that_was_set_by_hand(
    ledger: Ledger, days: Days, given: dict[str, str], new: int
) -> None:
    conflict(ledger, **given)
    assert days.run(FALLING) == new


def test_what_waits_stays_while_the_account_does_not_hold_the_tier_any_more(
    ledger: Ledger, days: Days, mailbox: Mailbox
) -> None:
    days.run(FALLING)
    o.approve(ledger, o.notices_in(ledger, o.HELD), "Ada")
    conflict(ledger)
    days.run(FALLING)
    assert (mailbox.mails, [one[1] for one in waits(ledger)]) == ([], ["approved"])
    with ledger.writing() as connection:
        connection.execute(update(t.conflict).values(state="restored"))
    days.run(FALLING)
    assert len(mailbox.mails) == 1


def test_who_has_no_account_is_told_nothing(teller: Teller, tmp_path: Path) -> None:
    snapshot = a_snapshot(tmp_path / "snapshot", partners=[ANNA])
    rows = standings([FALLING])
    assert teller.tell("run-1", TODAY, PROGRAM, rows, snapshot, ["A"]).new == 0
    assert teller.tell("run-2", TODAY, PROGRAM, rows, snapshot).new == 1


def test_an_edit_is_told_by_the_run_that_knows_whom_to_tell(
    ledger: Ledger, templates: Templates, mailbox: Mailbox, tmp_path: Path
) -> None:
    """Without its snapshot a run cannot tell the owner, and an edit that counts as told would be written again."""
    teller = teller_of(ledger, templates, mailbox)
    owner = Audience("owner", EVENTS["owner"], columns={"address": "mail"})
    teller = replace(teller, rules=rules("owner", audiences={"owner": owner}))
    conflict(ledger)
    assert teller.tell("run-1", TODAY, PROGRAM, standings([SAFE]), None).new == 0
    snapshot = a_snapshot(tmp_path / "snapshot", partners=[ANNA])
    assert teller.tell("run-2", TODAY, PROGRAM, standings([SAFE]), snapshot).new == 1
    assert teller.tell("run-3", TODAY, PROGRAM, standings([SAFE]), snapshot).new == 0


# --- the rules have changed


def test_an_approval_that_is_asked_for_by_now_is_asked_for_what_waits_too(
    ledger: Ledger, templates: Templates, mailbox: Mailbox
) -> None:
    o.add_notices(ledger, [a_notice()])
    asked = rules("partner", approve=True)
    assert send_due(sending(ledger, templates, asked, mail=mailbox.url), NOW).open == {"held": 1}
    o.approve(ledger, o.notices_in(ledger, o.HELD), "Ada")
    assert send_due(sending(ledger, templates, asked, mail=mailbox.url), NOW).sent == 1


@pytest.mark.parametrize("told", [("owner",), ("partner",)])
def test_what_nobody_is_told_any_more_does_not_leave(
    ledger: Ledger, templates: Templates, mailbox: Mailbox, told: Sequence[str]
) -> None:
    o.add_notices(ledger, [a_notice(created_at=NOW.isoformat())])
    asked = rules(*told)
    audiences = {name: replace(one, events=("grace",)) for name, one in asked.audiences.items()}
    going = sending(ledger, templates, replace(asked, audiences=audiences), mail=mailbox.url)
    assert send_due(going, NOW).later == 1
    send_due(going, NOW + timedelta(days=15))
    assert (mailbox.mails, o.count_states(ledger)) == ([], {"suppressed": 1})


def test_what_has_no_place_to_go_to_is_let_go_in_time(ledger: Ledger, templates: Templates) -> None:
    waiting = {"audience": "operator", "channel": "chat", "partner_id": None, "created_at": NOW.isoformat()}
    o.add_notices(ledger, [a_notice("operator/slack", **waiting)])
    for days, state in ((13, "waiting"), (15, "suppressed")):
        send_due(sending(ledger, templates), NOW + timedelta(days=days))
        assert o.count_states(ledger) == {state: 1}


# --- what nobody knows


def test_a_notice_that_nobody_knows_of_is_told_once_for_each_try(
    ledger: Ledger, templates: Templates, hook: Hook
) -> None:
    """Not again, either, when somebody has settled one of several."""
    lost = [a_notice(f"p{number}@x.example", state=o.UNKNOWN, attempts=1) for number in range(3)]
    o.add_notices(ledger, lost)
    teller = Teller(
        ledger, load_configuration(packaged_folder()), Settings(), rules("operator"), templates,
        channels(operator=hook.url()),
        Suppressed(), None, lambda: NOW,
    )  # fmt: skip

    def go() -> int:
        teller._settle("run-1", TODAY)
        return len(o.notices_of(ledger, "notice_unknown"))

    assert (go(), go()) == (1, 1)
    with ledger.writing() as connection:
        connection.execute(update(t.notice).where(t.notice.c.recipient == "p0@x.example").values(state=o.SENT))
    assert go() == 1
    with ledger.writing() as connection:
        connection.execute(update(t.notice).where(t.notice.c.recipient == "p1@x.example").values(attempts=2))
    assert go() == 2  # approved, sent once more, and lost once more


# --- plans


def test_that_a_plan_waits_is_told_while_it_does(ledger: Ledger, templates: Templates, hook: Hook) -> None:
    over = [a_notice("sales_ops/json", event=GUARD_TRIPPED, audience="sales_ops", channel="chat", partner_id=None,
                     period=digest) for digest in ("old", "new")]  # fmt: skip
    o.add_notices(ledger, over)
    let_go_of_plans(ledger, "new")
    assert send_due(sending(ledger, templates, sales_ops=hook.url()), NOW).sent == 1
    assert [(one.period, one.state) for one in o.notices_in(ledger)] == [("old", "suppressed"), ("new", "sent")]


# --- tasks, while the CRM is away


class Away:
    """A place of tasks that does not answer."""

    def __init__(self) -> None:
        self.calls = 0

    def present(self, _notices: object) -> frozenset[str]:
        self.calls += 1
        raise Retriable("the org does not answer")


def test_tasks_that_cannot_be_looked_up_keep_nobody_from_being_told(
    ledger: Ledger, templates: Templates, hook: Hook
) -> None:
    """That the org is away is just what the operator is to hear."""
    task = a_notice("005", audience="owner", channel="task", state=o.SENDING, sent_at=NOW.isoformat())
    o.add_notices(ledger, [task, a_notice("operator/json", audience="operator", channel="chat", event="run_failed",
                                          partner_id=None)])  # fmt: skip
    by_task = rules("owner", "operator")
    audiences = {**by_task.audiences, "owner": replace(by_task.audiences["owner"], by="task")}
    going = sending(ledger, templates, replace(by_task, audiences=audiences), operator=hook.url())
    going = replace(going, tasks=cast(Any, Away()))
    assert settle_lost(going) == []
    send_due(going, NOW)
    assert o.count_states(ledger) == {"sending": 1, "sent": 1}
    # nobody is told by tasks any more: nobody will look it up
    (lost,) = settle_lost(sending(ledger, templates, by_task))
    assert (lost.recipient, o.count_states(ledger)) == ("005", {"unknown": 1, "sent": 1})
