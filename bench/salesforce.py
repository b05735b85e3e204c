"""A Salesforce org of a million opportunities: reading it whole, reading its changes, and writing to its accounts.

Ours beside simple-salesforce and, where `make clients` has installed them, the Singer tap and Airbyte's source. Each is
a process of its own against one sandbox org; latency is given to every answer of it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import requests

from bench.base import AS_OF, Size
from bench.belt import company_folder
from bench.children import figures_of, high_water_mb
from bench.foreign_readers import PUBLIC_URL, installed, measure_foreign
from bench.salesforce_work import FIELDS, WRITTEN
from bench.tables import Cell, Table
from crmsync.configuration import Reading
from crmsync.sandbox.process import Org, start_org

SIZE = Size(50_000, 1_000_000, 100_000)
HEAD = ("what", "rows", "s", "CPU s", "waiting s", "polls", "other calls", "peak MB")
LATENCIES_MS = (0, 150)
START_S = 1_800.0
WORK_S = 900.0
FOREIGN_S = 300.0
READERS = (
    ("ours: typed, checked, Parquet", "read ours"),
    ("simple-salesforce: texts", "read texts"),
    ("simple-salesforce: typed", "read typed"),
)
WRITERS = (("ours: ledger and outbox", "write ours"), ("simple-salesforce", "write simple"))
POLLS = ("GET /jobs/query/{job}", "GET /jobs/ingest/{job}")
SHARE_CHANGED = 0.001
API = "/services/data/v67.0"


def salesforce_tables(_sizes: Sequence[int] = (), size: Size = SIZE) -> Iterator[Table]:
    """Seconds, waits, calls and peak memory of reading and writing, per client and latency."""
    arguments = ["--data", str(company_folder(size)), "--today", AS_OF.isoformat(), "--public-url", PUBLIC_URL]
    with start_org([*arguments, "--daily-requests", "10000000"], START_S) as org, _accounts_file(org, size.partners):
        yield from _readings(org, size)
        yield from _increments(org, size)
        yield from _writings(org, size)


def _readings(org: Org, size: Size) -> Iterator[Table]:
    for latency in LATENCIES_MS:
        _delay(org, latency)
        rows = [_row(org, name, work) for name, work in READERS]
        if not latency:  # what the foreign ones take is their own work, not the network's
            rows += [_foreign(org, name) for name in installed()]
        org_mb = high_water_mb(org.process.pid)
        note = (
            f"{size.opportunities:,} opportunities over {latency} ms of latency, {len(FIELDS)} fields (Airbyte: all of "
            "the object). Seconds without the waits. Waiting: sleeping between looks at a job, and the looks; of the "
            "Singer tap and Airbyte the waits are not known and are within the seconds. "
            f"The org: {org_mb or 0:,.0f} MB."
        )
        yield Table("Reading a Salesforce org", HEAD, rows, note)


def _increments(org: Org, size: Size) -> Iterator[Table]:
    """A read of all tables, and one of their changes after one record in a thousand was edited."""
    _delay(org, 0)
    rows: list[list[Cell]] = []
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as folder:
        os.environ["SNAPSHOTS"] = folder
        # the org stamps everything it was started with alike, so two reads go by until every watermark is past that
        for name in ("ours: all", "", "", "ours: changes"):
            row = _row(org, name, "tables ours")
            rows += [row] if name else []
            _pass_overlap(org)
            _edit(org, int(size.opportunities * SHARE_CHANGED))
    share = float(rows[1][-2] or 0) / float(rows[0][-2] or 1)
    note = (
        f"All tables of the shipped field map, {size.partners:,} partners; then what changed when one opportunity in "
        f"{1 / SHARE_CHANGED:,.0f} was edited, with the usual overlap. It cost {share:.1%} of the calls. Aim: 5 %."
    )
    yield Table("Reading what changed", HEAD, rows, note)


def _writings(org: Org, size: Size) -> Iterator[Table]:
    for latency in LATENCIES_MS:
        _delay(org, latency)
        rows = [_row(org, name, work) for name, work in WRITERS]
        note = (
            f"{size.partners:,} accounts, {len(WRITTEN)} fields and the write token, over {latency} ms. Both end with "
            "the outcome of every record; ours keeps it, and what it was going to write, in the ledger."
        )
        yield Table("Writing to a Salesforce org", HEAD, rows, note)


def _row(org: Org, name: str, work: str) -> list[Cell]:
    _reset(org)
    figures = figures_of("bench.salesforce_work", work, org.instance_url, org.access_token, limit=WORK_S)
    polls, others = _calls(org)
    seconds, waited = float(figures["seconds"]), float(figures["waited"])
    return [
        name, int(figures["rows"]), seconds - waited, float(figures["cpu"]), waited, polls, others,
        round(figures["peak_mb"]),
    ]  # fmt: skip


def _foreign(org: Org, name: str) -> list[Cell]:
    _reset(org)
    figures = measure_foreign(name, org, FIELDS, FOREIGN_S)
    polls, others = _calls(org)
    said = name if figures["whole"] else f"{name}, stopped after {FOREIGN_S:.0f} s"
    return [said, figures["rows"], figures["seconds"], figures["cpu"], None, polls, others, round(figures["peak_mb"])]


# --- the org's side doors


def _delay(org: Org, latency_ms: int) -> None:
    """Every answer comes so much later, as with `--latency`."""
    rules = [{"do": {"delay_ms": latency_ms}}] if latency_ms else []
    requests.put(f"{org.instance_url}/__sandbox/faults", json=rules, timeout=60).raise_for_status()


def _reset(org: Org) -> None:
    requests.delete(f"{org.instance_url}/__sandbox/effects", timeout=60).raise_for_status()


def _calls(org: Org) -> tuple[int, int]:
    """(looks at jobs, other calls) since the last reset, by the org's own count."""
    answer = requests.get(f"{org.instance_url}/__sandbox/effects", timeout=60)
    answer.raise_for_status()
    calls = dict(answer.json()["by_endpoint"])
    polls = sum(calls.pop(name, 0) for name in POLLS)
    return polls, sum(calls.values())


def _records(org: Org, soql: str) -> list[str]:
    """The ids that a query finds, page by page."""
    ids: list[str] = []
    address = f"{API}/query?q={soql}"
    while address:
        answer = requests.get(f"{org.instance_url}{address}", headers=_headers(org), timeout=60)
        answer.raise_for_status()
        page: dict[str, Any] = answer.json()
        ids += [one["Id"] for one in page["records"]]
        address = page.get("nextRecordsUrl", "")
    return ids


def _edit(org: Org, count: int) -> None:
    """Other amounts on some opportunities, as people edit them."""
    ids = _records(org, f"SELECT Id FROM Opportunity WHERE IsClosed = false LIMIT {count}")
    for at in range(0, len(ids), 200):
        records = [
            {"attributes": {"type": "Opportunity"}, "id": one, "NextStep": f"call {time.time_ns()}"}
            for one in ids[at : at + 200]
        ]
        answer = requests.patch(
            f"{org.instance_url}{API}/composite/sobjects", json={"records": records}, headers=_headers(org), timeout=60
        )
        answer.raise_for_status()
        failed = [one for one in answer.json() if not one["success"]]
        if failed:
            raise RuntimeError(f"{len(failed)} edits failed: {failed[0]}")


def _pass_overlap(org: Org) -> None:
    """Let the org's clock pass the overlap: it moves on by a second with each edit."""
    (one,) = _records(org, "SELECT Id FROM Opportunity LIMIT 1")
    with requests.Session() as session:
        for second in range(Reading.overlap_s + 1):
            session.patch(
                f"{org.instance_url}{API}/sobjects/Opportunity/{one}", json={"NextStep": f"{second}"},
                headers=_headers(org), timeout=60,
            ).raise_for_status()  # fmt: skip


def _headers(org: Org) -> dict[str, str]:
    return {"Authorization": f"Bearer {org.access_token}"}


@contextmanager
def _accounts_file(org: Org, count: int) -> Iterator[None]:
    """The ids of the accounts that are written, in the file that ACCOUNTS names."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(_records(org, f"SELECT Id FROM Account WHERE Type = 'Partner' LIMIT {count}")))
        file.flush()
        os.environ["ACCOUNTS"] = file.name
        yield
