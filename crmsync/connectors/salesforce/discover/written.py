"""The fields that are written: the proposed names, unless the org has something else under them already."""

from __future__ import annotations

from collections.abc import Iterator

from crmsync.connectors.mapping import WriteMap
from crmsync.connectors.salesforce.discover.choosing import Line, filled
from crmsync.connectors.salesforce.discover.facts import ObjectFacts

OWN_PREFIX = "Crmsync_"


def is_ours(account: ObjectFacts, writes: WriteMap) -> bool:
    """Whether crmsync has been deployed here before: nobody else makes a write token."""
    return account.described.field(writes.token.text) is not None


def our_fields(account: ObjectFacts, writes: WriteMap) -> frozenset[str]:
    """Fields of the account that write-back owns, in small letters; none where it was never deployed."""
    if not is_ours(account, writes):
        return frozenset()
    places = (*writes.all_fields, *writes.people.values(), *writes.partner_safe.values())
    return frozenset(place.text.lower() for place in places)


def written_line(key: str, name: str, account: ObjectFacts, ours: bool, read: frozenset[str]) -> Line:
    """Where one value goes. A field that people fill already keeps its content: ours gets a name of its own.

    `read`: fields that the proposal reads, in small letters.
    """
    there = account.described.field(name)
    if there is None:
        return Line(key, name, True, "made by `crmsync deploy`")
    if ours:
        return Line(key, name, True, f"there already ({there.type})")
    what = "is read above" if name.lower() in read else "is there already and may be people's own"
    own = f"{OWN_PREFIX}{name}"
    return Line(
        key, own, False, f"{name} ({there.type}{filled(account.share(name))}) {what}; it is left alone", (name,)
    )


def written_lines(writes: WriteMap, account: ObjectFacts, read: frozenset[str]) -> Iterator[tuple[str, Line]]:
    """(part of `writes:`, line) for every field of the account; the part is empty for the token."""
    ours = is_ours(account, writes)
    yield "", written_line("token", writes.token.text, account, ours, read)
    parts = (("fields", writes.fields), ("people", writes.people), ("partner_safe", writes.partner_safe))
    for part, fields in parts:
        yield from ((part, written_line(key, place.text, account, ours, read)) for key, place in fields.items())
