"""The rows that the accounts who will fall have, for looking at them day by day.

`risk_scope` says whose rows count for whom, and by which roll-up; `risk_rows_<table>` holds those rows with all row
expressions computed, once for each account that they count for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, is_by_date
from crmsync.levelling.calendar import Calendar
from crmsync.levelling.levelling import Levelling, tables_used
from crmsync.levelling.reach import OWN, Reach, heads, reach_of
from crmsync.levelling.rows import TIE, Rows
from crmsync.levelling.running import Rowset, can_run
from crmsync.levelling.scans import KeptColumns, MetricColumns, as_words, row_expressions, row_values
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate

SCOPE, FALLING = "risk_scope", "falling"
MOST_PAIRS = 3_000_000
"""Pairs of an account and a member of its family beyond which days are better looked at one after the other."""


@dataclass(frozen=True)
class Scope:
    """The table `risk_scope`: (ancestor, member) for every account that will fall, with a flag for each reach."""

    flags: Mapping[Reach, str]

    def counts(self, reach: Reach) -> Sql | None:
        """Whether a row (alias f, with member and scope) counts by a reach; None: every one does."""
        if reach == OWN:
            return sql.eq(sql.col("member", "f"), sql.col("scope", "f"))
        return sql.col(self.flags[reach], "f") if reach in self.flags else None


def register_scope(levelling: Levelling, atoms: Iterable[Atom]) -> Scope:
    """Make the table `risk_scope` for all roll-ups of the atoms."""
    reaches = [one for one in dict.fromkeys(reach_of(levelling, atom.metric) for atom in atoms) if one != OWN]
    if len(reaches) == 1:
        levelling.engine.run(SCOPE, _pairs(reaches[0]))
        return Scope({})
    both = {"ancestor": sql.col("partner_id"), "member": sql.col("partner_id")}
    own = sql.select(sql.columns(both), sql.table(FALLING))
    if not reaches:
        levelling.engine.run(SCOPE, own)
        return Scope({})
    flags = {reach: f"by_{number}" for number, reach in enumerate(reaches)}
    parts = [_flagged(own, flags, None), *(_flagged(_pairs(reach), flags, reach) for reach in reaches)]
    keys = [sql.col("ancestor"), sql.col("member")]
    some = {flag: sql.any_true(sql.col(flag)) for flag in flags.values()}
    query = sql.select([*keys, *sql.columns(some)], sql.subquery(sql.union_all(parts), "parts"), group=keys)
    levelling.engine.run(SCOPE, query)
    return Scope(flags)


def _flagged(pairs: Sql, flags: Mapping[Reach, str], mine: Reach | None) -> Sql:
    values = {flag: sql.true() if reach == mine else sql.false() for reach, flag in flags.items()}
    return sql.select([sql.star(), *sql.columns(values)], sql.subquery(pairs, "pairs"))


def _pairs(reach: Reach) -> Sql:
    """(ancestor, member): the accounts that will fall with those whose rows reach them."""
    assert reach.pairs is not None
    if not reach.shared:
        match = sql.eq(sql.col("ancestor", "c"), sql.col("partner_id", "a"))
        pair = [sql.col("ancestor", "c"), sql.col("member", "c")]
        return sql.select(pair, sql.table(reach.pairs, "c"), [("inner", sql.table(FALLING, "a"), match)])
    mine = sql.eq(sql.col("member", "h"), sql.col("partner_id", "a"))
    others = sql.eq(sql.col("ancestor", "o"), sql.col("ancestor", "h"))
    pair = [sql.named(sql.col("partner_id", "a"), "ancestor"), sql.col("member", "o")]
    joins = [("inner", sql.table(reach.pairs, "h"), mine), ("inner", sql.table(reach.pairs, "o"), others)]
    return sql.select(pair, sql.table(FALLING, "a"), joins)


def families_are_small(levelling: Levelling, atoms: Iterable[Atom]) -> bool:
    """Whether the families of those who will fall (table `falling`) make few pairs."""
    if not any(reach_of(levelling, atom.metric).shared for atom in atoms):
        return True
    pairs = _pairs(Reach(heads(levelling), shared=True))
    count = levelling.engine.read(sql.select([sql.count()], sql.subquery(pairs, "pairs"))).column(0)[0].as_py()
    return bool(count <= MOST_PAIRS)


def row_tables(
    levelling: Levelling, atoms: Sequence[Atom], groups: Mapping[str, Sequence[str]], calendar: Calendar, steady: bool
) -> list[Rowset]:
    """Per table its rows in scope with all row expressions computed, as `risk_rows_<table>`.

    `groups`: by table the columns that groups are made of, of which each gives the column `group:<column>`.
    """
    scope = register_scope(levelling, atoms)
    made = []
    for table in tables_used(levelling.program):
        mine = [atom for atom in atoms if atom.source.table == table]
        if not mine or table not in levelling.snapshot.tables:
            continue
        rows = levelling.rows(table)
        expressions = row_expressions(rows, mine, levelling.days, levelling.file)
        values = {**row_values(rows), "scope": sql.col("@scope", "f")}
        values["member"] = values.pop("partner_id")
        values |= {flag: sql.col(f"@{flag}", "f") for flag in scope.flags.values()}
        values |= {f"group:{of}": as_words(rows.value(table, of)) for of in groups.get(table, ())}
        if any(is_by_date(atom) for atom in mine):
            values[TIE] = rows.identity()
        kept = KeptColumns(values)
        columns = {
            atom.column: _counting(kept.of(expressions[atom.column]), scope.counts(reach_of(levelling, atom.metric)))
            for atom in mine
        }
        rowset = Rowset(rows, mine, columns, bool(groups.get(table)))
        conditions = [_any_counts(rows, expressions.values())]
        if steady and can_run(rowset, calendar):
            conditions.append(_moving(rowset, expressions, calendar))
        where = sql.and_(*(condition for condition in conditions if condition is not None))
        query = sql.select(sql.columns(kept.values), sql.subquery(_in_scope(table, scope), "f"), rows.joins(), where)
        levelling.engine.run(f"risk_rows_{table}", query)
        made.append(rowset)
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


def _moving(rowset: Rowset, expressions: Mapping[str, MetricColumns], calendar: Calendar) -> Sql | None:
    """Rows that move at all; of a table that is only summed and counted no others are looked at."""
    stretches: dict[str, Sql] = {}
    for atom in rowset.atoms:
        if atom.source.aggregate is Aggregate.COUNT_DISTINCT:
            return None
        for first, last in calendar.stretches(calendar.number(atom)):
            day = expressions[atom.column].day
            one = sql.and_(sql.ge(day, sql.day(first)), sql.le(day, sql.day(last)))
            stretches[one.sql()] = one
    return sql.or_(*stretches.values()) if stretches else None


def _any_counts(rows: Rows, expressions: Iterable[MetricColumns]) -> Sql | None:
    """Visible rows that some metric could count or lose."""
    visible = rows.visible()
    conditions = {one.condition.sql(): one.condition for one in expressions if one.condition is not None}
    if any(one.condition is None or one.lost is not None for one in expressions):
        return visible
    some = sql.or_(*conditions.values())
    return some if visible is None else sql.and_(visible, some)
