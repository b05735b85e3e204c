"""The engine beside a slow oracle of its own making: random programs on random tables, equal in every decided column.

Half of the examples have a second assessment, on other tables, that starts from the standings of the first. What is not
compared: texts, what a gap says beyond its criteria, and other programs whose tiers are read.

`SOAK_EXAMPLES` sets how many programs are tried, other ones on each run (make soak); without it always the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, note, seed, settings

from crmsync.levelling import engine
from crmsync.levelling import rows as rows_of_tables
from crmsync.levelling.assess import assess
from crmsync.programs.loading import load_programs
from crmsync.programs.program import Program
from tests.conftest import PROJECT
from tests.levelling.facts import Facts, plain, snapshot_of, standings_file
from tests.levelling.oracle import COLUMNS, standings
from tests.levelling.oracle_remembered import state_of
from tests.levelling.oracle_versions import on_day
from tests.levelling.worlds import Base, files_of, worlds

EXAMPLES = int(os.environ.get("SOAK_EXAMPLES", "28"))
PARTS = 4  # so that the workers share them
WITHOUT_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""An example takes a second: what fails is told as it stands, with its program and tables."""


@pytest.mark.timeout(60 + 4 * EXAMPLES)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_engine_equals_the_oracle(part: int) -> None:
    """Whatever the program and the tables, both come to the same standings."""
    if "SOAK_EXAMPLES" in os.environ:
        compare_many(part)
        return
    # Hypothesis draws from the constants of all modules that are loaded: alone, the examples are the same each time
    call = [sys.executable, "-m", "tests.levelling.test_oracle", str(part)]
    ended = subprocess.run(call, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def compare_many(part: int) -> None:
    """One part of the examples; every other part as on a large base: standings in many turns, few things as bits."""
    with ExitStack() as patches:
        if part % 2:
            patches.enter_context(patch.multiple(engine, SMALL_BASE=0, PIECE=2, TURN=2))
            patches.enter_context(patch.object(rows_of_tables, "MANY_ROWS", 0))
        _compare_many(part)


def _compare_many(part: int) -> None:
    @settings(max_examples=EXAMPLES // PARTS, phases=WITHOUT_SHRINKING, database=None, deadline=None)
    @given(world=worlds())
    def same(world: tuple[str, Base]) -> None:
        text, base = world
        note(text)
        compare(text, base)

    same() if "SOAK_EXAMPLES" in os.environ else seed(part)(same)()


def compare(text: str, base: Base) -> None:
    with tempfile.TemporaryDirectory(prefix="oracle-") as scratch:
        folder = Path(scratch)
        for name, content in files_of(text).items():
            (folder / name).write_text(content, encoding="utf-8")
        program = load_programs(folder, base.facts.types)[-1]
        last = base.as_of.replace(day=1)
        before = previous_rows(on_day(program, last), base)
        file = standings_file(folder, program.key, last, before) if before and last < base.as_of else None
        assessed = compared(program, base.facts, base.as_of, folder / "first", file, before if file else (), last)
        if not assessed.differences and base.later is not None:
            facts, day = base.later
            rows = assessed.standings.to_pylist()
            before = [row for row in rows if row["movement"] is not None]
            found = compared(program, facts, day, folder / "later", assessed.standings, before, base.as_of)
            assessed.differences.extend(f"later: {one}" for one in found.differences)
    if assessed.differences:
        note(shown(base))
    assert not assessed.differences, "\n".join(assessed.differences)


@dataclass
class Compared:
    """The standings of the engine, and what differs from those of the oracle."""

    standings: Any
    differences: list[str]


def compared(
    program: Program, facts: Facts, as_of: date, folder: Path, source: Any, before: Sequence[Any], last: date
) -> Compared:
    """One assessment by both; `source`: the standings before for the engine, `before`: its rows, of day `last`."""
    snapshot, report = snapshot_of(folder, facts)
    assert not report.rejected, report.rejected
    found = assess(program, snapshot, as_of, source).standings
    wanted = standings(program, facts, as_of, before, last)
    return Compared(found, list(differing(plain(found), wanted)))


def previous_rows(program: Program, base: Base) -> list[dict[str, Any]]:
    rows = []
    for row in base.previous or ():
        if row["category"] not in program.categories:
            continue
        keys = [tier.key for tier in program.ladder_of(row["category"]).tiers]
        names = ("earned", "granted", "pending")
        tiers = {f"{name}_tier": None if row[name] is None else keys[row[name]] for name in names}
        kept = {key: value for key, value in row.items() if key not in names}
        rows.append({**kept, **tiers, "program_version": program.version})
    return rows


def differing(found: Any, wanted: Any) -> Any:
    if set(found) != set(wanted):
        yield f"rows {sorted(found)}, expected {sorted(wanted)}"
    for key in sorted(set(found) & set(wanted)):
        have, want = comparable(found[key], wanted[key]), comparable(wanted[key], wanted[key])
        for column in COLUMNS:
            if have[column] != want[column]:
                yield f"{key} {column}: {have[column]!r}, expected {want[column]!r}"


def comparable(row: Any, wanted: Any) -> Any:
    """A row as both can be compared: a gap without hints (levers, what is exhausted), nothing empty in JSON."""
    paths = {entry["path"] for entry in wanted["gap"]}
    splits = {key: value for key, value in row["metrics"].items() if value is not None or "[" not in key}
    return {
        **row,
        "gap": [{**entry, "exhausted": None} for entry in row["gap"] if entry["path"] in paths],
        "metrics": splits,
        "state": state_of(row) or None,
        "benefits": row["benefits"] and {key: value for key, value in row["benefits"].items() if value is not None},
        "overrides": sorted(row["overrides"], key=repr),
    }


def shown(base: Base) -> str:
    lines = [f"as_of {base.as_of}, last day {base.facts.last_day}, previous {base.previous}"]
    for table, rows in base.facts.rows.items():
        lines += [f"{table}: { {k: v for k, v in row.items() if v is not None} }" for row in rows]
    if base.later is not None:
        facts, day = base.later
        lines.append(f"later, on {day}")
        for table, rows in facts.rows.items():
            lines += [f"later {table}: { {k: v for k, v in row.items() if v is not None} }" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    compare_many(int(sys.argv[1]))
