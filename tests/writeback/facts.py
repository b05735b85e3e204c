"""Small programs, standings and snapshots for the tests of write-back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlglot import exp

from crmsync.programs.program import (
    ByAttribute,
    Category,
    Comparison,
    Criterion,
    Formula,
    FromField,
    Group,
    Junction,
    Ladder,
    Metric,
    Program,
    StartsFrom,
    Tier,
    Unit,
)
from crmsync.snapshots import Snapshot, Staging, TableFile, write_table
from crmsync.tables import ColumnType
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import COMPUTED, PARTNER_SAFE, FieldMap, Sink
from crmsync.writeback.plan import Basis, Plan, sealed

AS_OF = date(2026, 11, 21)
FIELDS = FieldMap(
    "Account",
    {**{key: f"{key}__c" for key in (*COMPUTED, *PARTNER_SAFE)}, "changed_on": "changed_on__c", "run_id": "run_id__c"},
    "token__c",
)

GAP = pa.list_(
    pa.struct(
        [(name, pa.string()) for name in ("metric", "value", "required", "missing", "path")]
        + [("met", pa.bool_()), ("exhausted", pa.bool_())]
    )
)
OVERRIDES = pa.list_(pa.struct([(n, pa.string()) for n in ("kind", "value", "ends_on", "reason")]))
METRICS = pa.struct([("revenue", pa.string()), ("people", pa.string()), ("score", pa.string())])
TEXTS = (
    "program", "program_version", "partner_id", "category", "calculated_tier", "earned_tier", "granted_tier",
    "previous_tier", "headline_tier", "primary_category", "projected_tier", "movement", "next_tier", "gap_summary",
    "main_blocker", "risk",
)  # fmt: skip
SCHEMA = pa.schema(
    [(name, pa.string()) for name in TEXTS]
    + [(name, pa.date32()) for name in ("as_of", "tier_since", "grace_until", "risk_on")]
    + [
        ("progress", pa.decimal128(4, 1)), ("gap", GAP), ("overrides", OVERRIDES), ("metrics", METRICS),
        ("risk_reasons", pa.list_(pa.string())), ("provisional", pa.bool_()),
        ("provisional_reasons", pa.list_(pa.string())),
    ]
)  # fmt: skip


def metric(key: str, unit: Unit, label: str) -> Metric:
    return Metric(key, 1, unit, FromField(key), label)


def a_program(*, categories: Mapping[str, str] | None = None, points: bool = False, by_hand: bool = False) -> Program:
    """Registered, Silver (100,000 or 80,000 in EMEA), Gold (500,000 and 5 people)."""
    metrics = {
        "revenue": metric("revenue", Unit.MONEY, "Revenue"),
        "people": metric("people", Unit.PEOPLE, "Certified people"),
    }
    if points:
        metrics["score"] = metric("score", Unit.POINTS, "Score")
    member = Formula("true", 1, exp.true())
    named = categories or {"all": "All"}
    starts = StartsFrom("current_tier", {"Gold Partner": "gold"}) if by_hand else None
    return Program(
        key="channel",
        label="Channel",
        file=Path("channel.yaml"),
        digest="p" * 64,
        metrics=metrics,
        ladders={"main": a_ladder()},
        categories={key: Category(key, label, 1, "main", member=member) for key, label in named.items()},
        currency="EUR",
        starts_from=starts,
        has_categories=categories is not None,
    )


def a_ladder() -> Ladder:
    revenue = ByAttribute("region", {"EMEA": Decimal(80000)}, Decimal(100000))
    silver = Group(Junction.ALL, (Criterion("revenue", Comparison.GE, revenue, 1),), 1)
    gold = Group(
        Junction.ALL,
        (
            Criterion("revenue", Comparison.GE, Decimal(500000), 1),
            Criterion("people", Comparison.GE, Decimal(5), 1),
        ),
        1,
    )
    tiers = (Tier("registered", "Registered", 1), Tier("silver", "Silver", 1, silver), Tier("gold", "Gold", 1, gold))
    return Ladder("main", 1, tiers)


def standing(partner_id: str, tier: str | None = "silver", **given: Any) -> dict[str, Any]:
    """One row of standings; everything has a plain value unless given."""
    row = {
        "program": "channel", "program_version": "1", "as_of": AS_OF, "partner_id": partner_id, "category": "all",
        "calculated_tier": tier, "earned_tier": tier, "granted_tier": tier, "previous_tier": None,
        "headline_tier": tier, "primary_category": "all", "projected_tier": tier, "movement": "entered",
        "tier_since": AS_OF, "grace_until": None, "next_tier": "gold", "progress": Decimal("43.9"),
        "gap": [missing("people", "4", "5")], "gap_summary": "Certified people 4 of 5", "main_blocker": "people",
        "overrides": [], "risk": "none", "risk_on": None, "risk_reasons": [], "provisional": False,
        "provisional_reasons": [], "metrics": {"revenue": "512000.00", "people": "4", "score": "12.345"},
    }  # fmt: skip
    return {**row, **given}


def missing(metric_key: str, value: str, required: str) -> dict[str, Any]:
    return {
        "metric": metric_key, "value": value, "required": required, "missing": "1", "path": "all/1", "met": False,
        "exhausted": False,
    }  # fmt: skip


def standings(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA)


def a_snapshot(
    folder: Path,
    current: Mapping[str, Mapping[str, str | None]] | None = None,
    partners: Iterable[Mapping[str, str | None]] = (),
    counts: Mapping[str, Mapping[str, int]] | None = None,
    standings: Mapping[str, Mapping[str, str | None]] | None = None,
    beside: Mapping[str, Mapping[str, Mapping[str, str | None]]] | None = None,
) -> Snapshot:
    """A sealed snapshot with partners and, where given, what each account holds now (partner id = record id), and what
    each record of a category (or of another kind, in `beside`) holds, by its key."""
    staging = Staging(folder)
    people = list(partners) or [{"partner_id": key, "name": f"Firm {key}", "region": "EMEA"} for key in current or {}]
    add_table(staging, "partners", people, sorted({column for row in people for column in row}) or ["partner_id"])
    if current is not None:
        names = sorted({name for held in current.values() for name in held})
        rows = [{"record_id": key, "partner_id": key, **held} for key, held in current.items()]
        add_table(staging, "current_values", rows, ["record_id", "partner_id", *names])
    kinds = {**(beside or {}), **({} if standings is None else {"standings": standings})}
    for kind, records in kinds.items():
        names = sorted({name for held in records.values() for name in held})
        kept = [
            {"record_id": f"a0{n}", "key": key, "account": key.partition("|")[0], **held}
            for n, (key, held) in enumerate(records.items())
        ]
        add_table(staging, f"current_values.{kind}", kept, ["record_id", "key", "account", *names])
    return staging.seal(counts)


def add_table(staging: Staging, name: str, rows: list[Any], columns: list[str]) -> None:
    typed = dict.fromkeys(columns, ColumnType.TEXT)
    schema = pa.schema([(column, pa.string()) for column in columns])
    written = write_table(staging.path(name), pa.Table.from_pylist(rows, schema=schema), typed)
    staging.add(TableFile(name, staging.path(name), written, typed))


STANDINGS = Sink("standings", "Standing", "Key", "Account", {"granted_tier": "Tier", "run_id": "Run"})
HISTORY = Sink("history", "History", "Key", "Account", {"to_tier": "To", "run_id": "Run"})
WITH_SINKS = replace(FIELDS, sinks=(STANDINGS, HISTORY))


def beside(sink: Sink, key: str, account: str, values: Mapping[str, str | None], held: bool = False) -> Change:
    """A record beside an account, which is there already (`held`: its tier is Silver) or made."""
    expected = {"Tier": "Silver"} if held else {}
    whole = dict(values) if held else {"Account": account, **values}
    return Change(key, account, whole, expected, "test", sink.name, sink.object, sink.key)


def a_plan(
    run_id: str,
    wanted: Mapping[str, Mapping[str, str | None]],
    now: Mapping[str, Mapping[str, str | None]],
    beside: Iterable[Change] = (),
) -> Plan:
    """A plan that gives each record the wanted values, made by hand."""
    changes = tuple(
        Change(
            record_id,
            record_id,
            dict(values),
            {name: now[record_id].get(name) for name in (*values, "token__c")},
            "test",
        )
        for record_id, values in wanted.items()
    )
    basis = Basis("channel", "p" * 64, "c" * 64, "s" * 64, "d" * 64, {"partners": len(wanted)})
    return sealed(Plan("", run_id, "", AS_OF, basis, WITH_SINKS, len(wanted), changes, (), (), (), tuple(beside)))
