"""Copies of the ledger, made after each finished run: the last ones stand in the folder `backups` beside it."""

from __future__ import annotations

from pathlib import Path

import structlog

from crmsync.errors import StoreError
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.store import COPIES

KEPT = 5

log = structlog.get_logger()


def back_up(ledger: Ledger, run_id: str, keep: int = KEPT) -> Path | None:
    """A whole copy under the name of the run; older ones than the last `keep` are removed.

    A copy that cannot be made is told and no more: the run has done its work. None on PostgreSQL.
    """
    folder = ledger.state_dir / COPIES
    try:
        copy = ledger.store.backup(folder, f"ledger-{run_id}")
        if copy is not None:
            for old in sorted(folder.glob("ledger-*.sqlite"), key=lambda one: one.stat().st_mtime_ns)[:-keep]:
                old.unlink()
    except (StoreError, OSError) as error:
        log.warning("ledger_not_copied", why=str(error))
        return None
    return copy
