"""Falls that wait until a second snapshot says the same (`guards: demotion_lag`); promotions come at once.

A partner who falls against the last accepted standings is left as it is for one run: its standings are carried over and
nothing is written for it. If the next accepted run, of a later day, still has it fall, the fall is written.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog

from crmsync.belt import Belt
from crmsync.errors import ConfigError
from crmsync.ledger.accepted import Accepted
from crmsync.ledger.approvals import plan_of_run
from crmsync.ledger.ledger import Ledger
from crmsync.programs.program import Program
from crmsync.writeback.guards_movement import Ranks, falls_between, ranks_of
from crmsync.writeback.inputs import decided_rows
from crmsync.writeback.planfile import load_plan

log = structlog.get_logger()

UNCHANGED = "unchanged"


def lagged(
    belt: Belt, program: Program, file: Path, accepted: Accepted | None
) -> tuple[pa.Table | None, frozenset[str]]:
    """The standings of a file with those of waiting partners carried over, and who these are; None: nobody waits."""
    if accepted is None or not belt.configuration.guards.demotion_lag:
        return None, frozenset()
    standings, before = pq.read_table(file), pq.read_table(accepted.path)
    waiting = _falling(program, standings, before, ranks_of(program)) - _seen(belt, accepted, standings)
    if not waiting:
        return None, frozenset()
    if not before.schema.equals(standings.schema):
        log.warning("falls_not_held", why="the standings before have other columns: the program was changed")
        return None, frozenset()
    return _carried_over(standings, before, waiting), waiting


def _falling(program: Program, standings: pa.Table, before: pa.Table, ranks: Ranks) -> frozenset[str]:
    return falls_between(decided_rows(standings, program.key), decided_rows(before, program.key), ranks)


def _seen(belt: Belt, accepted: Accepted, standings: pa.Table) -> frozenset[str]:
    """Who waited already in the last accepted run, where that was of an earlier day."""
    if not standings.num_rows or standings["as_of"][0].as_py() <= accepted.as_of:
        return frozenset()
    return held_by(belt.ledger, accepted.path.stem)


def held_by(ledger: Ledger, run_id: str) -> frozenset[str]:
    """The partners whose fall waited in the plan of this run."""
    digest = plan_of_run(ledger, run_id)
    try:
        return frozenset(load_plan(digest, ledger.state_dir).held) if digest else frozenset()
    except ConfigError as error:
        log.warning("falls_wait_anew", why=str(error))
        return frozenset()


def _carried_over(standings: pa.Table, before: pa.Table, waiting: Collection[str]) -> pa.Table:
    """Rows of waiting partners out of the standings before, of today and with nothing moved; in order."""
    who = pa.array(sorted(waiting), pa.string())
    fresh = standings.filter(pc.invert(pc.is_in(standings["partner_id"], value_set=who)))
    kept = before.filter(pc.is_in(before["partner_id"], value_set=who))
    today = pa.repeat(standings["as_of"][0], kept.num_rows)
    for name, values in (
        ("as_of", today),
        ("movement", pa.repeat(pa.scalar(UNCHANGED, standings.schema.field("movement").type), kept.num_rows)),
        ("previous_tier", kept["granted_tier"]),
    ):
        at = kept.schema.get_field_index(name)
        kept = kept.set_column(at, kept.schema.field(at), values)
    order = [(name, "ascending") for name in ("partner_id", "category", "program")]
    return pa.concat_tables([fresh, kept]).sort_by(order).replace_schema_metadata(standings.schema.metadata)
