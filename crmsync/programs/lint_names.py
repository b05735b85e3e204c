"""Names that lead nowhere: metrics that nothing reads, declared categories that are none, dates that never come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path

from sqlglot import exp
from sqlglot.expressions import Expression

from crmsync.programs.dependence import inputs
from crmsync.programs.lint_findings import Finding, found, metrics_asked, name
from crmsync.programs.program import (
    ByAttribute,
    Change,
    Formula,
    FromGroups,
    FromPart,
    FromParts,
    FromRows,
    FromSheet,
    Metric,
    Movement,
    OtherMetric,
    Program,
    ReviewDates,
    Tier,
    Value,
)
from crmsync.programs.reads import reads_of
from crmsync.strict_yaml import nearest
from crmsync.tables import CANONICAL

UNUSED = "unused"
_MISSPELT = 0.8  # how alike two names are that hardly mean two things
DECLARED = "declared_categories"


def names(program: Program) -> Iterator[Finding]:
    """Findings about names, and about movement that never happens."""
    yield from _misspelt_columns(program)
    yield from _misspelt_tables(program)
    yield from _unused_metrics(program)
    yield from _unknown_declared(program)
    yield from _unused_efforts(program)
    yield from _movement(program)


# --- columns


def _misspelt_columns(program: Program) -> Iterator[Finding]:
    """A column that the language does not list, but nearly: the tables may have it, and hardly do."""
    seen: set[tuple[str, str]] = set()
    for table, column, _, line in reads_of(program):
        listed = CANONICAL[table].columns if table in CANONICAL else {}
        if not listed or column in listed or (table, column) in seen:
            continue
        seen.add((table, column))
        near = get_close_matches(column, listed, 1, _MISSPELT)
        if near:
            message = f"`{table}` has no listed column `{column}`; did you mean `{near[0]}`?"
            yield found(program, "unknown-column", line or 1, message)


def _misspelt_tables(program: Program) -> Iterator[Finding]:
    """A table that the language does not list, but nearly; a folder may hold it, and hardly does."""
    seen: set[str] = set()
    for metric in program.metrics.values():
        for table, line in _tables_of(metric):
            near = [one for one in CANONICAL if table in _singular(one)] or get_close_matches(table, CANONICAL, 1, 0.9)
            if table not in CANONICAL and table not in seen and near:
                seen.add(table)
                message = f"the language lists no table `{table}`; did you mean `{near[0]}`?"
                yield found(program, "unknown-table", line, message)


def _tables_of(metric: Metric) -> Iterator[tuple[str, int]]:
    if isinstance(metric.source, FromRows):
        yield metric.source.table, metric.line
    elif isinstance(metric.source, FromGroups):
        for condition in metric.source.having:
            yield condition.source.table, condition.line


def _singular(table: str) -> tuple[str, str]:
    return table.removesuffix("s"), table.removesuffix("ies") + "y"


# --- metrics


def metrics_read(program: Program) -> set[str]:
    """Metrics that decide something or are built into what does."""
    asked: set[str] = set(program.primary.values())
    for ladder in program.ladders.values():
        for tier in ladder.tiers:
            asked |= metrics_asked(tier.requires) | metrics_asked(tier.keeps)
            asked |= {one.key for benefit in tier.benefits.values() for one in _others(benefit.value)}
    everything = (
        program.categories,
        program.takes_part,
        program.movement,
        program.costs,
        program.family,
        program.ladders,
    )
    asked |= {key for part in everything for formula in formulas_in(part) for key in formula.metrics}
    if program.commission is not None:
        asked.add(program.commission.of)
    found_keys: set[str] = set()
    while asked:
        key = asked.pop()
        if key not in found_keys and key in program.metrics:
            found_keys.add(key)
            asked.update(inputs(program.metrics[key]))
    return found_keys


def _others(value: Value | None) -> Iterator[OtherMetric]:
    if isinstance(value, OtherMetric):
        yield value
    elif isinstance(value, ByAttribute):
        for one in (*value.cases.values(), value.default):
            yield from _others(one)
    elif isinstance(value, FromSheet):
        for row in value.rows:
            yield from _others(row.value)


def formulas_in(part: object) -> Iterator[Formula]:
    """Every expression inside any part of the tree."""
    if isinstance(part, Formula):
        yield part
    elif isinstance(part, Mapping):
        for one in part.values():
            yield from formulas_in(one)
    elif isinstance(part, tuple | list):
        for one in part:
            yield from formulas_in(one)
    elif is_dataclass(part) and not isinstance(part, type):
        for one in fields(part):
            inner = getattr(part, one.name)
            if not isinstance(inner, str | int | Path | Expression):
                yield from formulas_in(inner)


def _unused_metrics(program: Program) -> Iterator[Finding]:
    read = metrics_read(program)
    scores = {m.source.score for m in program.metrics.values() if isinstance(m.source, FromPart | FromParts)}
    for key, metric in program.metrics.items():
        inside = "." in key and key.partition(".")[0] in scores
        if key not in read and not inside:
            message = (
                f"metric {key} decides nothing: no tier, category, score, benefit or cost reads it (it is still shown)"
            )
            yield found(program, UNUSED, metric.line, message)


def _unused_efforts(program: Program) -> Iterator[Finding]:
    asked: set[str] = set()
    for ladder in program.ladders.values():
        for tier in ladder.tiers:
            asked |= metrics_asked(tier.requires) | metrics_asked(tier.keeps)
    for key in program.effort:
        if key not in asked:
            line = program.metrics[key].line if key in program.metrics else 1
            yield found(program, UNUSED, line, f"`effort:` names {key}, which no tier asks for")


# --- categories


def _unknown_declared(program: Program) -> Iterator[Finding]:
    """`has(declared_categories, 'Resellr')`: a text that is the key or label of no category."""
    if not program.has_categories:
        return
    known = {text for one in program.categories.values() for text in (one.key, one.label)}
    column = (program.declared or DECLARED).rpartition(".")[2]
    for category in program.categories.values():
        for formula in (category.member, category.observed):
            for asked in _asked_of(formula, column):
                if asked not in known:
                    message = (
                        f"category {category.key}: '{asked}' is no category's key or label, so that no declaration is "
                        f"ever compared with it{nearest(asked, known)}"
                    )
                    yield found(program, "declared", category.line, message)


def _asked_of(formula: Formula | None, column: str) -> Iterator[str]:
    if formula is None:
        return
    for node in formula.tree.find_all(exp.Anonymous):
        listed, *texts = node.expressions
        if isinstance(listed, exp.Column) and listed.name == column:
            yield from (str(one.this) for one in texts if isinstance(one, exp.Literal))


# --- movement


def _movement(program: Program) -> Iterator[Finding]:
    """Dates and waits of which nothing can come."""
    for ladder in program.ladders.values():
        lowest = ladder.tiers[0]
        if _says_something(lowest.movement.promote):
            message = f"`promote` of {name(lowest)} has no effect: nobody is promoted into the lowest tier"
            yield found(program, "dead-movement", lowest.line, message)
        if lowest.requires is None and _says_something(lowest.movement.demote):
            message = f"`demote` of {name(lowest)} has no effect: nobody falls below a lowest tier without `requires`"
            if not program.has_categories:
                yield found(program, "dead-movement", lowest.line, message)
    for category in program.categories:
        ladder = program.ladder_of(category)
        for tier in ladder.tiers[1:]:
            yield from _never_falls(program, category, tier)
    yield from _frozen_for_ever(program, program.movement)
    for one in program.categories.values():
        yield from _frozen_for_ever(program, one.movement)


def _says_something(change: Change) -> bool:
    return change != Change()


def _never_falls(program: Program, category: str, tier: Tier) -> Iterator[Finding]:
    """A calendar without a date, or only with one that a longer hold passes over each time."""
    movement = program.movement_of(category, tier)
    for word, change in (("promote", movement.promote), ("demote", movement.demote)):
        if change.on is not None and _is_empty(change.on):
            where = f" in category {category}" if program.has_categories else ""
            message = f"`{word}` of {name(tier)}{where} has a calendar without a date: it never happens"
            yield found(program, "dead-movement", tier.line, message)


def _is_empty(dates: ReviewDates) -> bool:
    return not dates.any_day and not dates.days and not dates.anniversary


def _frozen_for_ever(program: Program, movement: Movement) -> Iterator[Finding]:
    for freeze in movement.freeze or ():
        if freeze.where is None and freeze.until is None:
            start = f" from {freeze.start} on" if freeze.start else ""
            message = f"this freeze has neither `where` nor `until`:{start} nobody is ever demoted"
            yield found(program, "dead-movement", freeze.line, message)
