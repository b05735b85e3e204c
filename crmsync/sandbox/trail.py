"""The latest changes of records, as the page of recent changes tells them: when, who, what, from what to what.

An org with a state file keeps them there, so that they are told after a restart, too.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

MOST_NOTED = 300
_TABLE = "CREATE TABLE IF NOT EXISTS _trail (place INTEGER PRIMARY KEY, noted TEXT NOT NULL)"


@dataclass(frozen=True)
class Noted:
    """One change of a record: UTC stamp, the user who signs it, and the stored values that were written; `before`: what
    these fields held, of a record that was there."""

    stamp: str
    user_id: str
    kind: str  # created, changed, deleted, merged, undeleted
    object: str
    record_id: str
    values: Mapping[str, Any]
    before: Mapping[str, Any] = field(default_factory=dict)


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

    def keep(self, connection: sqlite3.Connection) -> None:
        """Store these changes within a transaction of the caller; those that are too many go."""
        if not self.noted:
            return
        connection.execute(_TABLE)
        rows = [(json.dumps(asdict(change), default=str),) for change in self.noted]
        connection.executemany("INSERT INTO _trail (noted) VALUES (?)", rows)
        connection.execute("DELETE FROM _trail WHERE place <= (SELECT max(place) FROM _trail) - ?", [MOST_NOTED])


def kept_trail(connection: sqlite3.Connection) -> Trail:
    """What an org of this state file noted before it was stopped."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_trail'").fetchone() is None:
        return Trail()
    rows = connection.execute("SELECT noted FROM _trail ORDER BY place").fetchall()
    return Trail(deque((Noted(**json.loads(row[0])) for row in rows), maxlen=MOST_NOTED))
