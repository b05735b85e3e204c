"""Badges on contacts: the certificates that a person holds on the day, in one field. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date

import pyarrow.parquet as pq

from crmsync.snapshots import Snapshot
from crmsync.writeback.beside import Beside, Drafted, changed_record
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import Sink, normalised

CONTACT_BADGES = "contact_badges"
BADGES = "badges"
COLUMNS = ("person_id", "credential", "issued_on", "expires_on")


def badge_changes(
    drafted: Drafted, sink: Sink, held: Mapping[str, Beside] | None, badges: Mapping[str, frozenset[str]] | None
) -> Iterator[Change]:
    """The contacts whose field differs; of a person who is not a contact of the org nothing is written. `badges` None:
    the tables do not tell who holds what, and nobody loses any for it."""
    if badges is None:
        return
    partners = {account: partner for partner, account in drafted.accounts.items()}
    for contact in sorted(held or {}):
        present = (held or {})[contact]
        wanted = {BADGES: normalised(BADGES, ";".join(sorted(badges.get(contact, ()))))}
        partner = partners.get(present.account, present.account)
        if partner not in drafted.unread:
            yield from changed_record(sink, contact, partner, wanted, present)


def badges_of(snapshot: Snapshot, as_of: date) -> dict[str, frozenset[str]] | None:
    """The credentials that each person holds on that day; None where no table says so."""
    file = snapshot.tables.get("certifications")
    if file is None or not {"person_id", "credential"} <= set(file.columns):
        return None
    read = [column for column in COLUMNS if column in file.columns]
    found: dict[str, set[str]] = defaultdict(set)
    for row in pq.read_table(file.path, columns=read).to_pylist():
        if row["person_id"] and row["credential"] and _in_force(row, as_of, file.expires_on_is_last_day):
            found[row["person_id"]].add(row["credential"])
    return {person: frozenset(held) for person, held in found.items()}


def _in_force(row: Mapping[str, date | None], as_of: date, last_day: bool) -> bool:
    begins, ends = row.get("issued_on"), row.get("expires_on")
    if begins is not None and begins > as_of:
        return False
    return ends is None or ends > as_of or (last_day and ends == as_of)
