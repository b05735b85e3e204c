"""A snapshot is sealed as a whole or not at all, and notices when it is not as it was sealed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pytest

from crmsync.errors import DataError, StoreError
from crmsync.snapshots import (
    MANIFEST,
    RejectedPartner,
    Snapshot,
    Staging,
    TableFile,
    open_snapshot,
    retain_snapshots,
    write_table,
)
from crmsync.tables import ColumnType

COLUMNS = {"partner_id": ColumnType.TEXT}


def staged(folder: Path, *ids: str) -> Staging:
    staging = Staging(folder)
    rows = pa.table({"partner_id": pa.array(ids, pa.string())})
    path = staging.path("partners")
    staging.add(TableFile("partners", path, write_table(path, rows, COLUMNS), COLUMNS))
    return staging


def sealed(folder: Path, *ids: str) -> Snapshot:
    return staged(folder, *ids).seal({"partners": {"read": len(ids)}})


def test_what_was_sealed_is_opened_again(tmp_path: Path) -> None:
    snapshot = sealed(tmp_path / "s", "1", "2")
    assert snapshot == open_snapshot(tmp_path / "s", verify=True)
    assert snapshot.tables["partners"].rows == 2
    assert snapshot.counts == {"partners": {"read": 2}}


def test_equal_tables_have_equal_digests_and_others_have_others(tmp_path: Path) -> None:
    digests = [sealed(tmp_path / name, *ids).digest for name, ids in (("a", "12"), ("b", "12"), ("c", "13"))]
    assert digests[0] == digests[1] != digests[2]


def test_a_staging_is_no_snapshot(tmp_path: Path) -> None:
    staging = staged(tmp_path / "s", "1")
    for folder in (tmp_path / "s", staging.folder):
        with pytest.raises(DataError, match="not a sealed snapshot"):
            open_snapshot(folder)


def test_two_runs_may_stage_the_same_snapshot(tmp_path: Path) -> None:
    """The one that seals last wins, whole."""
    first, second = staged(tmp_path / "s", "1"), staged(tmp_path / "s", "2", "3")
    second.seal()
    first.seal()
    assert open_snapshot(tmp_path / "s", verify=True).tables["partners"].rows == 1
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_discarded_staging_leaves_nothing(tmp_path: Path) -> None:
    staged(tmp_path / "s", "1").discard()
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_delivered_once(tmp_path: Path) -> None:
    staging = staged(tmp_path / "s", "1")
    with pytest.raises(DataError, match="partners was delivered twice"):
        staging.add(staging.tables["partners"])


def test_a_changed_table_is_noticed_on_request(tmp_path: Path) -> None:
    table = sealed(tmp_path / "s", "1").tables["partners"].path
    content = bytearray(table.read_bytes())
    content[8] ^= 1
    table.write_bytes(content)
    with pytest.raises(DataError, match=r"partners\.parquet: is not as it was sealed"):
        open_snapshot(tmp_path / "s", verify=True)


def test_a_cut_off_missing_or_exchanged_table_is_noticed_always(tmp_path: Path) -> None:
    table = sealed(tmp_path / "s", "1").tables["partners"].path
    other = sealed(tmp_path / "o", "1", "2").tables["partners"].path.read_bytes()
    for content, words in (
        (table.read_bytes()[:-5], "cannot be read"),
        (other, "holds 2 rows, but 1"),
        (None, "missing"),
    ):
        table.unlink() if content is None else table.write_bytes(content)
        with pytest.raises(DataError, match=words):
            open_snapshot(tmp_path / "s")


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest["tables"]["partners"]["columns"].update(partner_id="number"),
        lambda manifest: manifest.update(format=2),
        lambda manifest: manifest.update(tables=[]),
        lambda manifest: manifest.pop("digest"),
    ],
)
def test_a_changed_manifest_is_noticed(tmp_path: Path, change: object) -> None:
    path = sealed(tmp_path / "s", "1").folder / MANIFEST
    manifest = json.loads(path.read_text())
    change(manifest)  # type: ignore[operator]
    path.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"snapshot\.json"):
        open_snapshot(tmp_path / "s")


def test_a_full_disk_is_a_store_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(StoreError, match="/dev/full: cannot be written"):
        write_table(Path("/dev/full"), pa.table({"partner_id": ["1"] * 100_000}), COLUMNS)


def test_a_place_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be staged here"):
        Staging(tmp_path / "file" / "s")


def test_the_newest_and_the_named_snapshots_are_kept(tmp_path: Path) -> None:
    for place in range(5):
        manifest = sealed(tmp_path / f"run{place}", "1").folder / MANIFEST
        os.utime(manifest, (place, place))
    removed = retain_snapshots(tmp_path, keep=2, always=["run1"])
    assert [path.name for path in removed] == ["run0", "run2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run1", "run3", "run4"]


def test_only_stagings_left_long_ago_are_removed(tmp_path: Path) -> None:
    old, running = staged(tmp_path / "a", "1").folder, staged(tmp_path / "b", "1").folder
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    assert retain_snapshots(tmp_path) == (old,)
    assert running.is_dir()


def test_many_small_batches_make_few_row_groups(tmp_path: Path) -> None:
    batch = pa.record_batch({"partner_id": ["1"] * 1000})
    assert write_table(tmp_path / "t.parquet", [batch] * 130, COLUMNS) == 130_000
    assert pa.parquet.read_metadata(tmp_path / "t.parquet").num_row_groups == 2


def test_rejected_partners_are_part_of_the_digest(tmp_path: Path) -> None:
    plain = sealed(tmp_path / "plain", "a")
    staging = staged(tmp_path / "other", "a")
    staging.rejected_partners |= {"c": RejectedPartner("partners.csv:3"), "b": RejectedPartner("partners.csv:2")}
    snapshot = staging.seal()
    assert snapshot.rejected_partners == ("b", "c")
    assert snapshot.digest != plain.digest
    manifest = snapshot.folder / MANIFEST
    manifest.write_text(manifest.read_text(encoding="utf-8").replace('"c"', '"d"'), encoding="utf-8")
    with pytest.raises(DataError, match="not as it was sealed"):
        open_snapshot(snapshot.folder)


def test_a_manifest_that_knows_no_rejected_partners_is_still_opened(tmp_path: Path) -> None:
    snapshot = sealed(tmp_path / "s", "a")
    manifest = json.loads((snapshot.folder / MANIFEST).read_text(encoding="utf-8"))
    del manifest["rejected_partners"]
    (snapshot.folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert open_snapshot(snapshot.folder) == snapshot
