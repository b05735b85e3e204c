"""Several files with one key are versions, and a migration leads from one to the next."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.offline import only_program
from crmsync.programs.loading import load_programs, money_columns
from crmsync.programs.versions import in_force

BODY = """\
metrics:
  people: {unit: people, count_distinct: certifications.person_id}
ladders:
  main:
    tiers:
      - registered
      - {key: TIER, requires: {people: 5}}
"""


def write(folder: Path, name: str, head: str, tier: str = "gold") -> Path:
    file = folder / name
    file.write_text(f"program: resellers\n{head}{BODY.replace('TIER', tier)}", encoding="utf-8")
    return file


def test_versions_stand_oldest_first_and_know_the_one_before(tmp_path: Path) -> None:
    write(tmp_path, "b.yaml", "effective_from: 2027-01-01\n")
    write(tmp_path, "a.yaml", "effective_from: 2026-07-01\n")
    write(tmp_path, "c.yaml", "")
    found = load_programs(tmp_path)
    assert [one.file.name for one in found] == ["c.yaml", "a.yaml", "b.yaml"]
    assert [one.before.file.name if one.before else None for one in found] == [None, "c.yaml", "a.yaml"]


@pytest.mark.parametrize(
    ("as_of", "name"),
    [
        (date(2020, 1, 1), "a.yaml"),  # none has begun: the first
        (date(2026, 7, 1), "a.yaml"),
        (date(2026, 12, 31), "a.yaml"),
        (date(2027, 1, 1), "b.yaml"),
    ],
)
def test_the_version_of_a_day_is_the_last_that_has_begun(tmp_path: Path, as_of: date, name: str) -> None:
    write(tmp_path, "b.yaml", "effective_from: 2027-01-01\n")
    write(tmp_path, "a.yaml", "effective_from: 2026-07-01\n")
    assert in_force(load_programs(tmp_path), as_of).file.name == name
    assert only_program(tmp_path, load_programs(tmp_path), as_of).file.name == name


@pytest.mark.parametrize(
    ("head", "line", "problem"),
    [("", 1, "both have no `effective_from:`"), ("effective_from: 2026-01-01\n", 2, "both have `effective_from: 2026")],
)
def test_two_versions_from_one_day_are_refused(tmp_path: Path, head: str, line: int, problem: str) -> None:
    first, second = write(tmp_path, "a.yaml", head), write(tmp_path, "b.yaml", head)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_programs(tmp_path)
    assert (caught.value.file, caught.value.line) == (str(second), line)
    assert str(first) in caught.value.message


MIGRATION = "effective_from: 2027-01-01\nmigration:\n  keep_until: 2027-06-30\n  becomes: {bronze: registered}\n"


def test_a_migration_maps_the_tiers_of_the_version_before(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "", "bronze")
    file = write(tmp_path, "b.yaml", MIGRATION)
    for path in (tmp_path, file):  # the version before is found beside a single file too
        found = load_programs(path)[-1]
        assert found.migration is not None
        assert (found.migration.keep_until, found.migration.becomes) == (date(2027, 6, 30), {"bronze": "registered"})
        assert found.before is not None
        assert found.before.file.name == "a.yaml"
    assert [one.file.name for one in load_programs(file)] == ["b.yaml"]


def test_a_migration_names_tiers_that_are_there(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "", "silver")
    write(tmp_path, "b.yaml", MIGRATION)
    with pytest.raises(ConfigError, match="has no tier `bronze`") as caught:
        load_programs(tmp_path)
    assert (caught.value.file, caught.value.line) == (str(tmp_path / "b.yaml"), 5)


@pytest.mark.parametrize(
    ("head", "line", "problem"),
    [
        ("migration: {keep_until: 2027-06-30}\n", 2, "`migration:` needs `effective_from:`"),
        (MIGRATION.replace("2027-06-30", "2026-06-30"), 4, "lies before `effective_from: 2027-01-01`"),
        (MIGRATION.replace("registered", "registerd"), 5, "did you mean `registered`?"),
        (MIGRATION.replace("keep_until", "keep_till"), 4, "unknown key `keep_till`; did you mean `keep_until`?"),
    ],
)
def test_mistakes_in_a_migration(tmp_path: Path, head: str, line: int, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        load_programs(write(tmp_path, "a.yaml", head))
    assert caught.value.line == line


def test_a_file_alone_is_its_program_without_strangers_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "")
    (tmp_path / "broken.yaml").write_text("program: [", encoding="utf-8")
    file = write(tmp_path, "b.yaml", "money: [activities.value]\n")
    assert [one.file for one in load_programs(file)] == [file]
    assert money_columns(file) == {("activities", "value")}
