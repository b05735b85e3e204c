"""`crmsync assess --engine spark`: the same file, byte for byte, and a clear word where it cannot be."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from crmsync import offline
from crmsync.errors import ConfigError
from tests.engines.equality import scratch_folders

AS_OF = date(2026, 11, 22)
PROGRAM = """
program: resellers
currency: EUR
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months, rolls_up: sum}
  certified: {unit: people, count_distinct: certifications.person_id}
ladders:
  main:
    tiers:
      - registered
      - {key: silver, requires: {revenue: 100000, certified: 1}}
      - {key: gold, requires: {revenue: 500000, certified: 2}}
"""
TABLES = {
    "partners": "partner_id,name,parent_id,region\nA,Äpfel,,EMEA\nB,Birnen,A,APAC\nC,,,\n",
    "opportunities": "opportunity_id,partner_id,amount,is_won,is_closed,closed_on\n1,A,60000.10,true,true,2026-05-01\n"
    "2,B,40000,true,true,2026-06-01\n3,C,1,no way,true,2026-06-01\n",
    "certifications": "certification_id,partner_id,person_id,issued_on,expires_on\n1,A,x,2026-01-01,2026-12-24\n",
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    for name, text in TABLES.items():
        (tmp_path / "tables" / f"{name}.csv").write_text(text, encoding="utf-8")
    path = tmp_path / "resellers.yaml"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_the_file_is_the_same(
    program: Path, ending: str, remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("CRMSYNC_SPARK_REMOTE", remote)
    monkeypatch.setenv("CRMSYNC_SPARK_SCRATCH", str(scratch))
    out = {name: tmp_path / f"{name}{ending}" for name in ("duckdb", "spark")}
    for name, path in out.items():
        done = offline.assess_folder(program, tmp_path / "tables", AS_OF, path, engine=name)
        assert (done.exit_code, len(done.rejected)) == (3, 1)
    assert b"silver" in out["spark"].read_bytes()
    assert out["spark"].read_bytes() == out["duckdb"].read_bytes()
    assert scratch_folders(scratch) == []


def test_without_a_server_nothing_is_written(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMSYNC_SPARK_REMOTE", "sc://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"no Spark Connect server answers at 127\.0\.0\.1:1"):
        offline.assess_folder(program, tmp_path / "tables", AS_OF, tmp_path / "out.csv", engine="spark")
    assert not (tmp_path / "out.csv").exists()


def test_another_engine_is_refused(program: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--engine flink is not known; choose one of duckdb, spark"):
        offline.assess_folder(program, tmp_path / "tables", AS_OF, tmp_path / "out.csv", engine="flink")
