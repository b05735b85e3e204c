"""Reads an org for discovery: descriptions of candidates only, counts in batches, a bounded number of calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crmsync.connectors.base import Progress, no_progress
from crmsync.connectors.salesforce.describe import Describe, Field, SObject
from crmsync.connectors.salesforce.discover import activities, certifications, exceptions
from crmsync.connectors.salesforce.discover.children import named_like
from crmsync.connectors.salesforce.discover.facts import ACCOUNT, CONTACT, OPPORTUNITY, ObjectFacts, OrgFacts
from crmsync.connectors.salesforce.discover.opportunities import NOT_JUNCTIONS
from crmsync.connectors.salesforce.discover.partner_flag import fields_to_count, partner_filter
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.soql import checked_filter, count, count_by, count_filled
from crmsync.connectors.salesforce.together import BATCH, Answered, ask_together
from crmsync.errors import AccessError, ConfigError, CrmsyncError, Deferred

CALLS_MAX = 60
"""API calls of one discovery, logins included."""
FIELDS_IN_A_COUNT = 60
PER_KIND = 4
"""Objects that are described for each kind of record."""
_JUNCTIONS_MAX = 6
_CURRENCIES = "SELECT IsoCode, IsCorporate FROM CurrencyType WHERE IsActive = true"
_TOLD = "it was left out after"


@dataclass
class _Reading:
    """One discovery under way. Nothing here decides what a field means."""

    org: Org
    describe: Describe
    progress: Progress
    notes: list[str] = field(default_factory=list)

    @property
    def calls(self) -> int:
        return self.org.session.usage.calls

    def left(self, what: str) -> bool:
        """Whether another call fits; else it is noted what was left out."""
        if self.calls < CALLS_MAX:
            return True
        note = f"{what}: {_TOLD} {CALLS_MAX} calls"
        if note not in self.notes:
            self.notes.append(note)
        return False

    def find(self, name: str) -> SObject | None:
        """The description of one object, or None."""
        if not self.left(f"object {name}"):
            return None
        self.progress("describe", self.calls, None)
        return self.describe.find(name)

    # --- counts

    def answers(self, queries: Sequence[str]) -> list[Answered]:
        """The answer of each query, five to a call; without a page where it was refused or too many calls were made."""
        found: list[Answered] = []
        for at in range(0, len(queries), BATCH):
            batch = queries[at : at + BATCH]
            if not self.left("counts"):
                found += [Answered(None, "left out")] * len(batch)
                continue
            self.progress("count", at, len(queries))
            answered = ask_together(self.org, batch)
            refused = zip(batch, answered, strict=True)
            self.notes += [f"`{query[:80]}`: {one.code}" for query, one in refused if one.page is None]
            found += answered
        return found


def read_org(org: Org, progress: Progress = no_progress) -> OrgFacts:
    """What an org shows of partners, their deals and certificates. Reads only.

    Errors: AccessError when the login fails, or accounts or opportunities are hidden from it; Deferred.
    """
    reading = _Reading(org, Describe(org), progress)
    account, deals = (_needed(reading, name) for name in ("Account", "Opportunity"))
    people = reading.find("Contact")
    described = {one.name.lower(): one for one in (account, deals, people) if one is not None}
    names = _names(org)
    for name in _candidates(names, account, deals, people):
        found = reading.find(name)
        if found is not None and found.queryable:
            described.setdefault(found.name.lower(), found)
    for name in _behind(described, names):
        found = reading.find(name)
        if found is not None:
            described.setdefault(found.name.lower(), found)
    currencies = _currencies(reading, names)
    facts = {name: ObjectFacts(one) for name, one in described.items()}
    facts[ACCOUNT] = _flagged(reading, facts[ACCOUNT])
    condition = _condition(reading, facts[ACCOUNT])
    counted = _counted(reading, facts, condition)
    own = _own_deals(reading, counted, condition)
    return OrgFacts(
        counted, org.organization["time_zone"], currencies, _one_currency(reading, currencies), own, reading.calls,
        tuple(reading.notes),
    )  # fmt: skip


def _needed(reading: _Reading, name: str) -> SObject:
    found = reading.find(name)
    if found is None:
        raise AccessError(
            f"object {name} is hidden from this login: give its user a permission set that reads it, then try again"
        )
    return found


def _names(org: Org) -> Mapping[str, str]:
    """Every object that may be queried, with its label."""
    answer = org.get("sobjects")
    entries = answer.get("sobjects") if isinstance(answer, dict) else None
    return {
        str(one["name"]): str(one.get("label") or one["name"])
        for one in entries or ()
        if isinstance(one, dict) and one.get("name") and one.get("queryable", True)
    }


def _candidates(names: Mapping[str, str], account: SObject, deals: SObject, people: SObject | None) -> Iterator[str]:
    """Objects worth a description: named like a kind of record, or between accounts and opportunities."""
    below = {child.object for one in (account, people) if one is not None for child in one.children}
    for kind in (certifications.KIND, activities.KIND, exceptions.KIND):
        named = [name for _, name in named_like(names, kind)]
        yield from sorted(named, key=lambda name: name not in below)[:PER_KIND]
    of_deals = {child.object for child in deals.children}
    shared = {child.object for child in account.children} & of_deals
    between = [name for name in sorted(shared) if name in names and not name.lower().endswith(NOT_JUNCTIONS)]
    custom = [name for name in between if name.lower().endswith("__c")]
    yield from [*custom, *(name for name in between if name == "OpportunityPartner")][:_JUNCTIONS_MAX]
    rest = sorted(name for name in below if name.lower().endswith("__c") and name in names)
    yield from rest[:PER_KIND]
    yield from (name for name in ("DatedConversionRate",) if name in names)


def _behind(described: Mapping[str, SObject], names: Mapping[str, str]) -> Iterator[str]:
    """Custom objects that certificates point at: catalogues."""
    certificates = {name.lower() for _, name in named_like({one.name: one.label for one in described.values()},
                                                          certifications.KIND)}  # fmt: skip
    for name in sorted(certificates):
        for one in described[name].fields.values():
            yield from (
                target
                for target in one.reference_to
                if target in names and target.lower() not in described and target.lower().endswith("__c")
            )


def _currencies(reading: _Reading, names: Mapping[str, str]) -> tuple[str, ...]:
    """Active currencies, the corporate one first; none where the org has one only."""
    if "CurrencyType" not in names:
        return ()
    (answer,) = reading.answers([_CURRENCIES])
    records = [one for one in answer.records if isinstance(one, dict)]
    ordered = sorted(records, key=lambda one: (not one.get("IsCorporate"), str(one.get("IsoCode"))))
    return tuple(str(one.get("IsoCode")) for one in ordered)


def _one_currency(reading: _Reading, currencies: Sequence[str]) -> str:
    if currencies:
        return ""
    organization = reading.find("Organization")
    if organization is None or organization.field("DefaultCurrencyIsoCode") is None:
        return ""
    (answer,) = reading.answers(["SELECT DefaultCurrencyIsoCode FROM Organization"])
    records = answer.records
    return str(records[0].get("DefaultCurrencyIsoCode") or "") if records else ""


def _flagged(reading: _Reading, account: ObjectFacts) -> ObjectFacts:
    """The account with its number of records and the values of what may tell partners."""
    fields = fields_to_count(account)
    queries = [count(account.name), *(count_by(account.name, one) for one in fields)]
    total, *grouped = reading.answers(queries)
    values = {one.name.lower(): _by_value(answer, one) for one, answer in zip(fields, grouped, strict=True)}
    return replace(account, rows=total.total, values=values)


def _by_value(answer: Answered, one: Field) -> dict[str, int]:
    found = {}
    for record in answer.records:
        value = record.get(one.name)
        text = str(value).lower() if isinstance(value, bool) else str(value or "")
        found[text] = int(record.get("n") or 0)
    return found


def _condition(reading: _Reading, account: ObjectFacts) -> str:
    """The condition of partners as we send it, so that shares are those of partners."""
    line = partner_filter(account)
    if line.value is None:
        return ""
    try:
        return checked_filter(line.value, reading.describe, account.name, "discovery", 1)
    except ConfigError as error:
        reading.notes.append(f"partners were not counted apart: {error.message}")
        return ""


def _counted(reading: _Reading, facts: Mapping[str, ObjectFacts], condition: str) -> dict[str, ObjectFacts]:
    """Every object with its number of records and how many have a value in each field."""
    asked: list[tuple[str, Sequence[Field], str]] = []
    for name, one in facts.items():
        where = condition if name == ACCOUNT else ""
        asked += [(name, fields, query) for fields, query in _queries(one, where)]
    answers = reading.answers([query for _, _, query in asked])
    rows: dict[str, int] = {}
    filled: dict[str, dict[str, int]] = {name: {} for name in facts}
    for (name, fields, query), answer in zip(asked, answers, strict=True):
        if query.startswith("SELECT COUNT()"):
            total = answer.total
            filled[name] |= {field.name.lower(): total for field in fields} if total is not None else {}
            continue
        counts = _aggregates(answer)
        rows |= {name: counts["n"]} if "n" in counts else {}
        by_alias = {f"c{place}": field.name.lower() for place, field in enumerate(fields)}
        filled[name] |= {by_alias[alias]: number for alias, number in counts.items() if alias in by_alias}
    return {name: _completed(one, rows.get(name), filled[name]) for name, one in facts.items()}


def _completed(one: ObjectFacts, rows: int | None, filled: Mapping[str, int]) -> ObjectFacts:
    """Of accounts only partners were looked at, and their number of records is known before."""
    if one.name.lower() == ACCOUNT:
        return replace(one, filled=filled, among=rows)
    return replace(one, rows=rows, filled=filled)


def _queries(one: ObjectFacts, condition: str) -> Iterator[tuple[Sequence[Field], str]]:
    """(fields, query): one for all fields that can be counted together, one for each that cannot."""
    fields = [field for field in one.described.fields.values() if _worth(field)]
    together = [field for field in fields if field.aggregatable]
    for at in range(0, max(len(together), 1), FIELDS_IN_A_COUNT):
        part = together[at : at + FIELDS_IN_A_COUNT]
        yield part, count_filled(one.name, part, condition)
    if one.name.lower() in (ACCOUNT, OPPORTUNITY, CONTACT):
        apart = [field for field in fields if field.type == "multipicklist" and field.filterable]
        yield from (([field], count(one.name, _has_value(field, condition))) for field in apart)


def _has_value(one: Field, condition: str) -> str:
    own = f"{one.name} != null"
    return f"({condition}) AND {own}" if condition else own


_COUNTED = frozenset(
    {"string", "picklist", "combobox", "reference", "date", "currency", "double", "int", "percent", "multipicklist"}
)
_WHOLE = frozenset({"id", "ownerid", "createdbyid", "lastmodifiedbyid", "jigsaw", "photourl", "masterrecordid"})


def _worth(one: Field) -> bool:
    """Whether it is worth knowing how often a field is filled."""
    return one.type in _COUNTED and one.name.lower() not in _WHOLE and one.filterable


def _aggregates(answer: Answered) -> dict[str, int]:
    """Alias -> number of one row of aggregates."""
    records = answer.records
    first = records[0] if records and isinstance(records[0], dict) else {}
    return {name.lower(): value for name, value in first.items() if isinstance(value, int)}


def _own_deals(reading: _Reading, facts: Mapping[str, ObjectFacts], condition: str) -> int | None:
    """How many opportunities have a partner as their own account."""
    line = partner_filter(facts[ACCOUNT])
    if not condition or line.value is None:
        return None
    try:
        through = checked_filter(f"Account.{line.value}", reading.describe, "Opportunity", "discovery", 1)
    except CrmsyncError as error:
        if isinstance(error, Deferred):
            raise
        return None
    (answer,) = reading.answers([count(facts[OPPORTUNITY].name, through)])
    return answer.total
