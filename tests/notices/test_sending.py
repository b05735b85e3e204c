"""Sending over a real mail server and a real webhook: each notice once, however the other side and the process end."""

from __future__ import annotations

import json
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from crmsync import stopping
from crmsync.errors import ConfigError
from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger
from crmsync.notices import outbox as o
from crmsync.notices import sending as s
from crmsync.notices.digests import digests_of
from crmsync.notices.outbox import Notice
from crmsync.notices.people import Suppressed
from crmsync.notices.sending import Sent, send_due, settle_lost
from crmsync.notices.templates import Templates
from tests.databases import Place
from tests.notices.facts import ANNA, NOW, a_notice, channels, rules, sending
from tests.notices.servers import Hook, Mailbox

DEAD = "mailto://127.0.0.1:9?from=a@vendor.example"  # nobody listens at the discard port


def chat(name: str = "operator/json", **given: Any) -> Notice:
    return a_notice(
        name, **{"event": "run_failed", "audience": "operator", "channel": "chat", "partner_id": None, **given}
    )


def states(ledger: Ledger) -> dict[str, int]:
    return o.count_states(ledger)


def audited(ledger: Ledger) -> list[str]:
    with ledger.reading() as connection:
        rows = connection.execute(select(t.audit.c.event, t.audit.c.content).order_by(t.audit.c.sequence)).all()
    assert not [row for row in rows if "@" in row.content]  # no address, no text
    return [row.event for row in rows if row.event.startswith("notice")]


# --- once


def test_a_notice_is_sent_once_and_a_repeated_run_sends_nothing(
    place: Place, templates: Templates, mailbox: Mailbox
) -> None:
    notice = a_notice(html="<p>You are <b>Gold</b>.</p>")
    with place.open() as ledger:
        for _ in range(3):
            o.add_notices(ledger, [notice])
            send_due(sending(ledger, templates, mail=mailbox.url), NOW)
        assert states(ledger) == {"sent": 1}
        assert audited(ledger) == ["notice_sent"]
    (mail,) = mailbox.mails
    assert (mail["To"], mail["Subject"]) == (ANNA.recipient, "Gold")
    assert mail["From"] == "Partner Team <partners@vendor.example>"
    assert mail["Message-ID"] == f"<{notice.notice_key}@vendor.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mailbox.text().strip() == "You are Gold."
    html = mail.get_body(("html",))
    assert html is not None
    assert "<b>Gold</b>" in html.get_content()


def died(state: Path, act: Callable[[Ledger], object]) -> None:
    """Run in a process of its own that kills itself."""
    with warnings.catch_warnings():  # the server beside us is a thread; the child touches nothing of it
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            with Ledger.open(state) as ledger:
                act(ledger)
        finally:
            os._exit(7)  # it should have died before
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def kill_at(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    monkeypatch.setattr(module, name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))


def test_who_dies_between_sending_and_recording_sends_nothing_twice_and_says_so(
    state: Path, templates: Templates, mailbox: Mailbox
) -> None:
    with Ledger.open(state) as ledger:
        o.add_notices(ledger, [a_notice(), a_notice("second@x.example")])

    def dies_after_sending(ledger: Ledger) -> None:
        with pytest.MonkeyPatch.context() as patched:
            kill_at(patched, s.o, "record_sent")
            send_due(sending(ledger, templates, mail=mailbox.url), NOW)

    died(state, dies_after_sending)
    assert len(mailbox.mails) == 1
    with Ledger.open(state) as ledger:
        after = sending(ledger, templates, mail=mailbox.url)
        (unsure,) = settle_lost(after)
        assert settle_lost(after) == []
        send_due(after, NOW)
        assert states(ledger) == {"sent": 1, "unknown": 1}
        assert mailbox.recipients.count(unsure.recipient) == 1
        assert audited(ledger) == ["notice_unknown", "notice_sent"]
        # a person decides; what then leaves says that it may be the second one
        assert o.approve(ledger, [o.notice_of(ledger, unsure.reference)], "Ada") == 1
        send_due(after, NOW)
        assert states(ledger) == {"sent": 2}
    assert mailbox.text().startswith("Second try; the first one was not confirmed.")


def test_who_dies_before_sending_leaves_what_nobody_knows(state: Path, templates: Templates, mailbox: Mailbox) -> None:
    with Ledger.open(state) as ledger:
        o.add_notices(ledger, [a_notice()])

    def dies_before_sending(ledger: Ledger) -> None:
        with pytest.MonkeyPatch.context() as patched:
            kill_at(patched, s._Senders, "send")
            send_due(sending(ledger, templates, mail=mailbox.url), NOW)

    died(state, dies_before_sending)
    with Ledger.open(state) as ledger:
        settle_lost(sending(ledger, templates, mail=mailbox.url))
        send_due(sending(ledger, templates, mail=mailbox.url), NOW)
        assert states(ledger) == {"unknown": 1}
    assert mailbox.mails == []


# --- what the other side says


@pytest.mark.parametrize(
    ("answer", "becomes", "words"),
    [("550 no such user", "failed", "answered 550 no such user"), ("450 greylisted", "waiting", "answered 450")],
)
def test_a_recipient_that_is_refused_is_not_tried_again_unless_it_is_for_now(
    ledger: Ledger, templates: Templates, mailbox: Mailbox, answer: str, becomes: str, words: str
) -> None:
    o.add_notices(ledger, [a_notice(), a_notice("second@x.example")])
    mailbox.answers[ANNA.recipient] = answer
    sent = send_due(sending(ledger, templates, mail=mailbox.url), NOW)
    assert sent.sent == 1  # one bad address does not stop the others
    (left,) = o.notices_in(ledger, becomes)
    assert words in (left.error or "")
    mailbox.answers.clear()
    send_due(sending(ledger, templates, mail=mailbox.url), NOW)
    assert states(ledger) == ({"sent": 2} if becomes == "waiting" else {"sent": 1, "failed": 1})


@pytest.mark.parametrize(
    ("answer", "becomes"),
    [
        ("554 spam", "failed"), ("451 later", "waiting"), ("break after", "unknown"), ("what is this", "unknown"),
        ("299 as you like", "sent"),
    ],
)  # fmt: skip
def test_what_breaks_while_the_text_leaves_is_unknown_and_what_is_answered_is_not(
    ledger: Ledger, templates: Templates, mailbox: Mailbox, answer: str, becomes: str
) -> None:
    o.add_notices(ledger, [a_notice()])
    mailbox.content.append(answer)
    send_due(sending(ledger, templates, mail=mailbox.url), NOW)
    assert states(ledger) == {becomes: 1}
    send_due(sending(ledger, templates, mail=mailbox.url), NOW)
    assert len(mailbox.mails) == (0 if becomes == "failed" else 1)  # never two


@pytest.mark.parametrize("answer", ["550 not from here", "530 log in first", "451 later"])
def test_a_sender_who_is_not_wanted_costs_no_notice(
    ledger: Ledger, templates: Templates, mailbox: Mailbox, answer: str
) -> None:
    """It is a mistake of the settings, not of each mail: when it is mended, all of them leave."""
    o.add_notices(ledger, [a_notice(), a_notice("second@x.example")])
    mailbox.sender = answer
    sent = send_due(sending(ledger, templates, mail=mailbox.url), NOW)
    assert (sent.not_sent, sent.later, states(ledger)) == (1, 1, {"waiting": 2})
    mailbox.sender = ""
    assert send_due(sending(ledger, templates, mail=mailbox.url), NOW).sent == 2


@pytest.mark.parametrize(
    ("answers", "becomes", "reached"),
    [
        ({"gone@vendor.example": "550 no such user"}, "sent", ["oncall@vendor.example"]),
        ({"gone@vendor.example": "550 no", "oncall@vendor.example": "550 no"}, "failed", []),
        ({"gone@vendor.example": "550 no", "oncall@vendor.example": "450 later"}, "waiting", []),
    ],
)
def test_one_address_of_a_channel_that_is_refused_keeps_no_other_from_being_told(
    ledger: Ledger, templates: Templates, mailbox: Mailbox, answers: dict[str, str], becomes: str, reached: list[str]
) -> None:
    o.add_notices(ledger, [chat("operator/mailto", channel="mail")])
    mailbox.answers |= answers
    url = f"{mailbox.url}&to=gone@vendor.example,oncall@vendor.example"
    send_due(sending(ledger, templates, operator=url), NOW)
    assert mailbox.recipients == reached
    (notice,) = o.notices_in(ledger, becomes)
    assert ("not to gone@vendor.example: the mail server answered 550" in (notice.error or "")) is (becomes == "sent")


@pytest.fixture
def stoppable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stopping, "_state", stopping._State())
    monkeypatch.setattr(stopping, "_watch", lambda: None)  # it would end this process by force
    before = signal.getsignal(signal.SIGTERM)
    stopping.install()
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("stoppable")
def test_who_is_told_to_stop_while_a_mail_leaves_sends_it_whole_and_no_further_one(
    ledger: Ledger, templates: Templates, mailbox: Mailbox
) -> None:
    o.add_notices(ledger, [a_notice(), a_notice("second@x.example")])
    mailbox.taken = lambda: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        send_due(sending(ledger, templates, mail=mailbox.url), NOW)
    assert ended.value.code == stopping.TERMINATED
    assert (len(mailbox.mails), states(ledger)) == (1, {"sent": 1, "waiting": 1})


def test_a_server_that_is_away_is_asked_once_and_everything_waits(ledger: Ledger, templates: Templates) -> None:
    o.add_notices(ledger, [a_notice(f"p{number}@x.example") for number in range(4)])
    sent = send_due(sending(ledger, templates, mail=DEAD), NOW)
    assert (sent.not_sent, sent.later) == (1, 3)
    assert [one.attempts for one in o.notices_in(ledger, o.WAITING)].count(0) == 3


def test_a_notice_that_never_gets_through_is_given_up(ledger: Ledger, templates: Templates) -> None:
    o.add_notices(ledger, [a_notice(created_at=NOW.isoformat())])
    for _ in range(s.TRIES + 5):  # a server that is away for a night, asked every few minutes
        send_due(sending(ledger, templates, mail=DEAD), NOW + timedelta(hours=14))
    assert states(ledger) == {"waiting": 1}
    send_due(sending(ledger, templates, mail=DEAD), NOW + s.TRIED_FOR)
    (given_up,) = o.notices_in(ledger, o.FAILED)
    assert given_up.attempts == s.TRIES + 6
    assert "the mail server cannot be used" in (given_up.error or "")


def test_a_webhook_gets_the_text_and_one_that_says_no_gets_three_tries_that_say_so(
    ledger: Ledger, templates: Templates, hook: Hook
) -> None:
    o.add_notices(ledger, [chat(subject="Plan <1>", body="a & b", created_at=NOW.isoformat())])
    hook.answers[:] = [500, 503]
    for minutes in (0, 15, 30, 345):  # the last one is kept for later: a chat may be away for hours
        send_due(sending(ledger, templates, operator=hook.url()), NOW + timedelta(minutes=minutes))
    (waits,) = o.notices_in(ledger, o.WAITING)
    assert "operator/json did not take it, or did not say so: Failed to send JSON" in (waits.error or "")
    for _ in range(2):
        send_due(sending(ledger, templates, operator=hook.url()), NOW + s.LAST_TRY)
    posted = [json.loads(body) for body in hook.bodies]
    assert [one["title"] for one in posted] == ["Plan <1>"] * 3
    assert posted[0]["message"] == "a & b"
    assert posted[1]["message"].startswith("Second try; the first one was not confirmed.")
    assert states(ledger) == {"sent": 1}


def test_credentials_do_not_follow_a_webhook_elsewhere(ledger: Ledger, templates: Templates, hook: Hook) -> None:
    o.add_notices(ledger, [chat()])
    hook.answers[:] = [302]
    hook.leads_to = f"http://127.0.0.1:{hook.port}/elsewhere"
    send_due(sending(ledger, templates, operator=hook.url()), NOW)
    assert hook.paths == ["/hook"]
    assert states(ledger) == {"waiting": 1}


def test_a_place_that_is_no_longer_configured_keeps_what_waits(ledger: Ledger, templates: Templates) -> None:
    o.add_notices(ledger, [chat()])
    assert send_due(sending(ledger, templates), NOW).later == 1


# --- when, how many, to whom


def test_night_and_weekend_are_kept_in_the_zone_of_the_person_and_not_for_the_operator(
    ledger: Ledger, templates: Templates, mailbox: Mailbox, hook: Hook
) -> None:
    o.add_notices(ledger, [a_notice(), chat()])
    strict = rules(quiet=(time(20), time(7)), weekend=(5, 6))
    going = sending(ledger, templates, strict, mail=mailbox.url, operator=hook.url())
    saturday = datetime(2026, 11, 21, 12, tzinfo=UTC)
    send_due(going, saturday)
    assert (len(mailbox.mails), len(hook.bodies)) == (0, 1)
    (waits,) = o.notices_in(ledger, o.WAITING)
    assert waits.not_before == "2026-11-23T06:00:00+00:00"  # Monday at 7 in Berlin
    send_due(going, datetime.fromisoformat(waits.not_before))
    assert len(mailbox.mails) == 1


def test_nobody_gets_more_than_the_cap_in_a_day_and_a_run_sends_no_more_than_its_own(
    ledger: Ledger, templates: Templates, mailbox: Mailbox
) -> None:
    o.add_notices(ledger, [a_notice(period=str(number)) for number in range(4)])
    capped = sending(ledger, templates, rules(per_recipient=2, per_run=3), mail=mailbox.url)
    assert send_due(capped, NOW).sent == 2
    assert send_due(capped, NOW + timedelta(hours=1)).sent == 0
    assert send_due(capped, NOW + timedelta(days=1, seconds=1)).sent == 2
    o.add_notices(ledger, [a_notice(f"p{number}@x.example") for number in range(5)])
    assert send_due(capped, NOW).sent == 3


def test_who_is_on_the_suppression_list_is_not_told_even_when_put_there_later(
    ledger: Ledger, templates: Templates, mailbox: Mailbox
) -> None:
    o.add_notices(
        ledger, [a_notice(), a_notice("b@other.example", partner_id="B"), a_notice("c@x.example", partner_id="C")]
    )
    listed = Suppressed(frozenset({"@nordlicht.example", "partner:C"}))
    send_due(replace(sending(ledger, templates, mail=mailbox.url), suppressed=listed), NOW)
    assert mailbox.recipients == ["b@other.example"]
    assert states(ledger) == {"sent": 1, "suppressed": 2}


def test_what_is_held_leaves_only_in_the_name_of_a_person(
    ledger: Ledger, templates: Templates, mailbox: Mailbox
) -> None:
    o.add_notices(ledger, [a_notice(state=o.HELD, needs_approval=1)])
    going = sending(ledger, templates, mail=mailbox.url)
    assert send_due(going, NOW) == Sent(open={"held": 1})
    assert o.approve(ledger, o.notices_in(ledger, o.HELD), "Ada") == 1
    assert send_due(going, NOW).sent == 1
    assert audited(ledger) == ["notice_approved", "notice_sent"]
    assert o.approve(ledger, o.notices_in(ledger, o.SENT), "Ada") == 0  # what is sent is not sent again


def test_what_nobody_approves_is_let_go(ledger: Ledger) -> None:
    o.add_notices(ledger, [a_notice(state=o.HELD, created_at="2026-11-01T00:00:00+00:00"), chat(state=o.HELD)])
    assert o.expire_held(ledger, datetime.now(UTC) - timedelta(days=2), 1) == 1
    (gone,) = o.notices_in(ledger, o.SUPPRESSED)
    assert gone.error == "not approved within 1 days"


# --- summaries


def collect(ledger: Ledger, count: int, first: int = 0) -> None:
    some = [
        a_notice("owen@vendor.example", audience="owner", state=o.COLLECTED, period=str(first + number),
                 subject=f"Partner {first + number} is Gold", body="It moved.\n\nWhy: secret")
        for number in range(count)
    ]  # fmt: skip
    o.add_notices(ledger, some)


def test_a_summary_is_one_mail_a_week_and_only_if_there_is_something(
    ledger: Ledger, templates: Templates, mailbox: Mailbox
) -> None:
    weekly = rules("owner", digest="weekly")

    def go(now: datetime) -> None:
        for parts in digests_of(o.notices_in(ledger, o.COLLECTED), weekly, templates, now, "run-1", "Channel", "1:ab"):
            o.bundle(ledger, parts)
        send_due(sending(ledger, templates, weekly, mail=mailbox.url), now)

    go(NOW)
    assert mailbox.mails == []
    collect(ledger, 3)
    go(NOW)
    collect(ledger, 2, first=3)
    go(NOW + timedelta(days=1))  # the same week
    assert len(mailbox.mails) == 1
    assert mailbox.text().count("is Gold. It moved.") == 3
    assert "secret" not in mailbox.text()
    go(NOW + timedelta(days=4))
    assert [mail["Subject"] for mail in mailbox.mails] == [
        "Your partners in Channel: 3 news", "Your partners in Channel: 2 news",
    ]  # fmt: skip
    assert states(ledger) == {"sent": 2, "bundled": 5}


def test_a_week_has_one_summary_for_a_person_whatever_comes_in_between(
    ledger: Ledger, templates: Templates, mailbox: Mailbox
) -> None:
    """Neither a second part of its own on Tuesday, nor one per language that the rows name."""
    weekly = rules("owner", digest="weekly")

    def go(now: datetime) -> int:
        collected = o.notices_in(ledger, o.COLLECTED)
        for parts in digests_of(collected, weekly, templates, now, "run-1", "Channel", "1:ab"):
            o.bundle(ledger, parts)
        return send_due(sending(ledger, templates, weekly, mail=mailbox.url), now).sent

    collect(ledger, 2)
    o.add_notices(
        ledger, [a_notice("owen@vendor.example", audience="owner", state=o.COLLECTED, locale="de", period="de")]
    )
    assert go(NOW) == 1
    collect(ledger, 60, first=10)
    assert go(NOW + timedelta(hours=1)) == 0
    assert go(NOW + timedelta(days=4)) == 2  # the next week: fifty, and ten
    assert states(ledger) == {"sent": 3, "bundled": 63}


# --- the rows


def test_a_key_is_named_by_its_first_digits(ledger: Ledger) -> None:
    notice = a_notice()
    o.add_notices(ledger, [notice])
    assert o.notice_of(ledger, notice.reference).notice_key == notice.notice_key
    for wrong in ("ab", "zzzz", "0000000000"):
        with pytest.raises(ConfigError):
            o.notice_of(ledger, wrong)


def test_old_notices_lose_text_and_address_and_are_still_not_sent_again(
    ledger: Ledger, templates: Templates, mailbox: Mailbox
) -> None:
    notice = a_notice(created_at="2025-01-01T00:00:00+00:00")
    o.add_notices(ledger, [notice])
    send_due(sending(ledger, templates, mail=mailbox.url), NOW)
    o.forget(ledger, NOW - timedelta(days=365))
    (kept,) = o.notices_in(ledger, o.SENT)
    assert (kept.recipient, kept.subject, kept.body) == ("", "", "")
    assert o.add_notices(ledger, [notice]) == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mail": "json://127.0.0.1/x"}, "CRMSYNC_NOTICES__MAIL: one mail server is needed here"),
        ({"mail": "no-such-thing://hunter2secret@x"}, "CRMSYNC_NOTICES__MAIL: address 1 is none that apprise knows"),
        ({"operator": "json://a/x nonsense"}, "CRMSYNC_NOTICES__OPERATOR: address 2 is none"),
    ],
)
def test_a_channel_that_cannot_be_used_is_told_without_its_address(given: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as told:
        channels(**given)
    assert words in str(told.value)
    assert "hunter2secret" not in str(told.value)
