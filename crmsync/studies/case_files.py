"""The cases of a program as written: read, checked against the program's names, with the line of every value.

Source: program-language, section 12.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from crmsync.errors import ConfigError
from crmsync.levelling.standings import COLUMNS, DATES
from crmsync.programs.program import FromRows, Metric, Program, Unit
from crmsync.programs.reads import reads_of
from crmsync.strict_yaml import Node, nearest, read_yaml
from crmsync.tables import CANONICAL

TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
NONE, UNKNOWN = "none", "unknown"
DEFAULT_DAY = date(2026, 1, 1)
TIERS = {
    "tier": "calculated_tier", "calculated": "calculated_tier", "earned": "earned_tier", "granted": "granted_tier",
    "previous": "previous_tier", "pending": "pending_tier", "headline": "headline_tier",
    "projected": "projected_tier", "pace": "pace_tier",
}  # fmt: skip
"""Short words of `expect` and the columns of the standings that they mean."""

MOVEMENTS = (
    "left", "entered", "pinned", "floored", "capped", "inherited", "override_ended", "promoted", "demoted",
    "program_changed", "pending", "awaiting_approval", "frozen", "held", "cured", "in_grace", "unchanged",
)  # fmt: skip

_TIER_COLUMNS = frozenset({*TIERS.values(), "next_tier"})
_PREVIOUS_TIERS = ("tier", "granted", "earned", "calculated", "pending")
_CASE = ("metrics", "partner", "tables", "as_of", "category", "previous", "expect", "on")
_STEP = ("metrics", "partner", "expect")
_PREVIOUS = ("tier", "granted", "earned", "calculated", "since", "grace_until", "pending", "pending_on", "promoted_on",
             "state", "version", "as_of", "headline")  # fmt: skip

Amount = Decimal | bool | str | None
"""A metric as a case gives it; None: unknown."""

Given = Amount | Mapping[str, Amount]
"""A mapping gives a metric that is split, by value."""


@dataclass(frozen=True)
class Expected:
    """What must come out in one category (None: the only one), by column of the standings."""

    category: str | None
    columns: Mapping[str, Node]


@dataclass(frozen=True)
class Step:
    """One day of a case: what holds from that day on, and what must come out."""

    on: date
    metrics: Mapping[str, Given]
    partner: Mapping[str, Node]
    expected: tuple[Expected, ...]


@dataclass(frozen=True)
class Previous:
    """The standing before, in one category (None: every category of the case)."""

    category: str | None
    as_of: date | None
    columns: Mapping[str, object]


@dataclass(frozen=True)
class Case:
    """One case. Steps are in the order of time; a case without `on:` has one."""

    name: str
    file: str
    line: int
    steps: tuple[Step, ...]
    category: str | None = None
    tables: Mapping[str, tuple[Node, ...]] = field(default_factory=dict)
    previous: tuple[Previous, ...] = ()

    @property
    def categories(self) -> frozenset[str]:
        """The categories that the case speaks of by name (without the value of `per`)."""
        named = [self.category, *(expected.category for step in self.steps for expected in step.expected)]
        named += [previous.category for previous in self.previous]
        return frozenset(one.partition("/")[0] for one in named if one)


def read_cases(program: Program) -> list[Case]:
    """The cases of a program file, or of the file that its `cases:` names. Errors: ConfigError with file and line."""
    node = read_yaml(program.file).mapping().get("cases")
    if node is None:
        return []
    if node.is_text:
        node = _beside(program, node)
    cases = [_Reader(program).case(one, place) for place, one in enumerate(node.sequence(), 1)]
    seen: dict[str, int] = {}
    for case in cases:
        if case.name in seen:
            raise ConfigError(
                f"a case named `{case.name}` stands on line {seen[case.name]} too", file=case.file, line=case.line
            )
        seen[case.name] = case.line
    return cases


def _beside(program: Program, node: Node) -> Node:
    top = read_yaml(program.file.parent / node.text())
    return top.mapping(("cases",), ())["cases"] if top.is_mapping else top


@dataclass(frozen=True)
class _Reader:
    """Reads cases against the names of one program."""

    program: Program

    def case(self, node: Node, place: int) -> Case:
        parts = node.mapping((), ("name", *_CASE))
        name = parts["name"].text() if "name" in parts else f"case {place}"
        if "on" in parts and ("expect" in parts or "as_of" in parts):
            other = "expect" if "expect" in parts else "as_of"
            raise node.fail_at_key(other, f"`{other}` does not stand beside `on:`; each date of `on:` has its own")
        if "on" not in parts and "expect" not in parts:
            raise node.fail("`expect:` is missing here: say what must come out, like `expect: {tier: silver}`")
        category = self.category(parts["category"]) if "category" in parts else None
        steps = self.timeline(parts, category) if "on" in parts else (self.step(parts, self.day(parts), category),)
        tables = dict(self.tables(parts["tables"])) if "tables" in parts else {}
        previous = tuple(self.previous(parts["previous"], category)) if "previous" in parts else ()
        for one in previous:
            if one.as_of is not None and one.as_of >= steps[0].on:
                raise parts["previous"].fail(f"its as_of {one.as_of} is not before {steps[0].on}, the day of the case")
        case = Case(name, node.file, node.line, steps, category, tables, previous)
        if any(one.category is None for one in previous):
            self.check_previous(parts["previous"], case)
        return case

    def check_previous(self, node: Node, case: Case) -> None:
        """Errors: ConfigError for a tier before that only some of the categories know, where none is named."""
        parts = node.mapping()
        named = [key for key in self.program.categories if key in case.categories]
        for category in named or self.program.categories:
            known = {*self.tiers(category), *self.former_tiers(), NONE}
            for key in _PREVIOUS_TIERS:
                if key in parts and parts[key].text() not in known:
                    raise parts[key].fail(
                        f"`{parts[key].text()}` is no tier of category {category}; say of which category this is: "
                        "`category:` beside `previous:`"
                    )

    def tables(self, node: Node) -> Iterator[tuple[str, tuple[Node, ...]]]:
        """The rows of each table, every one a mapping. Errors: ConfigError for a table that nothing can read."""
        for name, rows in node.mapping().items():
            if not TABLE_NAME.fullmatch(name):
                raise node.fail_at_key(name, f"`{name}` is not a name for a table{nearest(name, CANONICAL)}")
            if name not in CANONICAL and name not in self.tables_read():
                known = {*CANONICAL, *self.tables_read()}
                raise node.fail_at_key(name, f"no metric reads a table `{name}`{nearest(name, known)}")
            for row in rows.sequence():
                row.mapping()
            yield name, tuple(rows.sequence())

    def tables_read(self) -> frozenset[str]:
        """Tables that the program, or a version before it, reads."""
        versions = (self.program, self.program.before) if self.program.before else (self.program,)
        return frozenset(table for one in versions for table, _, _, _ in reads_of(one)) | frozenset(
            metric.source.table for metric in self.program.metrics.values() if isinstance(metric.source, FromRows)
        )

    def day(self, parts: Mapping[str, Node]) -> date:
        """The day of a case: its own, else that of the version, else a fixed one."""
        if "as_of" in parts:
            return parts["as_of"].date()
        return self.program.effective_from or DEFAULT_DAY

    def timeline(self, parts: Mapping[str, Node], category: str | None) -> tuple[Step, ...]:
        """Each date with what was given last."""
        steps: list[Step] = []
        metrics = self.metrics(parts["metrics"]) if "metrics" in parts else {}
        partner = parts["partner"].mapping() if "partner" in parts else {}
        nodes = parts["on"].sequence()
        if not nodes:
            raise parts["on"].fail("`on:` names no date")
        for node in nodes:
            inner = node.mapping(("date",), _STEP)
            step = self.step(inner, inner["date"].date(), category)
            if steps and step.on <= steps[-1].on:
                raise inner["date"].fail(f"{step.on} is not after {steps[-1].on}, the date before it")
            metrics, partner = {**metrics, **step.metrics}, {**partner, **step.partner}
            steps.append(Step(step.on, metrics, partner, step.expected))
        return tuple(steps)

    def step(self, parts: Mapping[str, Node], on: date, category: str | None) -> Step:
        return Step(
            on,
            self.metrics(parts["metrics"]) if "metrics" in parts else {},
            parts["partner"].mapping() if "partner" in parts else {},
            tuple(self.expected(parts["expect"], category)) if "expect" in parts else (),
        )

    # --- names

    def category(self, node: Node) -> str:
        return self.known_category(node.text(), node)

    def known_category(self, name: str, node: Node) -> str:
        key = name.partition("/")[0]
        if key not in self.program.categories:
            raise node.fail(f"`{key}` is not a category{nearest(key, self.program.categories)}")
        return name

    def metric(self, node: Node, key: str) -> Metric:
        if key not in self.program.metrics:
            raise node.fail_at_key(key, f"`{key}` is not a metric{nearest(key, self.program.metrics)}")
        return self.program.metrics[key]

    def tiers(self, category: str | None) -> dict[str, str]:
        """Tier keys and labels -> keys, of the category's ladder, of every ladder where none is named."""
        key = category.partition("/")[0] if category else None
        ladders = [self.program.ladder_of(key)] if key else list(self.program.ladders.values())
        found = {tier.label: tier.key for ladder in ladders for tier in ladder.tiers}
        return found | {tier.key: tier.key for ladder in ladders for tier in ladder.tiers}

    # --- what is given

    def metrics(self, node: Node) -> dict[str, Given]:
        return {key: self.given(self.metric(node, key), value) for key, value in node.mapping().items()}

    def given(self, metric: Metric, node: Node) -> Given:
        if not node.is_mapping:
            return self.amount(metric, node)
        if metric.unit in (Unit.TEXT, Unit.YES_NO):
            raise node.fail(f"metric {metric.key} is a {metric.unit.value}; only numbers can be given by value")
        return {value: self.amount(metric, one) for value, one in node.mapping().items()}

    def amount(self, metric: Metric, node: Node) -> Amount:
        text = node.text()
        if text == UNKNOWN and not node.quoted and metric.unit is not Unit.TEXT:
            return None
        if metric.unit is Unit.TEXT:
            return text
        if metric.unit is Unit.YES_NO:
            return node.yes_no()
        number = node.decimal()
        if metric.unit is Unit.PERCENT and abs(number) > 1 and not text.endswith("%"):
            raise node.fail(f"metric {metric.key} is a percent: write `{text}%`, not `{text}`")
        if metric.unit is Unit.MONEY and number != round(number, 2):
            raise node.fail(f"metric {metric.key} is money: `{text}` has more than two decimals")
        return number

    def previous(self, node: Node, category: str | None) -> Iterable[Previous]:
        parts = node.mapping((), (*_PREVIOUS, "categories"))
        if "categories" in parts:
            for key, inner in parts["categories"].mapping().items():
                yield self.standing(inner, self.known_category(key, inner), parts)
        if set(parts) - {"categories", "as_of"}:
            yield self.standing(node, category, parts)

    def standing(self, node: Node, category: str | None, above: Mapping[str, Node]) -> Previous:
        parts = {key: one for key, one in node.mapping((), (*_PREVIOUS, "categories")).items() if key != "categories"}
        columns: dict[str, object] = {}
        for key in (*_PREVIOUS_TIERS, "headline"):
            if key in parts:
                tier = self.former_tier(parts[key], category)
                columns |= {
                    TIERS[one]: tier for one in (("granted", "earned", "calculated") if key == "tier" else (key,))
                }
        columns.setdefault("granted_tier", columns.get("earned_tier"))
        columns.setdefault("earned_tier", columns.get("granted_tier"))
        for key, column in (("since", "tier_since"), ("grace_until", "grace_until"), ("pending_on", "pending_on")):
            if key in parts:
                columns[column] = parts[key].date()
        state = _plain(parts["state"]) if "state" in parts else {}
        if "promoted_on" in parts:
            state = {**state, "promoted_on": parts["promoted_on"].date().isoformat()} if isinstance(state, dict) else {}
        if state:
            columns["state"] = state
        if "version" in parts:
            columns["program_version"] = parts["version"].text()
        day = parts.get("as_of") or above.get("as_of")
        return Previous(category, day.date() if day else None, columns)

    def former_tier(self, node: Node, category: str | None) -> str | None:
        """A tier of this version, or one that the version before had."""
        if node.text() == NONE:
            return None
        known, former = self.tiers(category), self.former_tiers()
        if node.text() not in known and node.text() not in former:
            raise node.fail(f"`{node.text()}` is not a tier{nearest(node.text(), {*known, *former})}")
        return known.get(node.text(), node.text())

    def former_tiers(self) -> set[str]:
        """Tiers that the version before had."""
        before, migration = self.program.before, self.program.migration
        found = {tier.key for ladder in before.ladders.values() for tier in ladder.tiers} if before else set()
        return found | set(migration.becomes if migration else ())

    # --- what is expected

    def expected(self, node: Node, category: str | None) -> Iterable[Expected]:
        parts = dict(node.mapping())
        if not parts:
            raise node.fail("`expect:` names nothing; say what must come out, like `expect: {tier: silver}`")
        inner = parts.pop("categories", None)
        if parts or inner is None:
            yield Expected(category, self.columns(parts, node, category))
        for key, one in inner.mapping().items() if inner else ():
            where = self.known_category(key, one)
            yield Expected(where, self.columns(one.mapping(), one, where))

    def columns(self, parts: Mapping[str, Node], node: Node, category: str | None) -> dict[str, Node]:
        known = {**TIERS, **{name: name for name in COLUMNS}}
        found: dict[str, Node] = {}
        for key, value in parts.items():
            if key == "category":
                raise node.fail_at_key(key, "`category:` stands in the case, beside `expect:`")
            if key in self.program.categories and self.program.has_categories:
                told = f"`{key}` is a category: write `expect: {{categories: {{{key}: {{…}}}}}}`"
                raise node.fail_at_key(key, told)
            if key not in known:
                raise node.fail_at_key(
                    key, f"`{key}` is not a column of the standings{nearest(key, {*known, 'metrics'})}"
                )
            self.check(known[key], value, category)
            found[known[key]] = value
        return found

    def check(self, column: str, value: Node, category: str | None) -> None:
        """Errors: ConfigError where the value can never come out."""
        if column in _TIER_COLUMNS:
            tiers = self.tiers(None if column == "headline_tier" else category)
            if value.text() not in tiers and value.text() != NONE:
                raise value.fail(f"`{value.text()}` is not a tier{nearest(value.text(), tiers)}")
        elif column == "movement" and value.text() not in (*MOVEMENTS, NONE):
            raise value.fail(f"`{value.text()}` is not a movement word{nearest(value.text(), MOVEMENTS)}")
        elif column in DATES and value.text() != NONE:
            value.date()
        elif column in ("metrics", "gap"):
            for key in value.mapping():
                self.metric(value, key.partition("[")[0])


def _plain(node: Node) -> object:
    """The value as JSON has it; numbers stay numbers where they are not quoted."""
    if isinstance(node.value, dict):
        return {key: _plain(one) for key, one in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(one) for one in node.value]
    return node.value


def day_before(day: date) -> date:
    """The day before."""
    return day - timedelta(days=1)
