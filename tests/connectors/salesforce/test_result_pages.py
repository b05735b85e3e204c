"""Pages of a large bulk result: several at a time from the addresses that the org lists, or one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce import result_pages
from crmsync.connectors.salesforce.bulk_query import bulk_blocks
from crmsync.errors import DataError
from tests.connectors.salesforce.wire import DATA, Opened, Wire, csv_page, fault, ok

JOB = f"{DATA}/jobs/query/750000000000001AAA"
ROWS = 9


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_pages, "PAGE_ROWS", 2)


def text(first: int, count: int) -> str:
    """A page of ids."""
    return '"Id"\n' + "".join(f'"{number}"\n' for number in range(first, first + count))


def listed(*locators: str, more: str | None = None, spelled: str = "nextRecordsUrl", at: str = JOB) -> Any:
    """A list of pages; `more`: the locator of the next list."""
    pages = [{"resultUrl": f"{at}/results?locator={one}"} for one in locators]
    following = {spelled: f"{JOB.replace('/jobs', '/JOBS')}/resultpages?locator={more}"}  # addresses ignore case
    return ok({"resultPages": pages, "done": more is None} | (following if more else {}))


def scripted(wire: Wire, *lists: Any) -> None:
    """A job of three pages, a, b and c, of four, four and one rows."""
    wire.job(ROWS)
    for locator, first, count in (("a", 0, 4), ("b", 4, 4), ("c", 8, 1)):
        wire.on("GET", rf"{JOB}/results\?locator={locator}", csv_page(text(first, count), count))
    wire.on("GET", "(?i:" + rf"{JOB}/resultpages.*)", *lists)


def read(opened: Opened, folder: Path) -> list[str]:
    """The ids in the order in which they came."""
    opened.connector.org.retries.attempts = 2
    blocks = bulk_blocks(opened.connector.org, "SELECT Id FROM Opportunity", "Opportunity", ["Id"], folder)
    return [one for block in blocks for one in block["Id"].to_pylist()]


EVERY = [str(number) for number in range(ROWS)]


@pytest.mark.parametrize("spelled", ["nextRecordsUrl", "nextRecordUrl"])
def test_pages_come_in_order_from_lists_of_addresses(wire: Wire, opened: Opened, tmp_path: Path, spelled: str) -> None:
    scripted(wire, listed("a", "b", more="c", spelled=spelled), listed("c"))
    assert read(opened, tmp_path) == EVERY
    assert not list(tmp_path.glob("*.csv"))


def test_pages_are_fetched_with_the_version_of_the_job_and_from_its_host(
    wire: Wire, opened: Opened, tmp_path: Path
) -> None:
    other = JOB.replace("v67.0", "v61.0")
    wire.on("GET", rf"{other}.*", fault(409, "INVALIDVERSION"))
    scripted(wire, listed("a", "b", "c", at=other))
    assert read(opened, tmp_path) == EVERY


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (listed("a", "b", at="https://evil.example.com" + JOB), "not on its own host"),
        (listed("a", "b", "b"), "names the page b twice"),
        (listed("a", "b"), "hold 8 rows, but the job 750000000000001AAA says 9"),
        (listed("a", "b", "c", more="a"), "names the page a twice"),
        (listed("a", at=f"{DATA}/jobs/query/750000000000002AAA"), "which is no page of its results"),
        (ok({"resultPages": [{}], "done": True}), "without an address"),
        (ok({"done": True}), "does not list its result pages"),
    ],
)
def test_a_list_that_is_not_whole_or_not_of_the_job_is_refused(
    wire: Wire, opened: Opened, tmp_path: Path, answer: Any, told: str
) -> None:
    scripted(wire, answer)
    with pytest.raises(DataError, match=told):
        read(opened, tmp_path)


def test_an_org_without_the_list_gives_page_after_page(wire: Wire, opened: Opened, tmp_path: Path) -> None:
    wire.job(3, csv_page(text(0, 2), 2, "x"), csv_page(text(2, 1), 1))
    assert read(opened, tmp_path) == EVERY[:3]
    asked = [call.query for call in wire.made("GET", rf"{JOB}/results.*")]
    assert asked == [
        "?maxRecords=2",
        "?maxRecords=2&locator=x",
    ]


def test_a_page_that_breaks_ends_the_read_and_leaves_no_download_behind(
    wire: Wire, opened: Opened, tmp_path: Path
) -> None:
    scripted(wire, listed("a", "b", "c"))
    wire.on("GET", rf"{JOB}/results\?locator=b", csv_page(text(4, 4)[:-1], 4))
    with pytest.raises(Transient, match="cut off"):
        read(opened, tmp_path)
    assert len(wire.made("DELETE", JOB)) == 1
