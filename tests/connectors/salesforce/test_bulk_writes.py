"""A bulk update by single steps: only the start has an effect, and every outcome is told by record id."""

from __future__ import annotations

import csv
import io
import json

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from crmsync.connectors.base import Write, Written
from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.written_fields import bulk_cell
from crmsync.errors import DataError, Retriable
from tests.connectors.salesforce.wire import DATA, Answer, Opened, Wire, fault, html, ok

JOB = "750000000000001AAA"
INGEST = f"{DATA}/jobs/ingest"
ONE, TWO = "001000000000001AAA", "001000000000002AAA"


def results(wire: Wire, successful: str = "", failed: str = "", unprocessed: str = "") -> None:
    """The three result lists of the job; csv without a charset."""
    for name, text in (
        ("successfulResults", successful),
        ("failedResults", failed),
        ("unprocessedrecords", unprocessed),
    ):
        wire.on("GET", f"{INGEST}/{JOB}/{name}/", (200, {"Content-Type": "text/csv"}, text.encode()))


def test_a_job_is_opened_for_updates_of_the_object(wire: Wire, opened: Opened) -> None:
    wire.on("POST", INGEST, fault(429, "TOO_MANY"), ok({"id": JOB, "state": "Open"}))
    assert opened.connector.create_job() == JOB
    assert json.loads(wire.made("POST", INGEST)[0].body) == {
        "object": "Account",
        "operation": "update",
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }


@pytest.mark.parametrize("answer", [ok({}), ok([]), ok({"id": "750/../../x"}), ok({"id": None})])
def test_a_job_without_a_usable_id_is_refused(wire: Wire, opened: Opened, answer: Answer) -> None:
    wire.on("POST", INGEST, answer)
    with pytest.raises(DataError, match="without a usable id"):
        opened.connector.create_job()


def uploaded(wire: Wire, opened: Opened, *writes: Write) -> str:
    """The body that was uploaded."""
    wire.on("PUT", f"{INGEST}/{JOB}/batches", (201, {}, ""))
    opened.connector.upload_job(JOB, writes)
    return wire.made("PUT", ".*")[-1].body


def test_rows_are_sorted_and_clearing_is_written_out(wire: Wire, opened: Opened) -> None:
    body = uploaded(
        wire,
        opened,
        Write(TWO, {"Why__c": 'say "x", y', "Tier__c": "Gold"}, {}),
        Write(ONE, {"Tier__c": None, "Why__c": "line one\r\nline two\nthree"}, {}),
    )
    assert body == (
        '"Id","Tier__c","Why__c"\n'
        f'"{ONE}","#N/A","line one line two three"\n'
        f'"{TWO}","Gold","say ""x"", y"\n'
    )  # fmt: skip
    call = wire.made("PUT", ".*")[0]
    assert call.headers["Content-Type"] == "text/csv; charset=UTF-8"
    assert call.headers["Content-Length"] == str(len(body.encode()))


def test_the_same_writes_give_the_same_bytes(wire: Wire, opened: Opened) -> None:
    one, two = Write(ONE, {"Tier__c": "Gold", "Why__c": "ü"}, {}), Write(TWO, {"Why__c": "v", "Tier__c": "Silver"}, {})
    assert uploaded(wire, opened, one, two) == uploaded(wire, opened, two, one)


def test_a_field_that_one_record_does_not_write_stays_as_it_is(wire: Wire, opened: Opened) -> None:
    body = uploaded(wire, opened, Write(ONE, {"Tier__c": "Gold"}, {}), Write(TWO, {"Why__c": "w"}, {}))
    assert body.splitlines()[1:] == [f'"{ONE}","Gold",', f'"{TWO}",,"w"']


def test_a_record_twice_in_one_job_is_refused(wire: Wire, opened: Opened) -> None:
    with pytest.raises(DataError, match=f"Account {ONE} stands twice"):
        uploaded(wire, opened, Write(ONE, {"Tier__c": "Gold"}, {}), Write(ONE[:15], {"Tier__c": "Silver"}, {}))
    assert not wire.made("PUT", ".*")


def test_a_cell_that_bulk_takes_for_empty_is_refused_with_its_record(wire: Wire, opened: Opened) -> None:
    with pytest.raises(DataError, match=f"Account {ONE}: Why__c"):
        uploaded(wire, opened, Write(ONE, {"Why__c": "#N/A"}, {}))
    assert not wire.made("PUT", ".*")


def test_a_text_is_cut_to_the_length_of_its_field(wire: Wire, opened: Opened) -> None:
    cell = uploaded(wire, opened, Write(ONE, {"Why__c": "x" * 32_001}, {})).splitlines()[1].split(",")[1].strip('"')
    assert (len(cell), cell[-2:]) == (32_000, "x…")


@given(st.text())
def test_any_text_is_one_cell_on_one_line(text: str) -> None:
    assert not set(bulk_cell(text)) & set("\n\r\x0b\x0c\x85\u2028\u2029")


def test_an_upload_that_certainly_did_not_happen_is_repeated_from_its_start(wire: Wire, opened: Opened) -> None:
    wire.on("PUT", f"{INGEST}/{JOB}/batches", fault(429, "TOO_MANY"), (201, {}, ""))
    opened.connector.upload_job(JOB, [Write(ONE, {"Tier__c": "Gold"}, {})])
    first, second = wire.made("PUT", ".*")
    assert first.body == second.body != ""


def test_a_job_or_an_upload_that_may_have_happened_is_not_repeated(wire: Wire, opened: Opened) -> None:
    """The ledger must know of every job, and a job takes one upload."""
    wire.on("POST", INGEST, html(503), ok({"id": JOB, "state": "Open"}))
    wire.on("PUT", f"{INGEST}/{JOB}/batches", html(503), (201, {}, ""))
    with pytest.raises(Retriable):
        opened.connector.create_job()
    with pytest.raises(Retriable):
        opened.connector.upload_job(JOB, [Write(ONE, {"Tier__c": "Gold"}, {})])
    assert len(wire.made("POST", INGEST)) == len(wire.made("PUT", ".*")) == 1


# --- jobs that shall not run


def a_job(job_id: str, **given: object) -> dict[str, object]:
    """A job as the list of jobs shows it."""
    usual = {"id": job_id, "state": "Open", "operation": "update", "object": "Account", "contentType": "CSV"}
    return {**usual, "createdById": "005000000000001AAA", "createdDate": "2026-11-22T10:00:00.000+0000", **given}


def test_open_jobs_of_our_own_user_are_listed_over_all_pages(wire: Wire, opened: Opened) -> None:
    wire.on("GET", "/services/oauth2/userinfo", ok({"user_id": "005000000000001"}))
    following = f"{INGEST}?queryLocator=2"
    others = [
        a_job("2", state="JobComplete"),
        a_job("3", createdById="005000000000009AAA"),
        a_job("4", operation="insert"),
    ]
    first = {"done": False, "nextRecordsUrl": following, "records": [a_job("1"), *others]}
    second = {"done": True, "nextRecordsUrl": None, "records": [a_job("5", object="Tier__c", operation="upsert")]}
    wire.on("GET", rf"{INGEST}/?\?jobType=V2Ingest", ok(first))
    wire.on("GET", rf"{INGEST}/?\?queryLocator=2", ok(second))
    found = [(job.job_id, job.object, job.created_at) for job in opened.connector.open_jobs()]
    at = "2026-11-22T10:00:00.000+0000"
    assert found == [("1", "", at), ("5", "Tier__c", at)]


@pytest.mark.parametrize(("then", "ended"), [("Aborted", True), ("InProgress", False), ("JobComplete", False)])
def test_a_job_is_ended_unless_it_was_started(wire: Wire, opened: Opened, then: str, ended: bool) -> None:
    wire.on("PATCH", f"{INGEST}/{JOB}", fault(400, "INVALIDJOBSTATE"))
    wire.on("GET", f"{INGEST}/{JOB}", ok({"id": JOB, "state": then}))
    assert opened.connector.abort_job(JOB) is ended


# --- starting


def state(name: str, **more: object) -> Answer:
    """The job in a state."""
    return ok({"id": JOB, "state": name, **more})


def test_a_job_is_started_by_one_call(wire: Wire, opened: Opened) -> None:
    wire.on("PATCH", f"{INGEST}/{JOB}", state("UploadComplete"))
    opened.connector.start_job(JOB)
    assert [call.body for call in wire.made("PATCH", ".*")] == ['{"state": "UploadComplete"}']


@pytest.mark.parametrize("lost", [html(503), (0, {}, requests.ReadTimeout()), html(200)])
def test_a_lost_start_is_asked_of_the_job(wire: Wire, opened: Opened, lost: Answer) -> None:
    wire.on("PATCH", f"{INGEST}/{JOB}", lost)
    wire.on("GET", f"{INGEST}/{JOB}", state("InProgress"))
    opened.connector.start_job(JOB)
    assert len(wire.made("PATCH", ".*")) == 1


def test_a_job_still_open_after_a_lost_start_is_started_again(wire: Wire, opened: Opened) -> None:
    wire.on("PATCH", f"{INGEST}/{JOB}", html(503), state("UploadComplete"))
    wire.on("GET", f"{INGEST}/{JOB}", state("Open"))
    opened.connector.start_job(JOB)
    assert len(wire.made("PATCH", ".*")) == 2


def test_a_job_that_was_started_before_counts_as_started(wire: Wire, opened: Opened) -> None:
    wire.on("PATCH", f"{INGEST}/{JOB}", fault(400, "INVALIDJOBSTATE"))
    wire.on("GET", f"{INGEST}/{JOB}", state("JobComplete"))
    opened.connector.start_job(JOB)


def test_a_job_that_never_starts_is_left_open_and_told(wire: Wire, opened: Opened) -> None:
    wire.on("PATCH", f"{INGEST}/{JOB}", html(503))
    wire.on("GET", f"{INGEST}/{JOB}", state("Open"))
    with pytest.raises(Transient, match="stays open"):
        opened.connector.start_job(JOB)
    assert "Aborted" not in "".join(call.body for call in wire.calls)


# --- looking


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (state("Open"), "open"),
        (state("UploadComplete"), "running"),
        (state("InProgress"), "running"),
        (state("JobComplete", numberRecordsProcessed=3, numberRecordsFailed=1), "done"),
        (state("Failed", errorMessage="InvalidBatch : Field name not found : X"), "failed"),
        (state("Aborted"), "aborted"),
        (fault(404, "NOT_FOUND"), "gone"),
    ],
)
def test_the_state_of_a_job_is_told_in_our_words(wire: Wire, opened: Opened, answer: Answer, expected: str) -> None:
    wire.on("GET", f"{INGEST}/{JOB}", answer)
    assert opened.connector.job_state(JOB).state == expected


def test_a_fault_of_looking_never_aborts_the_job(wire: Wire, opened: Opened) -> None:
    wire.on("GET", f"{INGEST}/{JOB}", html(503), (0, {}, requests.ReadTimeout()), state("InProgress"))
    assert opened.connector.job_state(JOB).state == "running"
    assert not wire.made("PATCH", ".*")


# --- results


def test_every_listed_record_has_its_outcome(wire: Wire, opened: Opened) -> None:
    error = "FIELD_CUSTOM_VALIDATION_EXCEPTION:Gold, needs: a plan:Tier__c--"
    results(
        wire,
        f'"sf__Id","sf__Created","Id","Name"\n"{ONE}","false","{ONE}","Müller\u2028\nGmbH"\n',
        f'"sf__Id","sf__Error","Id"\n"{TWO}","{error}","{TWO}"\n',
        '"Id","Name"\n"001000000000003AAA","x"\n',
    )
    assert list(opened.connector.job_results(JOB)) == [
        Written(ONE, "applied"),
        Written(TWO, "failed", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "Gold, needs: a plan"),
        Written(
            "001000000000003AAA", "failed", "UNPROCESSED",
            "Salesforce ended the job before this record; it is unchanged",
        ),
    ]  # fmt: skip


def test_a_cut_list_gives_its_whole_rows_only(wire: Wire, opened: Opened) -> None:
    results(wire, f'"sf__Id","sf__Created","Id"\n"{ONE}","false","{ONE}"\n"{TWO}","fal')
    assert list(opened.connector.job_results(JOB)) == [Written(ONE, "applied")]


def test_a_list_that_is_gone_names_nobody(wire: Wire, opened: Opened) -> None:
    wire.on("GET", f"{INGEST}/{JOB}/.*", fault(404, "NOT_FOUND"))
    assert list(opened.connector.job_results(JOB)) == []


def test_a_list_is_fetched_again_after_a_fault(wire: Wire, opened: Opened) -> None:
    results(wire)
    good = (200, {"Content-Type": "text/csv"}, f'"sf__Id","sf__Created","Id"\n"{ONE}","false","{ONE}"\n')
    wire.on("GET", f"{INGEST}/{JOB}/successfulResults/", html(503), html(200), good)
    assert list(opened.connector.job_results(JOB)) == [Written(ONE, "applied")]


@pytest.mark.parametrize(
    "torn", ["", "\n", '"sf__Id"', '"sf__Id","sf__Created"\n"00', '"sf__Id"\n"a"b"\n', "\0\n\0\0\n"]
)
def test_a_list_that_cannot_be_read_names_nobody(wire: Wire, opened: Opened, torn: str) -> None:
    results(wire, torn)
    assert list(opened.connector.job_results(JOB)) == []


def test_a_list_cut_at_any_byte_never_names_a_wrong_record(wire: Wire, opened: Opened) -> None:
    out = io.StringIO()
    rows = [
        ["sf__Id", "sf__Created", "Id", "Name"],
        [ONE, "false", ONE, 'a "quote"\nand line'],
        [TWO, "false", TWO, "Ünal, Inc"],
    ]
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    whole = out.getvalue().encode()
    results(wire)
    for cut in range(len(whole) + 1):
        wire.on("GET", f"{INGEST}/{JOB}/successfulResults/", (200, {"Content-Type": "text/csv"}, whole[:cut]))
        told = [written.record_id for written in opened.connector.job_results(JOB)]
        assert told == [ONE, TWO][: len(told)]
        assert cut < len(whole) or told == [ONE, TWO]
