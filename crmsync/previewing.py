"""What a change of the rules does by itself: today's data under the old program, beside the same under the new one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from crmsync.belt import Belt
from crmsync.errors import CrmsyncError
from crmsync.ledger.accepted import Accepted, previous_standings
from crmsync.ledger.sealed import rules_of_run
from crmsync.ledger.texts import restore_files
from crmsync.programs.loading import load_programs
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from crmsync.writeback.guards_movement import Preview, moves_of, ranks_of
from crmsync.writeback.inputs import decided_rows

FIRST_DAY = date.min


def preview_of(
    belt: Belt, program: Program, standings: pa.Table, snapshot: Snapshot, as_of: date, accepted: Accepted | None
) -> Preview | None:
    """What the new rules move; None where they are those of the last accepted run. Rules that cannot be tried again
    make a preview that says why."""
    if accepted is None:
        return None
    rules = rules_of_run(belt.ledger, accepted.path.stem)  # the run that drafted them
    if rules is None or rules.program == program.digest:
        return None
    previous = previous_standings(belt.ledger, as_of)
    try:
        before = _under(belt, program, rules.program, rules.files, snapshot, as_of, previous.path if previous else None)
    except CrmsyncError as error:
        return Preview(rules.program, None, str(error))
    now = decided_rows(standings, program.key)
    return Preview(rules.program, moves_of(now, before, ranks_of(program)))


def _under(
    belt: Belt, program: Program, digest: str, files: str, snapshot: Snapshot, as_of: date, previous: Path | None
) -> list[dict[str, Any]]:
    """Today's decisions under the old rules. Errors: StoreError when their files are not kept; ConfigError when they
    are not read any more; DataError."""
    from crmsync.levelling.assess import assess_programs

    columns = {name: table.columns for name, table in snapshot.tables.items()}
    with tempfile.TemporaryDirectory() as folder:
        programs = _in_force(load_programs(restore_files(belt.ledger, files, Path(folder)), columns=columns), digest)
        found = assess_programs(programs, snapshot, as_of, previous, light=True)
    at = list(dict.fromkeys(one.key for one in programs)).index(program.key)
    return decided_rows(found[at].standings, program.key)


def _in_force(programs: Sequence[Program], digest: str) -> list[Program]:
    """The versions up to the old one: a new version that begins today is part of what has changed."""
    old = next((one for one in programs if one.digest == digest), None)
    if old is None:
        return list(programs)
    last = old.effective_from or FIRST_DAY
    return [one for one in programs if one.key != old.key or (one.effective_from or FIRST_DAY) <= last]
