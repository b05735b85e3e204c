"""Random small programs, as text: metrics, ladders, categories, movement. Their tables are in `worlds_tables`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.levelling.worlds_metrics import FILES, REFERENCES, Draw
from tests.levelling.worlds_tables import Base, bases

ATTRIBUTES = (("", ""), ("", ""), ("EMEA", ""), ("APAC", ""), ("EMEA", "DE"), ("", "FR"), ("", "DE"))
PROMOTE = ("any day", "any day", "monthly", "quarterly", "[01-15, 12-01, 03-10]", "anniversary")
DEMOTE = ("any day", "any day", "monthly", "quarterly", "fiscal quarterly", "[12-01, 02-29]", "anniversary of left_on")
LAGS = ("immediately", "immediately", "first of next month", "after 5 days", "after 1 month")
QUALIFIES = ("today", "any day of last 60 days", "any day of this and the 1 months before", "any day of this quarter")
BENEFITS = {
    "discount": ("20%", "{by: region, default: 5%, EMEA: 7.5%}", "none"),
    "fund": ("500 EUR", "31.25 USD", "none", "{by: country, default: 10 EUR, DE: 20 EUR}"),
    "support": ("mail", "phone"),
    "seats": ("1", "2.5"),
}


FIRST = date(2025, 1, 1)
"""The day of the older version."""
HEAD = "ladder,tier,rule,metric,value,currency,region,country"


class Writer(Draw):
    """A whole program, part by part."""

    place: tuple[str, str, str] | None = None  # ladder, tier and rule that are being written
    asked: dict[tuple[str, ...], list[str]]  # rows of the threshold sheet by ladder, tier, rule and metric

    def __init__(self, draw: Any) -> None:
        super().__init__(draw)
        self.asked = {}
        self.count_of: dict[str, int] = {}  # tiers of each ladder

    # --- criteria

    def threshold(self, unit: str) -> str:
        if unit == "percent":
            return str(self.one(("0%", "25%", "50%", "-10%", "100%")))
        if unit == "money" and self.chance(15):
            return str(self.one(("20 USD", "31.25 USD")))
        return str(self.one((0, 1, 2, 3, 10, 30, 62.5, 0.3, -5)))

    def criterion(self, key: str = "") -> str:
        key = key or self.one(list(self.metrics))
        unit = self.metrics[key]
        if self.place is not None and self.chance(12):
            return self.from_sheet(key, unit)
        if unit == "yes_no":
            return f"{{{key}: {self.one(('yes', 'no'))}}}"
        if unit == "text":
            return f'{{{key}: "= {self.one(("x", "new", "Won", "call", "pro"))}"}}'
        sign = self.one(("", "", "", "> ", "< ", "<= ", "= ", ">= "))
        others = [one for one in self.numbers(unit) if one != key]
        if others and self.chance(15):
            return f'{{{key}: "{sign}{self.one(others)}"}}'
        if self.chance(25):
            cases = ", ".join(f'{value}: "{sign}{self.threshold(unit)}"' for value in ("EMEA", "APAC"))
            return f'{{{key}: {{by: region, default: "{sign}{self.threshold(unit)}", {cases}}}}}'
        return f'{{{key}: "{sign}{self.threshold(unit)}"}}'

    def from_sheet(self, key: str, unit: str) -> str:
        """A criterion whose values stand in rows of the sheet."""
        assert self.place is not None
        sign = "= " if unit == "text" else "" if unit == "yes_no" else self.one(("", "", "> ", "< ", "= "))
        where = (*self.place, key)
        if where not in self.asked:
            cells = self.draw(st.lists(st.sampled_from(ATTRIBUTES), min_size=1, max_size=4, unique=True))
            self.asked[where] = [",".join((*where, *self.cell(unit), *one)) for one in cells]
        return f'{{{key}: "{sign}from thresholds"}}'

    def cell(self, unit: str) -> tuple[str, str]:
        """A value of the sheet and its currency."""
        if unit in ("yes_no", "text"):
            return str(self.one(("yes", "no") if unit == "yes_no" else ("x", "new", "Won"))), ""
        if unit == "money" and self.chance(30):
            return str(self.one(("20", "31.25"))), "USD"
        return self.threshold(unit).removesuffix(" USD"), ""

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
        lines = [f"  {name}:"] + (["    climb: steps"] if self.chance(30) else [])
        per = self.one(list(self.split_by)) if self.split_by and self.chance(40) else ""
        if per:
            lines.append(f"    per: {self.split_by[per]}")
            lines.append(f"    take: {self.one(('best', 'best', 'all', '{at_least: 2}', 'each'))}")
        if self.chance(15):
            where = self.one(("", ', where: "has_plan or region = parent.region"'))
            lines.append(f"    family: {{tier: floor, from: {self.one(('parent', 'top'))}{where}}}")
        lines.append("    tiers:")
        gives = self.chance(35)
        self.count_of[name] = self.draw(st.integers(2, 4))
        for at in range(self.count_of[name]):
            parts = [f"key: {name}{at}", f"label: {name.upper()} {at}"]
            self.place = (name, f"{name}{at}", "requires")
            if at or self.chance(25):
                asked = self.requirement()
                parts.append(f"requires: {{all: [{self.criterion(per)}, {asked}]}}" if per else f"requires: {asked}")
                self.place = (name, f"{name}{at}", "keeps")
                if self.chance(35):
                    parts.append(f"keeps: {self.requirement()}")
                if at and self.chance(10):
                    parts.append(f"sustained: {self.one(('30 days', '2 months', '5 days'))}")
            if self.chance(15):
                parts.append(f"rank: {self.draw(st.integers(1, 5))}")
            if self.chance(10):
                parts.append(f"movement: {self.movement()}")
            if gives and (not at or self.chance(50)):  # the lowest gives all that others may take away
                some = self.some(BENEFITS) if at else ["discount: 20%", "fund: 500 EUR"]
                parts.append(f"benefits: {{{', '.join(some)}}}")
            lines.append(f"      - {{{', '.join(parts)}}}")
        return lines

    def some(self, of: dict[str, tuple[str, ...]]) -> list[str]:
        return [f"{name}: {self.one(values)}" for name, values in of.items() if self.chance(50)] or ["seats: 1"]

    # --- movement

    def movement(self) -> str:
        parts = []
        if self.chance(60):
            approval = f", approval: {self.one(('yes', 'no'))}" if self.chance(35) else ""
            lag = f", effective: {self.one(LAGS)}" if self.chance(35) else ""
            parts.append(f"promote: {{on: {self.one(PROMOTE)}{approval}{lag}}}")
        if self.chance(70):
            approval = f", approval: {self.one(('yes', 'no'))}" if self.chance(20) else ""
            lag = f", effective: {self.one(LAGS)}" if self.chance(25) else ""
            on = self.one(DEMOTE)
            grace = self.one(("10 days", "30 days", "2 months") if on == "any day" else ("none", "none", "30 days"))
            steps = ", steps: 1" if self.chance(40) else ""
            parts.append(f"demote: {{on: {on}, grace: {grace}{steps}{approval}{lag}}}")
        if self.chance(25):
            parts.append(f"hold: {self.one(('{newcomers: 6 months}', '{after_promotion: 30 days}', 'none'))}")
        if self.chance(20):
            where = self.one(("", "where: \"region = 'EMEA'\", ", 'where: "has_plan", '))
            parts.append(f"freeze: [{{{where}from: {self.one(('2025-02-01', '2026-11-01'))}, until: 2026-12-05}}]")
        if self.chance(20):
            parts.append(f"qualifies: {self.one(QUALIFIES)}")
        return f"{{{', '.join(parts)}}}" if parts else "{promote: any day}"

    # --- categories

    def condition(self) -> str:
        choices = ["has(declared_categories, 'Reseller')", "region = 'EMEA'", "score > 2", "score * 2 > 4", "has_plan"]
        if keys := [key for key in self.numbers() if key not in self.bound and "." not in key]:
            key = self.one(keys)
            choices += [f"{key} >= 1", f"{key} > 0 or has_plan", f"coalesce({key}, 0) >= 1", f"{key} <> 0"]
        return str(self.one(choices))

    def category(self, key: str, label: str, ladder: str) -> str:
        parts = [f"label: {label}", f"ladder: {ladder}"]
        if self.chance(80):
            parts.append(f'member: "{self.condition()}"')
        if self.chance(70):
            parts.append(f'observed: "{self.condition()}"')
        if self.chance(15):
            parts.append(f"movement: {self.movement()}")
        return f"  {key}: {{{', '.join(parts)}}}"

    def tier_metrics(self, categories: dict[str, str]) -> None:
        """Metrics that read the tiers written so far."""
        if self.chance(50):
            of = self.one(("ladder: u", "category: msp") if categories else ("ladder: u",))
            key = self.add("number", f"tier_of: {{{of}}}")
            self.timeless.add(key)
            if self.chance(30):
                self.rank_metric(key)
        if categories and self.chance(30):
            key = self.add("days", f"held_for: {{tier: {self.one(('u1', 't1', 'u0'))}}}")
            self.timeless.add(key)
            self.bound.add(key)


@st.composite
def programs(draw: Any) -> str:
    """A program as text, with the files of its own after it (see `files_of`)."""
    return written(Writer(draw))


@st.composite
def worlds(draw: Any) -> tuple[str, Base]:
    """A program, for some with the version before it, and its tables."""
    base: Base = draw(bases())
    new = Writer(draw)
    if base.as_of.year < FIRST.year or not new.chance(40):
        return written(new), base
    start = base.as_of + timedelta(days=new.one((-100, -9, -2, 0, 1, 8, 20)))
    text, old = written(new, start), Writer(draw)
    before = written(old, FIRST, "before.csv")
    names = becomes(new, old)
    if names or new.chance(60):
        until = start + timedelta(days=new.one((0, 1, 9, 30, 120)))
        text = f"migration: {{keep_until: {until}, becomes: {{{', '.join(names)}}}}}\n{text}"
    return f"{text}{STARTS}before.yaml\n{before}", base


def becomes(new: Writer, old: Writer) -> list[str]:
    """New names of all tiers that went away, and of some that did not."""
    found = []
    for ladder, count in old.count_of.items():
        there = [f"{ladder}{at}" for at in range(new.count_of.get(ladder, 0))]
        for at in range(count) if there else ():
            if at >= len(there) or new.chance(10):
                found.append(f"{ladder}{at}: {new.one(there)}")
    return found


def written(one: Writer, start: date = date(2026, 2, 1), sheet: str = "asks.csv") -> str:
    """The text of one version, and its threshold sheet."""
    draw = one.draw
    head = ["program: p", "currency: EUR", "rates: " + one.one(("crm", "fixed.csv")), f"effective_from: {start}"]
    for _ in range(draw(st.integers(1, 3))):
        one.one((one.rows_metric, one.rows_metric, one.rows_metric, one.field_metric, one.groups_metric))()
    for _ in range(draw(st.integers(0, 3))):
        one.one((one.rows_metric, one.derived_metric, one.derived_metric, one.derived_metric))()
    has_categories = one.chance(40)
    ladders: list[str] = []
    categories: dict[str, str] = {}
    if has_categories:
        ladders += one.ladder("u")
        categories["msp"] = one.category("msp", "Managed", "u")
        one.tier_metrics(categories)
    ladders += one.ladder("t")
    if has_categories:
        categories["reseller"] = one.category("reseller", "Reseller", "t")
    head += extras(one)
    body = ["metrics:", *one.lines, "ladders:", *ladders]
    if has_categories:
        body += ["categories:", *(categories[key] for key in one.one((["reseller", "msp"], ["msp", "reseller"])))]
        if (keys := one.numbers()) and one.chance(50):
            body.append(f"primary: {{reseller: {one.one(keys)}, msp: {one.one(keys)}}}")
            body.append(f"headline: {one.one(('primary', 'highest', 'lowest', 'none'))}")
    text = "\n".join(head) + "\n" + REFERENCES + "\n".join(body) + "\n"
    if not one.asked:
        return text
    rows = "".join(f"{row}\n" for rows in one.asked.values() for row in rows)
    return f"thresholds: {sheet}\n{text}{STARTS}{sheet}\n{HEAD}\n{rows}"


STARTS = "# file: "
"""Before the name of a file that stands after the text of a program."""


def files_of(text: str) -> dict[str, str]:
    """All files of a program: `program.yaml`, those that stand after it, and those that all programs read."""
    program, *others = text.split(STARTS)
    own = dict(one.split("\n", 1) for one in others)
    return {"program.yaml": program, **FILES, **own}


def extras(one: Writer) -> list[str]:
    """Keys of a program that say nothing about metrics or ladders."""
    lines = []
    if one.chance(20):
        lines.append("takes_part: \"status <> 'closed'\"")
    if one.chance(25):
        lines.append("starts_from: {field: partners.by_hand, values: {Gold: t1}}")
    if one.chance(25):
        lines.append(f"fiscal_year: {{starts: {one.one(('02-01', '04-01', '11-15'))}}}")
    if one.chance(20):
        lines.append(f"reassess: every {one.one(('12 months', '30 days'))}")
    if one.chance(50):
        lines.append(f"movement: {one.movement()}")
    if one.chance(40) and (keys := one.numbers()):
        lines.append(f"effort: {{{one.one(keys)}: {one.one(('1 per 4', '0.1', '40', '3'))}}}")
    if one.chance(15) and (keys := one.of_unit("percent")):
        most = one.one(
            ("", ", max: 8%", ", max: {by: tier, default: 12%, t1: 4%}", ", max: {by: region, default: 9%, EMEA: 1%}")
        )
        lines.append(f"commission: {{of: {one.one(keys)}, bands: {{0%: 3%, 25%: 10%, 50%: 12.5%}}{most}}}")
    horizon = one.one(("10 days", "10 days", "30 days", "1 month"))
    pace = one.one(("7 days", "1 month", "6 months", "31 days"))
    return [*lines, f"risk: {{horizon: {horizon}, pace: {pace}, near: {one.one(('10%', '0%', '50%'))}}}"]


__all__ = ["Base", "bases", "files_of", "programs", "worlds"]
