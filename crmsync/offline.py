"""Levelling without a CRM or a ledger: a folder of tables and a program in, standings or an explanation out."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.connectors.base import ExtractReport, Progress
from crmsync.connectors.files import tables_of
from crmsync.errors import ConfigError, Rejected, StoreError
from crmsync.exits import DONE, PARKED
from crmsync.levelling.standings import check_ending, read_standings, together, write_standings
from crmsync.logs import configure_logs
from crmsync.programs.loading import load_programs, money_columns
from crmsync.programs.versions import all_in_force
from crmsync.progress import progress_bars
from crmsync.settings import Settings, load_settings
from crmsync.snapshots import Snapshot
from crmsync.spreadsheets import harmless_cell
from crmsync.tables import CANONICAL, ColumnType

if TYPE_CHECKING:
    from crmsync.levelling.assess import Assessment
    from crmsync.levelling.engine import Engine
    from crmsync.levelling.explain import Explanation
    from crmsync.programs.program import Program

ENGINES = ("duckdb", "spark")


@dataclass(frozen=True)
class AssessedFolder:
    """What `assess` gave: where the standings are, how many of how many partners, what was left out (`direct`: rows of
    nobody, per table)."""

    out: Path
    standings: int
    partners: int
    rejected: tuple[Rejected, ...]
    rejected_file: Path | None
    direct: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """3 with rejected rows, else 0."""
        return PARKED if self.rejected else DONE


def assess_folder(
    program: Path, tables: Path, as_of: date, out: Path, previous: Path | None = None, engine: str = "duckdb"
) -> AssessedFolder:
    """Write the standings of every partner to `out` and bad rows to `out`.rejected.csv.

    Errors: ConfigError for the program, the tables as a whole, or the ending of `out`; nothing is written then.
    """
    from crmsync.levelling.assess import assess_programs

    settings = load_settings()
    configure_logs(settings.log_level, settings.secrets())
    _check_request(out, tables, previous, engine)
    with progress_bars() as progress, _opened(program, tables, progress) as (snapshot, report):
        progress("assess", 0, None)
        with _engine(engine, settings) as chosen:
            found = assess_programs(_programs(program, snapshot), snapshot, as_of, previous, chosen)
        count = _Count()
        write_standings(count.of(_parts(found)), out)
        progress("assess", count.standings, count.standings)
    rejected = (*report.rejected, *(bad for one in found for bad in one.rejected))
    notes = (*report.notes, *(note for one in found for note in one.notes))
    rejected_file = record_rejected(out, rejected)
    return AssessedFolder(out, count.standings, count.partners, rejected, rejected_file, report.direct, notes)


def _parts(found: Sequence[Assessment]) -> Iterable[pa.Table]:
    """The standings of all programs, some partners after the others; of several programs in one piece."""
    return found[0].parts if len(found) == 1 else [together([one.standings for one in found])]


class _Count:
    """Counts standings and partners on their way, in the order of partner_id."""

    def __init__(self) -> None:
        self.standings = self.partners = 0
        self._last: pa.Scalar | None = None

    def of(self, parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables, counted."""
        for part in parts:
            self._add(part.column("partner_id"))
            yield part

    def _add(self, partners: pa.ChunkedArray) -> None:
        self.standings += len(partners)
        if len(partners):
            self.partners += pc.count_distinct(partners).as_py() - (partners[0] == self._last)
            self._last = partners[-1]


@contextmanager
def _engine(name: str, settings: Settings) -> Iterator[Engine | None]:
    """The engine of this name; None is the one that needs no setting."""
    if name == "duckdb":
        yield None
        return
    from crmsync.levelling.engine_spark import SparkEngine

    token = settings.spark_token.get_secret_value() if settings.spark_token else None
    engine = SparkEngine(settings.spark_remote, settings.spark_scratch, token)
    try:
        yield engine
    finally:
        engine.close()


def explain_folder(
    program: Path,
    tables: Path,
    as_of: date,
    partner: str,
    category: str | None,
    previous: Path | None,
    why_not: str | None = None,
) -> Explanation:
    """How one partner's tier follows from the tables of a folder, for the file's only program.

    `why_not`: a tier that the partner does not have.
    """
    from crmsync.levelling.explain import explain

    configure_logs(load_settings().log_level)
    with progress_bars() as progress, _opened(program, tables, progress) as (snapshot, _):
        programs = _programs(program, snapshot)
        one = only_program(program, programs, as_of)
        others = [other for other in programs if other.key != one.key]
        return explain(one, snapshot, as_of, partner, category, previous, why_not, others)


def only_program(path: Path, programs: Sequence[Program], as_of: date | None = None) -> Program:
    """The one program of a file or folder, in its version of that day (None: the last).

    Errors: ConfigError when there are several to choose from.
    """
    found = all_in_force(programs, as_of or date.max)
    named = [program for program in found if program.file == path] or found
    if len(named) != 1:
        names = ", ".join(program.key for program in named)
        raise ConfigError(f"holds {len(named)} programs ({names}); name the file of one", file=str(path))
    return named[0]


def record_rejected(out: Path, rejected: Sequence[Rejected]) -> Path | None:
    """Write what was left out beside `out`; returns the file, None (and no file) when nothing was."""
    path = out.with_name(f"{out.name}.rejected.csv")
    try:
        if not rejected:
            path.unlink(missing_ok=True)  # an old list would be taken for this result's
            return None
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("file", "line", "column", "value", "reason"))
            cells = ((bad.file, bad.line, bad.column, bad.value, bad.reason) for bad in rejected)
            writer.writerows([harmless_cell(cell) for cell in row] for row in cells)
    except OSError as error:
        raise StoreError(f"{path}: the rejected rows cannot be written ({error.strerror})") from error
    return path


def row_of(bad: Rejected) -> tuple[str, str, str]:
    """What a row that was left out is told by from run to run: place, column and value, as its list has them."""
    return harmless_cell(bad.file), harmless_cell(bad.column), harmless_cell(bad.value)


def rejected_rows(out: Path) -> list[tuple[str, str, str]]:
    """The rows of the list that `record_rejected` wrote beside `out`, as `row_of` tells them; none where there is no
    list."""
    path = out.with_name(f"{out.name}.rejected.csv")
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return [(row["file"], row["column"], row["value"]) for row in csv.DictReader(stream)]
    except (OSError, KeyError, csv.Error):
        return []


def _check_request(out: Path, tables: Path, previous: Path | None, engine: str) -> None:
    if engine not in ENGINES:
        raise ConfigError(f"--engine {engine} is not known; choose one of {', '.join(ENGINES)}")
    check_ending(out, "--out")
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: the folder {out.parent} does not exist")
    if out.parent.resolve() == tables.resolve() and (out.stem in CANONICAL or (out.exists() and not _is_ours(out))):
        raise ConfigError(f"--out {out}: is one of the tables it would be made from; give it another name")
    if previous is not None:
        read_standings(previous)


def _is_ours(out: Path) -> bool:
    """Whether a file holds standings that an earlier `assess` wrote."""
    try:
        read_standings(out, ("program", "as_of", "partner_id", "granted_tier"))
    except ConfigError:
        return False
    return True


def _programs(path: Path, snapshot: Snapshot) -> list[Program]:
    columns: dict[str, Mapping[str, ColumnType]] = {name: table.columns for name, table in snapshot.tables.items()}
    return load_programs(path, columns=columns)


@contextmanager
def _opened(program: Path, folder: Path, progress: Progress) -> Iterator[tuple[Snapshot, ExtractReport]]:
    """The tables of a folder as a snapshot that lives as long as the block."""
    load_programs(program)  # a mistake in the program is told before the tables are read
    if not folder.is_dir():
        raise ConfigError("this folder does not exist; --tables names a folder with partners.csv", file=str(folder))
    with tempfile.TemporaryDirectory(prefix="crmsync-") as scratch:
        yield tables_of(folder, Path(scratch), money_columns(program), progress=progress)
