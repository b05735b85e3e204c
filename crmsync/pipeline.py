"""The spine. A run goes one way: extract → assess → draft → (guards) → apply → record → tell.

`plan` stops before apply and leaves a saved plan; `apply` takes such a plan; `run` does both when no guard trips.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from crmsync.adopting import Adopted, adopt_records, check_known, check_plan_known, standings_of_crm
from crmsync.belt import Belt, opened, program_of
from crmsync.exits import DONE
from crmsync.ledger.accepted import accept_standings, newest_standings
from crmsync.ledger.approvals import approval_of
from crmsync.ledger.ledger import RunFacts
from crmsync.levelling.standings import read_standings, write_standings
from crmsync.plan_records import carried_out, lay_before, rule
from crmsync.recording import recorded
from crmsync.results import Assessed, Result
from crmsync.reverting import Reverted, draft_revert, note_reverted
from crmsync.room import check_room
from crmsync.writeback.apply import Outcomes, check_open, tier_steps
from crmsync.writeback.inputs import table_rows
from crmsync.writeback.planfile import load_plan
from crmsync.writeback.shadow import compare, save_comparison

__all__ = ["adopt", "apply", "opened", "plan", "revert", "run", "shadow"]


def run(belt: Belt, as_of: date | None = None) -> Result:
    """The whole belt, unless a guard blocks the plan and nobody has approved its digest."""
    decided = carried_out(belt, rule(belt), lambda digest: apply(belt, digest))
    with recorded(belt, "run", as_of or belt.today) as this:
        this.decided = decided
        this.settle()
        check_room(belt.state)
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
    with recorded(belt, "plan", as_of or belt.today) as this:
        this.settle()
        check_room(belt.state)
        extracted, previous = this.extract(as_of or belt.today)
        assessed = this.hold_falls(this.assess(extracted, previous))
        drafted = this.draft(assessed, extracted, out)
        return this.ended("blocked" if this.blocks(drafted) else "planned", assessed, plan=drafted)


def shadow(belt: Belt, as_of: date | None = None, out: Path | None = None) -> Result:
    """The belt up to the standings, compared with the tiers people keep by hand; nothing is written to the CRM."""
    with recorded(belt, "shadow") as this:
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
    with recorded(belt, "apply") as this:
        belt.ledger.record_facts(this.run_id, RunFacts(saved.as_of, plan_digest=saved.digest))
        assessed = Assessed(saved.as_of, program, read_standings(Path(saved.standings)))
        this.settle()
        outcomes = this.apply(saved)
        this.record(saved, assessed)
        note_reverted(belt, this.run_id, saved)
        this.tell(saved, assessed)
        return this.ended(_written(outcomes), assessed, plan=saved, outcomes=outcomes)


def revert(belt: Belt, wanted: str) -> Reverted:
    """The saved plan that undoes a run; nothing is written to the CRM."""
    with recorded(belt, "revert") as this:
        this.settle()
        drafted = draft_revert(belt, this.run_id, wanted)
        state = "blocked" if this.blocks(drafted.plan) else "planned"
        this.told_end = (drafted.exit_code, "blocked" if state == "blocked" else "done", {"state": state, "of": wanted})
        return drafted


def adopt(belt: Belt) -> Adopted:
    """Take what stands in the org as last written by this ledger, and its tiers as those that movement starts from."""
    with recorded(belt, "adopt") as this:
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
