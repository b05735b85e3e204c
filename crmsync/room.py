"""Whether the disk has room for one more run, before anything is read: half a snapshot helps nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

from crmsync.errors import StoreError
from crmsync.snapshots import sealed_under

TIMES = 2
"""A run needs the snapshot itself, and about as much again for its standings, its plan and the copy of the ledger."""
MB = 1_000_000


def check_room(state: Path) -> None:
    """Refuse while the state folder has less room than twice the last snapshot. Errors: StoreError."""
    needed = TIMES * _last_snapshot(state / "snapshots")
    free = free_bytes(state)
    if free < needed:
        raise StoreError(
            f"{state}: the disk has {free / MB:,.1f} MB left, and a run needs about {needed / MB:,.1f} MB, "
            f"{TIMES} times the last snapshot: nothing was read and nothing sent; make room and run again"
        )


def free_bytes(folder: Path) -> int:
    """What this user may still write on the disk of a folder."""
    return shutil.disk_usage(folder).free


def _last_snapshot(root: Path) -> int:
    """Bytes of the newest sealed snapshot; 0 before the first."""
    sealed = sealed_under(root)
    return sum(file.stat().st_size for file in sealed[-1].parent.rglob("*") if file.is_file()) if sealed else 0
