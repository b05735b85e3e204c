"""Overrides in force: exceptions that people made, with a reason and a name.

One table with a row per partner and category says what they do, another lists them for the standings; what cannot be
applied is reported, never silently ignored. Source: program-language, section 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from crmsync.errors import Rejected
from crmsync.levelling import sql
from crmsync.levelling.before import NO_TIER
from crmsync.levelling.decisions import approve_column, decline_column
from crmsync.levelling.engine import Engine
from crmsync.levelling.words import LASTING, has_column
from crmsync.programs.program import Program, Unit
from crmsync.snapshots import Snapshot
from crmsync.strict_yaml import decimal_of
from crmsync.tables import OVERRIDE_KINDS

OVERRIDES, CREDITS = "overrides_in_force", "credits"
BOUNDS = ("pin", "floor", "ceiling")
DECISIONS = ("approve", "decline")
MEASURED = ("exempt", "credit", "category")
"""Kinds that change the calculated tier."""

CREDIT_SHAPE = pa.schema(
    [
        ("partner_id", pa.string()),
        ("category", pa.string()),
        ("metric", pa.string()),
        ("value", pa.decimal128(28, 9)),
    ]
)
KEY = (("partner_id", pa.string()), ("category", pa.string()))


def exempt_column(metric: str, view: str) -> str:
    """Name of the column that says whether a partner is exempt from a metric's criteria in a view."""
    return f"exempt:{metric}@{view}"


@dataclass(frozen=True)
class Entry:
    """One override in force, as the standings list it. `category` is a category of the program."""

    partner_id: str
    category: str
    kind: str
    value: str | None
    ends_on: date | None
    reason: str


@dataclass(frozen=True)
class Overrides:
    """What is in force. `table`: a row per partner and category with a column for each thing that somebody has;
    `credits`: shape CREDIT_SHAPE."""

    table: pa.Table
    credits: pa.Table = field(default_factory=CREDIT_SHAPE.empty_table)
    entries: tuple[Entry, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @property
    def filled(self) -> frozenset[str]:
        """Columns that somebody has."""
        return frozenset(self.table.column_names) - {"partner_id", "category"}

    @property
    def credited(self) -> frozenset[tuple[str, bool]]:
        """The metrics that have a credit, and whether one names a category."""
        pairs = zip(self.credits.column("metric").to_pylist(), self.credits.column("category").to_pylist(), strict=True)
        return frozenset((metric, category is not None) for metric, category in pairs)


def no_overrides() -> Overrides:
    """Nothing is in force."""
    return Overrides(pa.schema(KEY).empty_table())


@dataclass(frozen=True)
class Days:
    """as_of, and the days that the views look from."""

    as_of: date
    views: Mapping[str, date]


def overrides_in_force(
    program: Program, snapshot: Snapshot, days: Days, engine: Engine, without: Sequence[str] = ()
) -> Overrides:
    """The overrides that act at as_of, but for the kinds in `without`.

    Of several pins, floors or ceilings of one partner and category the one that started last acts, see `_turn`.
    """
    if "overrides" not in snapshot.tables:
        return no_overrides()
    rows = engine.read(sql.select([sql.star()], sql.table("t_overrides"))).to_pylist()
    rejected: list[Rejected] = []
    good: list[Mapping[str, Any]] = []
    for row in sorted(_in_force(rows, days.as_of), key=_turn):
        fault = _fault(program, row)
        if fault is not None:
            rejected.append(fault)
        elif row["kind"] not in without:
            good.append(row)
    acting = _Acting(program, days)
    for row in good:
        acting.add(row)
    return Overrides(acting.table(), acting.credit_table(), tuple(acting.entries.values()), tuple(rejected))


class _Acting:
    """What the overrides of each partner and category add up to."""

    def __init__(self, program: Program, days: Days) -> None:
        self.program, self.days = program, days
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.types: dict[str, pa.DataType] = {}
        self.entries: dict[tuple[object, ...], Entry] = {}
        self.credits: list[dict[str, Any]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        kind, partner = row["kind"], row["partner_id"]
        if kind == "credit":
            category = _categories(self.program, row)[0] if row.get("category") else None
            value = decimal_of(str(row["value"]))
            self.credits.append({"partner_id": partner, "category": category, "metric": row["metric"], "value": value})
        for category in _categories(self.program, row):
            if kind in (*BOUNDS, *DECISIONS) and _tier_key(self.program, category, row.get("tier"), kind) is None:
                continue  # blank category: it acts where the ladder knows the tier
            for column, (value, of_type) in self._columns(category, row).items():
                self._set(partner, category, column, value, of_type)
            if kind in LASTING:
                self._set(partner, category, has_column(kind), True, pa.bool_())
            self._list(category, row)

    def _set(self, partner: str, category: str, column: str, value: Any, of_type: pa.DataType) -> None:
        cells = self.rows.setdefault((partner, category), {})
        if of_type == pa.date32():  # several approvals or graces: the latest counts
            value = max(value, cells.get(column, value))
        cells[column] = value
        self.types[column] = of_type

    def _columns(self, category: str, row: Mapping[str, Any]) -> dict[str, tuple[Any, pa.DataType]]:
        kind, ends = row["kind"], row.get("ends_on")
        if kind in BOUNDS:
            return {kind: (_tier_key(self.program, category, row["tier"], kind), pa.string())}
        if kind in DECISIONS:
            keys = [NO_TIER, *(tier.key for tier in self.program.ladder_of(category).tiers)]
            position = keys.index(_tier_key(self.program, category, row["tier"], kind) or NO_TIER)
            name = approve_column(position) if kind == "approve" else decline_column(position)
            return {name: (row["starts_on"], pa.date32())}
        if kind == "grace":
            return {"grace_to": (ends, pa.date32())}
        if kind == "category":
            return {"category_in": (row["value"].strip().lower() == "in", pa.bool_())}
        if kind == "exempt":
            views = [view for view, day in self.days.views.items() if ends is None or day <= ends]
            return {exempt_column(row["metric"], view): (True, pa.bool_()) for view in views}
        return {}

    def _list(self, category: str, row: Mapping[str, Any]) -> None:
        kind, partner = row["kind"], row["partner_id"]
        # of several that replace each other only the one that acts is listed
        many = (row.get("metric"), row.get("tier"), row.get("value")) if kind not in (*BOUNDS, "category") else ()
        key = (partner, category, kind, *many)
        self.entries.pop(key, None)
        value = _shown_value(self.program, category, row)
        self.entries[key] = Entry(partner, category, kind, value, row.get("ends_on"), row.get("reason") or "")

    def table(self) -> pa.Table:
        schema = pa.schema([*KEY, *self.types.items()])
        rows = [
            {"partner_id": partner, "category": category, **cells} for (partner, category), cells in self.rows.items()
        ]
        return pa.Table.from_pylist(rows, schema)

    def credit_table(self) -> pa.Table:
        return pa.Table.from_pylist(self.credits, CREDIT_SHAPE)


def _shown_value(program: Program, category: str, row: Mapping[str, Any]) -> str | None:
    match row["kind"]:
        case "exempt":
            return str(row["metric"])
        case "credit":
            return f"{row['metric']} {row['value']}"
        case "category":
            return str(row["value"]).strip().lower()
        case "grace":
            return None
        case kind:
            return _tier_key(program, category, row.get("tier"), kind)


def _turn(row: Mapping[str, Any]) -> tuple[object, ...]:
    """The order in which overrides replace each other: by start, then by end, then by their texts; the last acts."""
    texts = tuple(row.get(column) or "" for column in ("tier", "value", "reason", "approved_by", "category"))
    return (row.get("starts_on") or date.min, row.get("ends_on") or date.max, *texts)


def _in_force(rows: Iterable[Mapping[str, Any]], as_of: date) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        starts, ends = row.get("starts_on"), row.get("ends_on")
        if (starts is None or starts <= as_of) and (ends is None or as_of <= ends):
            yield row


# --- what is wrong with one


def _fault(program: Program, row: Mapping[str, Any]) -> Rejected | None:
    kind = row.get("kind")
    where = f"override of {row.get('partner_id')}"
    if kind not in OVERRIDE_KINDS:
        return Rejected(where, None, "kind", str(kind or ""), f"not an override; there are {', '.join(OVERRIDE_KINDS)}")
    for column in ("reason", "approved_by"):
        if not row.get(column):
            return Rejected(where, None, column, "", f"an override without {column} is not applied")
    if row.get("category") and not _categories(program, row):
        return Rejected(where, None, "category", str(row["category"]), _known("category", program.categories))
    if kind in (*BOUNDS, *DECISIONS):
        return _tier_fault(program, row, where)
    if kind in ("exempt", "credit"):
        return _metric_fault(program, row, where)
    if kind == "category" and str(row.get("value") or "").strip().lower() not in ("in", "out"):
        return Rejected(where, None, "value", str(row.get("value") or ""), "an override `category` says in or out")
    if kind == "grace" and row.get("ends_on") is None:
        return Rejected(where, None, "ends_on", "", "an override `grace` moves the end of a grace to its ends_on")
    return None


def _tier_fault(program: Program, row: Mapping[str, Any], where: str) -> Rejected | None:
    kind, categories = row["kind"], _categories(program, row)
    found = [_tier_key(program, category, row.get("tier"), kind) for category in categories]
    # for one category its ladder must know the tier; for all of them some ladder
    if not any(found):
        tiers = [tier.key for category in categories for tier in program.ladder_of(category).tiers]
        return Rejected(where, None, "tier", str(row.get("tier") or ""), _known("tier", dict.fromkeys(tiers)))
    if kind in DECISIONS and row.get("starts_on") is None:
        return Rejected(where, None, "starts_on", "", f"an override `{kind}` needs the day it was decided, starts_on")
    return None


def _metric_fault(program: Program, row: Mapping[str, Any], where: str) -> Rejected | None:
    name = row.get("metric")
    metric = program.metrics.get(name) if isinstance(name, str) else None
    if metric is None:
        return Rejected(where, None, "metric", str(name or ""), _known("metric", program.metrics))
    if row["kind"] == "exempt":
        return None
    if metric.unit in (Unit.YES_NO, Unit.TEXT):
        return Rejected(where, None, "metric", str(name), "a credit is added to a number, and this is none")
    value = decimal_of(str(row.get("value") or ""))
    if value is None or abs(value) >= Decimal(10) ** 15:
        return Rejected(where, None, "value", str(row.get("value") or ""), "a credit needs a number, like 50000 or -3")
    return None


def _known(what: str, names: Iterable[str]) -> str:
    return f"no such {what}; there are {', '.join(names)}"


def _categories(program: Program, row: Mapping[str, Any]) -> list[str]:
    wanted = row.get("category")
    return [key for key, category in program.categories.items() if not wanted or wanted in (key, category.label)]


def _tier_key(program: Program, category: str, tier: object, kind: str) -> str | None:
    if kind in DECISIONS and tier == NO_TIER:
        return NO_TIER
    for known in program.ladder_of(category).tiers:
        if tier in (known.key, known.label):
            return known.key
    return None
