"""The files connector does what every connector does, and what is special about its write-back file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crmsync.connectors.base import Write
from crmsync.connectors.files import FilesConnector
from crmsync.errors import ConfigError, StoreError
from crmsync.snapshots import Staging
from tests.connectors.contract import SourceContract, TargetContract

FILES = {
    "partners": "partner_id,name,declared_categories,seats\np1,One,A;B,5\np2,Two,,\np3,Three,,1\n",
    "opportunities": "opportunity_id,partner_id,amount,closed_on\na,p1,1.5,2026-01-31\nb,,2,\nc,p9,x,\n",
    "lines": "partner_id,happened_on,mrr\np1,2026-01-31,5\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "folder"
    place.mkdir()
    for name, text in FILES.items():
        (place / f"{name}.csv").write_text(text)
    return place


class TestFilesAsSource(SourceContract):
    @pytest.fixture
    def source(self, folder: Path) -> FilesConnector:
        return FilesConnector(folder)

    @pytest.fixture
    def tables(self) -> Sequence[str]:
        return ["partners", "opportunities", "lines"]


@dataclass(frozen=True)
class Partners:
    ids: Sequence[str] = ("p1", "p2", "p3")
    fields: tuple[str, str] = ("granted_tier", "next_tier")


class TestFilesAsTarget(TargetContract):
    @pytest.fixture
    def target(self, folder: Path) -> FilesConnector:
        return FilesConnector(folder)

    @pytest.fixture
    def records(self) -> Partners:
        return Partners()


def test_a_second_write_of_the_same_values_leaves_the_file_alone(folder: Path) -> None:
    connector = FilesConnector(folder)
    write = Write("p1", {"granted_tier": "Gold"}, {"granted_tier": None})
    connector.write_one(write)
    before = (folder / "writeback.csv").stat()
    assert connector.write_one(write).state == "applied"
    after = (folder / "writeback.csv").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_the_file_is_plain_csv_ordered_by_record(folder: Path) -> None:
    connector = FilesConnector(folder)
    connector.write_one(Write("p2", {"granted_tier": "Gold"}, {}))
    connector.write_one(Write("p1", {"risk": "low", "granted_tier": None}, {}))
    assert (folder / "writeback.csv").read_bytes() == b"record_id,granted_tier,risk\r\np1,,low\r\np2,Gold,\r\n"


def test_current_values_has_a_row_for_every_partner(folder: Path, tmp_path: Path) -> None:
    connector = FilesConnector(folder)
    connector.write_one(Write("p2", {"granted_tier": "Gold"}, {}))
    staging = Staging(tmp_path / "snapshot")
    connector.extract(["partners", "current_values"], staging)
    assert pq.read_table(staging.tables["current_values"].path).to_pylist() == [
        {"record_id": "p1", "partner_id": "p1", "granted_tier": None},
        {"record_id": "p2", "partner_id": "p2", "granted_tier": "Gold"},
        {"record_id": "p3", "partner_id": "p3", "granted_tier": None},
    ]


def test_a_job_leaves_records_alone_that_changed_since_the_plan(folder: Path) -> None:
    connector = FilesConnector(folder)
    connector.write_one(Write("p1", {"granted_tier": "Silver"}, {}))
    job = connector.create_job()
    connector.upload_job(job, [Write(one, {"granted_tier": "Gold"}, {"granted_tier": None}) for one in ("p1", "p2")])
    connector.start_job(job)
    assert [(one.record_id, one.state) for one in connector.job_results(job)] == [("p1", "conflict"), ("p2", "applied")]
    assert connector.read(["p1", "p2"], ["granted_tier"]) == {
        "p1": {"granted_tier": "Silver"}, "p2": {"granted_tier": "Gold"},
    }  # fmt: skip


def test_many_writes_of_one_job_replace_the_file_once(folder: Path) -> None:
    connector = FilesConnector(folder)
    job = connector.create_job()
    connector.upload_job(job, [Write(f"p{place}", {"tier": "Gold"}, {"tier": None}) for place in range(20_000)])
    connector.start_job(job)
    assert connector.job_state(job).processed == 20_000


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("id,tier\n1,Gold\n", 1, "has no column record_id"),
        ("record_id,tier\n1,Gold\n2\n", 3, "too few cells"),
        ('record_id,tier\n1,"Gold\n', 2, "never closed"),
        ("record_id,tier\n1,Gold\n1,Silver\n", None, "record `1` stands there twice"),
    ],
)
def test_a_damaged_write_back_file_stops_everything(folder: Path, text: str, line: int | None, words: str) -> None:
    (folder / "writeback.csv").write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        FilesConnector(folder).write_one(Write("1", {"tier": "Gold"}, {}))
    assert caught.value.line == line
    assert (folder / "writeback.csv").read_text() == text


def test_a_folder_that_cannot_be_written_is_a_store_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StoreError, match=r"writeback\.csv: cannot be written: No space left on device"):
        FilesConnector(folder).write_one(Write("p1", {"tier": "Gold"}, {}))
    assert not [path for path in folder.iterdir() if path.name.startswith(".writeback")]
