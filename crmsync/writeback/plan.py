"""The plan: which accounts get which values, who moves and why, and what the guards say. Pure, and the same for the
same program, configuration, snapshot and standings: its digest is what a person approves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import cache

import pyarrow as pa

from crmsync.configuration_guards import GuardLimits
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from crmsync.writeback.badges import CONTACT_BADGES, badge_changes, badges_of
from crmsync.writeback.beside import HISTORY, STANDINGS, Drafted, held_beside, history_change, standing_changes
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap, account_of, account_values, normalised, same
from crmsync.writeback.guards import Rejections, Tripwires, canary_size, evaluate_guards
from crmsync.writeback.guards_movement import Preview, hand_kept_moves, moves_of, ranks_of
from crmsync.writeback.guards_trends import Snapshots
from crmsync.writeback.hand_edits import HandEdit, Held, Judging, Watch, apart
from crmsync.writeback.inputs import (
    CURRENT_VALUES,
    DECIDED,
    NO_FACTS,
    Current,
    PartnerFacts,
    by_partner,
    current_values,
    decided_rows,
    owners_of,
    partner_facts,
    standing_rows,
    table_rows,
)
from crmsync.writeback.members import CHANNEL_PROGRAM_MEMBER, levels_of, member_changes
from crmsync.writeback.naming import readable_rows
from crmsync.writeback.tasks import RISK_TASK, task_changes
from crmsync.writeback.verdicts import GuardResult
from crmsync.writeback.wording import Standing, deciding, label_of_tier

__all__ = ["CURRENT_VALUES", "Basis", "Change", "Drafting", "Mover", "Plan", "digest_of", "draft_plan", "sealed"]


FIRST = "first"
"""What changes of tier are counted from before any standings were accepted."""


@dataclass(frozen=True)
class Mover:
    """One partner whose granted tier changes in one category; tiers are labels."""

    partner_id: str
    name: str | None
    category: str
    from_tier: str | None
    to_tier: str | None
    movement: str
    why: str


@dataclass(frozen=True)
class Basis:
    """What the plan was drafted from; part of the digest."""

    program: str
    program_digest: str
    config_digest: str
    snapshot_digest: str
    decisions_digest: str
    table_rows: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """A drafted plan. `run_id` and `standings` (path of the standings file) are not part of the digest.

    `changes`: of the accounts; `beside`: of the records beside them, in the order in which they are written, and after
    the accounts. `unknown_partners`: partners with a standing whose record the target does not have; nothing is written
    for them. `canary`: so many accounts are written and read back before the rest (0: all at once); `held`: partners
    whose fall waits for a second snapshot, and who are left alone.
    """

    digest: str
    run_id: str
    standings: str
    as_of: date
    basis: Basis
    fields: FieldMap
    partners: int
    changes: tuple[Change, ...]
    movers: tuple[Mover, ...]
    guards: tuple[GuardResult, ...]
    unknown_partners: tuple[str, ...] = ()
    beside: tuple[Change, ...] = ()
    canary: int = 0
    held: tuple[str, ...] = ()
    hand_edits: tuple[HandEdit, ...] = ()

    @property
    def writes(self) -> int:
        """How many records would be written, accounts and the records beside them."""
        return len(self.changes) + len(self.beside)

    def count_beside(self) -> dict[str, dict[str, int]]:
        """How many records beside the accounts are new and how many changed, by sink in their order."""
        found: dict[str, dict[str, int]] = {}
        for change in self.beside:
            found.setdefault(change.sink, {"new": 0, "changed": 0})["changed" if change.expected else "new"] += 1
        return found

    @property
    def blocked(self) -> bool:
        """Whether a guard tripped: then an approval of the digest is needed."""
        return any(guard.tripped for guard in self.guards)

    def content(self) -> Iterator[str]:
        """Everything the digest covers, as canonical JSON, piece by piece: a large plan is never one text in memory."""
        plain = {"as_of": self.as_of.isoformat(), "basis": asdict(self.basis), "fields": asdict(self.fields)}
        begin = "{"
        for name in sorted(vars(self).keys() - NOT_COVERED):
            yield f'{begin}"{name}":'
            begin = ","
            value = plain.get(name, getattr(self, name))
            yield from _listed(value) if name in RECORDS else (_json(value),)
        yield "}"


NOT_COVERED = frozenset({"digest", "run_id", "standings"})
RECORDS = frozenset({"beside", "changes", "guards", "hand_edits", "movers"})
"""What of a plan is a list of flat records."""

AT_ONCE = 500
_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def _listed(records: Sequence[object]) -> Iterator[str]:
    """Flat records as a JSON list, some hundred at a time."""
    yield "["
    for start in range(0, len(records), AT_ONCE):
        some = _json([vars(one) for one in records[start : start + AT_ONCE]])[1:-1]
        yield f",{some}" if start else some
    yield "]"


@dataclass(frozen=True)
class Drafting:
    """What a draft takes beside program, standings and snapshot.

    `previous`: the last accepted standings (None: first fill); `snapshots`: this snapshot beside the accepted one;
    `preview`, `review`, `rejected`: see `Tripwires`; `counted_from`: what names the accepted standings in the key of a
    change of tier; `waiting`: changes of tier that were decided before and whose record could not be written yet;
    `held`: partners whose fall waits until a second snapshot says it too, and who are left alone.
    """

    config_digest: str = ""
    standings_path: str = ""
    previous: pa.Table | None = None
    snapshots: Snapshots = field(default_factory=Snapshots)
    preview: Preview | None = None
    review: date | None = None
    rejected: Rejections | None = None
    held: frozenset[str] = frozenset()
    limits: GuardLimits = field(default_factory=GuardLimits)
    counted_from: str = FIRST
    waiting: Sequence[Change] = ()
    watch: Watch = field(default_factory=Watch)


def draft_plan(
    program: Program,
    standings: pa.Table,
    snapshot: Snapshot,
    fields: FieldMap,
    run_id: str,
    as_of: date,
    drafting: Drafting | None = None,
) -> Plan:
    """The plan that brings the accounts to these standings; equal values are never written.

    The snapshot's `current_values` says what the accounts hold; without that table every value is written, and apply
    compares before it sends. The account of a partner whose row was rejected is left alone.
    Errors: DataError when `current_values` names a record twice.
    """
    drafting = drafting or Drafting()
    unread = frozenset(snapshot.rejected_partners) | drafting.held
    fields = fields.plain()
    rows = readable_rows(program, standing_rows(standings, program.key), snapshot)
    judged = [row for row in rows if row["partner_id"] not in unread]
    partners = by_partner(judged)
    current = current_values(snapshot)
    facts = partner_facts(snapshot, program)
    accounts = {partner: partner if current is None else current[partner].record_id
                for partner in partners if current is None or partner in current}  # fmt: skip
    beside = Drafted(program, fields, as_of, accounts, unread)
    drafted = _Draft(program, fields, as_of, facts, beside)
    previous = None if drafting.previous is None else decided_rows(drafting.previous, program.key)
    previous = previous and [row for row in previous if row["partner_id"] not in unread]
    basis = Basis(
        program.key, program.digest, drafting.config_digest, snapshot.digest,
        digest_of([_json([[row.get(column) for column in DECIDED] for row in rows])]), table_rows(snapshot),
    )  # fmt: skip
    unknown = () if current is None else tuple(partner for partner in partners if partner not in current)
    steps = list(drafted.steps(judged, previous))
    asked = (
        *drafted.changes(partners, current),
        *drafted.standings(partners, snapshot),
        *drafted.history(steps, previous is None, drafting),
    )
    judging = Judging(program, fields, as_of, partners, unread)
    writes, edits = apart(drafting.watch, judging, asked, _holding(fields, snapshot, current))
    changes = tuple(change for change in writes if not change.sink)
    beside_them = tuple(change for change in writes if change.sink)
    tripwires = _tripwires(program, snapshot, drafting, judged, previous, len(writes))
    guards = evaluate_guards(tripwires, drafting.limits)
    canary = canary_size(len(changes), tripwires, drafting.limits, any(guard.tripped for guard in guards))
    plan = Plan(
        "", run_id, drafting.standings_path, as_of, basis, fields, len(partners), changes,
        tuple(drafted.mover(step) for step in steps if step.moves), guards, unknown, beside_them, canary,
        tuple(sorted(drafting.held)), edits,
    )  # fmt: skip
    return sealed(plan)


def sealed(plan: Plan) -> Plan:
    """The plan with its digest: sha256 over the canonical JSON of its content."""
    return replace(plan, digest=digest_of(plan.content()))


def digest_of(content: Iterable[str]) -> str:
    """The digest of a plan's content, given as the pieces of its canonical JSON."""
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@dataclass(frozen=True)
class Step:
    """One standing whose granted tier is not the accepted one. `moves`: it is not of somebody who is new."""

    row: Standing
    from_tier: str | None
    moves: bool
    why: str


@dataclass(frozen=True)
class _Draft:
    program: Program
    fields: FieldMap
    as_of: date
    facts: Mapping[str, PartnerFacts]
    beside: Drafted

    def changes(
        self, partners: Mapping[str, Sequence[Standing]], current: Mapping[str, Current] | None
    ) -> Iterator[Change]:
        """One change per account with a value that differs, ordered by partner."""
        for partner_id, rows in partners.items():
            held = Current(partner_id, {}) if current is None else current.get(partner_id)
            if held is not None and (change := self._change(partner_id, rows, held)):
                yield change

    def _change(self, partner_id: str, rows: Sequence[Standing], held: Current) -> Change | None:
        account = account_of(self.program, rows, self.facts.get(partner_id, NO_FACTS).attributes)
        wanted = account_values(self.program, account)
        differing = {
            self.fields.fields[key]: value
            for key, value in wanted.items()
            if key in self.fields.fields and not _holds(held.values, self.fields.fields[key], key, value)
        }
        if not differing:
            return None
        beside = (self.fields.fields.get("changed_on"), self.fields.fields.get("run_id"), self.fields.token)
        stamps = [name for name in beside if name is not None]
        expected = {name: held.values[name] for name in (*differing, *stamps) if name in held.values}
        return Change(held.record_id, partner_id, differing, expected, self._why(differing, expected))

    def _why(self, values: Mapping[str, str | None], expected: Mapping[str, str | None]) -> str:
        tier = self.fields.fields.get("granted_tier")
        if tier is not None and tier in values:
            return f"tier {expected.get(tier) or 'empty'} → {values[tier] or 'empty'}"
        keys = [key for key, name in self.fields.fields.items() if name in values]
        return "changed: " + ", ".join(keys)

    def steps(self, rows: Sequence[Standing], previous: Sequence[Standing] | None) -> Iterator[Step]:
        """One step per standing whose granted tier differs from the last accepted one, vanished partners last."""
        before = {(row["partner_id"], row["category"]): row for row in previous or ()}
        for row in rows:
            old = before.pop((row["partner_id"], row["category"]), None)
            from_tier = old["granted_tier"] if old else row.get("previous_tier")
            # Without a movement word the partner never belonged here: its hand-kept tier is of another category.
            enters = old is None and row.get("movement") in ("entered", None)
            if from_tier != row.get("granted_tier"):
                yield Step(row, from_tier, not enters, self._decided(row))
        for row in before.values():
            if row["granted_tier"]:
                gone = {**row, "granted_tier": None, "movement": "left"}
                yield Step(gone, row["granted_tier"], True, "no longer among the partners that were read")

    def _decided(self, row: Standing) -> str:
        return deciding(self.program, row, self.facts.get(row["partner_id"], NO_FACTS).attributes)

    def mover(self, step: Step) -> Mover:
        """The step as the plan shows it."""
        row, category = step.row, step.row["category"]
        return Mover(
            row["partner_id"], self.facts.get(row["partner_id"], NO_FACTS).name, category,
            label_of_tier(self.program, category, step.from_tier),
            label_of_tier(self.program, category, row.get("granted_tier")),
            row.get("movement") or "", step.why,
        )  # fmt: skip

    def standings(self, partners: Mapping[str, Sequence[Standing]], snapshot: Snapshot) -> Iterator[Change]:
        """The records per category that differ, badges, levels and tasks for owners, where the CRM takes them."""
        if sink := self.fields.sink(STANDINGS):
            yield from standing_changes(self.beside, sink, partners, held_beside(snapshot, sink))
        if sink := self.fields.sink(CONTACT_BADGES):
            badges = badges_of(snapshot, self.as_of)
            yield from badge_changes(self.beside, sink, held_beside(snapshot, sink), badges)
        if sink := self.fields.sink(CHANNEL_PROGRAM_MEMBER):
            held = held_beside(snapshot, sink)
            yield from member_changes(self.beside, sink, partners, held, levels_of(snapshot))
        if sink := self.fields.sink(RISK_TASK):
            held, owners = held_beside(snapshot, sink), owners_of(snapshot)
            yield from task_changes(self.beside, sink, partners, held, owners)

    def history(self, steps: Sequence[Step], first_fill: bool, drafting: Drafting) -> Iterator[Change]:
        """A record per change of tier, where the CRM takes them. At the first fill who enters has changed nothing."""
        sink = self.fields.sink(HISTORY)
        if sink is None:
            return
        accounts = self.beside.accounts  # of a partner who is gone there is nothing to hang a record on
        yield from (change for change in drafting.waiting if change.partner_id in accounts)
        for step in steps:
            if step.moves or (step.row.get("movement") and not first_fill):
                change = history_change(self.beside, sink, drafting.counted_from, step.row, step.from_tier, step.why)
                if change is not None:
                    yield change


def _holding(fields: FieldMap, snapshot: Snapshot, current: Mapping[str, Current] | None) -> Held:
    """What the records of each kind hold now, read when it is asked for."""

    def held(sink: str) -> Mapping[str, Mapping[str, str | None]] | None:
        if not sink:
            return None if current is None else {one.record_id: one.values for one in current.values()}
        found = fields.sink(sink)
        records = held_beside(snapshot, found) if found is not None else None
        return None if records is None else {key: one.values for key, one in records.items()}

    return cache(held)


def _holds(values: Mapping[str, str | None], name: str, key: str, wanted: str | None) -> bool:
    return name in values and same(normalised(key, values[name]), wanted)


def _tripwires(
    program: Program,
    snapshot: Snapshot,
    drafting: Drafting,
    rows: Sequence[Standing],
    previous: Sequence[Standing] | None,
    writes: int,
) -> Tripwires:
    ranks = ranks_of(program)
    return Tripwires(
        moves_of(rows, previous, ranks), snapshot.counts, drafting.snapshots, drafting.preview, drafting.review,
        hand_kept_moves(rows, ranks) if previous is None else None, writes, drafting.rejected,
    )  # fmt: skip
