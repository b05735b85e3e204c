"""Rows that wait, in memory or in a file, come out as they went in, as often as they are asked for."""

from __future__ import annotations

import errno
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from crmsync.errors import StoreError
from crmsync.levelling import kept
from crmsync.levelling.kept import Kept, Parts
from crmsync.levelling.standings import write_standings


def rows(first: int, count: int) -> pa.Table:
    numbers = pa.array(range(first, first + count), pa.int64())
    return pa.table({"partner_id": pc.cast(numbers, pa.string()), "gap": pa.array([[n] for n in range(count)])})


def filled(*counts: int) -> Kept:
    waiting, first = Kept(), 0
    for count in counts:
        waiting.add(rows(first, count) if count else rows(0, 1).slice(0, 0))
        first += count
    return waiting


@pytest.mark.parametrize("large", [10, 1_000_000])
@pytest.mark.parametrize("spooled", [10, 1_000_000])
def test_as_often_as_asked_for(spooled: int, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "SPOOLED", spooled)
    monkeypatch.setattr(kept, "LARGE", large)
    waiting = filled(700, 1, 300)
    parts = Parts(waiting, lambda part: part.append_column("more", part.column("partner_id")))
    assert parts.rows == 1_001
    assert [part.num_rows for part in parts] == [700, 1, 300]
    whole = parts.table()
    assert whole.select(["partner_id"]).equals(rows(0, 1_001).select(["partner_id"]))
    assert whole.column("more").equals(whole.column("partner_id"))
    half_way = iter(parts)
    next(half_way)
    assert parts.then(lambda part: part.drop_columns(["gap", "more"])).table().equals(whole.select(["partner_id"]))
    assert next(half_way).num_rows == 1


@pytest.mark.parametrize("large", [0, 1_000_000])
def test_turns_without_rows_are_left_out_unless_there_is_nothing_else(
    large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LARGE", large)
    assert [part.num_rows for part in filled(0, 5, 0, 3, 0).taken()] == [5, 3]
    assert [part.num_rows for part in filled(0, 0).taken()] == [0]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_file_of_parts_is_that_of_the_table(ending: str, tmp_path: Path) -> None:
    parts = Parts(filled(7, 11), lambda part: part)
    write_standings(parts, tmp_path / f"parts{ending}")
    write_standings(parts.table().combine_chunks(), tmp_path / f"table{ending}")
    if ending == ".parquet":
        assert pq.read_table(tmp_path / "parts.parquet").equals(parts.table())
    else:
        assert (tmp_path / f"parts{ending}").read_bytes() == (tmp_path / f"table{ending}").read_bytes()


class Full(BytesIO):
    """A disk without room."""

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_no_room_for_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", lambda _: Full())
    with pytest.raises(StoreError, match=r"has no room for 3 standings that wait \(No space left on device\)"):
        filled(3, 4)
