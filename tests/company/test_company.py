"""Same seed and date, same bytes; every key resolves."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from time import perf_counter

import pytest

from crmsync.sandbox.company import make_company
from tests.company.conftest import TODAY, Objects, all_rows

PRINT_DIGEST = """
import hashlib, datetime
from crmsync.sandbox.company import make_company
company = make_company(60, 7, datetime.date(2026, 11, 22))
text = repr([(name, rows.columns, list(rows.rows)) for name, rows in company.objects.items()]) + repr(company.schema)
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_same_seed_and_date_give_the_same_rows() -> None:
    assert all_rows(40) == all_rows(40)


@pytest.mark.parametrize(("seed", "today"), [(8, TODAY), (7, date(2026, 11, 23))])
def test_another_seed_or_date_gives_other_rows(seed: int, today: date) -> None:
    assert all_rows(40)["Opportunity"] != all_rows(40, seed, today)["Opportunity"]


def test_bytes_do_not_depend_on_the_hash_seed_of_the_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize("count", [1, 2, 6, 21])
def test_a_tiny_company_has_exactly_the_partners_asked_for(count: int) -> None:
    accounts = all_rows(count)["Account"]
    assert sum(account["Type"] == "Partner" for account in accounts) == count


def test_explicit_numbers_are_met_exactly() -> None:
    objects = make_company(50, 7, TODAY, opportunities=3000, certifications=700).objects
    assert sum(1 for _ in objects["Opportunity"].rows) == 3000
    assert sum(1 for _ in objects["Partner_Certification__c"].rows) == 700


def test_by_default_there_are_eight_deals_and_three_certificates_per_partner(company: Objects) -> None:
    assert len(company["Opportunity"]) == 16000
    assert len(company["Partner_Certification__c"]) == 6000


def test_a_hundred_thousand_deals_are_made_in_seconds() -> None:
    start = perf_counter()
    objects = make_company(2000, 7, TODAY, opportunities=100_000, certifications=20_000).objects
    assert sum(sum(1 for _ in rows.rows) for rows in objects.values()) > 140_000
    assert perf_counter() - start < 30  # 2.5 s alone; other tests share the cores


def _keys(objects: Objects, name: str) -> Iterator[str | None]:
    return (record["Key__c"] for record in objects[name])


def test_keys_are_unique(company: Objects) -> None:
    for name, records in company.items():
        if "Key__c" in records[0]:
            keys = list(_keys(company, name))
            assert None not in keys
            assert len(set(keys)) == len(keys), name


TARGETS = {
    "Account": "Account", "Account__r": "Account", "Parent": "Account", "Reseller__r": "Account",
    "Distributor__r": "Account",
    "Contact__r": "Contact", "Credential__r": "Credential__c", "Owner": "User", "Approved_By__r": "User",
}  # fmt: skip


def test_every_relationship_names_a_record_that_exists(company: Objects) -> None:
    keys = {name: set(_keys(company, name)) for name in company if "Key__c" in company[name][0]}
    for records in company.values():
        for column in records[0]:
            relation, dot, _ = column.partition(".")
            if dot:
                known = keys[TARGETS[relation]]
                assert all(record[column] in known for record in records if record[column]), column


def test_parents_come_before_their_children(company: Objects) -> None:
    seen: set[str | None] = {None}
    for account in company["Account"]:
        assert account["Parent.Key__c"] in seen
        seen.add(account["Key__c"])


def test_rates_have_one_row_per_month_and_currency(small: Objects) -> None:
    dollars = [
        date.fromisoformat(row["StartDate"] or "") for row in small["DatedConversionRate"] if row["IsoCode"] == "USD"
    ]
    assert dollars[-1] == date(2026, 11, 1)
    assert dollars[0] < date.fromisoformat(min(row["CloseDate"] or "" for row in small["Opportunity"]))
    assert all(later.day == 1 and 28 <= (later - earlier).days <= 31 for earlier, later in pairwise(dollars))


def test_the_corporate_currency_always_stands_at_one(small: Objects) -> None:
    corporate = [row["IsoCode"] for row in small["CurrencyType"] if row["IsCorporate"] == "true"]
    assert corporate == ["EUR"]
    assert {row["ConversionRate"] for row in small["DatedConversionRate"] if row["IsoCode"] == "EUR"} == {"1.000000"}
