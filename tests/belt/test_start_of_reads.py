"""When a read may ask for changes alone, and when everything is read."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from crmsync import increments, snapshots
from crmsync.belt import programs_of
from crmsync.configuration import Configuration, load_configuration, packaged_folder
from crmsync.increments import start_of
from crmsync.programs.program import Program
from crmsync.snapshots import Staging, TableFile, write_table
from crmsync.tables import ColumnType

DAY = date(2026, 6, 2)


@pytest.fixture(autouse=True)
def _programs_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(increments, "programs_of", lambda _: packaged()[1])


@cache
def packaged() -> tuple[Configuration, list[Program]]:
    """The shipped configuration and its programs."""
    configuration = load_configuration(packaged_folder())
    return configuration, programs_of(configuration)


def belt(digest: str = "one") -> Any:
    return SimpleNamespace(configuration=packaged()[0], config_digest=digest)


def sealed(root: Path, on: date, increments: list[str], digest: str = "one", joined: date | None = None) -> None:
    """A snapshot of that day; of one partner, who joined on a day."""
    start = start_of(belt(digest), root, on)
    staging = Staging(root / f"run-{on.isoformat()}", start.since)
    if joined is not None:
        columns = {"partner_id": ColumnType.TEXT, "joined_on": ColumnType.DATE}
        rows = pa.table({"partner_id": ["p", "q"], "joined_on": pa.array([joined, None], pa.date32())})
        path = staging.path("partners")
        staging.add(TableFile("partners", path, write_table(path, rows, columns), columns))
    staging.held = start.kept({"increments": increments}, on)
    staging.seal()


def test_the_first_read_is_whole(tmp_path: Path) -> None:
    start = start_of(belt(), tmp_path, DAY)
    assert (start.since, start.why) == (None, "there is no earlier read")


def test_a_later_one_starts_from_the_newest_sealed_snapshot(tmp_path: Path) -> None:
    sealed(tmp_path, DAY, [])
    sealed(tmp_path, DAY + timedelta(1), ["partners"])
    (tmp_path / "half").mkdir()
    start = start_of(belt(), tmp_path, DAY + timedelta(2))
    assert start.since is not None
    assert start.since.folder.name == "run-2026-06-03"
    assert start.whole_on == DAY


def test_a_read_that_was_killed_before_its_seal_is_not_started_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill leaves: all files of the snapshot, and no manifest; or the manifest, and not yet in its place."""
    sealed(tmp_path, DAY, [], joined=DAY)
    for killed_in in ("_write_durably", "_move"):
        with monkeypatch.context() as patched:
            patched.setattr(snapshots, killed_in, _killed)
            with pytest.raises(KeyboardInterrupt):
                sealed(tmp_path, DAY + timedelta(1), ["partners"], joined=DAY)
        left = [one.name for one in tmp_path.iterdir() if one.name.endswith(".staging")]
        assert left
        start = start_of(belt(), tmp_path, DAY + timedelta(2))
        assert start.since is not None
        assert (start.since.folder.name, start.whole_on) == (f"run-{DAY.isoformat()}", DAY)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("days", "whole"), [(0, False), (6, False), (7, True), (-1, True)])
def test_a_whole_read_is_due_every_week(tmp_path: Path, days: int, whole: bool) -> None:
    sealed(tmp_path, DAY, [])
    assert (start_of(belt(), tmp_path, DAY + timedelta(days)).since is None) == whole


def test_another_configuration_reads_whole(tmp_path: Path) -> None:
    sealed(tmp_path, DAY, [])
    assert "configuration or the program" in start_of(belt("two"), tmp_path, DAY).why


def test_a_review_date_is_decided_on_a_whole_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on = SimpleNamespace(days=((6, 5), (12, 31)))
    monkeypatch.setattr(
        increments,
        "movements_of",
        lambda _: [SimpleNamespace(promote=SimpleNamespace(on=on), demote=SimpleNamespace(on=None))],
    )
    sealed(tmp_path, DAY, [])
    assert start_of(belt(), tmp_path, date(2026, 6, 4)).since is not None
    for day in (5, 6):  # also where nobody ran on the day itself
        assert "2026-06-05 is a review date" in start_of(belt(), tmp_path, date(2026, 6, day)).why
    sealed(tmp_path, date(2026, 6, 5), [])
    assert start_of(belt(), tmp_path, date(2026, 6, 6)).since is not None


@pytest.mark.parametrize(
    ("joined", "day", "whole"),
    [
        (date(2020, 6, 5), 4, False),
        (date(2020, 6, 5), 5, True),
        (date(2020, 6, 5), 7, True),  # also where nobody ran on the day itself
        (date(2020, 6, 2), 7, False),  # the day of the last whole read
        (date(2026, 6, 5), 7, False),  # the date itself is no return
    ],
)
def test_an_anniversary_of_a_partner_is_decided_on_a_whole_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, joined: date, day: int, whole: bool
) -> None:
    monkeypatch.setattr(increments, "anniversary_columns", lambda _: ("joined_on", "signed_on"))
    sealed(tmp_path, DAY, [], joined=joined)
    start = start_of(belt(), tmp_path, date(2026, 6, day))
    assert (start.since is None) == whole
    assert start.why == ("2026-06-05 is the review date of a partner, an anniversary" if whole else "")
