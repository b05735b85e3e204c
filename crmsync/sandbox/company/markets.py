"""The countries in which the sample company has partners, and pools of believable names for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import NamedTuple

POOL_SIZE = 150


class Market(NamedTuple):
    """One country. `share`: how many of 100 partners are there; `company`: how a company is called."""

    country: str
    region: str
    currency: str
    share: int
    locale: str
    company: str
    trades: tuple[str, ...]
    forms: tuple[str, ...]


MARKETS: tuple[Market, ...] = (
    Market("DE", "EMEA", "EUR", 12, "de_DE", "{name} {trade} {form}",
           ("Datentechnik", "Systemhaus", "IT-Beratung", "Netzwerke", "Bürotechnik"),
           ("GmbH", "GmbH & Co. KG", "AG", "OHG")),
    Market("FR", "EMEA", "EUR", 8, "fr_FR", "{trade} {name} {form}",
           ("Informatique", "Réseaux", "Systèmes", "L'Atelier Numérique"), ("SARL", "SAS", "S.A.", "et Fils")),
    Market("GB", "EMEA", "GBP", 8, "en_GB", "{name} {trade} {form}",
           ("Computing", "Networks", "IT Solutions", "& Sons Data"), ("Ltd", "plc", "LLP")),
    Market("ES", "EMEA", "EUR", 5, "es_ES", "{trade} {name}, {form}",
           ("Informática", "Sistemas", "Soluciones", "Redes"), ("S.L.", "S.A.")),
    Market("PL", "EMEA", "PLN", 3, "pl_PL", "{name} {trade} {form}",
           ("Systemy", "Usługi IT", "Sieci"), ("Sp. z o.o.", "S.A.")),
    Market("SE", "EMEA", "SEK", 3, "sv_SE", "{name} {trade} {form}",
           ("Datakonsult", "Nätverk", "IT"), ("AB", "HB")),
    Market("NO", "EMEA", "NOK", 2, "no_NO", "{name} {trade} {form}",
           ("Datasystemer", "Nettverk"), ("AS", "ASA")),
    Market("US", "NA", "USD", 24, "en_US", "{name} {trade}, {form}",
           ("Technologies", "Data Systems", "IT Group", "Cloud", "Networks"), ("Inc.", "LLC", "Corp.")),
    Market("CA", "NA", "CAD", 6, "fr_CA", "{trade} {name} {form}",
           ("Technologies", "Solutions", "Groupe Conseil"), ("inc.", "ltée")),
    Market("BR", "LATAM", "BRL", 6, "pt_BR", "{name} {trade} {form}",
           ("Informática", "Soluções", "Tecnologia"), ("Ltda.", "S.A.")),
    Market("MX", "LATAM", "MXN", 5, "es_MX", "{trade} {name} {form}",
           ("Sistemas", "Tecnología", "Redes y Cómputo"), ("S.A. de C.V.", "S. de R.L.")),
    Market("CL", "LATAM", "CLP", 2, "es_CL", "{trade} {name} {form}",
           ("Computación", "Redes"), ("SpA", "Ltda.")),
    Market("IN", "APAC", "INR", 6, "en_IN", "{name} {trade} {form}",
           ("Infotech", "Systems", "Softech"), ("Pvt. Ltd.", "LLP")),
    Market("JP", "APAC", "JPY", 4, "ja_JP", "{name}{trade}{form}",
           ("システムズ", "情報", "ネットワーク"), ("株式会社", "有限会社")),
    Market("AU", "APAC", "AUD", 4, "en_AU", "{name} {trade} {form}",
           ("IT Services", "Managed Networks", "Computing"), ("Pty Ltd",)),
    Market("SG", "APAC", "SGD", 2, "en_PH", "{name} {trade} {form}",
           ("Infocomm", "Technologies"), ("Pte. Ltd.",)),
)  # fmt: skip


@dataclass(frozen=True)
class Names:
    """Names of one country to draw from."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    cities: tuple[str, ...]
    streets: tuple[str, ...]
    companies: tuple[str, ...]

    def person(self, random: Random) -> tuple[str, str]:
        """A first and a last name."""
        return random.choice(self.first), random.choice(self.last)


ASKED = tuple(f"faker.providers.{name}" for name in ("person", "address", "company", "misc"))
"""What Faker loads: all that it knows of sixteen countries would take a second."""


@cache
def names_by_country(seed: int) -> Mapping[str, Names]:
    """Pools for every market, by country. Faker is asked here only: it is too slow to be asked per row."""
    from faker import Faker

    pools = {}
    for market in MARKETS:
        faker = Faker(market.locale, providers=list(ASKED))
        faker.seed_instance(f"{seed}/{market.country}")
        pools[market.country] = Names(
            tuple(faker.first_name() for _ in range(POOL_SIZE)),
            tuple(faker.last_name() for _ in range(POOL_SIZE)),
            # BillingCity holds 40 characters, and some locales know longer ones
            tuple(faker.city()[:40].rstrip() for _ in range(POOL_SIZE)),
            tuple(faker.street_address() for _ in range(POOL_SIZE)),
            tuple(faker.company() for _ in range(POOL_SIZE)),
        )
    return pools


def partner_name(market: Market, names: Names, random: Random) -> str:
    """What a partner in this country could be called; not unique."""
    return market.company.format(
        name=random.choice(names.last), trade=random.choice(market.trades), form=random.choice(market.forms)
    )


def customer_name(names: Names, random: Random) -> str:
    """What a customer could be called; not unique."""
    company = random.choice(names.companies)
    return company if random.random() < 0.5 else f"{company} {random.choice(names.cities)}"
