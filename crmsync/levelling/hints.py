"""What a gap says beyond its criteria: levers, parts of a score at their most, closed gates, what others decide.

Source: program-language, section 9.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from crmsync.levelling import sql
from crmsync.levelling.gap import GapQuery, Leaf, LeafColumns, entry
from crmsync.levelling.levers import Lever, PartState, gap_entry, in_unit, levers_of, parts_of
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


def hints_of(program: Program, one: GapQuery, leaf: Leaf, columns: LeafColumns) -> Hints:
    """The hints of a criterion; its own entry is the first of the entries.

    What they compute become columns of `one`, so that it stands once however often it is read.
    """
    criterion, names = leaf.criterion, one.criteria.names
    plain = entry(leaf, columns, sql.false())
    if leaf.turned:
        return Hints((plain,))
    if isinstance(program.metrics[criterion.metric].source, FromRank):
        said = sql.case([(sql.not_(columns.met), sql.text(BY_OTHERS))], sql.text(""))
        return Hints((plain,), after=(said,))
    parts = parts_of(program, criterion.metric, names)
    if parts:
        return _of_score(program, one, leaf, columns, [_kept(one, leaf, part) for part in parts])
    levers = levers_of(program, criterion.metric, criterion.comparison, columns.required, names)
    if not levers:
        return Hints((plain,))
    pairs = [_of_lever(program, one, leaf, columns, lever) for lever in levers]
    return Hints((plain, *(own for own, _ in pairs)), after=(_listed(" (", [word for _, word in pairs], ", or "),))


def _listed(head: str, words: list[Sql], separator: str) -> Sql:
    """The words that apply, in brackets; nothing where none does."""
    joined = sql.nullif(sql.joined(words, separator), sql.text(""))
    return sql.coalesce(sql.concat(sql.text(head), joined, sql.text(")")), sql.text(""))


# --- ratios and growth


def _of_lever(program: Program, one: GapQuery, leaf: Leaf, columns: LeafColumns, lever: Lever) -> tuple[Sql, Sql]:
    """The entry of a lever and its words, NULL where it closes nothing."""
    path = f"{leaf.path}/{lever.word}"
    distance = one.kept(0, f"{path}|distance", lever.distance)
    missing = one.kept_value(1, f"{path}|in unit", in_unit(distance, lever.value))
    some = sql.and_(sql.not_null(columns.value.sql), sql.not_null(missing.sql), one.applies)
    known = one.kept(2, f"{path}|known", sql.and_(sql.not_(columns.met), some))
    shown = one.kept(3, f"{path}|missing", sql.case([(known, show(missing))], sql.null(sql.TEXT)))
    target = one.kept(3, f"{path}|required", sql.case([(known, show(lever.target(missing)))], sql.null(sql.TEXT)))
    own = gap_entry(lever.name, show(lever.value), target, shown, sql.false(), path)
    return sql.case([(known, own)]), sql.concat(shown, sql.text(f" {lever.word} of {lever.label(program)}"))


# --- scores


def _of_score(program: Program, one: GapQuery, leaf: Leaf, columns: LeafColumns, parts: list[PartState]) -> Hints:
    open_, names = sql.not_(columns.met), one.criteria.names
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
    return Hints(tuple(entries), tuple(first), (_listed(" (at their most: ", labels, ", "),))


def _kept(one: GapQuery, leaf: Leaf, part: PartState) -> PartState:
    """The same part, its questions answered in columns."""
    path = _path(leaf, part)
    full = one.kept(0, f"{path}|full", part.full)
    return replace(part, full=full, closed=one.kept(0, f"{path}|closed", part.closed) if part.closed else None)


def _at_most(leaf: Leaf, part: PartState, names: Measures) -> Sql:
    most = show(part.most) if part.most is not None else sql.null(sql.TEXT)
    path = _path(leaf, part)
    return gap_entry(part.key, show(names.metric(part.key)), most, sql.text("0"), sql.true(), path, sql.true())


def _gate(leaf: Leaf, part: PartState, names: Measures) -> Sql:
    unknown = sql.null(sql.TEXT)
    path = f"{_path(leaf, part)}/needs"
    return gap_entry(part.key, show(names.metric(part.key)), unknown, unknown, sql.false(), path)


def _label(program: Program, key: str) -> str:
    """A part's label; without one its name inside the score."""
    label = program.metrics[key].label
    return label if label != key else key.rpartition(".")[2]


def _path(leaf: Leaf, part: PartState) -> str:
    return f"{leaf.path}/{part.key.rpartition('.')[2]}"
