"""Reading opportunities from the sandbox org in bulk: ours beside simple-salesforce, each a process of its own.

python -m bench.salesforce READER ADDRESS TOKEN -> JSON: seconds, cpu, waited (s, within them), rows, peak_mb.
READER: ours | simple_salesforce
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from bench.base import AS_OF, Size
from bench.belt import CONFIG, company_folder
from bench.children import figures_of, high_water_mb, peak_mb
from bench.tables import Cell, Table
from crmsync.sandbox.process import start_org

SIZE = Size(2_000, 1_000_000, 2_000)
HEAD = ("reader", "rows", "s", "CPU s", "waiting s", "polls", "other calls", "peak MB")
LATENCIES_MS = (0, 150)
START_S = 1_200.0
READERS_S = 900.0
FIELDS = (
    "Id", "Name", "StageName", "Type", "IsClosed", "IsWon", "Amount", "CurrencyIsoCode", "AccountId", "Product_Line__c",
    "CreatedDate", "CloseDate", "Reseller__c", "Distributor__c",
)  # fmt: skip
"""What the shipped field map reads of an opportunity."""


def salesforce_tables(_sizes: Sequence[int] = (), size: Size = SIZE) -> Iterator[Table]:
    """Seconds, waits, calls and peak memory per reader and latency."""
    data = str(company_folder(size))
    for latency in LATENCIES_MS:
        rows: list[list[Cell]] = []
        with start_org(["--data", data, "--today", AS_OF.isoformat(), "--latency", str(latency)], START_S) as org:
            for reader in READERS:
                _effects(org.instance_url, "delete")
                given = (reader, org.instance_url, org.access_token)
                figures = figures_of("bench.salesforce", *given, limit=READERS_S)
                calls = _effects(org.instance_url, "get")
                polls = calls.pop("GET /jobs/query/{job}", 0)
                waited, read = float(figures["waited"]), int(figures["rows"])
                seconds, cpu = float(figures["seconds"]) - waited, float(figures["cpu"])
                rows.append([reader, read, seconds, cpu, waited, polls, sum(calls.values()), round(figures["peak_mb"])])
            org_mb = high_water_mb(org.process.pid)
        note = (
            f"{size.opportunities:,} opportunities over {latency} ms of latency, {len(FIELDS)} fields; ours are typed, "
            f"checked and written as Parquet, simple-salesforce's are rows of texts. Seconds without the waits between "
            f"polls. The org: {round(org_mb or 0):,} MB."
        )
        yield Table("Reading a Salesforce org", HEAD, rows, note)


def _effects(address: str, method: str) -> dict[str, int]:
    """Calls by endpoint since the last reset, by the org's own count; or the reset."""
    import requests

    answer = requests.request(method, f"{address}/__sandbox/effects", timeout=60)
    answer.raise_for_status()
    return dict(answer.json()["by_endpoint"]) if method == "get" else {}


def read_ours(address: str, token: str) -> tuple[int, float]:
    """(rows, seconds waited between looks at jobs) of an extract of the table `opportunities`."""
    os.environ |= {"CRMSYNC_SALESFORCE__INSTANCE_URL": address, "CRMSYNC_SALESFORCE__ACCESS_TOKEN": token}
    from crmsync.connectors.mapping import read_mapping
    from crmsync.connectors.retries import Retries
    from crmsync.connectors.salesforce.connector import SalesforceConnector
    from crmsync.settings import Settings
    from crmsync.snapshots import Staging

    waits: list[float] = []
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as folder:
        mapping = read_mapping(CONFIG / "connectors" / "salesforce.yaml")
        retries = Retries(sleep=_noted(waits))
        connector = SalesforceConnector(Settings().salesforce, mapping, Path(folder) / "state", "UTC", retries)
        staging = Staging(Path(folder) / "snapshot")
        report = connector.extract(["opportunities"], staging)
    return report.counts_after["opportunities"], sum(waits)


def read_simple_salesforce(address: str, token: str) -> tuple[int, float]:
    """(rows, seconds waited) of `bulk2.Opportunity.query`, every page read as CSV.

    The client only speaks https; an adapter takes its requests to the plain address, nothing else of it is changed.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from simple_salesforce import Salesforce, bulk2

    class Plain(HTTPAdapter):
        def send(self, request, *arguments, **named):  # type: ignore[no-untyped-def]
            request.url = request.url.replace("https://", "http://", 1)
            return super().send(request, *arguments, **named)

    waits: list[float] = []
    bulk2.sleep = _noted(waits)
    session = requests.Session()
    session.mount("https://127.0.0.1", Plain())
    with session:
        client = Salesforce(instance=address.removeprefix("http://"), session_id=token, session=session)
        pages = client.bulk2.Opportunity.query(f"SELECT {', '.join(FIELDS)} FROM Opportunity")
        read = sum(sum(1 for _ in csv.reader(io.StringIO(page, newline=""))) - 1 for page in pages)
    return read, sum(waits)


def _noted(waits: list[float]) -> Callable[[float], None]:
    """A sleep that keeps how long it really slept."""

    def sleep(seconds: float) -> None:
        started = time.perf_counter()
        time.sleep(seconds)
        waits.append(time.perf_counter() - started)

    return sleep


READERS: Mapping[str, Callable[[str, str], tuple[int, float]]] = MappingProxyType(
    {"ours": read_ours, "simple_salesforce": read_simple_salesforce}
)
IMPORTED = {"ours": "crmsync.connectors.salesforce.connector", "simple_salesforce": "simple_salesforce"}
"""Imported before the clock starts."""


def main(reader: str, address: str, token: str) -> None:
    """Read, and print the figures."""
    importlib.import_module(IMPORTED[reader])
    started, busy = time.perf_counter(), time.process_time()
    rows, waited = READERS[reader](address, token)
    seconds, cpu = time.perf_counter() - started, time.process_time() - busy
    print(json.dumps({"seconds": seconds, "cpu": cpu, "waited": waited, "rows": rows, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
