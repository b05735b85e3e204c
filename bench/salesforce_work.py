"""One piece of work with a Salesforce org as a process of its own: ours, or the same by simple-salesforce.

python -m bench.salesforce_work WORK ADDRESS TOKEN -> JSON: seconds, cpu, waited (s, within the seconds), rows, peak_mb.
Waited: sleeping between looks at a job, and looking at it; the org is at work then, not the client.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import requests

from bench.children import peak_mb  # nothing else of ours: the memory of the others is theirs alone

if TYPE_CHECKING:
    from crmsync.connectors.salesforce.connector import SalesforceConnector

CONFIG = Path(__file__).parent.parent / "config"
AS_OF = date(2026, 6, 30)  # the day of the org
FIELDS = (
    "Id", "Name", "StageName", "Type", "IsClosed", "IsWon", "Amount", "CurrencyIsoCode", "AccountId", "Product_Line__c",
    "CreatedDate", "CloseDate", "Reseller__c", "Distributor__c",
)  # fmt: skip
"""What the shipped field map reads of an opportunity."""

WRITTEN = ("Partner_Tier__c", "Tier_Progress__c", "Tier_Risk__c", "Tier_Changed_On__c", "Tier_Explanation__c")
TOKEN = "Partner_Write_Token__c"
TIERS = ("Registered", "Silver", "Gold", "Platinum")
WORDS = "Won 4 of 6 deals in reach of Gold; 12,500.00 EUR are missing until 31 December"
_LOOK = re.compile(r"/jobs/(query|ingest)/[A-Za-z0-9]+/?$")


class Waits:
    """How long the process slept, or looked at a job."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sleep(self, seconds: float) -> None:
        """Sleep, and keep how long it really was."""
        with self.counted():
            time.sleep(seconds)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """What is done in the block is waiting."""
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started

    def count_looks(self) -> None:
        """Every look at a job is waiting from now on, whoever makes it."""
        send = requests.Session.send

        def counting(session: requests.Session, request: requests.PreparedRequest, **named: Any) -> requests.Response:
            if request.method != "GET" or not _LOOK.search((request.url or "").partition("?")[0]):
                return send(session, request, **named)
            with self.counted():
                return send(session, request, **named)

        requests.Session.send = counting  # type: ignore[method-assign,assignment]


Work = Callable[[str, str, Waits], int]


# --- ours


def _connector(address: str, token: str, folder: Path, waits: Waits) -> SalesforceConnector:
    os.environ |= {"CRMSYNC_SALESFORCE__INSTANCE_URL": address, "CRMSYNC_SALESFORCE__ACCESS_TOKEN": token}
    from crmsync.connectors.mapping import read_mapping
    from crmsync.connectors.retries import Retries
    from crmsync.connectors.salesforce.connector import SalesforceConnector
    from crmsync.settings import Settings

    mapping = read_mapping(CONFIG / "connectors" / "salesforce.yaml")
    return SalesforceConnector(Settings().salesforce, mapping, folder / "state", "UTC", Retries(sleep=waits.sleep))


def read_ours(address: str, token: str, waits: Waits) -> int:
    """An extract of the table `opportunities`: held records and the typed table."""
    from crmsync.snapshots import Staging

    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as folder:
        connector = _connector(address, token, Path(folder), waits)
        report = connector.extract(["opportunities"], Staging(Path(folder) / "snapshot"))
    return report.counts_after["opportunities"]


def read_tables(address: str, token: str, waits: Waits) -> int:
    """All tables of the field map into the folder SNAPSHOTS, building on what the last read left there."""
    from crmsync.configuration import Reading
    from crmsync.snapshots import MANIFEST, Staging, open_snapshot
    from crmsync.writeback.plan import CURRENT_VALUES

    folder = Path(os.environ["SNAPSHOTS"])
    sealed = sorted(folder.glob(f"*/{MANIFEST}"))
    since = open_snapshot(sealed[-1].parent) if sealed else None
    connector = _connector(address, token, folder, waits)
    staging = Staging(folder / f"read-{len(sealed)}", since, Reading.overlap_s)
    report = connector.extract([*connector.mapping.tables, CURRENT_VALUES], staging)
    staging.seal()
    return sum(report.rows.values())


def write_ours(address: str, token: str, waits: Waits) -> int:
    """A plan of changes through the outbox: ledger, jobs, outcomes of every record."""
    from crmsync.ledger.ledger import Ledger
    from crmsync.writeback.apply import apply_plan
    from crmsync.writeback.changes import Change
    from crmsync.writeback.fields import FieldMap
    from crmsync.writeback.plan import Basis, Plan, sealed

    changes = tuple(
        Change(one["Id"], one["Id"], {name: one[name] for name in WRITTEN}, {}, "measured") for one in _wanted()
    )
    basis = Basis("bench", "p" * 64, "c" * 64, "s" * 64, "d" * 64, {"partners": len(changes)})
    fields = FieldMap("Account", {f"field_{place}": name for place, name in enumerate(WRITTEN)}, TOKEN)
    run = f"bench-{time.time_ns()}"
    plan = sealed(Plan("", run, "", AS_OF, basis, fields, len(changes), changes, (), ()))
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as folder, Ledger.open(Path(folder)) as ledger:
        connector = _connector(address, token, Path(folder), waits)
        done = apply_plan(plan, connector, ledger, pause=waits.sleep)
    if not done.clean:
        raise RuntimeError(f"{done.parked} parked, {done.conflicts} conflicts: {done.problems[:3]}")
    return done.applied


# --- simple-salesforce


@contextmanager
def _bulk2(address: str, token: str, waits: Waits) -> Iterator[Any]:
    """Its bulk2 handler. It only speaks https; an adapter takes its requests to the plain address, no more."""
    from requests.adapters import HTTPAdapter
    from simple_salesforce import bulk2
    from simple_salesforce.api import Salesforce

    class Plain(HTTPAdapter):
        def send(self, request, *arguments, **named):  # type: ignore[no-untyped-def]
            request.url = request.url.replace("https://", "http://", 1)
            return super().send(request, *arguments, **named)

    vars(bulk2)["sleep"] = waits.sleep
    session = requests.Session()
    session.mount("https://127.0.0.1", Plain())
    with session:
        client: Any = Salesforce(instance=address.removeprefix("http://"), session_id=token, session=session)
        yield client.bulk2


def _pages(bulk2: Any) -> Iterator[Iterator[list[str]]]:
    for page in bulk2.Opportunity.query(f"SELECT {', '.join(FIELDS)} FROM Opportunity"):
        rows = csv.reader(io.StringIO(page, newline=""))
        next(rows)
        yield rows


def read_texts(address: str, token: str, waits: Waits) -> int:
    """`bulk2.Opportunity.query`, every page cut into rows of texts, which are thrown away."""
    with _bulk2(address, token, waits) as bulk2:
        return sum(sum(1 for _ in rows) for rows in _pages(bulk2))


def read_typed(address: str, token: str, waits: Waits) -> int:
    """The same, with the cells typed as ours are: amounts, dates, yes and no; the rows are thrown away."""
    typed = [_TYPES.get(name) for name in FIELDS]
    with _bulk2(address, token, waits) as bulk2:
        return sum(
            sum(1 for row in rows if [_cell(cell, kind) for cell, kind in zip(row, typed, strict=True)])
            for rows in _pages(bulk2)
        )


def _cell(cell: str, kind: Callable[[str], Any] | None) -> Any:
    if cell == "":
        return None
    return cell if kind is None else kind(cell)


_TYPES: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {
        "IsClosed": "true".__eq__,
        "IsWon": "true".__eq__,
        "Amount": Decimal,
        "CreatedDate": datetime.fromisoformat,
        "CloseDate": date.fromisoformat,
    }
)


def write_simple(address: str, token: str, waits: Waits) -> int:
    """`bulk2.Account.update` of the same columns, and the outcomes of all records, as whoever must know them asks."""
    with _bulk2(address, token, waits) as bulk2:
        jobs = bulk2.Account.update(records=[{**one, TOKEN: "t" * 32} for one in _wanted()])
        done = 0
        for job in jobs:
            if job["numberRecordsFailed"]:
                raise RuntimeError(str(job))
            done += bulk2.Account.get_successful_records(job["job_id"]).count("\n") - 1
    return done


def _wanted() -> list[dict[str, str]]:
    """What the accounts are to hold, other values each time. The ids come in the variable ACCOUNTS, a file."""
    ids = Path(os.environ["ACCOUNTS"]).read_text(encoding="ascii").split()
    turn = time.time_ns() // 10**9
    return [
        {
            "Id": one,
            "Partner_Tier__c": TIERS[(place + turn) % len(TIERS)],
            "Tier_Progress__c": f"{(place * 7 + turn) % 100}",
            "Tier_Risk__c": ("none", "high")[(place + turn) % 2],
            "Tier_Changed_On__c": AS_OF.isoformat(),
            "Tier_Explanation__c": f"{WORDS} ({turn}-{place})",
        }
        for place, one in enumerate(ids)
    ]


WORKS: Mapping[str, Work] = MappingProxyType(
    {
        "read ours": read_ours, "tables ours": read_tables, "read texts": read_texts, "read typed": read_typed,
        "write ours": write_ours, "write simple": write_simple,
    }
)  # fmt: skip
IMPORTED: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "read ours": ("crmsync.connectors.salesforce.connector",),
        "tables ours": ("crmsync.connectors.salesforce.connector", "crmsync.configuration"),
        "write ours": ("crmsync.connectors.salesforce.connector", "crmsync.writeback.apply"),
    }
)
"""Imported before the clock starts."""


class _NoPandas:
    """pyarrow imports pandas where it is installed, as it is beside the tests; crmsync itself comes without it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        del path, target
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)
        return None


def main(work: str, address: str, token: str) -> None:
    """Do it, and print the figures."""
    sys.meta_path.insert(0, _NoPandas)
    for module in IMPORTED.get(work, ("simple_salesforce.api",)):
        importlib.import_module(module)
    waits = Waits()
    waits.count_looks()
    started, busy = time.perf_counter(), time.process_time()
    rows = WORKS[work](address, token, waits)
    seconds, cpu = time.perf_counter() - started, time.process_time() - busy
    figures = {"seconds": seconds, "cpu": cpu, "waited": waits.seconds, "rows": rows, "peak_mb": peak_mb()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
