"""The files of a run are kept whole: the program that is loaded from the ledger is the one that ran."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from crmsync.errors import StoreError
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.texts import read_kept, record_files, restore_files
from crmsync.programs.files_read import files_read
from crmsync.programs.loading import load_programs

BASE = """\
program: reading
currency: EUR
rates: rates.csv
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won}
  other: {tier_of: {program: first}}
ladders:
  main:
    tiers:
      - {key: basic, label: Basic}
      - {key: gold, label: Gold, requires: {revenue: 5000, other: 1}}
"""
FIRST = """\
program: first
currency: EUR
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won}
ladders:
  main:
    tiers:
      - {key: basic, label: Basic}
      - {key: gold, label: Gold, requires: {revenue: 5000}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    programs = tmp_path / "config" / "programs"
    programs.mkdir(parents=True)
    (programs / "first.yaml").write_text(FIRST)
    return programs


def kept(ledger: Ledger, configured: Path) -> str:
    digest, files = read_kept(configured, files_read(configured))
    record_files(ledger, digest, files)
    return digest


@pytest.mark.parametrize("as_folder", [False, True])
def test_what_is_restored_loads_as_the_same_programs(
    ledger: Ledger, folder: Path, tmp_path: Path, project: Path, as_folder: bool
) -> None:
    for name in ("programs", "references"):
        shutil.copytree(project / "config" / name, folder.parent / name, dirs_exist_ok=True)
    configured = folder if as_folder else folder / "first.yaml"
    digest = kept(ledger, configured)
    assert kept(ledger, configured) == digest
    loaded = {one.digest for one in load_programs(configured)}
    restored = restore_files(ledger, digest, tmp_path / "elsewhere")
    assert restored.is_dir() is as_folder
    assert {one.digest for one in load_programs(restored)} == loaded


def test_a_program_brings_those_that_it_reads_and_its_tables(ledger: Ledger, folder: Path, tmp_path: Path) -> None:
    (folder / "rates.csv").write_text("currency,date,rate\nEUR,2026-01-01,1\nUSD,2026-01-01,0.9\n")
    (folder / "reading.yaml").write_text(BASE)
    configured = folder / "reading.yaml"
    assert {file.name for file in files_read(configured)} == {"reading.yaml", "first.yaml", "rates.csv"}
    digest = kept(ledger, configured)
    shutil.rmtree(folder)
    restored = restore_files(ledger, digest, tmp_path / "elsewhere")
    assert [one.key for one in load_programs(restored)] == ["first", "reading"]


def test_a_changed_or_missing_text_is_refused(ledger: Ledger, folder: Path, tmp_path: Path) -> None:
    digest = kept(ledger, folder / "first.yaml")
    with pytest.raises(StoreError, match="were never kept"):
        restore_files(ledger, "ab" * 32, tmp_path / "a")
    with ledger.writing() as connection:
        connection.execute(text("UPDATE file_text SET text = text || '#'"))
    with pytest.raises(StoreError, match=r"first\.yaml of .* was changed"):
        restore_files(ledger, digest, tmp_path / "b")
