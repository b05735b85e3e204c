"""One pass over the rows of a table: every atom of it, per partner and, where asked, per subtree.

Three groups: plain aggregates add up from partners to their ancestors; distinct things are counted once per scope
after the rows were reduced to things; opportunities that stand in several rows are first reduced to one row each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from sqlglot import exp

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, Days, bounds_of
from crmsync.levelling.conditions import MONEY, Value, as_double, condition_of, found_of, value_of
from crmsync.levelling.engine import Engine
from crmsync.levelling.rows import Rows
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate, Ever, Formula, InForce, Last, RollsUp, Unit

CREDIT_COLUMNS = frozenset({("opportunities", "share"), ("opportunities", "credited_amount")})
ROWS_ID = "opportunity_id"


@dataclass(frozen=True)
class MetricColumns:
    """Row expressions of one metric; `lost` is None where no record of it can be lost."""

    condition: Sql | None
    value: Sql | None
    lost: Sql | None
    day: Sql
    expires: Sql


BoundsOf = Callable[[Atom], tuple[Sql | None, Sql]]
"""Gives the first (None: no beginning) and last day of an atom as SQL."""


def fixed_bounds(days: Days) -> BoundsOf:
    """Bounds as date literals, seen from the day of the atom's view."""

    def of(atom: Atom) -> tuple[Sql | None, Sql]:
        limits = bounds_of(atom, days.seen_from(atom.view), days)
        return (sql.day(limits.start) if limits.start else None), sql.day(limits.end)

    return of


def row_columns(rows: Rows, atom: Atom, file: str) -> MetricColumns:
    """The row expressions of an atom's metric."""
    metric, source = atom.metric, atom.source
    if metric.dated_by is None and rows.main_date() is None and not _undated(atom):
        raise ConfigError(
            f"metric {metric.key}: table {source.table} has no main date; name one with `dated_by`",
            file=file,
            line=metric.line,
        )
    rows.money_unit = False
    # a window that ends today leaves out what closes later: such a row need not be shown as open
    rows.closed_in_window = (
        isinstance(atom.window, Last)
        and rows.table == "opportunities"
        and (metric.dated_by or rows.main_date()) == "closed_on"
    )
    condition = condition_of(metric.where, rows, file) if metric.where else None
    rows.money_unit = metric.unit is Unit.MONEY
    value = value_of(source.value, rows, file) if source.value else None
    lost = [sql.is_null(condition)] if condition is not None and _can_be_unknown(metric.where, rows) else []
    typed = _typed(value, source.aggregate, metric.unit) if value is not None else None
    if value is not None and value.found:
        unknown = sql.and_(sql.is_null(value.sql), sql.not_(sql.and_(*value.found)))
        lost.append(sql.and_(condition, unknown) if condition is not None else unknown)
    return MetricColumns(
        condition,
        typed,
        sql.or_(*lost) if lost else None,
        rows.dated(metric.dated_by),
        rows.cell("expires_on") if rows.has_validity else sql.null(sql.DATE),
    )


def _undated(atom: Atom) -> bool:
    return isinstance(atom.window, Ever) and atom.window.shift is None and not atom.shifts


def _can_be_unknown(formula: Formula | None, rows: Rows) -> bool:
    return formula is not None and bool(found_of(formula, rows))


def _typed(value: Value, aggregate: Aggregate, unit: Unit) -> Sql:
    if aggregate is Aggregate.COUNT_DISTINCT:
        return sql.cast(value.sql, sql.TEXT)
    if unit is Unit.TEXT:
        return sql.cast(value.sql, sql.TEXT)
    if unit is Unit.MONEY:
        if value.kind != MONEY:
            return sql.cents(value.sql)
        return sql.cast(sql.round_(value.sql, 2), sql.MONEY) if value.computed else value.sql
    return as_double(value).sql


def in_window(atom: Atom, columns: MetricColumns, limits: BoundsOf, last_day: bool, as_of: date) -> Sql:
    """Whether a row counts for an atom."""
    start, end = limits(atom)
    day = columns.day
    conditions = [] if columns.condition is None else [columns.condition]
    if isinstance(atom.window, InForce):
        issued = sql.le(day, sql.least(end, sql.day(as_of)) if atom.shifts or atom.window.shift else sql.day(as_of))
        expired = sql.ge(columns.expires, end) if last_day else sql.gt(columns.expires, end)
        conditions += [sql.or_(sql.is_null(day), issued), sql.or_(sql.is_null(columns.expires), expired)]
    elif start is None:
        conditions.append(sql.or_(sql.is_null(day), sql.le(day, end)))
    else:
        conditions.append(sql.and_(sql.ge(day, start), sql.le(day, end)))
    return sql.and_(*conditions)


def is_plain(atom: Atom, rows: Rows) -> bool:
    """Whether an atom adds up (or takes the extreme) over rows as they are."""
    return atom.source.aggregate is not Aggregate.COUNT_DISTINCT and takes_each_row(atom, rows)


def takes_each_row(atom: Atom, rows: Rows) -> bool:
    """Whether no reduction to one row per opportunity is needed."""
    if atom.source.table != "opportunities" or rows.file is None or ROWS_ID in rows.file.unique:
        return True
    formulas = [formula for formula in (atom.metric.where, atom.source.value) if formula is not None]
    return any(formula.columns & CREDIT_COLUMNS for formula in formulas)


@dataclass(frozen=True)
class RowSource:
    """Where the rows of a pass come from (alias f, with partner_id), and the row expressions of each atom."""

    relation: Sql
    columns: Mapping[str, MetricColumns]  # by atom column


def row_expressions(rows: Rows, atoms: Sequence[Atom], days: Days, file: str) -> dict[str, MetricColumns]:
    """The row expressions of each atom, over the table as alias f."""
    columns = {}
    for atom in atoms:
        rows.on = sql.day(days.seen_from(atom.view))  # `as_of` inside a condition means the day of the view
        columns[atom.column] = row_columns(rows, atom, file)
    return columns


def kept(columns: MetricColumns, values: dict[str, Sql]) -> MetricColumns:
    """The row expressions as named columns of alias f, added to `values`; equal ones share a column."""

    def keep(value: Sql) -> Sql:
        text = value.sql()
        name = next((name for name, known in values.items() if known.sql() == text), None)
        if name is None:
            name = f"c{len(values)}"
            values[name] = value
        return sql.col(name, "f")

    return MetricColumns(
        keep(columns.condition) if columns.condition is not None else None,
        keep(columns.value) if columns.value is not None else None,
        keep(columns.lost) if columns.lost is not None else None,
        keep(columns.day),
        keep(columns.expires),
    )


def source_of(rows: Rows, atoms: Sequence[Atom], days: Days, file: str, limits: BoundsOf) -> RowSource:
    """The visible rows of a table of the snapshot, no further back than the earliest window."""
    expressions = row_expressions(rows, atoms, days, file)
    values = row_values(rows)
    columns = {column: kept(known, values) for column, known in expressions.items()}
    conditions = [one for one in (rows.visible(), _earliest(atoms, expressions, limits)) if one is not None]
    where = sql.and_(*conditions) if conditions else None
    query = sql.select(sql.columns(values), rows.source(), rows.joins(), where)
    return RowSource(sql.subquery(query, "f"), columns)


def row_values(rows: Rows) -> dict[str, Sql]:
    """The columns that every pass needs: whose row it is and, of opportunities, which."""
    values = {"partner_id": sql.col("partner_id", "f")}
    if ROWS_ID in rows.columns:
        values[ROWS_ID] = sql.col(ROWS_ID, "f")
    return values


def _earliest(atoms: Sequence[Atom], columns: Mapping[str, MetricColumns], limits: BoundsOf) -> Sql | None:
    days = {columns[atom.column].day.sql() for atom in atoms}
    starts = [limits(atom)[0] for atom in atoms]
    if len(days) != 1 or any(start is None for start in starts) or any(isinstance(a.window, InForce) for a in atoms):
        return None
    first = min((start for start in starts if start is not None), key=lambda start: str(start.this.this))
    return sql.ge(columns[atoms[0].column].day, first)


class TablePass:
    """The atoms of one table, computed into tables keyed by partner_id. `flat`: nothing is summed over the closure."""

    def __init__(
        self,
        rows: Rows,
        atoms: Sequence[Atom],
        days: Days,
        engine: Engine,
        source: RowSource,
        flat: bool,
        tag: str = "",
    ) -> None:
        self.rows, self.atoms, self.days, self.engine = rows, list(atoms), days, engine
        self.source, self.columns, self.flat, self.tag = source, source.columns, flat, tag
        self.last_day = rows.file.expires_on_is_last_day if rows.file else False

    def compute(self, limits: BoundsOf) -> list[tuple[str, list[str]]]:
        """Tables made, each with its value columns. Every table has a row per partner that has rows."""
        made = self._plain(limits)
        for rolled in (False, True):
            atoms = [atom for atom in self.atoms if self._is_rolled(atom) is rolled]
            made += self._distinct(atoms, limits, rolled)
            made += self._reduced(atoms, limits, rolled)
        return made

    def _is_rolled(self, atom: Atom) -> bool:
        return not self.flat and atom.metric.rolls_up is not RollsUp.OWN

    # --- plain aggregates

    def _plain(self, limits: BoundsOf) -> list[tuple[str, list[str]]]:
        """One pass for all of them; those that roll up are then added up over the closure."""
        atoms = [a for a in self.atoms if is_plain(a, self.rows)]
        if not atoms:
            return []
        partials = {atom.column: self._partials(atom, limits) for atom in atoms}
        everything = {name: value for one in partials.values() for name, value in one.items()}
        everything, same = _once(everything)
        key = sql.col("partner_id", "f")
        name = self._named("plain", False)
        self.engine.run(name, sql.select([key, *sql.columns(everything)], self.source.relation, group=[key]))
        made = []
        for rolled in (False, True):
            chosen = [atom for atom in atoms if self._is_rolled(atom) is rolled]
            if not chosen:
                continue
            wanted = {same.get(key, key) for atom in chosen for key in partials[atom.column]}
            table = self._over_closure(name, {key: _combining(key) for key in sorted(wanted)}) if rolled else name
            made.append((self._finished(table, chosen, same), [atom.column for atom in chosen]))
        return made

    def _partials(self, atom: Atom, limits: BoundsOf) -> dict[str, Sql]:
        columns = self.columns[atom.column]
        counts = in_window(atom, columns, limits, self.last_day, self.days.as_of)
        partial = aggregate_parts(atom, columns.value, counts)
        if columns.lost is not None:
            partial[f"{atom.column}?lost"] = sql.any_true(self._lost(atom, columns, limits))
            if atom.source.aggregate is Aggregate.SUM and columns.value is not None:
                partial[f"{atom.column}?negative"] = sql.any_true(sql.lt(columns.value, sql.number(0)), counts)
        return partial

    def _lost(self, atom: Atom, columns: MetricColumns, limits: BoundsOf) -> Sql:
        anywhere = MetricColumns(None, None, None, columns.day, columns.expires)
        window = in_window(atom, anywhere, limits, self.last_day, self.days.as_of)
        return sql.and_(columns.lost or sql.false(), window)

    # --- distinct things

    def _distinct(self, atoms: Sequence[Atom], limits: BoundsOf, rolled: bool) -> list[tuple[str, list[str]]]:
        by_thing: dict[str, list[Atom]] = {}
        for atom in atoms:
            value = self.columns[atom.column].value
            if atom.source.aggregate is Aggregate.COUNT_DISTINCT and value is not None:
                by_thing.setdefault(value.sql(), []).append(atom)
        return [self._distinct_of(group, limits, rolled, number) for number, group in enumerate(by_thing.values())]

    def _distinct_of(self, atoms: Sequence[Atom], limits: BoundsOf, rolled: bool, number: int) -> tuple[str, list[str]]:
        thing = self.columns[atoms[0].column].value
        assert thing is not None
        flags: dict[str, Sql] = {}
        for atom in atoms:
            columns = self.columns[atom.column]
            flags[atom.column] = sql.any_true(in_window(atom, columns, limits, self.last_day, self.days.as_of))
            if columns.lost is not None:
                flags[f"{atom.column}?lost"] = sql.any_true(self._lost(atom, columns, limits))
        keys = {"partner_id": sql.col("partner_id", "f"), "thing": thing}
        relation = self.source.relation
        things = sql.select([*sql.columns(keys), *sql.columns(flags)], relation, group=list(keys.values()))
        name = self.engine.run(self._named(f"things{number}", rolled), things)
        if rolled:
            name = self._over_closure(name, dict.fromkeys(flags, sql.any_true), "thing")
        counted = {
            flag: sql.any_true(sql.col(flag))
            if flag.endswith("?lost")
            else sql.count_of(sql.col("thing"), sql.col(flag))
            for flag in flags
        }
        query = sql.select(
            [sql.col("partner_id"), *sql.columns(counted)], sql.table(name), group=[sql.col("partner_id")]
        )
        counts = self.engine.run(self._named(f"counts{number}", rolled), query)
        return self._finished(counts, atoms), [atom.column for atom in atoms]

    # --- opportunities that stand in several rows

    def _reduced(self, atoms: Sequence[Atom], limits: BoundsOf, rolled: bool) -> list[tuple[str, list[str]]]:
        chosen = [
            a for a in atoms if a.source.aggregate is not Aggregate.COUNT_DISTINCT and not takes_each_row(a, self.rows)
        ]
        if not chosen:
            return []
        per_id: dict[str, Sql] = {}
        for atom in chosen:
            columns = self.columns[atom.column]
            counts = in_window(atom, columns, limits, self.last_day, self.days.as_of)
            per_id[f"{atom.column}?counts"] = sql.any_true(counts)
            if columns.value is not None:
                # the rows of one opportunity agree on what is its own; where they differ the largest counts
                per_id[f"{atom.column}?value"] = sql.max_(columns.value, counts)
            if columns.lost is not None:
                per_id[f"{atom.column}?lost"] = sql.any_true(self._lost(atom, columns, limits))
        keys = [sql.col("partner_id", "f"), sql.col(ROWS_ID, "f")]
        name = self._named("ids", rolled)
        self.engine.run(name, sql.select([*keys, *sql.columns(per_id)], self.source.relation, group=keys))
        if rolled:
            combining = {key: sql.max_ if key.endswith("?value") else sql.any_true for key in per_id}
            name = self._over_closure(name, combining, ROWS_ID)
        partial: dict[str, Sql] = {}
        for atom in chosen:
            value = sql.col(f"{atom.column}?value") if atom.source.value is not None else None
            partial |= aggregate_parts(atom, value, sql.col(f"{atom.column}?counts"))
            if f"{atom.column}?lost" in per_id:
                partial[f"{atom.column}?lost"] = sql.any_true(sql.col(f"{atom.column}?lost"))
                if value is not None and atom.source.aggregate is Aggregate.SUM:
                    partial[f"{atom.column}?negative"] = sql.any_true(sql.lt(value, sql.number(0)))
        query = sql.select(
            [sql.col("partner_id"), *sql.columns(partial)], sql.table(name), group=[sql.col("partner_id")]
        )
        reduced = self.engine.run(self._named("reduced", rolled), query)
        return [(self._finished(reduced, chosen), [atom.column for atom in chosen])]

    # --- shared

    def _over_closure(self, name: str, combining: Mapping[str, Callable[[Sql], Sql]], thing: str | None = None) -> str:
        """The same columns per ancestor, combined over its subtree."""
        keys = {"partner_id": sql.col("ancestor", "c")}
        if thing is not None:
            keys[thing] = sql.col(thing, "m")
        values = {key: combine(sql.col(key, "m")) for key, combine in combining.items()}
        match = sql.eq(sql.col("member", "c"), sql.col("partner_id", "m"))
        query = sql.select(
            [*sql.columns(keys), *sql.columns(values)],
            sql.table(name, "m"),
            [("inner", sql.table("closure", "c"), match)],
            group=list(keys.values()),
        )
        return self.engine.run(f"{name}_up", query)

    def _finished(self, name: str, atoms: Sequence[Atom], same: Mapping[str, str] = MappingProxyType({})) -> str:
        """Partial columns turned into the value of each atom and, where records can be lost, its flag.

        `same`: partial columns that another one holds already.
        """
        values: dict[str, Sql] = {}
        for atom in atoms:
            can_lose = self.columns[atom.column].lost is not None
            values[atom.column] = _renamed(finished(atom, can_lose), same)
            if can_lose:
                lost = sql.coalesce(sql.col(f"{atom.column}?lost"), sql.false())
                values[atom.lost] = _renamed(lost, same)
        query = sql.select([sql.col("partner_id"), *sql.columns(values)], sql.table(name))
        return self.engine.run(f"{name}_done", query)

    def _named(self, kind: str, rolled: bool) -> str:
        return f"{self.rows.table}_{kind}{'_sub' if rolled else ''}{self.tag}"


def _once(values: Mapping[str, Sql]) -> tuple[dict[str, Sql], dict[str, str]]:
    """Equal aggregates computed once: those to compute, and for each other name the one that holds it."""
    kept_by_text: dict[str, str] = {}
    same: dict[str, str] = {}
    for name, value in values.items():
        first = kept_by_text.setdefault(value.sql() + name.rpartition("?")[2], name)
        if first != name:
            same[name] = first
    return {name: value for name, value in values.items() if name not in same}, same


def _renamed(value: Sql, same: Mapping[str, str]) -> Sql:
    for column in list(value.find_all(exp.Column)):
        if column.name in same:
            column.set("this", sql.name(same[column.name]))
    return value


def _combining(partial: str) -> Callable[[Sql], Sql]:
    ending = partial.rpartition("?")[2]
    return {"lost": sql.any_true, "negative": sql.any_true, "min": sql.min_, "max": sql.max_}.get(ending, sql.sum_)


def aggregate_parts(atom: Atom, value: Sql | None, counts: Sql) -> dict[str, Sql]:
    """The partial aggregates of an atom: parts that add up (or take the extreme) over groups of rows."""
    column = atom.column
    match atom.source.aggregate:
        case Aggregate.COUNT:
            return {f"{column}?n": sql.count(counts)}
        case Aggregate.SUM:
            return {f"{column}?sum": sql.sum_(value or sql.null(), counts)}
        case Aggregate.AVERAGE:
            return {
                f"{column}?sum": sql.sum_(value or sql.null(), counts),
                f"{column}?n": sql.count_of(value or sql.null(), counts),
            }
        case Aggregate.MINIMUM:
            return {f"{column}?min": sql.min_(value or sql.null(), counts)}
        case _:
            return {f"{column}?max": sql.max_(value or sql.null(), counts)}


def finished(atom: Atom, can_lose: bool) -> Sql:
    """The value of an atom from its partial aggregates, with the type its metric declares."""
    column, money = atom.column, atom.metric.unit is Unit.MONEY
    lost = sql.coalesce(sql.col(f"{column}?lost"), sql.false())
    kind = sql.MONEY if money else sql.TEXT if atom.metric.unit is Unit.TEXT else sql.DOUBLE
    match atom.source.aggregate:
        case Aggregate.COUNT:
            return sql.cast(sql.col(f"{column}?n"), sql.BIGINT)
        case Aggregate.COUNT_DISTINCT:
            return sql.cast(sql.col(column), sql.BIGINT)
        case Aggregate.SUM:
            total = sql.cast(sql.coalesce(sql.col(f"{column}?sum"), sql.number(0)), kind)
            if not can_lose:
                return total
            negative = sql.coalesce(sql.col(f"{column}?negative"), sql.false())
            return sql.case([(sql.and_(lost, negative), sql.null(kind))], total)
        case Aggregate.AVERAGE:
            count = sql.nullif(sql.cast(sql.col(f"{column}?n"), sql.DOUBLE), sql.double(0))
            mean = sql.div(sql.cast(sql.col(f"{column}?sum"), sql.DOUBLE), count)
            mean = sql.cents(mean) if money else mean
            return sql.case([(lost, sql.null(kind))], mean) if can_lose else mean
        case Aggregate.MINIMUM:
            lowest = sql.cast(sql.col(f"{column}?min"), kind)
            return sql.case([(lost, sql.null(kind))], lowest) if can_lose else lowest
        case _:
            return sql.cast(sql.col(f"{column}?max"), kind)
