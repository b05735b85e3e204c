"""What a newcomer sees: the shipped program over the sample company gives believable tiers, movers and risks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crmsync.sandbox.process import start_org
from tests.company.conftest import TODAY

PARTNERS = 600
Standing = dict[str, str | None]


@pytest.fixture(scope="module")
def resellers(project: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Standing]:
    """Standings of the resellers after the first plan over an org whose clock stands at TODAY."""
    folder = tmp_path_factory.mktemp("story")
    shutil.copytree(project / "config", folder / "config")
    file = folder / "config/crmsync.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("org: sandbox", "org: salesforce"), encoding="utf-8")
    with start_org(["--sample", str(PARTNERS), "--seed", "7", "--today", TODAY.isoformat()]) as org:
        ran = subprocess.run(
            [sys.executable, "-m", "crmsync", "plan", "--as-of", TODAY.isoformat(), "--json"],
            env=os.environ | {
                "CRMSYNC_SALESFORCE__INSTANCE_URL": org.instance_url,
                "CRMSYNC_SALESFORCE__ACCESS_TOKEN": org.access_token,
            },
            cwd=folder, capture_output=True, text=True, timeout=50, check=False,
        )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    run = json.loads(ran.stdout)["run_id"]
    rows = pq.read_table(folder / f".crmsync/standings/{run}.parquet").to_pylist()
    return [row for row in rows if row["category"] == "reseller" and row["granted_tier"]]


def _shares(resellers: list[Standing], column: str) -> dict[str | None, float]:
    counts = Counter(standing[column] for standing in resellers)
    return {value: count / len(resellers) for value, count in counts.items()}


def test_tiers_movers_and_risks_are_believable(resellers: list[Standing]) -> None:
    """One test, since its run of the belt is dear: pyramid of tiers, some rise, some fall, most stay, some at risk."""
    tiers = _shares(resellers, "granted_tier")
    assert 0.50 < tiers["registered"] < 0.70
    assert 0.17 < tiers["silver"] < 0.33
    assert 0.06 < tiers["gold"] < 0.17
    assert 0.015 < tiers["platinum"] < 0.08
    movements = _shares(resellers, "movement")
    assert 0.05 < movements["promoted"] < 0.20
    assert 0.08 < movements["demoted"] < 0.25
    assert movements["unchanged"] > 0.5
    assert min(movements["pinned"], movements["entered"]) > 0
    risks = _shares(resellers, "risk")
    assert 0.02 < risks["high"] < 0.20
    assert risks["medium"] > 0.005
    assert risks["none"] > 0.6
