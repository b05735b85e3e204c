"""The partner base looks like one: skewed, in families, in four regions, with tiers that people kept."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from crmsync.sandbox.company.schema import OLD_TIERS, REGIONS, TIERS
from tests.company.conftest import Objects, Record, all_rows


def partners(objects: Objects) -> list[Record]:
    """The partner accounts."""
    return [account for account in objects["Account"] if account["Type"] == "Partner"]


def _ancestors(objects: Objects) -> Counter[int]:
    parent = {account["Key__c"]: account["Parent.Key__c"] for account in partners(objects)}
    depths: Counter[int] = Counter()
    for key in parent:
        above, depth = parent[key], 0
        while above:
            above, depth = parent[above], depth + 1
        depths[depth] += 1
    return depths


@pytest.mark.parametrize("count", [5, 60, 400])
def test_families_reach_depth_four_and_no_further(count: int) -> None:
    assert max(_ancestors(all_rows(count))) == 4


def test_most_partners_stand_alone_or_at_the_top(company: Objects) -> None:
    assert 0.7 < _ancestors(company)[0] / 2000 < 0.9


def _top_fifth(objects: Objects) -> float:
    rates = {row["IsoCode"]: float(row["ConversionRate"] or 0) for row in objects["CurrencyType"]}
    revenue: dict[str, float] = defaultdict(float)
    for deal in objects["Opportunity"]:
        if deal["StageName"] == "Closed Won" and deal["Reseller__r.Key__c"] and deal["Amount"]:
            revenue[deal["Reseller__r.Key__c"]] += float(deal["Amount"]) / rates[deal["CurrencyIsoCode"] or ""]
    best_first = sorted(revenue.values(), reverse=True)
    resellers = sum(account["Partner_Categories__c"] != "Distributor" for account in partners(objects))
    return sum(best_first[: round(resellers / 5)]) / sum(best_first)


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_a_fifth_of_the_partners_brings_four_fifths_of_the_revenue(seed: int) -> None:
    assert _top_fifth(all_rows(1000, seed)) == pytest.approx(0.8, abs=0.05)


def test_all_four_regions_and_several_currencies_are_there(company: Objects) -> None:
    shares = Counter(account["Region__c"] for account in partners(company))
    assert set(shares) == set(REGIONS)
    assert min(shares.values()) > 100
    assert len({account["CurrencyIsoCode"] for account in partners(company)}) >= 10


def test_norway_is_a_country(company: Objects) -> None:
    assert any(account["BillingCountryCode"] == "NO" for account in partners(company))


def test_some_accounts_are_customers_and_no_partners(company: Objects) -> None:
    others = [account for account in company["Account"] if account["Type"] != "Partner"]
    assert len(others) == 2000
    assert not any(account["Partner_Categories__c"] or account["Partner_Tier_Manual__c"] for account in others)


def test_tiers_kept_by_hand_are_labels_old_names_or_empty(company: Objects) -> None:
    kept = Counter(account["Partner_Tier_Manual__c"] for account in partners(company))
    assert set(kept) == {*TIERS, *OLD_TIERS, None}
    assert kept["Registered"] > kept["Silver"] > kept["Gold"] > kept["Platinum"] > 0


def test_categories_are_declared_alone_together_or_not_at_all(company: Objects) -> None:
    declared = Counter(account["Partner_Categories__c"] for account in partners(company))
    assert declared["Reseller"] > declared["Reseller;MSP"] > declared["MSP"] > declared[None] > 0
    assert declared["Distributor"] == 20


def test_account_numbers_keep_leading_zeros(small: Objects) -> None:
    assert partners(small)[0]["AccountNumber"] == "000013"
