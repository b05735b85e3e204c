"""The plan: which accounts get which values, who moves and why, and what the guards say. Pure, and the same for the
same program, configuration, snapshot and standings: its digest is what a person approves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa

from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from crmsync.writeback.fields import FieldMap, account_of, account_values, normalised
from crmsync.writeback.guards import GuardResult, Limits, Tripwires, changed_partners, evaluate_guards
from crmsync.writeback.inputs import (
    CURRENT_VALUES,
    DECIDED,
    NO_FACTS,
    Current,
    PartnerFacts,
    by_partner,
    current_values,
    decided_rows,
    partner_facts,
    standing_rows,
    table_rows,
)
from crmsync.writeback.wording import Standing, deciding, label_of_tier

__all__ = ["CURRENT_VALUES", "Basis", "Change", "Drafting", "Mover", "Plan", "digest_of", "draft_plan", "sealed"]


@dataclass(frozen=True)
class Change:
    """One account that is written. `values`: only the fields that differ; `expected`: what they hold now, and the
    stamps beside them (a field whose present value is not known is absent)."""

    record_id: str
    partner_id: str
    values: Mapping[str, str | None]
    expected: Mapping[str, str | None]
    why: str


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

    `unknown_partners`: partners with a standing whose record the target does not have; nothing is written for them.
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

    @property
    def blocked(self) -> bool:
        """Whether a guard tripped: then an approval of the digest is needed."""
        return any(guard.tripped for guard in self.guards)

    def content(self) -> dict[str, Any]:
        """Everything the digest covers, as JSON values."""
        whole = asdict(self)
        for name in ("digest", "run_id", "standings"):
            del whole[name]
        return {**whole, "as_of": self.as_of.isoformat()}


@dataclass(frozen=True)
class Drafting:
    """What a draft takes beside program, standings and snapshot.

    `previous`: the last accepted standings (None: first fill); `previous_rows`: rows per table of their snapshot.
    """

    config_digest: str = ""
    standings_path: str = ""
    previous: pa.Table | None = None
    previous_rows: Mapping[str, int] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


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
    unread = frozenset(snapshot.rejected_partners)
    fields = FieldMap(fields.object, dict(fields.fields), fields.token)
    rows = standing_rows(standings, program.key)
    judged = [row for row in rows if row["partner_id"] not in unread]
    partners = by_partner(judged)
    current = current_values(snapshot)
    facts = partner_facts(snapshot, program)
    drafted = _Draft(program, fields, as_of, facts)
    changes = tuple(drafted.changes(partners, current))
    previous = None if drafting.previous is None else decided_rows(drafting.previous, program.key)
    previous = previous and [row for row in previous if row["partner_id"] not in unread]
    guards = evaluate_guards(_tripwires(snapshot, judged, previous, drafting.previous_rows), drafting.limits)
    basis = Basis(
        program.key, program.digest, drafting.config_digest, snapshot.digest,
        _sha256([[row.get(column) for column in DECIDED] for row in rows]), table_rows(snapshot),
    )  # fmt: skip
    unknown = () if current is None else tuple(partner for partner in partners if partner not in current)
    plan = Plan(
        "", run_id, drafting.standings_path, as_of, basis, fields, len(partners), changes,
        tuple(drafted.movers(judged, previous)), guards, unknown,
    )  # fmt: skip
    return sealed(plan)


def sealed(plan: Plan) -> Plan:
    """The plan with its digest: sha256 over the canonical JSON of its content."""
    return Plan(
        **{**{name: getattr(plan, name) for name in plan.__dataclass_fields__}, "digest": digest_of(plan.content())}
    )


def digest_of(content: Mapping[str, Any]) -> str:
    """The digest of a plan's content."""
    return _sha256(content)


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class _Draft:
    program: Program
    fields: FieldMap
    as_of: date
    facts: Mapping[str, PartnerFacts]

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

    def movers(self, rows: Sequence[Standing], previous: Sequence[Standing] | None) -> Iterator[Mover]:
        """One mover per standing whose granted tier differs from the last accepted one, vanished partners last."""
        before = {(row["partner_id"], row["category"]): row for row in previous or ()}
        for row in rows:
            old = before.pop((row["partner_id"], row["category"]), None)
            from_tier = old["granted_tier"] if old else row.get("previous_tier")
            # Without a movement word the partner never belonged here: its hand-kept tier is of another category.
            enters = old is None and row.get("movement") in ("entered", None)
            if not enters and from_tier != row.get("granted_tier"):
                yield self._mover(row, from_tier)
        for row in before.values():
            if row["granted_tier"]:
                gone = {**row, "granted_tier": None, "movement": "left"}
                yield self._mover(gone, row["granted_tier"], "no longer among the partners that were read")

    def _mover(self, row: Standing, from_tier: str | None, why: str | None = None) -> Mover:
        facts = self.facts.get(row["partner_id"], NO_FACTS)
        category = row["category"]
        return Mover(
            row["partner_id"], facts.name, category,
            label_of_tier(self.program, category, from_tier),
            label_of_tier(self.program, category, row.get("granted_tier")),
            row.get("movement") or "",
            why or deciding(self.program, row, facts.attributes),
        )  # fmt: skip


def _holds(values: Mapping[str, str | None], name: str, key: str, wanted: str | None) -> bool:
    return name in values and normalised(key, values[name]) == wanted


def _tripwires(
    snapshot: Snapshot,
    rows: Sequence[Standing],
    previous: Sequence[Standing] | None,
    previous_rows: Mapping[str, int],
) -> Tripwires:
    known = {row["partner_id"] for row in rows} | {row["partner_id"] for row in previous or ()}
    changed = len(changed_partners(rows, previous))
    return Tripwires(len(known), changed, snapshot.counts, table_rows(snapshot), previous_rows)
