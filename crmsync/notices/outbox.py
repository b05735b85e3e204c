"""The outbox of notices: what is to be told to whom, and what became of it. Rows only; others decide and send.

States: collected (for a digest) → bundled; held (for an approval) → approved; waiting or approved → sending → sent.
`sending` is committed before anything leaves; who dies there leaves `unknown`, which is never sent again by itself.
`suppressed`: will not be sent, `error` says why; what was let go because it was not so any more waits anew when it is
so again. `failed`: was refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select, update

from crmsync.errors import ConfigError
from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import key_of as key_of_table
from crmsync.ledger.upsert import upsert

COLLECTED, BUNDLED, HELD, APPROVED, WAITING = "collected", "bundled", "held", "approved", "waiting"
SENDING, SENT, UNKNOWN, FAILED, SUPPRESSED = "sending", "sent", "unknown", "failed", "suppressed"
STATES = (WAITING, HELD, APPROVED, COLLECTED, SENDING, SENT, BUNDLED, UNKNOWN, FAILED, SUPPRESSED)
UNSENT = (COLLECTED, HELD, APPROVED, WAITING)
CHANGEABLE = (COLLECTED, HELD, WAITING)
ENDED = (SENT, BUNDLED, SUPPRESSED)
OPTED_OUT = "the person does not want to be told"
GONE, MOVED = "it is no longer so", "somebody else is to be told now"
REVIVED = (GONE, MOVED)
"""Why a notice was let go that is told after all when it is found again."""

Happened = tuple[str, str | None, str, str]
"""Audience, partner, event and period: what happened, whoever is told of it."""

CHUNK = 500
SHORTEST_PREFIX = 4


@dataclass(frozen=True)
class Notice:
    """One notice. `recipient`: a mail address, a user of the CRM, or `sales_ops/slack`; never a secret."""

    notice_key: str
    event: str
    audience: str
    recipient: str
    partner_id: str | None
    period: str
    channel: str
    locale: str
    zone: str
    subject: str
    body: str
    html: str | None
    state: str
    needs_approval: int
    run_id: str
    approved_by: str | None = None
    intent_id: str | None = None
    attempts: int = 0
    unsure: int = 0
    error: str | None = None
    created_at: str = ""
    not_before: str | None = None
    sent_at: str | None = None

    @property
    def reference(self) -> str:
        """What a text names it by."""
        return reference_of(self.notice_key)


NAMES = tuple(field.name for field in fields(Notice))


def reference_of(key: str) -> str:
    """The first digits of a key."""
    return key[:12]


def key_of(partner_id: str | None, event: str, audience: str, recipient: str, period: str) -> str:
    """The same notice has the same key, whichever run finds it."""
    text = canonical([partner_id, event, audience, recipient, period])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def known_keys(ledger: Ledger, keys: Sequence[str]) -> set[str]:
    """Those of the keys that the outbox has, without what would wait anew."""
    with ledger.reading() as connection:
        return _known(connection, keys)


def _known(connection: Connection, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(keys), CHUNK):
        some = t.notice.c.notice_key.in_(keys[start : start + CHUNK])
        found.update(connection.scalars(select(t.notice.c.notice_key).where(some, ~_let_go())))
    return found


def _let_go() -> ColumnElement[bool]:
    why = func.coalesce(t.notice.c.error, "")
    return (t.notice.c.state == SUPPRESSED) & or_(*(why == reason for reason in REVIVED))


def changeable_keys(ledger: Ledger, keys: Sequence[str]) -> set[str]:
    """Those of the keys whose notice waits, and whose text nobody has approved."""
    n, found = t.notice.c, set[str]()
    with ledger.reading() as connection:
        for start in range(0, len(keys), CHUNK):
            some = n.notice_key.in_(keys[start : start + CHUNK]) & n.state.in_(CHANGEABLE) & n.approved_by.is_(None)
            found.update(connection.scalars(select(n.notice_key).where(some)))
    return found


def renew_texts(ledger: Ledger, notices: Sequence[Notice]) -> None:
    """Let notices that wait say what is so today."""
    if notices:
        with ledger.writing() as connection:
            for one in notices:
                texts = {"subject": one.subject, "body": one.body, "html": one.html, "locale": one.locale}
                _set(connection, [one.notice_key], only=CHANGEABLE, **texts, zone=one.zone)


def add_notices(ledger: Ledger, notices: Iterable[Notice]) -> int:
    """Put notices into the outbox, each once; returns how many were not there."""
    with ledger.writing() as connection:
        return insert_notices(connection, notices)


def insert_notices(connection: Connection, notices: Iterable[Notice]) -> int:
    """The same inside the caller's transaction."""
    now, by_key = instant(), {one.notice_key: one for one in notices}
    known = _known(connection, list(by_key))
    rows = [{**vars(one), "created_at": one.created_at or now} for key, one in by_key.items() if key not in known]
    row = upsert(t.notice)
    anew = {name: row.excluded[name] for name in NAMES if name not in ("notice_key", "unsure")}
    kept = row.on_conflict_do_update(index_elements=key_of_table(t.notice), set_=anew, where=_let_go())
    for start in range(0, len(rows), CHUNK):
        connection.execute(kept, rows[start : start + CHUNK])
    return len(rows)


def notices_in(ledger: Ledger, *states: str, event: str | None = None, before: datetime | None = None) -> list[Notice]:
    """Notices in these states (none given: in any), oldest first. `before`: only those drafted before then."""
    query = select(t.notice)
    if states:
        query = query.where(t.notice.c.state.in_(states))
    if event is not None:
        query = query.where(t.notice.c.event == event)
    if before is not None:
        query = query.where(t.notice.c.created_at < before.isoformat())
    return _read(ledger, query)


def notices_of(ledger: Ledger, event: str) -> list[Notice]:
    """Every notice of an event, oldest first."""
    return _read(ledger, select(t.notice).where(t.notice.c.event == event))


def notice_of(ledger: Ledger, prefix: str) -> Notice:
    """The notice whose key begins so. Errors: ConfigError when none or several do."""
    wanted = prefix.lower()
    if len(wanted) < SHORTEST_PREFIX or not all(digit in "0123456789abcdef" for digit in wanted):
        raise ConfigError(f"{prefix}: a notice is named by the first {SHORTEST_PREFIX} or more digits of its key")
    found = _read(ledger, select(t.notice).where(t.notice.c.notice_key.startswith(wanted)))
    if len(found) != 1:
        raise ConfigError(f"{prefix}: {len(found) or 'no'} notices have such a key; `crmsync notices list` shows them")
    return found[0]


def _read(ledger: Ledger, query: Select[Any]) -> list[Notice]:
    ordered = query.order_by(t.notice.c.created_at, t.notice.c.audience, t.notice.c.notice_key)
    with ledger.reading() as connection:
        return [Notice(**{name: getattr(row, name) for name in NAMES}) for row in connection.execute(ordered)]


def count_states(ledger: Ledger) -> dict[str, int]:
    """How many notices are in which state."""
    with ledger.reading() as connection:
        rows = connection.execute(select(t.notice.c.state, func.count()).group_by(t.notice.c.state)).all()
    return {row[0]: row[1] for row in rows}


def sent_since(ledger: Ledger, since: datetime) -> dict[str, int]:
    """By recipient, how many notices went out since then, or may have."""
    of = (t.notice.c.state.in_((SENT, UNKNOWN, SENDING))) & (t.notice.c.sent_at >= since.isoformat())
    query = select(t.notice.c.recipient, func.count()).where(of).group_by(t.notice.c.recipient)
    with ledger.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


# --- steps


def record_sending(ledger: Ledger, key: str, now: datetime) -> bool:
    """Commit that this notice is about to leave; False where it is not to be sent any more."""
    ready = (t.notice.c.notice_key == key) & t.notice.c.state.in_((WAITING, APPROVED))
    values = {"state": SENDING, "attempts": t.notice.c.attempts + 1, "sent_at": now.isoformat(), "error": None}
    with ledger.writing() as connection:
        return connection.execute(update(t.notice).where(ready).values(**values)).rowcount == 1


def record_sent(ledger: Ledger, notice: Notice, now: datetime, said: str | None = None) -> None:
    """Commit that it left, and its place in the audit chain: what its footer holds is an anchor outside.

    `said`: what the other side had to remark all the same, such as one of several addresses that it refused.
    """
    with ledger.writing() as connection:
        _set(connection, [notice.notice_key], state=SENT, sent_at=now.isoformat(), error=said)
        record_event(connection, "notice_sent", _told(notice))


def record_not_sent(ledger: Ledger, notice: Notice, error: str, *, again: bool, unsure: bool = False) -> None:
    """Commit that it did not leave. `again`: a later run tries it anew; `unsure`: it may have arrived all the same."""
    state = FAILED if not again else APPROVED if notice.approved_by else WAITING
    doubt = int(unsure or notice.unsure)
    with ledger.writing() as connection:
        _set(connection, [notice.notice_key], state=state, sent_at=None, error=error, unsure=doubt)


def record_unknown(ledger: Ledger, notices: Sequence[Notice], error: str) -> None:
    """Commit that nobody can say whether these left."""
    with ledger.writing() as connection:
        _set(connection, [one.notice_key for one in notices], state=UNKNOWN, unsure=1, error=error)
        for one in notices:
            record_event(connection, "notice_unknown", _told(one))


def hold_unapproved(ledger: Ledger, audience: str) -> None:
    """Hold what waits for this audience without an approval: it was drafted while none was asked for."""
    of = (t.notice.c.audience == audience) & (t.notice.c.state == WAITING) & t.notice.c.approved_by.is_(None)
    with ledger.reading() as connection:
        found = list(connection.scalars(select(t.notice.c.notice_key).where(of)))
    if found:
        with ledger.writing() as connection:
            _set(connection, found, only=(WAITING,), state=HELD, needs_approval=1)


def told_already(ledger: Ledger, partners: Collection[str], events: Collection[str]) -> set[Happened]:
    """What of these partners has left to somebody, or may have."""
    n, found, wanted = t.notice.c, set[Happened](), sorted(partners)
    left = n.state.in_((SENDING, SENT, BUNDLED, UNKNOWN)) & n.event.in_(events)
    with ledger.reading() as connection:
        for start in range(0, len(wanted), CHUNK):
            some = left & n.partner_id.in_(wanted[start : start + CHUNK])
            rows = connection.execute(select(n.audience, n.partner_id, n.event, n.period).where(some))
            found.update((row.audience, row.partner_id, row.event, row.period) for row in rows)
    return found


def put_off(ledger: Ledger, until: Mapping[datetime, Sequence[str]]) -> None:
    """Note from when on which notices may be sent."""
    if until:
        with ledger.writing() as connection:
            for moment, keys in until.items():
                _set(connection, keys, not_before=moment.isoformat())


def suppress(ledger: Ledger, keys: Sequence[str], why: str) -> None:
    """Commit that these will not be sent, unless they have left."""
    if keys:
        with ledger.writing() as connection:
            _set(connection, keys, only=UNSENT, state=SUPPRESSED, error=why)


def approve(ledger: Ledger, notices: Sequence[Notice], person: str) -> int:
    """Let notices go in the name of a person: held ones, and those that were refused or whose outcome is unknown."""
    open_states = (HELD, UNKNOWN, FAILED)
    keys = [one.notice_key for one in notices]
    with ledger.writing() as connection:
        count = _set(connection, keys, only=open_states, state=APPROVED, approved_by=person, not_before=None)
        for one in notices:
            if one.state in open_states:
                record_event(connection, "notice_approved", _told(one), person)
    return count


def bundle(ledger: Ledger, parts: Sequence[tuple[Notice, Sequence[Notice]]]) -> bool:
    """Put the parts of a summary into the outbox and their items out of it, in one transaction; False where the summary
    was there before."""
    with ledger.writing() as connection:
        if _known(connection, [parts[0][0].notice_key]):
            return False
        insert_notices(connection, [digest for digest, _ in parts])
        for digest, items in parts:
            keys = [one.notice_key for one in items]
            _set(connection, keys, only=(COLLECTED,), state=BUNDLED, error=f"in digest {digest.reference}")
    return True


def forget(ledger: Ledger, before: datetime) -> None:
    """Empty the texts and addresses of notices that ended before then; the keys stay, so that nothing is sent again."""
    old = t.notice.c.state.in_(ENDED) & (t.notice.c.created_at < before.isoformat()) & (t.notice.c.recipient != "")
    values = {"recipient": "", "subject": "", "body": "", "html": None}
    with ledger.reading() as connection:
        if connection.scalar(select(func.count()).select_from(t.notice).where(old)) == 0:
            return
    with ledger.writing() as connection:
        connection.execute(update(t.notice).where(old).values(**values))


def expire_held(ledger: Ledger, now: datetime, days: int) -> int:
    """Let go of notices that nobody approved within so many days: what they say is old by now."""
    old = [one.notice_key for one in notices_in(ledger, HELD, before=now - timedelta(days=days))]
    suppress(ledger, old, f"not approved within {days} days")
    return len(old)


def _set(connection: Connection, keys: Sequence[str], only: Sequence[str] = (), **values: Any) -> int:
    count = 0
    for start in range(0, len(keys), CHUNK):
        of = [t.notice.c.notice_key.in_(keys[start : start + CHUNK])]
        if only:
            of.append(t.notice.c.state.in_(only))
        count += connection.execute(update(t.notice).where(*of).values(**values)).rowcount
    return count


def _told(notice: Notice) -> Mapping[str, str | None]:
    """What the audit holds of a notice: no address, no text."""
    return {
        "notice": notice.notice_key, "event": notice.event, "audience": notice.audience,
        "partner": notice.partner_id, "period": notice.period, "channel": notice.channel,
    }  # fmt: skip
