"""The columns of partners: fields of the account."""

from __future__ import annotations

from collections.abc import Iterator

from crmsync.connectors.salesforce.discover.choosing import CHOICES, DATES, TEXTS, Line, Wanted, choose
from crmsync.connectors.salesforce.discover.facts import ObjectFacts

NO_TIERS = ("calculated", "previous", "next", "pending", "crmsync", "portal", "token", "grace")

STATUS = Wanted(
    "status", TEXTS, ("partner status", "partnership status", "partnerstatus", "status partner", "lifecycle", "status",
                      "estado", "statut", "zustand"),
    avoid=("customer", "credit", "support", "clean", "tier", "level", "kunde"),
)  # fmt: skip
REGION = Wanted(
    "region", TEXTS, ("partner region", "sales region", "region", "territory", "geo", "theater", "vertriebsgebiet",
                      "gebiet", "area", "regiao", "secteur"),
    avoid=("code",),
)  # fmt: skip
CATEGORIES = Wanted(
    "declared_categories", CHOICES,
    ("partner category", "partner type", "partner model", "business model", "category", "partnerart", "partner kind",
     "segment", "route to market", "geschaftsmodell", "geschaeftsmodell", "kategorie", "categoria", "type"),
    avoid=("tier", "product", "produkt", "language", "industry"),
)  # fmt: skip
CATEGORY = Wanted("declared_categories", TEXTS, CATEGORIES.words[:8], avoid=(*CATEGORIES.avoid, "account"))
JOINED = Wanted(
    "joined_on", DATES,
    ("partner since", "partner start", "joined", "partnership start", "partner seit", "agreement start",
     "contract start", "onboarded", "signed", "start date", "vertragsbeginn", "beginn", "fecha de alta", "depuis"),
    avoid=("end", "expire", "tier", "created", "modified", "review"),
)  # fmt: skip
CURRENT_TIER = Wanted(
    "current_tier", TEXTS,
    ("partner tier", "partner level", "tier", "program level", "partnerstufe", "partner status level", "level", "stufe",
     "nivel", "niveau", "partner class"),
    avoid=(*NO_TIERS, "support", "customer", "program", "kunde"),
)  # fmt: skip
_COUNTRY = ("BillingCountryCode", "BillingCountry")


def partner_lines(account: ObjectFacts, ours: frozenset[str]) -> Iterator[Line]:
    """One line per column. `ours`: fields that write-back owns, in small letters; they are never read as input."""
    yield Line("partner_id", "Id", True, "key of the account")
    yield from _standard(account, "name", "Name")
    yield from _standard(account, "parent_id", "ParentId", "company families")
    yield choose(STATUS, account, taken=ours)
    yield choose(REGION, account, taken=ours)
    yield _country(account)
    several = choose(CATEGORIES, account, taken=ours)
    yield several if several.value is not None else _single(choose(CATEGORY, account, taken=ours), several)
    yield choose(JOINED, account, taken=ours)
    yield from _standard(account, "owner_id", "OwnerId")
    yield from _standard(account, "currency", "CurrencyIsoCode", "the org has several currencies")
    number = account.described.field("AccountNumber")
    if number is not None and account.share(number.name):
        yield Line("account_number", number.name, True, "filled; other systems may be matched on it")
    tier = choose(CURRENT_TIER, account, taken=ours)
    if tier.value is not None:
        yield Line(tier.key, tier.value, tier.sure, f"{tier.why}; a tier kept by hand: `starts_from`", tier.others)


def _standard(account: ObjectFacts, column: str, name: str, why: str = "standard field") -> Iterator[Line]:
    if account.described.field(name) is not None:
        yield Line(column, name, True, why)


def _country(account: ObjectFacts) -> Line:
    there = [name for name in _COUNTRY if account.described.field(name) is not None]
    filled = [name for name in there if account.share(name)]
    chosen = next(iter(filled or there), None)
    if chosen is None:
        return Line("country", None, False, "the address has no country here")
    return Line("country", chosen, True, "country of the billing address" + ("" if filled else ", empty so far"))


def _single(one: Line, several: Line) -> Line:
    """A picklist of one value may stand for the categories; whether it does is a question."""
    if one.value is None:
        return several
    return Line(one.key, one.value, False, f"{one.why}; one category per partner", one.others)
