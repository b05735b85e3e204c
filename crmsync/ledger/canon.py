"""How values stand in the ledger: structured ones as canonical JSON, instants as ISO text in UTC."""

from __future__ import annotations

import json
from datetime import UTC, datetime

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: object) -> str:
    """Canonical JSON text: sorted keys, no spaces, so that equal values have equal bytes."""
    return _ENCODER.encode(value)


def instant() -> str:
    """Now, as ISO text in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
