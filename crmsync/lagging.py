"""Falls that wait until a second snapshot says the same (`guards: demotion_lag`); promotions come at once.

A partner who falls against the last accepted standings is left as it is for one run: its standings are carried over and
nothing is written for it. If the next accepted run, of a later day, has it fall to no lower a tier, and in no other
category, than was computed then, the fall is written. What was computed for who waits is kept in `held/<run>.parquet`.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog

from crmsync.belt import Belt
from crmsync.errors import ConfigError, StoreError
from crmsync.ledger.accepted import Accepted
from crmsync.ledger.approvals import plan_of_run
from crmsync.ledger.ledger import Ledger
from crmsync.programs.program import Program
from crmsync.writeback.beside import LEFT
from crmsync.writeback.guards_movement import Ranks, falls_between, ranks_of
from crmsync.writeback.inputs import decided_rows
from crmsync.writeback.planfile import load_plan

log = structlog.get_logger()

UNCHANGED = "unchanged"
HELD = "held"
"""Folder of the state."""


def lagged(
    belt: Belt, program: Program, file: Path, accepted: Accepted | None
) -> tuple[pa.Table | None, frozenset[str]]:
    """The standings of a file with those of waiting partners carried over, and who these are; None: nobody waits."""
    if accepted is None or not belt.configuration.guards.demotion_lag:
        return None, frozenset()
    standings, before = pq.read_table(file), pq.read_table(accepted.path)
    ranks = ranks_of(program)
    waiting = _falling(program, standings, before, ranks) - _seen(belt, program, accepted, standings, ranks)
    if not waiting:
        return None, frozenset()
    if not before.schema.equals(standings.schema):
        log.warning("falls_not_held", why="the standings before have other columns: the program was changed")
        return None, frozenset()
    _keep_computed(belt.state / HELD, file.stem, accepted.path.stem, _of(standings, waiting))
    return _carried_over(standings, before, waiting), waiting


def _falling(program: Program, standings: pa.Table, before: pa.Table, ranks: Ranks) -> frozenset[str]:
    return falls_between(decided_rows(standings, program.key), decided_rows(before, program.key), ranks)


def _seen(belt: Belt, program: Program, accepted: Accepted, standings: pa.Table, ranks: Ranks) -> frozenset[str]:
    """Whose fall was computed in the last accepted run already, where that was of an earlier day."""
    if not standings.num_rows or standings["as_of"][0].as_py() <= accepted.as_of:
        return frozenset()
    waited = held_by(belt.ledger, accepted.path.stem)
    kept = belt.state / HELD / accepted.path.name
    if not waited or not kept.is_file():
        return waited  # of a version that kept only who waited
    then = pq.read_table(kept)
    return waited - _falling(program, standings, then, ranks)


def _keep_computed(folder: Path, run_id: str, accepted: str, computed: pa.Table) -> None:
    """Keep what was computed for those who wait; of earlier runs only the accepted one is asked. Errors: StoreError."""
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        for old in folder.iterdir():
            if old.stem != accepted:
                old.unlink()
        pq.write_table(computed, folder / f"{run_id}.parquet")
    except OSError as error:
        raise StoreError(f"{folder}: what was computed for falls that wait cannot be kept ({error})") from error


def held_by(ledger: Ledger, run_id: str) -> frozenset[str]:
    """The partners whose fall waited in the plan of this run."""
    digest = plan_of_run(ledger, run_id)
    try:
        return frozenset(load_plan(digest, ledger.state_dir).held) if digest else frozenset()
    except ConfigError as error:
        log.warning("falls_wait_anew", why=str(error))
        return frozenset()


def _of(standings: pa.Table, partners: Collection[str]) -> pa.Table:
    return standings.filter(pc.is_in(standings["partner_id"], value_set=pa.array(sorted(partners), pa.string())))


def _carried_over(standings: pa.Table, before: pa.Table, waiting: Collection[str]) -> pa.Table:
    """Rows of waiting partners out of the standings before, of today and with nothing moved; in order.

    A category that the partner had left by then, or never was in, stays so.
    """
    who = pa.array(sorted(waiting), pa.string())
    fresh = standings.filter(pc.invert(pc.is_in(standings["partner_id"], value_set=who)))
    kept = _of(before, waiting)
    today = pa.repeat(standings["as_of"][0], kept.num_rows)
    movement = standings.schema.field("movement").type
    is_in = pc.and_(pc.is_valid(kept["movement"]), pc.not_equal(kept["movement"], LEFT))
    for name, values in (
        ("as_of", today),
        ("movement", pc.if_else(pc.fill_null(is_in, False), pa.scalar(UNCHANGED, movement), pa.scalar(None, movement))),
        ("previous_tier", kept["granted_tier"]),
    ):
        at = kept.schema.get_field_index(name)
        kept = kept.set_column(at, kept.schema.field(at), values)
    order = [(name, "ascending") for name in ("partner_id", "category", "program")]
    return pa.concat_tables([fresh, kept]).sort_by(order).replace_schema_metadata(standings.schema.metadata)
