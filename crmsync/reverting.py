"""Undo: a plan that gives back what one run has overwritten, wherever nobody has changed it since.

It is a plan like any other: saved under its digest, judged by the guards that look at movement, applied by
`crmsync apply`. The standings of before that run become the ones that movement starts from, when the run was the last.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import select

from crmsync.belt import Belt, program_of
from crmsync.connectors.base import Into, ManyObjects, Target
from crmsync.errors import ConfigError
from crmsync.exits import BLOCKED, DONE, PLAN_WAITS
from crmsync.ledger import tables as t
from crmsync.ledger.accepted import Accepted, newest_standings
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import canonical
from crmsync.ledger.intents import Intent, intents_of
from crmsync.ledger.ledger import RunFacts
from crmsync.levelling.standings import write_standings
from crmsync.programs.program import Program
from crmsync.writeback.beside import HISTORY
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap, same
from crmsync.writeback.guards import Tripwires, evaluate_guards
from crmsync.writeback.guards_movement import moves_of, ranks_of
from crmsync.writeback.plan import Basis, Mover, Plan, sealed
from crmsync.writeback.planfile import save_plan
from crmsync.writeback.wording import label_of_tier

REVERTS = "reverts:"
"""How the basis of such a plan names the run, in the place of a snapshot."""


@dataclass(frozen=True)
class Reverted:
    """The plan that undoes a run. `left`: what cannot be given back, reason -> how many records or fields."""

    run_id: str
    of_run: str
    plan: Plan
    left: Mapping[str, int]

    @property
    def exit_code(self) -> int:
        """0: nothing to give back; 2: the plan waits to be applied; 8: a guard asks for an approval first."""
        if self.plan.blocked:
            return BLOCKED
        return PLAN_WAITS if self.plan.writes else DONE


def draft_revert(belt: Belt, run_id: str, wanted: str) -> Reverted:
    """The saved plan that undoes run `wanted`, drafted by run `run_id`. Nothing is written to the CRM.

    Errors: ConfigError when there is no such run, or it has written nothing.
    """
    digest, drafted_by = _plan_of(belt, wanted)
    applied = intents_of(belt.ledger, digest, drafted_by, "applied")
    if not applied:
        raise ConfigError(f"run {wanted} has written nothing that is still known; there is nothing to revert")
    newest = newest_standings(belt.ledger)
    before, is_last = _standings_before(belt, run_id, drafted_by, newest)
    left: Counter[str] = Counter()
    changes = [change for change in _changes(belt, applied, left) if change is not None]
    accounts = tuple(change for change in changes if not change.sink)
    beside = tuple(change for change in changes if change.sink)
    as_of = newest.as_of if newest else belt.today
    program = program_of(belt.configuration, as_of=as_of)
    belt.ledger.record_facts(run_id, RunFacts(as_of, program_digest=program.digest, config_digest=belt.config_digest))
    now = _rows(newest.path, program) if newest else []
    then = _rows(before, program)
    guards = evaluate_guards(
        Tripwires(moves=moves_of(then, now, ranks_of(program)), writes=len(changes)), belt.configuration.guards
    )
    basis = Basis(
        program.key, program.digest, belt.config_digest, f"{REVERTS}{drafted_by}",
        hashlib.sha256(canonical([is_last, then]).encode()).hexdigest(), dict(newest.table_rows if newest else {}),
    )  # fmt: skip
    plan = sealed(
        Plan(
            "",
            run_id,
            str(before),
            as_of,
            basis,
            belt.fields.plain(),
            len({one.partner_id for one in changes}),
            accounts,
            tuple(_movers(program, now, then)),
            guards,
            (),
            beside,
        )
    )
    save_plan(plan, belt.ledger)
    with belt.ledger.writing() as connection:
        record_event(connection, "revert_drafted", {"run_id": run_id, "of_run": drafted_by, "plan": plan.digest})
    belt.ledger.record_facts(run_id, RunFacts(plan_digest=plan.digest))
    return Reverted(run_id, drafted_by, plan, dict(left))


def reverted_run(plan: Plan) -> str | None:
    """The run that a plan undoes; None for any other plan."""
    found = plan.basis.snapshot_digest
    return found.removeprefix(REVERTS) if found.startswith(REVERTS) else None


def note_reverted(belt: Belt, run_id: str, plan: Plan) -> None:
    """Keep that a run was undone; silent for any other plan."""
    if (of_run := reverted_run(plan)) is not None:
        with belt.ledger.writing() as connection:
            record_event(connection, "plan_reverted", {"run_id": run_id, "of_run": of_run, "plan": plan.digest})


def _plan_of(belt: Belt, wanted: str) -> tuple[str, str]:
    """Digest and drafting run of the plan that a run has applied."""
    with belt.ledger.reading() as connection:
        row = connection.execute(select(t.run).where(t.run.c.run_id == wanted)).one_or_none()
        newest = select(t.intent.c.digest, t.intent.c.run_id).where(t.intent.c.run_id == wanted).limit(1)
        found = connection.execute(newest).one_or_none()
        if found is None and row is not None and row.plan_digest:
            of_plan = select(t.intent.c.digest, t.intent.c.run_id).where(t.intent.c.digest == row.plan_digest).limit(1)
            found = connection.execute(of_plan).one_or_none()
    if row is None:
        raise ConfigError(f"{wanted}: no such run; `crmsync status` names the last ones")
    if found is None:
        raise ConfigError(f"run {wanted} ({row.kind}, {row.state}) has written nothing; there is nothing to revert")
    return found.digest, found.run_id


def _standings_before(belt: Belt, run_id: str, drafted_by: str, newest: Accepted | None) -> tuple[Path, bool]:
    """The standings to go back to, and whether those of the run are the newest (else the newest stay)."""
    if newest is None or newest.path.stem != drafted_by:
        return (newest.path if newest else _no_standings(belt, run_id, None)), False
    s = t.standings
    with belt.ledger.reading() as connection:
        mine = connection.scalar(
            select(s.c.sequence).where(s.c.path == str(newest.path)).order_by(s.c.sequence).limit(1)
        )
        earlier = select(s.c.path).where(s.c.sequence < mine).order_by(s.c.as_of.desc(), s.c.sequence.desc()).limit(1)
        path = connection.scalar(earlier)
    return (Path(path) if path else _no_standings(belt, run_id, newest.path)), True


def _no_standings(belt: Belt, run_id: str, like: Path | None) -> Path:
    """A file of no standings: what was before the first fill."""
    if like is None:
        raise ConfigError("no standings were accepted yet; there is nothing to revert")
    path = belt.state / "standings" / f"{run_id}.parquet"
    write_standings(pq.read_table(like).slice(0, 0), path)
    return path


# --- what is given back


def _changes(belt: Belt, applied: Sequence[Intent], left: Counter[str]) -> Iterator[Change | None]:
    by_place = sorted(applied, key=lambda one: (one.sink != "", one.sink, one.object, one.key_field or ""))
    for (sink, name, key), group in groupby(by_place, key=lambda one: (one.sink, one.object, one.key_field)):
        intents = list(group)
        if sink == HISTORY:
            left["records of a change of tier stay: they say what was so"] += len(intents)
            continue
        target: Target = belt.target
        if sink:
            if not isinstance(target, ManyObjects):
                left["records beside the account, which this target does not write"] += len(intents)
                continue
            target = target.into(Into(name, key))
        stamps = _stamps(belt.fields, sink)
        fields = sorted({field for one in intents for field in one.wanted} | set(stamps))
        found = target.read([one.record_id for one in intents], fields)
        for intent in intents:
            yield _change(intent, found.get(intent.record_id), stamps, left)


def _stamps(fields: FieldMap, sink: str) -> frozenset[str]:
    if not sink:
        names = (fields.fields.get("changed_on"), fields.fields.get("run_id"), fields.token)
        return frozenset(name for name in names if name)
    found = fields.sink(sink)
    return frozenset(found.fields[key] for key in ("as_of", "run_id") if found and key in found.fields)


def _change(
    intent: Intent, found: Mapping[str, str | None] | None, stamps: frozenset[str], left: Counter[str]
) -> Change | None:
    if found is None:
        left["records that are gone"] += 1
        return None
    if not intent.pre_image:
        left["records that the run has made: nothing stood there before"] += 1
        return None
    back: dict[str, str | None] = {}
    for name, value in intent.wanted.items():
        if name in stamps or name not in intent.pre_image or name not in found:
            continue
        if not same(found[name], value):
            left["fields that were changed since"] += 1
        elif not same(found[name], intent.pre_image[name]):
            back[name] = intent.pre_image[name]
    if not back:
        return None
    expected = {name: found[name] for name in (*back, *sorted(stamps)) if name in found}
    return Change(
        intent.record_id, intent.partner_id, back, expected, f"as it was before run {intent.run_id}", intent.sink,
        intent.object, intent.key_field,
    )  # fmt: skip


def _rows(path: Path, program: Program) -> list[dict[str, Any]]:
    columns = ["program", "partner_id", "category", "granted_tier", "previous_tier", "movement"]
    rows = pq.read_table(path, columns=columns).to_pylist()
    return [row for row in rows if row["program"] == program.key]


def _movers(program: Program, now: Sequence[Mapping[str, Any]], then: Sequence[Mapping[str, Any]]) -> Iterator[Mover]:
    before = {(row["partner_id"], row["category"]): row["granted_tier"] for row in then}
    for row in now:
        partner, category = row["partner_id"], row["category"]
        tier = before.get((partner, category))
        if tier != row["granted_tier"]:
            yield Mover(
                partner, None, category, label_of_tier(program, category, row["granted_tier"]),
                label_of_tier(program, category, tier), "reverted", "as it was before",
            )  # fmt: skip
