"""Write-back to a folder: what was written is read back, and a second plan has nothing to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.connectors.files import FilesConnector
from crmsync.ledger.ledger import Ledger
from crmsync.snapshots import Snapshot, Staging
from crmsync.writeback.apply import apply_plan
from crmsync.writeback.fields import FieldMap
from crmsync.writeback.plan import Plan, draft_plan
from tests.writeback.facts import AS_OF, FIELDS, a_program, standing, standings

NAMES = FieldMap("partners", {key: key for key in FIELDS.fields})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    lines = ["partner_id,name,region", *(f"P{n:03},Firm {n},EMEA" for n in range(30))]
    (folder / "partners.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def extracted(folder: Path, snapshot: Path) -> Snapshot:
    staging = Staging(snapshot)
    FilesConnector(folder).extract(["partners", "current_values"], staging)
    return staging.seal()


def drafted(folder: Path, snapshot: Path, run_id: str, tier: str = "silver") -> Plan:
    table = standings([standing(f"P{n:03}", tier, gap_summary='a "b", c\nd') for n in range(30)])
    return draft_plan(a_program(points=True), table, extracted(folder, snapshot), NAMES, run_id, AS_OF)


@pytest.mark.parametrize("bulk_from", [None, 1], ids=["singly", "bulk"])
def test_a_second_plan_over_what_was_written_is_empty(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bulk_from: int | None
):
    monkeypatch.setattr(FilesConnector, "bulk_from", bulk_from)
    with Ledger.open(tmp_path / "state") as ledger:
        first = drafted(folder, tmp_path / "s1", "run-1")
        assert apply_plan(first, FilesConnector(folder), ledger).applied == 30
        assert drafted(folder, tmp_path / "s2", "run-2").changes == ()


def test_a_later_plan_writes_what_changed_and_keeps_the_rest(folder: Path, tmp_path: Path):
    with Ledger.open(tmp_path / "state") as ledger:
        apply_plan(drafted(folder, tmp_path / "s1", "run-1"), FilesConnector(folder), ledger)
        second = drafted(folder, tmp_path / "s2", "run-2", "gold")
        assert apply_plan(second, FilesConnector(folder), ledger).applied == 30
    held = FilesConnector(folder).read(["P007"], ["granted_tier", "gap_summary", "run_id"])["P007"]
    assert held == {"granted_tier": "Gold", "gap_summary": 'a "b", c d', "run_id": "run-2"}
