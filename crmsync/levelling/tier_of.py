"""Positions of calculated tiers as metrics: on a ladder, in a category, or in another program.

A ladder is asked as the one category that climbs it would be; by `requires` alone where none or several do. A category
gives its calculated tier, 0 to those who are no members. Undecided counts as unmet.

Source: program-language, section 3 (tier_of), 5 and 7 (keeping).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.before import sustained_id
from crmsync.levelling.criteria import Criteria, Limits
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import Measures
from crmsync.levelling.rules import Rules
from crmsync.levelling.splits import ladder_values
from crmsync.levelling.sql import Sql
from crmsync.levelling.standing_before import earned_column, exempt_prefix, exemptions, held_column, met_column
from crmsync.levelling.tiers import highest_position
from crmsync.levelling.values import MONEY, NUMBER, Value
from crmsync.programs.dependence import ladder_metrics
from crmsync.programs.program import FromTier, Ladder, Per, Program, Take


class WrittenLimits(Limits):
    """Thresholds as literals, for criteria that are asked before the table of thresholds is there."""

    def _cell(self, kind: str, key: Decimal, value: pa.Array, shown: str) -> Value:
        amount = sql.decimal(value[0].as_py(), sql.MONEY) if kind == MONEY else sql.double(key)
        return Value(amount, kind, shown=sql.text(shown), computed=kind == NUMBER, sure=True)


def criteria_of(levelling: Levelling, names: Measures, category: str | None = None) -> Criteria:
    """Criteria as the layers of the measures ask them; in a category with those whom an override exempts."""
    limits = levelling.limits
    written = WrittenLimits(limits.money, limits.effective_from, limits.as_of, limits.file)
    plain = Criteria(levelling.program, names, written)
    if category is None:
        return plain
    return replace(plain, exempt=exemptions(levelling), exempt_in=exempt_prefix(category))


def climbing_category(program: Program, source: FromTier) -> str | None:
    """The category whose rules decide how a tier is kept: the one named, or the only one that climbs the ladder."""
    if source.category is not None:
        return source.category
    climbing = [key for key, one in program.categories.items() if one.ladder == source.ladder]
    return climbing[0] if len(climbing) == 1 else None


class TierPosition:
    """The position that one `tier_of` gives, in layers of helper columns. `prefix`: what their names begin with."""

    def __init__(self, levelling: Levelling, source: FromTier, prefix: str) -> None:
        self.levelling, self.prefix, program = levelling, prefix, levelling.program
        self.category = climbing_category(program, source)
        key = program.categories[source.category].ladder if source.category is not None else source.ladder
        self.ladder: Ladder = program.ladders[key or ""]
        self.rules = Rules(program, self.category, levelling.days.as_of) if self.category is not None else None

    @property
    def metrics(self) -> set[str]:
        """The metrics that the criteria of the ladder read."""
        return set(ladder_metrics(self.ladder))

    def split_values(self) -> list[str]:
        """The values of the split metrics, where the ladder is asked once for each."""
        return ladder_values(self.levelling, self.ladder)

    def layers(self, names: Measures) -> tuple[list[dict[str, Sql]], Sql]:
        """Helper columns and the position."""
        if self.ladder.per is None:
            met = self._met(0, criteria_of(self.levelling, names, self.category))
            return [met], highest_position(self.ladder, self._holds(0))
        seen = [names.at(split=value) for value in self.split_values()]
        columns: dict[str, Sql] = {}
        positions: dict[str, Sql] = {}
        for number, one in enumerate(seen):
            columns |= self._met(number, criteria_of(self.levelling, one, self.category))
            columns[self._name(number, "there")] = one.has_value(self.metrics)
            positions[self._name(number, "at")] = highest_position(self.ladder, self._holds(number))
        return [columns, positions], self._combined(len(seen))

    def _name(self, number: int, what: str) -> str:
        return f"{self.prefix}?{number}_{what}"

    def _met(self, number: int, criteria: Criteria) -> dict[str, Sql]:
        found = {}
        for position, tier in enumerate(self.ladder.tiers, 1):
            found[self._name(number, f"requires_{position}")] = criteria.tier_holds(tier.requires)
            if tier.keeps is not None and self.category is not None:
                found[self._name(number, f"keeps_{position}")] = criteria.tier_holds(tier.keeps)
        return found

    def _holds(self, number: int) -> list[Sql]:
        return [self._hold(number, position) for position in range(1, len(self.ladder.tiers) + 1)]

    def _hold(self, number: int, position: int) -> Sql:
        tier = self.ladder.tiers[position - 1]
        requires = sql.col(self._name(number, f"requires_{position}"))
        if self.rules is None or self.category is None:
            return requires
        entered = self._entered(position, requires)
        keeps = sql.col(self._name(number, f"keeps_{position}")) if tier.keeps is not None else requires
        if keeps is entered:
            holds = requires
        else:
            kept = sql.ge(sql.col(earned_column(self.category)), sql.number(position))
            holds = sql.case([(sql.coalesce(kept, sql.false()), keeps)], entered)
        if position not in self.rules.windows:
            return holds
        start, last = self.rules.windows[position], sql.col(met_column(self.category, tier.key))
        within = sql.not_null(last) if start is None else sql.ge(last, sql.day(start))
        return sql.or_(sql.coalesce(within, sql.false()), holds)

    def _entered(self, position: int, requires: Sql) -> Sql:
        """What it takes to enter a tier: `requires`, where it must be sustained met without a break for so long."""
        if self.rules is None or self.category is None or position not in self.rules.sustained:
            return requires
        since = sql.col(held_column(self.category, sustained_id(self.ladder.tiers[position - 1].key)))
        long = sql.coalesce(sql.le(since, sql.day(self.rules.sustained[position])), sql.false())
        return sql.and_(requires, long)

    def _combined(self, count: int) -> Sql:
        """One position from those of the split values that the partner has: none of them, the lowest tier."""
        there = [sql.col(self._name(number, "there")) for number in range(count)]
        at = [sql.col(self._name(number, "at")) for number in range(count)]
        needed: Sql = sql.number(1)
        match self.ladder.per:
            case Per(take=Take.ALL):
                needed = _count(there)
            case Per(take=Take.AT_LEAST, at_least=number):
                needed = sql.number(number)
        branches = [(sql.not_(sql.or_(*there)), sql.number(1))]
        for position in range(len(self.ladder.tiers), 0, -1):
            reached = [sql.and_(has, sql.ge(place, sql.number(position))) for has, place in zip(there, at, strict=True)]
            branches.append((sql.ge(_count(reached), needed), sql.number(position)))
        # too few values for any tier leave the lowest one that asks for nothing, as in the standings
        lowest = 1 if self.ladder.tiers[0].requires is None else 0
        return sql.case(branches, sql.number(lowest))


def _count(conditions: Sequence[Sql]) -> Sql:
    total: Sql = sql.number(0)
    for one in conditions:
        total = sql.add(total, sql.case([(one, sql.number(1))], sql.number(0)))
    return total


# --- other programs


def programs_read(program: Program) -> list[str]:
    """Keys of the programs whose tiers a program reads; they are assessed first."""
    return list(dict.fromkeys(source.program for _, source in _others(program) if source.program is not None))


def other_standings(program: str) -> str:
    """Name of the table with the standings of another program: partner_id, category, calculated_tier."""
    return f"standings_of_{program}"


def other_column(metric: str) -> str:
    """Name of the column with a position in another program."""
    return f"other.{metric}"


def other_joins(levelling: Levelling) -> tuple[dict[str, Sql], list[tuple[str, Sql, Sql]]]:
    """The columns of positions in other programs, and the joins (of alias f) that give them.

    Where no category is named the tier of the highest rank counts. Errors: ConfigError for a program not assessed.
    """
    columns: dict[str, Sql] = {}
    joins: list[tuple[str, Sql, Sql]] = []
    for number, (key, source) in enumerate(_others(levelling.program)):
        assert source.program is not None
        if source.program not in levelling.others:
            raise ConfigError(
                f"metric {key} reads the tiers of program {source.program}, which was not assessed with it",
                file=levelling.file,
                line=levelling.program.metrics[key].line,
            )
        alias, partner = f"other{number}", sql.col("partner_id")
        places = _places(levelling.others[source.program], source.category)
        order = {place: at for at, place in enumerate(sorted(set(places.values())), 1)}
        best = sql.max_(sql.case([(one, sql.number(order[place])) for one, place in places.items()], sql.number(0)))
        query = sql.select(
            [partner, sql.named(best, "best")], sql.table(other_standings(source.program)), group=[partner]
        )
        positions = [
            (sql.eq(sql.col("best", alias), sql.number(at)), sql.number(place[1])) for place, at in order.items()
        ]
        columns[other_column(key)] = sql.case(positions, sql.number(0))
        match = sql.eq(sql.col("partner_id", alias), sql.col("partner_id", "f"))
        joins.append(("left", sql.subquery(query, alias), match))
    return columns, joins


def _others(program: Program) -> Iterator[tuple[str, FromTier]]:
    for key, metric in program.metrics.items():
        if isinstance(metric.source, FromTier) and metric.source.program is not None:
            yield key, metric.source


def _places(program: Program, category: str | None) -> dict[Sql, tuple[int, int]]:
    """Rank and position of every tier that a row of its standings may have, by the condition that it has it."""
    found: dict[Sql, tuple[int, int]] = {}
    for key in program.categories if category is None else [category]:
        own, per_value = sql.text(key), sql.text(f"{key}/")
        mine = sql.or_(sql.eq(sql.col("category"), own), sql.starts_with(sql.col("category"), per_value))
        for at, tier in enumerate(program.ladder_of(key).tiers, 1):
            has = sql.and_(mine, sql.eq(sql.col("calculated_tier"), sql.text(tier.key)))
            found[has] = (tier.rank if tier.rank is not None else at, at)
    return found
