"""Standings carried from date to date: the days on the way count, however often somebody asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crmsync.errors import ConfigError
from crmsync.levelling.assess import assess, assess_programs
from crmsync.levelling.standings import COLUMNS, write_standings
from crmsync.programs.loading import load_programs
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from tests.levelling.facts import facts_of, plain, program_of, snapshot_of

LADDER = """\
metrics: {a: {field: partners.a}}
ladders:
  main:
    tiers:
      - low
      - {key: mid, requires: {a: 10}, keeps: {a: 8}}
      - {key: high, requires: {a: 20}, keeps: {a: 15}}
      - {key: top, requires: {a: 30}}
"""
MOVEMENTS = {
    "calendars": "{promote: quarterly, demote: yearly}",
    "grace and steps": "{promote: quarterly, demote: {on: [01-15, 07-15], grace: 40 days, steps: 1}}",
    "lag": "{promote: {on: [02-10], effective: after 2 months},"
    " demote: {on: quarterly, effective: first of next month}}",
    "hold and freeze": "{promote: quarterly, demote: {on: quarterly, grace: 20 days}, hold: {newcomers: 14 months,"
    " after_promotion: 5 months}, freeze: [{where: a < 9, from: 2027-03-20, until: 2027-05-05}]}",
    "anniversary": "{promote: anniversary, demote: {on: anniversary, grace: 10 days}}",
    "approval": "{promote: {on: quarterly, approval: yes}, demote: {on: yearly, approval: yes}}",
}
START = date(2026, 11, 20)
TOLD = ("calculated_tier", "earned_tier", "granted_tier", "pending_tier", "pending_on", "tier_since", "grace_until",
        "next_review", "state")  # fmt: skip


def world(folder: Path, movement: str) -> tuple[Program, Snapshot, pa.Table]:
    """Partners who stood on every tier, with numbers for every other one; and their standings."""
    rows: list[dict[str, Any]] = []
    stood: list[dict[str, Any]] = []
    for at, tier in enumerate(("low", "mid", "high", "top")):
        for a in (0, 8.5, 12, 16, 25, 40):
            partner = f"{tier}{a}"
            rows.append({"partner_id": partner, "a": a, "joined_on": date(2026, 2 + at, 14)})
            stood.append({"partner_id": partner, "earned_tier": tier, "granted_tier": tier})
    facts = facts_of({"partners": rows})
    snapshot, _ = snapshot_of(folder / "snapshot", facts)
    program = program_of(folder, f"program: p\nmovement: {movement}\n{LADDER}", facts.types)
    return program, snapshot, before(stood)


def before(rows: list[dict[str, Any]]) -> pa.Table:
    given = {"program": "p", "as_of": START, "category": "all", "movement": "unchanged", "tier_since": START}
    whole = [{**dict.fromkeys(COLUMNS), **given, "overrides": [], **row} for row in rows]
    dates = ("as_of", "tier_since", "grace_until", "pending_on")
    kinds = {name: pa.date32() if name in dates else pa.string() for name in COLUMNS}
    kinds |= {"overrides": pa.list_(pa.struct([("kind", pa.string())])), "state": pa.null()}
    return pa.Table.from_pylist(whole, pa.schema(list(kinds.items())))


@pytest.mark.parametrize("name", MOVEMENTS)
def test_the_days_on_the_way_count_however_often_somebody_asks(name: str, tmp_path: Path) -> None:
    """With dates alone deciding, one look after a year gives what a look every few days gives."""
    program, snapshot, stood = world(tmp_path, MOVEMENTS[name])
    last = date(2027, 8, 3)
    carried, day = stood, START
    while day < last:
        day = min(day + timedelta(days=77), last)
        carried = assess(program, snapshot, day, carried, light=True).standings
    at_once = plain(assess(program, snapshot, last, stood).standings)
    step_by_step = plain(carried)
    assert step_by_step.keys() == at_once.keys()
    for key, row in at_once.items():
        told = {column: row[column] for column in TOLD}
        assert told == {column: step_by_step[key][column] for column in TOLD}, key
    assert {row["movement"] for row in at_once.values()} > {"unchanged"}


def test_light_standings_tell_the_same_tiers(tmp_path: Path) -> None:
    """A light assessment leaves out what is not needed to go on, and nothing else."""
    program, snapshot, stood = world(tmp_path, MOVEMENTS["grace and steps"])
    whole = assess(program, snapshot, date(2027, 1, 20), stood).standings
    light = assess(program, snapshot, date(2027, 1, 20), stood, light=True).standings
    assert light.column_names == whole.column_names
    same = ("partner_id", "category", "movement", "previous_tier", "headline_tier", *TOLD)
    assert light.select(same).to_pylist() == whole.select(same).to_pylist()
    assert light.column("metrics").null_count == light.num_rows


FIRST = """\
program: first
movement: {demote: yearly}
metrics: {a: {field: partners.a}}
ladders: {main: {tiers: [low, {key: high, requires: {a: 20}, keeps: {a: 5}}]}}
"""
SECOND = """\
program: second
metrics: {standing: {tier_of: {program: first}}}
ladders: {main: {tiers: [none_yet, {key: star, requires: {standing: 2}}]}}
"""


def test_a_program_that_another_reads_is_assessed_first_and_remembers(tmp_path: Path) -> None:
    """`keeps` holds the tier of the first program, and so the second one's; without memory it would not."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "a_second.yaml").write_text(SECOND, encoding="utf-8")
    (tmp_path / "programs" / "first.yaml").write_text(FIRST, encoding="utf-8")
    carried: pa.Table | None = None
    found = {}
    for day, a in ((date(2026, 11, 21), 20), (date(2026, 12, 1), 6), (date(2027, 2, 1), 1)):
        facts = facts_of({"partners": [{"partner_id": "A", "a": a}]})
        snapshot, _ = snapshot_of(tmp_path / f"snapshot{day}", facts)
        programs = load_programs(tmp_path / "programs", facts.types)
        both = [one.standings for one in assess_programs(programs, snapshot, day, carried)]
        carried = pa.concat_tables(both, promote_options="permissive")
        found[day] = {row["program"]: row["granted_tier"] for row in carried.to_pylist()}
    assert found == {
        date(2026, 11, 21): {"second": "star", "first": "high"},
        date(2026, 12, 1): {"second": "star", "first": "high"},
        date(2027, 2, 1): {"second": "none_yet", "first": "low"},
    }


def test_a_program_that_is_new_beside_others_is_assessed_for_the_first_time(tmp_path: Path) -> None:
    facts = facts_of({"partners": [{"partner_id": "A", "a": 20}]})
    snapshot, _ = snapshot_of(tmp_path / "snapshot", facts)
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs" / "first.yaml").write_text(FIRST, encoding="utf-8")
    first = assess_programs(load_programs(tmp_path / "programs", facts.types), snapshot, date(2026, 11, 21))
    (tmp_path / "programs" / "second.yaml").write_text(SECOND, encoding="utf-8")
    file = tmp_path / "first.csv"
    write_standings(first[0].standings, file)
    programs = load_programs(tmp_path / "programs", facts.types)
    both = assess_programs(programs, snapshot, date(2026, 11, 22), file)
    words = {row["program"]: row["movement"] for one in both for row in one.standings.to_pylist()}
    assert words == {"first": "unchanged", "second": "entered"}
    with pytest.raises(ConfigError, match="holds no standings of program second"):
        assess(programs[-1], snapshot, date(2026, 11, 22), file)


def test_a_partner_whose_row_is_rejected_keeps_all_that_is_remembered(tmp_path: Path) -> None:
    program, snapshot, stood = world(tmp_path, MOVEMENTS["hold and freeze"])
    first = assess(program, snapshot, date(2027, 4, 2), stood).standings
    file = tmp_path / "first.parquet"
    write_standings(first, file)
    facts = facts_of({"partners": [{"partner_id": "low40", "a": 40, "joined_on": date(2026, 1, 1)}]})
    others, _ = snapshot_of(tmp_path / "others", facts)
    without = replace(others, rejected_partners=("low25",))
    found = plain(assess(program, without, date(2027, 4, 3), file).standings)["low25", "all"]
    row = plain(first)["low25", "all"]
    for column in ("earned_tier", "granted_tier", "tier_since", "state"):
        assert found[column] == row[column]
    assert row["state"] is not None
