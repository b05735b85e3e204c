"""The spine. A run goes one way: extract → assess → draft → (guards) → apply → record → tell.

`plan` stops before apply and leaves a saved plan; `apply` takes such a plan; `run` does both when no guard trips.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import structlog

from crmsync.adopting import Adopted, adopt_records, check_known, check_plan_known, standings_of_crm
from crmsync.belt import Belt, Calls, opened, program_of, programs_of
from crmsync.checkpoints import NOTHING, Kept, keep_extract, keep_plan, keep_program, keep_standings, taken_up
from crmsync.errors import CrmsyncError, Deferred, Rejected
from crmsync.exits import BLOCKED, DONE, INTERRUPTED, PARKED, PLAN_WAITS, TERMINATED
from crmsync.extract import Extracted, extract
from crmsync.lagging import lagged
from crmsync.ledger.accepted import Accepted, accept_standings, newest_standings, previous_standings
from crmsync.ledger.approvals import approval_of
from crmsync.ledger.backups import back_up
from crmsync.ledger.chain import anchor
from crmsync.ledger.ledger import RunFacts
from crmsync.ledger.phases import forget_checkpoints
from crmsync.levelling.assess import assess_programs
from crmsync.levelling.standings import read_standings, write_standings
from crmsync.logs import bind_run
from crmsync.metrics import export_metrics
from crmsync.offline import only_program, record_rejected
from crmsync.past import written_example
from crmsync.people_edits import keep_edits, settle_edits, watch_of
from crmsync.plan_records import carried_out, lay_before, rule
from crmsync.previewing import preview_of
from crmsync.programs.program import Program
from crmsync.retention import forget_old, keep_longer
from crmsync.reverting import Reverted, draft_revert, note_reverted
from crmsync.run_records import leave_run_record
from crmsync.stages import StageClock, StageFigures
from crmsync.telling_opened import kept_snapshot, opened_teller, tell_failed
from crmsync.watching import rejections, review_since, watched
from crmsync.writeback.apply import (
    Outcomes,
    accept_plan,
    apply_plan,
    check_open,
    settle_open_intents,
    tier_steps,
    verify_plan,
    waiting_changes,
)
from crmsync.writeback.inputs import table_rows
from crmsync.writeback.last_error import tell_last_errors
from crmsync.writeback.plan import FIRST, Drafting, Plan, draft_plan
from crmsync.writeback.planfile import load_plan, save_plan
from crmsync.writeback.shadow import Comparison, compare, save_comparison

if TYPE_CHECKING:
    from crmsync.telling import Teller, Told

__all__ = ["Assessed", "Result", "apply", "opened", "plan", "run"]

log = structlog.get_logger()


@dataclass(frozen=True)
class Assessed:
    """The standings of one day and what is worth knowing about the rows they came from."""

    as_of: date
    program: Program
    standings: pa.Table
    rejected: tuple[Rejected, ...] = ()
    rejected_file: Path | None = None
    direct: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a command did. `state`: applied, unchanged, partial, planned, blocked, compared."""

    run_id: str
    state: str
    assessed: Assessed
    stages: tuple[StageFigures, ...]
    calls: Calls
    plan: Plan | None = None
    outcomes: Outcomes | None = None
    comparison: Comparison | None = None
    comparison_file: Path | None = None
    config: Path | None = None  # the configuration folder that was asked for
    settled: int = 0  # writes of an interrupted run whose outcome was read back first
    example: tuple[str, str] | None = None  # a partner whose account was written, and the run that did it
    told: Told | None = None  # None where notices are off
    decided: str = ""  # what sales operations decided in the CRM on the plan before, and what became of it
    laid: str = ""  # where a blocked plan waits in the CRM

    @property
    def exit_code(self) -> int:
        """The exit code of the command, as the commands page lists them."""
        if self.state == "blocked":
            return BLOCKED
        if self.state == "compared":
            return DONE
        if self.state == "planned" and self.plan and self.plan.writes:
            return PLAN_WAITS
        return PARKED if self.assessed.rejected or self.state == "partial" or self.waits else DONE

    @property
    def waits(self) -> bool:
        """Whether a field that somebody edited by hand was left alone for now."""
        return self.plan is not None and any(edit.outcome == "waits" for edit in self.plan.hand_edits)


def run(belt: Belt, as_of: date | None = None) -> Result:
    """The whole belt, unless a guard blocks the plan and nobody has approved its digest."""
    decided = carried_out(belt, rule(belt), lambda digest: apply(belt, digest))
    with _recorded(belt, "run", as_of or belt.today) as this:
        this.decided = decided
        this.settle()
        extracted, previous = this.extract(as_of or belt.today)
        check_known(belt, extracted.snapshot)
        assessed = this.hold_falls(this.assess(extracted, previous))
        drafted = this.draft(assessed, extracted)
        if this.blocks(drafted):
            this.laid = lay_before(belt, drafted)
            this.tell_blocked(drafted)
            return this.ended("blocked", assessed, plan=drafted)
        outcomes = this.apply(drafted)
        this.record(drafted, assessed)
        this.tell(drafted, assessed)
        return this.ended(_written(outcomes), assessed, plan=drafted, outcomes=outcomes)


def plan(belt: Belt, as_of: date | None = None, out: Path | None = None) -> Result:
    """The belt up to the saved plan; nothing is written to the CRM."""
    with _recorded(belt, "plan", as_of or belt.today) as this:
        this.settle()
        extracted, previous = this.extract(as_of or belt.today)
        assessed = this.hold_falls(this.assess(extracted, previous))
        drafted = this.draft(assessed, extracted, out)
        return this.ended("blocked" if this.blocks(drafted) else "planned", assessed, plan=drafted)


def shadow(belt: Belt, as_of: date | None = None, out: Path | None = None) -> Result:
    """The belt up to the standings, compared with the tiers people keep by hand; nothing is written to the CRM."""
    with _recorded(belt, "shadow") as this:
        extracted, previous = this.extract(as_of or belt.today)
        assessed = this.assess(extracted, previous)
        comparison = compare(assessed.program, extracted.snapshot, assessed.standings)
        path = out or belt.state / "shadow" / f"{this.run_id}.csv"
        save_comparison(comparison, path)
        return this.ended("compared", assessed, comparison=comparison, comparison_file=path)


def apply(belt: Belt, wanted: str) -> Result:
    """Write exactly a saved plan. Errors: UnsafePlan while it is blocked, Conflict when it no longer fits."""
    saved = load_plan(wanted, belt.state)
    program = program_of(belt.configuration, as_of=saved.as_of)
    if saved.blocked and approval_of(belt.ledger, saved.digest) is None:
        rule(belt, saved.digest)
    check_open(saved, belt.ledger, program_digest=program.digest, config_digest=belt.config_digest)
    check_plan_known(belt, saved)
    with _recorded(belt, "apply") as this:
        assessed = Assessed(saved.as_of, program, read_standings(Path(saved.standings)))
        this.settle()
        outcomes = this.apply(saved)
        this.record(saved, assessed)
        note_reverted(belt, this.run_id, saved)
        this.tell(saved, assessed)
        return this.ended(_written(outcomes), assessed, plan=saved, outcomes=outcomes)


def revert(belt: Belt, wanted: str) -> Reverted:
    """The saved plan that undoes a run; nothing is written to the CRM."""
    with _recorded(belt, "revert") as this:
        this.settle()
        drafted = draft_revert(belt, this.run_id, wanted)
        state = "blocked" if this.blocks(drafted.plan) else "planned"
        this.told_end = (drafted.exit_code, "blocked" if state == "blocked" else "done", {"state": state, "of": wanted})
        return drafted


def adopt(belt: Belt) -> Adopted:
    """Take what stands in the org as last written by this ledger, and its tiers as those that movement starts from."""
    with _recorded(belt, "adopt") as this:
        as_of = belt.today - timedelta(days=1)
        extracted, previous = this.extract(as_of if newest_standings(belt.ledger) is None else belt.today)
        accounts, unknown, fields = adopt_records(belt, this.run_id, extracted.snapshot)
        tiers = None
        if newest_standings(belt.ledger) is None:
            assessed = this.assess(extracted, previous)
            held = standings_of_crm(belt.fields, assessed.program, extracted.snapshot, assessed.standings)
            write_standings(held, this.standings_path)
            rows = table_rows(extracted.snapshot)
            accept_standings(
                belt.ledger, this.run_id, as_of, this.standings_path, table_rows=rows, steps=tier_steps(held)
            )  # fmt: skip
            tiers = held.num_rows
        this.told_end = (DONE, "done", {"state": "adopted", "accounts": accounts, "unknown": unknown, "tiers": tiers})
        return Adopted(this.run_id, accounts, unknown, fields, tiers, as_of if tiers is not None else None)


def _written(outcomes: Outcomes) -> str:
    if not outcomes.clean:
        return "partial"
    return "applied" if outcomes.written else "unchanged"


class _Run:
    """One run as it goes: its id, what it has measured so far, and its steps in the order of the belt."""

    def __init__(self, belt: Belt, run_id: str, kept: Kept = NOTHING) -> None:
        self.belt = belt
        self.run_id = run_id
        self.kept = kept  # of this run, by a process that was killed
        self.clock = StageClock()
        self.result: Result | None = None
        self.told_end: tuple[int, str, dict[str, object]] | None = None  # exit code, state, figures
        self.settled = 0
        self.teller: Teller | None = None
        self.told: Told | None = None
        self.decided = self.laid = ""
        self.held: frozenset[str] = frozenset()  # partners whose fall waits for a second snapshot

    def settle(self) -> None:
        """Find out what became of writes whose outcome an earlier run never saw."""
        with self.clock.stage("settle"):
            self.settled = settle_open_intents(self.belt.ledger, self.belt.target)
        if self.settled:
            log.info("open_writes_settled", records=self.settled)

    def extract(self, as_of: date) -> tuple[Extracted, Accepted | None]:
        """A sealed snapshot, and the standings that movement starts from."""
        belt = self.belt
        belt.ledger.record_facts(self.run_id, RunFacts(as_of, config_digest=belt.config_digest))
        previous = previous_standings(belt.ledger, as_of)
        if self.kept.extracted is not None:
            return self.kept.extracted, previous
        with self.clock.stage("extract"):
            extracted = extract(belt, belt.state / "snapshots" / self.run_id, as_of)
        belt.ledger.record_facts(self.run_id, RunFacts(snapshot_digest=extracted.snapshot.digest))
        keep_extract(belt, self.run_id, self.clock.last, extracted)
        return extracted, previous

    def assess(self, extracted: Extracted, previous: Accepted | None) -> Assessed:
        """The standings, saved in the state folder."""
        belt, snapshot = self.belt, extracted.snapshot
        if self.teller is not None:
            self.teller.ready(snapshot)
        columns = {name: table.columns for name, table in snapshot.tables.items()}
        programs = programs_of(belt.configuration, columns)
        program = only_program(belt.configuration.program, programs, extracted.as_of)
        keep_program(belt, self.run_id, program)
        if (kept := self.kept.standings) is not None:
            where = self._save_rejected(kept.rejected)
            return Assessed(extracted.as_of, program, kept.table, kept.rejected, where, extracted.direct, kept.notes)
        belt.progress("assess", 0, None)
        with self.clock.stage("assess"):
            all_found = assess_programs(programs, snapshot, extracted.as_of, previous.path if previous else None)
            found = all_found[list(dict.fromkeys(one.key for one in programs)).index(program.key)]
            write_standings(found.standings, self.standings_path)
        belt.progress("assess", found.standings.num_rows, found.standings.num_rows)
        rejected, notes = (*extracted.rejected, *found.rejected), (*extracted.notes, *found.notes)
        keep_standings(belt, self.run_id, self.clock.last, self.standings_path, rejected, notes)
        return Assessed(
            extracted.as_of, program, found.standings, rejected, self._save_rejected(rejected), extracted.direct, notes
        )

    def hold_falls(self, assessed: Assessed) -> Assessed:
        """Where it is wanted, who falls for the first time stays as it was until the next run says the same."""
        standings, self.held = lagged(
            self.belt, assessed.program, self.standings_path, newest_standings(self.belt.ledger)
        )
        if standings is None:
            return assessed
        write_standings(standings, self.standings_path)
        return replace(assessed, standings=standings)

    @property
    def standings_path(self) -> Path:
        """Where the standings of this run stand."""
        path = self.belt.state / "standings" / f"{self.run_id}.parquet"
        path.parent.mkdir(exist_ok=True)
        return path

    def _save_rejected(self, rejected: tuple[Rejected, ...]) -> Path | None:
        if not rejected:
            return None
        folder = self.belt.state / "rejected"
        folder.mkdir(exist_ok=True)
        return record_rejected(folder / self.run_id, rejected)

    def draft(self, assessed: Assessed, extracted: Extracted, out: Path | None = None) -> Plan:
        """The plan that brings the accounts to the standings, saved under its digest.

        Who moves, and what the guards count, is told against the newest accepted standings. On a day that is assessed
        again those are the day's own, so that an approved change does not ask for approval twice.
        """
        belt = self.belt
        if self.kept.plan is not None and out is None:
            return self.kept.plan
        accepted = newest_standings(belt.ledger)
        counted_from = accepted.run_id if accepted else FIRST
        with self.clock.stage("draft"):
            drafting = Drafting(
                config_digest=belt.config_digest,
                standings_path=str(self.standings_path.resolve()),
                previous=read_standings(accepted.path) if accepted else None,
                snapshots=watched(belt, assessed.program, extracted.snapshot, self.run_id, assessed.as_of, accepted),
                preview=preview_of(
                    belt, assessed.program, assessed.standings, extracted.snapshot, assessed.as_of, accepted
                ),
                review=review_since(assessed.program, accepted, assessed.as_of),
                rejected=rejections(belt, len(assessed.rejected), accepted),
                held=self.held,
                limits=belt.configuration.guards,
                counted_from=counted_from,
                waiting=waiting_changes(belt.ledger, belt.fields, counted_from),
                watch=watch_of(belt.ledger, belt.configuration.conflicts),
            )
            drafted = draft_plan(
                assessed.program,
                assessed.standings,
                extracted.snapshot,
                belt.fields,
                self.run_id,
                assessed.as_of,
                drafting,
            )
            save_plan(drafted, belt.ledger, out)
            keep_edits(belt.ledger, drafted)
        belt.ledger.record_facts(self.run_id, RunFacts(plan_digest=drafted.digest))
        keep_plan(belt, self.run_id, self.clock.last, drafted)
        log.info("plan_drafted", digest=drafted.digest, changes=len(drafted.changes), movers=len(drafted.movers))
        return drafted

    def blocks(self, drafted: Plan) -> bool:
        """Whether a guard tripped and nobody approved this digest."""
        return drafted.blocked and approval_of(self.belt.ledger, drafted.digest) is None

    def apply(self, drafted: Plan) -> Outcomes:
        """Write the plan; one bad record never stops the others."""
        with self.clock.stage("apply"):
            limits = self.belt.configuration.writing
            outcomes = apply_plan(drafted, self.belt.target, self.belt.ledger, self.belt.progress, limits=limits)
        with self.clock.stage("verify"):
            outcomes = verify_plan(drafted, self.belt.target, self.belt.ledger, outcomes)
            tell_last_errors(drafted, self.belt.target, self.belt.ledger)
        log.info("plan_applied", applied=outcomes.applied, parked=outcomes.parked, conflicts=outcomes.conflicts)
        return outcomes

    def record(self, drafted: Plan, assessed: Assessed) -> None:
        """Make these standings the ones that later runs start from, and let go of what is no longer needed."""
        newest = newest_standings(self.belt.ledger)
        with self.clock.stage("record"):
            if newest is None or newest.run_id != self.run_id:  # else a killed process had come that far
                accept_plan(drafted, self.belt.ledger, assessed.standings, self.run_id)
            if review_since(assessed.program, newest, assessed.as_of) is not None:
                keep_longer(self.belt.ledger, drafted.run_id)
            settle_edits(self.belt.ledger, drafted, told=self.teller is None)
            forget_old(self.belt.ledger, self.belt.state)

    def tell(self, drafted: Plan, assessed: Assessed) -> None:
        """Tell people what has changed and what is about to end, where notices are on."""
        if self.teller is not None:
            snapshot = kept_snapshot(self.belt.state, drafted.run_id)
            with self.clock.stage("tell"):
                self.told = self.teller.tell(
                    self.run_id, assessed.as_of, assessed.program, assessed.standings, snapshot
                )  # fmt: skip

    def tell_blocked(self, drafted: Plan) -> None:
        """Tell that this plan waits for a person."""
        if self.teller is not None:
            self.told = self.teller.tell_blocked(self.run_id, drafted)

    def ended(
        self,
        state: str,
        assessed: Assessed,
        plan: Plan | None = None,
        outcomes: Outcomes | None = None,
        comparison: Comparison | None = None,
        comparison_file: Path | None = None,
    ) -> Result:
        """The result, also kept for the ledger."""
        self.result = Result(
            self.run_id, state, assessed, tuple(self.clock.figures), self.belt.calls(), plan, outcomes, comparison,
            comparison_file, self.belt.settings.config_dir, self.settled, written_example(self.belt.ledger),
            self.told, self.decided, self.laid,
        )  # fmt: skip
        return self.result


@contextlib.contextmanager
def _recorded(belt: Belt, kind: str, as_of: date | None = None) -> Iterator[_Run]:
    """A run that is in the ledger from its start to its end, however it ends; a killed one of that day is taken up."""
    kept = taken_up(belt, kind, as_of) if as_of is not None else NOTHING
    this = _Run(belt, kept.run_id or belt.ledger.start_run(kind), kept)
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


TELLING = frozenset({"run", "apply"})
LEDGER_STATES: Mapping[str, str] = {"partial": "partial", "blocked": "blocked"}


def _record_end(this: _Run, exit_code: int) -> None:
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


def _record_calls(this: _Run, calls: Calls) -> None:
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
