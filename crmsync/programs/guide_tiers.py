"""Tiers in a partner guide: what each asks for, in words, and tables where it depends on the partner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from crmsync.programs.guide_expressions import condition_words
from crmsync.programs.guide_words import NOTHING, Words, joined, sentence_case, stretch, title_of, words_of
from crmsync.programs.lint_findings import OTHERS, Attributes, conjuncts, value_for
from crmsync.programs.program import (
    Benefit,
    ByAttribute,
    Comparison,
    Criterion,
    Family,
    FromSheet,
    Group,
    Junction,
    Ladder,
    Metric,
    Program,
    Requirement,
    Take,
    Tier,
    Unit,
    Value,
)


@dataclass(frozen=True)
class Line:
    """One item of a list, with the items below it."""

    text: str
    below: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table with a title. `left`: how many columns are names, the others are values."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1


@dataclass(frozen=True)
class TierText:
    """One tier: what gives it, what keeps it, and what else is to be known."""

    label: str
    means: str
    entry: tuple[Line, ...]
    keep: tuple[Line, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PathText:
    """One way up: its tiers, lowest first, an overview and the tables by region and the like."""

    label: str
    means: str
    notes: tuple[str, ...]
    overview: Table | None
    tables: tuple[Table, ...]
    tiers: tuple[TierText, ...]


def path_text(words: Words, ladder: Ladder, single: bool) -> PathText:
    """One ladder. `single`: it is the only one, and needs no name of its own."""
    label = "Tiers" if single else f"Tiers: {title_of(ladder.label, ladder.key)}"
    tiers = tuple(_tier_text(words, ladder, place) for place in range(len(ladder.tiers)))
    return PathText(
        label,
        ladder.means,
        tuple(_notes(words, ladder)),
        _overview(words, ladder),
        tuple(_tables(words, ladder)),
        tiers,
    )


def _notes(words: Words, ladder: Ladder) -> Iterator[str]:
    if ladder.family is not None:
        yield family_words(words, ladder.family)
    if ladder.climb_steps and len(ladder.tiers) > 2:
        yield "Tiers are climbed one after the other: a higher tier also asks for what the tiers below it ask for."
    if ladder.per is not None:
        name = words_of(ladder.per.column)
        yield {
            Take.BEST: f"Each {name} is looked at on its own; the best one gives the tier.",
            Take.ALL: f"Each {name} is looked at on its own; the tier is the one that all of them reach.",
            Take.EACH: f"Each {name} has a tier of its own.",
            Take.AT_LEAST: f"Each {name} is looked at on its own; a tier counts once at least {ladder.per.at_least} "
            "of them reach it.",
        }[ladder.per.take]


def family_words(words: Words, family: Family) -> str:
    """How the tier of another company of the group reaches a partner."""
    whose = "the company at the top of its group" if family.from_top else "its parent company"
    where = condition_words(words, family.where)
    return f"A partner's tier is at least that of {whose}{f', where {where}' if where else ''}."


def _tier_text(words: Words, ladder: Ladder, place: int) -> TierText:
    tier = ladder.tiers[place]
    notes = []
    if tier.requires is None:
        notes.append("Open to every partner." if place == 0 else "Nothing further is asked.")
    if tier.sustained is not None:
        notes.append(f"All of this must have been met for {stretch(tier.sustained)} without a break.")
    entry = tuple(requirement_lines(words, tier.requires))
    keep = tuple(requirement_lines(words, tier.keeps)) if tier.keeps is not None else ()
    return TierText(title_of(tier.label, tier.key), tier.means, entry, keep, tuple(notes))


# --- requirements in words


def requirement_lines(words: Words, part: Requirement | None) -> list[Line]:
    """What must all be met, one line each."""
    if part is None:
        return []
    if isinstance(part, Group) and part.junction is Junction.ALL:
        return [line for one in part.parts for line in requirement_lines(words, one)]
    if isinstance(part, Criterion):
        return [Line(criterion_words(words, part))]
    return [Line(_heading(part), tuple(_alternative(words, part, place) for place in range(len(part.parts))))]


def _heading(group: Group) -> str:
    match group.junction:
        case Junction.ANY:
            return "One of these:"
        case Junction.NONE:
            return "None of these:"
    must = ", the ones marked “required” among them" if group.including else ""
    return f"At least {group.at_least} of these {len(group.parts)}{must}:"


def _alternative(words: Words, group: Group, place: int) -> Line:
    part = group.parts[place]
    lines = requirement_lines(words, part)
    mark = " (required)" if place in group.including else ""
    if len(lines) == 1:
        return Line(lines[0].text + mark, lines[0].below)
    return Line(f"All of these together:{mark}", tuple(lines))


def criterion_words(words: Words, criterion: Criterion) -> str:
    """One criterion; where the value depends on the partner, by what, with the lowest and the highest."""
    metric = words.program.metrics[criterion.metric]
    if isinstance(criterion.value, ByAttribute | FromSheet):
        columns = joined([words_of(one) for one in attribute_columns(criterion.value)])
        name = words.metric(metric.key)
        return f"{name}: {_SIGN[criterion.comparison]} the value for your {columns} (see the table)"
    return words.criterion(metric, criterion.comparison, criterion.value)


_SIGN = {
    Comparison.GE: "at least", Comparison.GT: "more than", Comparison.LE: "at most", Comparison.LT: "less than",
    Comparison.EQ: "exactly",
}  # fmt: skip


# --- tables by attribute


def attribute_columns(*values: Value | None) -> list[str]:
    """The columns of the partner that values depend on, in their order."""
    return list(dict.fromkeys(column for path in paths_of(*values) for column in path))


def paths_of(*values: Value | None) -> list[Attributes]:
    """Every kind of partner that values tell apart, the most exact ones only; the rest of a column is OTHERS."""
    every: dict[tuple[tuple[str, str], ...], None] = {}
    for value in values:
        every.update(dict.fromkeys(_paths(value, ())))
    found = [path for path in every if not any(set(path) < set(other) for other in every)]
    return [dict(path) for path in sorted(found, key=_others_last)]


def _others_last(path: tuple[tuple[str, str], ...]) -> tuple[bool, ...]:
    return tuple(cell == OTHERS for _, cell in path)


def _paths(value: Value | None, before: tuple[tuple[str, str], ...]) -> Iterator[tuple[tuple[str, str], ...]]:
    if isinstance(value, ByAttribute):
        for cell, inner in value.cases.items():
            yield from _paths(inner, (*before, (value.column, cell)))
        yield from _paths(value.default, (*before, (value.column, OTHERS)))
    elif isinstance(value, FromSheet):
        columns = list(dict.fromkeys(column for row in value.rows for column in row.attributes))
        for row in reversed(value.rows):
            yield (*before, *((column, row.attributes.get(column, OTHERS)) for column in columns))
    else:
        yield before


def _tables(words: Words, ladder: Ladder) -> Iterator[Table]:
    """A table for each metric whose threshold depends on the partner: kinds of partners down, tiers across."""
    for key, what in _dependent(ladder):
        metric = words.program.metrics[key]
        cells = [(tier, _value_of(tier, key, what)) for tier in ladder.tiers]
        named = [(tier, value) for tier, value in cells if value is not None]
        values = [value for _, value in named]
        columns = attribute_columns(*values)
        keep = " to keep the tier" if what == "keeps" else ""
        title = f"{words.metric(key)} by {joined([words_of(one) for one in columns])}{keep}"
        paths = paths_of(*values)
        rows = [
            (
                *_names(words, path, columns, paths),
                *(words.threshold(metric, value_for(value, path)) for value in values),
            )
            for path in paths
        ]
        headings = (*(sentence_case(words_of(one)) for one in columns),
                    *(title_of(tier.label, tier.key) for tier, _ in named))  # fmt: skip
        yield Table(title, headings, tuple(rows), len(columns))


def _names(words: Words, path: Attributes, columns: Sequence[str], paths: Sequence[Attributes]) -> tuple[str, ...]:
    """The cells that say for whom a row is; `paths`: those of all rows."""
    named = {"category": words.category, "tier": words.tier}
    cells = []
    for place, column in enumerate(columns):
        cell = path.get(column, OTHERS)
        if cell == OTHERS:
            before = columns[:place]
            listed = any(
                other.get(column, OTHERS) != OTHERS
                and all(other.get(one, OTHERS) == path.get(one, OTHERS) for one in before)
                for other in paths
            )
            cells.append("all others" if listed else "all")
        else:
            cells.append(named[column](cell) if column in named else cell)
    return tuple(cells)


def _dependent(ladder: Ladder) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for tier in ladder.tiers:
        for what in ("requires", "keeps"):
            for criterion in _every(getattr(tier, what)):
                if isinstance(criterion.value, ByAttribute | FromSheet):
                    found[criterion.metric, what] = None
    return list(found)


def _value_of(tier: Tier, key: str, what: str) -> Value | None:
    part = tier.keeps if what == "keeps" else tier.requires
    return next((one.value for one in _every(part) if one.metric == key), None)


def _every(part: Requirement | None) -> Iterator[Criterion]:
    if isinstance(part, Criterion):
        yield part
    elif isinstance(part, Group):
        for one in part.parts:
            yield from _every(one)


# --- overview


def _overview(words: Words, ladder: Ladder) -> Table | None:
    """What every tier asks for beside each other: criteria down, tiers across."""
    asked = [tier for tier in ladder.tiers if tier.requires is not None]
    if len(asked) < 2:
        return None
    rows: dict[tuple[str, Comparison], None] = {}
    for tier in asked:
        rows.update(dict.fromkeys((one.metric, one.comparison) for one in conjuncts(tier.requires)))
    if not rows:
        return None
    lines = [(_row_name(words, *row), *(_cell(words, tier, *row) for tier in asked)) for row in rows]
    if any(_has_choice(tier.requires) for tier in asked):
        lines.append(
            ("Further conditions", *("see below" if _has_choice(tier.requires) else NOTHING for tier in asked))
        )
    headings = ("What counts", *(title_of(tier.label, tier.key) for tier in asked))
    return Table("At a glance", headings, tuple(lines))


def _row_name(words: Words, key: str, comparison: Comparison) -> str:
    metric = words.program.metrics[key]
    plain = metric.unit in (Unit.YES_NO, Unit.TEXT) or comparison is Comparison.GE
    return words.metric(key) if plain else f"{words.metric(key)} ({_SIGN[comparison]})"


def _cell(words: Words, tier: Tier, key: str, comparison: Comparison) -> str:
    metric = words.program.metrics[key]
    found = [one for one in conjuncts(tier.requires) if (one.metric, one.comparison) == (key, comparison)]
    if not found:
        # asked for among alternatives only: an empty cell would say that the tier does not look at it
        inside = any((one.metric, one.comparison) == (key, comparison) for one in _every(tier.requires))
        return "see below" if inside else NOTHING
    return " and ".join(dict.fromkeys(_asked(words, metric, one.value) for one in found))


def _asked(words: Words, metric: Metric, value: Value) -> str:
    if not isinstance(value, ByAttribute | FromSheet):
        return words.threshold(metric, value)
    leaves = [value_for(value, path) for path in paths_of(value)]
    numbers = sorted(leaf for leaf in leaves if isinstance(leaf, Decimal))
    if len(numbers) != len(leaves) or numbers[0] == numbers[-1]:
        return "see the table"
    return f"{words.threshold(metric, numbers[0])} to {words.threshold(metric, numbers[-1])}"


def _has_choice(part: Requirement | None) -> bool:
    if isinstance(part, Group):
        return part.junction is not Junction.ALL or any(_has_choice(one) for one in part.parts)
    return False


# --- benefits


def benefit_tables(words: Words, program: Program) -> list[Table]:
    """What each tier gives: benefits down, tiers across; one table for each ladder that gives something."""
    tables = []
    for ladder in program.ladders.values():
        keys = list(dict.fromkeys(key for tier in ladder.tiers for key in tier.benefits))
        if not keys:
            continue
        given = ladder.benefits()
        rows = [row for key in keys for row in _benefit_rows(words, key, [one.get(key) for one in given])]
        title = title_of(ladder.label, ladder.key) if len(program.ladders) > 1 else ""
        headings = ("Benefit", *(title_of(tier.label, tier.key) for tier in ladder.tiers))
        tables.append(Table(title, headings, tuple(rows)))
    return tables


def _benefit_rows(words: Words, key: str, cells: Sequence[Benefit | None]) -> Iterator[tuple[str, ...]]:
    values = [one.value if one else None for one in cells]
    units = [one.unit if one else Unit.TEXT for one in cells]
    columns = attribute_columns(*values)
    paths = paths_of(*values)
    for path in paths:
        names = [name for name in _names(words, path, columns, paths) if name != "all"]
        label = sentence_case(words_of(key)) + (f" ({', '.join(names)})" if names and columns else "")
        yield (label, *(words.value(value_for(value, path), unit) if value is not None else NOTHING
                        for value, unit in zip(values, units, strict=True)))  # fmt: skip
