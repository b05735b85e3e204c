"""What the audit tells of tiers, standings, approvals and runs must still stand in their tables."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from crmsync.ledger.accepted import TierStep, accept_standings
from crmsync.ledger.approvals import record_approval
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.intents import Intent, Settled, record_intents, record_outcomes
from crmsync.ledger.ledger import Ledger, RunFacts
from crmsync.ledger.phases import resume_run

AS_OF = date(2026, 5, 1)


@pytest.fixture
def told(ledger: Ledger, tmp_path: Path) -> Ledger:
    """A ledger with a run, its writes, standings and tiers, and an approval."""
    path = tmp_path / "standings"
    path.write_text("standings")
    run_id = ledger.start_run("run", RunFacts(as_of=AS_OF, snapshot_digest="s1"))
    steps = [TierStep("channel", partner, "all", None, "silver", "entered") for partner in ("A", "B", "C")]
    intents = [Intent(f"i{n}", run_id, "d1", f"00{n}", f"P{n}", {"Tier": "Gold"}, {}, f"t{n}") for n in range(5)]
    record_intents(ledger, "d1", run_id, intents)
    record_outcomes(ledger, [Settled(one, "applied") for one in intents[:3]])
    record_outcomes(ledger, [Settled(intents[3], "parked", "LOCKED", "locked"), Settled(intents[4], "applied")])
    accept_standings(ledger, run_id, AS_OF, path, steps=steps)
    record_approval(ledger, "ab" * 32, "Ann Example")
    ledger.end_run(run_id, 0)
    return ledger


def test_an_untouched_ledger_agrees_with_its_audit(told: Ledger) -> None:
    assert verify_chain(told).faults == ()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE tier_history SET to_tier = 'gold' WHERE partner_id = 'B'", "the tier history is not the one"),
        ("DELETE FROM tier_history WHERE partner_id = 'C'", "the tier history is not the one"),
        ("UPDATE standings SET sha256 = 'forged'", "the accepted standings in the ledger are not those"),
        ("UPDATE outcome SET state = 'applied'", "what became of its 2 writes is not what the audit tells of"),
        ("UPDATE outcome SET record_id = '009' WHERE record_id = '001'", "what became of its 3 writes is not"),
        ("DELETE FROM outcome WHERE record_id = '002'", "is not what the audit tells of"),
        ("UPDATE intent SET token = 'forged' WHERE intent_id = 'i4'", "what became of its 2 writes is not"),
        ("UPDATE run SET snapshot_digest = 's2'", "snapshot_digest of the ledger are not those"),
        ("UPDATE run SET as_of = '2026-06-01'", "as_of of the ledger are not those"),
        ("UPDATE approval SET person = 'Bob'", "its approval by shell:Ann Example is gone or was changed"),
        ("DELETE FROM approval", "its approval by shell:Ann Example is gone"),
        (
            "INSERT INTO approval (digest, person, approved_at, until) "
            "SELECT digest, 'Bob', approved_at, until FROM approval",
            "an approval by shell:Bob of which the audit does not tell",
        ),
    ],
)
def test_a_changed_row_is_told(told: Ledger, statement: str, said: str) -> None:
    with told.writing() as connection:
        connection.execute(text(statement))
    faults = verify_chain(told).faults
    assert any(said in fault for fault in faults), faults


def test_outcomes_of_before_there_was_an_audit_are_no_disagreement(told: Ledger) -> None:
    with told.writing() as connection:
        connection.execute(
            text(
                "INSERT INTO outcome (sequence, intent_id, record_id, state, at) VALUES (-1, 'i0', '000', 'parked', '')"
            )
        )
    assert verify_chain(told).faults == ()


def test_a_run_that_was_stopped_resumed_and_killed_is_no_disagreement(told: Ledger) -> None:
    run_id = told.start_run("run")
    told.end_run(run_id, 143, "failed")
    resume_run(told, run_id, ["extract"])
    told.record_facts(run_id, RunFacts(plan_digest="p1"))  # then it is killed
    assert verify_chain(told).faults == ()
    told.end_run(run_id, 0)
    assert verify_chain(told).faults == ()
    told.record_facts(run_id, RunFacts(plan_digest="p2"))
    assert any("plan_digest of the ledger" in fault for fault in verify_chain(told).faults)
