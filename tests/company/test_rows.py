"""Deals, certificates and overrides are believable, and the usual dirt is there even in a small company."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

from tests.company.conftest import TODAY, Objects


def _closed(stage: str | None) -> bool:
    return (stage or "").startswith("Closed")


def test_some_closed_deals_have_no_amount(small: Objects) -> None:
    assert any(_closed(deal["StageName"]) and deal["Amount"] is None for deal in small["Opportunity"])


def test_some_open_deals_have_no_account_and_closed_ones_always_do(small: Objects) -> None:
    without = [deal for deal in small["Opportunity"] if deal["Account.Key__c"] is None]
    assert without
    assert not any(_closed(deal["StageName"]) for deal in without)


def test_texts_hold_newlines_commas_quotes_and_odd_separators(small: Objects) -> None:
    text = "".join(value for records in small.values() for record in records for value in record.values() if value)
    assert all(sign in text for sign in ("\n", "\r\n", ",", '"', "\u2028", "ü", "株式会社"))


def test_some_names_have_blanks_around(small: Objects) -> None:
    assert any(account["Name"] != (account["Name"] or "").strip() for account in small["Account"])


def test_deals_span_three_years_and_end_won_lost_or_open(company: Objects) -> None:
    closes = sorted(deal["CloseDate"] or "" for deal in company["Opportunity"])
    assert closes[0] < (TODAY - timedelta(days=1090)).isoformat()
    assert closes[-1] > (TODAY + timedelta(days=140)).isoformat()
    stages = [deal["StageName"] for deal in company["Opportunity"]]
    won, lost = stages.count("Closed Won"), stages.count("Closed Lost")
    assert won > 4000
    assert lost > 4000
    assert len(stages) - won - lost > 2000


def test_no_deal_is_closed_in_the_future(company: Objects) -> None:
    assert not any(
        _closed(d["StageName"]) and (d["CloseDate"] or "") > TODAY.isoformat() for d in company["Opportunity"]
    )


def test_deals_are_made_before_they_close(company: Objects) -> None:
    assert all((deal["CreatedDate"] or "")[:10] < (deal["CloseDate"] or "") for deal in company["Opportunity"])


def test_some_deals_are_direct_and_some_have_two_partners(company: Objects) -> None:
    direct = [deal for deal in company["Opportunity"] if deal["Reseller__r.Key__c"] is None]
    both = [deal for deal in company["Opportunity"] if deal["Distributor__r.Key__c"]]
    assert len(direct) == 640
    assert all(deal["Reseller__r.Key__c"] != deal["Distributor__r.Key__c"] for deal in both)
    assert 2000 < len(both) < 5000


def test_amounts_are_positive_with_cents_written_out(company: Objects) -> None:
    amounts = [Decimal(deal["Amount"]) for deal in company["Opportunity"] if deal["Amount"]]
    assert min(amounts) > 0
    assert all(amount.as_tuple().exponent == -2 for amount in amounts)


def test_certificates_end_on_a_last_day_or_never(company: Objects) -> None:
    ends = [(row["Issued_On__c"], row["Expires_On__c"]) for row in company["Partner_Certification__c"]]
    assert any(end is None for _, end in ends)
    assert any(end is not None and TODAY <= date.fromisoformat(end) < TODAY + timedelta(days=90) for _, end in ends)
    assert any(end is not None and end < TODAY.isoformat() for _, end in ends)
    assert all(end is None or (start or "") < end for start, end in ends)


def test_some_people_hold_certificates_at_several_partners(company: Objects) -> None:
    partners_of: dict[str | None, set[str | None]] = defaultdict(set)
    for row in company["Partner_Certification__c"]:
        partners_of[row["Contact__r.Key__c"]].add(row["Account__r.Key__c"])
    assert sum(len(partners) > 1 for partners in partners_of.values()) > 100


def test_overrides_name_a_reason_and_who_approved(company: Objects) -> None:
    assert len(company["Partner_Override__c"]) == 20
    assert all(row["Reason__c"] and row["Approved_By__r.Key__c"] for row in company["Partner_Override__c"])


def test_only_money_activities_have_a_currency(company: Objects) -> None:
    kinds = {row["Kind__c"] for row in company["Partner_Activity__c"] if row["Value_Currency__c"]}
    assert kinds == {"MDF claim"}
