"""What verifying the audit takes: a chain of a million events, as a ledger has them after years."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import insert

from bench.tables import Cell, Table
from crmsync.ledger import tables as t
from crmsync.ledger.audit import FIRST, hash_of
from crmsync.ledger.canon import canonical, instant
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.ledger import Ledger

EVENTS = 1_000_000
AT_ONCE = 50_000
KIND = "record_parked"  # the usual mass of events; those of whole batches are few, and compared with their rows


def audit_tables(_sizes: Sequence[int]) -> Iterator[Table]:
    """Seconds of verifying a chain."""
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder)) as ledger:
        _fill(ledger)
        size = (Path(folder) / "ledger.sqlite").stat().st_size
        started, used = time.perf_counter(), time.process_time()
        found = verify_chain(ledger)
        seconds, cpu = time.perf_counter() - started, time.process_time() - used
    assert found.events == EVENTS, found
    assert not found.faults, found
    row: list[Cell] = [f"{EVENTS:,}", round(size / 1e6), seconds, cpu]
    note = (
        "`crmsync audit verify --runs 0`: chain, triggers, anchors, and the tables that the audit tells of. Aim: 5 s."
    )
    yield Table("Audit", ("events", "MB on disk", "seconds", "CPU seconds"), [row], note)


def _fill(ledger: Ledger) -> None:
    previous, now = FIRST, instant()
    for start in range(1, EVENTS, AT_ONCE):
        rows = []
        for number in range(start, start + AT_ONCE):
            plan = hashlib.sha256(str(number).encode()).hexdigest()
            content = canonical({"run": "20261122-103510-905a", "plan": plan, "code": "LOCKED", "object": "Account"})
            chained = hash_of(previous, number, now, "worker", KIND, content)
            rows.append(
                {"sequence": number, "at": now, "actor": "worker", "event": KIND, "content": content,
                 "previous_hash": previous, "hash": chained}
            )  # fmt: skip
            previous = chained
        with ledger.writing() as connection:
            connection.execute(insert(t.audit), rows)
