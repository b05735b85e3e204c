"""Account, User and Contact rows of the sample company."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from crmsync.sandbox.company.markets import MARKETS, Market, Names, customer_name
from crmsync.sandbox.company.partners import Partner

Row = tuple[str | None, ...]

USER_COLUMNS = ("Key__c", "Username", "FirstName", "LastName", "Email", "Alias", "IsActive")
ACCOUNT_COLUMNS = (
    "Key__c", "Name", "Parent.Key__c", "Type", "AccountNumber", "Industry", "BillingStreet", "BillingCity",
    "BillingCountryCode", "CurrencyIsoCode", "Owner.Key__c", "Region__c", "Partner_Status__c", "Partner_Categories__c",
    "Partner_Since__c", "Partner_Tier_Manual__c", "MSP_Tier_Manual__c", "Business_Plan_Signed__c",
    "Customer_Satisfaction__c", "Description",
)  # fmt: skip
CONTACT_COLUMNS = ("Key__c", "Account.Key__c", "FirstName", "LastName", "Email", "Title")

INDUSTRIES = ("Manufacturing", "Retail", "Healthcare", "Education", "Banking", "Government", "Energy", "Transportation")
TITLES = (
    "Managing Director",
    "Consultant",
    "Solution Architect",
    "Sales Manager",
    "Service Engineer",
    "Einkauf, Leitung",
)
REMARKS = (
    "Asked for a review of the contract.\nCall back after the fair.",
    'Known locally as "the red house", ships from two sites,\nsee notes',
    "Wants MDF;\tno plan yet\r\nOwner: to be decided",
    "Merged in spring\u2028see the old account",
    "  please do not phone before 10:00  ",
)


class Customer(NamedTuple):
    """A customer account: it buys, and is no partner."""

    key: str
    name: str
    market: Market


def user_key(place: int) -> str:
    """External key of a channel manager."""
    return f"USR-{place + 1:03d}"


def user_rows(count: int, pools: Mapping[str, Names], random: Random) -> Iterator[Row]:
    """One row per channel manager."""
    for place in range(count):
        first, last = pools[random.choice(MARKETS).country].person(random)
        name = f"channel{place + 1:03d}"
        active = "true" if place == 0 or random.random() < 0.95 else "false"
        yield (
            user_key(place),
            f"{name}@sample.example",
            first,
            last,
            f"{name}@sample.example",
            f"chan{place + 1:03d}",
            active,
        )


def customers(count: int, pools: Mapping[str, Names], random: Random) -> list[Customer]:
    """Customers in the partners' markets, some in each while there are enough."""
    shares = [market.share for market in MARKETS]
    drawn = [*MARKETS[:count], *random.choices(MARKETS, shares, k=max(0, count - len(MARKETS)))]
    return [
        Customer(f"CUS-{place + 1:06d}", customer_name(pools[market.country], random), market)
        for place, market in enumerate(drawn)
    ]


def account_rows(
    partners: Sequence[Partner], buyers: Sequence[Customer], pools: Mapping[str, Names], today: date, random: Random
) -> Iterator[Row]:
    """Partners, parents first, then customers."""
    for partner in partners:
        yield _partner_row(partner, partners, today, random)
    for place, buyer in enumerate(buyers):
        yield _customer_row(place, buyer, pools[buyer.market.country], random)


def _partner_row(partner: Partner, partners: Sequence[Partner], today: date, random: Random) -> Row:
    surveyed = random.random() < 0.8
    satisfaction = min(5.0, max(1.0, random.gauss(4.1, 0.5)))
    return (
        partner.key,
        _typed_name(partner.name, partner.place),
        None if partner.parent is None else partners[partner.parent].key,
        "Partner",
        partner.number,
        None,
        f"{partner.street}\nBuilding {partner.place % 9 + 1}" if partner.place % 6 == 2 else partner.street,
        partner.city,
        partner.market.country,
        partner.market.currency,
        user_key(partner.owner),
        partner.market.region,
        partner.status,
        ";".join(partner.categories) or None,
        None if partner.place % 97 == 40 else partner.joined.isoformat(),
        partner.manual_tier,
        partner.manual_msp_tier,
        "true" if partner.joined < today - timedelta(days=200) and random.random() < 0.55 else "false",
        f"{satisfaction:.1f}" if surveyed else None,
        REMARKS[partner.place % len(REMARKS)] if partner.place % 11 == 3 else None,
    )


def _typed_name(name: str, place: int) -> str:
    """Names as people type and paste them: some with blanks around, some with an odd line separator."""
    if place % 71 == 17:
        return f" {name} "
    return name.replace(" ", "\u2028", 1) if place % 211 == 29 else name


def _customer_row(place: int, buyer: Customer, names: Names, random: Random) -> Row:
    kind = "Prospect" if place % 9 == 4 else "Customer - Channel"
    return (
        buyer.key, buyer.name, None, kind, None, random.choice(INDUSTRIES),
        random.choice(names.streets), random.choice(names.cities),
        buyer.market.country, buyer.market.currency, user_key(0), buyer.market.region, None, None,
        None, None, None, "false",
        None, REMARKS[place % len(REMARKS)] if place % 29 == 5 else None,
    )  # fmt: skip


def contact_key(partner: Partner, person: int) -> str:
    """External key of one person of a partner."""
    return f"CON-{partner.place + 1:06d}-{person + 1:02d}"


def contact_rows(
    partners: Sequence[Partner], people: Sequence[int], pools: Mapping[str, Names], random: Random
) -> Iterator[Row]:
    """One row per person, `people` of each partner."""
    for partner, count in zip(partners, people, strict=True):
        names = pools[partner.market.country]
        for person in range(count):
            first, last = names.person(random)
            key = contact_key(partner, person)
            mail = f"{key.lower()}@partner.example"
            yield key, partner.key, first, last, mail, random.choice(TITLES)
