"""Random losses of data on random companies: what is lost is seen, and no mass of partners falls without a person.

`make test` tries a few dozen, `make soak` a thousand (`SOAK_EXAMPLES`). Each is one seed, named where it fails.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crmsync.errors import UnsafePlan
from crmsync.ledger.ledger import Ledger
from crmsync.snapshots import Snapshot, Staging, TableFile, write_table
from crmsync.tables import ARROW_TYPES, ColumnType
from crmsync.writeback.apply import check_open
from crmsync.writeback.figures import figures_of
from crmsync.writeback.guards_trends import Snapshots
from crmsync.writeback.plan import Drafting, Plan, draft_plan
from tests.writeback.facts import AS_OF, FIELDS, a_program, standing, standings

EXAMPLES = int(os.environ.get("SOAK_EXAMPLES", "30"))
PAGE = 200
LADDER = ("registered", "silver", "gold")
NEEDED = (Decimal(0), Decimal(1_000), Decimal(5_000))
DEALS = {
    "opportunity_id": ColumnType.TEXT, "partner_id": ColumnType.TEXT, "role": ColumnType.TEXT, "type": ColumnType.TEXT,
    "is_won": ColumnType.YES_NO, "amount": ColumnType.MONEY, "closed_on": ColumnType.DATE,
}  # fmt: skip
Row = dict[str, Any]
Loss = Callable[[random.Random, list[Row]], list[Row]]


# --- what is lost


def nothing(chance: random.Random, rows: list[Row]) -> list[Row]:  # noqa: ARG001
    return rows


def some_rows(chance: random.Random, rows: list[Row]) -> list[Row]:
    share = chance.choice((0.001, 0.01, 0.02, 0.05, 0.3))
    return [row for row in rows if chance.random() > share]


def one_row(chance: random.Random, rows: list[Row]) -> list[Row]:
    at = chance.randrange(len(rows))
    return rows[:at] + rows[at + 1 :]


def a_page(chance: random.Random, rows: list[Row]) -> list[Row]:
    start = chance.randrange(0, len(rows), PAGE)
    return rows[:start] + rows[start + PAGE :]


def the_tail(chance: random.Random, rows: list[Row]) -> list[Row]:
    ordered = sorted(rows, key=lambda row: (row["partner_id"], row["opportunity_id"]))
    return ordered[: len(rows) - chance.randrange(1, len(rows) // 2 + 2)]


def the_newest(chance: random.Random, rows: list[Row]) -> list[Row]:
    last = AS_OF - timedelta(days=chance.choice((1, 7, 30, 90)))
    return [row for row in rows if row["closed_on"] <= last]


def one_partners(chance: random.Random, rows: list[Row]) -> list[Row]:
    gone = chance.choice(rows)["partner_id"]
    return [row for row in rows if row["partner_id"] != gone]


def one_kind(chance: random.Random, rows: list[Row]) -> list[Row]:
    gone = chance.choice(rows)["type"]
    return [row for row in rows if row["type"] != gone]


def amounts(chance: random.Random, rows: list[Row]) -> list[Row]:
    share = chance.choice((0.02, 0.2, 1.0))
    return [{**row, "amount": None} if chance.random() < share else row for row in rows]


def what_is_won(chance: random.Random, rows: list[Row]) -> list[Row]:
    share = chance.choice((0.2, 1.0))
    return [{**row, "is_won": False} if chance.random() < share else row for row in rows]


LOSSES: tuple[Loss, ...] = (
    nothing, some_rows, one_row, a_page, the_tail, the_newest, one_partners, one_kind, amounts, what_is_won,
)  # fmt: skip


# --- one company and one loss


@dataclass(frozen=True)
class Scene:
    """A company before and after a loss, and the plan that follows. `honest`: the CRM counts its rows rightly."""

    before: list[Row]
    now: list[Row]
    fell: int
    partners: int
    plan: Plan
    honest: bool

    @property
    def tripped(self) -> set[str]:
        return {guard.guard for guard in self.plan.guards if guard.tripped}


def company(chance: random.Random, partners: int) -> list[Row]:
    return [
        {
            "opportunity_id": f"D{number}", "partner_id": f"P{chance.randrange(partners)}", "role": "seller",
            "type": chance.choice(("new", "renewal", "service")), "is_won": chance.random() < 0.7,
            "amount": Decimal(chance.randrange(10, 4_000)),
            "closed_on": AS_OF - timedelta(days=chance.randrange(400)),
        }
        for number in range(chance.randrange(100, 3_000))
    ]  # fmt: skip


def tiers_of(rows: list[Row], partners: int) -> dict[str, int]:
    """The tier of each partner by its won deals of a year, as any engine would have it."""
    totals = {f"P{number}": Decimal(0) for number in range(partners)}
    for row in rows:
        if row["is_won"] and row["amount"] is not None and row["closed_on"] > AS_OF - timedelta(days=365):
            totals[row["partner_id"]] += row["amount"]
    return {partner: max(at for at, least in enumerate(NEEDED) if total >= least) for partner, total in totals.items()}


def scene(seed: int, folder: Path) -> Scene:
    chance = random.Random(seed)
    partners = chance.choice((3, 8, 40, 99, 100, 250))
    before = company(chance, partners)
    now = LOSSES[seed % len(LOSSES)](chance, before)
    honest = chance.random() < 0.5
    old, new = tiers_of(before, partners), tiers_of(now, partners)
    accepted = figures_of(sealed(folder / "before", before, {}))
    counted = len(before) if honest else len(now)
    counts = {"opportunities": {"read": len(now), "before": counted, "after": counted}}
    snapshot = sealed(folder / "now", now, counts)
    read = [("opportunities", column) for column in DEALS]
    seen = Snapshots(figures_of(snapshot), accepted, read, accepted_on=AS_OF - timedelta(days=1))
    drafting = Drafting(previous=table(old), snapshots=seen, counted_from="run-0")
    plan = draft_plan(a_program(), table(new), snapshot, FIELDS, "run-1", AS_OF, drafting)
    fell = sum(1 for partner, tier in new.items() if tier < old[partner])
    return Scene(before, now, fell, partners, plan, honest)


def table(tiers: dict[str, int]) -> pa.Table:
    return standings([standing(partner, LADDER[tier], movement="kept") for partner, tier in tiers.items()])


def sealed(folder: Path, rows: list[Row], counts: dict[str, dict[str, int]]) -> Snapshot:
    staging = Staging(folder)
    schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in DEALS.items()])
    path = staging.path("opportunities")
    written = write_table(path, pa.Table.from_pylist(rows, schema=schema), DEALS)
    staging.add(TableFile("opportunities", path, written, DEALS, "closed_on"))
    return staging.seal(counts)


# --- what must hold


@pytest.mark.timeout(60 + EXAMPLES * 2)
def test_the_exact_count_sees_every_loss_and_trends_alone_every_loss_of_two_percent(tmp_path: Path) -> None:
    kinds = dict.fromkeys(("lost", "two percent", "masses"), 0)
    with Ledger.open(tmp_path / "state") as ledger:
        for seed in range(EXAMPLES):
            check(seed, tmp_path / str(seed), ledger, kinds)
    print(f"{EXAMPLES} random scenes: {kinds}")
    assert min(kinds.values()) >= EXAMPLES // 8, kinds  # the scenes do lose something


def check(seed: int, folder: Path, ledger: Ledger, kinds: dict[str, int]) -> None:
    """One scene; `kinds` counts what it was."""
    found = scene(seed, folder)
    shutil.rmtree(folder)
    name = f"seed {seed} ({LOSSES[seed % len(LOSSES)].__name__})"
    lost = len(found.before) - len(found.now)
    if found.honest:
        assert ("counts_equal" in found.tripped) == (lost > 0), name
    if lost >= 2 and lost * 50 >= len(found.before):
        assert found.tripped & {"rows", "no_table_emptied"}, f"{name}: {lost} of {len(found.before)} rows"
        kinds["two percent"] += 1
    if lost == 0 and found.before == found.now:
        assert not found.plan.blocked, name
    check_that_no_mass_falls_unseen(found, ledger, name)
    kinds["lost"] += lost > 0
    kinds["masses"] += found.fell > limit(found)


def limit(found: Scene) -> int:
    """As the contract has it: the larger of 5 and 2 %, only the number in a small program."""
    return 5 if found.partners < 100 else max(5, found.partners * 2 // 100)


def check_that_no_mass_falls_unseen(found: Scene, ledger: Ledger, name: str) -> None:
    """Every write goes through `check_open`; nobody has approved anything here."""
    if found.fell <= limit(found):
        return
    assert "demotions" in found.tripped, f"{name}: {found.fell} of {found.partners} fall"
    with pytest.raises(UnsafePlan):
        check_open(found.plan, ledger)


def test_a_loss_of_trend_is_told_apart_from_a_day_like_others(tmp_path: Path) -> None:
    """A day on which a few deals come and go blocks nothing."""
    chance = random.Random(7)
    before = company(chance, 250)
    now = [*before[3:], *({**row, "opportunity_id": f"N{n}", "closed_on": date(2026, 11, 20)} for n, row in
                          enumerate(before[:9]))]  # fmt: skip
    accepted, later = (figures_of(sealed(tmp_path / name, rows, {})) for name, rows in (("a", before), ("b", now)))
    seen = Snapshots(later, accepted, [("opportunities", one) for one in DEALS], accepted_on=date(2026, 1, 2))
    old, new = tiers_of(before, 250), tiers_of(now, 250)
    plan = draft_plan(
        a_program(), table(new), sealed(tmp_path / "c", now, {}), FIELDS, "run-1", AS_OF,
        Drafting(previous=table(old), snapshots=seen, counted_from="run-0"),
    )  # fmt: skip
    assert [guard.guard for guard in plan.guards if guard.tripped] == []
