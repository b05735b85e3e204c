"""What a run was made of, so that its standings can be computed again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import Connection, Row, select

from crmsync.errors import ConfigError
from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger

LAST = "last"


@dataclass(frozen=True)
class MadeOf:
    """The inputs and the result of one accepted run. `previous`: the standings that movement started from; `snapshot`:
    folder, which retention may have removed; `standings`: its file and sha256 when it was accepted."""

    run_id: str
    started_at: str
    as_of: date
    snapshot: Path
    snapshot_digest: str
    program_digest: str
    files_digest: str
    previous: Path | None
    standings: Path
    standings_sha256: str


def accepted_runs(ledger: Ledger) -> list[MadeOf]:
    """Runs whose standings were accepted and whose inputs are known, newest first."""
    s, r = t.standings, t.run
    with ledger.reading() as connection:
        rows = connection.execute(select(s).order_by(s.c.sequence.desc())).all()
        runs = {row.run_id: row for row in connection.execute(select(r))}
        found: dict[str, MadeOf] = {}
        for row in rows:
            drafted_by = Path(row.path).stem  # who applies a saved plan is another run
            run = runs.get(drafted_by)
            if run is None or not run.files_digest or not run.snapshot_digest or run.kind == "adopt":
                continue
            if row.as_of == run.as_of:  # else they came back when a later run was reverted
                found.setdefault(drafted_by, _made_of(connection, ledger, row, run))
    return list(found.values())


def _made_of(
    connection: Connection, ledger: Ledger, row: Row[tuple[object, ...]], run: Row[tuple[object, ...]]
) -> MadeOf:
    s, r = t.standings, t.run
    # By the order of the runs: a clock that went back since would make the standings before look like later ones.
    earlier = select(r.c.run_id).where(r.c.sequence < run.sequence)
    before = select(s.c.path).where(s.c.as_of < row.as_of, s.c.run_id.in_(earlier))
    path = connection.scalar(before.order_by(s.c.as_of.desc(), s.c.sequence.desc()).limit(1))
    return MadeOf(
        run.run_id, run.started_at, date.fromisoformat(row.as_of), ledger.state_dir / "snapshots" / run.run_id,
        run.snapshot_digest, run.program_digest, run.files_digest, Path(path) if path else None, Path(row.path),
        row.sha256,
    )  # fmt: skip


def run_made_of(ledger: Ledger, wanted: str) -> MadeOf:
    """The accepted run of this id, or the last one. Errors: ConfigError naming those that there are."""
    runs = accepted_runs(ledger)
    for one in runs:
        if wanted in (LAST, one.run_id):
            return one
    named = ", ".join(one.run_id for one in runs[:5])
    newest = f"the newest are {named}" if named else "none was accepted yet, `crmsync run` makes the first"
    raise ConfigError(f"{wanted}: no accepted run of that id; {newest}")
