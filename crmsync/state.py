"""The state folder: made for its owner alone, and the ledger in it (or in the database that the settings name)."""

from __future__ import annotations

from pathlib import Path

from crmsync.errors import StoreError
from crmsync.ledger.ledger import Ledger
from crmsync.settings import Settings


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
    return Ledger.open(settings.state_dir, exclusive=exclusive, url=settings.ledger_address)
