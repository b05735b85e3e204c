"""Credentials, certification rows and the people who hold them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random

from crmsync.sandbox.company.accounts import Row, contact_key
from crmsync.sandbox.company.chance import allot
from crmsync.sandbox.company.partners import Partner
from crmsync.sandbox.company.schema import LEVELS, PRODUCT_LINES

CREDENTIAL_COLUMNS = ("Key__c", "Title__c", "Level__c", "Product_Line__c")
CERTIFICATION_COLUMNS = (
    "Key__c",
    "Account__r.Key__c",
    "Contact__r.Key__c",
    "Credential__r.Key__c",
    "Issued_On__c",
    "Expires_On__c",
)

HISTORY_DAYS = 900
VALID_DAYS = {"Associate": 730, "Professional": 730, "Expert": 365}
CERTIFICATES_PER_PERSON = 1.5
LEVEL_WEIGHTS = (55, 33, 12)


def credential_key(line: str, level: str) -> str:
    """External key of a credential, e.g. NET-P."""
    return f"{line[:3].upper()}-{level[0]}"


def credential_rows() -> Iterator[Row]:
    """One row per product line and level."""
    for line in PRODUCT_LINES:
        for level in LEVELS:
            yield credential_key(line, level), f"{level} in {line}", level, line


def certificate_counts(total: int, partners: Sequence[Partner], random: Random) -> list[int]:
    """How many certificates each partner holds; they add up to `total`. Some partners train nobody."""
    weights = [
        0.0 if partner.is_distributor or random.random() < 0.15 else partner.revenue**0.45 * random.uniform(0.4, 1.6)
        for partner in partners
    ]
    return allot(total, weights) if any(weights) else allot(total, [1.0] * len(partners))


def people_counts(certificates: Sequence[int]) -> list[int]:
    """How many people each partner has: everybody has one."""
    return [max(1, math.ceil(count / CERTIFICATES_PER_PERSON)) for count in certificates]


def certification_rows(
    certificates: Sequence[int], people: Sequence[int], partners: Sequence[Partner], today: date, random: Random
) -> Iterator[Row]:
    """One row per certificate; about one in thirty is held by somebody who also works for another partner."""
    number = 0
    for partner, count in zip(partners, certificates, strict=True):
        for turn in range(count):
            number += 1
            holder = partners[random.randrange(len(partners))] if number % 30 == 7 else partner
            person = contact_key(holder, turn % people[holder.place])
            yield _certificate(number, partner, person, today, random)


def _certificate(number: int, partner: Partner, person: str, today: date, random: Random) -> Row:
    is_service = random.random() < partner.services
    line = "Managed Services" if is_service else random.choice(PRODUCT_LINES[:4])
    level = random.choices(LEVELS, LEVEL_WEIGHTS)[0]
    issued = today - timedelta(days=random.randrange(HISTORY_DAYS))
    expires = None if number % 20 == 3 else (issued + timedelta(days=VALID_DAYS[level] - 1)).isoformat()
    return f"CRT-{number:07d}", partner.key, person, credential_key(line, level), issued.isoformat(), expires
