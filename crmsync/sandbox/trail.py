"""The latest changes of records, as the page of recent changes tells them: when, who, what. Kept while the org runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_NOTED = 300


@dataclass(frozen=True)
class Noted:
    """One change of a record: UTC stamp, the user who signs it, and the stored values that were written."""

    stamp: str
    user_id: str
    kind: str  # created, changed, deleted, merged, undeleted
    object: str
    record_id: str
    values: Mapping[str, Any]


@dataclass
class Trail:
    """The latest changes, oldest first."""

    noted: deque[Noted] = field(default_factory=lambda: deque(maxlen=MOST_NOTED))

    def add(self, change: Noted) -> None:
        """One more; the oldest goes when there are too many."""
        self.noted.append(change)

    def take(self, other: Trail) -> None:
        """The changes of a transaction that was committed."""
        self.noted.extend(other.noted)

    def latest(self) -> list[Noted]:
        """Newest first."""
        return list(reversed(self.noted.copy()))
