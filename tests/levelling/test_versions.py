"""Versions of a program over time: which one is in force, what tiers are called then, what a migration keeps."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crmsync.errors import ConfigError
from crmsync.levelling.assess import Assessment, assess, assess_programs
from crmsync.levelling.standings import write_standings
from crmsync.levelling.versions import renamed
from crmsync.programs.loading import load_programs
from crmsync.programs.program import Program
from tests.levelling.facts import facts_of, plain, snapshot_of

OLD = """\
program: p
effective_from: 2026-01-01
movement: {movement}
metrics: {{a: {{field: partners.a}}}}
ladders: {{main: {{tiers: [bronze, {{key: silver, requires: {{a: 10}}}}, {{key: gold, requires: {{a: 20}}}}]}}}}
"""
NEW = """\
program: p
effective_from: 2027-01-01
migration: {{keep_until: 2027-06-30, becomes: {{bronze: registered, silver: plus}}}}
movement: {movement}
metrics: {{a: {{field: partners.a}}}}
ladders: {{main: {{tiers: [registered, {{key: plus, requires: {{a: 15}}}}, {{key: gold, requires: {{a: 50}}}}]}}}}
"""
ANY_DAY = "{demote: any day}"


class World:
    """A folder with two versions, one partner, and standings carried from date to date."""

    def __init__(self, folder: Path, old: str = ANY_DAY, new: str = ANY_DAY) -> None:
        self.folder, self.count = folder, 0
        self.carried: Path | None = None
        (folder / "programs").mkdir()
        (folder / "programs" / "2026.yaml").write_text(OLD.format(movement=old), encoding="utf-8")
        (folder / "programs" / "2027.yaml").write_text(NEW.format(movement=new), encoding="utf-8")

    def on(self, day: date, a: float) -> dict[str, Any]:
        self.count += 1
        facts = facts_of({"partners": [{"partner_id": "A", "a": a}]})
        snapshot, _ = snapshot_of(self.folder / f"snapshot{self.count}", facts)
        programs = load_programs(self.folder / "programs", facts.types)
        (found,) = assess_programs(programs, snapshot, day, self.carried)
        self.carried = self.folder / f"standings{self.count}.jsonl"
        write_standings(found.standings, self.carried)
        return row(found)


def row(found: Assessment) -> dict[str, Any]:
    return plain(found.standings)["A", "all"]


def test_the_version_in_force_is_used(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.on(date(2026, 12, 31), 12)["granted_tier"] == "silver"
    found = world.on(date(2027, 1, 1), 16)
    assert (found["program_version"], found["granted_tier"]) == ("2027-01-01", "plus")


def test_a_tier_keeps_its_place_under_its_new_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.on(date(2026, 12, 1), 5)
    found = world.on(date(2027, 2, 1), 5)
    expected = {"granted_tier": "registered", "previous_tier": "registered", "movement": "program_changed",
                "tier_since": date(2026, 12, 1)}  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert world.on(date(2027, 2, 2), 5)["movement"] == "unchanged"


def test_nobody_falls_below_what_the_version_before_gives_until_the_day(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.on(date(2026, 12, 1), 22)["granted_tier"] == "gold"
    found = world.on(date(2027, 2, 1), 22)
    assert (found["calculated_tier"], found["granted_tier"], found["movement"]) == ("plus", "gold", "unchanged")
    assert world.on(date(2027, 6, 30), 22)["granted_tier"] == "gold"
    found = world.on(date(2027, 7, 1), 22)
    assert (found["granted_tier"], found["movement"]) == ("plus", "demoted")


def test_below_what_the_version_before_gives_a_partner_falls_that_far(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.on(date(2026, 12, 1), 22)
    found = world.on(date(2027, 2, 1), 12)
    assert (found["calculated_tier"], found["granted_tier"], found["movement"]) == ("registered", "plus", "demoted")


def test_review_days_are_assessed_in_the_version_of_their_day(tmp_path: Path) -> None:
    """A demotion date of the old version lies between; on it the old thresholds count."""
    world = World(tmp_path, old="{demote: [12-15]}", new="{demote: [07-15]}")
    assert world.on(date(2026, 12, 1), 22)["granted_tier"] == "gold"
    found = world.on(date(2027, 2, 1), 12)
    assert (found["granted_tier"], found["tier_since"]) == ("plus", date(2026, 12, 15))


def test_a_tier_that_no_version_explains_is_an_error(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.on(date(2026, 12, 1), 22)
    assert world.carried is not None
    text = world.carried.read_text(encoding="utf-8").replace('"gold"', '"platinum"')
    world.carried.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="'platinum' in category all is not a tier of this version"):
        world.on(date(2027, 2, 1), 12)


def test_one_version_alone_is_assessed_as_it_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    facts = facts_of({"partners": [{"partner_id": "A", "a": 22}]})
    snapshot, _ = snapshot_of(tmp_path / "snapshot", facts)
    newest = load_programs(world.folder / "programs", facts.types)[-1]
    assert row(assess(newest, snapshot, date(2026, 5, 1)))["program_version"] == "2026-01-01"


def fewer_categories(folder: Path, types: Any, old: str = ANY_DAY) -> list[Program]:
    """Versions of 2026 (categories one and two; `old` is its movement) and of 2027 (one alone)."""
    ladder = "metrics: {a: {field: partners.a}}\nladders: {main: {tiers: [low, {key: high, requires: {a: 10}}]}}\n"
    folder.mkdir()
    for year, categories in (
        ("2026", f"{{one: {{member: a > 0}}, two: {{member: a > 0}}}}\nmovement: {old}"),
        ("2027", "{one: {member: a > 0}}"),
    ):
        text = f"program: p\neffective_from: {year}-01-01\ncategories: {categories}\n{ladder}"
        (folder / f"{year}.yaml").write_text(text, encoding="utf-8")
    return load_programs(folder, types)


def test_who_came_on_a_review_day_stood_nowhere_before(tmp_path: Path) -> None:
    """B is new: it entered on 15 December in the old version, and leaves category two without ever having stood."""
    first = facts_of({"partners": [{"partner_id": "A", "a": 12}]})
    programs = fewer_categories(tmp_path / "programs", first.types, "{demote: [12-15]}")
    (before,) = assess_programs(programs, snapshot_of(tmp_path / "before", first)[0], date(2026, 12, 1))
    now = facts_of({"partners": [{"partner_id": "A", "a": 12}, {"partner_id": "B", "a": 12}]})
    (found,) = assess_programs(programs, snapshot_of(tmp_path / "now", now)[0], date(2027, 2, 1), before.standings)
    words = {key: (row["movement"], row["previous_tier"]) for key, row in plain(found.standings).items()}
    assert (words["B", "one"], words["B", "two"]) == (("entered", None), ("left", None))


def test_standings_of_a_category_that_the_new_version_lacks_end(tmp_path: Path) -> None:
    facts = facts_of({"partners": [{"partner_id": "A", "a": 12}]})
    snapshot, _ = snapshot_of(tmp_path / "snapshot", facts)
    programs = fewer_categories(tmp_path / "programs", facts.types)
    (old,) = assess_programs(programs, snapshot, date(2026, 12, 1))
    (new,) = assess_programs(programs, snapshot, date(2027, 1, 2), old.standings)
    words = {key: (row["movement"], row["previous_tier"]) for key, row in plain(new.standings).items()}
    assert words == {("A", "one"): ("unchanged", "high"), ("A", "two"): ("left", "high")}
    (later,) = assess_programs(programs, snapshot, date(2027, 1, 3), new.standings)
    assert list(plain(later.standings)) == [("A", "one")]


def test_tiers_that_became_one_are_remembered_by_the_latest_day() -> None:
    days = [date(2026, 11, 1), date(2026, 12, 1)]
    table = pa.table({"earned_tier": ["plus"], "met:plus": [days[1]], "met:silver": [days[0]]})
    found = renamed(table, {"plus": "silver"})
    assert found.to_pylist() == [{"earned_tier": "silver", "met:silver": days[1], "renamed": True}]
