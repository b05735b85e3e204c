"""A disk that is really full: a small file system in memory, in a mount namespace that goes with its process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.belt.conftest import Crmsync, Folder
from tests.belt.full_disk import FOLDERS

pytestmark = pytest.mark.timeout(280)

NAMESPACES = (["unshare", "--user", "--map-root-user", "--mount"], ["unshare", "--mount"])
"""As anybody where the kernel lets users do so, else as root."""


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The beginning of a command that may mount. Skips where the kernel lets nobody do so here."""
    place = tmp_path_factory.mktemp("place")
    for namespace in NAMESPACES:
        try:
            mounts = [*namespace, "mount", "-t", "tmpfs", "tmpfs", str(place)]
            told = subprocess.run(mounts, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"no mount namespaces here: {error}")
        if not told.returncode:
            return namespace
    pytest.skip(f"no mount namespaces here: {told.stderr.strip()}")


@pytest.fixture(scope="module")
def found(apart: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of the runs of `full_disk.py`."""
    root = tmp_path_factory.mktemp("full")
    folder = Folder(root)
    folder.change("crmsync.yaml", "at_least: 2, share: 5%", "at_least: 100, share: 100%")
    folder.deals({"P1": 2000, "P2": 2000, "P3": 2000})
    command = [*apart, sys.executable, "-m", "tests.belt.full_disk", str(root)]
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=270
    )
    assert not ended.returncode, ended.stderr
    content: dict[str, Any] = json.loads(ended.stdout)
    return content


def names_the_disk(told: str) -> bool:
    return told.startswith("crmsync: state/") and ("disk is full" in told or "No space left on device" in told)


def test_a_run_on_a_full_disk_ends_with_6_and_the_next_one_with_room_goes_on(found: dict[str, Any]) -> None:
    tried = found["state"]["tried"]
    assert len(tried) > 2, "the disk must be full in several stages of a run"
    assert [code for code, _, _ in tried] == [6] * (len(tried) - 1) + [0]
    for _, told, _ in tried[:-1]:
        assert names_the_disk(told), told
    assert not any(wrote for _, _, wrote in tried[:2]), "what was not planned whole is not written"
    assert found["state"]["again"][0] == 0
    assert found["state"]["verified"][0] == 0, found["state"]["verified"]


def test_what_was_interrupted_by_a_full_disk_is_written_once(found: dict[str, Any]) -> None:
    lines = found["state"]["written"].splitlines()
    accounts = [line for line in lines if line.startswith("P1,")]
    assert len(accounts) == 1, lines
    assert "Silver" in accounts[0]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_full_folder_beside_a_ledger_with_room_stops_the_run_before_it_writes(
    found: dict[str, Any], name: str
) -> None:
    """As where the ledger is in PostgreSQL."""
    one = found[name]
    assert one["code"] == 6, one
    assert f"state/{name}/" in one["told"]
    assert names_the_disk(one["told"]), one["told"]
    assert not one["changed"]


def test_with_room_the_next_run_writes_what_none_of_them_could(found: dict[str, Any]) -> None:
    assert found["then"]["run"][0] == 0
    assert "\nP1,Silver," in found["state"]["written"]
    assert "\nP1,Gold," in found["then"]["written"]


def test_a_run_for_which_the_disk_has_no_room_reads_nothing(
    crmsync: Crmsync, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.deals({"P1": 2000})
    assert crmsync("run", "--config", "config", "--as-of", "2026-11-01").code == 0
    before = folder.written, sorted((tmp_path / "state" / "snapshots").iterdir())
    (snapshot,) = before[1]
    size = sum(file.stat().st_size for file in snapshot.iterdir())
    folder.deals({"P1": 7000})
    monkeypatch.setattr("crmsync.room.free_bytes", lambda _: 2 * size - 1)
    for command in ("run", "plan"):
        refused = crmsync(command, "--config", "config", "--as-of", "2026-11-02")
        assert refused.code == 6
        assert "nothing was read and nothing sent; make room" in refused.err
    assert (folder.written, sorted((tmp_path / "state" / "snapshots").iterdir())) == before
    monkeypatch.setattr("crmsync.room.free_bytes", lambda _: 2 * size)
    assert crmsync("plan", "--config", "config", "--as-of", "2026-11-02").code == 2
