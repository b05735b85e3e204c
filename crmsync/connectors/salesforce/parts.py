"""One query of a table: what it selects, how its changes are found, and why they sometimes cannot be.

A record counts as changed when its own SystemModstamp moved, or that of a record it reads through a lookup.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crmsync.connectors.salesforce.describe import Describe, FieldPath, SObject
from crmsync.connectors.salesforce.rows import ID, REPEATING
from crmsync.connectors.salesforce.soql import Condition, both, count, either, select
from crmsync.errors import AccessError

STAMP, DELETED, CREATED = "SystemModstamp", "IsDeleted", "CreatedDate"
FORMAT = 1


@dataclass(frozen=True)
class Part:
    """One query. `stamps`: whose move tells a change, the record's own first; `whole`: why changes cannot be told."""

    key: str
    object: str
    fields: tuple[FieldPath, ...]  # `Id` first
    condition: str = ""
    stamps: tuple[FieldPath, ...] = ()
    deleted: FieldPath | None = None
    whole: str = ""
    created: FieldPath | None = None  # by which a query that takes too long is cut

    @property
    def paths(self) -> tuple[str, ...]:
        """The columns that are kept, in the order of the query."""
        return tuple(dict.fromkeys(one.path for one in self.fields))

    @property
    def read_paths(self) -> tuple[str, ...]:
        """The columns of the query: those that are kept, and the record's own stamp where it has one."""
        return tuple(dict.fromkeys((*self.paths, *(one.path for one in self.stamps[:1]))))

    @property
    def repeating(self) -> tuple[str, ...]:
        """Those of the columns that hold the same texts again and again."""
        return tuple(one.path for one in self.fields if one.field.type in REPEATING)

    @property
    def digest(self) -> str:
        """Of everything that makes held records fit: the query, and the type of each field."""
        known = [FORMAT, self.object, self.condition, [(one.path, one.field.type) for one in self.fields]]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    @property
    def objects(self) -> frozenset[str]:
        """The objects whose descriptions the query needs."""
        return frozenset((self.object, *(one.owner for one in (*self.fields, *self.stamps))))

    @property
    def soql(self) -> str:
        """All records."""
        return select((*self.fields, *self.stamps[:1]), self.object, self.condition)

    @property
    def count_soql(self) -> str:
        """How many there are."""
        return count(self.object, self.condition)

    def changed_soql(self, since: str) -> str:
        """Those that changed since a moment."""
        return select(
            (*self.fields, *self.stamps[:1]), self.object, both(self.condition, either(self.stamps, ">=", since))
        )

    @property
    def touched_paths(self) -> tuple[str, ...]:
        """The columns of `touched_soql`."""
        return (ID, DELETED, STAMP)

    def touched_soql(self, since: str) -> str:
        """Whatever changed since a moment, in the filter or out of it, there or deleted."""
        assert self.deleted is not None
        return select((self.fields[0], self.deleted, self.stamps[0]), self.object, either(self.stamps, ">=", since))


def part_of(key: str, sobject: SObject, fields: Iterable[FieldPath], condition: Condition, describe: Describe) -> Part:
    """The query for these fields, `Id` first."""
    asked = tuple(fields)
    stamp, deleted = sobject.field(STAMP), sobject.field(DELETED)
    created = sobject.field(CREATED)
    own = FieldPath(STAMP, stamp, sobject.name, sobject.name) if stamp else None
    stamps, why = _stamps(own, (*asked, *condition.paths), describe)
    if deleted is None:
        why = why or f"{sobject.name} has no {DELETED}"
    if condition.moves:
        why = "its filter moves with the calendar"
    return Part(
        key, sobject.name, asked, condition.text, stamps,
        FieldPath(DELETED, deleted, sobject.name, sobject.name) if deleted else None, why,
        FieldPath(CREATED, created, sobject.name, sobject.name) if created and created.filterable else None,
    )  # fmt: skip


def _stamps(own: FieldPath | None, paths: Sequence[FieldPath], describe: Describe) -> tuple[tuple[FieldPath, ...], str]:
    """Whose stamps move with these fields, and why that does not suffice."""
    if own is None:
        return (), f"it has no {STAMP}"
    for one in paths:
        if one.field.calculated:
            return (own,), f"{one.owner}.{one.field.name} is a formula or roll-up, which changes without a {STAMP}"
    stamps = {own.path: own}
    for one in paths:
        steps = one.path.split(".")[:-1]
        for depth in range(1, len(steps) + 1):
            path = ".".join((*steps[:depth], STAMP))
            if path in stamps:
                continue
            if _of_several(one.object, steps[:depth], describe):
                return (own,), f"{one.path} may lead to records of several objects"
            try:
                stamps[path] = describe.resolve(one.object, path)
            except AccessError:
                return (own,), f"{one.path} leads to records without {STAMP}"
    return tuple(stamps.values()), ""


def _of_several(start: str, steps: Sequence[str], describe: Describe) -> bool:
    owner: SObject | None = describe.object(start)
    for step in steps:
        lookups = (
            [one for one in owner.fields.values() if one.relationship and one.relationship.lower() == step.lower()]
            if owner
            else []
        )
        if len(lookups) != 1 or len(lookups[0].reference_to) != 1:
            return True
        owner = describe.find(lookups[0].reference_to[0])
    return False
