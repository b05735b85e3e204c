"""Ladders that are climbed once per value (`per: region`): a row per partner and value, and how they come to one tier.

The measures of a value stand in the row under the split EACH, so that criteria are compiled once for all values.
Source: program-language, section 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from crmsync.levelling import sql
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import Measures, text_column
from crmsync.levelling.previous import PREVIOUS
from crmsync.levelling.rules import measured_today
from crmsync.levelling.splits import ladder_values, split_metrics_of
from crmsync.levelling.spots import NOW
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import show
from crmsync.programs.program import FromPast, Ladder, Per, Take, Unit

EACH = "*"
"""The split under which a row of one value has its measures."""

PER_VALUE, PER_HAS, PLACE = "per_value", "per_has", "per_place"
"""Columns: the value of the row (NULL for a partner without any), whether the partner has it, and which of the
partner's values comes first."""


@dataclass(frozen=True)
class PerValues:
    """The values of one ladder. `metrics`: the split metrics of the program, which criteria and hints may read."""

    per: Per
    values: tuple[str, ...]
    deciding: tuple[str, ...]  # the split metrics of the ladder's criteria: who has one of them has the value
    metrics: tuple[str, ...]
    views: tuple[str, ...] = (NOW,)
    stood: frozenset[str | None] = frozenset()  # values of standings before, where each value has one of its own

    @property
    def is_each(self) -> bool:
        """Whether each value has a standing of its own."""
        return self.per.take is Take.EACH

    def names(self, measures: Measures) -> Measures:
        """The measures of the row's value."""
        starred = {
            self._column(seen, key, EACH)
            for key, seen, _ in self._seen(measures)
            for value in self.values
            if self._column(seen, key, value) in measures.lossy
        }
        return replace(measures, lossy=measures.lossy | starred).at(split=EACH)

    def rows(self, measures: str, by_view: Mapping[str, Measures]) -> Sql:
        """One row per partner and value that it has; one without a value for a partner that has none.

        Where a value stood before, everybody has a row of it: PER_HAS says whether the partner still has the value.
        """
        has = {value: by_view[NOW].at(split=value).has_value(self.deciding) for value in self.values}
        has |= {value: sql.false() for value in self.stood if value is not None and value not in has}
        parts = [self._of_value(measures, by_view, value, has[value]) for value in has]
        return sql.union_all([*parts, self._of_value(measures, by_view, None, sql.not_(sql.or_(*has.values())))])

    def _of_value(self, measures: str, by_view: Mapping[str, Measures], value: str | None, has: Sql) -> Sql:
        columns = {PER_VALUE: sql.text(value) if value is not None else sql.null(sql.TEXT), PER_HAS: has}
        for view in self.views:
            columns |= dict(self._columns(by_view[view], value))
        where = None if value in self.stood else has
        return sql.select([sql.star(), *sql.columns(columns)], sql.table(measures), where=where)

    def texts(self, names: Measures) -> dict[str, Sql]:
        """The columns that hold the texts of the row's measures."""
        units = {key: names.spots.program.metrics[key].unit for key in self._known(names)}
        return {
            text_column(key, EACH): show(self.names(names).metric(key))
            for key, unit in units.items()
            if unit is not Unit.YES_NO
        }

    def category(self, key: str, alias: str | None = None) -> Sql:
        """The category of a row: with `take: each` each value has its own."""
        if not self.is_each:
            return sql.text(key)
        value = sql.col(PER_VALUE, alias)
        return sql.case([(sql.not_null(value), sql.concat(sql.text(f"{key}/"), value))], sql.text(key))

    def _columns(self, measures: Measures, value: str | None) -> Iterator[tuple[str, Sql]]:
        """The measures of a value under the names of EACH; empty where a metric does not have the value."""
        for key, seen, values in self._seen(measures):
            here = self._column(seen, key, EACH)
            there = self._column(seen, key, value) if value in values else None
            yield here, sql.col(there) if there is not None else sql.null()
            if self._is_lossy(seen, key):
                lossy = there is not None and there in measures.lossy
                yield f"{here}!", sql.col(f"{there}!") if lossy else sql.false()

    def _seen(self, measures: Measures) -> Iterator[tuple[str, Measures, Sequence[str]]]:
        """The metrics with their values, and the bases of growth and change, which texts about a gap speak of."""
        program = measures.spots.program
        for key in self._known(measures):
            values = measures.splits.get(key, ())
            yield key, measures, values
            source = program.metrics[key].source
            if isinstance(source, FromPast) and source.metric in measures.spots.split:
                yield source.metric, replace(measures, spot=measures.spot.earlier((source.shift,))), values

    def _known(self, measures: Measures) -> list[str]:
        """The metrics that have some of the values, in a view in which they are measured."""
        deciding = set(self.deciding)
        keys = self.metrics if measures.spot.view == NOW else [key for key in self.metrics if key in deciding]
        if not self.values:  # nobody has a value: the columns are there and empty
            return list(keys)
        return [key for key in keys if not set(self.values).isdisjoint(measures.splits.get(key, ()))]

    def _is_lossy(self, measures: Measures, key: str) -> bool:
        return any(self._column(measures, key, value) in measures.lossy for value in self.values)

    def _column(self, measures: Measures, key: str, value: str | None) -> str:
        return measures.spots.column(key, replace(measures.spot, split=value))


def per_values(levelling: Levelling, category: str, views: Sequence[str], light: bool = False) -> PerValues | None:
    """The values of a category's ladder; None where it has no `per`. `light`: only what tiers need is measured."""
    ladder = levelling.program.ladder_of(category)
    if ladder.per is None:
        return None
    measured = measured_today(levelling.program, light)
    everything = [key for key in levelling.program.metrics if key in levelling.spots.split and key in measured]
    return PerValues(
        ladder.per,
        tuple(ladder_values(levelling, ladder)),
        tuple(split_metrics_of(levelling, ladder)),
        tuple(everything),
        tuple(views),
        frozenset(_stood(levelling, category)) if ladder.per.take is Take.EACH else frozenset(),
    )


def _stood(levelling: Levelling, category: str) -> Iterator[str | None]:
    """The values that have a standing from before in a category; None for those that had none."""
    if not levelling.remembers.get(PREVIOUS, False):
        return
    query = sql.distinct([sql.col("category")], sql.table(PREVIOUS))
    for one in levelling.engine.read(query).column(0).to_pylist():
        if one == category:
            yield None
        elif one is not None and one.startswith(f"{category}/"):
            yield one.removeprefix(f"{category}/")


def share_values(levelling: Levelling) -> None:
    """Let every split metric of a ladder with `per` have all values of the ladder; without records it is 0 or empty."""
    for ladder in levelling.program.ladders.values():
        values = ladder_values(levelling, ladder)
        for key in split_metrics_of(levelling, ladder) if values else ():
            levelling.splits[key] = tuple(sorted({*levelling.splits.get(key, ()), *values}))


# --- one tier of many


OVER = (sql.col("partner_id"),)
"""The rows of one partner."""


def taken(per: Per, ladder: Ladder, position: Sql) -> Sql:
    """The tier that the positions of the values come to: the highest, the lowest, or the highest reached often."""
    match per.take:
        case Take.BEST:
            return sql.max_over(position, OVER)
        case Take.ALL:
            return sql.min_over(position, OVER)
        case Take.EACH:
            return position
    # too few values for any tier leave the lowest one that asks for nothing
    lowest = 1 if ladder.tiers[0].requires is None else 0
    branches = [
        (sql.ge(_how_many(sql.ge(position, sql.number(at))), sql.number(per.at_least)), sql.number(at))
        for at in range(len(ladder.tiers), lowest, -1)
    ]
    return or_lowest(sql.case(branches, sql.number(lowest)))


def enough(per: Per, condition: Sql) -> Sql:
    """Whether a condition holds for as many of the values as the ladder takes."""
    flag = sql.case([(condition, sql.number(1))], sql.number(0))
    match per.take:
        case Take.BEST:
            return sql.eq(sql.max_over(flag, OVER), sql.number(1))
        case Take.ALL:
            return sql.eq(sql.min_over(flag, OVER), sql.number(1))
        case Take.EACH:
            return condition
    return sql.ge(_how_many(condition), sql.number(per.at_least))


def _how_many(condition: Sql) -> Sql:
    return sql.sum_over(sql.case([(condition, sql.number(1))], sql.number(0)), OVER)


def or_lowest(position: Sql) -> Sql:
    """A position on the ladder; without any value it is the lowest tier."""
    return sql.case([(sql.is_null(sql.col(PER_VALUE)), sql.number(1))], position)
