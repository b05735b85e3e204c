"""Levelling without a CRM or a ledger: a folder of tables and a program in, standings or an explanation out."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from crmsync.connectors.checks import check_rows
from crmsync.connectors.files import read_tables
from crmsync.errors import ConfigError, Rejected
from crmsync.exits import DONE, PARKED
from crmsync.levelling.assess import assess
from crmsync.levelling.standings import read_standings, write_standings
from crmsync.logs import configure_logs
from crmsync.programs.loading import load_programs, money_columns
from crmsync.progress import progress_bars
from crmsync.settings import load_settings
from crmsync.snapshots import Snapshot, Staging
from crmsync.tables import ColumnType

if TYPE_CHECKING:
    from crmsync.connectors.base import Progress
    from crmsync.levelling.explain import Explanation
    from crmsync.programs.program import Program

ENGINES = ("duckdb",)
ENDINGS = (".csv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class Assessed:
    """What `assess` gave: where the standings are, what was left out and what is worth knowing."""

    out: Path
    standings: pa.Table
    rejected: tuple[Rejected, ...]
    rejected_file: Path | None
    direct: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """3 with rejected rows, else 0."""
        return PARKED if self.rejected else DONE


@dataclass(frozen=True)
class Tables:
    """A folder of tables, checked and typed. `direct`: rows of nobody, per table."""

    snapshot: Snapshot
    rejected: tuple[Rejected, ...]
    direct: Mapping[str, int]
    notes: tuple[str, ...]


def assess_folder(
    program: Path, tables: Path, as_of: date, out: Path, previous: Path | None = None, engine: str = "duckdb"
) -> Assessed:
    """Write the standings of every partner to `out` and bad rows to `out`.rejected.csv.

    Errors: ConfigError for the program, the tables as a whole, or the ending of `out`; nothing is written then.
    """
    configure_logs(load_settings().log_level)
    _check_request(out, previous, engine)
    with progress_bars() as progress, _opened(tables, money_columns(program), progress) as read:
        found = [
            assess(one, read.snapshot, as_of, previous=previous)
            for one in load_programs(program, columns=_columns(read.snapshot))
        ]
        standings = pa.concat_tables([one.standings for one in found])
    rejected = (*read.rejected, *(bad for one in found for bad in one.rejected))
    write_standings(standings, out)
    notes = (*read.notes, *(note for one in found for note in one.notes))
    return Assessed(out, standings, rejected, record_rejected(out, rejected), read.direct, notes)


def explain_folder(
    program: Path, tables: Path, as_of: date, partner: str, category: str | None, previous: Path | None
) -> Explanation:
    """How one partner's tier follows from the tables of a folder, for the file's only program."""
    from crmsync.levelling.explain import explain

    configure_logs(load_settings().log_level)
    with progress_bars() as progress, _opened(tables, money_columns(program), progress) as read:
        one = only_program(program, load_programs(program, columns=_columns(read.snapshot)))
        return explain(one, read.snapshot, as_of, partner, category, previous=previous)


def only_program(path: Path, programs: Sequence[Program]) -> Program:
    """The one program of a file or folder. Errors: ConfigError when there are several to choose from."""
    if len(programs) != 1:
        names = ", ".join(program.key for program in programs)
        raise ConfigError(
            f"holds {len(programs)} programs ({names}); name the file of the one you mean", file=str(path)
        )
    return programs[0]


def record_rejected(out: Path, rejected: Sequence[Rejected]) -> Path | None:
    """Write what was left out beside `out`; returns the file, None (and no file) when nothing was."""
    path = out.with_name(f"{out.name}.rejected.csv")
    if not rejected:
        path.unlink(missing_ok=True)  # an old list would be taken for this result's
        return None
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "line", "column", "value", "reason"))
        writer.writerows((bad.file, bad.line, bad.column, bad.value, bad.reason) for bad in rejected)
    return path


def _check_request(out: Path, previous: Path | None, engine: str) -> None:
    if engine not in ENGINES:
        raise ConfigError(f"--engine {engine} is not built yet; this version computes with duckdb")
    if out.suffix not in ENDINGS:
        raise ConfigError(f"--out {out} ends in `{out.suffix}`; write one of {', '.join(ENDINGS)}")
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: the folder {out.parent} does not exist")
    if previous is not None:
        read_standings(previous)


def _columns(snapshot: Snapshot) -> dict[str, Mapping[str, ColumnType]]:
    return {name: table.columns for name, table in snapshot.tables.items()}


@contextmanager
def _opened(folder: Path, money: frozenset[tuple[str, str]], progress: Progress) -> Iterator[Tables]:
    """The tables of a folder as a snapshot that lives as long as the block."""
    if not folder.is_dir():
        raise ConfigError("this folder does not exist; --tables names a folder with partners.csv", file=str(folder))
    with tempfile.TemporaryDirectory(prefix="crmsync-") as scratch:
        staging = Staging(Path(scratch) / "tables")
        report = read_tables(folder, staging, money=money, progress=progress)
        checks = check_rows(staging)
        rejected = (*report.rejected, *checks.rejected)
        yield Tables(staging.seal(), rejected, checks.direct, report.notes)
