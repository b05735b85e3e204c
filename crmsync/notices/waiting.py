"""What waits is looked at again before it leaves: whether it is still so, and whom it would reach.

A notice can wait for a night, a weekend, an approval, a week. What is let go here waits anew when it is found again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from crmsync.configuration_notices import OWNER, PARTNER, NoticeRules
from crmsync.ledger.ledger import Ledger
from crmsync.notices import events as e
from crmsync.notices import outbox as o
from crmsync.notices.events import Event
from crmsync.notices.outbox import Notice
from crmsync.notices.people import People

OF_TIER = frozenset({e.PROMOTED, e.DEMOTED, e.GRACE, e.WILL_FALL, e.OVERRIDE_ENDING})
"""Events that speak of a tier: they are true of who was assessed, and told while the account holds it."""

OF_RUNS = OF_TIER | {e.CERTIFICATE_LAPSING}
"""Events that every run finds anew as long as they are so."""


def waiting_of(ledger: Ledger, events: Collection[str]) -> list[Notice]:
    """Notices of these events that have not left."""
    return [one for one in o.notices_in(ledger, *o.UNSENT) if one.event in events]


def let_go_of_past(
    ledger: Ledger, read: Collection[str | None], true_now: Sequence[Event], *, with_certificates: bool
) -> None:
    """What is not so any more is not told. `read`: partners that this run knows of; of others nothing is known."""
    looked_at = OF_RUNS if with_certificates else OF_TIER
    waiting = [one for one in waiting_of(ledger, looked_at) if one.partner_id in read]
    if waiting:
        still = {(event.name, event.partner_id, event.period) for event in true_now}
        past = [one for one in waiting if (one.event, one.partner_id, one.period) not in still]
        o.suppress(ledger, [one.notice_key for one in past], o.GONE)


def let_go_of_moved(ledger: Ledger, people: People, waiting: Iterable[Notice]) -> None:
    """What would reach somebody who is not the one to tell any more, or who does not want mail by now, is not sent."""
    of_people = [one for one in waiting if one.audience in (PARTNER, OWNER) and one.partner_id in people.names]
    moved, out = [], []
    for one in of_people:
        person = people.persons.get(one.audience, {}).get(one.partner_id or "")
        if person is None or person.recipient != one.recipient:
            moved.append(one.notice_key)
        elif person.opted_out:
            out.append(one.notice_key)
    o.suppress(ledger, moved, o.MOVED)
    o.suppress(ledger, out, o.OPTED_OUT)


def let_go_of_plans(ledger: Ledger, waits: str | None) -> None:
    """That a plan waits is told while it does. `waits`: digest of the one that waits now, if any."""
    past = [one for one in waiting_of(ledger, {e.GUARD_TRIPPED}) if one.period != waits]
    o.suppress(ledger, [one.notice_key for one in past], o.GONE)


def held_back(notice: Notice, rules: NoticeRules, unwritten: Collection[str]) -> bool:
    """Whether it waits, whatever the hour: nobody asks for it, or the account does not hold that tier just now."""
    return not asked_for(notice, rules) or (notice.event in OF_TIER and notice.partner_id in unwritten)


def asked_for(notice: Notice, rules: NoticeRules) -> bool:
    """Whether its audience is still told of such an event."""
    audience = rules.audiences.get(notice.audience)
    return audience is not None and notice.event in (*audience.events, e.DIGEST)
