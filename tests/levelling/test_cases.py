"""Rules as text: every case of tests/cases gives facts and a program, and says what must come out.

A file holds `program` (YAML text; `$name` is replaced by the text that a case gives under `with`), `as_of`, `tables`,
`files`, `columns` (types of columns that may be empty) and `cases`. A case may give its own of each; tables replace
those of the file one by one. `expect` names partners (`P` or `P/category`) and any columns of the standings: `metrics`
by metric, `gap` by path. `absent`: rows that must not be there. `notes`, `rejected`: texts that must be found.
`error`: the refusal. `on`: dates one after the other, each with what it changes (`tables`, `previous` and so on stay
as they were) and its own `expect`; standings are carried from one to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from crmsync.errors import CrmsyncError
from crmsync.levelling.assess import Assessment, assess
from crmsync.levelling.standings import write_standings
from crmsync.levelling.summary import LIGHT
from crmsync.tables import ColumnType
from tests.levelling.facts import facts_of, plain, program_of, snapshot_of, standings_file

FOLDER = Path(__file__).parent.parent / "cases"
INLINE = re.compile(r"\$([a-z]+)")
KEYS = {"name", "program", "with", "as_of", "tables", "files", "previous", "before", "last_day", "columns", "expect",
        "absent", "notes", "rejected", "error", "why", "on"}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One case with what its file gives to all of them."""

    file: str
    given: Mapping[str, Any]

    def get(self, key: str, otherwise: Any = None) -> Any:
        return self.given.get(key, otherwise)


@cache
def read_page(path: Path) -> Mapping[str, Any]:
    """A file of cases, read once for all the modules that use them: it takes longer than most tests."""
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def cases() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.yaml")):
        whole = read_page(path)
        for case in whole["cases"]:
            assert set(case) <= KEYS, f"{path.name}: {case.get('name')}: {set(case) - KEYS}"
            given = {**whole, **case}
            given["tables"] = {**whole.get("tables", {}), **case.get("tables", {})}
            given["with"] = {**whole.get("with", {}), **case.get("with", {})}
            given["files"] = {**whole.get("files", {}), **case.get("files", {})}
            yield pytest.param(Case(path.name, given), id=f"{path.stem}: {case['name']}")


def program_text(case: Case) -> str:
    """The program with each `$name` line replaced, at the line's own indentation."""
    lines = []
    for line in case.get("program").splitlines():
        word = line.strip()
        if not word.startswith("$"):
            lines.append(INLINE.sub(lambda found: str(case.get("with").get(found[1], "")), line))
            continue
        indent = line[: len(line) - len(line.lstrip())]
        lines += [indent + inner for inner in str(case.get("with").get(word[1:], "")).splitlines()]
    return "\n".join(lines) + "\n"


def result_of(case: Case, folder: Path) -> Assessment:
    columns = {table: {c: ColumnType(k) for c, k in cs.items()} for table, cs in case.get("columns", {}).items()}
    facts = facts_of(case.get("tables"), delivered=columns, last_day=case.get("last_day", False))
    snapshot, report = snapshot_of(folder / "snapshot", facts)
    program = program_of(folder, program_text(case), facts.types, case.get("files"))
    previous = None
    if (before := case.get("before")) is not None:
        previous = folder / "before.parquet"
        write_standings(assess(program, snapshot, before).standings, previous)
    if (given := case.get("previous")) is not None:
        previous = standings_file(folder, program.key, given["as_of"], given["rows"])
    previous = case.get("carried", previous)
    found = assess(program, snapshot, case.get("as_of"), previous, light=is_light(case))
    return replace(found, rejected=(*report.rejected, *found.rejected))


def is_light(case: Case) -> bool:
    """Whether only what a light assessment gives is expected: the rest takes most of the time."""
    expected = {column for columns in case.get("expect", {}).values() for column in columns}
    return expected <= LIGHT and not case.get("notes")


CARRIED_AS = ("csv", "jsonl", "parquet")


def steps_of(case: Case, folder: Path) -> Iterator[tuple[Case, Assessment]]:
    """Each date of a case with what is found on it; every step is carried in a file of another format."""
    steps = case.get("on")
    if steps is None:
        yield case, result_of(case, folder)
        return
    carried: Path | None = None
    given = dict(case.given)
    for number, step in enumerate(steps):
        assert set(step) <= KEYS, f"{case.file}: {case.get('name')}: {set(step) - KEYS}"
        given = {**given, **{key: step.get(key) for key in ("expect", "absent", "rejected", "notes", "error")}, **step}
        given["tables"] = {**case.get("tables"), **given.get("tables", {})}
        given = {key: value for key, value in given.items() if value is not None}
        if carried is not None:
            given.pop("previous", None)
            given["carried"] = carried
        place = folder / f"step{number}"
        place.mkdir()
        found = result_of(Case(case.file, given), place)
        yield Case(case.file, given), found
        carried = place / f"standings.{CARRIED_AS[number % 3]}"
        write_standings(found.standings, carried)


@pytest.mark.parametrize("case", list(cases()))
def test_case(case: Case, tmp_path: Path) -> None:
    """What the case expects comes out."""
    if (refusal := case.get("error")) is not None:
        with pytest.raises(CrmsyncError) as told:
            result_of(case, tmp_path)
        assert refusal in str(told.value)
        return
    differences = [
        f"{step.get('as_of')}: {difference}" if case.get("on") else difference
        for step, found in steps_of(case, tmp_path)
        for difference in differences_of(step, found)
    ]
    assert not differences, "\n".join(differences)


def differences_of(case: Case, found: Assessment) -> Iterator[str]:
    """Where what was found is not what the case expects."""
    rows = plain(found.standings)
    for name, columns in case.get("expect", {}).items():
        for difference in differing(rows.get(key_of(name)), columns):
            yield f"{name}.{difference}"
    yield from (f"{name}: must not be there" for name in case.get("absent", ()) if key_of(name) in rows)
    yield from missing_texts("note", case.get("notes", ()), found.notes)
    bad = [f"{one.file}:{one.line}: {one.column} {one.value}: {one.reason}" for one in found.rejected]
    yield from missing_texts("rejected", case.get("rejected", ()), bad)


def key_of(name: str) -> tuple[str, str]:
    partner, _, category = name.partition("/")
    return partner, category or "all"


def missing_texts(what: str, wanted: Any, found: Any) -> list[str]:
    return [f"no {what} says {text!r}: {list(found)}" for text in wanted if not any(text in one for one in found)]


def differing(row: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Iterator[str]:
    if row is None:
        yield "is not there"
        return
    for column, value in wanted.items():
        if column in ("metrics", "benefits"):
            for metric, expected in value.items():
                if row[column][metric] != expected:
                    yield f"{column}.{metric}: {row[column][metric]!r}, expected {expected!r}"
        elif column == "gap":
            yield from differing_gap(row["gap"], value)
        elif shown(row[column], value) != value:
            yield f"{column}: {row[column]!r}, expected {value!r}"


def differing_gap(gap: list[Mapping[str, Any]], wanted: Any) -> Iterator[str]:
    found = {entry["path"]: entry for entry in gap}
    if list(found) != list(wanted):
        yield f"gap: paths {list(found)}, expected {list(wanted)}"
        return
    for path, expected in wanted.items():
        for key, value in expected.items():
            if found[path][key] != value:
                yield f"gap {path} {key}: {found[path][key]!r}, expected {value!r}"


def shown(value: Any, wanted: Any) -> Any:
    """A value as a case writes it."""
    if isinstance(value, Decimal) and isinstance(wanted, int | float):
        return type(wanted)(value) if Decimal(str(wanted)) == value else value
    if isinstance(value, date) and isinstance(wanted, str):
        return value.isoformat()
    return value
