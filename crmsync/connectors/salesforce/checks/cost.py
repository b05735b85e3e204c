"""What a run costs in API calls, from the number of rows; beside what the org still allows today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from crmsync.connectors.salesforce.checks.findings import Finding, cannot, look, told
from crmsync.connectors.salesforce.fetching import BULK_ABOVE
from crmsync.connectors.salesforce.result_pages import PAGE_ROWS

LOGIN = 3  # token, versions, organization
COUNTS = 2  # before and after
JOB = 3  # open, look (at least once), delete
LOOKS_PER_ROWS = 100_000  # a longer job is looked at once more for so many rows
PAGES_LISTED = 5  # addresses of pages in one answer
JOB_ROWS = 10_000
INGEST = 6  # open, upload, start, look, two results
SINGLE = 2  # a conditional write of one record: its tag, then itself
MUCH = 0.10


@dataclass(frozen=True)
class Cost:
    """Calls of a run. `rows`: per table; `first`: a run that writes every partner, `still`: one that writes none."""

    rows: Mapping[str, int]
    reads: Mapping[str, int]
    describes: int
    first_writes: int

    @property
    def still(self) -> int:
        """A full read of which nothing is written."""
        return LOGIN + self.describes + sum(self.reads.values())

    @property
    def first(self) -> int:
        """A full read after which every partner is written."""
        return self.still + self.first_writes


def estimate(rows: Mapping[str, int], describes: int, bulk_from: int, children: int) -> Cost:
    """The cost of a run. `children`: kinds of child record that are written for each partner."""
    partners = rows.get("partners", 0)
    reads = {name: _read(count) for name, count in rows.items()}
    kinds = 1 + children
    return Cost(rows, reads, describes, kinds * _write(partners, bulk_from))


def _read(rows: int) -> int:
    if rows <= BULK_ABOVE:
        return COUNTS + 1
    pages = _parts(rows, PAGE_ROWS)
    lists = _parts(pages, PAGES_LISTED) if pages > 1 else 0
    return COUNTS + JOB + rows // LOOKS_PER_ROWS + lists + pages


def _write(rows: int, bulk_from: int) -> int:
    return SINGLE * rows if rows < bulk_from else INGEST * _parts(rows, JOB_ROWS)


def _parts(rows: int, size: int) -> int:
    return -(-rows // size)


def allowance_findings(cost: Cost, allowance: tuple[int, int] | None) -> Iterator[Finding]:
    """Whether today's allowance lasts for a run."""
    if allowance is None:
        yield told("API allowance", "the org does not tell it to this login (/limits); it was not compared")
        return
    most, left = allowance
    costs = f"a run reads with about {cost.still} calls, the first one writes with {cost.first_writes} more"
    if cost.first > left:
        way = "run again when it has been renewed (24 hours), or ask Salesforce for more"
        yield cannot("API allowance", f"{left:,} of {most:,} calls are left today, and {costs}", way)
    elif cost.first > MUCH * most:
        way = "schedule fewer runs a day, or leave incremental reads to do theirs"
        yield look("API allowance", f"{costs}: more than a tenth of the {most:,} calls of a day", way)
