"""Opportunity rows: three years of deals, as skewed as the partners are, with the usual dirt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from crmsync.sandbox.company.accounts import Customer, Row, user_key
from crmsync.sandbox.company.chance import allot
from crmsync.sandbox.company.partners import Partner
from crmsync.sandbox.company.rates import NO_CENTS, TYPICAL_RATES

OPPORTUNITY_COLUMNS = (
    "Key__c", "Name", "Account.Key__c", "Owner.Key__c", "StageName", "Type", "Amount", "CurrencyIsoCode", "CloseDate",
    "CreatedDate", "Product_Line__c", "Reseller__r.Key__c", "Distributor__r.Key__c", "NextStep", "Description",
)  # fmt: skip

HISTORY_DAYS = 3 * 365
FUTURE_DAYS = 150
DIRECT_SHARE = 0.04
"""Deals with no partner at all."""

OPEN_STAGES = ("Prospecting", "Qualification", "Needs Analysis", "Proposal/Price Quote", "Negotiation/Review")
HARDWARE = ("Networking", "Security", "Storage", "Workplace")
PROJECTS: Mapping[str, tuple[str, ...]] = {
    "Networking": ("Campus switching", "Wi-Fi rollout", "SD-WAN for branches"),
    "Security": ("Firewall refresh", "E-mail protection", "Zero trust, phase 1"),
    "Storage": ("Backup appliance", "All-flash array", "Archive, 2 sites"),
    "Workplace": ("Notebook rollout", "Meeting rooms", "Thin clients"),
    "Managed Services": ("Managed network", "Managed backup", "Service desk, 3 years"),
}
REMARKS = (
    'Customer said: "send the offer twice",\nonce in English,\nonce in the local language.',
    "Pasted from a mail\u2028with an odd line end",
    "Price list 2, see annex; discount agreed\r\nSigned by both",
    "Ärger mit der Lieferung: später klären; 納期を確認",
)


@dataclass(frozen=True)
class Deals:
    """How one partner's deals are laid out. Amounts are EUR; days count from `start`."""

    start: date
    days: int
    count: int
    amount: float
    phase: float


def opportunity_rows(
    total: int, partners: Sequence[Partner], buyers: Sequence[Customer], today: date, random: Random
) -> Iterator[Row]:
    """Exactly `total` rows, the partners mixed."""
    direct = round(total * DIRECT_SHARE)
    sellers = [partner for partner in partners if not partner.is_distributor]
    counts = allot(total - direct, [math.sqrt(seller.revenue) + 40 for seller in sellers])
    layouts = [_layout(seller, count, today, random) for seller, count in zip(sellers, counts, strict=True)]
    order = [place for place, count in enumerate(counts) for _ in range(count)] + [-1] * direct
    random.shuffle(order)
    done = [0] * len(sellers)
    local = buyers_by_country(buyers)
    for number, place in enumerate(order):
        if place < 0:
            yield _direct_deal(number, buyers, today, random)
        else:
            seller = sellers[place]
            nearby = local.get(seller.market.country, buyers)
            yield _deal(number, seller, layouts[place], done[place], partners, nearby, today, random)
            done[place] += 1


def buyers_by_country(buyers: Sequence[Customer]) -> Mapping[str, Sequence[Customer]]:
    """The customers of each country that has any."""
    local: dict[str, list[Customer]] = {}
    for buyer in buyers:
        local.setdefault(buyer.market.country, []).append(buyer)
    return local


def _layout(seller: Partner, count: int, today: date, random: Random) -> Deals:
    """Dates and mean amount such that the partner wins its revenue per year whatever the number of deals."""
    start = max(today - timedelta(days=HISTORY_DAYS), min(seller.joined, today - timedelta(days=15)))
    days = (today - start).days + FUTURE_DAYS
    closed = count * (days - FUTURE_DAYS) / days * 0.95
    years = (days - FUTURE_DAYS) / 365
    amount = seller.revenue * years / max(closed * seller.skill, 0.7)
    return Deals(start, days, count, amount, random.random())


def _deal(
    number: int, seller: Partner, deals: Deals, turn: int, partners: Sequence[Partner], buyers: Sequence[Customer],
    today: date, random: Random,
) -> Row:  # fmt: skip
    # Evenly spaced dates and wins: with few deals per partner pure chance would drown the skew.
    closes = deals.start + timedelta(days=int((turn + random.random()) / deals.count * deals.days))
    won = (turn * seller.skill + deals.phase) % 1 < seller.skill
    late = closes <= today and random.random() < 0.05
    stage = random.choice(OPEN_STAGES) if late or closes > today else ("Closed Won" if won else "Closed Lost")
    years_ago = (today - closes).days / 365
    euros = deals.amount * math.exp(random.gauss(-0.125, 0.5)) * (1 + seller.growth) ** (1.5 - years_ago)
    line = "Managed Services" if random.random() < seller.services else random.choice(HARDWARE)
    buyer = buyers[(seller.place * 13 + int(random.random() ** 2 * (3 + deals.count // 2)) * 31) % len(buyers)]
    distributor = None
    if seller.distributor is not None and line != "Managed Services" and random.random() < 0.7:
        distributor = partners[seller.distributor].key
    currency = seller.market.currency if random.random() < 0.9 else "USD"
    return _row(
        number, buyer, user_key(seller.owner), stage, line, euros, currency, closes, seller.key, distributor, random
    )


def _direct_deal(number: int, buyers: Sequence[Customer], today: date, random: Random) -> Row:
    closes = today - timedelta(days=random.randrange(HISTORY_DAYS))
    buyer = random.choice(buyers)
    stage = random.choices(("Closed Won", "Closed Lost", OPEN_STAGES[1]), (5, 4, 1))[0]
    line = random.choice(HARDWARE)
    euros = math.exp(random.gauss(10, 0.8))
    return _row(number, buyer, user_key(0), stage, line, euros, buyer.market.currency, closes, None, None, random)


def _row(
    number: int, buyer: Customer, owner: str, stage: str, line: str, euros: float, currency: str, closes: date,
    reseller: str | None, distributor: str | None, random: Random,
) -> Row:  # fmt: skip
    is_open = not stage.startswith("Closed")
    created = closes - timedelta(days=random.randrange(20, 140), minutes=random.randrange(600))
    name = f"{buyer.name[:80]} - {random.choice(PROJECTS[line])}"
    return (
        f"OPP-{number + 1:07d}",
        f" {name}" if number % 197 == 60 else name,
        None if is_open and number % 23 == 6 else buyer.key,
        owner,
        stage,
        random.choices(("New Business", "Renewal", "Expansion", None), (45, 30, 23, 2))[0],
        None if number % 67 == 9 else _amount(euros, currency),
        currency,
        closes.isoformat(),
        f"{created.isoformat()}T{number % 10 + 8:02d}:{number % 60:02d}:00.000Z",
        line,
        reseller,
        distributor,
        "Send the offer, then call" if is_open and number % 3 == 0 else None,
        REMARKS[number % len(REMARKS)] if number % 17 == 4 else None,
    )


def _amount(euros: float, currency: str) -> str:
    """The amount in the deal's currency, rounded as people type it: to tens, or thousands where money has no cents."""
    local = euros * TYPICAL_RATES[currency]
    step = 1000 if currency in NO_CENTS else 10
    return f"{max(step, round(local / step) * step)}.00"
