"""The rows that the accounts who will fall have, for looking at them day by day.

`falling` numbers those accounts; `risk_scope` says whose rows count for whom, and by which roll-up;
`risk_rows_<table>` holds those rows with all row expressions computed, once for each account that they count for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom
from crmsync.levelling.calendar import Calendar, Moves
from crmsync.levelling.engine import Engine
from crmsync.levelling.falling import FALLING
from crmsync.levelling.levelling import Levelling, tables_used
from crmsync.levelling.reach import OWN, Reach, heads, reach_of
from crmsync.levelling.rows import TIE, Rows
from crmsync.levelling.running import Rowset, Running
from crmsync.levelling.scans import (
    ROWS_ID,
    KeptColumns,
    MetricColumns,
    as_words,
    row_expressions,
    row_values,
    takes_each_row,
)
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate, Ever, InForce

SCOPE = "risk_scope"
MOST_PAIRS = 3_000_000
"""Pairs of an account and a member of its family beyond which days are better looked at one after the other."""


@dataclass(frozen=True)
class Followed:
    """The rows of those who will fall, by table, as long as they are kept."""

    sources: Mapping[str, Rowset]
    moves: Moves

    def drop(self, engine: Engine) -> None:
        """Free them."""
        engine.drop([f"risk_rows_{table}" for table in self.sources])


@dataclass(frozen=True)
class Scope:
    """The table `risk_scope`: (ancestor, member) for the number of every account that will fall, with a flag for each
    reach."""

    flags: Mapping[Reach, str]

    def counts(self, reach: Reach) -> Sql | None:
        """Whether a row (alias f) counts by a reach; None: every one does."""
        return sql.col(self.flags[reach], "f") if reach in self.flags else None


def register_scope(levelling: Levelling, atoms: Iterable[Atom]) -> Scope:
    """Make the table `risk_scope` for all roll-ups of the atoms."""
    reaches = list(dict.fromkeys(reach_of(levelling, atom.metric) for atom in atoms)) or [OWN]
    flags = {reach: f"by_{number}" for number, reach in enumerate(reaches)}
    others = [reach for reach in reaches if reach != OWN]
    if len(reaches) == 1:
        levelling.engine.run(SCOPE, _pairs(reaches[0], {}))
        return Scope({})
    if len(others) == 1:  # its pairs hold each account with itself
        levelling.engine.run(SCOPE, _pairs(others[0], {flags[others[0]]: sql.true(), flags[OWN]: None}))
        return Scope(flags)
    parts = [
        _pairs(reach, {flag: sql.true() if one == reach else sql.false() for one, flag in flags.items()})
        for reach in reaches
    ]
    keys = [sql.col("ancestor"), sql.col("member")]
    some = {flag: sql.any_true(sql.col(flag)) for flag in flags.values()}
    query = sql.select([*keys, *sql.columns(some)], sql.subquery(sql.union_all(parts), "parts"), group=keys)
    levelling.engine.run(SCOPE, query)
    return Scope(flags)


def _pairs(reach: Reach, flags: Mapping[str, Sql | None]) -> Sql:
    """(ancestor, member, flags): the numbers of the accounts that will fall with those whose rows reach them.

    A flag of None says whether the member is the account itself.
    """
    account, number = sql.col("partner_id", "a"), sql.col("number", "a")
    member, joins = _members(reach)
    values = {"ancestor": number, "member": member}
    values |= {flag: sql.eq(member, account) if value is None else value for flag, value in flags.items()}
    return sql.select(sql.columns(values), sql.table(FALLING, "a"), joins)


def _members(reach: Reach) -> tuple[Sql, list[tuple[str, Sql, Sql]]]:
    account = sql.col("partner_id", "a")
    if reach.pairs is None:
        return account, []
    if not reach.shared:
        return sql.col("member", "c"), [
            ("inner", sql.table(reach.pairs, "c"), sql.eq(sql.col("ancestor", "c"), account))
        ]
    mine = sql.eq(sql.col("member", "h"), account)
    others = sql.eq(sql.col("ancestor", "o"), sql.col("ancestor", "h"))
    return sql.col("member", "o"), [
        ("inner", sql.table(reach.pairs, "h"), mine), ("inner", sql.table(reach.pairs, "o"), others)
    ]  # fmt: skip


def families_are_small(levelling: Levelling, atoms: Iterable[Atom]) -> bool:
    """Whether the families of those who will fall (table `falling`) make few pairs."""
    if not any(reach_of(levelling, atom.metric).shared for atom in atoms):
        return True
    pairs = _pairs(Reach(heads(levelling), shared=True), {})
    count = levelling.engine.read(sql.select([sql.count()], sql.subquery(pairs, "pairs"))).column(0)[0].as_py()
    return bool(count <= MOST_PAIRS)


def expressions_of(levelling: Levelling, atoms: Sequence[Atom]) -> dict[str, MetricColumns]:
    """The row expressions of the atoms whose table is there, by column."""
    found: dict[str, MetricColumns] = {}
    for table in tables_used(levelling.program):
        mine = [atom for atom in atoms if atom.source.table == table]
        if mine and table in levelling.snapshot.tables:
            found |= row_expressions(levelling.rows(table), mine, levelling.days, levelling.file)
    return found


def row_tables(
    levelling: Levelling, atoms: Sequence[Atom], groups: Mapping[str, Sequence[str]], calendar: Calendar,
    expressions: Mapping[str, MetricColumns], running: Running,
) -> dict[str, Rowset]:  # fmt: skip
    """Per table its rows in scope with all row expressions computed, as `risk_rows_<table>`.

    `groups`: by table the columns that groups are made of, of which each gives the column `group:<column>`;
    `expressions`: those of the atoms; `running`: what is followed from what moves, which needs few rows.
    """
    scope = register_scope(levelling, atoms)
    made: dict[str, Rowset] = {}
    for table in tables_used(levelling.program):
        mine = [atom for atom in atoms if atom.source.table == table]
        if not mine or table not in levelling.snapshot.tables:
            continue
        rows = levelling.rows(table)
        values = {**row_values(rows), "scope": sql.col("@scope", "f")}
        values.pop("partner_id")
        if all(takes_each_row(atom, rows) for atom in mine):
            values.pop(ROWS_ID, None)
        values |= {flag: sql.col(f"@{flag}", "f") for flag in scope.flags.values()}
        values |= {f"group:{of}": as_words(rows.value(table, of)) for of in groups.get(table, ())}
        values[TIE] = rows.identity()  # told where a record lapses
        kept = KeptColumns(values)
        columns = {
            atom.column: _counting(kept.of(expressions[atom.column]), scope.counts(reach_of(levelling, atom.metric)))
            for atom in mine
        }
        conditions = [
            _any_counts(rows, [expressions[atom.column] for atom in mine]),
            _needed(rows, mine, expressions, calendar, running),
        ]
        where = sql.and_(*(condition for condition in conditions if condition is not None))
        query = sql.select(sql.columns(kept.values), sql.subquery(_in_scope(table, scope), "f"), rows.joins(), where)
        levelling.engine.run(f"risk_rows_{table}", query)
        made[table] = Rowset(rows, mine, columns)
    return made


def _in_scope(table: str, scope: Scope) -> Sql:
    match = sql.eq(sql.col("member", "c"), sql.col("partner_id", "t"))
    flags = {f"@{flag}": sql.col(flag, "c") for flag in scope.flags.values()}  # apart from the columns of any table
    values = [sql.star("t"), sql.named(sql.col("ancestor", "c"), "@scope"), *sql.columns(flags)]
    return sql.select(values, sql.table(f"t_{table}", "t"), [("inner", sql.table(SCOPE, "c"), match)])


def _counting(columns: MetricColumns, counts: Sql | None) -> MetricColumns:
    """The same for rows that count by the roll-up of the metric."""
    if counts is None:
        return columns
    return replace(
        columns,
        condition=counts if columns.condition is None else sql.and_(counts, columns.condition),
        lost=sql.and_(counts, columns.lost) if columns.lost is not None else None,
    )


# --- which rows are looked at


def _needed(
    rows: Rows, atoms: Sequence[Atom], expressions: Mapping[str, MetricColumns], calendar: Calendar, running: Running
) -> Sql | None:
    """The rows that move, and those that say what there is today where that is asked; None: any could be asked."""
    asked = running.asked
    days: dict[str, tuple[Sql, list[tuple[date, date]]]] = {}
    ways: list[Sql] = []
    in_force = False
    for atom in atoms:
        if atom.column not in asked:
            return None
        known, number = expressions[atom.column], calendar.number(atom)
        per_group = asked[atom.column]
        if isinstance(atom.window, InForce):
            ways += [] if in_force else [_in_force(rows, calendar, known)]
            in_force = True
        elif isinstance(atom.window, Ever):
            if per_group:
                return None
        else:
            stretches = days.setdefault(known.day.sql(), (known.day, []))[1]
            stretches += calendar.stretches(number)
            start, end = calendar.bounds[number][0]
            if per_group or atom.source.aggregate is Aggregate.COUNT_DISTINCT:
                stretches.append((start or date.min, end))
    for day, stretches in days.values():
        for first, last in united(stretches):
            ways.append(sql.and_(sql.ge(day, sql.day(first)), sql.le(day, sql.day(last))))
    return sql.or_(*ways) if ways else sql.false()


def _in_force(rows: Rows, calendar: Calendar, known: MetricColumns) -> Sql:
    """Whether a record has not ended today."""
    today = sql.day(calendar.all_days[0])
    last_day = rows.file is not None and rows.file.expires_on_is_last_day
    ends_later = sql.ge(known.expires, today) if last_day else sql.gt(known.expires, today)
    return sql.or_(sql.is_null(known.expires), ends_later)


def united(stretches: Iterable[tuple[date, date]]) -> list[tuple[date, date]]:
    """The same days in as few stretches as possible, the earliest first."""
    found: list[tuple[date, date]] = []
    for first, last in sorted(stretches):
        if found and first <= found[-1][1] + timedelta(days=1):
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def _any_counts(rows: Rows, expressions: Iterable[MetricColumns]) -> Sql | None:
    """Visible rows that some metric could count or lose."""
    expressions = list(expressions)
    visible = rows.visible()
    conditions = {one.condition.sql(): one.condition for one in expressions if one.condition is not None}
    if any(one.condition is None or one.lost is not None for one in expressions):
        return visible
    some = sql.or_(*conditions.values())
    return some if visible is None else sql.and_(visible, some)
