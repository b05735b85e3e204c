"""Partner activities and overrides of the sample company."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random

from crmsync.sandbox.company.accounts import Row, contact_key, user_key
from crmsync.sandbox.company.partners import Partner

ACTIVITY_COLUMNS = (
    "Key__c", "Account__r.Key__c", "Contact__r.Key__c", "Kind__c", "Value__c", "Value_Currency__c", "Verified__c",
    "Happened_On__c", "Notes__c",
)  # fmt: skip
OVERRIDE_COLUMNS = (
    "Key__c", "Account__r.Key__c", "Kind__c", "Category__c", "Tier__c", "Starts_On__c", "Ends_On__c", "Reason__c",
    "Approved_By__r.Key__c",
)  # fmt: skip

HISTORY_DAYS = 730
KINDS = ("Deal registration", "Training day", "Joint event", "Customer reference", "MDF claim")
KIND_WEIGHTS = (45, 20, 15, 12, 8)
NOTES = ("Photos are in the folder,\nsee link", 'Motto: "Cloud, but ours"', "Réunion à Lyon; 12 invités", None, None)
REASONS = (
    "Strategic account,\nagreed with the regional VP",
    "Migration of the old contract: tier kept until it ends",
    'Launch partner of the "Edge" program',
    "Earthquake: agreed to wait one year",
)


def activity_rows(partners: Sequence[Partner], today: date, random: Random) -> Iterator[Row]:
    """About three per partner, many more referrals where a partner lives by them."""
    number = 0
    for partner in partners:
        refers = "Referral" in partner.categories
        for _ in range(random.randrange(7)):
            number += 1
            kind = random.choices(KINDS, KIND_WEIGHTS)[0]
            yield _activity(number, partner, kind, today, random)
        for _ in range(random.randrange(2, 16) if refers else 0):
            number += 1
            yield _activity(number, partner, "Referral", today, random)


def _activity(number: int, partner: Partner, kind: str, today: date, random: Random) -> Row:
    happened = today - timedelta(days=random.randrange(HISTORY_DAYS))
    is_money = kind == "MDF claim"
    value = {"Training day": random.randrange(1, 4), "Joint event": random.randrange(8, 120)}.get(kind)
    if is_money:
        value = random.randrange(5, 120) * 100
    return (
        f"ACT-{number:07d}",
        partner.key,
        contact_key(partner, 0) if number % 4 else None,
        kind,
        None if value is None else f"{value}.00",
        partner.market.currency if is_money else None,
        "true" if random.random() < 0.85 else "false",
        happened.isoformat(),
        NOTES[number % len(NOTES)],
    )


def override_rows(partners: Sequence[Partner], owners: int, today: date, random: Random) -> Iterator[Row]:
    """One pin per hundred partners, at least two; about a third of them have ended or have no end."""
    resellers = [partner for partner in partners if "Reseller" in partner.categories] or list(partners)
    for number in range(min(len(resellers), max(2, len(partners) // 100))):
        partner = resellers[number * len(resellers) // max(2, len(partners) // 100) % len(resellers)]
        starts = today - timedelta(days=random.randrange(30, 300))
        length = (45, 365, 540, None)[number % 4]
        yield (
            f"OVR-{number + 1:05d}",
            partner.key,
            "pin",
            "reseller",
            ("silver", "gold", "gold", "platinum")[number % 4],
            starts.isoformat(),
            None if length is None else (starts + timedelta(days=length)).isoformat(),
            REASONS[number % len(REASONS)],
            user_key(number % owners),
        )
