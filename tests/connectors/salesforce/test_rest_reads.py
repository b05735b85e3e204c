"""Small reads: pages that come wrong are repeated, or refused as a whole."""

from __future__ import annotations

import pytest

from crmsync.connectors.retries import Transient
from crmsync.errors import AccessError, DataError, Deferred
from tests.connectors.salesforce.wire import DATA, TOKEN, Opened, Wire, account, fault, html, ok, page

NEXT = f"{DATA}/query/01gRO0000016PIAYA2-2"


def three_accounts(wire: Wire) -> None:
    """Two pages of three accounts."""
    wire.counts("Account", 3)
    wire.page("Account", page([account(1), account(2)], 3, NEXT))
    wire.on("GET", NEXT, page([account(3)], 3))


def test_pages_smaller_than_asked_are_walked_to_the_end(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    report = opened.connector.extract(["partners"], opened.staging)
    assert [row["name"] for row in opened.rows("partners")] == ["P1", "P2", "P3"]
    assert (report.rows, report.counts_before, report.counts_after) == ({"partners": 3},) * 3


def test_the_filter_is_sent_as_rendered_and_counted_the_same(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    opened.connector.extract(["partners"], opened.staging)
    assert len(wire.made("GET", r".*COUNT\(\) FROM Account WHERE Type = 'Partner'")) == 2
    assert len(wire.made("GET", r".*SELECT Id, Name, Partner_Since__c FROM Account WHERE Type = 'Partner'")) == 1


def test_a_page_of_an_edge_server_is_asked_again(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    wire.on("GET", NEXT, html(503), html(200), html(406), page([account(3)], 3))
    opened.connector.extract(["partners"], opened.staging)
    assert len(opened.rows("partners")) == 3


def test_the_servers_retry_after_is_the_least_wait(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    wire.on("GET", NEXT, html(503, Retry_After="40"), page([account(3)], 3))
    opened.connector.extract(["partners"], opened.staging)
    assert opened.slept
    assert opened.slept[0] >= 40


def test_an_org_that_stays_down_ends_the_read_with_nothing_staged(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    wire.on("GET", NEXT, html(503))
    with pytest.raises(Transient, match="HTTP 503"):
        opened.connector.extract(["partners"], opened.staging)
    assert opened.staging.tables == {}


def test_a_cut_json_page_is_asked_again(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    status, headers, body = page([account(3)], 3)
    wire.on("GET", NEXT, (status, headers, body[: len(body) // 2]), page([account(3)], 3))
    opened.connector.extract(["partners"], opened.staging)
    assert len(opened.rows("partners")) == 3


def test_a_different_count_is_read_once_more(wire: Wire, opened: Opened) -> None:
    wire.counts("Account", 2, 3, 3, 3)
    wire.page("Account", page([account(1), account(2)]), page([account(1), account(2), account(3)]))
    report = opened.connector.extract(["partners"], opened.staging)
    assert report.rows == {"partners": 3}
    assert report.counts_before == report.counts_after == {"partners": 3}


def test_rows_that_vanish_twice_are_refused_with_all_counts(wire: Wire, opened: Opened) -> None:
    wire.counts("Account", 3)
    wire.page("Account", page([account(1), account(2)]))
    with pytest.raises(DataError, match=r"Account \(table partners\): 2 rows were read, but .* 3 before and 3 after"):
        opened.connector.extract(["partners"], opened.staging)
    assert opened.staging.tables == {}


def test_a_locator_that_expired_starts_the_read_anew(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    wire.on("GET", NEXT, fault(400, "INVALID_QUERY_LOCATOR"), page([account(3)], 3))
    opened.connector.extract(["partners"], opened.staging)
    assert len(opened.rows("partners")) == 3
    assert len(wire.made("GET", ".*SELECT Id,.* FROM [AO][cp].*")) == 2


def test_an_allowance_that_is_used_up_defers_the_run(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    wire.on("GET", NEXT, fault(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    with pytest.raises(Deferred, match="allowance"):
        opened.connector.extract(["partners"], opened.staging)
    assert not opened.slept


def test_too_many_calls_at_once_are_waited_out(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    limit = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    wire.on("GET", NEXT, fault(403, "REQUEST_LIMIT_EXCEEDED", limit), page([account(3)], 3))
    opened.connector.extract(["partners"], opened.staging)
    assert len(opened.slept) == 1


@pytest.mark.parametrize(
    "answer",
    [
        ok({"totalSize": 3, "done": True}),
        ok({"records": [], "done": True}),
        ok([1, 2, 3]),
        ok({"totalSize": 1, "done": True, "records": ["nobody"]}),
        ok({"totalSize": 1, "done": True, "records": [{"Name": "no id"}]}),
        ok({"totalSize": 1, "done": True, "records": [{"Id": "001000000000001AAA", "Name": {"x": 1}}]}),
        ok({"totalSize": 1, "done": True, "records": [{"Id": "001000000000001AAA"}]}),
        ok({"totalSize": 3, "done": False, "records": [account(1)]}),
    ],
)
def test_an_answer_that_is_no_page_of_records_is_refused(wire: Wire, opened: Opened, answer: tuple) -> None:
    wire.counts("Account", 1)
    wire.page("Account", answer)
    with pytest.raises(DataError, match="Account"):
        opened.connector.extract(["partners"], opened.staging)
    assert opened.staging.tables == {}


@pytest.mark.parametrize(
    "following",
    [
        "https://evil.example/services/data/v67.0/query/01g",
        "//evil.example/services/data/v67.0/query/01g",
        "http://acme.my.salesforce.com/services/data/v67.0/query/01g",
        "https://acme.my.salesforce.com@evil.example/query/01g",
        "https://acme.my.salesforce.com:8443/query/01g",
        "/\\evil.example/query/01g",
        "https://acme.my.salesforce.com.evil.example/query/01g",
    ],
)
def test_the_next_page_is_on_the_orgs_own_host_or_not_followed(wire: Wire, opened: Opened, following: str) -> None:
    wire.counts("Account", 2)
    wire.page("Account", page([account(1)], 2, following))
    with pytest.raises(DataError, match="not on its own host"):
        opened.connector.extract(["partners"], opened.staging)
    assert all(
        "evil" not in call.path and call.headers["Authorization"]
        for call in wire.calls
        if call.path != "/services/data"
    )


def test_a_redirect_is_never_followed(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    wire.on("GET", NEXT, (302, {"Location": f"https://evil.example/?{TOKEN}"}, ""))
    with pytest.raises(AccessError, match=r"redirect to evil\.example") as caught:
        opened.connector.extract(["partners"], opened.staging)
    assert TOKEN not in str(caught.value)


def test_calls_and_the_orgs_allowance_are_counted(wire: Wire, opened: Opened) -> None:
    three_accounts(wire)
    wire.on(
        "GET", NEXT, ok({"totalSize": 3, "done": True, "records": [account(3)]}, Sforce_Limit_Info="api-usage=18/5000")
    )
    opened.connector.extract(["partners"], opened.staging)
    assert opened.connector.calls_used == len(wire.calls)
    assert opened.connector.writes_used == 0
    assert opened.connector.api_usage == (18, 5000)
