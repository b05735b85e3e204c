"""How long payloads and snapshots are kept: what is open keeps everything, what is settled loses its content alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from sqlalchemy import select, text

from crmsync.ledger import tables as t
from crmsync.ledger.approvals import PlanRow, record_plan, set_plan_state
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.intents import Intent, Settled, record_intents, record_outcomes
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.phases import record_checkpoint
from crmsync.ledger.sealed import Sealed, record_snapshot
from crmsync.retention import KEPT_RUNS, forget_old, forget_payloads, forget_plans, keep_longer
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


def planned(ledger: Ledger, digest: str, run_id: str, state: str, drafted: datetime) -> Path:
    path = ledger.state_dir / "plans" / f"{digest}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    at = drafted.isoformat(timespec="milliseconds")
    row = PlanRow(digest, run_id, path, date(2026, 1, 1), 1, 0, False, "drafted", at)
    record_plan(ledger, row, [])
    set_plan_state(ledger, digest, run_id, state)
    return path


def test_saved_plans_go_with_the_payloads_they_repeat_and_stay_while_somebody_needs_them(ledger: Ledger) -> None:
    old, new = datetime.now(UTC) - timedelta(days=91), datetime.now(UTC)
    review = sealed(ledger, ledger.state_dir, date(2026, 1, 1))
    kept = [
        planned(ledger, "aa11", "r1", "blocked", old),
        planned(ledger, "bb22", "r2", "applied", new),
        planned(ledger, "cc33", review, "applied", old),  # its run can still be computed again
    ]
    planned(ledger, "dd44", "r4", "applied", old)
    kept.append(planned(ledger, "dd44", "r5", "applied", new))  # drafted again since
    gone = [planned(ledger, "ee55", "r6", "applied", old), planned(ledger, "ff66", "r7", "superseded", old)]
    with ledger.writing() as connection:  # a newer draft supersedes those that wait
        connection.execute(text("UPDATE plan SET state = 'blocked' WHERE digest = 'aa11'"))
    assert forget_plans(ledger, ledger.state_dir, new) == len(gone)
    assert [path.exists() for path in (*kept, *gone)] == [True] * len(kept) + [False] * len(gone)


def test_what_runs_kept_to_be_gone_on_with_goes_but_for_the_newest(ledger: Ledger) -> None:
    runs = [ledger.start_run("run") for _ in range(3)]
    for run_id in runs:
        record_checkpoint(ledger, run_id, "extract", 1.0, {"rejected": [["partners.csv", 3, "name", "Ann", "odd"]]})
    forget_old(ledger, ledger.state_dir)
    with ledger.reading() as connection:
        left = connection.execute(text("SELECT run_id FROM run_phase WHERE checkpoint IS NOT NULL")).scalars().all()
    assert left == runs[-1:]
