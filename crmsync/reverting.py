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
from sqlalchemy import func, select

from crmsync.adopting import tier_named
from crmsync.belt import Belt, program_of
from crmsync.connectors.base import Into, ManyObjects, Target
from crmsync.errors import ConfigError, StoreError
from crmsync.exits import BLOCKED, DONE, PLAN_WAITS
from crmsync.ledger import tables as t
from crmsync.ledger.accepted import Accepted, newest_standings
from crmsync.ledger.audit import record_event
from crmsync.ledger.canon import canonical
from crmsync.ledger.intents import Intent, intents_of
from crmsync.ledger.ledger import Ledger, RunFacts
from crmsync.ledger.made_of import LAST
from crmsync.levelling.standings import write_standings
from crmsync.past import open_ledger
from crmsync.programs.program import Program
from crmsync.writeback.beside import HISTORY, STANDINGS, key_of
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
    digest, drafted_by = _plan_of(belt.ledger, wanted)
    applied = intents_of(belt.ledger, digest, drafted_by, "applied")
    if not applied:
        raise ConfigError(f"run {wanted} has written nothing that is still known; there is nothing to revert")
    newest = newest_standings(belt.ledger)
    before, is_last = _standings_before(belt, run_id, digest, drafted_by, newest)
    left: Counter[str] = Counter()
    changes = [change for change in _changes(belt, applied, left) if change is not None]
    accounts = tuple(change for change in changes if not change.sink)
    beside = tuple(change for change in changes if change.sink)
    as_of = newest.as_of if newest else belt.today
    program = program_of(belt.configuration, as_of=as_of)
    belt.ledger.record_facts(run_id, RunFacts(as_of, program_digest=program.digest, config_digest=belt.config_digest))
    now = _rows(newest.path, program) if newest else []
    then = _rows(before, program)
    if not is_last:  # the newest standings stay: what moves are the tiers that are given back in the CRM
        now, then = _tiers_given_back(belt.fields, program, changes, now)
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


def check_run(config: Path | None, wanted: str) -> str:
    """The run that is meant, `last` being the newest accepted one. The ledger alone is asked, before any org is
    reached. Errors: ConfigError when that run cannot be reverted."""
    with open_ledger(config) as ledger:
        newest = newest_standings(ledger) if wanted == LAST else None
        run_id = newest.run_id if newest is not None else wanted
        _plan_of(ledger, run_id)
        return run_id


def _plan_of(ledger: Ledger, wanted: str) -> tuple[str, str]:
    """Digest and drafting run of the plan that a run has applied. Errors: ConfigError."""
    r, i, s = t.run, t.intent, t.standings
    with ledger.reading() as connection:
        row = connection.execute(select(r).where(r.c.run_id == wanted)).one_or_none()
        accepted = connection.scalar(select(s.c.path).where(s.c.run_id == wanted).limit(1))
        whose = i.c.run_id == wanted
        if row is not None and row.plan_digest:
            whose |= i.c.digest == row.plan_digest
        elif accepted is not None:  # an `apply` of before its run told the digest: the standings are of who drafted
            whose |= i.c.run_id == Path(accepted).stem
        newest = i.c.created_at.desc()  # the same plan may have been drafted, applied and reverted before
        mine = select(i.c.digest, i.c.run_id).where(whose).order_by((i.c.run_id == wanted).desc(), newest).limit(1)
        found = connection.execute(mine).one_or_none()
    if row is None:
        raise ConfigError(f"{wanted}: no such run; `crmsync status` names the last ones")
    if found is None:
        raise ConfigError(f"run {wanted} ({row.kind}, {row.state}) has written nothing; there is nothing to revert")
    return found.digest, found.run_id


def _standings_before(
    belt: Belt, run_id: str, digest: str, drafted_by: str, newest: Accepted | None
) -> tuple[Path, bool]:
    """The standings to go back to, and whether those of the run are the newest (else the newest stay)."""
    if newest is None:
        raise ConfigError("no standings were accepted yet; there is nothing to revert")
    s = t.standings
    last = select(func.max(s.c.sequence)).where(s.c.run_id == newest.run_id, s.c.path == str(newest.path))
    with belt.ledger.reading() as connection:
        appliers = connection.execute(select(t.run.c.run_id).where(t.run.c.plan_digest == digest)).scalars()
        if newest.path.stem == drafted_by:  # perhaps given back since: what stood before it first was accepted
            mine = connection.scalar(select(func.min(s.c.sequence)).where(s.c.path == str(newest.path)))
        elif newest.run_id in set(appliers):  # a revert has given these back: what it undid stands right before
            mine = connection.scalar(last)
        else:
            return newest.path, False
        earlier = select(s.c.path).where(s.c.sequence < mine).order_by(s.c.as_of.desc(), s.c.sequence.desc()).limit(1)
        path = connection.scalar(earlier)
    return (Path(path) if path else _no_standings(belt, run_id, newest.path)), True


def _no_standings(belt: Belt, run_id: str, like: Path) -> Path:
    """A file of no standings: what was before the first fill."""
    path = belt.state / "standings" / f"{run_id}.parquet"
    write_standings(pq.read_table(_there(like)).slice(0, 0), path)
    return path


def _there(path: Path) -> Path:
    """Accepted standings are kept for good. Errors: StoreError."""
    if not path.is_file():
        raise StoreError(f"{path}: these accepted standings are missing; restore the state folder")
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
    if not intent.wanted:
        left["writes of which only the outcome is still kept"] += 1
        return None
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


def _tiers_given_back(
    fields: FieldMap, program: Program, changes: Sequence[Change], now: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The standings as the CRM has them, and as it will have them: with the tiers that these changes give back."""
    stands = {(row["partner_id"], row["category"]): dict(row) for row in now}
    becomes = {key: dict(row) for key, row in stands.items()}
    categories: dict[str, list[str]] = {}
    for partner, category in stands:
        categories.setdefault(partner, []).append(category)
    sinks = {sink.name: sink.fields.get("granted_tier") for sink in fields.sinks if sink.name == STANDINGS}
    for change in changes:
        name = sinks.get(change.sink) if change.sink else fields.fields.get("granted_tier")
        if name is None or name not in change.values:
            continue
        own = {one: stands[change.partner_id, one]["granted_tier"] for one in categories.get(change.partner_id, ())}
        category = _category_of(program, change, change.expected.get(name), own)
        for rows, label in ((stands, change.expected.get(name)), (becomes, change.values[name])):
            if category is not None:
                rows[change.partner_id, category]["granted_tier"] = tier_named(program, category, label)
    return list(stands.values()), list(becomes.values())


def _category_of(program: Program, change: Change, label: str | None, own: Mapping[str, str | None]) -> str | None:
    """Of which category a change speaks: its key says so, or an account shows the tier of its headline. `own`: tier
    by category of the partner."""
    if change.sink:
        return next((one for one in own if change.record_id.endswith(key_of("", program.key, one))), None)
    shown = [one for one, tier in own.items() if label_of_tier(program, one, tier) == label]
    return next(iter([*shown, *own]), None)


def _rows(path: Path, program: Program) -> list[dict[str, Any]]:
    columns = ["program", "partner_id", "category", "granted_tier", "previous_tier", "movement"]
    rows = pq.read_table(_there(path), columns=columns).to_pylist()
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
