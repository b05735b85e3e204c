"""The audit: what was done, by whom, in an order that cannot be changed afterwards.

Each event carries the hash of the one before it: `hash = sha256(previous_hash + canonical JSON of the event)`, keys
sorted, no spaces. The database itself refuses to change or remove a row (triggers of migration 0003).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any

from sqlalchemy import Connection, insert, select

from crmsync.ledger import tables as t
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.kept_text import storable

FIRST = "0" * 64
"""What the first event carries in the place of a previous hash."""


def record_event(connection: Connection, event: str, content: Mapping[str, Any], actor: str = "worker") -> None:
    """Append one event inside the caller's transaction: `with ledger.writing() as connection`.

    `event`: such as `run_started`; `content`: ids, digests, states and counts, no names and no addresses.
    """
    if connection.dialect.name == "postgresql":  # SQLite has one writer; here two would read the same last hash
        connection.exec_driver_sql("LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE")
    last = select(t.audit.c.sequence, t.audit.c.hash).order_by(t.audit.c.sequence.desc()).limit(1)
    newest = connection.execute(last).one_or_none()
    sequence, previous = (newest.sequence + 1, newest.hash) if newest else (1, FIRST)
    at, text, actor = instant(), storable(canonical(dict(content))), storable(actor)  # as it will be read and hashed
    row = {
        "sequence": sequence,
        "at": at,
        "actor": actor,
        "event": event,
        "content": text,
        "previous_hash": previous,
        "hash": hash_of(previous, sequence, at, actor, event, text),
    }
    connection.execute(insert(t.audit).values(row))


def hash_of(previous: str, sequence: int, at: str, actor: str, event: str, content: str) -> str:
    """The hash of one event; `content` is its canonical JSON text, and so is the whole that is hashed."""
    said = (
        f'{{"actor":{encode_basestring(actor)},"at":{encode_basestring(at)},"content":{content},'
        f'"event":{encode_basestring(event)},"sequence":{sequence}}}'
    )
    return hashlib.sha256((previous + said).encode("utf-8", "surrogatepass")).hexdigest()
