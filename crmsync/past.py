"""What past runs left in the ledger: their state, the approval of a plan, one account before and after."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from crmsync.approver import login, named
from crmsync.configuration import config_folder, load_configuration
from crmsync.errors import ConfigError
from crmsync.ledger import tables as t
from crmsync.ledger.approvals import Approval, approve
from crmsync.ledger.history import TierChange, tier_history
from crmsync.ledger.intents import Intent, intents_of, open_intents
from crmsync.ledger.lease import Lease, break_lease
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.status import RunRow, Status, has_ledger, recent_runs, status
from crmsync.ledger.texts import restore_files
from crmsync.logs import configure_logs
from crmsync.offline import only_program
from crmsync.programs.loading import load_programs
from crmsync.settings import Settings, load_settings
from crmsync.snapshots import open_snapshot
from crmsync.writeback.planfile import load_plan

if TYPE_CHECKING:
    from crmsync.levelling.explain import Explanation

LAST = "last"


@dataclass(frozen=True)
class ExplainedRun:
    """One partner in one run, with what the run wrote onto the account."""

    run: RunRow
    explanation: Explanation
    intent: Intent | None  # what was written, then or before; None where nothing ever was
    history: tuple[TierChange, ...]
    program_changed: bool


def read_status() -> Status | None:
    """The state of the ledger; None when no run ever took place here."""
    settings = _settings()
    if not has_ledger(settings.state_dir, settings.ledger_address):
        return None
    with Ledger.open(settings.state_dir, exclusive=False, url=settings.ledger_address) as ledger:
        return status(ledger)


def approve_plan(digest: str, by: str | None) -> Approval:
    """Open a blocked plan for 24 hours in the name of `by`, or of who is logged in."""
    with _ledger(_settings()) as ledger:
        return approve(ledger, digest, named(by))


def check_plan(config: Path | None, wanted: str) -> None:
    """Look whether that plan is there, before any org is reached. Errors: ConfigError."""
    load_plan(wanted, _settings(config).state_dir)


@dataclass(frozen=True)
class Lock:
    """Who holds the ledger at `place`. `broken`: its lease was taken away just now; `ended`: the lock, too."""

    place: str
    lease: Lease | None
    locked: bool
    broken: bool = False
    ended: bool = False


def show_lease() -> Lock:
    """Who holds the lease now, or held it last."""
    with _ledger(_settings()) as ledger:
        return Lock(ledger.place, ledger.lease(), ledger.is_running())


def unlock(fencing: int) -> Lock:
    """Take the lease of this number away from its owner, in the name of who is logged in. Errors: ConfigError."""
    with _ledger(_settings()) as ledger:
        with ledger.writing() as connection:
            lease = break_lease(connection, fencing, f"shell:{login() or os.getuid()}")
        ended = ledger.store.break_lock()
        return Lock(ledger.place, lease, ledger.is_running(), broken=True, ended=ended)


def explain_run(
    config: Path | None, run: str, partner: str, category: str | None, why_not: str | None = None
) -> ExplainedRun:
    """How a run of the ledger came to a partner's tier, and what its plan changes on the account.

    `why_not`: a tier that the partner does not have.
    """
    from crmsync.levelling.explain import explain

    settings = _settings(config)
    with _ledger(settings) as ledger:
        row = _run(ledger, settings, run)
        snapshot = open_snapshot(_snapshot(settings, row.run_id))
        assert row.as_of is not None
        as_of = date.fromisoformat(row.as_of)
        columns = {name: table.columns for name, table in snapshot.tables.items()}
        previous = _previous(ledger, as_of)
        with _programs_then(ledger, settings, row.run_id) as path:
            programs = load_programs(path, columns=columns)
            program = only_program(path, programs, as_of)
            others = [other for other in programs if other.key != program.key]
            explanation = explain(program, snapshot, as_of, partner, category, previous, why_not, others)
            changed = _digests(ledger, row.run_id)[0] != program.digest
        return ExplainedRun(
            row, explanation, _intent(ledger, row, partner), tuple(tier_history(ledger, partner)), changed
        )


def _settings(config: Path | None = None) -> Settings:
    settings = load_settings(config)
    configure_logs(settings.log_level, settings.secrets())
    return settings


def open_ledger(config: Path | None = None) -> Ledger:
    """The ledger that the settings name, for reading. Errors: ConfigError when there is none yet."""
    return _ledger(_settings(config))


def _ledger(settings: Settings) -> Ledger:
    if not has_ledger(settings.state_dir, settings.ledger_address):
        raise ConfigError(f"no run took place in {settings.state_dir} yet; CRMSYNC_STATE_DIR names the state folder")
    return Ledger.open(settings.state_dir, exclusive=False, url=settings.ledger_address)


def _run(ledger: Ledger, settings: Settings, wanted: str) -> RunRow:
    """The run of this id, or the last one that assessed and whose snapshot is kept."""
    runs = recent_runs(ledger, 10_000)
    kept = [run for run in runs if run.as_of is not None and _snapshot(settings, run.run_id).is_dir()]
    found = [run for run in kept if wanted in (LAST, run.run_id)]
    if not found:
        known = f"the newest is {kept[0].run_id}, `{LAST}` names it too" if kept else "there is none"
        there = next((run for run in runs if run.run_id == wanted), None)
        what = "no such run" if there is None else f"no snapshot of it is kept, it was of kind {there.kind}"
        raise ConfigError(f"--run {wanted}: {what}; of the runs that can be explained {known}")
    return found[0]


def _snapshot(settings: Settings, run_id: str) -> Path:
    return settings.state_dir / "snapshots" / run_id


def _previous(ledger: Ledger, as_of: date) -> Path | None:
    """The accepted standings that movement of `as_of` started from, whatever was accepted later."""
    s = t.standings
    query = (
        select(s.c.path).where(s.c.as_of < as_of.isoformat()).order_by(s.c.as_of.desc(), s.c.sequence.desc()).limit(1)
    )
    with ledger.reading() as connection:
        path = connection.scalar(query)
    return None if path is None else Path(path)


@contextmanager
def _programs_then(ledger: Ledger, settings: Settings, run_id: str) -> Iterator[Path]:
    """The program files as that run had them, for as long as the block lasts; the present ones where none were kept."""
    files = _digests(ledger, run_id)[1]
    if files is None:
        yield load_configuration(config_folder(settings.config_dir)).program
        return
    with tempfile.TemporaryDirectory() as folder:
        yield restore_files(ledger, files, Path(folder))


def _digests(ledger: Ledger, run_id: str) -> tuple[str | None, str | None]:
    """Of the program and of the files that a run was made of."""
    query = select(t.run.c.program_digest, t.run.c.files_digest).where(t.run.c.run_id == run_id)
    with ledger.reading() as connection:
        row = connection.execute(query).one()
    return row.program_digest, row.files_digest


def _intent(ledger: Ledger, run: RunRow, partner: str) -> Intent | None:
    """What the run wanted to write onto the partner's account, else the last write that any run did."""
    of_run = intents_of(ledger, run.plan_digest, run.run_id) if run.plan_digest else []
    if mine := [one for one in of_run if not one.sink and partner in (one.partner_id, one.record_id)]:
        return mine[0]
    written = reversed(open_intents(ledger, "applied"))
    return next((one for one in written if not one.sink and one.partner_id == partner), None)


def written_example(ledger: Ledger) -> tuple[str, str] | None:
    """A partner whose account was written last, preferably one whose tier changed then, and the run that did it."""
    i, h = t.intent, t.tier_history
    newest = select(i.c.run_id).where(i.c.state == "applied", i.c.sink == "").order_by(i.c.created_at.desc()).limit(1)
    moved = select(h.c.partner_id).where(h.c.run_id == i.c.run_id, h.c.from_tier != h.c.to_tier).distinct()
    query = (
        select(i.c.partner_id, i.c.run_id)
        .where(i.c.state == "applied", i.c.sink == "", i.c.run_id == newest.scalar_subquery())
        .order_by(i.c.partner_id.in_(moved).desc(), i.c.sequence)
        .limit(1)
    )
    with ledger.reading() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else (row.partner_id, row.run_id)
