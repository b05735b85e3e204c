"""The whole sample company: schema and rows of every object, from one seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from crmsync.sandbox.company.accounts import (
    ACCOUNT_COLUMNS,
    CONTACT_COLUMNS,
    USER_COLUMNS,
    Row,
    account_rows,
    contact_rows,
    customers,
    user_rows,
)
from crmsync.sandbox.company.activities import ACTIVITY_COLUMNS, OVERRIDE_COLUMNS, activity_rows, override_rows
from crmsync.sandbox.company.certifications import (
    CERTIFICATION_COLUMNS,
    CREDENTIAL_COLUMNS,
    certificate_counts,
    certification_rows,
    credential_rows,
    people_counts,
)
from crmsync.sandbox.company.chance import stream
from crmsync.sandbox.company.markets import names_by_country
from crmsync.sandbox.company.opportunities import OPPORTUNITY_COLUMNS, opportunity_rows
from crmsync.sandbox.company.partners import partner_base
from crmsync.sandbox.company.rates import CURRENCY_COLUMNS, RATE_COLUMNS, currency_rows, monthly_rates, rate_rows
from crmsync.sandbox.company.schema import REGIONS, Definition, company_schema

OPPORTUNITIES_PER_PARTNER = 8
CERTIFICATIONS_PER_PARTNER = 3
PARTNERS_PER_OWNER = 60


class Rows(NamedTuple):
    """Rows of one object, read once: API names (relationships as in Bulk), texts as in CSV, None where empty."""

    columns: tuple[str, ...]
    rows: Iterator[Row]


@dataclass(frozen=True)
class Company:
    """`schema` as in `schema.yaml`; `objects` in the order in which lookups resolve."""

    schema: Definition
    objects: Mapping[str, Rows]


def make_company(
    partners: int, seed: int, today: date, opportunities: int | None = None, certifications: int | None = None
) -> Company:
    """A company of `partners` partners: the same seed, date and counts give the same rows."""
    pools = names_by_country(seed)
    owners = max(len(REGIONS), partners // PARTNERS_PER_OWNER)
    base = partner_base(partners, owners, seed, today, pools)
    buyers = customers(max(10, partners), pools, stream(seed, "customers"))
    rates = monthly_rates(today, stream(seed, "rates"))
    wanted = partners * CERTIFICATIONS_PER_PARTNER if certifications is None else certifications
    certificates = certificate_counts(wanted, base, stream(seed, "certificates"))
    people = people_counts(certificates)
    deals = partners * OPPORTUNITIES_PER_PARTNER if opportunities is None else opportunities
    objects = {
        "User": Rows(USER_COLUMNS, user_rows(owners, pools, stream(seed, "User"))),
        "CurrencyType": Rows(CURRENCY_COLUMNS, currency_rows(rates)),
        "DatedConversionRate": Rows(RATE_COLUMNS, rate_rows(rates)),
        "Account": Rows(ACCOUNT_COLUMNS, account_rows(base, buyers, pools, today, stream(seed, "Account"))),
        "Contact": Rows(CONTACT_COLUMNS, contact_rows(base, people, pools, stream(seed, "Contact"))),
        "Opportunity": Rows(
            OPPORTUNITY_COLUMNS, opportunity_rows(deals, base, buyers, today, stream(seed, "Opportunity"))
        ),
        "Credential__c": Rows(CREDENTIAL_COLUMNS, credential_rows()),
        "Partner_Certification__c": Rows(
            CERTIFICATION_COLUMNS, certification_rows(certificates, people, base, today, stream(seed, "certified"))
        ),
        "Partner_Activity__c": Rows(ACTIVITY_COLUMNS, activity_rows(base, today, stream(seed, "activities"))),
        "Partner_Override__c": Rows(OVERRIDE_COLUMNS, override_rows(base, owners, today, stream(seed, "overrides"))),
    }
    return Company(company_schema(), objects)
