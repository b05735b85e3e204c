"""Sending what waits: at the right hour, not too much at once, and nothing twice.

Before anything leaves, the ledger says that it is leaving. Who finds such a note later cannot know whether it left: a
mail or a post to a channel is then told to the operator and left alone; a task of the CRM is looked up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select

from crmsync.configuration_notices import OPERATOR, OWNER, PARTNER, TASK, NoticeRules
from crmsync.errors import CrmsyncError
from crmsync.failpoints import hit
from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger
from crmsync.notices import outbox as o
from crmsync.notices.channels import Channel, Channels, Delivery, Ending, MailSession, Outgoing, send_chat
from crmsync.notices.outbox import Notice
from crmsync.notices.people import Suppressed
from crmsync.notices.speech import Speech
from crmsync.notices.tasks import TaskChannel
from crmsync.notices.timing import allowed_from
from crmsync.notices.waiting import asked_for, held_back
from crmsync.stopping import held

TRIES, TRIES_UNCONFIRMED = 10, 3
A_DAY = timedelta(days=1)
TRIED_FOR = timedelta(days=3)
"""A mail that is put off again and again is given up after so long, and `TRIES`: a server may be away for a weekend."""

LAST_TRY = timedelta(hours=6)
"""So old is a notice at least when a chat is tried for the last time: it may be away for as long."""

NO_WAY = "the audience or channel that it was for is no longer configured"
LOST = "the process ended while it was sending"

log = structlog.get_logger()


@dataclass(frozen=True)
class Sending:
    """What sending needs. `speeches`: for the line that stands over a second try; `unwritten`: partners whose account
    does not hold the tier that was told of."""

    ledger: Ledger
    rules: NoticeRules
    channels: Channels
    speeches: Mapping[str, Speech]
    suppressed: Suppressed = field(default_factory=Suppressed)
    tasks: TaskChannel | None = None
    timeout_s: float = 20.0
    unwritten: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Sent:
    """What became of the outbox in one go; `open`: states of what is left, such as held or waiting."""

    sent: int = 0
    refused: int = 0
    unknown: int = 0
    not_sent: int = 0
    later: int = 0
    open: Mapping[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether everything that was tried went out."""
        return not (self.refused or self.unknown or self.not_sent)


def settle_lost(sending: Sending) -> list[Notice]:
    """Find what was leaving when a process died. Returns those of which nobody can say whether they left."""
    lost = o.notices_in(sending.ledger, o.SENDING)
    tasks = [one for one in lost if one.channel == TASK]
    if tasks and sending.tasks is not None:
        _settle_tasks(sending, sending.tasks, tasks)
    # no audience has tasks any more: nobody will ever look them up
    asked = any(audience.by == TASK for audience in sending.rules.audiences.values())
    unsure = [one for one in lost if one.channel != TASK or not asked]
    if unsure:
        o.record_unknown(sending.ledger, unsure, LOST)
    return unsure


def _settle_tasks(sending: Sending, channel: TaskChannel, tasks: Sequence[Notice]) -> None:
    """Look in the CRM whether these were made; where it does not answer they stay as they are, and a later go looks."""
    try:
        present = channel.present(tasks)
    except CrmsyncError as fault:
        log.warning("notice_tasks_not_settled", tasks=len(tasks), told=str(fault))
        return
    for one in tasks:
        if one.notice_key in present:
            o.record_sent(sending.ledger, one, _moment(one))
        else:
            o.record_not_sent(sending.ledger, one, LOST, again=True)


def _moment(notice: Notice) -> datetime:
    return datetime.fromisoformat(notice.sent_at or notice.created_at)


def send_due(sending: Sending, now: datetime) -> Sent:
    """Send what may go now; what may not waits for a later go. `now`: aware of its zone."""
    if sending.rules.approve:
        o.hold_unapproved(sending.ledger, PARTNER)
    counts: Counter[str] = Counter()
    recent = Counter(o.sent_since(sending.ledger, now - A_DAY))
    opening: dict[datetime, list[str]] = {}
    with ExitStack() as stack:
        senders = _Senders(sending, stack)
        for notice in o.notices_in(sending.ledger, o.APPROVED, o.WAITING):
            if counts["tried"] >= sending.rules.per_run or held_back(notice, sending.rules, sending.unwritten):
                counts["later"] += 1
                continue
            why = sending.suppressed.why(notice.recipient, notice.partner_id)
            if why is not None:
                o.suppress(sending.ledger, [notice.notice_key], "the suppression list holds it")
                continue
            opens = _opens(sending, notice, now, recent)
            if opens > now:
                opening.setdefault(opens, []).append(notice.notice_key)
            if opens > now or not senders.can(notice):
                counts["later"] += 1
                continue
            with held():  # who is told to end finishes this one first
                if o.record_sending(sending.ledger, notice.notice_key, now):
                    counts["tried"] += 1
                    recent[notice.recipient] += 1
                    hit("notice_claimed")
                    delivery = senders.send(notice, now)
                    hit("notice_left")
                    counts[_record(sending, notice, delivery, now)] += 1
                    hit("notice_recorded")
        _give_up(sending, senders, now)
    o.put_off(sending.ledger, opening)
    left = {state: count for state, count in o.count_states(sending.ledger).items() if state not in o.ENDED}
    return Sent(
        counts[Ending.SENT], counts[Ending.REFUSED], counts[Ending.UNKNOWN],
        counts[Ending.NOT_SENT] + counts[Ending.UNCONFIRMED], counts["later"], left,
    )  # fmt: skip


def _give_up(sending: Sending, senders: _Senders, now: datetime) -> None:
    """Let go of what waited for long and will never leave: its chat was renamed, its audience is not told any more."""
    since = now - timedelta(days=sending.rules.hold_days)
    old = o.notices_in(sending.ledger, o.APPROVED, o.WAITING, before=since)
    lost = [one.notice_key for one in old if not (senders.has_place(one) and asked_for(one, sending.rules))]
    o.suppress(sending.ledger, lost, NO_WAY)


def _opens(sending: Sending, notice: Notice, now: datetime, recent: Mapping[str, int]) -> datetime:
    """From when on it may go: after the night, the weekend, a day of many notices. The operator is told at any hour."""
    rules = sending.rules
    if notice.unsure and notice.attempts == TRIES_UNCONFIRMED - 1 and not notice.approved_by:
        last = datetime.fromisoformat(notice.created_at) + LAST_TRY
        if last > now:
            return last
    if notice.audience == OPERATOR:
        return now
    if notice.audience in (PARTNER, OWNER) and recent.get(notice.recipient, 0) >= rules.per_recipient:
        return now + A_DAY
    if notice.channel == TASK:
        return now  # a task rings no bell
    return allowed_from(now, notice.zone, rules.quiet, rules.weekend, rules.time_zone)


def _record(sending: Sending, notice: Notice, delivery: Delivery, now: datetime) -> Ending:
    """Write down how the try ended; returns the ending."""
    ledger, tries = sending.ledger, notice.attempts + 1
    said = delivery.message or delivery.ending.value
    if delivery.ending == Ending.SENT:
        o.record_sent(ledger, notice, now, delivery.message)
    elif delivery.ending == Ending.UNKNOWN and notice.channel != TASK:
        o.record_unknown(ledger, [notice], said)
    elif delivery.ending == Ending.UNKNOWN:
        log.info("notice_waits", notice=notice.reference, why=said)  # stays `sending`: the next go looks it up
    else:
        unsure = delivery.ending == Ending.UNCONFIRMED
        o.record_not_sent(ledger, notice, said, again=_tried_again(delivery.ending, notice, tries, now), unsure=unsure)
    log.info("notice_ended", notice=notice.reference, event_name=notice.event, ending=delivery.ending.value)
    return delivery.ending


def _tried_again(ending: Ending, notice: Notice, tries: int, now: datetime) -> bool:
    """Whether a later go tries it once more. What surely did not leave can be tried for days, what may have cannot."""
    if ending == Ending.NOT_SENT:
        return tries < TRIES or now - datetime.fromisoformat(notice.created_at) < TRIED_FOR
    return ending == Ending.UNCONFIRMED and tries < TRIES_UNCONFIRMED


class _Senders:
    """The ways out, each opened when it is first needed and left alone when it does not answer."""

    def __init__(self, sending: Sending, stack: ExitStack) -> None:
        self._sending = sending
        self._stack = stack
        self._sessions: dict[str, MailSession] = {}
        self._down: set[str] = set()
        self._places: dict[str, Channel] = {
            channel.name: channel for audience in ("sales_ops", "operator") for channel in sending.channels.of(audience)
        }

    def can(self, notice: Notice) -> bool:
        """Whether there is a way for it, and it has answered so far."""
        if notice.channel == TASK:
            return self._sending.tasks is not None and TASK not in self._down
        place = self._place(notice)
        return place is not None and place.name not in self._down

    def has_place(self, notice: Notice) -> bool:
        """Whether the settings and rules still name a way for it; the org of tasks may just not be reached."""
        if notice.channel == TASK:
            return any(audience.by == TASK for audience in self._sending.rules.audiences.values())
        return self._place(notice) is not None

    def send(self, notice: Notice, now: datetime) -> Delivery:
        """Try once."""
        if notice.channel == TASK:
            assert self._sending.tasks is not None
            delivery = self._sending.tasks.send(notice, _account_of(self._sending.ledger, notice), now)
            if delivery.down:
                self._down.add(TASK)
            return delivery
        place = self._place(notice)
        assert place is not None
        outgoing = self._outgoing(notice)
        if place.is_mail:
            to = [notice.recipient] if notice.recipient not in self._places else _targets(place)
            delivery = self._session(place).send(to, outgoing)
        else:
            delivery = send_chat(place, outgoing)
        if delivery.down:
            self._down.add(place.name)
        return delivery

    def _place(self, notice: Notice) -> Channel | None:
        return self._places.get(notice.recipient) or (self._sending.channels.mail if notice.channel == "mail" else None)

    def _session(self, place: Channel) -> MailSession:
        if place.name not in self._sessions:
            session = MailSession(place, self._sending.timeout_s)
            self._sessions[place.name] = self._stack.enter_context(session)
        return self._sessions[place.name]

    def _outgoing(self, notice: Notice) -> Outgoing:
        """A further try after one that may have arrived says so."""
        speech = self._sending.speeches.get(notice.locale)
        first = f"{speech.words['again']}\n\n" if notice.unsure and speech is not None else ""
        return Outgoing(notice.notice_key, notice.subject, first + notice.body, None if first else notice.html)


def _targets(place: Channel) -> list[str]:
    return [str(address) for _, address in place.plugin.targets]


def _account_of(ledger: Ledger, notice: Notice) -> str | None:
    """The record of the partner's account, as the outbox of writes knows it."""
    of = (t.intent.c.partner_id == notice.partner_id) & (t.intent.c.sink == "")
    query = select(t.intent.c.record_id).where(of).order_by(t.intent.c.created_at.desc()).limit(1)
    with ledger.reading() as connection:
        found: str | None = connection.scalar(query)
    return found
