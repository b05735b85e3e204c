"""What a trial has broken: by the org's own count of effects, and by every row that the ledger has of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import func, select

from crmsync.ledger import tables as t
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.field_states import held_values
from crmsync.ledger.intents import last_written, live_jobs, opening_jobs
from crmsync.ledger.ledger import Ledger
from tests.writeback.trials import REFUSED, Trial, World, keys_of

WRITTEN, PARKED, TAKEN = "records_written", "record_parked", "lease_taken"
UNFINISHED = ("pending", "claimed", "parked", "conflict")


@dataclass(frozen=True)
class Deaths:
    """How the processes of a trial died: at a failpoint, where each holds the lease, or at any time."""

    at_failpoints: int = 0
    at_times: int = 0


def audit_ends(trial: Trial) -> int:
    """The number of audit events so far."""
    with trial.open(exclusive=False) as ledger, ledger.reading() as connection:
        return connection.scalar(select(func.max(t.audit.c.sequence))) or 0


def faults_of(world: World, trial: Trial, since: int = 0, deaths: Deaths = Deaths()) -> list[str]:
    """Every broken promise: lost, doubled, out of order, or told wrongly. `since`: see `audit_ends`."""
    told = world.ask("GET", "effects")
    world.ask("DELETE", "effects")
    found = [*effect_faults(world, trial, told)]
    with trial.open(exclusive=False) as ledger:
        found += [*intent_faults(world, trial, ledger), *state_faults(world, trial, ledger)]
        return [*found, *audit_faults(trial, ledger, since, deaths), *verify_chain(ledger).faults]


def written_accounts(world: World, trial: Trial) -> list[str]:
    return [one for one in world.accounts if one != trial.refused]


def wanted_writes(world: World, trial: Trial) -> Counter[tuple[str, str]]:
    """Sink and record of everything that the trial asks for, but what stands beside a refused account."""
    written, keys = written_accounts(world, trial), keys_of(world, trial)
    return Counter(
        [("", one) for one in written]
        + [("standings", keys[one]) for one in written]
        + [("history", f"h-{trial.text}|{one}") for one in written]
    )


# --- what the org has counted


def effect_faults(world: World, trial: Trial, told: dict[str, Any]) -> Iterator[str]:
    """Each record once; the last errors that differ once, after everything else."""
    tells = [change for change in told["changes"] if world.error in change["values"]]
    rest = [change for change in told["changes"] if world.error not in change["values"]]
    if told["changes"] != [*rest, *tells]:
        yield "last errors were told before the records were written"
    if [name for name, _ in groupby(change["object"] for change in rest)] != world.objects:
        yield "written out of order"
    errors = {change["id"]: change["values"][world.error] for change in tells}
    wanted = {one: None for one in [trial.told] if one} | {one: ": ".join(REFUSED) for one in [trial.refused] if one}
    wanted = {} if trial.told == trial.refused else wanted
    if errors != wanted or len(tells) != len(wanted):
        yield f"last errors {tells}, not {wanted}"
    for name in world.objects:
        counts = Counter(told["records"].get(name, {}))
        if name == world.fields.object:
            counts.subtract(wanted.keys())
            counts = +counts
        if len(counts) != len(written_accounts(world, trial)) or set(counts.values()) != {1}:
            yield f"{name}: effects {dict(counts)}"


# --- what the ledger says


def intent_faults(world: World, trial: Trial, ledger: Ledger) -> Iterator[str]:
    """Each write is an applied intent; nothing is left but what the org refused, and what waits for it."""
    i = t.intent.c
    with ledger.reading() as connection:
        rows = connection.execute(select(i.sink, i.record_id, i.state).where(i.run_id.startswith(trial.run))).all()
        left = connection.execute(select(i.sink, i.partner_id, i.state).where(i.state.in_(UNFINISHED))).all()
    found = Counter((row.sink, row.record_id) for row in rows if row.state == "applied")
    if trial.replans:  # a change of tier is drafted until the standings are accepted; then it is there already
        found = Counter(set(found))
    if found != wanted_writes(world, trial):
        yield f"applied {found}"
    waiting = {(sink, trial.refused, "pending" if sink else "parked") for sink in ("", "standings", "history")}
    if not {tuple(row) for row in left} <= (waiting if trial.refused else set()):
        yield f"{len(left)} intents left: {left}"
    if trial.refused and ("", trial.refused, "parked") not in {tuple(row) for row in left}:
        yield "what was refused is not parked"
    if live_jobs(ledger) or opening_jobs(ledger):
        yield "a job is still live"


def state_faults(world: World, trial: Trial, ledger: Ledger) -> Iterator[str]:
    """What the ledger holds for the last value written is what the org holds."""
    names = [world.text, world.fields.token or ""]
    told = held_values(ledger, world.error)
    for account, held in world.held(*names, world.error).items():
        if (held.pop(world.error) or None) != (told.get(account) or None):  # type: ignore[attr-defined]
            yield f"{account} tells {held}, the ledger {told.get(account)!r}"
        if account == trial.refused:
            if held[world.text] == trial.text:
                yield f"{account} was refused, and holds {held}"
            continue
        written = last_written(ledger, account)
        if {name: written.get(name) for name in names} != held or held[world.text] != trial.text:
            yield f"{account} holds {held}, the ledger {written}"


def audit_faults(trial: Trial, ledger: Ledger, since: int, deaths: Deaths) -> Iterator[str]:
    """One event for everything that happened in the trial, and none for what did not.

    That each event of writing tells of just its rows is what `verify_chain` finds out: it takes their digests.
    """
    a, o, i = t.audit.c, t.outcome.c, t.intent.c
    of_trial = i.run_id.startswith(trial.run)
    with ledger.reading() as connection:
        rows = connection.execute(select(a.event, a.content).where(a.sequence > since).order_by(a.sequence)).all()
        ended = connection.execute(
            select(o.intent_id, o.state).join(t.intent, i.intent_id == o.intent_id).where(of_trial)
        )
        outcomes = Counter((row.intent_id, row.state) for row in ended)
        applied = set(connection.scalars(select(i.intent_id).where(of_trial, i.state == "applied")))
        plans = set(connection.scalars(select(t.plan.c.run_id).where(t.plan.c.run_id.startswith(trial.run))))
        accepted = connection.scalars(
            select(t.standings.c.run_id).where(t.standings.c.run_id.startswith(trial.run))
        ).all()
    events = [(row.event, json.loads(row.content)) for row in rows]
    told = Counter(name for name, _ in events)
    states = Counter(state for _, state in outcomes.elements())
    if (
        any(count != 1 for count in outcomes.values())
        or {one for one, state in outcomes if state == "applied"} != applied
    ):
        yield f"an outcome was told twice, or not at all: {outcomes}"
    if set(states) - {"applied", "parked"}:
        yield f"outcomes {states}"
    audited = Counter[str]()
    for name, content in events:
        if name == WRITTEN:
            audited.update({state: count for state, count in content.items() if isinstance(count, int)})
            if not content["run"].startswith(trial.run) or content["run"] not in plans:
                yield f"the audit tells of writes of {content['run']}"
    if audited != states:
        yield f"{audited} in the audit, {states} happened"
    if told[PARKED] != states["parked"]:
        yield f"{told[PARKED]} refusals in the audit, {states['parked']} happened"
    runs = [content["run_id"] for name, content in events if name == "plan_drafted"]
    if sorted(runs) != sorted(plans):
        yield f"plans in the audit {runs}, drafted were {plans}"
    if len(accepted) != 1 or [c["run_id"] for n, c in events if n == "standings_accepted"] != accepted:
        yield f"standings of {accepted} are accepted, the audit tells of {told['standings_accepted']}"
    if not deaths.at_failpoints <= told[TAKEN] <= deaths.at_failpoints + deaths.at_times:
        yield f"{told[TAKEN]} leases were taken over after {deaths}"
    if others := set(told) - {WRITTEN, PARKED, TAKEN, "plan_drafted", "standings_accepted"}:
        yield f"the audit tells of {others}"
