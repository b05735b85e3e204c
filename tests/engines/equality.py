"""The same assessment on DuckDB and on Spark, compared in every column, type, note and refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from crmsync.errors import CrmsyncError
from crmsync.levelling import assess as spine
from crmsync.levelling.assess import Assessment
from crmsync.levelling.engine_spark import SparkEngine
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot

Assess = Callable[..., Assessment]
AssessPrograms = Callable[..., list[Assessment]]
the_real_one: AssessPrograms = spine.assess_programs


def assess_on_both(remote: str) -> Assess:
    """Stands in for `assess`: gives DuckDB's result after it was compared with Spark's. Errors: AssertionError."""
    on_both = assess_programs_on_both(remote)

    def assess(program: Program, snapshot: Snapshot, as_of: date, previous: Any = None, **more: Any) -> Assessment:
        more.pop("light", None)  # every column is compared, whatever a case asks for
        return on_both([program], snapshot, as_of, previous, **more)[0]

    return assess


def assess_programs_on_both(remote: str) -> AssessPrograms:
    """The same for `assess_programs`."""

    def assess(
        programs: Sequence[Program], snapshot: Snapshot, as_of: date, previous: Any = None, **more: Any
    ) -> list[Assessment]:
        given = (programs, snapshot, as_of, previous)
        expected = _result(lambda: the_real_one(*given, **more))
        found = _on_spark(remote, lambda engine: the_real_one(*given, engine, **more))
        if isinstance(found, CrmsyncError) and LOST in str(found):
            found = _on_spark(remote, lambda engine: the_real_one(*given, engine, **more))
        if isinstance(expected, list) and isinstance(found, list):
            for program, here, there in zip(programs, expected, found, strict=False):
                unequal = list(differences(here, there))
                assert not unequal, f"as of {as_of}, {program.file}\n" + "\n".join(unequal)
            return expected
        told = [one if isinstance(one, CrmsyncError) else "standings" for one in (found, expected)]
        assert type(expected) is type(found), f"Spark: {told[0]!r}, DuckDB: {told[1]!r}"
        assert isinstance(expected, CrmsyncError)
        raise expected

    return assess


LOST = "task context not found for operation"
"""Now and then Sail sends an answer whose bytes gRPC cannot read, and does not know the operation any more when it is
asked again. It says nothing about the standings, so these are computed once more, in a session of their own."""


def _on_spark(remote: str, assessed: Callable[[SparkEngine], list[Assessment]]) -> list[Assessment] | CrmsyncError:
    engine = SparkEngine(remote)
    try:
        return _result(lambda: assessed(engine))
    finally:
        engine.close()


def _result(assessed: Callable[[], list[Assessment]]) -> list[Assessment] | CrmsyncError:
    try:
        return assessed()
    except CrmsyncError as refusal:
        return refusal


def differences(expected: Assessment, found: Assessment) -> Iterator[str]:
    """What differs between two assessments, as texts."""
    yield from differing_tables(expected.standings, found.standings)
    if expected.notes != found.notes:
        yield f"notes: {found.notes!r}, DuckDB {expected.notes!r}"
    if expected.rejected != found.rejected:
        yield f"rejected: {found.rejected!r}, DuckDB {expected.rejected!r}"


def differing_tables(expected: pa.Table, found: pa.Table) -> Iterator[str]:
    """Columns, types and cells that differ; rows are told by their first text columns."""
    if expected.schema != found.schema:
        types = zip(expected.schema, found.schema, strict=False)
        told = [f"{there} (DuckDB {here})" for here, there in types if here != there]
        yield f"types: {told or (found.schema.names, expected.schema.names)}"
    if len(expected) != len(found):
        yield f"{len(found)} rows, DuckDB {len(expected)}"
    for here, there in zip(expected.to_pylist(), found.to_pylist(), strict=False):
        for column in here.keys() | there.keys():
            if here.get(column) != there.get(column):
                row = "/".join(str(here[name]) for name in ("partner_id", "category") if name in here)
                yield f"{row} {column}: {there.get(column)!r}, DuckDB {here.get(column)!r}"


def scratch_folders(folder: Path) -> list[Path]:
    """What engines left behind in a scratch folder."""
    return sorted(folder.glob("crmsync-spark-*"))
