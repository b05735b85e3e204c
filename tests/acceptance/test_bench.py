"""What `make bench` prints: a table for each measurement, an end on any machine, and differences that are seen."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import growth
from bench.__main__ import main
from bench.base import Size
from bench.children import OvertimeError, figures_of
from bench.equality import differing
from bench.growth import PAIRS, Taken
from bench.tables import Table


def test_a_table_reads_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    """Figures to the right with two decimals, counts with thousands, texts to the left; what is unknown is empty."""
    Table("Belt", ("stage", "seconds", "peak MB"), [["all", 1.5, 12_345], ["the org", None, 9]], "Aim: 20 s.").print()
    assert capsys.readouterr().out.splitlines() == [
        "", "## Belt", "", "Aim: 20 s.", "",
        "| stage   | seconds | peak MB |",
        "| ------- | ------: | ------: |",
        "| all     |    1.50 |  12,345 |",
        "| the org |         |       9 |",
    ]  # fmt: skip


def test_work_that_takes_too_long_is_stopped() -> None:
    """The measurement goes on; the message names the work and the limit."""
    with pytest.raises(OvertimeError, match=r"timeit .* was stopped after 0\.3 seconds"):
        figures_of("timeit", "-n1", "-r1", "import time; time.sleep(60)", limit=0.3)


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux keeps it")
def test_memory_is_that_of_the_process_itself() -> None:
    """Not that of the larger process which started it, with which the count of the system begins."""
    ballast = b"x" * 200_000_000
    found = figures_of("tests.acceptance.tiny")
    assert found["peak_mb"] < 100 < len(ballast)


def test_a_stopped_run_still_gives_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side is measured, nothing is compared, and the row says so."""

    def slow(_module: str, way: str, *_others: object, limit: float) -> dict[str, float]:
        if way == "channel":
            raise OvertimeError(f"{way} was stopped after {limit} seconds")
        return {"start": 0.5, "seconds": 2.0, "cpu": 3.0, "peak_mb": 100.4}

    monkeypatch.setattr(growth, "figures_of", slow)
    monkeypatch.setattr("bench.base.cache_folder", lambda: tmp_path)
    pair = next(one for one in PAIRS if one.ours == "channel")
    taken = growth.measured(pair, Size(10, 200, 50))
    row = growth._row(taken, before=None)
    assert row == [None, "stopped after 900", None, None, 2.0, 3.0, 100, None, None, "not compared"]


def test_a_failed_run_still_gives_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it said is printed, and the whole measurement ends with 1."""

    def broken(_module: str, way: str, *_others: object, **_options: object) -> dict[str, float]:
        raise RuntimeError(f"{way} ended with 1:\nno column amount")

    monkeypatch.setattr(growth, "figures_of", broken)
    monkeypatch.setattr("bench.base.cache_folder", lambda: tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["--only", "assess", "--partners", "10"])
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert said.out.count("| failed ") == 2 * len(PAIRS)
    assert said.err.count("no column amount") == 2 * len(PAIRS)


def test_growth_is_against_the_size_before() -> None:
    """Of CPU seconds, as the ratio is."""
    small, large, by_hand = (growth.Figures(0.1, seconds, cpu, 50) for seconds, cpu in ((1, 2), (3, 10), (2, 4)))
    *_, ratio, grown, unequal = growth._row(Taken(large, by_hand, {"gap": 1_200, "risk": 3}), small)
    assert (ratio, grown, unequal) == (2.5, 5.0, "gap 1,200, risk 3")


def test_any_difference_is_counted(tmp_path: Path) -> None:
    """Of a cell, of a lever inside a gap, and of a row that only one side has."""
    lever = {"metric": "deals", "value": "3", "required": "5", "missing": "2", "met": False, "path": "all/1/more"}
    rows = [
        {"partner_id": key, "category": "msp", "risk": "low", "gap": [lever | {"exhausted": False}]} for key in "abc"
    ]
    ours, by_hand = tmp_path / "ours.parquet", tmp_path / "by-hand.parquet"
    pq.write_table(pa.Table.from_pylist(rows), ours)
    pq.write_table(pa.Table.from_pylist(rows), by_hand)
    assert differing(ours, by_hand, ("risk", "gap")) == {}
    changed = [rows[0] | {"risk": None}, rows[1] | {"gap": [lever | {"missing": "1", "exhausted": False}]}]
    pq.write_table(pa.Table.from_pylist(changed), by_hand)
    assert differing(ours, by_hand, ("risk", "gap")) == {"partner_id": 1, "risk": 2, "gap": 2}
