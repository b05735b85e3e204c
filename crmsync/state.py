"""The state folder: made for its owner alone, and the ledger in it (or in the database that the settings name)."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from crmsync.errors import StoreError
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.sqlite_store import FILE_NAME
from crmsync.settings import Settings

FILES = (FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm")
FOLDERS = ("backups", "held", "plans", "rejected", "sandbox", "shadow", "snapshots", "standings")


def make_state(state: Path) -> None:
    """Make the state folder, readable by its owner only."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            f"{state}: the state folder cannot be made ({error.strerror}); set CRMSYNC_STATE_DIR"
        ) from error


def open_ledger(settings: Settings, *, exclusive: bool = True) -> Ledger:
    """The ledger of these settings, and its state folder, made where they are missing. Errors: of Ledger.open."""
    make_state(settings.state_dir)
    _close_to_others(settings.state_dir)
    before = os.umask(0o077)  # the folder may be one that others may enter, such as a volume made before
    try:
        return Ledger.open(settings.state_dir, exclusive=exclusive, url=settings.ledger_address)
    finally:
        os.umask(before)


def _close_to_others(state: Path) -> None:
    """Close what an earlier version made here for others to read: the ledger, and the folders of what was read."""
    for name in (*FILES, *FOLDERS):
        with contextlib.suppress(OSError):  # not there, or another user's, who decides about it
            mode = (state / name).lstat().st_mode
            if mode & 0o077 and not stat.S_ISLNK(mode):
                (state / name).chmod(mode & 0o700)
