"""Sums and counts on each day ahead, from what leaves and enters their windows.

What is only summed and counted has ahead today's value plus the changes so far: a row is touched once on the day it
moves, not on every day. So has the number of distinct things that only leave, and of groups made of such numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from crmsync.levelling import sql
from crmsync.levelling.atoms import AnyAtom, Atom, GroupsAtom
from crmsync.levelling.calendar import Calendar, Moves
from crmsync.levelling.falling import FALLING
from crmsync.levelling.groups import asked_of
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.rows import Rows
from crmsync.levelling.scans import MetricColumns, takes_each_row
from crmsync.levelling.spans import Join
from crmsync.levelling.spots import NOW, Spot
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate, Ever, InForce, Metric

EVENTS, TODAY, RUNNING = "risk_events", "risk_today", "risk_running"
KEY = "@key"
"""One number for an account and a day."""


@dataclass(frozen=True)
class Rowset:
    """The rows of one table that count for the accounts in scope, as `risk_rows_<table>`."""

    rows: Rows
    atoms: list[Atom]
    columns: Mapping[str, MetricColumns]

    @property
    def relation(self) -> Sql:
        return sql.table(f"risk_rows_{self.rows.table}", "f")

    @property
    def last_day(self) -> bool:
        """Whether expires_on is the last valid day."""
        return self.rows.file.expires_on_is_last_day if self.rows.file else False


@dataclass(frozen=True)
class Running:
    """What follows from its value today and what moves."""

    atoms: list[Atom] = field(default_factory=list)
    groups: list[GroupsAtom] = field(default_factory=list)

    @property
    def all(self) -> list[AnyAtom]:
        """Each of them."""
        return [*self.atoms, *self.groups]

    @property
    def kinds(self) -> dict[str, str]:
        """The SQL type of each column."""
        return {one.column: one.kind for one in self.all}

    @property
    def asked(self) -> dict[str, bool]:
        """The columns of all atoms that are asked, those of groups too, and whether it is per group."""
        asked = dict.fromkeys((atom.column for atom in self.atoms), False)
        return asked | dict.fromkeys((one.column for group in self.groups for one in group.conditions), True)


def running_of(
    levelling: Levelling, atoms: Sequence[Atom], groups: Sequence[GroupsAtom],
    columns: Mapping[str, MetricColumns], calendar: Calendar,
) -> Running:  # fmt: skip
    """Which of the atoms run. `columns`: the row expressions of those whose table is there."""

    def runs(atom: Atom) -> bool:
        known = columns.get(atom.column)
        return known is not None and _can_run(atom, known, levelling.rows(atom.source.table), calendar)

    def all_run(group: GroupsAtom) -> bool:
        # a value without rows must not count, and a share needs a second number
        plain = not group.source.share and asked_of(group) == list(group.conditions)
        return plain and all(runs(one) and not _is_ever_distinct(one) for one in group.conditions)

    return Running([atom for atom in atoms if runs(atom)], [group for group in groups if all_run(group)])


def _can_run(atom: Atom, columns: MetricColumns, rows: Rows, calendar: Calendar) -> bool:
    if columns.lost is not None or not takes_each_row(atom, rows):
        return False
    if atom.source.aggregate is Aggregate.COUNT_DISTINCT:
        # a thing leaves with the last of its rows, where none comes anew
        if isinstance(atom.window, InForce):
            return not _is_shifted(atom) and atom.window.tail is None
        return not calendar.end_moves(calendar.number(atom))
    return atom.source.aggregate in (Aggregate.SUM, Aggregate.COUNT) and not isinstance(atom.window, InForce)


def _is_ever_distinct(atom: Atom) -> bool:
    return isinstance(atom.window, Ever) and atom.source.aggregate is Aggregate.COUNT_DISTINCT


def _is_shifted(atom: Atom) -> bool:
    return bool(atom.shifts) or atom.window.shift is not None


def key_of(levelling: Levelling, number: Sql, day: Sql) -> Sql:
    """The key of an account's number and a day ahead."""
    days = levelling.days
    span = sql.number((days.horizon - days.as_of).days + 1)
    return sql.cast(sql.add(sql.mul(number, span), sql.days_between(day, sql.day(days.as_of))), sql.BIGINT)


# --- what moves


@dataclass(frozen=True)
class Changes:
    """Writes queries of what moves: (scope, further keys of the rows, day, one column per atom)."""

    levelling: Levelling
    moves: Moves
    kinds: Mapping[str, str]
    by: Mapping[str, Sql] = field(default_factory=dict)  # further keys: columns of the rows (alias f)
    made: list[str] = field(default_factory=list)  # the tables of things made on the way

    @property
    def calendar(self) -> Calendar:
        return self.moves.calendar

    def of(self, source: Rowset, atoms: Sequence[Atom], tag: str) -> list[Sql]:
        """Everything that moves for the atoms of a table. `tag`: what the names of tables end with."""
        queries: list[Sql] = []
        for at, alike in self._by_window(source, atoms).items():
            queries += self._of_window(source, at[0], alike)
        for place, alike in enumerate(by_thing(source, atoms)):
            queries += self._of_things(source, alike, f"{tag}_{place}")
        return queries

    def _by_window(self, source: Rowset, atoms: Sequence[Atom]) -> dict[tuple[int, str], list[Atom]]:
        """Plain atoms by window and by the date column they ask for."""
        found: dict[tuple[int, str], list[Atom]] = {}
        for atom in atoms:
            if atom.source.aggregate is not Aggregate.COUNT_DISTINCT:
                day = source.columns[atom.column].day
                found.setdefault((self.calendar.number(atom), day.sql()), []).append(atom)
        return found

    def _of_window(self, source: Rowset, number: int, atoms: Sequence[Atom]) -> list[Sql]:
        queries: list[Sql] = []
        day = source.columns[atoms[0].column].day
        for leaving in (True, False):
            moves = self.moves.of(number, leaving)
            if moves is not None:
                joins = [("inner", moves, sql.eq(sql.col("moved", "g"), day))]
                queries.append(self.of_rows(source, atoms, sql.col("day", "g"), joins, leaving=leaving))
        return queries

    def of_rows(
        self, source: Rowset, atoms: Sequence[Atom], day: Sql, joins: Sequence[Join] = (), *, leaving: bool = False
    ) -> Sql:
        """What each row adds to plain atoms, or takes away."""
        changes: dict[str, Sql] = {}
        some: dict[str, Sql] = {}
        for atom in atoms:
            columns = source.columns[atom.column]
            one = sql.number(1) if atom.source.aggregate is Aggregate.COUNT else columns.value or sql.null()
            moved = sql.sub(sql.number(0), one) if leaving else one
            counts = columns.condition if columns.condition is not None else sql.true()
            some[counts.sql()] = counts
            changes[atom.column] = sql.coalesce(sql.case([(counts, moved)]), sql.number(0))
        every = any(source.columns[atom.column].condition is None for atom in atoms)
        where = None if every else sql.or_(*some.values())
        return self.listed(source.relation, day, changes, joins, where)

    def _of_things(self, source: Rowset, atoms: Sequence[Atom], tag: str) -> list[Sql]:
        """A thing leaves with the last of its rows."""
        last = things_table(self.levelling, self.calendar, source, atoms, self.by, tag)
        self.made.append(things_name(tag))
        queries: list[Sql] = []
        for column, atom in last.items():
            left, relation = sql.col(column, "f"), sql.table(things_name(tag), "f")
            changes = {atom.column: sql.number(-1)}
            if isinstance(atom.window, InForce):
                days = self.levelling.days
                ends = sql.and_(sql.gt(left, sql.day(days.as_of)), sql.le(left, sql.day(days.horizon)))
                queries.append(self.listed(relation, left, changes, where=ends, kept=True))
                continue
            moves = self.moves.of(self.calendar.number(atom), leaving=True)
            if moves is not None:
                joins = [("inner", moves, sql.eq(sql.col("moved", "g"), left))]
                queries.append(self.listed(relation, sql.col("day", "g"), changes, joins, kept=True))
        return queries

    def listed(
        self, relation: Sql, day: Sql, changes: Mapping[str, Sql], joins: Sequence[Join] = (),
        where: Sql | None = None, *, kept: bool = False,
    ) -> Sql:  # fmt: skip
        """Changes with their account (and further keys) and day; there may be several of one day.

        `kept`: the further keys have columns of their own.
        """
        keys = {"scope": sql.col("scope", "f")}
        keys |= {name: sql.col(name, "f") if kept else value for name, value in self.by.items()}
        keys["day"] = day
        # a bare 0 of one branch beside the DOUBLE of another has no type that every engine agrees on
        values = {column: sql.cast(changes.get(column, sql.number(0)), kind) for column, kind in self.kinds.items()}
        return sql.select([*sql.columns(keys), *sql.columns(values)], relation, joins, where)


# --- distinct things


def by_thing(source: Rowset, atoms: Sequence[Atom]) -> list[list[Atom]]:
    """Counts of distinct things, those of one kind of thing together; one that is never left out has no end."""
    found: dict[str, list[Atom]] = {}
    for atom in atoms:
        if atom.source.aggregate is Aggregate.COUNT_DISTINCT and not isinstance(atom.window, Ever):
            value = source.columns[atom.column].value or sql.null()
            found.setdefault(value.sql(), []).append(atom)
    return list(found.values())


def things_name(tag: str) -> str:
    """Name of a table of things."""
    return f"risk_things_{tag}"


def things_table(
    levelling: Levelling, calendar: Calendar, source: Rowset, atoms: Sequence[Atom], by: Mapping[str, Sql], tag: str
) -> dict[str, Atom]:
    """Make the table of things that count today: (scope, further keys, thing, for each atom the date on which its last
    row ends); gives the names of these columns."""
    thing = source.columns[atoms[0].column].value or sql.null()
    keys = {"scope": sql.col("scope", "f"), **by, "thing": thing}
    last: dict[str, Sql] = {}
    counted: list[Sql] = []
    for place, atom in enumerate(atoms):
        condition = source.columns[atom.column].condition
        ends, inside = _ends(levelling, calendar, source, atom)
        counts = inside if condition is None else sql.and_(condition, inside)
        counted.append(counts)
        last[f"last_{place}"] = sql.max_(ends, counts if len(atoms) > 1 else None)
    where = sql.and_(sql.not_null(thing), sql.or_(*{one.sql(): one for one in counted}.values()))
    shown = [*sql.columns(keys), *sql.columns(last)]
    levelling.engine.run(things_name(tag), sql.select(shown, source.relation, where=where, group=list(keys.values())))
    return dict(zip(last, atoms, strict=True))


def _ends(levelling: Levelling, calendar: Calendar, source: Rowset, atom: Atom) -> tuple[Sql, Sql]:
    """The date of a row by which it goes, and whether it is inside today."""
    known = source.columns[atom.column]
    if isinstance(atom.window, InForce):
        never = sql.day(levelling.days.horizon.replace(year=9999))
        after = sql.plus_interval(known.expires, 1, "DAY") if source.last_day else known.expires
        ends = sql.coalesce(after, never)
        return ends, sql.gt(ends, sql.day(levelling.days.as_of))
    start, end = calendar.bounds[calendar.number(atom)][0]
    return known.day, sql.and_(sql.ge(known.day, sql.day(start or end)), sql.le(known.day, sql.day(end)))


# --- the values on each day


def register_events(levelling: Levelling, running: Running, queries: Sequence[Sql]) -> str | None:
    """(number, day, key, change of each column) for every day on which something moves; None where nothing runs."""
    if not queries:
        return None
    number, day = sql.col("scope"), sql.col("day")
    keys = {"number": number, "day": day, KEY: key_of(levelling, number, day)}
    totals = {column: sql.cast(sql.sum_(sql.col(column)), kind) for column, kind in running.kinds.items()}
    shown = [*sql.columns(keys), *sql.columns(totals)]
    query = sql.select(shown, sql.subquery(sql.union_all(queries), "e"), group=[number, day])
    return levelling.engine.run(EVENTS, query)


def running_values(
    levelling: Levelling, running: Running, staying: Sequence[AnyAtom], days: str, own: Callable[[Metric, Spot], str]
) -> tuple[str, list[str]]:
    """The columns on each of the days to look at: today's value and the changes until then, for `staying` the former.

    `own`: the column of today's value; `days`: EVENTS, or a table of (number, day, key).
    """
    kinds = running.kinds
    today = {one.column: sql.col(own(one.metric, one.spot.seen(NOW)), "m") for one in (*running.all, *staying)}
    account = sql.eq(sql.col("partner_id", "m"), sql.col("partner_id", "a"))
    levelling.engine.run(
        TODAY,
        sql.select(
            [sql.col("number", "a"), *sql.columns(today)],
            sql.table("measures", "m"),
            [("inner", sql.table(FALLING, "a"), account)],
        ),
    )
    moved = "d" if days == EVENTS else "e"
    so_far = {
        column: sql.running_sum(
            sql.coalesce(sql.col(column, moved), sql.number(0)), [sql.col("number", "d")], sql.col("day", "d")
        )
        for column in kinds
    }
    same = sql.eq(sql.col(KEY, "d"), sql.col(KEY, "e"))
    changes = sql.select(
        [sql.col("number", "d"), sql.col(KEY, "d"), *sql.columns(so_far)], sql.table(days, "d"),
        [("left", sql.table(EVENTS, "e"), same)] if kinds and moved == "e" else [],
    )  # fmt: skip
    values = {
        column: sql.cast(sql.add(sql.col(column, "t"), sql.col(column, "c")), kind) for column, kind in kinds.items()
    }
    values |= {atom.column: sql.col(atom.column, "t") for atom in staying}
    query = sql.select(
        [sql.named(sql.col(KEY, "c"), "partner_id"), *sql.columns(values)], sql.subquery(changes, "c"),
        [("inner", sql.table(TODAY, "t"), sql.eq(sql.col("number", "t"), sql.col("number", "c")))],
    )  # fmt: skip
    return levelling.engine.run(RUNNING, query), list(values)
