"""`crmsync` without the reads that make writing safe: for measuring what they cost, never for use.

Left out are the comparison before bulk jobs and calls for several records, and the reading back of what was written.
"""

from __future__ import annotations

from collections.abc import Sequence

from crmsync import run_steps
from crmsync.cli import main
from crmsync.connectors.base import Target
from crmsync.ledger.approvals import set_plan_state
from crmsync.ledger.intents import Intent
from crmsync.ledger.ledger import Ledger
from crmsync.writeback import canary, jobs, singles
from crmsync.writeback.apply import Outcomes
from crmsync.writeback.plan import Plan
from crmsync.writeback.sending import Sending


def sent_blindly(sending: Sending, intents: Sequence[Intent]) -> list[Intent]:  # noqa: ARG001
    """All of them, whatever the records hold now."""
    return list(intents)


def believed(plan: Plan, target: Target, ledger: Ledger, before: Outcomes) -> Outcomes:  # noqa: ARG001
    """What the CRM has answered; the plan is applied with it."""
    set_plan_state(ledger, plan.digest, plan.run_id, "applied")
    return before


if __name__ == "__main__":
    singles.unchanged = vars(jobs)["unchanged"] = sent_blindly
    vars(canary)["not_as_written"] = lambda sending, intents: []  # noqa: ARG005
    vars(run_steps)["verify_plan"] = believed
    main()
