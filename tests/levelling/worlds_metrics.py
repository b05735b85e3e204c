"""Metrics of random programs, as text. What they are built of is chosen so that every source and window comes up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

WINDOWS = (
    "last 12 months", "last 1 month", "last 3 months", "last 45 days", "last 2 weeks", "last 1 quarter", "last 2 years",
    "last 12 months 1 year earlier", "last 6 months 1 month earlier", "ever", "ever 1 year earlier",
    "last 2 complete months", "last 1 complete quarter", "last 1 complete year", "this and the 2 months before",
    "this and the 1 quarter before", "this month", "this quarter", "this year", "this fiscal quarter",
    "this fiscal year", "previous month", "previous quarter", "previous year", "previous fiscal quarter",
    "previous fiscal year", "since joining", "first 6 months", "last 1 complete month 1 year earlier",
    "this month 1 year earlier", "previous quarter 1 year earlier", "previous fiscal year 6 months earlier",
    "last 12 months until partners.left_on", "ever until partners.left_on", "previous month until partners.left_on",
    "since joining 1 month earlier", "first 3 months 1 year earlier",
    "this month 1 month earlier until partners.left_on",
)  # fmt: skip
WHERES = {
    "opportunities": (
        "is_won", "type <> 'renewal'", "type = 'new' or amount > 40", "not (is_won or stage = 'Open')",
        "zones.factor > 1", "role = 'reseller'", "partners.region = 'EMEA'", "type not in ('new')", "share > 0.4",
        "case when is_won then true when amount is null then true else false end", "not (amount < 30)",
        "coalesce(type, 'none') = 'none'", "as_of - closed_on < 200", "amount between 10 and 50",
        "not (amount * 2 > 60)", "amount / (amount - 30) > 0 or stage like 'W%'", "tiered.kind = 'far' and is_won",
        "closed_on >= as_of - interval '6 months'", "registered_on is null", "least(amount, 30) = 30",
        "chained.weight >= 2", "pairs.allowed", "not pairs.allowed or type = 'other'", "coalesce(pairs.weight, 3) > 2",
        "has(partners.declared_categories, 'Reseller')", "year(closed_on) = year(as_of)",
        "quarter(closed_on) in (1, 4)",
        "closed_on - registered_on > 30", "month(coalesce(registered_on, as_of)) = month(as_of)",
        "nullif(stage, 'Open') = 'Won'", "case type when 'new' then amount > 10 when 'renewal' then is_won end",
        "ceil(amount / 20) > 1", "lower(product_line) = 'edge' and not pairs.allowed", "upper(stage) <> 'WON'",
        "amount not between 10 and 50", "type not like '%new%'", "stage not in ('Won') or chained.weight is null",
    ),
    "certifications": ("level = 'pro'", "person_id <> 'x'", "upper(level) = 'PRO'", "expires_on is not null"),
    "activities": (
        "kind = 'call'", "value > 2", "verified", "not verified", "kind like '%i%'", "value <> 2",
        "kind in ('call', 'x')", "length(kind) = 5 or verified", "round(value) = 2", "value * value > 4",
        "as_of - happened_on < 100", "partners.score > value", "nullif(verified, false)",
        "floor(value) = 2", "abs(value) >= 1.5",
    ),
    "visits": ("minutes > 5", "product_line = 'cloud'", "fee > 20", "fee * 2 > minutes"),
}  # fmt: skip
VALUES = {
    "opportunities": (("money", "amount"), ("money", "credited_amount"), ("money", "amount * 0.125"),
                      ("number", "amount * zones.factor"), ("number", "share"), ("number", "amount / 3"),
                      ("money", "coalesce(amount, 10)"), ("money", "amount * zones.factor"),
                      ("money", "case when type = 'new' then amount * 2 else amount end"),
                      ("number", "case when is_won then 1 end"), ("money", "0 - amount"),
                      ("money", "amount * chained.weight"), ("number", "amount * pairs.weight"),
                      ("number", "coalesce(pairs.weight, 0.5)"), ("number", "closed_on - registered_on"),
                      ("number", "greatest(share, 0.3) * amount")),
    "certifications": (("number", "length(level)"), ("number", "as_of - issued_on")),
    "activities": (("number", "value"), ("number", "value * 2 + 1"), ("number", "value / 3"), ("money", "value"),
                   ("number", "greatest(value, 2)"), ("number", "round(value, 1)")),
    "visits": (("number", "minutes"), ("number", "minutes / 7"), ("money", "fee"), ("number", "fee / 3"),
               ("money", "fee * 0.5")),
}  # fmt: skip
IN_FORCE = (
    "in force",
    "in force",
    "in force 1 year earlier",
    "in force plus 1 month",
    "in force plus 12 months",
    "in force until partners.left_on",
    "in force plus 45 days 1 month earlier",
)
ORDERED = {
    "opportunities": (
        ("money", "amount"),
        ("text", "stage"),
        ("text", "type"),
        ("yes_no", "is_won"),
        ("number", "share"),
    ),
    "certifications": (("text", "level"), ("text", "credential")),
    "activities": (("number", "value"), ("text", "kind"), ("yes_no", "verified"), ("money", "value")),
}  # fmt: skip
SPLITS = {
    "opportunities": ("type", "stage", "product_line", "partners.region", "partners.country"),
    "certifications": ("product_line", "level", "partners.region"),
    "activities": ("kind", "partners.region", "partners.segment"),
}  # fmt: skip
GROUPS = (
    ("customer_id", ("opportunities",)), ("person_id", ("certifications", "activities")), ("type", ("opportunities",)),
    ("product_line", ("opportunities", "certifications", "visits")),
)  # fmt: skip
ROLL_UPS = ("sum", "sum", "sum", "family", "best", "family best", "inherit")
REACHES = ("region = parent.region", "not coalesce(has_plan, false)", "score > parent.score or region = 'EMEA'")
THINGS = {"opportunities": ("customer_id", "opportunity_id", "zones.kind"),
          "certifications": ("person_id", "credential"),
          "activities": ("person_id", "kind"), "visits": ("minutes",)}  # fmt: skip
DATED = {"opportunities": "registered_on", "certifications": "expires_on"}
FILES = {
    "zones.csv": "type,effective_from,factor,kind\nnew,2024-01-01,2,near\nnew,2025-06-01,0.5,\nrenewal,,1.25,far\n",
    "tiered.csv": "stage,kind\nWon,far\n*,near\n",
    "chained.csv": "kind,weight\nfar,2\nnear,\n",
    "pairs.csv": (
        "type,region,effective_from,weight,allowed\nnew,EMEA,2024-01-01,2,true\nnew,EMEA,2026-03-01,3.5,false\n"
        "renewal,APAC,2025-01-01,0.1,\n*,*,,1,true\n"
    ),
    "fixed.csv": "currency,effective_from,rate\nEUR,,1\nUSD,2024-06-01,1.25\nUSD,2026-01-01,1.6\nHUF,2020-01-01,401\n",
}
REFERENCES = (
    "references:\n  zones: {file: zones.csv, key: {type: type}}\n  tiered: {file: tiered.csv, key: {stage: stage}}\n"
    "  chained: {file: chained.csv, key: {kind: tiered.kind}}\n"
    "  pairs: {file: pairs.csv, key: {type: type, region: partners.region}, dated_by: registered_on}\n"
)


@dataclass
class Draw:
    """What one program has so far."""

    draw: Any
    metrics: dict[str, str] = field(default_factory=dict)  # key -> unit
    lines: list[str] = field(default_factory=list)
    built_on: dict[str, list[str]] = field(default_factory=dict)
    timeless: set[str] = field(default_factory=set)  # fields, and what reads tiers or days served
    bound: set[str] = field(default_factory=set)  # what differs from category to category
    split: set[str] = field(default_factory=set)
    split_by: dict[str, str] = field(default_factory=dict)

    def one(self, of: Any) -> Any:
        return self.draw(st.sampled_from(of))

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def numbers(self, *units: str) -> list[str]:
        return [
            key for key, unit in self.metrics.items() if (unit in units if units else unit not in ("text", "yes_no"))
        ]

    def of_unit(self, unit: str) -> list[str]:
        return [key for key, one in self.metrics.items() if one == unit]

    def add(self, unit: str, parts: str, built_on: Iterable[str] = ()) -> str:
        key = f"m{len(self.lines) + 1}"
        missing = self.one(("", "", "", ", when_missing: fail", "" if unit == "text" else ", when_missing: zero"))
        self.lines.append(f"  {key}: {{unit: {unit}, {parts}{missing}}}")
        return self.note(key, unit, built_on)

    def note(self, key: str, unit: str, built_on: Iterable[str]) -> str:
        self.metrics[key] = unit
        self.built_on[key] = list(built_on)
        for marks in (self.timeless, self.bound, self.split):
            if marks & set(self.built_on[key]):
                marks.add(key)
        return key

    def roll_up(self, text: bool, percent: int = 50, adds: bool = True) -> list[str]:
        if text or not self.chance(percent):
            return []
        found = self.one(ROLL_UPS if adds else ("best", "family best", "inherit"))
        parts = [f"rolls_up: {found}"]
        if found in ("best", "family best", "inherit") and self.chance(30):
            parts.append("better: lower")
        if self.chance(25):
            parts.append(f'rolls_up_where: "{self.one(REACHES)}"')
        return parts

    # --- of records

    def rows_metric(self) -> None:
        table = self.one(("opportunities", "opportunities", "certifications", "activities", "activities", "visits"))
        aggregates = (
            "sum",
            "sum",
            "count",
            "count_distinct",
            "average",
            "minimum",
            "maximum",
            "median",
            "first",
            "last",
        )
        aggregate = self.one(aggregates if table in ORDERED else aggregates[:-2])
        unit = "number"
        if aggregate == "count":
            source = table
        elif aggregate == "count_distinct":
            source, unit = f"{table}.{self.one(THINGS[table])}", "people"
        else:
            unit, cell = self.one(ORDERED[table] if aggregate in ("first", "last") else VALUES[table])
            source = f"{table}.{cell}"
        parts = [f'{aggregate}: "{source}"', *self.filters(table)]
        parts += self.roll_up(unit in ("text", "yes_no"))
        is_split = table in SPLITS and self.chance(25)
        if is_split:
            column = self.one(SPLITS[table])
            parts.append(f"split_by: {column}")
        key = self.add(unit, ", ".join(parts))
        if is_split:
            self.split.add(key)
            self.split_by[key] = column.removeprefix("partners.")

    def filters(self, table: str) -> list[str]:
        parts = []
        if self.chance(50):
            parts.append(f'where: "{self.one(WHERES[table])}"')
        if self.chance(75):
            in_force = table == "certifications" and self.chance(60)
            parts.append(f"during: {self.one(IN_FORCE if in_force else WINDOWS)}")
            if not in_force and table in DATED and self.chance(15):
                parts.append(f"dated_by: {DATED[table]}")
        return parts

    def groups_metric(self) -> None:
        of, tables = self.one(GROUPS)
        having = []
        for _ in range(self.draw(st.integers(1, 2))):
            table = self.one(tables)
            aggregate = self.one(("sum", "count", "maximum", "average"))
            if table == "certifications":
                aggregate = "count"
            cell = {"opportunities": "amount", "activities": "value", "visits": "minutes"}.get(table)
            source = table if aggregate == "count" else f"{table}.{cell}"
            limit = self.one(("at_least: 1", "at_least: 2", "at_most: 1", "at_least: 10", "at_most: 30"))
            having.append(f"{{{', '.join([f'{aggregate}: {source}', *self.filters(table), limit])}}}")
        share = ", share: yes" if len(having) > 1 and self.chance(40) else ""
        parts = [f"groups: {{of: {of}, having: [{', '.join(having)}]{share}}}", *self.roll_up(False, 25, adds=False)]
        self.add("percent" if share else "number", ", ".join(parts))

    def field_metric(self) -> None:
        unit, parts = self.one((
            ("number", "field: partners.score"), ("money", "field: partners.score"),
            ("percent", "field: partners.churn, of_hundred: yes"), ("yes_no", "field: partners.has_plan"),
            ("text", "field: partners.segment"), ("number", "field: partners.score, rolls_up: sum"),
            ("money", "field: partners.score, rolls_up: family"), ("number", "field: partners.score, rolls_up: best"),
            ("yes_no", "field: partners.has_plan, rolls_up: inherit"),
        ))  # fmt: skip
        self.timeless.add(self.add(unit, parts))

    # --- on other metrics

    def derived_metric(self) -> None:
        keys = self.numbers()
        if not keys:
            self.field_metric()
            return
        choice = self.draw(st.integers(0, 15))
        if choice < 3:
            self.past_metric()
        elif choice < 7:
            self.formula_metric(self.one(keys), self.one(keys))
        elif choice < 9:
            self.condition_metric(self.one(keys))
        elif choice < 12:
            self.score_metric(keys)
        elif choice < 15:
            self.rank_metric(self.one(keys))
        else:
            limit = "50%" if self.metrics[(a := self.one(keys))] == "percent" else "2"
            key = self.add("days", f'held_for: {{{a}: "{self.one((">= ", "< "))}{limit}"}}', [a])
            self.timeless.add(key)

    def past_metric(self) -> None:
        past = [key for key in self.numbers() if key not in self.timeless]
        if not past:
            self.field_metric()
            return
        a = self.one(past)
        of = self.one(("growth_of", "growth_of", "change_of"))
        zero = ", when_base_is_zero: 0.5" if of == "growth_of" and self.chance(40) else ""
        versus = self.one(("1 year earlier", "1 month earlier", "3 months earlier"))
        self.add("percent" if of == "growth_of" else "number", f"{of}: {a}, versus: {versus}{zero}", [a])

    def formula_metric(self, a: str, b: str) -> None:
        text = self.one((
            f"{a} / {b}", f"{a} + {b}", f"{a} * 0.3", f"coalesce({a}, 3) - 1", f"{a} - partners.score",
            f"case when {a} > {b} then {a} else 1 end", f"greatest({a}, {b})", f"{a} / 3 * 3", a,
            f"nullif({a}, 0)", f"abs({a}) / 7", "as_of - partners.joined_on", f"round({a} / 3, 2)",
        ))  # fmt: skip
        parts = [f'formula: "{text}"', *self.roll_up(False, 25, adds=False)]
        self.add(self.one(("number", "money", "percent")), ", ".join(parts), [one for one in (a, b) if one in text])

    def condition_metric(self, a: str) -> None:
        text = self.one((f"{a} >= 1", f"{a} > 0.5 or partners.has_plan", f"not ({a} < 1)", f"{a} is null",
                         f"coalesce({a}, 0) >= 1", f"{a} between 0.2 and 1", f"{a} in (0, 1)"))  # fmt: skip
        parts = [f'formula: "{text}"', *self.roll_up(False, 20, adds=False)]
        self.add("yes_no", ", ".join(parts), [a])

    def rank_metric(self, a: str) -> None:
        percentile = self.chance(50)
        parts = [f"{'percentile_of' if percentile else 'rank_of'}: {a}"]
        within = self.one(("", "", "region", "[region, country]", "category"))
        built_on = [a]
        if within:
            parts.append(f"within: {within}")
        if self.chance(30):
            parts.append(f'where: "{a} > 0.5 or partners.has_plan"')
        if self.chance(25):
            parts.append("better: lower")
        elif self.chance(20):
            parts.append(f"rolls_up: {self.one(('best', 'inherit', 'family best'))}")
        key = self.add("percent" if percentile else "number", ", ".join(parts), built_on)
        if within == "category":
            self.bound.add(key)

    # --- scores

    def score_metric(self, keys: list[str]) -> None:
        parts: dict[str, str] = {}
        read: list[str] = []
        for at in range(self.draw(st.integers(1, 4))):
            name = f"p{at}"
            earned, of = self.earning(keys, list(parts))
            read += of
            if self.chance(25):
                earned += f", max: {self.number(keys, read)}"
            if self.chance(20):
                gate = self.one(keys)
                read.append(gate)
                earned += f', needs: "{gate} {self.one((">= 1", "> 0", "< 1"))}"'
            if self.chance(15) and "best:" not in earned:
                earned += ", allow_negative: yes"
            parts[name] = earned
        best = {name for text in parts.values() if "best:" in text for name in parts if name in text}
        free = [name for name in parts if name not in best]
        lines = [f"{name}: {{{text}}}" for name, text in parts.items()]
        cap = f"max: {self.number(keys, read)}, " if self.chance(50) else ""
        group = ""
        if free and self.chance(40):
            group = f", groups: {{g: {{parts: [{free[0]}], max: {self.number(keys, read)}}}}}"
        rolls = "".join(f", {one}" for one in self.roll_up(False, 25, adds=False))
        key = self.add("points", f"score: {{{cap}parts: {{{', '.join(lines)}}}{group}}}{rolls}", read)
        for name in parts:
            self.note(f"{key}.{name}", "points", read)

    def number(self, keys: list[str], read: list[str]) -> str:
        choice = self.draw(st.integers(0, 9))
        if choice == 0:
            read.append(key := self.one(keys))
            return str(key)
        if choice == 1:
            return "{by: region, default: 7, EMEA: 2.5}"
        return str(self.one(("5", "10", "0.3", "12")))

    def earning(self, keys: list[str], parts: list[str]) -> tuple[str, list[str]]:
        """How a part earns, and what it reads."""
        if parts and self.chance(20):
            named = list(dict.fromkeys((self.one(parts), self.one(keys))))
            return f"best: [{', '.join(named)}]", [one for one in named if one in keys]
        if (yes := self.of_unit("yes_no")) and self.chance(30):
            key = self.one(yes)
            return f"of: {key}, worth: 10", [key]
        key = self.one(keys)
        percent, read = self.metrics[key] == "percent", [key]
        form = self.draw(st.integers(0, 3))
        if form == 0:
            full = self.one(("50%", "10%")) if percent else self.number(keys, read)
            return f"of: {key}, full_at: {full}, worth: {self.number(keys, read)}", read
        if form == 1:
            return f"of: {key}, each: {self.one(('4', '0.3', '2'))}", read
        if form == 2:
            per = self.one(("1%", "30%")) if percent else self.one(("0.1", "3", "10"))
            whole = ", whole_units: yes" if self.chance(60) else ""
            return f"of: {key}, each: {self.one(('1', '2.5'))} per {per}{whole}", read
        steps = ("0%: 1, 25%: 4", "10%: 2, 50%: 7") if percent else ("0: 1, 3: 4", "1: 5, 10: 10, 30: 2")
        return f"of: {key}, bands: {{{self.one(steps)}}}", read
