"""One run as it goes: the stages of the belt in their order, each measured, each with its checkpoint."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from crmsync.belt import Belt, programs_of
from crmsync.checkpoints import NOTHING, Kept, keep_extract, keep_plan, keep_program, keep_standings
from crmsync.errors import Rejected
from crmsync.extract import Extracted, extract
from crmsync.lagging import lagged
from crmsync.ledger.accepted import Accepted, newest_standings, previous_standings
from crmsync.ledger.approvals import approval_of
from crmsync.ledger.ledger import RunFacts
from crmsync.levelling.standings import read_standings, write_standings
from crmsync.offline import only_program, record_rejected
from crmsync.past import written_example
from crmsync.people_edits import keep_edits, settle_edits, watch_of
from crmsync.previewing import preview_of
from crmsync.results import Assessed, Result
from crmsync.retention import forget_old, keep_longer
from crmsync.stages import StageClock
from crmsync.telling_opened import kept_snapshot
from crmsync.watching import rejections, review_since, watched
from crmsync.writeback.apply import (
    Outcomes,
    accept_plan,
    apply_plan,
    settle_open_intents,
    verify_plan,
    waiting_changes,
)
from crmsync.writeback.last_error import tell_last_errors
from crmsync.writeback.plan import FIRST, Drafting, Plan, draft_plan
from crmsync.writeback.planfile import save_plan
from crmsync.writeback.shadow import Comparison

if TYPE_CHECKING:
    from crmsync.telling import Teller, Told

log = structlog.get_logger()


class Run:
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
        from crmsync.levelling.assess import assess_programs  # who goes on with its standings never loads it

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
        path.parent.mkdir(exist_ok=True, mode=0o700)
        return path

    def _save_rejected(self, rejected: tuple[Rejected, ...]) -> Path | None:
        if not rejected:
            return None
        folder = self.belt.state / "rejected"
        folder.mkdir(exist_ok=True, mode=0o700)
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
                rejected=rejections(belt, assessed.rejected, accepted),
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
        belt.ledger.record_facts(self.run_id, RunFacts(plan_digest=drafted.digest))
        keep_plan(belt, self.run_id, self.clock.last, drafted)
        log.info("plan_drafted", digest=drafted.digest, changes=len(drafted.changes), movers=len(drafted.movers))
        return drafted

    def blocks(self, drafted: Plan) -> bool:
        """Whether a guard tripped and nobody approved this digest."""
        return drafted.blocked and approval_of(self.belt.ledger, drafted.digest) is None

    def apply(self, drafted: Plan) -> Outcomes:
        """Write the plan; one bad record never stops the others."""
        keep_edits(self.belt.ledger, drafted)
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
                    self.run_id, assessed.as_of, assessed.program, assessed.standings, snapshot,
                    drafted.unknown_partners,
                )  # fmt: skip

    def tell_blocked(self, drafted: Plan) -> None:
        """Tell that this plan waits for a person. Edits by hand that it found are known from now on, too; a plan alone,
        which may be of any day, notes none."""
        keep_edits(self.belt.ledger, drafted)
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
