"""Proof: a partner's history, the audit verified, decisions computed again, and why a tier differs between two runs."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.errors import ConfigError, CrmsyncError, DataError
from crmsync.lagging import held_by
from crmsync.ledger.chain import Verified, verify_chain
from crmsync.ledger.history import Happened, partner_history
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.made_of import MadeOf, accepted_runs, run_made_of
from crmsync.ledger.texts import restore_files
from crmsync.levelling.assess import Assessment, assess_programs
from crmsync.levelling.standings import write_standings
from crmsync.offline import only_program
from crmsync.past import open_ledger
from crmsync.programs.loading import load_programs
from crmsync.programs.program import Program
from crmsync.snapshots import MANIFEST, Snapshot, open_snapshot

SAMPLED = 2
DECIDED = ("calculated_tier", "earned_tier", "granted_tier", "pending_tier", "movement", "overrides")


# --- one partner


def history(partner: str) -> list[Happened]:
    """What was decided about and done to a partner, oldest first, with the runs. Errors: ConfigError for nobody."""
    with open_ledger() as ledger:
        found = [*partner_history(ledger, partner), *_decisions(ledger, partner)]
    if not found:
        raise ConfigError(f"{partner}: the ledger knows no partner and no record of that id")
    return sorted(found, key=lambda one: one.at)


def _decisions(ledger: Ledger, partner: str) -> Iterator[Happened]:
    """What the accepted standings said of a partner, as often as it changed: calculated and granted tier, overrides."""
    before: dict[str, Any] = {}
    for made in reversed(accepted_runs(ledger)):
        if not made.standings.is_file():
            continue
        columns = ["category", *DECIDED]
        for row in pq.read_table(made.standings, columns=columns, filters=[("partner_id", "=", partner)]).to_pylist():
            category = row.pop("category")
            if before.get(category) == row:
                continue
            before[category] = row
            tiers = [row[name] or "no tier" for name in ("calculated_tier", "granted_tier")]
            said = f"{category}: calculated {tiers[0]}, granted {tiers[1]}"
            said += f", {len(row['overrides'])} overrides" if row["overrides"] else ""
            yield Happened(made.started_at, "decision", made.run_id, f"{said}, as of {made.as_of}", row)


# --- computing a run again


@dataclass(frozen=True)
class Ingredients:
    """What standings are computed from; any of them can be another run's."""

    snapshot: Snapshot
    programs: Path
    as_of: date
    previous: Path | None


@dataclass(frozen=True)
class Recomputed:
    """One run computed again. `same`: every byte of its standings; `told`: why not, or why it could not be done."""

    run_id: str
    as_of: date
    partners: int
    same: bool
    told: str = ""


@contextlib.contextmanager
def ingredients(ledger: Ledger, made: MadeOf) -> Iterator[Ingredients]:
    """The inputs of a run, its program files written to a folder that goes at the end of the block.

    Errors: ConfigError when retention has removed the snapshot; StoreError, DataError when something was changed.
    """
    if not (made.snapshot / MANIFEST).is_file():
        raise ConfigError(f"run {made.run_id}: its snapshot is no longer kept ({made.snapshot})")
    snapshot = open_snapshot(made.snapshot, verify=True)
    if snapshot.digest != made.snapshot_digest:
        raise ConfigError(f"run {made.run_id}: {made.snapshot} is not the snapshot that it read")
    with tempfile.TemporaryDirectory() as folder:
        yield Ingredients(snapshot, restore_files(ledger, made.files_digest, Path(folder)), made.as_of, made.previous)


def computed(of: Ingredients, *, light: bool = False) -> tuple[Program, Assessment]:
    """The program in force and the standings that these ingredients give."""
    columns = {name: table.columns for name, table in of.snapshot.tables.items()}
    programs = load_programs(of.programs, columns=columns)
    program = only_program(of.programs, programs, of.as_of)
    found = assess_programs(programs, of.snapshot, of.as_of, of.previous, light=light)
    return program, found[list(dict.fromkeys(one.key for one in programs)).index(program.key)]


def recompute(ledger: Ledger, made: MadeOf) -> Recomputed:
    """Compute a run again from its stored snapshot and program text, and compare with what was accepted."""
    try:
        accepted = pq.read_table(made.standings)
        if _sha256(made.standings) != made.standings_sha256:
            return Recomputed(made.run_id, made.as_of, accepted.num_rows, False, f"{made.standings} was changed")
        with ingredients(ledger, made) as of, tempfile.TemporaryDirectory() as folder:
            program, found = computed(of)
            if program.digest != made.program_digest:
                return Recomputed(made.run_id, made.as_of, accepted.num_rows, False, "its program text was changed")
            again = Path(folder) / "standings.parquet"
            write_standings(found.standings, again)
            held = held_by(ledger, made.run_id)  # their standings were carried over, not computed
            accepted, computed_now = _without(accepted, held), _without(pq.read_table(again), held)
            same = _sha256(again) == made.standings_sha256 or computed_now.equals(accepted)
            told = "" if same else _first_difference(accepted, computed_now)
            return Recomputed(made.run_id, made.as_of, accepted.num_rows, same, told)
    except (CrmsyncError, OSError, pa.ArrowException) as error:
        return Recomputed(made.run_id, made.as_of, 0, False, str(error))


def _without(standings: pa.Table, partners: frozenset[str]) -> pa.Table:
    if not partners:
        return standings
    who = pa.array(sorted(partners), pa.string())
    return standings.filter(pc.invert(pc.is_in(standings["partner_id"], value_set=who)))


def _first_difference(accepted: pa.Table, again: pa.Table) -> str:
    if accepted.schema != again.schema or accepted.num_rows != again.num_rows:
        return (
            f"{accepted.num_rows} standings were accepted, {again.num_rows} are computed now, or their columns differ"
        )
    for before, now in zip(accepted.to_pylist(), again.to_pylist(), strict=True):
        for column, value in before.items():
            if now[column] != value:
                who = f"partner {before['partner_id']}, category {before['category']}"
                return f"{who}: {column} was {value!r} and is {now[column]!r} now"
    return "the same values, but in another form"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Proof:
    """What `audit verify` found."""

    audit: Verified
    recomputed: tuple[Recomputed, ...]

    @property
    def holds(self) -> bool:
        """Whether all is as it was recorded."""
        return not self.audit.faults and all(one.same for one in self.recomputed)


def verify(anchors: Sequence[str] = (), runs: int | None = SAMPLED) -> Proof:
    """Verify the audit, and compute the newest runs whose snapshot is kept again (None: all of them)."""
    with open_ledger() as ledger:
        audit = verify_chain(ledger, tuple(anchors))
        kept = [made for made in accepted_runs(ledger) if (made.snapshot / MANIFEST).is_file()]
        return Proof(audit, tuple(recompute(ledger, made) for made in kept[:runs]))


# --- two runs


@dataclass(frozen=True)
class Differs:
    """One tier that is another in the second run. `causes`: data, override, program, calendar: each of them alone
    changes the first run's tier; before (the standings that movement started from): with those of the first run the
    second would have another tier; wait: the first run had carried the tier over until a second snapshot agreed.
    Empty: only several together change it."""

    partner_id: str
    category: str
    first: str | None
    second: str | None
    causes: tuple[str, ...]


@dataclass(frozen=True)
class RunDiff:
    """Two runs beside each other. `same`: inputs in which they do not differ; `untried`: cause -> why the first run
    cannot be computed with that of the second alone (its program reads what the first run's data do not have)."""

    first: str
    second: str
    tiers: tuple[Differs, ...]
    same: tuple[str, ...]
    untried: Mapping[str, str] = field(default_factory=dict)


OVERRIDES = "overrides"
BEFORE, WAIT = "before", "wait"
CAUSES = ("data", "override", "program", "calendar", BEFORE)
Tiers = Mapping[tuple[str, str], str | None]


def diff(first: str, second: str) -> RunDiff:
    """Every tier that differs between two runs, and what of theirs causes it: found by computing the first run again
    with one thing of the second at a time. Errors: ConfigError when one of the snapshots is no longer kept."""
    with open_ledger() as ledger:
        one, two = run_made_of(ledger, first), run_made_of(ledger, second)
        if one.as_of > two.as_of:
            raise ConfigError(f"{first} is as of {one.as_of}, {second} as of {two.as_of}: name the earlier one first")
        before, after = _accepted(one), _accepted(two)
        changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        waited, waits = held_by(ledger, one.run_id), held_by(ledger, two.run_id)
        with ingredients(ledger, one) as old, ingredients(ledger, two) as new:
            swaps = dict(_swaps(old, new, one, two)) if changed else {}
            found, untried = _tried(swaps)
            carried = any(partner in waited for partner, _ in changed)
            own = _computed_tiers(old) if carried else before  # of who waited, the accepted tier was not computed
    told = []
    for key in changed:
        compared = {**dict.fromkeys(found, own if key[0] in waited else before), BEFORE: after}
        causes = tuple(cause for cause, tiers in found.items() if tiers.get(key) != compared[cause].get(key))
        if key[0] in waits:
            causes = (BEFORE,)  # carried over from there
        elif key[0] in waited:
            causes = (WAIT, *causes)
        told.append(Differs(*key, before.get(key), after.get(key), causes))
    same = tuple(cause for cause in CAUSES if changed and cause not in swaps)
    return RunDiff(one.run_id, two.run_id, tuple(told), same, untried)


def _tried(swaps: Mapping[str, Ingredients]) -> tuple[dict[str, Tiers], dict[str, str]]:
    """The tiers that each of these gives, and why some cannot be computed."""
    found: dict[str, Tiers] = {}
    untried: dict[str, str] = {}
    for cause, swapped in swaps.items():
        try:
            found[cause] = _computed_tiers(swapped)
        except (ConfigError, DataError) as error:
            untried[cause] = error.message if isinstance(error, ConfigError) else str(error)
    return found, untried


def _computed_tiers(of: Ingredients) -> Tiers:
    return _tiers(computed(of, light=True)[1].standings)


def _swaps(old: Ingredients, new: Ingredients, one: MadeOf, two: MadeOf) -> Iterator[tuple[str, Ingredients]]:
    """The first run's ingredients with one thing of the second, for each thing in which they differ."""
    data = {name: table for name, table in new.snapshot.tables.items() if name != OVERRIDES}
    kept = {name: table for name, table in old.snapshot.tables.items() if name == OVERRIDES}
    if one.snapshot_digest != two.snapshot_digest:
        yield "data", replace(old, snapshot=replace(new.snapshot, tables={**data, **kept}))
        given = {name: table for name, table in new.snapshot.tables.items() if name == OVERRIDES}
        others = {name: table for name, table in old.snapshot.tables.items() if name != OVERRIDES}
        yield "override", replace(old, snapshot=replace(old.snapshot, tables={**others, **given}))
    if one.files_digest != two.files_digest:
        yield "program", replace(old, programs=new.programs)
    if one.as_of != two.as_of:
        yield "calendar", replace(old, as_of=new.as_of)
    if one.previous != two.previous:  # those of the second run may be of a day that the first one does not know yet
        yield BEFORE, replace(new, previous=old.previous)


def _accepted(made: MadeOf) -> Tiers:
    return _tiers(pq.read_table(made.standings, columns=["partner_id", "category", "granted_tier"]))


def _tiers(standings: pa.Table) -> Tiers:
    rows = standings.select(["partner_id", "category", "granted_tier"]).to_pylist()
    return {(row["partner_id"], row["category"]): row["granted_tier"] for row in rows}
