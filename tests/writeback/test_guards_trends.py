"""Whether a snapshot is as complete as the last accepted one: rows, cells, kinds of records, closed amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crmsync.configuration_guards import GuardLimits, Trends
from crmsync.snapshots import Snapshot, Staging, TableFile, write_table
from crmsync.tables import ARROW_TYPES, ColumnType
from crmsync.writeback.figures import TableFigures, edits_between, figures_from, figures_of
from crmsync.writeback.guards import GuardResult, Tripwires, evaluate_guards
from crmsync.writeback.guards_trends import Snapshots, drops_of, falls, row_limit

DEALS = {
    "opportunity_id": ColumnType.TEXT, "partner_id": ColumnType.TEXT, "role": ColumnType.TEXT, "type": ColumnType.TEXT,
    "is_won": ColumnType.YES_NO, "amount": ColumnType.MONEY, "currency": ColumnType.TEXT, "closed_on": ColumnType.DATE,
}  # fmt: skip


def deals(count: int, **given: Any) -> list[dict[str, Any]]:
    """Won deals of 100.00 EUR each, in the months before November 2026."""
    return [
        {
            "opportunity_id": f"D{number}", "partner_id": f"P{number % 50}", "role": "seller",
            "type": "new" if number % 2 else "renewal", "is_won": True, "amount": Decimal("100.00"), "currency": "EUR",
            "closed_on": date(2026, 1 + number % 10, 1), **given,
        }
        for number in range(count)
    ]  # fmt: skip


def sealed(folder: Path, rows: list[dict[str, Any]], columns: Mapping[str, ColumnType] = DEALS) -> Snapshot:
    staging = Staging(folder)
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in columns.items()])
    path = staging.path("opportunities")
    written = write_table(path, pa.Table.from_pylist(rows, schema=schema), columns)
    staging.add(TableFile("opportunities", path, written, columns, "closed_on"))
    return staging.seal()


def told(name: str, before: TableFigures, now: TableFigures, trends: Trends | None = None, **given: Any) -> GuardResult:
    read = [("opportunities", column) for column in DEALS]
    seen = Snapshots({"opportunities": now}, {"opportunities": before}, read, accepted_on=date(2026, 11, 20), **given)
    limits = replace(GuardLimits(), trends=trends or Trends())
    return next(one for one in evaluate_guards(Tripwires(snapshots=seen), limits) if one.guard == name)


def rows(count: int) -> TableFigures:
    return TableFigures(count)


# --- figures


def test_figures_of_a_sealed_snapshot_are_exact(tmp_path: Path):
    content = [
        *deals(10), {**deals(1)[0], "opportunity_id": "X", "currency": "USD", "amount": None, "is_won": None},
        {**deals(1)[0], "opportunity_id": "Y", "is_won": False, "type": None},
    ]  # fmt: skip
    (found,) = figures_of(sealed(tmp_path / "s", content)).values()
    assert found.rows == 12
    assert (found.filled["amount"], found.filled["is_won"], found.filled["type"]) == (11, 11, 11)
    assert found.kinds == {"is_won": {"yes": 10}, "role": {"seller": 12}, "type": {"new": 5, "renewal": 6}}
    assert found.sums["amount"]["EUR"]["2026-01"] == (1, "100.00")
    assert sum(Decimal(total) for _, total in found.sums["amount"]["EUR"].values()) == 1000
    assert "USD" not in found.sums["amount"]
    assert figures_from(found.content()) == found


def test_a_column_with_many_values_parts_nothing(tmp_path: Path):
    (found,) = figures_of(
        sealed(tmp_path / "s", [{**one, "type": f"T{n}"} for n, one in enumerate(deals(101))])
    ).values()
    assert "type" not in found.kinds


# --- rows


@pytest.mark.parametrize(
    ("before", "now", "tripped"),
    [(100, 98, True), (100, 99, False), (10_000, 9_801, False), (10_000, 9_800, True), (40, 39, False), (40, 38, True),
     (1, 0, False), (100, 120, False)],
)  # fmt: skip
def test_a_loss_of_two_percent_and_two_rows_blocks(before: int, now: int, tripped: bool):
    assert told("rows", rows(before), rows(now)).tripped is tripped


def test_a_table_that_lost_all_its_rows_blocks_and_one_that_never_had_any_does_not():
    found = told("no_table_emptied", rows(40), rows(0))
    assert (found.tripped, found.value) == (True, "opportunities: 0 rows, 40 before")
    assert not told("no_table_emptied", rows(0), rows(0)).tripped


def test_a_steady_table_is_held_to_what_is_usual_for_it():
    usual = {"opportunities": [Decimal("0.002")] * 5}
    assert told("rows", rows(10_000), rows(9_930), drops=usual).tripped
    assert not told("rows", rows(10_000), rows(9_950), drops=usual).tripped
    assert not told("rows", rows(10_000), rows(9_930)).tripped
    assert row_limit("t", Trends(), [Decimal("0.00001")] * 9) == Decimal("0.005")
    assert row_limit("t", Trends(), [Decimal("0.5")] * 9) == Decimal("0.02")


def test_a_table_has_its_own_share_or_none():
    own = Trends(tables={"opportunities": Decimal("0.5")})
    assert not told("rows", rows(100), rows(60), own).tripped
    assert told("rows", rows(100), rows(50), own).tripped
    assert not told("rows", rows(100), rows(1), Trends(tables={"opportunities": None})).tripped


def test_what_a_moving_window_takes_away_takes_its_kinds_and_amounts_along(tmp_path: Path):
    """A table of twelve months loses the oldest with all they held; its own share of rows holds for these, too."""
    seen = [figures_of(sealed(tmp_path / str(count), deals(count)))["opportunities"] for count in (1000, 880)]
    for own, blocks in ((None, True), (Decimal("0.5"), False), (Decimal("0.11"), True)):
        trends = Trends() if own is None else Trends(tables={"opportunities": own})
        for guard in ("rows", "kinds", "closed_amounts"):
            assert told(guard, *seen, trends).tripped is blocks, (own, guard)
    off = Trends(tables={"opportunities": None})
    assert [told(guard, *seen, off).tripped for guard in ("rows", "kinds", "closed_amounts")] == [False, True, False]


def test_drops_are_told_from_one_accepted_snapshot_to_the_next():
    assert drops_of([{"a": 100}, {"a": 98}, {"a": 120}, {"a": 60, "b": 5}]) == {"a": [Decimal("0.02"), Decimal("0.5")]}


# --- cells and columns


def filled(cells: int, count: int, column: str = "amount") -> TableFigures:
    return TableFigures(count, {column: cells})


@pytest.mark.parametrize(
    ("before", "now", "tripped"),
    [((900, 1000), (882, 1000), True), ((900, 1000), (883, 1000), False), ((900, 1000), (1300, 1500), False),
     ((900, 1000), (1190, 1500), True), ((900, 1000), (810, 900), False), ((30, 1000), (29, 1000), False)],
)  # fmt: skip
def test_cells_that_were_emptied_block(before: tuple[int, int], now: tuple[int, int], tripped: bool):
    assert told("values", filled(*before), filled(*now)).tripped is tripped


def test_a_column_that_is_read_and_is_empty_or_gone_now_blocks():
    gone = told("no_column_emptied", filled(40, 100), TableFigures(100))
    assert (gone.tripped, "opportunities.amount: not delivered, 40 cells filled before" in gone.value) == (True, True)
    assert told("no_column_emptied", filled(40, 100), filled(0, 100)).tripped
    assert "must not blank a field" in gone.way_out
    assert not told("no_column_emptied", filled(40, 100, "unread"), TableFigures(100)).tripped


# --- kinds


@pytest.mark.parametrize(
    ("before", "now", "tripped"),
    [(200, 180, True), (200, 181, False), (99, 1, False), (99, 0, True), (4, 0, False), (5, 0, True)],
)
def test_a_kind_of_record_that_is_hidden_blocks(before: int, now: int, tripped: bool):
    seen = [TableFigures(10_000, {}, {"type": {"renewal": count, "new": 5000}}) for count in (before, now)]
    assert told("kinds", *seen).tripped is tripped


@pytest.mark.parametrize(
    ("now", "rows_now", "tripped"), [(0, 988, True), (0, 1000, False), (0, 994, True), (0, 995, False)]
)
def test_the_records_of_an_owner_that_are_gone_block_and_those_that_are_somebody_elses_now_do_not(
    now: int, rows_now: int, tripped: bool
):
    """A role that was taken away hides one team's accounts; an account manager who leaves hands them over."""
    seen = [
        TableFigures(rows, {}, {"owner_id": {"005A": owned, "005B": 400}})
        for rows, owned in ((1000, 12), (rows_now, now))
    ]
    found = told("kinds", *seen)
    assert found.tripped is tripped
    assert not tripped or found.value == "opportunities with owner_id 005A: 0 rows, 12 before"


# --- closed amounts


def test_a_fall_of_closed_amounts_is_told_with_the_records_behind_it(tmp_path: Path):
    before = sealed(tmp_path / "a", deals(1000))
    fewer = sealed(tmp_path / "b", deals(995))
    found = edits_between(before.tables["opportunities"], fewer.tables["opportunities"], "amount", "EUR", "2026-11")
    assert (found.edited, found.gone, found.gone_sum) == ((), 5, "500.00")
    seen = [figures_of(one)["opportunities"] for one in (before, fewer)]
    edits = {("opportunities", "amount", "EUR"): found}
    tripped = told("closed_amounts", *seen, edits=edits)
    assert tripped.tripped
    assert "opportunities.amount in EUR before 2026-11: 99,500.00 now, 100,000.00 before (0.5 % less)" in tripped.value
    assert "5 records are gone, which held 500.00" in tripped.value


def test_a_few_edited_records_explain_a_fall_and_many_do_not(tmp_path: Path):
    before = sealed(tmp_path / "a", deals(1000))
    for count, tripped in ((5, False), (6, True)):
        content = deals(1000)
        content[0] = {**content[0], "is_won": False}  # no longer won is an edit, too
        for one in content[1:count]:
            one["amount"] = Decimal("1.00")
        now = sealed(tmp_path / f"b{count}", content)
        seen = [figures_of(one)["opportunities"] for one in (before, now)]
        found = edits_between(before.tables["opportunities"], now.tables["opportunities"], "amount", "EUR", "2026-11")
        assert (len(found.edited), found.gone) == (count, 0)
        assert found.edited[0] == ("D0", "100.00", "0")
        verdict = told("closed_amounts", *seen, Trends(closed_amounts=Decimal("0.001")),
                       edits={("opportunities", "amount", "EUR"): found})  # fmt: skip
        assert verdict.tripped is tripped
        assert "edited: D0 100.00 -> 0, D1 100.00 -> 1.00" in verdict.value


def test_open_months_small_sums_and_growth_say_nothing(tmp_path: Path):
    before = sealed(tmp_path / "a", deals(1000))
    seen = figures_of(before)
    for accepted, now in (
        (date(2026, 1, 20), deals(500)),  # nothing was closed then
        (date(2026, 11, 20), deals(1200)),
    ):
        later = figures_of(sealed(tmp_path / f"b{len(now)}", now))
        assert not list(falls(Snapshots(later, seen, accepted_on=accepted), Trends()))
    few = [figures_of(sealed(tmp_path / f"c{count}", deals(count))) for count in (99, 50)]
    assert not list(falls(Snapshots(few[1], few[0], accepted_on=date(2026, 11, 20)), Trends()))


def test_at_the_first_run_there_is_nothing_to_compare():
    guards = evaluate_guards(Tripwires(snapshots=Snapshots({"opportunities": rows(5)})))
    assert not any(guard.tripped for guard in guards)
    said = {guard.guard: guard.value for guard in guards}
    assert said["rows"] == "nothing to compare with: no accepted snapshot yet"
