"""Drafting, saving and loading a plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.errors import ConfigError, DataError, StoreError
from crmsync.ledger.ledger import Ledger
from crmsync.snapshots import Snapshot
from crmsync.writeback.fields import account_of, account_values
from crmsync.writeback.plan import Drafting, Plan, draft_plan
from crmsync.writeback.planfile import load_plan, save_plan
from tests.writeback.facts import AS_OF, FIELDS, a_program, a_snapshot, missing, standing, standings

EMPTY = dict.fromkeys(FIELDS.names)


def wanted(row: dict[str, object]) -> dict[str, str | None]:
    """What the account of this standing holds when everything was written."""
    program = a_program()
    values = account_values(program, account_of(program, [row], {"region": "EMEA"}))
    return {**EMPTY, **{FIELDS.fields[key]: value for key, value in values.items()}}


def draft(rows: list[dict[str, object]], snapshot: Snapshot, run_id: str = "run-1", **given: object) -> Plan:
    return draft_plan(a_program(), standings(rows), snapshot, FIELDS, run_id, AS_OF, Drafting(**given))  # type: ignore[arg-type]


def test_equal_values_are_never_written(tmp_path: Path):
    row = standing("A")
    held = {**wanted(row), "progress__c": "43.00", "provisional__c": "false"}
    assert draft([row], a_snapshot(tmp_path / "s", {"A": held})).changes == ()


def test_only_the_fields_that_differ_are_written_and_stamps_never_alone(tmp_path: Path):
    row = standing("A")
    (change,) = draft([row], a_snapshot(tmp_path / "s", {"A": {**wanted(row), "risk__c": "high"}})).changes
    assert change.values == {"risk__c": "none"}
    assert change.expected["risk__c"] == "high"


def test_the_pre_image_covers_the_stamps_so_that_they_can_be_put_back(tmp_path: Path):
    row = standing("A")
    held = {**wanted(row), "risk__c": "high", "token__c": "t0", "run_id__c": "run-0", "changed_on__c": "2026-01-01"}
    (change,) = draft([row], a_snapshot(tmp_path / "s", {"A": held})).changes
    assert change.expected == {"risk__c": "high", "token__c": "t0", "run_id__c": "run-0", "changed_on__c": "2026-01-01"}


def test_a_partner_without_a_record_in_the_target_is_named_and_not_written(tmp_path: Path):
    plan = draft([standing("A"), standing("B")], a_snapshot(tmp_path / "s", {"A": EMPTY}))
    assert [change.partner_id for change in plan.changes] == ["A"]
    assert plan.unknown_partners == ("B",)


def test_two_records_of_one_partner_are_refused(tmp_path: Path):
    snapshot = a_snapshot(tmp_path / "s", {"A": EMPTY, "B": EMPTY})
    path = snapshot.tables["current_values"].path
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "partner_id", pa.array(["A", "A"])), path)
    with pytest.raises(DataError, match="two records of the target hold it \\(A and B\\)"):
        draft([standing("A")], snapshot)


def test_the_digest_depends_on_what_is_decided_and_not_on_the_run(tmp_path: Path):
    snapshot = a_snapshot(tmp_path / "s", {"A": EMPTY})
    first = draft([standing("A")], snapshot, "run-1")
    assert draft([standing("A")], snapshot, "run-2").digest == first.digest
    assert draft([standing("A", "gold")], snapshot).digest != first.digest
    assert draft([standing("A")], snapshot, config_digest="other").digest != first.digest


def test_movers_name_the_deciding_criterion(tmp_path: Path):
    snapshot = a_snapshot(tmp_path / "s", {"A": EMPTY, "B": EMPTY, "C": EMPTY})
    rows = [
        standing("A", "gold", previous_tier="silver", movement="promoted", gap=[], next_tier=None,
                 metrics={"revenue": "600000.00", "people": "6", "score": None}),
        standing("B", "silver", previous_tier="gold", movement="demoted", gap=[missing("people", "4", "5")]),
        standing("C", "silver", previous_tier="silver", movement="unchanged"),
    ]  # fmt: skip
    before = standings([standing("A", "silver"), standing("B", "gold"), standing("C", "silver")])
    up, down = draft(rows, snapshot, previous=before).movers
    assert (up.name, up.from_tier, up.to_tier) == ("Firm A", "Silver", "Gold")
    assert up.why == "meets Gold: Revenue 600,000 EUR (needs 500,000 EUR), Certified people 6 (needs 5)"
    assert (down.partner_id, down.why) == ("B", "misses Gold: Certified people 4 (needs 5)")


def test_a_partner_who_vanished_is_a_mover(tmp_path: Path):
    before = standings([standing("A"), standing("B", "gold")])
    plan = draft([standing("A")], a_snapshot(tmp_path / "s", {"A": EMPTY}), previous=before)
    assert [(m.partner_id, m.from_tier, m.to_tier) for m in plan.movers] == [("B", "Gold", None)]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Plan, Path, Path]:
    plan = draft([standing("A")], a_snapshot(tmp_path / "s", {"A": EMPTY}))
    with Ledger.open(tmp_path / "state") as ledger:
        return plan, save_plan(plan, ledger), tmp_path / "state"


def test_a_saved_plan_is_found_by_file_and_by_the_first_digits_of_its_digest(saved: tuple[Plan, Path, Path]):
    plan, path, state = saved
    assert load_plan(str(path), state) == plan
    assert load_plan(plan.digest[:8], state) == plan


def test_an_edited_plan_is_refused(saved: tuple[Plan, Path, Path]):
    plan, path, state = saved
    path.write_text(path.read_text().replace("Silver", "Gold"))
    with pytest.raises(ConfigError, match="the plan was changed since it was drafted"):
        load_plan(plan.digest, state)


@pytest.mark.parametrize("wrong", ["zz", "abc", "../x", "nothing.json"])
def test_what_is_neither_file_nor_digest_is_refused(saved: tuple[Plan, Path, Path], wrong: str):
    with pytest.raises(ConfigError, match="neither a plan file nor the first digits"):
        load_plan(wrong, saved[2])


def test_an_unknown_digest_is_refused(saved: tuple[Plan, Path, Path]):
    unknown = "0000" if not saved[0].digest.startswith("0000") else "1111"
    with pytest.raises(ConfigError, match="has a digest that starts with"):
        load_plan(unknown, saved[2])


def test_an_ambiguous_digest_is_refused(saved: tuple[Plan, Path, Path]):
    plan, path, state = saved
    path.with_name(f"{plan.digest[:10]}{'0' * 54}.json").write_text("{}")
    with pytest.raises(ConfigError, match="fits 2 plans"):
        load_plan(plan.digest[:6], state)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format":1}', '{"format":2}', '{"format":1,"content":{}}'])
def test_a_file_that_is_no_plan_is_refused(saved: tuple[Plan, Path, Path], text: str):
    saved[1].write_text(text)
    with pytest.raises(ConfigError):
        load_plan(str(saved[1]), saved[2])


def test_every_single_changed_value_of_a_plan_file_is_found(saved: tuple[Plan, Path, Path]):
    """Whatever part of the content is edited, the digest says so."""
    _, path, state = saved
    whole = json.loads(path.read_text())
    for key in whole["content"]:
        path.write_text(json.dumps({**whole, "content": {**whole["content"], key: "edited"}}))
        with pytest.raises(ConfigError, match="changed since it was drafted"):
            load_plan(str(path), state)


TIERS = st.sampled_from(["registered", "silver", "gold", None])
HELD = st.none() | st.sampled_from(["", "Silver", "gold", "43.00", "2026-11-21", "true", "A;B"]) | st.text(max_size=8)
ROWS = st.fixed_dictionaries(
    {
        "tier": TIERS,
        "previous_tier": TIERS,
        "progress": st.none() | st.decimals(0, 100, places=1),
        "gap_summary": st.none() | st.text(max_size=20),
        "risk": st.sampled_from(["none", "low", "medium", "high", None]),
        "risk_reasons": st.lists(st.text(max_size=10), max_size=2),
        "provisional": st.booleans(),
        "risk_on": st.none() | st.dates(),
    }
)


@settings(max_examples=50)
@given(rows=st.lists(ROWS, min_size=1, max_size=4), held=st.data())
def test_a_second_plan_over_an_applied_one_is_empty(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]], held: st.DataObject
):
    """Whatever the accounts held before and whatever the standings say."""
    encodable = [{k: _plain(v) for k, v in row.items()} for row in rows]
    made = [standing(f"P{n}", **row) for n, row in enumerate(encodable)]  # type: ignore[arg-type]
    before = {row["partner_id"]: {n: _plain(held.draw(HELD)) for n in FIELDS.names} for row in made}
    folder = tmp_path_factory.mktemp("plans")
    plan = draft(made, a_snapshot(folder / "first", before))
    after = {key: dict(values) for key, values in before.items()}
    for change in plan.changes:
        assert change.values
        assert all(before[change.record_id][name] == value for name, value in change.expected.items())
        after[change.record_id].update(change.values)
    assert draft(made, a_snapshot(folder / "second", after)).changes == ()


def _plain(value: object) -> object:
    """Lone surrogates cannot stand in a Parquet file."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.encode("utf-8", "ignore").decode() if isinstance(value, str) else value


def test_a_plan_that_cannot_be_saved_is_a_store_error_and_leaves_no_half_file(tmp_path: Path):
    plan = draft([standing("A")], a_snapshot(tmp_path / "s", {"A": EMPTY}))
    with Ledger.open(tmp_path / "state") as ledger:
        (tmp_path / "state" / "plans").write_text("in the way")
        with pytest.raises(StoreError, match="the plan cannot be saved"):
            save_plan(plan, ledger)
    assert sorted(path.name for path in (tmp_path / "state").iterdir() if "json" in path.name) == []
