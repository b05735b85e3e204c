"""What a gap says beyond its criteria: levers, parts of a score at their most, closed gates, what others decide.

Source: program-language, section 9.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crmsync.levelling import sql
from crmsync.levelling.gap import Leaf, LeafColumns, entry
from crmsync.levelling.levers import PartState, gap_entry, levers_of, parts_of
from crmsync.levelling.measures import Measures
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import show
from crmsync.programs.program import FromRank, Program

BY_OTHERS = "; decided among all partners, not by this one alone"


@dataclass(frozen=True)
class Hints:
    """Entries for the gap list and texts for its summary, of one criterion. NULL where they do not apply."""

    entries: tuple[Sql, ...]
    first: tuple[Sql, ...] = ()  # gates to be opened before anything else
    after: tuple[Sql, ...] = field(default=())  # to be said behind the criterion's own sentence


def hints_of(program: Program, leaf: Leaf, columns: LeafColumns, names: Measures) -> Hints:
    """The hints of a criterion; its own entry is the first of the entries."""
    criterion = leaf.criterion
    open_ = sql.not_(columns.met)
    if leaf.turned:
        return Hints((entry(leaf, columns, sql.false()),))
    if isinstance(program.metrics[criterion.metric].source, FromRank):
        said = sql.case([(open_, sql.text(BY_OTHERS))], sql.text(""))
        return Hints((entry(leaf, columns, sql.false()),), after=(said,))
    parts = parts_of(program, criterion.metric, names)
    if parts:
        return _of_score(program, leaf, columns, names, parts)
    entries, words = [entry(leaf, columns, sql.false())], []
    for lever in levers_of(program, criterion.metric, criterion.comparison, columns.required, names):
        known = sql.and_(open_, sql.not_null(columns.value.sql), sql.not_null(lever.missing.sql))
        entries.append(sql.case([(known, lever.entry(leaf.path))]))
        words.append(sql.case([(known, lever.words(program))]))
    if not words:
        return Hints(tuple(entries))
    joined = sql.nullif(sql.joined(words, ", or "), sql.text(""))
    ways = sql.coalesce(sql.concat(sql.text(" ("), joined, sql.text(")")), sql.text(""))
    return Hints(tuple(entries), after=(ways,))


def _of_score(program: Program, leaf: Leaf, columns: LeafColumns, names: Measures, parts: list[PartState]) -> Hints:
    open_ = sql.not_(columns.met)
    nothing_left = sql.and_(open_, *(part.full for part in parts))
    entries, first, labels = [entry(leaf, columns, nothing_left)], [], []
    for part in parts:
        label = _label(program, part.key)
        full = sql.and_(open_, part.full)
        entries.append(sql.case([(full, _at_most(leaf, part, names))]))
        labels.append(sql.case([(full, sql.text(label))]))
        if part.closed is not None:
            closed = sql.and_(open_, part.closed)
            entries.append(sql.case([(closed, _gate(leaf, part, names))]))
            first.append(sql.case([(closed, sql.text(f"first: {part.needs}, which opens {label}"))]))
    joined = sql.nullif(sql.joined(labels, ", "), sql.text(""))
    most = sql.coalesce(sql.concat(sql.text(" (at their most: "), joined, sql.text(")")), sql.text(""))
    return Hints(tuple(entries), tuple(first), (most,))


def _at_most(leaf: Leaf, part: PartState, names: Measures) -> Sql:
    most = show(part.most) if part.most is not None else sql.null(sql.TEXT)
    return gap_entry(
        part.key, show(names.metric(part.key)), most, sql.text("0"), sql.true(), _path(leaf, part), sql.true()
    )


def _gate(leaf: Leaf, part: PartState, names: Measures) -> Sql:
    unknown = sql.null(sql.TEXT)
    return gap_entry(
        part.key, show(names.metric(part.key)), unknown, unknown, sql.false(), f"{_path(leaf, part)}/needs"
    )


def _label(program: Program, key: str) -> str:
    """A part's label; without one its name inside the score."""
    label = program.metrics[key].label
    return label if label != key else key.rpartition(".")[2]


def _path(leaf: Leaf, part: PartState) -> str:
    return f"{leaf.path}/{part.key.rpartition('.')[2]}"
