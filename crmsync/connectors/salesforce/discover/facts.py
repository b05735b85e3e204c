"""What discovery has read of an org: descriptions and counts. Everything that decides works on this, without an org."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from crmsync.connectors.salesforce.describe import Field, SObject

ACCOUNT, CONTACT, OPPORTUNITY = "account", "contact", "opportunity"


@dataclass(frozen=True)
class ObjectFacts:
    """One described object. `rows`: its records (None: not counted); `filled`: field in lower case -> records that
    have a value, of `among` records (None: of all); `values`: field in lower case -> value -> records."""

    described: SObject
    rows: int | None = None
    filled: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    among: int | None = None

    @property
    def name(self) -> str:
        """The object's API name."""
        return self.described.name

    def share(self, name: str) -> float | None:
        """Which part of the records has a value in a field; None where it was not counted or there is no record."""
        counted = self.filled.get(name.lower())
        of = self.rows if self.among is None else self.among
        return None if counted is None or not of else counted / of

    def lookups(self, target: str) -> Iterator[Field]:
        """The fields that point at records of an object, those made for it first."""
        found = [one for one in self.described.fields.values() if target in map(str.lower, one.reference_to)]
        yield from sorted(found, key=lambda one: not one.name.lower().endswith("__c"))


@dataclass(frozen=True)
class OrgFacts:
    """A whole org. `objects`: by name in lower case; `currencies`: active ones, corporate first, empty in an org with
    one currency; `one_currency`: that of an org with one, where it is told; `partner_deals`: opportunities whose own
    account is a partner; `calls`: what reading it cost; `notes`: what was left unread and why."""

    objects: Mapping[str, ObjectFacts]
    time_zone: str = "UTC"
    currencies: tuple[str, ...] = ()
    one_currency: str = ""
    partner_deals: int | None = None
    calls: int = 0
    notes: tuple[str, ...] = ()

    def find(self, name: str) -> ObjectFacts | None:
        """The facts of one object, or None where it does not exist or was not read."""
        return self.objects.get(name.lower())
