"""Activities: deal registrations, events, claims and whatever else partners do, by kind and day."""

from __future__ import annotations

from collections.abc import Iterator

from crmsync.connectors.salesforce.discover.children import Found, Kind, partner_path, person_line
from crmsync.connectors.salesforce.discover.choosing import DATES, NUMERIC, TEXTS, YES_NO, Line, Wanted, choose
from crmsync.connectors.salesforce.discover.facts import ObjectFacts, OrgFacts

KIND = Kind(
    "activities",
    ("partner activity", "activity", "deal registration", "aktivitat", "engagement", "partner event", "registration",
     "referral", "mdf claim", "mdf", "event", "claim", "actividad", "activite", "campaign"),
    avoid=("history", "setting", "template"),
)  # fmt: skip
SORT = Wanted("kind", TEXTS, ("kind", "activity type", "type", "category", "art", "typ", "tipo", "program"))
VALUE = Wanted(
    "value", NUMERIC, ("value", "amount", "points", "wert", "betrag", "punkte", "budget", "hours", "quantity", "valor")
)  # fmt: skip
MONEY_OF = Wanted(
    "currency", TEXTS, ("value currency", "currency", "wahrung", "waehrung", "moneda", "devise"), rare=True
)  # fmt: skip
VERIFIED = Wanted(
    "verified", YES_NO, ("verified", "approved", "confirmed", "accepted", "gepruft", "geprueft", "bestatigt", "valid")
)  # fmt: skip
HAPPENED = Wanted(
    "happened_on", DATES,
    ("happened", "activity date", "event date", "held", "date", "completed", "start", "submitted", "datum", "am",
     "fecha", "on"),
    avoid=("created", "modified", "system", "viewed", "referenced", "end", "expire", "last"),
)  # fmt: skip


def activity_lines(org: OrgFacts, found: Found) -> Iterator[Line]:
    """One line per column."""
    facts = found.facts
    yield Line("activity_id", "Id", True, "key of the record")
    partner = partner_path(org, facts)
    assert partner is not None, "find_object takes none that names no partner"
    yield partner
    yield from person_line(facts)
    yield _kind(facts)
    value = choose(VALUE, facts)
    yield value
    yield _currency(facts, value)
    yield choose(VERIFIED, facts)
    happened = choose(HAPPENED, facts)
    yield happened if happened.value is not None else Line(
        "happened_on", "CreatedDate", False, "no field says when it happened; the day the record was made",
        happened.others,
    )  # fmt: skip


def _kind(facts: ObjectFacts) -> Line:
    found = choose(SORT, facts)
    types = [one for one in facts.described.record_types if not one.master and one.active]
    if found.value is None and types:
        return Line("kind", "RecordType.DeveloperName", False, f"record types: {', '.join(t.label for t in types[:6])}")
    return found


def _currency(facts: ObjectFacts, value: Line) -> Line:
    """A value is money where its row has a currency; of a plain number nobody but people can tell."""
    own = choose(MONEY_OF, facts, taken=("CurrencyIsoCode",))
    if own.value is not None:
        return own
    field = facts.described.field(value.value or "")
    if field is not None and field.type == "currency" and facts.described.field("CurrencyIsoCode") is not None:
        return Line("currency", "CurrencyIsoCode", True, f"{field.name} is a currency field")
    return Line("currency", None, False, "without it values are plain numbers, not money")
