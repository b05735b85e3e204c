"""What is written onto a partner's account: one canonical text per field, from the standing that gives the headline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from crmsync.programs.program import Headline, Program, Unit
from crmsync.writeback.partner_safe import partner_texts
from crmsync.writeback.wording import (
    Attributes,
    Standing,
    label_of_category,
    label_of_metric,
    label_of_tier,
    said_all,
    why_tier,
)


class Kind(StrEnum):
    """How two texts of a field are compared."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    LIST = "list"
    YES_NO = "yes_no"


@dataclass(frozen=True)
class FieldSpec:
    """One thing that write-back can put onto an account. `length` in UTF-16 units, as Salesforce counts."""

    kind: Kind
    length: int | None = None


COMPUTED: Mapping[str, FieldSpec] = MappingProxyType(
    {
        "calculated_tier": FieldSpec(Kind.TEXT, 255),
        "granted_tier": FieldSpec(Kind.TEXT, 255),
        "previous_tier": FieldSpec(Kind.TEXT, 255),
        "next_tier": FieldSpec(Kind.TEXT, 255),
        "tier_since": FieldSpec(Kind.DATE),
        "categories": FieldSpec(Kind.LIST),
        "progress": FieldSpec(Kind.NUMBER),
        "gap_summary": FieldSpec(Kind.TEXT, 4000),
        "main_blocker": FieldSpec(Kind.TEXT, 255),
        "risk": FieldSpec(Kind.TEXT, 255),
        "risk_reason": FieldSpec(Kind.TEXT, 4000),
        "risk_on": FieldSpec(Kind.DATE),
        "points": FieldSpec(Kind.NUMBER),
        "why": FieldSpec(Kind.TEXT, 32000),
        "provisional": FieldSpec(Kind.YES_NO),
        "grace_until": FieldSpec(Kind.DATE),
        "next_review": FieldSpec(Kind.DATE),
        "pending_tier": FieldSpec(Kind.TEXT, 255),
        "pending_on": FieldSpec(Kind.DATE),
        "override_ends_on": FieldSpec(Kind.DATE),
        "category_check": FieldSpec(Kind.TEXT, 255),
    }
)
"""The computed fields; a change of one of them is a change of the account."""

PARTNER_SAFE: Mapping[str, FieldSpec] = MappingProxyType(
    {
        "partner_safe.tier": FieldSpec(Kind.TEXT, 255),
        "partner_safe.next_tier": FieldSpec(Kind.TEXT, 255),
        "partner_safe.gap": FieldSpec(Kind.TEXT, 4000),
    }
)
"""Texts of the account that a partner may see; they have fields of their own."""

SPECS: Mapping[str, FieldSpec] = MappingProxyType(
    {
        **COMPUTED,
        **PARTNER_SAFE,
        "program": FieldSpec(Kind.TEXT, 255),
        "category": FieldSpec(Kind.TEXT, 255),
        "movement": FieldSpec(Kind.TEXT, 255),
        "overrides": FieldSpec(Kind.TEXT, 4000),
        "from_tier": FieldSpec(Kind.TEXT, 255),
        "to_tier": FieldSpec(Kind.TEXT, 255),
        "effective_on": FieldSpec(Kind.DATE),
        "program_version": FieldSpec(Kind.TEXT, 255),
        "subject": FieldSpec(Kind.TEXT, 255),
        "badges": FieldSpec(Kind.LIST),
        "due_on": FieldSpec(Kind.DATE),
        "owner": FieldSpec(Kind.TEXT, 255),
        "level": FieldSpec(Kind.TEXT, 255),
    }
)
"""Everything that is computed, of the account and of the records beside it."""

STAMPS = ("changed_on", "run_id")
"""Written only beside a computed field that changed (and the write token with them)."""


CHECKS = ("over_declared", "undeclared", "unknown", "confirmed")
"""What the check of a declared category can say, the worst first."""


@dataclass(frozen=True)
class Sink:
    """Records beside the account. `key`: the field that names one (None: its own id); `partner`: the field that points
    at the account; `fields`: what -> field of the CRM; `every`: the period in which a task is made once.

    Of members of a channel program: `program`: its name; `category`: whose tier gives the level (empty: the account's);
    `levels`: label of a tier -> name of its level, where they differ.
    """

    name: str
    object: str
    key: str | None
    partner: str | None
    fields: Mapping[str, str]
    every: str = "quarter"
    program: str = ""
    category: str = ""
    levels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FieldMap:
    """Where the values go: key of `COMPUTED`, `PARTNER_SAFE` or `STAMPS` -> field of the CRM; `token`: the field of the
    write token; `sinks`: the records beside the account, in the order in which they are written; `last_error`: the
    field that says why the account, or what stands beside it, could not be written."""

    object: str
    fields: Mapping[str, str]
    token: str | None = None
    sinks: tuple[Sink, ...] = ()
    last_error: str | None = None

    @property
    def computed(self) -> dict[str, str]:
        """The mapped computed fields, key -> CRM field."""
        return {key: name for key, name in self.fields.items() if key in SPECS}

    @property
    def names(self) -> tuple[str, ...]:
        """Every CRM field that write-back may touch; what `current_values` of a snapshot should hold."""
        token = (self.token,) if self.token else ()
        return tuple(dict.fromkeys((*self.fields.values(), *token)))

    def sink(self, name: str) -> Sink | None:
        """The records of that name, where the CRM takes them."""
        return next((sink for sink in self.sinks if sink.name == name), None)

    def plain(self) -> FieldMap:
        """The same with dicts, as a saved plan holds it."""
        sinks = tuple(replace(sink, fields=dict(sink.fields), levels=dict(sink.levels)) for sink in self.sinks)
        return FieldMap(self.object, dict(self.fields), self.token, sinks, self.last_error)


@dataclass(frozen=True)
class Account:
    """The standings of one partner. `headline`: the row that gives the account its tier."""

    partner_id: str
    headline: Standing
    rows: Sequence[Standing]
    attributes: Attributes = field(default_factory=dict)


def account_of(program: Program, rows: Sequence[Standing], attributes: Attributes | None = None) -> Account:
    """The account view of one partner's standings: its headline row is the first category, in file order, that holds
    the headline tier (or the primary category, where the program asks for that)."""
    order = {key: position for position, key in enumerate(program.categories)}
    ordered = sorted(rows, key=lambda row: order.get(row["category"].partition("/")[0], len(order)))
    primary = [row for row in ordered if row["category"] == row.get("primary_category")]
    holding = [row for row in ordered if row.get("granted_tier") and row["granted_tier"] == row.get("headline_tier")]
    granted = [row for row in ordered if row.get("granted_tier")]
    # who has left every category is told by the best tier that was held
    left = sorted((row for row in ordered if row.get("previous_tier")), key=lambda row: -_rank(program, row))
    candidates = [*(primary if program.headline is Headline.PRIMARY else ()), *holding, *granted, *left, *ordered]
    return Account(rows[0]["partner_id"], candidates[0], ordered, attributes or {})


def _rank(program: Program, row: Standing) -> int:
    """How high the tier before stands: its `rank`, by default its position from the bottom."""
    tiers = program.ladder_of(row["category"].partition("/")[0]).tiers
    ranks = {tier.key: at if tier.rank is None else tier.rank for at, tier in enumerate(tiers, 1)}
    return ranks.get(row["previous_tier"] or "", 0)


def account_values(program: Program, account: Account) -> dict[str, str | None]:
    """Wanted canonical text per key of `COMPUTED` and `PARTNER_SAFE`.

    A key that is absent is left as it is on the account: `previous_tier` unless the tier changes now (it names the tier
    held before the present one), `points` without a metric of that unit or while they are not known, `categories`
    without categories. A program
    with `headline: none` gives the account no tier of its own; what else is written speaks of its first category.
    """
    row = account.headline
    values = {**_tiers(program, row), **outlook(program, row), **dated(row)}
    values["override_ends_on"] = _first_end(account.rows)
    values["category_check"] = _worst_check(account.rows)
    others = [other for other in account.rows if other is not row]
    values["why"] = why_tier(program, row, account.attributes, others)
    values["provisional"] = provisional(account.rows)
    if program.has_categories:
        values["categories"] = _categories(program, account.rows)
    values |= partner_texts(program, row)
    if points := [key for key, metric in program.metrics.items() if metric.unit is Unit.POINTS]:
        counted = _points((row.get("metrics") or {}).get(points[0]))
        if counted is not None or not row.get("provisional"):
            values["points"] = counted
    return {key: normalised(key, value) for key, value in values.items()}


def _tiers(program: Program, row: Standing) -> dict[str, str | None]:
    category = row["category"]
    keys = ("calculated_tier", "granted_tier", "next_tier", "pending_tier")
    values = {key: label_of_tier(program, category, row.get(key)) for key in keys}
    values["tier_since"] = day(row.get("tier_since"))
    if row.get("previous_tier") and row["previous_tier"] != row.get("granted_tier"):
        values["previous_tier"] = label_of_tier(program, category, row["previous_tier"])
    if program.headline is Headline.NONE:
        values |= {"granted_tier": None, "previous_tier": None, "pending_tier": None}
    return values


def outlook(program: Program, row: Standing) -> dict[str, str | None]:
    """How it looks ahead: progress, gap, risk."""
    blocker = row.get("main_blocker")
    return {
        "progress": _whole(row.get("progress")),
        "gap_summary": row.get("gap_summary"),
        "main_blocker": label_of_metric(program, blocker) if blocker else None,
        "risk": row.get("risk"),
        "risk_reason": said_all(row.get("risk_reasons")),
        "risk_on": day(row.get("risk_on")),
    }


def dated(row: Standing) -> dict[str, str | None]:
    """The days that matter, as ISO text."""
    return {key: day(row.get(key)) for key in ("grace_until", "next_review", "pending_on")}


def provisional(rows: Iterable[Standing]) -> str:
    """Whether a number that decides is not known yet in one of the rows."""
    return "true" if any(row.get("provisional") for row in rows) else "false"


def _first_end(rows: Iterable[Standing]) -> str | None:
    """The first day on which an override in force ends, over all categories."""
    overrides = (override for row in rows for override in row.get("overrides") or () if isinstance(override, Mapping))
    return min((end for override in overrides if (end := day(override.get("ends_on")))), default=None)


def _worst_check(rows: Iterable[Standing]) -> str | None:
    """What the declared categories are worth, by the worst row; empty where no category is checked."""
    checks = [row.get("category_check") for row in rows]
    return next((check for check in CHECKS if check in checks), None)


def _categories(program: Program, rows: Iterable[Standing]) -> str:
    belonging = (row for row in rows if row.get("granted_tier") or row.get("calculated_tier"))
    return ";".join(sorted({label_of_category(program, row["category"]) for row in belonging}))


def _whole(value: Any) -> str | None:
    """A share of the way, rounded down: 99.9 must not read as done."""
    return None if value is None else str(Decimal(str(value)).to_integral_value(ROUND_FLOOR))


def _points(value: Any) -> str | None:
    return None if value is None else str(Decimal(str(value)).quantize(Decimal("0.01"), ROUND_HALF_UP))


def day(value: Any) -> str | None:
    """A date as ISO text."""
    return None if value is None else str(value)[:10].strip()


# --- canonical texts

CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")
BLANKS = re.compile(r" {2,}")


def normalised(key: str, value: str | None) -> str | None:
    """The canonical text of a computed field: equal values have equal texts, and it fits the field."""
    spec = SPECS[key]
    text = None if value is None else BLANKS.sub(" ", CONTROL.sub(" ", value)).strip()
    if spec.kind is Kind.YES_NO:
        return "true" if (text or "").lower() in ("true", "1", "yes") else "false"
    if not text:
        return None
    if spec.kind is Kind.LIST:
        return ";".join(sorted({part.strip() for part in text.split(";") if part.strip()}))
    if spec.kind is Kind.NUMBER:
        return _plain(text)
    return day(text) if spec.kind is Kind.DATE else fitted(text, spec.length)


def _plain(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text  # a value that a person or another tool put there: different from any of ours
    plain = f"{number:f}" if number.is_finite() else text
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("-0", "") else plain


def same(held: str | None, wanted: str | None) -> bool:
    """Whether a field holds the wanted text, or as much of it as it had room for."""
    if (held or None) == (wanted or None):
        return True
    if not held or not wanted or not held.endswith("…"):
        return False
    return fitted(wanted, len(held.encode("utf-16-le", "surrogatepass")) // 2) == held


def fitted(text: str, length: int | None) -> str:
    """The text, cut to `length` UTF-16 units with an ellipsis where it is longer."""
    if length is None or len(text.encode("utf-16-le", "surrogatepass")) <= 2 * length:
        return text
    # Half of a character outside the basic plane is not a character: it is dropped with the rest.
    cut = text.encode("utf-16-le", "surrogatepass")[: 2 * (length - 1)].decode("utf-16-le", "ignore")
    return cut.rstrip() + "…"
