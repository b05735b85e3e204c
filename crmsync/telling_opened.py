"""Whether a run tells anybody: templates, languages and channels are loaded only where notices are on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from crmsync.configuration import Configuration
from crmsync.errors import CrmsyncError, DataError, StoreError, UnsafePlan
from crmsync.ledger.ledger import Ledger
from crmsync.settings import Settings
from crmsync.snapshots import Snapshot, open_snapshot

if TYPE_CHECKING:
    from crmsync.belt import Belt
    from crmsync.telling import Teller

log = structlog.get_logger()


def opened_teller(belt: Belt) -> Teller | None:
    """What tells people, checked before anything else happens; None where notices are off. Errors: ConfigError."""
    if belt.configuration.notices is None:
        return None
    from crmsync.telling import open_teller

    return open_teller(belt)


def tell_unreached(ledger: Ledger, configuration: Configuration, settings: Settings, error: CrmsyncError) -> None:
    """Tell the operator that a run could not even begin. A fault of telling never hides the fault that is told."""
    if configuration.notices is None:
        return
    from crmsync.telling import open_teller_alone

    try:
        teller = open_teller_alone(ledger, configuration, settings)
    except (CrmsyncError, OSError) as fault:
        log.warning("notices_failed", error=str(fault))
        return
    tell_failed(teller, "", error, error.exit_code)


def kept_snapshot(state: Path, run_id: str) -> Snapshot | None:
    """The snapshot that a run was made from; None where it is not kept any more."""
    try:
        return open_snapshot(state / "snapshots" / run_id)
    except (DataError, StoreError, OSError):
        return None


def tell_failed(teller: Teller | None, run_id: str, error: Exception, exit_code: int) -> None:
    """Tell that a run failed. A fault of telling never hides the fault that is told; a blocked plan is told as such."""
    if teller is None or isinstance(error, UnsafePlan):
        return
    try:
        teller.tell_failed(run_id, error, exit_code)
    except (CrmsyncError, OSError) as fault:
        log.warning("notices_failed", error=str(fault))
