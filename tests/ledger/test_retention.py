"""How long payloads and snapshots are kept: what is open keeps everything, what is settled loses its content alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from sqlalchemy import select, text

from crmsync.ledger import tables as t
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.intents import Intent, Settled, record_intents, record_outcomes
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.sealed import Sealed, record_snapshot
from crmsync.retention import KEPT_RUNS, forget_old, forget_payloads, keep_longer
from crmsync.snapshots import Staging, TableFile, write_table
from crmsync.tables import ColumnType

LATER = datetime.now(UTC) + timedelta(days=91)


def intent(number: int) -> Intent:
    return Intent(
        f"i{number}", "r1", "d1", f"001{number}", f"P{number}", {"Tier": "Gold"}, {"Tier": "Silver"}, f"t{number}"
    )


def test_settled_payloads_go_after_ninety_days_and_open_ones_stay(ledger: Ledger) -> None:
    intents = [intent(number) for number in range(3)]
    record_intents(ledger, "d1", "r1", intents)
    record_outcomes(ledger, [Settled(intents[0], "applied"), Settled(intents[1], "parked", "LOCKED", "locked")])
    assert forget_payloads(ledger, LATER - timedelta(days=2)) == 0
    assert forget_payloads(ledger, LATER) == 1
    assert forget_payloads(ledger, LATER) == 0
    with ledger.reading() as connection:
        rows = {row.intent_id: row for row in connection.execute(select(t.intent))}
        events = connection.execute(select(t.audit.c.event)).scalars().all()
    assert (rows["i0"].wanted, rows["i0"].pre_image, rows["i0"].token) == ("{}", "{}", "t0")
    assert {rows[name].wanted for name in ("i1", "i2")} == {'{"Tier":"Gold"}'}
    assert events.count("payloads_removed") == 1
    assert not verify_chain(ledger).faults


def sealed(ledger: Ledger, state: Path, as_of: date) -> str:
    run_id = ledger.start_run("run")
    staging = Staging(state / "snapshots" / run_id)
    columns = {"partner_id": ColumnType.TEXT}
    rows = write_table(staging.path("partners"), pa.table({"partner_id": ["P1"]}), columns)
    staging.add(TableFile("partners", staging.path("partners"), rows, columns))
    snapshot = staging.seal()
    record_snapshot(ledger, Sealed(run_id, snapshot.digest, snapshot.folder, as_of, "full", ()))
    return run_id


def test_snapshots_of_review_dates_outlive_the_last_ten(ledger: Ledger) -> None:
    state = ledger.state_dir
    runs = [sealed(ledger, state, date(2026, 1, 1) + timedelta(days=day)) for day in range(KEPT_RUNS + 3)]
    keep_longer(ledger, runs[1])
    forget_old(ledger, state)
    assert {path.name for path in (state / "snapshots").iterdir()} == {runs[1], *runs[-KEPT_RUNS:]}
    with ledger.reading() as connection:
        removed = connection.execute(text("SELECT run_id FROM snapshot WHERE removed_at IS NOT NULL")).scalars().all()
    assert set(removed) == {runs[0], runs[2]}
