"""The query of measures: plain aggregates joined to the partners, and what is built on them, layer by layer.

Where a metric needs the finished values of other accounts, the measures made so far become a table (a stage) and the
next stage reads it; without such metrics there is one stage and one statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.atoms import AnyAtom
from crmsync.levelling.credits import credit_joins, credited_value, is_credited
from crmsync.levelling.derived import Derivations
from crmsync.levelling.fields import rolled_fields
from crmsync.levelling.held_for import criteria_joins
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import Measures, partner_column
from crmsync.levelling.rollups import Barrier, Own, lower_is_best, pairs_of, takes_best
from crmsync.levelling.spots import NOW, Spot, column_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.standing_before import standing_joins
from crmsync.levelling.tier_of import TierPosition, other_joins
from crmsync.programs.program import (
    Criterion,
    FromField,
    FromGroups,
    FromHeld,
    FromRows,
    FromTier,
    Metric,
    Unit,
    WhenMissing,
)

Place = tuple[int, int]
"""Stage and depth of a column: columns of a greater depth of the same stage, or of a later stage, can read it."""

BASE: Place = (0, 0)


@dataclass
class Stage:
    """Columns in layers, each reading those below by name, and the barriers that follow."""

    layers: list[dict[str, Sql]] = field(default_factory=list)
    barriers: list[Barrier] = field(default_factory=list)
    begins: dict[str, Sql] = field(default_factory=dict)  # columns that the barriers before it give


class MeasureQuery:
    """Builds the query of measures from the tables of atoms."""

    def __init__(self, levelling: Levelling, as_of_sql: Mapping[str, Sql]) -> None:
        """`as_of_sql`: view -> the day it looks from."""
        self.levelling, self.spots, self.as_of_sql = levelling, levelling.spots, as_of_sql
        self.lossy: set[str] = set()
        self.kinds: dict[str, str] = {}
        self.stages = [Stage()]
        self._base: dict[str, Sql] = {}
        self._places: dict[str, Place] = {}
        self._open: list[str] = []
        self._derivations = Derivations(
            levelling, self.names, self.own_column, self.lossy, self._base, levelling.validity()
        )

    def names(self, spot: Spot) -> Measures:
        """The measures as seen from a spot."""
        credited = frozenset(key for key, _ in self.levelling.credits)
        day = self.as_of_sql[spot.view]
        lossy, splits = frozenset(self.lossy), self.levelling.splits
        return Measures(self.spots, spot, day, self.kinds, lossy, credited=credited, splits=splits)

    def build(
        self,
        wanted: Iterable[tuple[str, Spot]],
        atoms: Mapping[str, AnyAtom],
        made: Sequence[tuple[str, list[str]]],
        lossy_atoms: Iterable[str],
        keys: Mapping[str, Sql],
        source: Sql,
        joins: Sequence[tuple[str, Sql, Sql]] = (),
    ) -> Sql:
        """The query of the first stage: keys, partner columns and metrics from `source` (alias f) joined to the tables
        of atoms (`made`: each with its value columns). What further stages need is in `run_barriers`."""
        values: dict[str, Sql] = {**keys, **self._partner_values()}
        joins = list(joins)
        for beside in (rolled_fields, credit_joins, standing_joins, criteria_joins, other_joins):
            columns, more = beside(self.levelling)
            values |= columns
            joins += more
        lossy = set(lossy_atoms)
        tables = {column: (f"a{i}", name) for i, (name, columns) in enumerate(made) for column in columns}
        for column, atom in atoms.items():
            values |= self._atom_values(atom, tables.get(column), column in lossy)
        joins += [
            ("left", sql.table(name, alias), sql.eq(sql.col("partner_id", alias), keys["partner_id"]))
            for alias, name in dict(tables.values()).items()
        ]
        self._base.update(values)
        self._places |= dict.fromkeys(values, BASE)
        for key, spot in wanted:
            self._visit(key, self.spots.at(key, spot))
        base = sql.select(sql.columns(values), source, [*self.levelling.rows("partners").joins(), *joins])
        return _layered(base, self.stages[0])

    def run_barriers(self, query: Sql, name: str) -> tuple[Sql, list[str]]:
        """Compute all stages but the last into tables; gives the query of the last and the tables made."""
        made: list[str] = []
        for number, (stage, following) in enumerate(zip(self.stages, self.stages[1:], strict=False)):
            below = self.levelling.engine.run(f"{name}_stage{number}", query)
            made += [below, *(self.levelling.engine.run(one.name, one.query(below)) for one in stage.barriers)]
            joins = [
                ("left", sql.table(one.name), sql.eq(sql.col("partner_id", one.name), sql.col("partner_id", "m")))
                for one in stage.barriers
            ]
            base = sql.select([sql.star("m"), *sql.columns(following.begins)], sql.table(below, "m"), joins)
            query = _layered(base, following)
        return query, made

    # --- what there is at the beginning

    def _partner_values(self) -> dict[str, Sql]:
        values = {}
        for column in sorted(self.levelling.partner_columns):
            value = self.levelling.rows("partners").value("partners", column)
            self.kinds[column] = value.kind
            values[partner_column(column)] = value.sql
        return values

    def _atom_values(self, atom: AnyAtom, where: tuple[str, str] | None, lossy: bool) -> dict[str, Sql]:
        """The own value of a metric of rows; `where`: alias and name of the table that holds it."""
        own, value = self.own_column(atom.metric, atom.spot), _of_table(atom, where)
        adjusted = self._is_adjusted(atom.metric, atom.spot)
        values = {own: value if adjusted else when_missing(atom.metric, value)}
        if atom.presence is not None:
            present = sql.col(atom.presence, where[0]) if where is not None else sql.false()
            values[atom.presence] = sql.coalesce(present, sql.false())
        if lossy:
            self.lossy.add(own)
            flag = sql.col(atom.lost, where[0]) if where is not None else sql.false()
            values[f"{own}!"] = sql.coalesce(flag, sql.false())
        return values

    # --- what is built on it

    def own_column(self, metric: Metric, spot: Spot) -> str:
        """The column of a metric's own value, before the best of others or an override comes to it."""
        if isinstance(metric.source, FromRows | FromField | FromGroups):
            spot = replace(spot, category=None)  # records are the same in every category
        column = column_of(metric.key, spot)
        return f"{column}?own" if self._is_adjusted(metric, spot) else column

    def _is_adjusted(self, metric: Metric, spot: Spot) -> bool:
        return self._rolls_up(metric) or is_credited(self.levelling, metric, spot)

    def _rolls_up(self, metric: Metric) -> bool:
        return takes_best(metric) and not self.levelling.flat

    def _visit(self, key: str, spot: Spot) -> Place:
        """Lay out a metric and all it is built on; gives where it stands. Errors: ConfigError for a circle."""
        column = column_of(key, spot)
        if column in self._places:
            return self._places[column]
        if column in self._open:
            circle = " > ".join(one.partition("@")[0] for one in [*self._open[self._open.index(column) :], column])
            line = self.levelling.program.metrics[key].line
            raise ConfigError(f"metric {key} is built on itself: {circle}", file=self.levelling.file, line=line)
        self._open.append(column)
        metric = self.levelling.program.metrics[key]
        place = self._own(metric, spot)
        if self.own_column(metric, spot) != column:
            place = self._adjusted(metric, spot, place)
        self._open.pop()
        self._places[column] = place
        return place

    def _own(self, metric: Metric, spot: Spot) -> Place:
        own = self.own_column(metric, spot)
        if own in self._places:
            return self._places[own]
        place = max((self._visit(key, there) for key, there in self._inputs(metric, spot)), default=BASE)
        derived = self._derivations.of(metric, spot)
        for helpers in derived.helpers:
            place = self._put(place, helpers)
        value = derived.value if self._is_adjusted(metric, spot) else when_missing(metric, derived.value)
        self._places[own] = self._put(place, {own: value, **self._flag(own, derived.lost)})
        return self._places[own]

    def _inputs(self, metric: Metric, spot: Spot) -> list[tuple[str, Spot]]:
        taken = self.spots.inputs(metric, spot)
        match metric.source:
            case FromTier(program=None) as source:
                values = TierPosition(self.levelling, source, "").split_values()
                split = [(key, there) for key, there in taken if key in self.spots.split]
                taken += [(key, replace(there, split=value)) for key, there in split for value in values]
            case FromHeld(criterion=Criterion()) if spot.view != NOW:
                taken.append((metric.key, spot.seen(NOW)))
        return taken

    def _adjusted(self, metric: Metric, spot: Spot, place: Place) -> Place:
        """The own value after roll-up and override, under the name of the metric at this spot."""
        column, own = column_of(metric.key, spot), self.own_column(metric, spot)
        lost = f"{own}!" if own in self.lossy else None
        if self._rolls_up(metric):
            place = self._beyond_barrier(
                metric, Own(own, lost, lower_is_best(metric), metric.unit is Unit.YES_NO), place
            )
            own, lost = f"{own}^", f"{own}^!" if lost is not None else None
        value = when_missing(metric, sql.col(own))
        if is_credited(self.levelling, metric, spot):
            value = credited_value(self.levelling, metric, spot, value)
        return self._put(place, {column: value, **self._flag(column, sql.col(lost) if lost is not None else None)})

    def _beyond_barrier(self, metric: Metric, own: Own, place: Place) -> Place:
        if f"{own.column}^" in self._places:
            return self._places[f"{own.column}^"]
        number = place[0]
        stage, pairs = self.stages[number], pairs_of(self.levelling, metric)
        alike = (one for one in stage.barriers if one.rolls_up is metric.rolls_up and one.pairs == pairs)
        barrier = next(alike, None)
        if barrier is None:
            barrier = Barrier(f"best_{number}_{len(stage.barriers)}", metric.rolls_up, pairs)
            stage.barriers.append(barrier)
        barrier.columns.append(own)
        following = self._stage(number + 1)
        following.begins[f"{own.column}^"] = sql.col(own.column, barrier.name)
        if own.lost is not None:
            following.begins[f"{own.column}^!"] = sql.col(own.lost, barrier.name)
        self._places[f"{own.column}^"] = (number + 1, 0)
        return self._places[f"{own.column}^"]

    def _flag(self, column: str, lost: Sql | None) -> dict[str, Sql]:
        if lost is None:
            return {}
        self.lossy.add(column)
        return {f"{column}!": sql.coalesce(lost, sql.false())}

    def _stage(self, number: int) -> Stage:
        while len(self.stages) <= number:
            self.stages.append(Stage())
        return self.stages[number]

    def _put(self, place: Place, columns: Mapping[str, Sql]) -> Place:
        """Put columns into the layer above a place; gives where they stand."""
        number, depth = place
        layers = self._stage(number).layers
        while len(layers) <= depth:
            layers.append({})
        layers[depth].update(columns)
        return number, depth + 1


def _layered(query: Sql, stage: Stage) -> Sql:
    for number, layer in enumerate(stage.layers):
        query = sql.select([sql.star(), *sql.columns(layer)], sql.subquery(query, f"layer{number}"))
    return query


def _of_table(atom: AnyAtom, where: tuple[str, str] | None) -> Sql:
    """An atom's value for every partner: what one without rows has where the table has no row of it."""
    if where is None:
        return atom.without_rows()
    found = sql.col(atom.column, where[0])
    # a partner without rows has 0; one whose sum is unknown has NULL in a row of its own
    nothing = sql.is_null(sql.col("partner_id", where[0]))
    return sql.case([(nothing, atom.without_rows())], found) if atom.counts_from_zero else found


def when_missing(metric: Metric, value: Sql) -> Sql:
    """The value with zero in place of unknown, where the metric asks for that."""
    if metric.when_missing is not WhenMissing.ZERO:
        return value
    zero = {Unit.YES_NO: sql.false(), Unit.TEXT: sql.text("")}.get(metric.unit, sql.number(0))
    return sql.coalesce(value, zero)
