"""One pass over the rows of a table: every atom of it, per partner and, where asked, per subtree.

Three groups: plain aggregates add up from partners to their ancestors; distinct things are counted once per scope
after the rows were reduced to things; opportunities that stand in several rows are first reduced to one row each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, Days
from crmsync.levelling.engine import Engine
from crmsync.levelling.rows import Rows
from crmsync.levelling.scans import ROWS_ID, BoundsOf, MetricColumns, RowSource, in_window, is_plain, takes_each_row
from crmsync.levelling.spots import NOW
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate, RollsUp, Unit


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

    def lost_records(self, limits: BoundsOf) -> dict[str, tuple[int, str]]:
        """How many records each metric lost today, and the id of one of them; metrics that lost none are left out."""
        found: dict[str, tuple[int, str]] = {}
        one = sql.col(ROWS_ID, "f") if ROWS_ID in self.rows.columns else sql.col("partner_id", "f")
        for atom in self.atoms:
            columns = self.columns[atom.column]
            if columns.lost is None or atom.view != NOW or atom.shifts:
                continue
            lost = self._lost(atom, columns, limits)
            query = sql.select([sql.count(), sql.min_(one)], self.source.relation, where=lost)
            number, example = (column[0].as_py() for column in self.engine.read(query).columns)
            if number:
                found[atom.metric.key] = (number, str(example))
        return found

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
        per_id, some = self._per_id(chosen, limits)
        keys = [sql.col("partner_id", "f"), sql.col(ROWS_ID, "f")]
        name = self._named("ids", rolled)
        self.engine.run(name, sql.select([*keys, *sql.columns(per_id)], self.source.relation, where=some, group=keys))
        made = [name]
        if rolled:
            combining = {key: sql.max_ if key.endswith("?value") else sql.any_true for key in per_id}
            name = self._over_closure(name, combining, ROWS_ID)
            made.append(name)
        partial: dict[str, Sql] = {}
        for atom in chosen:
            value = sql.col(f"{atom.column}?value") if atom.source.value is not None else None
            counted = sql.col(f"{atom.column}?counts") if value is None else sql.not_null(value)
            partial |= aggregate_parts(atom, value, counted)
            if f"{atom.column}?lost" in per_id:
                partial[f"{atom.column}?lost"] = sql.any_true(sql.col(f"{atom.column}?lost"))
                if value is not None and atom.source.aggregate is Aggregate.SUM:
                    partial[f"{atom.column}?negative"] = sql.any_true(sql.lt(value, sql.number(0)))
        query = sql.select(
            [sql.col("partner_id"), *sql.columns(partial)], sql.table(name), group=[sql.col("partner_id")]
        )
        reduced = self.engine.run(self._named("reduced", rolled), query)
        self.engine.drop(made)
        return [(self._finished(reduced, chosen), [atom.column for atom in chosen])]

    def _per_id(self, atoms: Sequence[Atom], limits: BoundsOf) -> tuple[dict[str, Sql], Sql]:
        """What is kept of each opportunity, and which rows are looked at: those that count or are lost to some atom.

        The rows of one opportunity agree on what is its own; where they differ the largest value counts.
        """
        per_id: dict[str, Sql] = {}
        some: list[Sql] = []
        for atom in atoms:
            columns = self.columns[atom.column]
            counts = in_window(atom, columns, limits, self.last_day, self.days.as_of)
            some.append(counts)
            if columns.value is None:
                per_id[f"{atom.column}?counts"] = sql.any_true(counts)
            else:
                per_id[f"{atom.column}?value"] = sql.max_(columns.value, counts)
            if columns.lost is not None:
                some.append(self._lost(atom, columns, limits))
                per_id[f"{atom.column}?lost"] = sql.any_true(some[-1])
        return per_id, sql.or_(*some)

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
