"""What the audit tells of tiers, standings, approvals and runs must still stand in their tables."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from crmsync.ledger.accepted import TierStep, accept_standings
from crmsync.ledger.approvals import record_approval
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.ledger import Ledger, RunFacts

AS_OF = date(2026, 5, 1)


@pytest.fixture
def told(ledger: Ledger, tmp_path: Path) -> Ledger:
    """A ledger with a run, its standings and tiers, and an approval."""
    path = tmp_path / "standings"
    path.write_text("standings")
    run_id = ledger.start_run("run", RunFacts(as_of=AS_OF, snapshot_digest="s1"))
    steps = [TierStep("channel", partner, "all", None, "silver", "entered") for partner in ("A", "B", "C")]
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
