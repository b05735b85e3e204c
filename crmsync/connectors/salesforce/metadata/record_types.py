"""Record types: which values of a picklist their records may hold. A value that is new has to be added to each.

Without that an org refuses it (INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST) although the field has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from crmsync.connectors.salesforce.metadata.components import Body

PICKLISTS = ("Picklist", "MultiselectPicklist")


@dataclass(frozen=True)
class Offered:
    """A picklist as it will be: its name, the values that are written, and all that are active."""

    field: str
    wanted: tuple[str, ...]
    active: tuple[str, ...]


def offered(name: str, wanted: Sequence[str], body: Body) -> Offered | None:
    """The picklist of a field's definition; None where it is none, or takes its values from elsewhere."""
    own = (body.get("valueSet") or {}).get("valueSetDefinition")
    if body.get("type") not in PICKLISTS or own is None or not wanted:
        return None
    active = [str(one.get("fullName")) for one in own.get("value") or () if one.get("isActive") is not False]
    return Offered(name, tuple(one for one in wanted if one in active), tuple(active))


def widened_record_type(present: Body, picklists: Sequence[Offered]) -> tuple[Body, tuple[str, ...]] | None:
    """The record type with the values that it lacks, and what those are; None when it lacks none or is not in use."""
    if present.get("active") is False:
        return None
    entries = {str(one.get("picklist")).lower(): dict(one) for one in present.get("picklistValues") or ()}
    added = []
    for picklist in picklists:
        missing = list(_missing(entries.get(picklist.field.lower()), picklist))
        if missing:
            before = entries.get(picklist.field.lower(), {"picklist": picklist.field, "values": []})
            values = [
                *(before.get("values") or ()),
                *({"fullName": _escaped(one), "default": False} for one in missing),
            ]
            entries[picklist.field.lower()] = {**before, "values": values}
            added.append(f"{picklist.field}: {', '.join(missing)}")
    if not added:
        return None
    return {**present, "picklistValues": [entries[name] for name in sorted(entries)]}, tuple(added)


def _missing(entry: Mapping[str, object] | None, picklist: Offered) -> Iterator[str]:
    """What a listed picklist lacks of the written values; one that is not listed gets all, so that nobody loses any."""
    if entry is None:
        yield from picklist.active
        return
    values = entry.get("values")
    held = {unquote(str(one.get("fullName"))) for one in values} if isinstance(values, list) else set()
    yield from (one for one in picklist.wanted if one not in held)


def _escaped(value: str) -> str:
    """Record types write the signs of a value as in a web address: `A%2FB`."""
    return quote(value, safe=" ")
