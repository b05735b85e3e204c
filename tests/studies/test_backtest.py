"""`crmsync backtest`: the calendar alone moves partners, tier after tier, with the state of the date before."""

from __future__ import annotations

import csv
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crmsync.errors import ConfigError
from crmsync.studies.backtest import Backtest, dates_of, run_backtest
from tests.acceptance import bikes
from tests.acceptance.sources import read_rows
from tests.studies.command import ended

PROGRAM = """\
program: resellers
currency: EUR
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months}
ladders:
  main:
    tiers:
      - {key: registered, benefits: {discount: 5%}}
      - {key: silver, requires: {revenue: 100}, benefits: {discount: 10%}}
      - {key: gold, requires: {revenue: 500}}
"""
DEALS = """\
opportunity_id,partner_id,is_closed,is_won,amount,closed_on
1,a,true,true,450,2025-03-10
2,a,true,true,100,2025-06-20
3,b,true,true,100,2025-09-30
"""


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "partners.csv").write_text("partner_id,name\na,A\nb,B\nc,C\n", encoding="utf-8")
    (folder / "opportunities.csv").write_text(DEALS, encoding="utf-8")
    return folder


def written(tmp_path: Path, more: str = "", name: str = "program.yaml") -> Path:
    path = tmp_path / name
    path.write_text(PROGRAM + more, encoding="utf-8")
    return path


def moved(result: Backtest) -> dict[str, dict[tuple[str, str], int]]:
    """Date -> who changed the tier."""
    return {
        str(period.on): {pair: count for pair, count in moves.matrix.items() if pair[0] != pair[1]}
        for period in result.periods
        for moves in period.categories
    }


def months(start: str, end: str, every: str = "month") -> list[date]:
    return dates_of(date.fromisoformat(start), date.fromisoformat(end), every)


# --- dates


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("month", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-10"]),
        ("quarter", ["2026-01-31", "2026-04-10"]),
        ("30 days", ["2026-01-31", "2026-03-02", "2026-04-01", "2026-04-10"]),
        ("5 weeks", ["2026-01-31", "2026-03-07", "2026-04-10"]),
        ("2 months", ["2026-01-31", "2026-03-31", "2026-04-10"]),
        ("year", ["2026-01-31", "2026-04-10"]),
    ],
)
def test_dates_are_counted_from_the_first_and_the_last_is_always_there(every: str, expected: list[str]) -> None:
    assert [str(day) for day in months("2026-01-31", "2026-04-10", every)] == expected


def test_one_day_is_one_date() -> None:
    assert months("2026-01-31", "2026-01-31", "day") == [date(2026, 1, 31)]


@pytest.mark.parametrize(("every", "told"), [("fortnight", "write day, week"), ("0 days", "0 days"), ("day", "dates")])
def test_periods_that_are_none_are_refused(every: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        months("1990-01-31", "2026-04-10", every)


# --- movement


def test_partners_fall_by_the_calendar_alone(tmp_path: Path, tables: Path) -> None:
    result = run_backtest(written(tmp_path), tables, months("2025-01-31", "2026-12-31"))
    changes = {day: moves for day, moves in moved(result).items() if moves and day != "2025-01-31"}
    assert changes == {
        "2025-03-31": {("registered", "silver"): 1},  # a: 450
        "2025-06-30": {("silver", "gold"): 1},  # a: 550
        "2025-09-30": {("registered", "silver"): 1},  # b: 100 on its day
        "2026-03-31": {("gold", "silver"): 1},
        "2026-06-30": {("silver", "registered"): 1},
        "2026-09-30": {("silver", "registered"): 1},
    }


def test_state_is_carried_from_date_to_date(tmp_path: Path, tables: Path) -> None:
    """Grace begins on a date between two of the backtest, and ends between two others."""
    program = written(tmp_path, "movement: {demote: {on: [04-15], grace: 30 days}}\n")
    result = run_backtest(program, tables, months("2026-01-31", "2026-07-31"))
    words = {str(one.on): dict(one.categories[0].words) for one in result.periods}
    assert words["2026-03-31"] == {"unchanged": 3}
    assert words["2026-04-30"] == {"unchanged": 2, "in_grace": 1}
    assert words["2026-05-31"] == {"unchanged": 2, "demoted": 1}


def test_the_version_in_force_on_each_date_is_used(tmp_path: Path, tables: Path) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    written(folder, "effective_from: 2025-01-01\n", "one.yaml")
    later = PROGRAM.replace("revenue: 500", "revenue: 400") + "effective_from: 2025-05-01\n"
    (folder / "two.yaml").write_text(later, encoding="utf-8")
    result = run_backtest(folder, tables, months("2025-03-31", "2025-05-31"))
    assert [one.categories[0].version for one in result.periods] == ["2025-01-01", "2025-01-01", "2025-05-01"]
    assert moved(result)["2025-05-31"] == {("silver", "gold"): 1}


def test_costs_are_added_up_at_each_date(tmp_path: Path, tables: Path) -> None:
    program = written(tmp_path, "costs: {rebate: discount * revenue, visit: 10}\n")
    result = run_backtest(program, tables, months("2025-06-30", "2025-09-30", "quarter"))
    first, second = (one.categories[0].costs for one in result.periods)
    assert first == {"rebate": Decimal("55.00"), "visit": Decimal("30.00")}  # a: 550 at 10 %
    assert second == {"rebate": Decimal("65.00"), "visit": Decimal("30.00")}  # and b: 100 at 10 %


def test_resellers_of_the_bike_shop_fall_when_nothing_is_sold_any_more(
    tmp_path: Path, shared: Path, project: Path
) -> None:
    """The orders end; the last tiers are lost within a year, every one of them by the calendar."""
    bikes.write_tables(shared, tmp_path / "tables")
    last = max(date.fromisoformat(row["closed_on"]) for row in read_rows(tmp_path / "tables" / "opportunities.csv"))
    dates = dates_of(last, last.replace(year=last.year + 1), "quarter")
    result = run_backtest(project / "config" / "programs" / "bike-resellers.yaml", tmp_path / "tables", dates)
    first, *later = (one.categories[0] for one in result.periods)
    assert sum(count for (_, to), count in first.matrix.items() if to != "registered") > 100
    assert all(not moves.words.get("promoted") for moves in later[1:])
    assert sum(moves.words.get("demoted", 0) for moves in later) > 100
    assert {to for (_, to) in later[-1].matrix} == {"registered"}
    assert all(moves.standings == 701 for moves in (first, *later))


# --- what is written and printed


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_the_standings_of_all_dates_stand_in_one_file(tmp_path: Path, tables: Path, ending: str) -> None:
    out = tmp_path / f"all.{ending}"
    result = run_backtest(written(tmp_path), tables, months("2025-01-31", "2025-03-31"), out)
    if ending == "csv":
        with out.open(encoding="utf-8", newline="") as stream:
            rows = [
                (row["as_of"], row["partner_id"], json.loads(row["metrics"])["revenue"])
                for row in csv.DictReader(stream)
            ]
    elif ending == "jsonl":
        lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
        rows = [(row["as_of"], row["partner_id"], row["metrics"]["revenue"]) for row in lines]
    else:
        found = pq.read_table(out).to_pylist()
        rows = [(str(row["as_of"]), row["partner_id"], row["metrics"]["revenue"]) for row in found]
    assert result.rows == len(rows) == 9
    assert rows[-3:] == [("2025-03-31", "a", "450.00"), ("2025-03-31", "b", "0.00"), ("2025-03-31", "c", "0.00")]
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_the_command_prints_a_matrix_for_each_period(tmp_path: Path, tables: Path) -> None:
    program = written(tmp_path)
    told = ended("backtest", str(program), "--tables", str(tables), "--from", "2025-06-30", "--to", "2026-03-30",
                 "--every", "quarter")  # fmt: skip
    assert told.code == 0
    blocks = told.out.split("\n\n")
    assert blocks[0].splitlines() == [
        "2025-06-30: entered 3",
        "from \\ to  gold  registered",
        "(new)         1           2",
    ]
    assert blocks[-2].splitlines() == [
        "2025-12-30 to 2026-03-30: unchanged 2, demoted 1",
        "from \\ to   silver  registered",
        "gold             1           0",
        "silver           1           0",
        "registered       0           1",
    ]
    assert "nothing but the calendar moves" in blocks[-1]


def test_the_command_gives_the_same_as_json(tmp_path: Path, tables: Path) -> None:
    told = ended("backtest", str(written(tmp_path)), "--tables", str(tables), "--from", "2025-06-30",
                 "--to", "2025-09-30", "--every", "year", "--json")  # fmt: skip
    content = json.loads(told.out)
    assert content["dates"] == ["2025-06-30", "2025-09-30"]
    last = content["periods"][-1]["categories"][0]
    assert last["movement"] == {"unchanged": 2, "promoted": 1}
    assert {"from": "registered", "to": "silver", "count": 1} in last["matrix"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--every", "often"], "--every often"),
        (["--from", "2026-01-01"], "is after --to"),
        (["--out", "x.txt"], "--out x.txt"),
    ],
)
def test_wrong_flags_end_with_4(tmp_path: Path, tables: Path, flags: list[str], told: str) -> None:
    usual = {"--tables": str(tables), "--from": "2025-06-30", "--to": "2025-09-30"}
    usual |= dict(zip(flags[::2], flags[1::2], strict=True))
    arguments = [word for pair in usual.items() for word in pair]
    result = ended("backtest", str(written(tmp_path)), *arguments)
    assert result.code == 4
    assert told in result.err


def test_rejected_rows_end_with_3(tmp_path: Path, tables: Path) -> None:
    with (tables / "opportunities.csv").open("a", encoding="utf-8") as stream:
        stream.write("4,nobody,true,true,5,2025-01-01\n")
    told = ended(
        "backtest", str(written(tmp_path)), "--tables", str(tables), "--from", "2025-06-30", "--to", "2025-06-30"
    )
    assert told.code == 3
    assert "left out: opportunities.csv:5: partner_id nobody" in told.out
