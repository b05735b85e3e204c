"""Medians, first and last values: aggregates that do not add up and need the rows themselves, in order.

Rows are numbered by the engine and picked by their number, so that every engine gives the same bits. Source:
program-language, section 3 (the median of an even number is the mean of the middle two; first and last by date, ties
by the table's id, the larger being last; a row without a value or, for first and last, without a date never is one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, is_by_date
from crmsync.levelling.engine import Engine
from crmsync.levelling.reach import over_pairs, united_rows
from crmsync.levelling.rows import TIE
from crmsync.levelling.scans import ROWS_ID, MetricColumns
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate, Unit


@dataclass(frozen=True)
class Ordered:
    """The ordered atoms of one table. `relation` gives the rows (alias f) with `keys`; `counts` and `lost` say by atom
    which rows count and which are lost."""

    engine: Engine
    relation: Sql
    keys: Sequence[str]
    atoms: Sequence[Atom]
    columns: Mapping[str, MetricColumns]
    counts: Mapping[str, Sql]
    lost: Mapping[str, Sql]
    name: str

    def compute(self, pairs: str | None, each_row: bool) -> Iterator[tuple[str, Atom]]:
        """Per atom a table of keys and the columns `?value`, `?lost`, `?some`. `pairs`: whose rows count for whom;
        `each_row`: whether each row stands for itself, else for its opportunity."""
        rows = self._rows(each_row)
        if pairs is not None:
            rows = self._reaching(rows, pairs, each_row)
        for number, atom in enumerate(self.atoms):
            made = self.engine.run(f"{self.name}_value{number}", self._valued(atom, rows))
            yield made, atom
        self.engine.drop([rows])

    def _rows(self, each_row: bool) -> str:
        values: dict[str, tuple[Sql, Callable[[Sql], Sql]]] = {}
        for atom in self.atoms:
            column, counts, known = atom.column, self.counts[atom.column], self.columns[atom.column]
            value = known.value or sql.null()
            if not is_by_date(atom):
                values[f"{column}?value"] = (sql.case([(counts, value)]), sql.max_)
            else:
                filled = sql.and_(counts, sql.not_null(value), sql.not_null(known.day))
                values[f"{column}?value"] = (sql.case([(filled, value)]), sql.max_)
                values[f"{column}?day"] = (sql.case([(filled, known.day)]), sql.max_)
            if column in self.lost:
                values[f"{column}?lost"] = (self.lost[column], sql.any_true)
            if atom.presence is not None:
                values[f"{column}?some"] = (sql.or_(counts, self.lost.get(column, sql.false())), sql.any_true)
        keys = {key: sql.col(key, "f") for key in self.keys}
        some = sql.or_(*self.counts.values(), *self.lost.values())
        if each_row:
            shown = {**keys, **self._tie(), **{name: value for name, (value, _) in values.items()}}
            return self.engine.run(self.name, sql.select(sql.columns(shown), self.relation, where=some))
        tie = sql.col(ROWS_ID, "f")
        shown = {**keys, TIE: tie, **{name: largest(value) for name, (value, largest) in values.items()}}
        group = [*keys.values(), tie]
        return self.engine.run(self.name, sql.select(sql.columns(shown), self.relation, where=some, group=group))

    def _tie(self) -> dict[str, Sql]:
        """The id of each row, where it is needed."""
        return {TIE: sql.col(TIE, "f")} if any(is_by_date(atom) for atom in self.atoms) else {}

    def _names(self) -> list[str]:
        found = []
        for atom in self.atoms:
            found.append(f"{atom.column}?value")
            found += [f"{atom.column}?day"] if is_by_date(atom) else []
            found += [f"{atom.column}?lost"] if atom.column in self.lost else []
            found += [f"{atom.column}?some"] if atom.presence is not None else []
        return found

    def _reaching(self, rows: str, pairs: str, each_row: bool) -> str:
        names = self._names()
        if each_row:
            query = united_rows(rows, pairs, [*self.keys[1:], *self._tie(), *names])
        else:
            largest = {name: sql.any_true if name.endswith(("?lost", "?some")) else sql.max_ for name in names}
            query = over_pairs(rows, pairs, largest, [*self.keys[1:], TIE])
        reached = self.engine.run(f"{rows}_up", query)
        self.engine.drop([rows])
        return reached

    def _valued(self, atom: Atom, rows: str) -> Sql:
        """The value of each group; unknown where one of its records is lost."""
        column = atom.column
        keys = [sql.col(key) for key in self.keys]
        value = sql.col(f"{column}?value")
        flags = [f"{column}?lost"] if column in self.lost else []
        flags += [f"{column}?some"] if atom.presence is not None else []
        chosen = sql.or_(sql.not_null(value), *(sql.col(flag) for flag in flags))
        numbered = {
            "value": value,
            "number": sql.row_number(keys, self._order(atom)),
            "many": sql.known_within(value, keys),
            **{flag: sql.col(flag) for flag in flags},
        }
        inner = sql.select([*keys, *sql.columns(numbered)], sql.table(rows), where=chosen)
        found = self._picked(atom)
        if column in self.lost:
            lost = sql.coalesce(sql.any_true(sql.col(f"{column}?lost")), sql.false())
            found = sql.case([(lost, sql.null(atom.kind))], found)
        shown = {f"{column}?value": found, **{flag: sql.any_true(sql.col(flag)) for flag in flags}}
        return sql.select([*keys, *sql.columns(shown)], sql.subquery(inner, "n"), group=keys)

    def _order(self, atom: Atom) -> list[tuple[Sql, bool]]:
        value = sql.col(f"{atom.column}?value")
        if not is_by_date(atom):
            return [(value, False)]
        descending = atom.source.aggregate is Aggregate.LAST
        return [(sql.col(f"{atom.column}?day"), descending), (sql.col(TIE), descending), (value, descending)]

    def _picked(self, atom: Atom) -> Sql:
        value, number = sql.col("value"), sql.col("number")
        if is_by_date(atom):
            return sql.cast(sql.max_(value, sql.eq(number, sql.number(1))), atom.kind)
        twice, many = sql.mul(sql.number(2), number), sql.col("many")
        middle = sql.and_(sql.ge(twice, many), sql.le(twice, sql.add(many, sql.number(2))))
        total, count = sql.sum_(value, middle), sql.count_of(value, middle)
        alone = sql.eq(count, sql.number(1))
        if atom.metric.unit is Unit.MONEY:
            half = sql.money_times_rate(total, sql.decimal(Decimal("0.5"), sql.RATE))
            return sql.case([(alone, sql.cast(total, sql.MONEY))], half)
        halves = sql.nullif(sql.cast(count, sql.DOUBLE), sql.double(0))
        return sql.div(sql.cast(total, sql.DOUBLE), halves)
