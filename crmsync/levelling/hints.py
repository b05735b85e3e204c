"""What a gap says beyond its criteria: levers, parts of a score at their most, closed gates, what others decide.

Source: program-language, section 9.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from crmsync.levelling import sql
from crmsync.levelling.demands import Demand
from crmsync.levelling.gap import Layers, Leaf, LeafColumns, entry
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


@dataclass(frozen=True)
class Hinting:
    """What is known of a demand. What its hints compute become columns of `layers`, so that each stands once."""

    program: Program
    names: Measures
    demand: Demand
    columns: LeafColumns
    asked: Sql  # whether the row's aim has it
    layers: Layers

    @property
    def leaf(self) -> Leaf:
        return self.demand.leaf

    def entry(self, exhausted: Sql) -> Sql:
        """The demand's own entry."""
        return entry(self.leaf, self.columns, exhausted, self.demand.path())

    def kept(self, at: int, what: str, value: Sql) -> Sql:
        """A value as a column of one of the layers."""
        return self.layers.keep(at, f"{self.demand.column}_{self.demand.number}|{what}", value)

    def hints(self) -> Hints:
        """The hints; the demand's own entry is the first of the entries."""
        plain, key = Hints((self.entry(sql.false()),)), self.leaf.criterion.metric
        if self.leaf.turned:
            return plain
        if isinstance(self.program.metrics[key].source, FromRank):
            said = sql.case([(sql.not_(self.columns.met), sql.text(BY_OTHERS))], sql.text(""))
            return Hints(plain.entries, after=(said,))
        parts = parts_of(self.program, key, self.names)
        if parts:
            return _of_score(self, [_kept(self, part) for part in parts])
        levers = levers_of(self.program, key, self.leaf.criterion.comparison, self.columns.required, self.names)
        if not levers:
            return plain
        pairs = [_of_lever(self, lever) for lever in levers]
        own, words = [entry for entry, _ in pairs], [word for _, word in pairs]
        return Hints((*plain.entries, *own), after=(_listed(" (", words, ", or "),))


def _listed(head: str, words: list[Sql], separator: str) -> Sql:
    """The words that apply, in brackets; nothing where none does."""
    return sql.coalesce(sql.concat(sql.text(head), sql.joined(words, separator), sql.text(")")), sql.text(""))


# --- ratios and growth


def _of_lever(one: Hinting, lever: Lever) -> tuple[Sql, Sql]:
    """The entry of a lever and its words, NULL where it closes nothing."""
    word = lever.word
    distance = one.kept(0, f"{word} distance", lever.distance)
    missing = in_unit(distance, lever.value)
    missing = replace(missing, sql=one.kept(1, f"{word} in unit", missing.sql))
    some = sql.and_(sql.not_null(one.columns.value.sql), sql.not_null(missing.sql), one.asked)
    known = one.kept(2, f"{word} known", sql.and_(sql.not_(one.columns.met), some))
    shown = one.kept(3, f"{word} missing", sql.case([(known, show(missing))], sql.null(sql.TEXT)))
    target = one.kept(3, f"{word} required", sql.case([(known, show(lever.target(missing)))], sql.null(sql.TEXT)))
    own = gap_entry(lever.name, show(lever.value), target, shown, sql.false(), one.demand.path(f"/{word}"))
    return sql.case([(known, own)]), sql.concat(shown, sql.text(f" {word} of {lever.label(one.program)}"))


# --- scores


def _of_score(one: Hinting, parts: list[PartState]) -> Hints:
    open_ = sql.not_(one.columns.met)
    nothing_left = sql.and_(open_, *(part.full for part in parts))
    entries, first, labels = [one.entry(nothing_left)], [], []
    for part in parts:
        label = _label(one.program, part.key)
        full = sql.and_(open_, part.full)
        entries.append(sql.case([(full, _at_most(one, part))]))
        labels.append(sql.case([(full, sql.text(label))]))
        if part.closed is not None:
            closed = sql.and_(open_, part.closed)
            entries.append(sql.case([(closed, _gate(one, part))]))
            first.append(sql.case([(closed, sql.text(f"first: {part.needs}, which opens {label}"))]))
    return Hints(tuple(entries), tuple(first), (_listed(" (at their most: ", labels, ", "),))


def _kept(one: Hinting, part: PartState) -> PartState:
    """The same part, its questions answered in columns."""
    full = one.kept(0, f"{part.key} full", part.full)
    return replace(part, full=full, closed=one.kept(0, f"{part.key} closed", part.closed) if part.closed else None)


def _at_most(one: Hinting, part: PartState) -> Sql:
    most = show(part.most) if part.most is not None else sql.null(sql.TEXT)
    path = one.demand.path(f"/{_last(part)}")
    return gap_entry(part.key, show(one.names.metric(part.key)), most, sql.text("0"), sql.true(), path, sql.true())


def _gate(one: Hinting, part: PartState) -> Sql:
    unknown = sql.null(sql.TEXT)
    path = one.demand.path(f"/{_last(part)}/needs")
    return gap_entry(part.key, show(one.names.metric(part.key)), unknown, unknown, sql.false(), path)


def _last(part: PartState) -> str:
    return part.key.rpartition(".")[2]


def _label(program: Program, key: str) -> str:
    """A part's label; without one its name inside the score."""
    label = program.metrics[key].label
    return label if label != key else key.rpartition(".")[2]
