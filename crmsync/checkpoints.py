"""What a run keeps after each stage, so that the next process can go on where a killed one stopped.

A run is taken up again when it is the newest one, of the same kind and day, drawn from the same configuration and
program, and not older than two hours. Its sealed snapshot, its standings and its plan are used as they are, after their
digests were compared; whatever does not fit is made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from crmsync.belt import Belt, program_of
from crmsync.errors import ConfigError, CrmsyncError, DataError, Rejected
from crmsync.extract import Extracted
from crmsync.ledger.ledger import RunFacts
from crmsync.ledger.phases import Interrupted, interrupted_run, record_checkpoint, resume_run
from crmsync.ledger.texts import read_kept, record_files
from crmsync.programs.files_read import files_read
from crmsync.programs.program import Program
from crmsync.snapshots import open_snapshot
from crmsync.writeback.plan import Plan
from crmsync.writeback.planfile import load_plan

log = structlog.get_logger()

MOST_REJECTED = 10_000  # more are not worth keeping: extract again
EXTRACT, ASSESS, DRAFT = "extract", "assess", "draft"


@dataclass(frozen=True)
class KeptStandings:
    """Standings that the interrupted run had written, all columns, and what was left out of them."""

    table: pa.Table
    rejected: tuple[Rejected, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """What the present run need not do again."""

    run_id: str | None = None
    extracted: Extracted | None = None
    standings: KeptStandings | None = None
    plan: Plan | None = None
    stages: tuple[str, ...] = field(default=())


NOTHING = Kept()


def taken_up(belt: Belt, kind: str, as_of: date) -> Kept:
    """What is left of an interrupted run of this kind and day; with a `run_id` the run was taken up in the ledger."""
    found = interrupted_run(belt.ledger)
    if found is None or not _fits(belt, found, kind, as_of):
        return NOTHING
    try:
        kept = _kept(belt, found, as_of)
    except (CrmsyncError, OSError, KeyError, TypeError, ValueError) as error:
        log.info("run_not_resumed", run=found.run_id, why=str(error))
        return NOTHING
    if kept.run_id is not None:
        resume_run(belt.ledger, kept.run_id, list(kept.stages))
        log.info("run_resumed", run=kept.run_id, after=list(kept.stages))
    return kept


def _fits(belt: Belt, found: Interrupted, kind: str, as_of: date) -> bool:
    return (found.kind, found.as_of, found.config_digest) == (kind, as_of.isoformat(), belt.config_digest)


def _kept(belt: Belt, found: Interrupted, as_of: date) -> Kept:
    checkpoint = found.checkpoints.get(EXTRACT)
    if checkpoint is None:
        return NOTHING
    snapshot = open_snapshot(belt.state / "snapshots" / found.run_id)
    if snapshot.digest != found.snapshot_digest:
        raise DataError(f"{snapshot.folder}: is not the snapshot that run {found.run_id} sealed")
    extracted = Extracted(
        as_of, snapshot, _rejected(checkpoint), checkpoint["direct"], tuple(checkpoint["notes"]),
    )  # fmt: skip
    kept = Kept(found.run_id, extracted, stages=(EXTRACT,))
    checkpoint = found.checkpoints.get(ASSESS)
    if checkpoint is None or program_of(belt.configuration, as_of=as_of).digest != found.program_digest:
        return kept
    path = belt.state / "standings" / f"{found.run_id}.parquet"
    if _sha256(path) != checkpoint["sha256"]:
        return kept
    standings = KeptStandings(pq.read_table(path), _rejected(checkpoint), tuple(checkpoint["notes"]))
    kept = Kept(found.run_id, extracted, standings, stages=(EXTRACT, ASSESS))
    if DRAFT not in found.checkpoints or found.plan_digest is None:
        return kept
    plan = load_plan(found.plan_digest, belt.state)
    if plan.run_id != found.run_id:
        raise ConfigError(f"plan {plan.digest[:12]} is of run {plan.run_id}, not of {found.run_id}")
    return Kept(found.run_id, extracted, standings, plan, (EXTRACT, ASSESS, DRAFT))


def _rejected(checkpoint: Mapping[str, Any]) -> tuple[Rejected, ...]:
    return tuple(Rejected(*one) for one in checkpoint["rejected"])


def keep_program(belt: Belt, run_id: str, program: Program) -> None:
    """Keep of which files the run is made, and their texts."""
    configured = belt.configuration.program
    digest, files = read_kept(configured, files_read(configured))
    record_files(belt.ledger, digest, files)
    belt.ledger.record_config(program.digest, program.file.read_text(encoding="utf-8"))
    belt.ledger.record_facts(run_id, RunFacts(program_digest=program.digest, files_digest=digest))


def keep_extract(belt: Belt, run_id: str, seconds: float, extracted: Extracted) -> None:
    """Keep that the snapshot is sealed."""
    _keep(belt, run_id, EXTRACT, seconds, extracted.rejected, extracted.notes, direct=dict(extracted.direct))


def keep_standings(
    belt: Belt, run_id: str, seconds: float, path: Path, rejected: Sequence[Rejected], notes: Sequence[str]
) -> None:
    """Keep that the standings are written; `rejected`, `notes`: those of the assessment and of what it read."""
    _keep(belt, run_id, ASSESS, seconds, rejected, notes, sha256=_sha256(path))


def keep_plan(belt: Belt, run_id: str, seconds: float, plan: Plan) -> None:
    """Keep that the plan is saved."""
    record_checkpoint(belt.ledger, run_id, DRAFT, seconds, {"digest": plan.digest})


def _keep(
    belt: Belt, run_id: str, stage: str, seconds: float, rejected: Sequence[Rejected], notes: Sequence[str],
    **more: object,
) -> None:  # fmt: skip
    if len(rejected) <= MOST_REJECTED:
        kept = {"rejected": [astuple(one) for one in rejected], "notes": list(notes), **more}
        record_checkpoint(belt.ledger, run_id, stage, seconds, kept)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
