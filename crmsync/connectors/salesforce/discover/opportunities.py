"""The columns of opportunities, and who is credited: lookups, roles of the platform, junction objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from crmsync.connectors.salesforce.describe import Field
from crmsync.connectors.salesforce.discover.choosing import (
    DATES,
    MONEY,
    NUMERIC,
    TEXTS,
    Line,
    Wanted,
    choose,
    filled,
    percent,
)
from crmsync.connectors.salesforce.discover.facts import ACCOUNT, OPPORTUNITY, ObjectFacts, OrgFacts
from crmsync.connectors.salesforce.discover.words import tokens

STANDARD: Mapping[str, str] = {
    "opportunity_id": "Id", "name": "Name", "stage": "StageName", "type": "Type", "is_closed": "IsClosed",
    "is_won": "IsWon", "amount": "Amount", "currency": "CurrencyIsoCode", "customer_id": "AccountId",
    "created_on": "CreatedDate", "closed_on": "CloseDate",
}  # fmt: skip
PRODUCT_LINE = Wanted(
    "product_line", TEXTS,
    ("product line", "product family", "product", "solution", "practice", "line of business", "produktlinie", "sparte",
     "linea", "gamme"),
    avoid=("code", "count"),
)  # fmt: skip
REGISTERED = Wanted(
    "registered_on", DATES,
    ("registered", "deal registration", "registration", "registriert", "registrado"),
    avoid=("expire", "end", "close"),
)  # fmt: skip
CREDITED = Wanted(
    "credited_amount", MONEY,
    ("credited amount", "partner amount", "partner revenue", "partnerumsatz", "reseller amount"),
)  # fmt: skip
AMOUNTS = Wanted("amount", MONEY, ("total contract value", "acv", "tcv", "net amount", "amount", "umsatz", "revenue"))
ROLE = Wanted("role", TEXTS, ("partner role", "role", "rolle", "type", "kind", "art", "rol", "funktion"))
SHARE = Wanted("share", NUMERIC, ("share", "split", "percentage", "percent", "anteil", "quote", "parte", "portion"))

_NO_ROLE = frozenset({"partner", "account", "id", "company", "firma", "konto", "opportunity", "the", "of"})
_EMPTY_AMOUNT = 0.5
NOT_JUNCTIONS = ("share", "history", "feed", "changeevent", "tag")
"""Endings of objects that the platform keeps beside every object."""
_OWN_CUSTOMERS = 0.2


def opportunity_lines(deals: ObjectFacts) -> Iterator[Line]:
    """One line per column of opportunities."""
    for column, name in STANDARD.items():
        if deals.described.field(name) is None:
            if column != "currency":
                yield Line(column, None, False, f"Opportunity.{name} is not visible to this login")
        elif column == "amount":
            yield _amount(deals)
        else:
            why = "the customer" if column == "customer_id" else "standard field"
            yield Line(column, name, True, f"{why}{filled(deals.share(name))}")
    yield choose(PRODUCT_LINE, deals)
    yield choose(REGISTERED, deals)
    credited = choose(CREDITED, deals)
    if credited.value is not None:
        yield credited


def _amount(deals: ObjectFacts) -> Line:
    share = deals.share("Amount")
    others = [one for one in (choose(AMOUNTS, deals, taken=("amount", "expectedrevenue")),) if one.value]
    if share is None or share >= _EMPTY_AMOUNT or not others:
        return Line("amount", "Amount", True, f"standard field{filled(share)}")
    return Line("amount", "Amount", False, f"filled {percent(share)} only", (f"{others[0].value} ({others[0].why})",))


# --- who is credited


def credited_lines(org: OrgFacts) -> Iterator[Line]:
    """One line per way on which a partner is credited with an opportunity."""
    deals = org.find(OPPORTUNITY)
    assert deals is not None, "reading refuses an org without opportunities"
    found = [*_lookups(deals), *_junctions(org)]
    if any(line.value is not None for line in found):
        yield from found
        return
    yield from found
    yield _own_account(org, deals)


def _lookups(deals: ObjectFacts) -> Iterator[Line]:
    roles: set[str] = set()
    for one in deals.lookups(ACCOUNT):
        if one.name.lower() == "accountid":
            continue
        share = deals.share(one.name)
        if share == 0:
            yield Line(one.name, None, True, f"lookup “{one.label}” to an account, never filled")
            continue
        role = _role(one, roles)
        yield Line(
            one.name, _flow({"partner_id": one.name, "role": role}), True, f"lookup “{one.label}”{filled(share)}"
        )


def _role(one: Field, roles: set[str]) -> str:
    """What the lookup is called, without the words that every one of them has; each role once."""
    words = [word for word in tokens(one.name) if word not in _NO_ROLE] or ["partner"]
    role = "_".join(words)
    while role in roles:
        role += "_2"
    roles.add(role)
    return role


def _junctions(org: OrgFacts) -> Iterator[Line]:
    """Objects whose records name an opportunity and an account."""
    for facts in sorted(org.objects.values(), key=lambda one: one.name):
        if is_junction(facts):
            yield _junction(facts)


def is_junction(facts: ObjectFacts) -> bool:
    """Whether records of an object stand between opportunities and accounts."""
    name = facts.name.lower()
    if name in (ACCOUNT, OPPORTUNITY) or name.endswith(NOT_JUNCTIONS):
        return False
    return any(facts.lookups(OPPORTUNITY)) and any(facts.lookups(ACCOUNT))


def _junction(facts: ObjectFacts) -> Line:
    if facts.rows == 0:
        return Line(facts.name, None, True, f"object “{facts.described.label}” between deals and accounts, no records")
    deal = next(facts.lookups(OPPORTUNITY))
    accounts = list(facts.lookups(ACCOUNT))
    # Of the platform's own roles the partner is the account that is pointed at, not the one that points.
    accounts.sort(key=lambda one: one.name.lower() == "accountfromid")
    role, share = choose(ROLE, facts), choose(SHARE, facts)
    parts: dict[str, str | Decimal | None] = {
        "object": facts.name, "opportunity": deal.name, "partner_id": accounts[0].name,
        "role": role.value or "partner", "share": share.value,
    }  # fmt: skip
    counted = "" if facts.rows is None else f", {facts.rows:,} records"
    why = f"records of “{facts.described.label}”{counted}"
    if share.value is None:
        why += "; no share: each is credited in full"
    sure = len(accounts) == 1 or facts.name == "OpportunityPartner"
    others = tuple(one.name for one in accounts[1:]) if not sure else ()
    return Line(facts.name, _flow(parts), sure, why, others)


def _own_account(org: OrgFacts, deals: ObjectFacts) -> Line:
    """Nothing else names a partner: the deal's own account may be the partner."""
    flow = _flow({"partner_id": "AccountId"})
    if org.partner_deals is None or not deals.rows:
        return Line("AccountId", None, False, "nothing on the opportunity names a partner", (flow,))
    share = org.partner_deals / deals.rows
    why = f"{percent(share)} of the opportunities have a partner as their own account, and nothing else names one"
    if share < _OWN_CUSTOMERS:
        return Line("AccountId", None, False, why, (flow,))
    return Line("AccountId", flow, False, why)


def _flow(parts: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in parts.items() if value is not None) + "}"
