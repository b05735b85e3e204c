"""Large reads: every page of a bulk query proves itself, or the read is repeated or refused."""

from __future__ import annotations

import csv
import io
import socket
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import responses

from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.bulk_query import bulk_blocks
from crmsync.errors import ConfigError, DataError
from crmsync.tables import ColumnType
from tests.connectors.salesforce.wire import DATA, MAP, Opened, Wire, csv_page, fault, html, ok, open_connector

HEADER = ["Id", "Name", "Amount", "IsWon", "CloseDate", "AccountId"]
MANY = 2_100
JOB = f"{DATA}/jobs/query/750000000000001AAA"


def deal(number: int, **cells: str) -> list[str]:
    """The cells of one opportunity."""
    known = {
        "Id": f"006{number:012d}AAA",
        "Name": f"Deal {number}",
        "Amount": "1000.0",
        "IsWon": "true",
        "CloseDate": "2026-01-31",
        "AccountId": "001000000000001AAA",
    }
    return list((known | cells).values())


def text_of(rows: list[list[str]], header: list[str] | None = None) -> str:
    """CSV as Salesforce writes it: every cell quoted, LF."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([header or HEADER, *rows])
    return out.getvalue()


def many(first: int = 0, count: int = MANY) -> list[list[str]]:
    """Enough rows for a bulk job."""
    return [deal(first + number) for number in range(count)]


def extract(opened: Opened) -> list[dict[str, Any]]:
    """The rows after an extract of opportunities."""
    opened.connector.extract(["opportunities"], opened.staging)
    return opened.rows("opportunities")


def test_more_than_2000_rows_come_by_a_bulk_job(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(many()), MANY))
    rows = extract(opened)
    assert len(rows) == MANY
    assert rows[0] == {
        "opportunity_id": "006000000000000AAA",
        "name": "Deal 0",
        "amount": Decimal("1000.00"),
        "is_won": True,
        "closed_on": date(2026, 1, 31),
        "partner_id": "001000000000001AAA",
    }
    table = opened.staging.tables["opportunities"]
    assert (table.rows, table.main_date, table.columns["amount"]) == (MANY, "closed_on", ColumnType.MONEY)


def test_2000_rows_come_by_rest(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", 2000)
    wire.on("GET", ".*SELECT Id.*", ok({"totalSize": 0, "done": True, "records": []}))
    with pytest.raises(DataError, match="0 rows were read"):
        extract(opened)
    assert not wire.made("POST", ".*jobs/query")


def test_pages_are_walked_by_their_locators(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY + 5)
    wire.job(MANY + 5, csv_page(text_of(many()), MANY, "MTAwMDA"), csv_page(text_of(many(MANY, 5)), 5))
    assert len(extract(opened)) == MANY + 5
    asked = [call.query for call in wire.made("GET", rf"{JOB}/results.*")]
    assert asked == ["?maxRecords=100000", "?maxRecords=100000&locator=MTAwMDA"]


def test_the_job_is_deleted_after_reading(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(many()), MANY))
    extract(opened)
    assert len(wire.made("DELETE", JOB)) == 1
    assert opened.connector.writes_used == 0


def test_a_job_under_way_is_looked_at_again(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(many()), MANY))
    done = ok({"state": "JobComplete", "numberRecordsProcessed": MANY})
    wire.on("GET", JOB, ok({"state": "InProgress"}), html(503), ok({"state": "InProgress"}), done)
    assert len(extract(opened)) == MANY


@pytest.mark.parametrize(
    "cells",
    [
        {"Name": 'comma, "quote", line\nbreak'},
        {"Name": "next line\x85 and \u2028 and \u2029 and \x0b stay in the cell"},
        {"Name": "Müller & Söhne 株式会社 🚲"},
        {"Name": "carriage\r\nreturn"},
        {"Name": "'; DROP TABLE partners --"},
        {"Name": "=cmd()"},
    ],
)
def test_texts_arrive_as_they_are(wire: Wire, opened: Opened, cells: dict[str, str]) -> None:
    wire.counts("Opportunity", MANY + 1)
    wire.job(MANY + 1, csv_page(text_of([deal(9_999_999, **cells), *many()]), MANY + 1))
    assert extract(opened)[-1]["name"] == cells["Name"]  # in the order of the ids


def test_empty_cells_are_missing_values_not_empty_texts(wire: Wire, opened: Opened) -> None:
    empty = deal(9_999_999, Name="", Amount="", CloseDate="")
    wire.counts("Opportunity", MANY + 1)
    wire.job(MANY + 1, csv_page(text_of([empty, *many()]), MANY + 1))
    report = opened.connector.extract(["opportunities"], opened.staging)
    row = opened.rows("opportunities")[-1]
    assert [row[name] for name in ("name", "amount", "closed_on")] == [None] * 3
    assert report.rejected == ()


def test_a_bad_cell_rejects_its_row_and_names_it(wire: Wire, opened: Opened) -> None:
    bad = [deal(1_000_001, Amount="1,000.00"), deal(1_000_002, CloseDate="31.01.2026"), deal(1_000_003, IsWon="maybe")]
    wire.counts("Opportunity", MANY + 3)
    wire.job(MANY + 3, csv_page(text_of([*bad, *many()]), MANY + 3))
    report = opened.connector.extract(["opportunities"], opened.staging)
    assert [(one.file, one.column, one.value) for one in report.rejected] == [
        ("Opportunity 006000001000001AAA", "amount", "1,000.00"),
        ("Opportunity 006000001000003AAA", "is_won", "maybe"),
        ("Opportunity 006000001000002AAA", "closed_on", "31.01.2026"),
    ]
    assert len(opened.rows("opportunities")) == MANY
    assert report.rows == {"opportunities": MANY + 3}


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("0.005", "0.01"),
        ("-0.005", "-0.01"),
        ("1.5E7", "15000000.00"),
        ("99999999999999999.99",) * 2,
        ("2.675", "2.68"),
    ],
)
def test_amounts_are_exact_to_the_cent(wire: Wire, opened: Opened, cell: str, amount: str) -> None:
    wire.counts("Opportunity", MANY + 1)
    wire.job(MANY + 1, csv_page(text_of([deal(9_999_999, Amount=cell), *many()]), MANY + 1))
    assert extract(opened)[-1]["amount"] == Decimal(amount)


def refused(wire: Wire, opened: Opened, match: str, error: type[Exception] = DataError) -> None:
    """Nothing of this read is kept."""
    del wire
    with pytest.raises(error, match=match):
        extract(opened)
    assert opened.staging.tables == {}


def test_fewer_rows_than_the_page_says_are_refused(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(many(0, MANY - 1)), MANY))
    refused(wire, opened, "Opportunity: a result page holds 2,099 rows, but says 2,100")


def test_fewer_rows_than_the_job_says_are_refused(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(many(0, MANY - 1)), MANY - 1))
    refused(wire, opened, "Opportunity: the result pages hold 2,099 rows, but the job 750000000000001AAA says 2,100")


def test_fewer_rows_than_the_server_counts_are_refused(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY - 1, csv_page(text_of(many(0, MANY - 1)), MANY - 1))
    refused(wire, opened, "2,099 rows were read, but Salesforce counts 2,100 before and 2,100 after")


def test_a_last_line_that_does_not_end_is_a_cut_page(wire: Wire, opened: Opened) -> None:
    whole = text_of(many())
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(whole[:-1], MANY), csv_page(whole, MANY))
    assert len(extract(opened)) == MANY


def test_a_page_that_stays_cut_is_refused(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(many())[:-20], MANY))
    refused(wire, opened, "cut off", Transient)


def test_a_page_cut_between_two_lines_is_refused(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page("\n".join(text_of(many()).split("\n")[:100]) + "\n", MANY))
    refused(wire, opened, "holds 99 rows, but says 2,100")


def test_a_page_with_other_columns_is_refused(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(many(), [*HEADER[:-1], "OwnerId"]), MANY))
    refused(wire, opened, "columns Id, Name, Amount, IsWon, CloseDate, OwnerId, asked were Id, Name")


def test_a_row_with_another_number_of_cells_is_refused(wire: Wire, opened: Opened) -> None:
    rows = many()
    rows[7] = rows[7][:-1]
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(rows), MANY))
    refused(wire, opened, "not the CSV that was asked for: .*[Ee]xpected 6 columns, got 5")


def test_bytes_that_are_not_utf8_are_refused(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(many()).encode().replace(b"Deal 7", b"D\xe4al7"), MANY))
    refused(wire, opened, "Opportunity: a result page is not the CSV")


def test_a_web_page_in_place_of_rows_is_asked_again(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, html(200), html(503), csv_page(text_of(many()), MANY))
    assert len(extract(opened)) == MANY


def test_a_page_that_does_not_say_its_rows_is_refused(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, (200, {"Content-Type": "text/csv"}, text_of(many())))
    refused(wire, opened, "Sforce-NumberOfRecords")


def test_locators_that_go_round_in_a_circle_are_refused(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, csv_page(text_of(many()), MANY, "MTAwMDA"))
    refused(wire, opened, "names the page MTAwMDA twice")


@pytest.mark.parametrize("state", ["Failed", "Aborted", "Sleeping"])
def test_a_job_that_ends_otherwise_is_refused_with_its_words(wire: Wire, opened: Opened, state: str) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY)
    wire.on("GET", JOB, ok({"state": state, "errorMessage": "InvalidBatch : too long"}))
    refused(wire, opened, f"ended as {state}: InvalidBatch : too long")


def test_results_that_are_gone_start_one_new_job(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", MANY)
    wire.job(MANY, fault(404, "NOT_FOUND"), csv_page(text_of(many()), MANY))
    assert len(extract(opened)) == MANY
    assert len(wire.made("POST", ".*jobs/query")) == 2


def test_an_address_too_long_for_rest_goes_by_bulk(wire: Wire, tmp_path: Path) -> None:
    names = ", ".join(f"'{number:04d}'" for number in range(900))
    opened = open_connector(
        tmp_path, MAP.replace("object: Opportunity", f'object: Opportunity\n    filter: "Name IN ({names})"')
    )
    wire.counts("Opportunity", 1)
    wire.job(1, csv_page(text_of(many(0, 1)), 1))
    assert len(extract(opened)) == 1


def test_a_query_refused_as_too_long_goes_by_bulk(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", 1)
    wire.page("Opportunity", html(414, "<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>"))
    wire.job(1, csv_page(text_of(many(0, 1)), 1))
    assert len(extract(opened)) == 1


def test_a_filter_too_long_to_count_is_refused_at_its_line(wire: Wire, tmp_path: Path) -> None:
    del wire
    long = ", ".join(f"'{number:04d}'" for number in range(999)) + f", '{'x' * 6000}'"
    text = MAP.replace("object: Opportunity", f'object: Opportunity\n    filter: "Name IN ({long})"')
    opened = open_connector(tmp_path, text)
    with pytest.raises(ConfigError, match=r"salesforce\.yaml:9: the filter is too long"):
        extract(opened)


def by_bulk(tmp_path: Path, rows: int) -> list[list[Any]]:
    """All text columns of a job of `rows`, read without the counts around it."""
    org = open_connector(tmp_path).connector.org
    org.retries.attempts = 1
    blocks = list(bulk_blocks(org, "SELECT Id FROM Opportunity", "Opportunity", HEADER, tmp_path))
    assert sum(len(block["Id"]) for block in blocks) == rows
    return [list(column) for block in blocks for column in block.values()]


@pytest.mark.parametrize("body", [text_of([]), text_of([])[:-1], ""])
def test_a_job_of_no_rows_is_an_empty_table(wire: Wire, tmp_path: Path, body: str) -> None:
    wire.job(0, csv_page(body, 0))
    assert by_bulk(tmp_path, 0) == []


def test_a_page_cut_at_any_byte_is_never_taken_for_whole(wire: Wire, tmp_path: Path) -> None:
    whole = text_of([deal(1, Name='a "quote"\nand, a line'), deal(2, Name="Ünal\u2028"), deal(3, Name="")]).encode()
    for cut in range(len(whole)):
        wire.job(3, csv_page(whole[:cut], 3))
        with pytest.raises((DataError, Transient), match="Opportunity"):
            by_bulk(tmp_path, 3)
    wire.job(3, csv_page(whole, 3))
    assert by_bulk(tmp_path, 3)


# --- real sockets: a body that is shorter than announced


@pytest.fixture
def cut_server() -> Iterator[str]:
    """A server that announces 4,000 bytes and closes after a few."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(65_536)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n[{")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_a_body_shorter_than_announced_is_noticed(cut_server: str, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, settings={"instance_url": cut_server, "access_token": "x"})
    with pytest.raises(Transient, match="cut"):
        opened.connector.identity()
    assert len(opened.slept) == 6


@responses.activate
def test_nothing_is_called_before_it_is_used(tmp_path: Path) -> None:
    open_connector(tmp_path)
    assert len(responses.calls) == 0
