"""A run in the ledger, from its start to its end, however it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

import structlog

from crmsync.belt import Belt, Calls
from crmsync.checkpoints import NOTHING, taken_up
from crmsync.errors import CrmsyncError, Deferred
from crmsync.exits import INTERRUPTED, TERMINATED
from crmsync.ledger.backups import back_up
from crmsync.ledger.chain import anchor
from crmsync.ledger.phases import forget_checkpoints
from crmsync.logs import bind_run
from crmsync.metrics import export_metrics
from crmsync.results import Result
from crmsync.run_records import leave_run_record
from crmsync.run_steps import Run
from crmsync.telling_opened import opened_teller, tell_failed

if TYPE_CHECKING:
    pass

log = structlog.get_logger()

TELLING = frozenset({"run", "apply"})
LEDGER_STATES: Mapping[str, str] = {"partial": "partial", "blocked": "blocked"}


@contextlib.contextmanager
def recorded(belt: Belt, kind: str, as_of: date | None = None) -> Iterator[Run]:
    """A run that is in the ledger from its start to its end, however it ends; a killed one of that day is taken up."""
    kept = taken_up(belt, kind, as_of) if as_of is not None else NOTHING
    this = Run(belt, kept.run_id or belt.ledger.start_run(kind), kept)
    bind_run(this.run_id)
    exit_code = 1
    try:
        this.teller = opened_teller(belt) if kind in TELLING else None
        yield this
    except CrmsyncError as error:
        exit_code = error.exit_code
        tell_failed(this.teller, this.run_id, error, exit_code)
        raise
    except KeyboardInterrupt:
        exit_code = INTERRUPTED
        raise
    except SystemExit:
        exit_code = TERMINATED
        raise
    except Exception as error:
        tell_failed(this.teller, this.run_id, error, exit_code)
        raise
    finally:
        _record_end(this, exit_code)
        export_metrics(belt.settings.metrics_file, belt.ledger)


def _record_end(this: Run, exit_code: int) -> None:
    ledger, result = this.belt.ledger, this.result
    for figures in this.clock.figures:
        ledger.record_phase(this.run_id, figures.stage, figures.seconds)
    if this.told_end is not None:
        ledger.end_run(this.run_id, *this.told_end)
        return
    if result is None:
        ledger.end_run(this.run_id, exit_code, "deferred" if exit_code == Deferred.exit_code else "failed")
        return
    forget_checkpoints(ledger, this.run_id)
    _record_calls(this, result.calls)
    ledger.end_run(this.run_id, result.exit_code, LEDGER_STATES.get(result.state, "done"), _stats(result))
    if result.outcomes is not None and result.outcomes.written and result.plan is not None:
        changes, movers = len(result.plan.changes), len(result.plan.movers)
        leave_run_record(this.belt, this.run_id, result.assessed.as_of, result.state, changes, movers)
    told = anchor(ledger, "log")
    log.info("run_recorded", anchor=str(told))  # who keeps the log can prove that the ledger was not written anew
    back_up(ledger, this.run_id)


def _record_calls(this: Run, calls: Calls) -> None:
    used, limit = calls.allowance or (None, None)
    this.belt.ledger.record_api_usage(this.run_id, "read", calls.read, used, limit)
    this.belt.ledger.record_api_usage(this.run_id, "write", calls.write, used, limit)


def _stats(result: Result) -> dict[str, object]:
    outcomes = result.outcomes
    return {
        "state": result.state,
        "changes": len(result.plan.changes) if result.plan else 0,
        "movers": len(result.plan.movers) if result.plan else 0,
        "applied": outcomes.applied if outcomes else 0,
        "parked": outcomes.parked if outcomes else 0,
        "conflicts": outcomes.conflicts if outcomes else 0,
        "rejected": len(result.assessed.rejected),
        "peak_mb": max((figures.peak_mb for figures in result.stages), default=0.0),
    }
