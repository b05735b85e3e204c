"""The outbox of notices: what is to be told to whom, and what became of it. Rows only; others decide and send.

States: collected (for a digest) → bundled; held (for an approval) → approved; waiting or approved → sending → sent.
`sending` is committed before anything leaves; who dies there leaves `unknown`, which is never sent again by itself.
`suppressed`: will not be sent, `error` says why; `failed`: was refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, func, select, update

from crmsync.errors import ConfigError
from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.upsert import upsert

COLLECTED, BUNDLED, HELD, APPROVED, WAITING = "collected", "bundled", "held", "approved", "waiting"
SENDING, SENT, UNKNOWN, FAILED, SUPPRESSED = "sending", "sent", "unknown", "failed", "suppressed"
STATES = (WAITING, HELD, APPROVED, COLLECTED, SENDING, SENT, BUNDLED, UNKNOWN, FAILED, SUPPRESSED)
UNSENT = (COLLECTED, HELD, APPROVED, WAITING)
ENDED = (SENT, BUNDLED, SUPPRESSED)
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


def reference_of(key: str) -> str:
    """The first digits of a key."""
    return key[:12]


def key_of(partner_id: str | None, event: str, audience: str, recipient: str, period: str) -> str:
    """The same notice has the same key, whichever run finds it."""
    text = canonical([partner_id, event, audience, recipient, period])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def known_keys(ledger: Ledger, keys: Sequence[str]) -> set[str]:
    """Those of the keys that the outbox has."""
    with ledger.reading() as connection:
        return _known(connection, keys)


def _known(connection: Connection, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(keys), CHUNK):
        some = t.notice.c.notice_key.in_(keys[start : start + CHUNK])
        found.update(connection.scalars(select(t.notice.c.notice_key).where(some)))
    return found


def add_notices(ledger: Ledger, notices: Iterable[Notice]) -> int:
    """Put notices into the outbox, each once; returns how many were not there."""
    with ledger.writing() as connection:
        return insert_notices(connection, notices)


def insert_notices(connection: Connection, notices: Iterable[Notice]) -> int:
    """The same inside the caller's transaction."""
    now, by_key = instant(), {one.notice_key: one for one in notices}
    known = _known(connection, list(by_key))
    rows = [{**vars(one), "created_at": one.created_at or now} for key, one in by_key.items() if key not in known]
    for start in range(0, len(rows), CHUNK):
        connection.execute(upsert(t.notice).on_conflict_do_nothing(), rows[start : start + CHUNK])
    return len(rows)


def notices_in(ledger: Ledger, *states: str, event: str | None = None) -> list[Notice]:
    """Notices in these states (none given: in any), oldest first."""
    query = select(t.notice)
    if states:
        query = query.where(t.notice.c.state.in_(states))
    if event is not None:
        query = query.where(t.notice.c.event == event)
    return _read(ledger, query)


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
    names = [field.name for field in fields(Notice)]
    ordered = query.order_by(t.notice.c.created_at, t.notice.c.audience, t.notice.c.notice_key)
    with ledger.reading() as connection:
        return [Notice(**{name: getattr(row, name) for name in names}) for row in connection.execute(ordered)]


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


def record_sent(ledger: Ledger, notice: Notice, now: datetime) -> None:
    """Commit that it left, and its place in the audit chain: what its footer holds is an anchor outside."""
    with ledger.writing() as connection:
        _set(connection, [notice.notice_key], state=SENT, sent_at=now.isoformat(), error=None)
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


def put_off(ledger: Ledger, until: Mapping[datetime, Sequence[str]]) -> None:
    """Note from when on which notices may be sent."""
    if until:
        with ledger.writing() as connection:
            for moment, keys in until.items():
                _set(connection, keys, not_before=moment.isoformat())


def suppress(ledger: Ledger, keys: Sequence[str], why: str) -> None:
    """Commit that these will not be sent."""
    if keys:
        with ledger.writing() as connection:
            _set(connection, keys, state=SUPPRESSED, error=why)


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


def bundle(ledger: Ledger, digest: Notice, items: Sequence[Notice]) -> bool:
    """Put a digest into the outbox and its items out of it, in one transaction; False where it was there before."""
    with ledger.writing() as connection:
        if not insert_notices(connection, [digest]):
            return False
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
    since = (now - timedelta(days=days)).isoformat()
    old = [one.notice_key for one in notices_in(ledger, HELD) if one.created_at < since]
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
