"""Whether a read may ask for changes alone, or must be whole: by schedule, by review date, or because rules changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from crmsync.belt import Belt, programs_of
from crmsync.errors import DataError
from crmsync.levelling.movement_dates import between, returning_between
from crmsync.levelling.rules import anniversary_columns, movements_of
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot, open_snapshot, sealed_under
from crmsync.tables import ColumnType

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Start:
    """What a read starts from. `since`: the snapshot whose records changes are put into; None: all is read, as `why`
    says. `rules`: digest of configuration and program; `whole_on`: the day of the last whole read."""

    since: Snapshot | None
    rules: str
    whole_on: date
    why: str = ""

    def kept(self, held: dict[str, Any], as_of: date) -> dict[str, Any]:
        """What the new snapshot says of its own start, beside the held records."""
        whole = not held.get("increments")
        return {**held, "rules": self.rules, "whole_on": (as_of if whole else self.whole_on).isoformat()}


def start_of(belt: Belt, snapshots: Path, as_of: date) -> Start:
    """From what the next read starts: a sealed snapshot and nothing else, so a killed read loses nothing."""
    programs = programs_of(belt.configuration)
    rules = hashlib.sha256(
        "\n".join([belt.config_digest, *sorted(one.digest for one in programs)]).encode()
    ).hexdigest()
    newest = _newest(snapshots)
    try:
        whole_on = date.fromisoformat(newest.held["whole_on"]) if newest else None
    except (KeyError, TypeError, ValueError):
        whole_on = None
    if newest is None or whole_on is None:
        return Start(None, rules, as_of, "there is no earlier read")
    why = _why_whole(belt, programs, newest, newest.held.get("rules") == rules, whole_on, as_of)
    return Start(None if why else newest, rules, whole_on, why)


def _why_whole(
    belt: Belt, programs: list[Program], newest: Snapshot, same_rules: bool, whole_on: date, as_of: date
) -> str:
    if not same_rules:
        return "the configuration or the program is not that of the last read"
    every = belt.configuration.reading.full_every_days
    if not 0 <= (as_of - whole_on).days < every:
        return f"the last whole read is of {whole_on.isoformat()}, and one is due every {every} days"
    reviews = [day for one in programs for day in reviews_between(one, whole_on, as_of)]
    if reviews:
        return f"{min(reviews).isoformat()} is a review date"
    returned = [day for one in programs for day in _anniversaries(one, newest, whole_on, as_of)]
    return f"{min(returned).isoformat()} is the review date of a partner, an anniversary" if returned else ""


def reviews_between(program: Program, after: date, last: date) -> list[date]:
    """The calendar review dates after a day up to another. Anniversaries of single partners are none of them."""
    dates = [change.on for one in movements_of(program) for change in (one.promote, one.demote)]
    return [day for one in dates if one is not None and one.days for day in between(one, after, last + ONE_DAY)]


def _anniversaries(program: Program, newest: Snapshot, after: date, last: date) -> list[date]:
    """The days after a day up to another on which a held partner's own review date returns.

    Partners that are new or whose date is changed come with the increment, as they are.
    """
    partners = newest.tables.get("partners")
    if partners is None:
        return []
    columns = [name for name in anniversary_columns(program) if partners.columns.get(name) is ColumnType.DATE]
    dates: set[date] = set()
    for column in columns:
        dates.update(pq.read_table(partners.path, columns=[column]).column(column).unique().drop_null().to_pylist())
    return [day for one in dates for day in returning_between(one, after, last + ONE_DAY)]


def _newest(snapshots: Path) -> Snapshot | None:
    sealed = sealed_under(snapshots)
    try:
        return open_snapshot(sealed[-1].parent) if sealed else None
    except DataError:
        return None
