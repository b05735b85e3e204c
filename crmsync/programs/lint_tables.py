"""A program beside delivered tables: columns that are not there, and texts that no row holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp
from sqlglot.expressions import Expression

from crmsync.programs.lint_findings import Finding, found
from crmsync.programs.lint_names import formulas_in
from crmsync.programs.program import ByAttribute, Criterion, Formula, Group, Program, Requirement, Value
from crmsync.programs.reads import reads_of
from crmsync.strict_yaml import nearest
from crmsync.tables import CANONICAL, ColumnType

COMPUTED = frozenset({("opportunities", "credited_amount"), ("opportunities", "share"), ("opportunities", "role")})
"""Columns that have a meaning where they are not delivered."""

MOST_VALUES = 1_000
"""How many different texts of a column are looked at; a column with more is free text."""


@dataclass(frozen=True)
class Delivered:
    """What a folder of tables holds. `texts`: (table, column) -> the different texts, of columns with few of them."""

    columns: Mapping[str, Mapping[str, ColumnType]]
    texts: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


def beside_tables(program: Program, delivered: Delivered) -> Iterator[Finding]:
    """Findings about what a program reads and the tables lack."""
    yield from _columns(program, delivered)
    yield from _texts(program, delivered)
    yield from _declared(program, delivered)


def _columns(program: Program, delivered: Delivered) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    missing: set[str] = set()
    for table, column, _, line in reads_of(program):
        if (table, column) in seen:
            continue
        seen.add((table, column))
        listed = CANONICAL[table].columns if table in CANONICAL else {}
        if table not in delivered.columns:
            if table not in missing:
                missing.add(table)
                known = nearest(table, {*delivered.columns, *CANONICAL}) if table not in CANONICAL else ""
                told = "is not delivered: it is empty" if table in CANONICAL else "is not there"
                yield found(program, "unknown-table", line or 1, f"table {table} {told}{known}")
        elif column in delivered.columns[table] or (table, column) in COMPUTED:
            continue
        elif column in listed:
            yield found(program, "not-delivered", line or 1, f"column {table}.{column} is not delivered: it is empty")
        else:
            known = nearest(column, {*delivered.columns[table], *listed})
            yield found(program, "unknown-column", line or 1, f"`{table}` has no column `{column}`{known}")


# --- texts


def _texts(program: Program, delivered: Delivered) -> Iterator[Finding]:
    """`role = 'Reseler'` where no row says so: a deal that is never counted, a region that nobody is in."""
    seen: set[tuple[str, str, str]] = set()
    for table, column, text, line in _compared(program):
        known = delivered.texts.get((table, column))
        if not known or text in known or (table, column, text) in seen:
            continue
        seen.add((table, column, text))
        yield found(program, "unknown-text", line, f"no row of {table} has {column} '{text}'{nearest(text, known)}")


def _compared(program: Program) -> Iterator[tuple[str, str, str, int]]:
    """Table, column, text and line of every text that a column is compared with."""
    for metric in program.metrics.values():
        yield from _in_part(metric.where, metric.line)
        yield from _in_part(metric.source, metric.line)
        yield from _in_part(metric.rolls_up_where, metric.line)
    for category in program.categories.values():
        yield from _in_part((category.member, category.observed), category.line)
    yield from _in_part(program.takes_part, 1)
    for ladder in program.ladders.values():
        for tier in ladder.tiers:
            yield from _attributes(tier.requires)
            yield from _attributes(tier.keeps)


def _in_part(part: object, line: int) -> Iterator[tuple[str, str, str, int]]:
    for formula in formulas_in(part):
        for column, text in _literals(formula):
            yield column.table, column.name, text, formula.line or line


def _literals(formula: Formula) -> Iterator[tuple[exp.Column, str]]:
    for node in formula.tree.find_all(exp.EQ, exp.In):
        sides: list[Expression] = [node.this, *([node.expression] if isinstance(node, exp.EQ) else node.expressions)]
        columns = [side for side in sides if isinstance(side, exp.Column)]
        texts = [str(side.this) for side in sides if isinstance(side, exp.Literal) and side.is_string]
        if len(columns) == 1:
            yield from ((columns[0], text) for text in texts)


def _attributes(part: Requirement | None) -> Iterator[tuple[str, str, str, int]]:
    if isinstance(part, Group):
        for one in part.parts:
            yield from _attributes(one)
    elif isinstance(part, Criterion):
        yield from _listed(part.value, part.line)


def _listed(value: Value, line: int) -> Iterator[tuple[str, str, str, int]]:
    if isinstance(value, ByAttribute):
        for text, inner in value.cases.items():
            yield "partners", value.column, text, line
            yield from _listed(inner, line)
        yield from _listed(value.default, line)


def _declared(program: Program, delivered: Delivered) -> Iterator[Finding]:
    """Categories that partners declare and the program does not have."""
    if not program.has_categories:
        return
    column = (program.declared or "declared_categories").rpartition(".")[2]
    known = {text for one in program.categories.values() for text in (one.key, one.label)}
    for text in sorted(delivered.texts.get(("partners", column), frozenset()) - known):
        yield found(program, "declared", 1, f"partners declare '{text}', which is no category{nearest(text, known)}")
