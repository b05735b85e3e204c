"""Every row of the error table, injected by the sandbox org, with the reaction that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crmsync.connectors.base import Write
from crmsync.connectors.salesforce import fetching, windows
from crmsync.connectors.salesforce.parts import Part
from crmsync.errors import AccessError, CrmsyncError, DataError, Deferred, Retriable
from crmsync.snapshots import Staging
from tests.connectors.salesforce.faulty import PARTNERS, Faulty
from tests.connectors.salesforce.wire import DATA, Opened, Wire, account, fault, page
from tests.sandbox.orgs import Client

pytestmark = pytest.mark.xdist_group("error-table")
READS = {"method": "GET", "path": "/query"}
WRITES = {"method": "PATCH", "path": "/sobjects/{object}/{id}"}


PASSING = (
    "INVALID_SESSION_ID", "InvalidSessionId", "ConcurrentRequests", "ConcurrentPerOrgLongTxn", "UNABLE_TO_LOCK_ROW",
    "QUERY_TIMEOUT", "INVALID_QUERY_LOCATOR", "TXN_SECURITY_METERING_ERROR", "NOT_FOUND", "UNKNOWN_EXCEPTION",
    "SERVER_UNAVAILABLE", "EDGE_406", "EDGE_420", "EDGE_503", "TOO_MANY_REQUESTS",
)  # fmt: skip


@pytest.mark.parametrize("error", PASSING)
def test_a_fault_that_passes_is_got_over(faulty: Faulty, error: str) -> None:
    faulty.fault(READS | {"nth": 2, "do": {"error": error}})
    report = faulty.read()
    assert report.rows["partners"] == PARTNERS
    assert faulty.fired() == [1]


@pytest.mark.parametrize(
    ("error", "raised", "told"),
    [
        ("REQUEST_LIMIT_EXCEEDED", Deferred, "API allowance is used up"),
        ("ConcurrentRequests", Retriable, "Concurrent"),
        ("INVALID_SESSION_ID", AccessError, "refuses even a new session"),
        ("API_DISABLED_FOR_ORG", AccessError, "the API is not enabled"),
        ("INSUFFICIENT_ACCESS", AccessError, "lacks a permission"),
        ("MALFORMED_QUERY", DataError, "MALFORMED_QUERY"),
        ("INVALID_FIELD", AccessError, "hidden from the integration user"),
        ("INVALID_TYPE", AccessError, "hidden from the integration user"),
        ("QUERY_TIMEOUT", Retriable, "QUERY_TIMEOUT"),
        ("TXN_SECURITY_METERING_ERROR", Retriable, "Exempt from Transaction Security"),
        ("INVALID_QUERY_LOCATOR", DataError, "INVALID_QUERY_LOCATOR"),
        ("METHOD_NOT_ALLOWED", DataError, "METHOD_NOT_ALLOWED"),
        ("UNSUPPORTED_MEDIA_TYPE", DataError, "UNSUPPORTED_MEDIA_TYPE"),
        ("INVALIDVERSION", DataError, "INVALIDVERSION"),
        ("UNSUPPORTED_API_VERSION", AccessError, "API_VERSION"),
        ("GONE", AccessError, "API_VERSION"),
        ("UNKNOWN_EXCEPTION", Retriable, "UNKNOWN_EXCEPTION"),
        ("SERVER_UNAVAILABLE", Retriable, "SERVER_UNAVAILABLE"),
        ("EDGE_420", Retriable, "web page"),
    ],
)
def test_a_fault_that_stays_ends_the_read_with_its_reason(
    faulty: Faulty, error: str, raised: type[CrmsyncError], told: str
) -> None:
    connector = faulty.connector()
    assert connector.identity()
    faulty.fault(READS | {"do": {"error": error}})
    staging = Staging(faulty.folder / "snapshot")
    with pytest.raises(raised, match=told):
        connector.extract(["partners"], staging)
    assert staging.tables == {}


@pytest.mark.parametrize("times", [2, 4])
def test_a_query_that_takes_too_long_is_cut_into_stretches(
    faulty: Faulty, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice: a page is asked once more, then in eight stretches; four times: those are tried again as sixty-four."""
    made: list[int] = []
    monkeypatch.setattr(fetching, "stretches", lambda *given: _noted(made, windows.stretches(*given)))
    connector = faulty.connector()
    assert connector.identity()
    staging = Staging(faulty.folder / "whole")
    connector.extract(["partners"], staging)
    late = {"error": "QUERY_TIMEOUT"}
    faulty.fault(READS | {"nth": 2, "do": late}, READS | {"nth": 3, "do": late})
    if times == 4:  # the fourth asks for the first day; then the first stretch
        faulty.fault(*(READS | {"nth": nth, "do": late} for nth in (2, 3, 5, 6)))
    cut = Staging(faulty.folder / "cut")
    report = connector.extract(["partners"], cut)
    assert set(faulty.fired()) == {1}
    assert made == ([1, 1, 8] if times == 2 else [1, 1, 8, 64])
    assert report.counts_before == report.counts_after == {"partners": PARTNERS}
    assert cut.path("partners").read_bytes() == staging.path("partners").read_bytes()


def test_a_job_that_takes_too_long_is_cut_into_stretches(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BULK_ABOVE", -1)
    faulty.fault({"method": "POST", "path": "/jobs/query", "nth": 1, "do": {"job_fails": "QUERY_TIMEOUT"}})
    assert faulty.read().rows["partners"] == PARTNERS
    assert faulty.fired() == [1]


def _noted(made: list[int], parts: list[Part]) -> list[Part]:
    made.append(len(parts))
    return parts


def test_an_object_without_a_day_of_making_cannot_be_cut(wire: Wire, opened: Opened) -> None:
    wire.counts("Account", 1)
    wire.page("Account", fault(400, "QUERY_TIMEOUT", "Your query request was running for too long."))
    with pytest.raises(Retriable, match=r"Account \(table partners\).*QUERY_TIMEOUT.* no CreatedDate"):
        opened.connector.extract(["partners"], opened.staging)
    assert len(wire.made("GET", ".*SELECT Id, .* FROM Account.*")) == 2


def test_an_object_that_bulk_does_not_take_is_walked_by_rest(wire: Wire, opened: Opened) -> None:
    many = 2_100
    wire.counts("Account", many)
    words = "Entity 'Account' is not supported by the Bulk API."
    wire.on("POST", ".*/jobs/query", fault(400, "INVALIDENTITY", words))
    following = f"{DATA}/query/0r8000000000001AAA-2000"
    wire.on("GET", f"{following}", page([_account(number) for number in range(2_000, many)], many))
    wire.page("Account", page([_account(number) for number in range(2_000)], many, following))
    opened.connector.extract(["partners"], opened.staging)
    assert len(opened.rows("partners")) == many
    assert len(wire.made("POST", ".*/jobs/query")) == 1


def _account(number: int) -> dict[str, Any]:
    return account(0) | {"Id": f"001{number:012d}AAA"}


def test_an_address_too_long_goes_by_a_bulk_job(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "URI_LENGTH_MAX", 10**6)
    faulty.fault(READS | {"nth": 3, "do": {"error": "URI_TOO_LONG"}})
    connector = faulty.connector()
    assert connector.identity()
    faulty.fault(READS | {"nth": 2, "do": {"error": "URI_TOO_LONG"}})
    report = connector.extract(["partners"], Staging(faulty.folder / "snapshot"))
    assert (report.rows["partners"], faulty.fired()) == (PARTNERS, [1])


def write(faulty: Faulty, fault: Callable[[str], dict[str, Any]]) -> tuple[Any, Any]:
    """What became of a write to one account, and what stands there then."""
    client = Client(faulty.org)
    account = client.names("SELECT Id FROM Account WHERE Type = 'Partner' ORDER BY Id LIMIT 1")[0]
    connector = faulty.connector()
    before = connector.read([account], ["Tier_Run_Id__c"])[account]["Tier_Run_Id__c"]
    faulty.fault(fault(account))
    done = connector.write_one(Write(account, {"Tier_Run_Id__c": f"{before}x"}, {"Tier_Run_Id__c": before}))
    faulty.fault()
    now = connector.read([account], ["Tier_Run_Id__c"]).get(account, {}).get("Tier_Run_Id__c")
    assert now == (f"{before}x" if done.state == "applied" else before)
    return done, now


PARKED = (
    "INVALID_FIELD_FOR_INSERT_UPDATE", "REQUIRED_FIELD_MISSING", "STRING_TOO_LONG", "NUMBER_OUTSIDE_VALID_RANGE",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "DUPLICATES_DETECTED",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "DUPLICATE_VALUE", "ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY",
    "MALFORMED_ID", "JSON_PARSER_ERROR", "INSUFFICIENT_ACCESS_OR_READONLY", "INVALID_FIELD",
)  # fmt: skip


@pytest.mark.parametrize("error", PARKED)
def test_a_refused_record_is_a_failure_of_its_own(faulty: Faulty, error: str) -> None:
    done, _ = write(faulty, lambda _: WRITES | {"do": {"error": error}})
    assert (done.state, done.code) == ("failed", error)
    assert done.message


def test_a_locked_record_is_written_once_the_lock_is_gone(faulty: Faulty) -> None:
    done, _ = write(faulty, lambda account: WRITES | {"nth": 1, "do": {"lock": [account]}})
    assert done.state == "applied"


def test_a_write_is_never_repeated_when_it_may_have_happened(faulty: Faulty) -> None:
    done, _ = write(faulty, lambda _: WRITES | {"do": {"error": "UNKNOWN_EXCEPTION"}})
    assert done.state == "unknown"
