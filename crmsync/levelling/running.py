"""Sums and counts on each day ahead, from what leaves and enters their windows.

Where a table is only summed and counted, its values ahead are today's values plus the changes so far: a row is touched
once on the day it moves, not on every day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom
from crmsync.levelling.calendar import Calendar
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.rows import Rows
from crmsync.levelling.scans import MetricColumns, takes_each_row
from crmsync.levelling.spots import NOW, Spot
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate, Ever, InForce, Metric, Unit

EVENTS = "risk_events"


@dataclass(frozen=True)
class Rowset:
    """The rows of one table that count for the accounts in scope, as `risk_rows_<table>`."""

    rows: Rows
    atoms: list[Atom]
    columns: Mapping[str, MetricColumns]
    grouped: bool = False  # whether some atom is asked per group

    @property
    def relation(self) -> Sql:
        return sql.table(f"risk_rows_{self.rows.table}", "f")

    @property
    def last_day(self) -> bool:
        """Whether expires_on is the last valid day."""
        return self.rows.file.expires_on_is_last_day if self.rows.file else False


def can_run(source: Rowset, calendar: Calendar) -> bool:
    """Whether every atom of the table follows from its value today and what moves."""
    return not source.grouped and all(_can_run(atom, source, calendar) for atom in source.atoms)


def _can_run(atom: Atom, source: Rowset, calendar: Calendar) -> bool:
    if source.columns[atom.column].lost is not None or not takes_each_row(atom, source.rows):
        return False
    if atom.source.aggregate is Aggregate.COUNT_DISTINCT:
        # a thing leaves with the last of its rows, where none comes anew
        if isinstance(atom.window, InForce):
            return not _is_shifted(atom) and atom.window.tail is None
        return not calendar.end_moves(calendar.number(atom))
    return atom.source.aggregate in (Aggregate.SUM, Aggregate.COUNT) and not isinstance(atom.window, InForce)


def _is_shifted(atom: Atom) -> bool:
    return bool(atom.shifts) or atom.window.shift is not None


def register_events(levelling: Levelling, calendar: Calendar, sources: Sequence[Rowset]) -> str | None:
    """(partner_id, day, change of each atom) for every day on which something moves; None where nothing runs."""
    kinds = {atom.column: atom.kind for source in sources for atom in source.atoms}
    queries: list[Sql] = []
    for source in sources:
        for at, atoms in _by_window(source, calendar).items():
            queries += _window_events(levelling, calendar, source, at, atoms, kinds)
        for atom in source.atoms:
            if atom.source.aggregate is Aggregate.COUNT_DISTINCT:
                queries += _thing_events(levelling, calendar, source, atom, kinds)
    if not queries:
        return None
    keys = [sql.col("partner_id"), sql.col("day")]
    totals = {column: sql.sum_(sql.col(column)) for column in kinds}
    query = sql.select([*keys, *sql.columns(totals)], sql.subquery(sql.union_all(queries), "e"), group=keys)
    return levelling.engine.run(EVENTS, query)


def _by_window(source: Rowset, calendar: Calendar) -> dict[tuple[int, str], list[Atom]]:
    """Plain atoms by window and by the date column they ask for."""
    found: dict[tuple[int, str], list[Atom]] = {}
    for atom in source.atoms:
        if atom.source.aggregate is not Aggregate.COUNT_DISTINCT:
            day = source.columns[atom.column].day
            found.setdefault((calendar.number(atom), day.sql()), []).append(atom)
    return found


def _window_events(
    levelling: Levelling, calendar: Calendar, source: Rowset, at: tuple[int, str], atoms: Sequence[Atom],
    kinds: Mapping[str, str],
) -> list[Sql]:  # fmt: skip
    queries: list[Sql] = []
    day = source.columns[atoms[0].column].day
    for leaving in (True, False):
        moves = calendar.moves(at[0], leaving)
        if moves.num_rows == 0:
            continue
        name = f"moves_{at[0]}_{'out' if leaving else 'in'}"
        levelling.engine.register(name, moves)
        changes = {atom.column: _change(atom, source.columns[atom.column], leaving) for atom in atoms}
        queries.append(_events(source.relation, name, day, changes, kinds))
    return queries


def _change(atom: Atom, columns: MetricColumns, leaving: bool) -> Sql:
    if atom.source.aggregate is Aggregate.COUNT:
        moved = sql.count(columns.condition)
    else:
        moved = sql.coalesce(sql.sum_(columns.value or sql.null(), columns.condition), sql.number(0))
    return sql.sub(sql.number(0), moved) if leaving else moved


def _events(relation: Sql, moves: str, day: Sql, changes: Mapping[str, Sql], kinds: Mapping[str, str]) -> Sql:
    keys = {"partner_id": sql.col("scope", "f"), "day": sql.col("day", "g")}
    # a bare 0 of one branch beside the DOUBLE of another has no type that every engine agrees on
    values = {column: sql.cast(changes.get(column, sql.number(0)), kind) for column, kind in kinds.items()}
    match = sql.eq(sql.col("moved", "g"), day)
    return sql.select(
        [*sql.columns(keys), *sql.columns(values)], relation, [("inner", sql.table(moves, "g"), match)],
        group=list(keys.values()),
    )  # fmt: skip


def _thing_events(
    levelling: Levelling, calendar: Calendar, source: Rowset, atom: Atom, kinds: Mapping[str, str]
) -> list[Sql]:
    """A thing leaves with the last of its rows."""
    if isinstance(atom.window, Ever):
        return []
    known = source.columns[atom.column]
    if isinstance(atom.window, InForce):
        never = sql.coalesce(known.expires, sql.day(levelling.days.horizon.replace(year=9999)))
        last_day = sql.plus_interval(never, 1, "DAY") if source.last_day else never
        last = sql.case([(sql.is_null(known.expires), never)], last_day)
        inside = sql.gt(last, sql.day(levelling.days.as_of))
        moves = calendar.table().select(["day"])
        moves = moves.append_column("moved", moves.column("day"))
    else:
        last = known.day
        start, end = calendar.bounds[calendar.number(atom)][0]
        inside = sql.and_(sql.ge(last, sql.day(start or end)), sql.le(last, sql.day(end)))
        moves = calendar.moves(calendar.number(atom), leaving=True)
    name = f"leaves_{atom.column}"
    levelling.engine.register(name, moves)
    keys = {"scope": sql.col("scope", "f"), "thing": known.value or sql.null()}
    conditions = [inside, sql.not_null(keys["thing"])] + ([known.condition] if known.condition is not None else [])
    things = sql.select(
        [*sql.columns(keys), sql.named(sql.max_(last), "last")], source.relation, where=sql.and_(*conditions),
        group=list(keys.values()),
    )  # fmt: skip
    changes = {atom.column: sql.sub(sql.number(0), sql.count())}
    return [_events(sql.subquery(things, "f"), name, sql.col("last", "f"), changes, kinds)]


def running_values(
    levelling: Levelling, sources: Sequence[Rowset], days: str, key: str, own: Callable[[Metric, Spot], str]
) -> tuple[str, list[str]]:
    """The atoms on each day to look at: today's value and the changes until then. `own`: the column of the former."""
    atoms = [atom for source in sources for atom in source.atoms]
    match = sql.and_(
        sql.eq(sql.col("partner_id", "d"), sql.col("partner_id", "e")), sql.eq(sql.col("day", "d"), sql.col("day", "e"))
    )
    so_far = {
        atom.column: sql.running_sum(
            sql.coalesce(sql.col(atom.column, "e"), sql.number(0)), [sql.col("partner_id", "d")], sql.col("day", "d")
        )
        for atom in atoms
    }
    changes = sql.select(
        [sql.col("partner_id", "d"), sql.named(sql.col(key, "d"), key), *sql.columns(so_far)], sql.table(days, "d"),
        [("left", sql.table(EVENTS, "e"), match)],
    )  # fmt: skip
    values = {}
    for atom in atoms:
        today = sql.col(own(atom.metric, atom.spot.seen(NOW)), "m")
        kind = sql.MONEY if atom.metric.unit is Unit.MONEY else sql.BIGINT
        if atom.metric.unit is not Unit.MONEY and atom.source.aggregate is Aggregate.SUM:
            kind = sql.DOUBLE
        values[atom.column] = sql.cast(sql.add(today, sql.col(atom.column, "c")), kind)
    account = sql.eq(sql.col("partner_id", "m"), sql.col("partner_id", "c"))
    query = sql.select(
        [sql.named(sql.col(key, "c"), "partner_id"), *sql.columns(values)], sql.subquery(changes, "c"),
        [("inner", sql.table("measures", "m"), account)],
    )  # fmt: skip
    return levelling.engine.run("risk_running", query), list(values)
