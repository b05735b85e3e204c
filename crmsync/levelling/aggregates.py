"""One pass over the rows of a table: every atom of it, per partner and, where asked, per subtree or family.

Four groups: plain aggregates add up from partners to those above them; distinct things are counted once per scope
after the rows were reduced to things; opportunities that stand in several rows are first reduced to one row each;
medians, first and last values need the rows themselves (`ordered.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, Days, is_ordered
from crmsync.levelling.engine import Engine
from crmsync.levelling.ordered import Ordered
from crmsync.levelling.partials import aggregate_parts, bit_of, combining, finished, once, renamed
from crmsync.levelling.reach import FAMILIES, OWN, Reach, of_those_alone, over_families, over_pairs, spread_over
from crmsync.levelling.rows import Rows
from crmsync.levelling.scans import (
    ROWS_ID,
    BoundsOf,
    RowSource,
    in_window,
    is_plain,
    lost_in_window,
    takes_each_row,
)
from crmsync.levelling.spots import NOW, Spot
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate, Metric

Made = list[tuple[str, list[str]]]
"""Tables, each with its value columns."""

MOST_ASKED = 8
"""Conditions of rows, up to which it is cheaper to leave out the rows that meet none than to group them."""


def own_rows(_metric: Metric) -> Reach:
    """The reach of every metric where rows count for their own account only."""
    return OWN


class TablePass:
    """The atoms of one table, computed into tables keyed by partner_id (and by further `keys` of the rows).

    `united`: the source gives each row to every account that it counts for, so nothing is left to put together.
    """

    def __init__(
        self, rows: Rows, atoms: Sequence[Atom], days: Days, engine: Engine, source: RowSource,
        reach: Callable[[Metric], Reach] = own_rows, *, united: bool = False, keys: Sequence[str] = (), tag: str = "",
    ) -> None:  # fmt: skip
        self.rows, self.atoms, self.days, self.engine = rows, list(atoms), days, engine
        self.source, self.columns, self.tag = source, source.columns, tag
        self.reach, self.united, self.keys = reach, united, ("partner_id", *keys)
        self.last_day = rows.file.expires_on_is_last_day if rows.file else False
        self._few = {atom.column: few for atom in self.atoms if (few := self._few_things(atom))}

    def compute(self, limits: BoundsOf, every_row: bool = False) -> Made:
        """Tables made, each with its value columns, with a row per partner (and further keys) of which a row counts.

        `every_row`: of which there is a row at all, where atoms are added up over rows as they are.
        """
        made = [*self._plain(limits, every_row), *self._distinct(limits)]
        for reach in dict.fromkeys(self.reach(atom.metric) for atom in self.atoms):
            atoms = [atom for atom in self.atoms if self.reach(atom.metric) == reach]
            made += self._reduced(atoms, limits, reach)
            made += self._ordered(atoms, limits, reach)
        return made

    def lost_records(self, limits: BoundsOf) -> dict[str, tuple[int, str]]:
        """How many records each metric lost today, and the id of one of them; metrics that lost none are left out."""
        found: dict[str, tuple[int, str]] = {}
        one = sql.col(ROWS_ID, "f") if ROWS_ID in self.rows.columns else sql.col("partner_id", "f")
        for atom in self.atoms:
            columns = self.columns[atom.column]
            if columns.lost is None or atom.spot != Spot(NOW):
                continue
            lost = self._lost(atom, limits)
            if self.united and not self.reach(atom.metric).shared:
                lost = sql.and_(lost, sql.eq(sql.col("member", "f"), sql.col("partner_id", "f")))
            query = sql.select([sql.count(), sql.min_(one)], self.source.relation, where=lost)
            number, example = (column[0].as_py() for column in self.engine.read(query).columns)
            if number:
                found[atom.metric.key] = (number, str(example))
        return found

    def _pairs(self, reach: Reach) -> str | None:
        return None if self.united else reach.pairs

    def _counts(self, atom: Atom, limits: BoundsOf) -> Sql:
        return in_window(atom, self.columns[atom.column], limits, self.last_day, self.days.as_of)

    def _lost(self, atom: Atom, limits: BoundsOf) -> Sql:
        return lost_in_window(atom, self.columns[atom.column], limits, self.last_day, self.days.as_of)

    def _few_things(self, atom: Atom) -> tuple[str, ...]:
        """All that a distinct count can meet, where that is a few texts: each then is a bit, and they add up."""
        formula = atom.source.value
        if atom.source.aggregate is not Aggregate.COUNT_DISTINCT or formula is None or len(formula.columns) != 1:
            return ()
        ((table, column),) = formula.columns
        is_column = isinstance(formula.tree, exp.Column) and table == self.rows.table
        return self.rows.few_values(column, self.engine) if is_column else ()

    # --- plain aggregates

    def _plain(self, limits: BoundsOf, every_row: bool) -> Made:
        """One pass for all of them; those that roll up are then added up over the accounts they reach."""
        atoms = [atom for atom in self.atoms if is_plain(atom, self.rows) or atom.column in self._few]
        if not atoms:
            return []
        partials = {atom.column: self._partials(atom, limits) for atom in atoms}
        everything, same = once({name: value for one in partials.values() for name, value in one.items()})
        keys = [sql.col(key, "f") for key in self.keys]
        name = self._named("plain")
        some = None if every_row else self._some_counts(atoms, limits)
        self.engine.run(
            name, sql.select([*keys, *sql.columns(everything)], self.source.relation, where=some, group=keys)
        )
        made: Made = []
        for reach in dict.fromkeys(self.reach(atom.metric) for atom in atoms):
            chosen = [atom for atom in atoms if self.reach(atom.metric) == reach]
            wanted = {same.get(key, key) for atom in chosen for key in partials[atom.column]}
            table = self._over_pairs(name, {key: combining(key) for key in sorted(wanted)}, reach)
            made.append(self._finished(table, chosen, reach, same))
            self.engine.drop([table] if table != name else [])
        self.engine.drop([name])
        return made

    def _some_counts(self, atoms: Sequence[Atom], limits: BoundsOf) -> Sql | None:
        """Which rows count for some atom or are lost to one; None where so much is asked that to look costs more."""
        asked = {one.sql(): one for atom in atoms for one in (self._counts(atom, limits), *self._losses(atom, limits))}
        return sql.or_(*asked.values()) if len(asked) <= MOST_ASKED else None

    def _losses(self, atom: Atom, limits: BoundsOf) -> list[Sql]:
        return [self._lost(atom, limits)] if self.columns[atom.column].lost is not None else []

    def _partials(self, atom: Atom, limits: BoundsOf) -> dict[str, Sql]:
        columns, counts = self.columns[atom.column], self._counts(atom, limits)
        if atom.column in self._few and columns.value is not None:
            partial = {f"{atom.column}?bits": sql.bits_of(bit_of(columns.value, self._few[atom.column]), counts)}
        else:
            partial = aggregate_parts(atom, columns.value, counts)
        if columns.lost is not None:
            partial[f"{atom.column}?lost"] = sql.any_true(self._lost(atom, limits))
            if atom.source.aggregate is Aggregate.SUM and columns.value is not None:
                partial[f"{atom.column}?negative"] = sql.any_true(sql.lt(columns.value, sql.number(0)), counts)
        return partial | self._some(atom, counts, limits)

    def _some(self, atom: Atom, counts: Sql, limits: BoundsOf) -> dict[str, Sql]:
        """Whether some row counts for a split value."""
        if atom.presence is None:
            return {}
        return {f"{atom.column}?some": sql.any_true(sql.or_(counts, *self._losses(atom, limits)))}

    # --- distinct things

    def _distinct(self, limits: BoundsOf) -> Made:
        """One table per kind of thing, for all accounts that its metrics reach."""
        by_thing: dict[str, list[Atom]] = {}
        for atom in self.atoms:
            value = self.columns[atom.column].value
            distinct = atom.source.aggregate is Aggregate.COUNT_DISTINCT and atom.column not in self._few
            if distinct and value is not None:
                by_thing.setdefault(value.sql(), []).append(atom)
        return [
            made for number, group in enumerate(by_thing.values()) for made in self._distinct_of(group, limits, number)
        ]

    def _distinct_of(self, atoms: Sequence[Atom], limits: BoundsOf, number: int) -> Made:
        thing = self.columns[atoms[0].column].value
        assert thing is not None
        flags: dict[str, dict[str, Sql]] = {}
        some: list[Sql] = []  # rows that no metric counts or lacks need not be grouped
        for atom in atoms:
            counts = self._counts(atom, limits)
            some.append(counts)
            flags[atom.column] = {atom.column: sql.any_true(counts)}
            if self.columns[atom.column].lost is not None:
                some.append(self._lost(atom, limits))
                flags[atom.column][f"{atom.column}?lost"] = sql.any_true(some[-1])
            flags[atom.column] |= self._some(atom, counts, limits)
        keys = {**{key: sql.col(key, "f") for key in self.keys}, "thing": thing}
        everything = {name: flag for columns in flags.values() for name, flag in columns.items()}
        shown, group = [*sql.columns(keys), *sql.columns(everything)], list(keys.values())
        things = sql.select(shown, self.source.relation, where=sql.or_(*some), group=group)
        name = self.engine.run(self._named(f"things{number}"), things)
        made: Made = []
        for reach in dict.fromkeys(self.reach(atom.metric) for atom in atoms):
            chosen = [atom for atom in atoms if self.reach(atom.metric) == reach]
            wanted = [flag for atom in chosen for flag in flags[atom.column]]
            parted = reach.parted and self._pairs(reach) is not None  # things of those alone need no other grouping
            together = Reach(FAMILIES) if parted else reach
            reached = self._over_pairs(name, dict.fromkeys(wanted, sql.any_true), together, ("thing",))
            counted = {
                flag: sql.any_true(sql.col(flag))
                if flag.endswith(("?lost", "?some"))
                else sql.count_of(sql.col("thing"), sql.col(flag))
                for flag in wanted
            }
            counts_of = self._grouped(self._named(f"counts{number}", reach), reached, counted, name if parted else None)
            made.append(self._finished(counts_of, chosen, reach))
            self.engine.drop([counts_of, *([reached] if reached != name else [])])
        self.engine.drop([name])
        return made

    # --- opportunities that stand in several rows

    def _reduced(self, atoms: Sequence[Atom], limits: BoundsOf, reach: Reach) -> Made:
        chosen = [
            atom
            for atom in atoms
            if atom.source.aggregate is not Aggregate.COUNT_DISTINCT
            and not is_ordered(atom)
            and not takes_each_row(atom, self.rows)
        ]
        if not chosen:
            return []
        per_id, some = self._per_id(chosen, limits)
        keys = [*(sql.col(key, "f") for key in self.keys), sql.col(ROWS_ID, "f")]
        name = self._named("ids", reach)
        self.engine.run(name, sql.select([*keys, *sql.columns(per_id)], self.source.relation, where=some, group=keys))
        largest = {key: sql.max_ if key.endswith("?value") else sql.any_true for key in per_id}
        put_together = self._over_pairs(name, largest, reach, (ROWS_ID,))
        partial: dict[str, Sql] = {}
        for atom in chosen:
            value = sql.col(f"{atom.column}?value") if atom.source.value is not None else None
            counted = sql.col(f"{atom.column}?counts") if value is None else sql.not_null(value)
            partial |= aggregate_parts(atom, value, counted)
            flags = [f"{atom.column}?{flag}" for flag in ("lost", "some")]
            partial |= {flag: sql.any_true(sql.col(flag)) for flag in flags if flag in per_id}
            if flags[0] in per_id and value is not None and atom.source.aggregate is Aggregate.SUM:
                partial[f"{atom.column}?negative"] = sql.any_true(sql.lt(value, sql.number(0)))
        reduced = self._grouped(self._named("reduced", reach), put_together, partial)
        self.engine.drop(dict.fromkeys((name, put_together)))
        return [self._finished(reduced, chosen, reach)]

    def _per_id(self, atoms: Sequence[Atom], limits: BoundsOf) -> tuple[dict[str, Sql], Sql]:
        """What is kept of each opportunity, and which rows are looked at: those that count or are lost to some atom.

        The rows of one opportunity agree on what is its own; where they differ the largest value counts.
        """
        per_id: dict[str, Sql] = {}
        some: list[Sql] = []
        for atom in atoms:
            columns, counts = self.columns[atom.column], self._counts(atom, limits)
            some.append(counts)
            if columns.value is None:
                per_id[f"{atom.column}?counts"] = sql.any_true(counts)
            else:
                per_id[f"{atom.column}?value"] = sql.max_(columns.value, counts)
            if columns.lost is not None:
                some.append(self._lost(atom, limits))
                per_id[f"{atom.column}?lost"] = sql.any_true(some[-1])
            per_id |= self._some(atom, counts, limits)
        return per_id, sql.or_(*some)

    # --- medians, first and last values

    def _ordered(self, atoms: Sequence[Atom], limits: BoundsOf, reach: Reach) -> Made:
        made: Made = []
        for each_row in (True, False):
            chosen = [atom for atom in atoms if is_ordered(atom) and takes_each_row(atom, self.rows) is each_row]
            if not chosen:
                continue
            one = Ordered(
                self.engine, self.source.relation, self.keys, chosen, self.columns,
                {atom.column: self._counts(atom, limits) for atom in chosen},
                {a.column: self._lost(a, limits) for a in chosen if self.columns[a.column].lost is not None},
                self._named("rows" if each_row else "one_each", reach),
            )  # fmt: skip
            made += [self._finished(name, [atom], reach) for name, atom in one.compute(self._pairs(reach), each_row)]
        return made

    # --- shared

    def _over_pairs(
        self, name: str, values: Mapping[str, Callable[[Sql], Sql]], reach: Reach, things: Sequence[str] = ()
    ) -> str:
        """The same columns per account that the rows reach, combined."""
        pairs, keys = self._pairs(reach), [*self.keys[1:], *things]
        if pairs is None:
            return name
        combined = over_families(name, values, keys) if reach.parted else over_pairs(name, pairs, values, keys)
        return self.engine.run(f"{name}_{pairs}", combined)

    def _grouped(self, made: str, name: str, values: Mapping[str, Sql], alone: str | None = None) -> str:
        """Grouped by the keys; `alone`: the table of which those without others below them are grouped as well."""
        keys = [sql.col(key) for key in self.keys]
        queries: list[Sql] = [sql.select([*keys, *sql.columns(values)], sql.table(name), group=keys)]
        if alone is not None:
            queries.append(of_those_alone(alone, values, self.keys[1:]))
        return self.engine.run(made, sql.union_all(queries))

    def _finished(
        self, name: str, atoms: Sequence[Atom], reach: Reach, same: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[str, list[str]]:
        """Partial columns turned into the value of each atom and its flags, for every account that has a share in it.

        `same`: partial columns that another one holds already.
        """
        values: dict[str, Sql] = {}
        for atom in atoms:
            can_lose = self.columns[atom.column].lost is not None
            value = (
                sql.col(f"{atom.column}?value")
                if is_ordered(atom)
                else finished(atom, can_lose, atom.column in self._few)
            )
            values[atom.column] = renamed(value, same)
            flags = [("lost", atom.lost)] if can_lose else []
            flags += [("some", atom.presence)] if atom.presence is not None else []
            for partial, flag in flags:
                found = sql.coalesce(sql.col(f"{atom.column}?{partial}"), sql.false())
                values[flag] = renamed(found, same)
        query: Sql = sql.select([*(sql.col(key) for key in self.keys), *sql.columns(values)], sql.table(name))
        if not self.keys[1:] and any(atom.column in self.source.spans for atom in atoms):
            query = self._unknown_without_span(query, atoms, list(values))
        if reach.shared and reach.pairs is not None:
            query = spread_over(query, reach.pairs, [*self.keys[1:], *values])
        return self.engine.run(f"{name}_done", query), [atom.column for atom in atoms]

    def _unknown_without_span(self, query: Sql, atoms: Sequence[Atom], columns: Sequence[str]) -> Sql:
        """One row per partner: unknown where the partner has no such window, what no rows give where it has no rows."""
        spans = {atom.column: span for atom in atoms if (span := self.source.spans.get(atom.column)) is not None}
        nothing = sql.is_null(sql.col("partner_id", "d"))
        values: dict[str, Sql] = {name: sql.col(name, "d") for name in columns}
        for atom in atoms:
            value = sql.case([(nothing, atom.without_rows())], sql.col(atom.column, "d"))
            if atom.column in spans:
                missing = sql.is_null(spans[atom.column].last)
                value = sql.case([(missing, sql.null(atom.kind))], value)
                if atom.lost in values:  # without the window no record of it can be lost
                    values[atom.lost] = sql.and_(sql.not_(missing), sql.coalesce(values[atom.lost], sql.false()))
            values[atom.column] = value
        match = sql.eq(sql.col("partner_id", "d"), sql.col("partner_id", "sp"))
        joins = [("left", sql.subquery(query, "d"), match)]
        joins += [span.join("sp") for span in {span.table: span for span in spans.values()}.values()]
        return sql.select([sql.col("partner_id", "sp"), *sql.columns(values)], sql.table("t_partners", "sp"), joins)

    def _named(self, kind: str, reach: Reach = OWN) -> str:
        pairs = self._pairs(reach)
        return f"{self.rows.table}_{kind}{f'_of_{pairs}' if pairs else ''}{self.tag}"
