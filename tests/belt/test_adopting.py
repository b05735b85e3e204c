"""A ledger that was lost: nothing is written to an org that carries its tokens, until they are adopted."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import text

from crmsync.ledger.ledger import Ledger
from crmsync.sandbox.process import Org
from tests.belt.conftest import Crmsync
from tests.belt.test_embedded import AS_OF, TODAY, effects, org, own, reset

__all__ = ["org", "own"]


def test_a_lost_ledger_is_refused_until_the_org_is_adopted(
    crmsync: Crmsync, own: Path, org: Org, tmp_path: Path
) -> None:
    config = ("--config", str(own))
    early = crmsync("adopt", *config)
    assert early.code == 4
    assert "nothing was ever written there" in early.err
    first = crmsync("run", *config, *AS_OF, "--json")
    assert first.code in (0, 3), first.err
    shutil.rmtree(tmp_path / "state")
    reset(org)
    assert crmsync("plan", *config, *AS_OF).code in (0, 2)  # looking is allowed
    plan = next((tmp_path / "state" / "plans").glob("*.json"))
    refused = crmsync("run", *config, *AS_OF)
    assert refused.code == 4
    assert "the ledger was lost or restored from an older copy" in refused.err
    assert crmsync("apply", str(plan), *config).code == 4
    assert effects(org)["calls"]["write"] == 0

    adopted = crmsync("adopt", *config, "--json")
    assert adopted.code == 0, adopted.err
    assert adopted.json["unknown"] == adopted.json["accounts"] > 0
    assert adopted.json["tiers"] > 0
    with Ledger.open(tmp_path / "state") as ledger, ledger.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM audit WHERE event = 'org_adopted'")) == 1
        kept = connection.scalar(text("SELECT count(DISTINCT record_id) FROM field_state"))
        assert kept == adopted.json["accounts"]
    again = crmsync("run", *config, *AS_OF, "--json")
    assert again.code in (0, 3), again.err
    assert again.json["plan"]["movers"] == [], "tiers that stand in the CRM already are no movement"
    assert TODAY in again.out
