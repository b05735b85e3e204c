"""The partner base: who the partners are, how much they bring, how they hang together. Decided once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from crmsync.sandbox.company.chance import spread_normals, stream
from crmsync.sandbox.company.markets import MARKETS, Market, Names, partner_name
from crmsync.sandbox.company.schema import OLD_TIERS, REGIONS, STATUSES, TIERS

MEDIAN_REVENUE = 60_000.0
"""Units: EUR a year won by the middle partner."""

SKEW = 1.57
"""Sigma of the log-normal revenue: 20 % bring 80 %. Source: twice the normal quantile of 0.8, less what chance adds."""

DEEPEST = 4

CATEGORY_MIXES: tuple[tuple[tuple[str, ...], int], ...] = (
    (("Reseller",), 60), (("Reseller", "MSP"), 14), (("MSP",), 9), (("Reseller", "Referral"), 6), (("Referral",), 8),
    ((), 3),
)  # fmt: skip

HAND_KEPT_SHARES = (("Platinum", 0.04), ("Gold", 0.11), ("Silver", 0.26))
"""How the channel managers see their partners: share of all partners from the top, promoted sooner than demoted."""


@dataclass(frozen=True)
class Partner:
    """One partner account. `revenue`: EUR a year; `skill`: share of closed deals won; `growth`: a year, as a fraction;
    `services`: share of deals that are managed services; `parent` and `distributor`: places in the list of partners."""

    place: int
    key: str
    number: str
    name: str
    market: Market
    city: str
    street: str
    categories: tuple[str, ...]
    revenue: float
    skill: float
    growth: float
    services: float
    joined: date
    status: str
    owner: int
    parent: int | None = None
    depth: int = 0
    distributor: int | None = None
    manual_tier: str | None = None
    manual_msp_tier: str | None = None

    @property
    def is_distributor(self) -> bool:
        """Whether it sells to partners and not to customers."""
        return "Distributor" in self.categories


def partner_base(count: int, owners: int, seed: int, today: date, pools: Mapping[str, Names]) -> list[Partner]:
    """`count` partners, parents before their children, distributors last."""
    random = stream(seed, "partners")
    sellers = count - (max(1, count // 100) if count >= 20 else 0)
    normals = spread_normals(count, random)
    partners: list[Partner] = []
    for place in range(count):
        partner = _newcomer(place, place >= sellers, normals[place], owners, today, random, pools)
        partners.append(_in_family(partner, partners, random, pools))
    partners = _with_distributors(partners, range(sellers, count), random)
    return _with_manual_tiers(partners, random)


def _newcomer(
    place: int, distributor: bool, normal: float, owners: int, today: date, random: Random, pools: Mapping[str, Names]
) -> Partner:
    market = random.choices(MARKETS, [market.share for market in MARKETS])[0]
    categories = ("Distributor",) if distributor else _categories(random)
    scale = 0.15 if categories == ("Referral",) else 1.0
    new = random.random() < 0.06
    return Partner(
        place=place,
        key=f"ACC-{place + 1:06d}",
        number=f"{place * 7 + 13:06d}",
        name=partner_name(market, pools[market.country], random),
        market=market,
        city=random.choice(pools[market.country].cities),
        street=random.choice(pools[market.country].streets),
        categories=categories,
        revenue=MEDIAN_REVENUE * math.exp(SKEW * normal) * scale,
        skill=min(0.72, max(0.18, random.gauss(0.42 + 0.03 * normal, 0.11))),
        growth=random.gauss(0.06, 0.22),
        services=random.uniform(0.35, 0.9) if "MSP" in categories else 0.03,
        joined=today - timedelta(days=random.randrange(20, 180) if new else random.randrange(400, 3300)),
        status=random.choices(STATUSES, (3, 94, 3))[0],
        owner=_owner(market, owners, random),
    )


def _owner(market: Market, owners: int, random: Random) -> int:
    """The place of one of the region's channel managers."""
    first = REGIONS.index(market.region)
    return random.choice(range(first, owners, len(REGIONS)))


def _categories(random: Random) -> tuple[str, ...]:
    return random.choices([mix for mix, _ in CATEGORY_MIXES], [share for _, share in CATEGORY_MIXES])[0]


def _in_family(partner: Partner, earlier: Sequence[Partner], random: Random, pools: Mapping[str, Names]) -> Partner:
    """Hang about a fifth below an earlier partner; the first five partners always make one line of the full depth."""
    if partner.is_distributor or not earlier:
        return partner
    if partner.place <= DEEPEST:
        parent = earlier[-1]
    elif random.random() < 0.2:
        parent = random.choice(earlier)
    else:
        return partner
    if parent.depth == DEEPEST:
        return partner
    market = parent.market if random.random() < 0.8 else partner.market
    city = random.choice(pools[market.country].cities)
    own_name = partner_name(market, pools[market.country], random)
    branch = f"{parent.name} ({city})"
    name = branch if random.random() < 0.5 and len(branch) <= 120 else own_name
    street = random.choice(pools[market.country].streets)
    return replace(
        partner, parent=parent.place, depth=parent.depth + 1, market=market, owner=parent.owner, city=city,
        street=street, name=name,
    )  # fmt: skip


def _with_distributors(partners: Sequence[Partner], distributors: range, random: Random) -> list[Partner]:
    """About a third of the partners buy through a distributor."""
    if not distributors:
        return list(partners)
    return [
        replace(partner, distributor=random.choice(distributors))
        if not partner.is_distributor and random.random() < 0.35
        else partner
        for partner in partners
    ]


def _with_manual_tiers(partners: Sequence[Partner], random: Random) -> list[Partner]:
    """The tiers as people kept them: by the whole group's business, from memory, some stale, misspelt or empty."""
    group = [partner.revenue for partner in partners]
    for partner in reversed(partners):
        if partner.parent is not None:
            group[partner.parent] += group[partner.place]
    seen = [math.log(group[p.place] * max(1 - p.services, 0.05)) - p.growth + random.gauss(0, 0.35) for p in partners]
    services = [math.log(group[p.place] * p.services) - p.growth + random.gauss(0, 0.35) for p in partners]
    resale = _ranked([p.place for p in partners if not p.is_distributor], seen)
    msp = _ranked([p.place for p in partners if "MSP" in p.categories], services)
    return [
        replace(p, manual_tier=_as_typed(resale.get(p.place), random), manual_msp_tier=msp.get(p.place))
        for p in partners
    ]


def _ranked(places: list[int], score: Sequence[float]) -> dict[int, str]:
    best_first = sorted(places, key=lambda place: -score[place])
    tiers: dict[int, str] = {}
    start = 0
    for tier, share in HAND_KEPT_SHARES:
        end = start + round(share * len(best_first))
        tiers |= dict.fromkeys(best_first[start:end], tier)
        start = end
    return tiers | dict.fromkeys(best_first[start:], TIERS[0])


def _as_typed(tier: str | None, random: Random) -> str | None:
    old_gold, old_platinum = OLD_TIERS
    chance = random.random()
    if tier is None or chance < 0.05:
        return None
    if chance < 0.12 and tier == "Gold":
        return old_gold
    return old_platinum if chance < 0.12 and tier == "Platinum" else tier
