"""Random small programs and random small tables, full of what goes wrong: nulls, ties, cycles, lost records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from crmsync.tables import CANONICAL, ColumnType
from tests.levelling.facts import Facts

DAYS = (date(2026, 11, 21), date(2024, 2, 29), date(2026, 3, 31), date(2025, 2, 28), date(2025, 12, 31))
IDS = ("A", "B", "C", "D", "E")
EXTRA = {
    "partners": {"score": ColumnType.NUMBER, "churn": ColumnType.NUMBER, "has_plan": ColumnType.YES_NO,
                 "segment": ColumnType.TEXT, "by_hand": ColumnType.TEXT},
}  # fmt: skip
WINDOWS = (
    "last 12 months", "last 1 month", "last 3 months", "last 45 days", "last 2 weeks", "last 1 quarter", "last 2 years",
    "last 12 months 1 year earlier", "last 6 months 1 month earlier", "ever", "ever 1 year earlier",
)  # fmt: skip
WHERES = {
    "opportunities": (
        "is_won", "type <> 'renewal'", "type = 'new' or amount > 40", "not (is_won or stage = 'Open')",
        "zones.factor > 1", "role = 'reseller'", "partners.region = 'EMEA'", "type not in ('new')", "share > 0.4",
        "case when is_won then true when amount is null then true else false end", "not (amount < 30)",
        "coalesce(type, 'none') = 'none'", "as_of - closed_on < 200", "amount between 10 and 50",
        "not (amount * 2 > 60)", "amount / (amount - 30) > 0 or stage like 'W%'", "tiered.kind = 'far' and is_won",
        "closed_on >= as_of - interval '6 months'", "registered_on is null", "least(amount, 30) = 30",
    ),
    "certifications": ("level = 'pro'", "person_id <> 'x'", "upper(level) = 'PRO'", "expires_on is not null"),
    "activities": (
        "kind = 'call'", "value > 2", "verified", "not verified", "kind like '%i%'", "value <> 2",
        "kind in ('call', 'x')",
        "floor(value) = 2", "abs(value) >= 1.5",
    ),
}  # fmt: skip
VALUES = {
    "opportunities": (("money", "amount"), ("money", "credited_amount"), ("money", "amount * 0.125"),
                      ("number", "amount * zones.factor"), ("number", "share"), ("number", "amount / 3"),
                      ("money", "coalesce(amount, 10)"), ("money", "amount * zones.factor"),
                      ("money", "case when type = 'new' then amount * 2 else amount end"),
                      ("number", "case when is_won then 1 end"), ("money", "0 - amount")),
    "certifications": (("number", "length(level)"), ("number", "as_of - issued_on")),
    "activities": (("number", "value"), ("number", "value * 2 + 1"), ("number", "value / 3"), ("money", "value"),
                   ("number", "greatest(value, 2)"), ("number", "round(value, 1)")),
}  # fmt: skip
THINGS = {"opportunities": ("customer_id", "opportunity_id", "zones.kind"),
          "certifications": ("person_id", "credential"),
          "activities": ("person_id", "kind")}  # fmt: skip
DATED = {"opportunities": "registered_on", "certifications": "expires_on"}
FILES = {
    "zones.csv": "type,effective_from,factor,kind\nnew,2024-01-01,2,near\nnew,2025-06-01,0.5,\nrenewal,,1.25,far\n",
    "tiered.csv": "stage,kind\nWon,far\n*,near\n",
    "fixed.csv": "currency,effective_from,rate\nEUR,,1\nUSD,2024-06-01,1.25\nUSD,2026-01-01,1.6\nHUF,2020-01-01,401\n",
}
REFERENCES = (
    "references:\n  zones: {file: zones.csv, key: {type: type}}\n  tiered: {file: tiered.csv, key: {stage: stage}}\n"
)


@dataclass
class Draw:
    """What one program has so far."""

    draw: Any
    metrics: dict[str, str] = field(default_factory=dict)  # key -> unit
    lines: list[str] = field(default_factory=list)
    timeless: set[str] = field(default_factory=set)  # fields, and what reads tiers or days served

    def one(self, of: Any) -> Any:
        return self.draw(st.sampled_from(of))

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def numbers(self, *units: str) -> list[str]:
        return [
            key for key, unit in self.metrics.items() if (unit in units if units else unit not in ("text", "yes_no"))
        ]

    def with_past(self) -> list[str]:
        """Numbers that can be looked at as of an earlier day."""
        return [key for key in self.numbers() if key not in self.timeless]

    # --- metrics

    def add(self, unit: str, parts: str) -> None:
        key = f"m{len(self.metrics) + 1}"
        missing = self.one(("", "", "", ", when_missing: fail", "" if unit == "text" else ", when_missing: zero"))
        self.metrics[key] = unit
        self.lines.append(f"  {key}: {{unit: {unit}, {parts}{missing}}}")

    def rows_metric(self) -> None:
        table = self.one(("opportunities", "opportunities", "certifications", "activities"))
        aggregate = self.one(("sum", "sum", "count", "count_distinct", "average", "minimum", "maximum"))
        unit = "number"
        if aggregate == "count":
            source = table
        elif aggregate == "count_distinct":
            source, unit = f"{table}.{self.one(THINGS[table])}", "people"
        else:
            unit, cell = self.one(VALUES[table])
            source = f"{table}.{cell}"
        parts = [f'{aggregate}: "{source}"']
        if self.chance(60):
            parts.append(f'where: "{self.one(WHERES[table])}"')
        if self.chance(75):
            in_force = table == "certifications" and self.chance(60)
            during = self.one(("in force", "in force 1 year earlier")) if in_force else self.one(WINDOWS)
            parts.append(f"during: {during}")
            if not in_force and table in DATED and self.chance(15):
                parts.append(f"dated_by: {DATED[table]}")
        if self.chance(50):
            parts.append("rolls_up: sum")
        self.add(unit, ", ".join(parts))

    def field_metric(self) -> None:
        unit, parts = self.one((
            ("number", "field: partners.score"), ("money", "field: partners.score"),
            ("percent", "field: partners.churn, of_hundred: yes"), ("yes_no", "field: partners.has_plan"),
            ("text", "field: partners.segment"), ("number", "field: partners.score, rolls_up: sum"),
            ("money", "field: partners.score, rolls_up: sum"),
        ))  # fmt: skip
        self.add(unit, parts)
        self.timeless.add(list(self.metrics)[-1])

    def derived_metric(self) -> None:
        keys = self.numbers()
        if not keys:
            self.field_metric()
            return
        a, b = self.one(keys), self.one(keys)
        choice = self.draw(st.integers(0, 9))
        past = self.with_past()
        if choice < 3 and past:
            a = self.one(past)
            of = self.one(("growth_of", "growth_of", "change_of"))
            zero = ", when_base_is_zero: 0.5" if of == "growth_of" and self.chance(40) else ""
            versus = self.one(("1 year earlier", "1 month earlier", "3 months earlier"))
            self.add("percent" if of == "growth_of" else "number", f"{of}: {a}, versus: {versus}{zero}")
        elif choice < 8:
            text = self.one((
                f"{a} / {b}", f"{a} + {b}", f"{a} * 0.3", f"coalesce({a}, 3) - 1", f"{a} - partners.score",
                f"case when {a} > {b} then {a} else 1 end", f"greatest({a}, {b})", f"{a} / 3 * 3", a,
                f"nullif({a}, 0)", f"abs({a}) / 7", "as_of - partners.joined_on", f"round({a} / 3, 2)",
            ))  # fmt: skip
            self.add(self.one(("number", "money", "percent")), f'formula: "{text}"')
        else:
            text = self.one((f"{a} >= {b}", f"{a} > 0.5 or partners.has_plan", f"not ({a} < 1)", f"{a} is null",
                             f"coalesce({a}, 0) >= 1", f"{a} between 0.2 and 1", f"{a} in (0, 1)"))  # fmt: skip
            self.add("yes_no", f'formula: "{text}"')

    # --- criteria

    def threshold(self, unit: str) -> str:
        if unit == "percent":
            return str(self.one(("0%", "25%", "50%", "-10%", "100%")))
        if unit == "money" and self.chance(15):
            return str(self.one(("20 USD", "31.25 USD")))
        return str(self.one((0, 1, 2, 3, 10, 30, 62.5, 0.3, -5)))

    def criterion(self) -> str:
        key = self.one(list(self.metrics))
        unit = self.metrics[key]
        if unit == "yes_no":
            return f"{{{key}: {self.one(('yes', 'no'))}}}"
        if unit == "text":
            return f'{{{key}: "= {self.one(("x", "y"))}"}}'
        sign = self.one(("", "", "", "> ", "< ", "<= ", "= ", ">= "))
        others = [one for one in self.numbers(unit) if one != key]
        if others and self.chance(15):
            return f'{{{key}: "{sign}{self.one(others)}"}}'
        if self.chance(25):
            cases = ", ".join(f'{value}: "{sign}{self.threshold(unit)}"' for value in ("EMEA", "APAC"))
            return f'{{{key}: {{by: region, default: "{sign}{self.threshold(unit)}", {cases}}}}}'
        return f'{{{key}: "{sign}{self.threshold(unit)}"}}'

    def requirement(self, depth: int = 0) -> str:
        if depth == 2 or (depth and self.chance(60)):
            return self.criterion()
        parts = [self.requirement(depth + 1) for _ in range(self.draw(st.integers(1, 3)))]
        group = self.one(("all", "all", "any", "none", "at_least"))
        listed = ", ".join(parts)
        if group != "at_least":
            return f"{{{group}: [{listed}]}}"
        count = self.draw(st.integers(1, len(parts)))
        including = f", including: [{parts[0]}]" if self.chance(40) else ""
        return f"{{at_least: {count}, of: [{listed}]{including}}}"

    def ladder(self, name: str) -> list[str]:
        lines = [f"  {name}:"] + (["    climb: steps"] if self.chance(30) else []) + ["    tiers:"]
        for at in range(self.draw(st.integers(2, 4))):
            parts = [f"key: {name}{at}", f"label: {name.upper()} {at}"]
            if at or self.chance(25):
                parts.append(f"requires: {self.requirement()}")
                if self.chance(35):
                    parts.append(f"keeps: {self.requirement()}")
            if self.chance(15):
                parts.append(f"rank: {self.draw(st.integers(1, 5))}")
            lines.append(f"      - {{{', '.join(parts)}}}")
        return lines

    # --- categories

    def condition(self) -> str:
        choices = ["has(declared_categories, 'Reseller')", "region = 'EMEA'", "score > 2", "score * 2 > 4", "has_plan"]
        if keys := self.numbers():
            key = self.one(keys)
            choices += [f"{key} >= 1", f"{key} > 0 or has_plan", f"coalesce({key}, 0) >= 1", f"{key} <> 0"]
        return str(self.one(choices))

    def categories(self, ladders: list[str]) -> list[str]:
        lines = ["categories:"]
        turned = self.chance(50)  # every ladder is climbed
        for (key, label), ladder in zip((("reseller", "Reseller"), ("msp", "Managed")),
                                        reversed(ladders) if turned else ladders, strict=True):  # fmt: skip
            parts = [f"label: {label}", f"ladder: {ladder}"]
            if self.chance(80):
                parts.append(f'member: "{self.condition()}"')
            if self.chance(70):
                parts.append(f'observed: "{self.condition()}"')
            lines.append(f"  {key}: {{{', '.join(parts)}}}")
        if (keys := self.numbers()) and self.chance(50):
            lines.append(f"primary: {{reseller: {self.one(keys)}, msp: {self.one(keys)}}}")
            lines.append(f"headline: {self.one(('primary', 'highest', 'lowest', 'none'))}")
        return lines


@st.composite
def programs(draw: Any) -> str:
    """A program as text."""
    one = Draw(draw)
    head = ["program: p", "currency: EUR", "rates: " + one.one(("crm", "fixed.csv")), "effective_from: 2026-02-01"]
    for _ in range(draw(st.integers(1, 3))):
        one.one((one.rows_metric, one.rows_metric, one.field_metric))()
    for _ in range(draw(st.integers(0, 3))):
        one.one((one.rows_metric, one.derived_metric, one.derived_metric))()
    has_categories = one.chance(40)
    ladders = ["t", "u"] if has_categories else ["t"]
    if one.chance(20):
        head.append("takes_part: \"status <> 'closed'\"")
    if one.chance(25):
        head.append("starts_from: {field: partners.by_hand, values: {Gold: t1}}")
    if one.chance(50) and (keys := one.numbers()):
        head.append(f"effort: {{{one.one(keys)}: {one.one(('1 per 4', '0.1', '40', '3'))}}}")
    horizon = one.one(("10 days", "30 days", "1 month", "45 days"))
    pace = one.one(("7 days", "1 month", "6 months", "31 days"))
    head.append(f"risk: {{horizon: {horizon}, pace: {pace}, near: {one.one(('10%', '0%', '50%'))}}}")
    body = ["metrics:", *one.lines, "ladders:", *(line for name in ladders for line in one.ladder(name))]
    if has_categories:
        body += one.categories(ladders)
    return "\n".join(head) + "\n" + REFERENCES + "\n".join(body) + "\n"


@dataclass(frozen=True)
class Base:
    """Random tables, the day to look at them, and the standings before."""

    facts: Facts
    as_of: date
    previous: list[dict[str, Any]] | None


NEAR = st.sampled_from((0, 0, 1, -1, -13, -14, -28, -30, -31, -44, -45, -89, -92, -364, -365, -366, -730, -731, 30))
OFFSETS = st.one_of(NEAR, st.integers(-760, 60), st.none())
AMOUNTS = st.one_of(st.none(), st.sampled_from(("10.00", "30.00", "0.01", "-5.00", "62.50", "33.33", "99999.99")))
CURRENCIES = st.sampled_from((None, "EUR", "USD", "HUF", "XXX", "USD"))


def _row(table: str, **given: Any) -> dict[str, Any]:
    columns = {**CANONICAL[table].columns, **EXTRA.get(table, {})}
    return {name: given.get(name) for name in columns}


@st.composite
def bases(draw: Any) -> Base:
    """Tables of up to five partners."""
    as_of = draw(st.sampled_from(DAYS))

    def day() -> date | None:
        offset = draw(OFFSETS)
        return None if offset is None else as_of + timedelta(days=offset)

    def pick(*of: Any) -> Any:
        return draw(st.sampled_from(of))

    ids = IDS[: draw(st.integers(1, len(IDS)))]
    partners = [
        _row("partners", partner_id=key, parent_id=pick(None, None, *ids, "Z"),
             status=pick("active", "closed", None), region=pick("EMEA", "APAC", None, "LATAM"),
             joined_on=day(), currency=draw(CURRENCIES),
             declared_categories=pick(None, [], ["Reseller"], ["msp", "Reseller"], ["Managed"]),
             score=pick(None, 0.0, 2.5, 3.0, 30.0, -1.0, 0.1), churn=pick(None, 0.0, 25.0, 50.0, 33.3),
             has_plan=pick(None, True, False), segment=pick(None, "x", "y"),
             by_hand=pick(None, "t1", "Gold", "T 0", "u1", "?"))
        for key in ids
    ]  # fmt: skip
    opportunities = []
    for number in range(draw(st.integers(0, 6))):
        own = _row(
            "opportunities", opportunity_id=f"o{number}", customer_id=pick("x", "y", None),
            stage=pick("Won", "Open", None), type=pick("new", "renewal", "other", None),
            is_closed=pick(True, False, None), is_won=pick(True, True, False, None),
            amount=_decimal(draw(AMOUNTS)), currency=draw(CURRENCIES), registered_on=day(),
            created_on=pick(None, as_of, as_of + timedelta(days=1), date(2020, 1, 1)), closed_on=day(),
        )  # fmt: skip
        for role in draw(st.sampled_from((["reseller"], ["reseller", "distributor"], ["referrer"]))):
            share = pick(1.0, 0.5, 0.125, 0.3)
            opportunities.append({**own, "partner_id": draw(st.sampled_from(ids)), "role": role, "share": share})
    certifications = [
        _row("certifications", certification_id=f"c{number}", partner_id=draw(st.sampled_from(ids)),
             person_id=pick("x", "y", "z", None), credential=pick("a", "b"), level=pick("pro", "PRO", "basic", None),
             **_validity(day(), day()))
        for number in range(draw(st.integers(0, 6)))
    ]  # fmt: skip
    activities = [
        _row("activities", activity_id=f"a{number}", partner_id=draw(st.sampled_from(ids)),
             person_id=pick("x", "y", None), kind=pick("call", "visit", None),
             value=_decimal(pick("2", "0.1", "0.2", "2.5", None, "-1", "7.125")),
             currency=pick(None, None, "EUR", "USD", "XXX"), verified=pick(True, False, None), happened_on=day())
        for number in range(draw(st.integers(0, 6)))
    ]  # fmt: skip
    rates = [{"currency": code, "effective_from": start, "rate": rate} for code, start, rate in (
        ("EUR", date(2025, 1, 1), 1.0), ("USD", date(2024, 6, 1), 1.25), ("USD", date(2026, 1, 1), 1.6),
        ("HUF", date(2020, 1, 1), 401.37))]  # fmt: skip
    rows = {"partners": partners, "opportunities": opportunities, "certifications": certifications,
            "activities": activities, "rates": rates, "overrides": _overrides(draw, ids, as_of)}  # fmt: skip
    types = {name: {**CANONICAL[name].columns, **EXTRA.get(name, {})} for name in rows}
    for name in ("created_on", "credited_amount"):  # money of each credit is amount x share where it is not delivered
        if name == "credited_amount" or draw(st.booleans()):
            types["opportunities"].pop(name)
            for row in opportunities:
                row.pop(name, None)
    return Base(Facts(types, rows, last_day=draw(st.booleans())), as_of, _previous(draw, ids, as_of))


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _validity(issued: date | None, expires: date | None) -> dict[str, date | None]:
    if issued and expires and expires <= issued:
        issued, expires = expires, issued + timedelta(days=1)
    return {"issued_on": issued, "expires_on": expires}


def _overrides(draw: Any, ids: tuple[str, ...], as_of: date) -> list[dict[str, Any]]:
    rows = []
    for number in range(draw(st.integers(0, 2))):
        starts = draw(st.sampled_from((None, as_of, as_of + timedelta(days=1), as_of - timedelta(days=9))))
        if starts is not None:
            starts -= timedelta(days=20 * number)
        ends = draw(st.sampled_from((None, as_of, as_of - timedelta(days=1), as_of + timedelta(days=9))))
        rows.append({
            "partner_id": ids[number % len(ids)], "category": None, "kind": "pin",
            "tier": draw(st.sampled_from(("t1", "T 0", "t0", "none_such"))), "metric": None, "value": None,
            "starts_on": starts, "ends_on": ends, "reason": draw(st.sampled_from(("because", "because", None))),
            "approved_by": draw(st.sampled_from(("Ann", "Ann", None))),
        })  # fmt: skip
    return rows


def _previous(draw: Any, ids: tuple[str, ...], as_of: date) -> list[dict[str, Any]] | None:
    if draw(st.booleans()):
        return None
    rows = []
    for partner in (*ids, "GONE"):
        for category in ("all", "reseller", "msp"):
            if draw(st.integers(0, 2)) == 0:
                continue
            earned = draw(st.sampled_from((None, 0, 1, 1)))
            granted = draw(st.sampled_from((earned, earned, 0, 1)))
            rows.append({
                "partner_id": partner, "category": category, "earned": earned, "granted": granted,
                "tier_since": draw(st.sampled_from((as_of - timedelta(days=40), None))),
                "movement": draw(st.sampled_from(("unchanged", "unchanged", "promoted", "left"))),
                "overrides": draw(st.sampled_from(([], [], [{"kind": "pin"}]))),
            })  # fmt: skip
    return rows
