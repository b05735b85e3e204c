"""Which tiers of its ladder a row holds today, and so which one is calculated.

A tier above the earned one holds by `requires` (for as long as `sustained` asks), the earned one and those below it by
`keeps`; with `any day of …` a tier holds if it was met on any assessed day of the window. On a ladder with `per` each
value first comes to a tier of its own; what they come to together is then held like that of any other ladder.

Source: program-language, sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.before import held_column, met_column, sustained_id
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.per_values import PerValues, or_lowest, taken
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql
from crmsync.levelling.sustained import since_column
from crmsync.levelling.tiers import highest_position
from crmsync.programs.program import Per

Layers = Iterator[tuple[str, dict[str, Sql]]]


@dataclass(frozen=True)
class Climbing:
    """The layers that lead to `calculated` and `possible`. `start`: column of the earned tier the day begins with."""

    rules: Rules
    criteria: Criteria  # of today
    start: str
    values: PerValues | None = None

    def layers(self) -> Layers:
        """Each layer reads the columns of the one before by name."""
        per = self.values.per if self.values is not None and not self.values.is_each else None
        if per is None:
            yield "held", self._held()
            yield from self._remembered()
            yield "calculated", self._calculated()
            return
        yield "held", self._held("value_")
        yield "valued", self._valued(per)
        if self.rules.sustained or self.rules.windows:
            yield "together", self._held_together()
            yield from self._remembered()
            yield "calculated", self._calculated(sql.col("taken_possible"))
        else:
            yield "calculated", self._ranged(sql.col("taken_calculated"), sql.col("taken_possible"))

    @property
    def _positions(self) -> range:
        return range(1, len(self.rules.ladder.tiers) + 1)

    def _held(self, mark: str = "") -> dict[str, Sql]:
        """Which tiers hold by `requires`, and by `keeps` where that is asked; `mark`: what the names begin with."""
        columns = {}
        for position, tier in enumerate(self.rules.ladder.tiers, 1):
            requires = self.criteria.tier_holds(tier.requires)
            columns[f"{mark}requires_{position}"] = requires
            if tier.keeps is None:
                continue
            keeps = self.criteria.tier_holds(tier.keeps)
            if position in self.rules.sustained and not mark:
                columns[f"keeps_{position}"] = keeps
            else:
                columns[f"{mark}holds_{position}"] = sql.case([(self._kept(position), keeps)], requires)
        return columns

    def _kept(self, position: int) -> Sql:
        """Whether a tier holds by `keeps`: it is the earned one or below it."""
        return sql.ge(sql.coalesce(sql.col(self.start), sql.number(0)), sql.number(position))

    # --- several values

    def _valued(self, per: Per) -> dict[str, Sql]:
        """What the values come to together: by what holds today, at most, and by `requires` alone."""
        ladder = self.rules.ladder
        requires = [sql.col(f"value_requires_{at}") for at in self._positions]
        holds = [sql.col(f"value_{'holds' if self._has_keeps(at) else 'requires'}_{at}") for at in self._positions]
        own = or_lowest(highest_position(ladder, holds))
        columns = {
            "own_calculated": own,
            "taken_calculated": taken(per, ladder, own),
            "taken_possible": taken(per, ladder, or_lowest(highest_position(ladder, holds, undecided_holds=True))),
        }
        if self.rules.sustained:
            columns["taken_required"] = taken(per, ladder, or_lowest(highest_position(ladder, requires)))
        return columns

    def _held_together(self) -> dict[str, Sql]:
        columns = {}
        for position in self._positions:
            held = sql.ge(sql.col("taken_calculated"), sql.number(position))
            if position in self.rules.sustained:
                columns[f"requires_{position}"] = sql.ge(sql.col("taken_required"), sql.number(position))
                columns[f"keeps_{position}"] = held
            else:
                columns[f"holds_{position}" if self._has_keeps(position) else f"requires_{position}"] = held
        return columns

    # --- what is remembered

    def _remembered(self) -> Layers:
        if self.rules.sustained:
            yield "sustained", self._since()
            yield "entering", self._entering()
        if self.rules.windows:
            yield "qualified", dict(self._qualified())

    def _since(self) -> dict[str, Sql]:
        """Since when `requires` has held on every assessed day; undecided breaks it."""
        columns = {}
        for position in self.rules.sustained:
            identity = sustained_id(self.rules.ladder.tiers[position - 1].key)
            since = sql.coalesce(sql.col(held_column(identity)), sql.day(self.rules.as_of))
            holds = sql.coalesce(sql.col(f"requires_{position}"), sql.false())
            columns[since_column(position)] = sql.case([(holds, since)], sql.null(sql.DATE))
        return columns

    def _entering(self) -> dict[str, Sql]:
        columns = {}
        several = self.values is not None and not self.values.is_each
        for position, cutoff in self.rules.sustained.items():
            long_enough = sql.coalesce(sql.le(sql.col(since_column(position)), sql.day(cutoff)), sql.false())
            own_keeps = several or self._has_keeps(position)
            kept = sql.col(f"keeps_{position}" if own_keeps else f"requires_{position}")
            columns[f"holds_{position}"] = sql.case([(self._kept(position), kept)], long_enough)
        return columns

    def _has_keeps(self, position: int) -> bool:
        return self.rules.ladder.tiers[position - 1].keeps is not None

    def _holds(self, position: int) -> Sql:
        own_column = self._has_keeps(position) or position in self.rules.sustained
        return sql.col(f"holds_{position}" if own_column else f"requires_{position}")

    def _qualified(self) -> Iterator[tuple[str, Sql]]:
        """The last day on which a tier was met within its window, and whether it qualifies."""
        for position, first in self.rules.windows.items():
            today, before = sql.day(self.rules.as_of), sql.col(met_column(self.rules.ladder.tiers[position - 1].key))
            holds = self._holds(position)
            recent = sql.not_null(before) if first is None else sql.ge(before, sql.day(first))
            recent = sql.coalesce(recent, sql.false())
            met_now = sql.coalesce(holds, sql.false())
            yield f"met_on_{position}", sql.case([(met_now, today), (recent, before)], sql.null(sql.DATE))
            yield f"qualifies_{position}", sql.case([(recent, sql.true())], holds)

    # --- the tier

    def _calculated(self, at_most: Sql | None = None) -> dict[str, Sql]:
        holds = [sql.col(f"qualifies_{at}") if at in self.rules.windows else self._holds(at) for at in self._positions]
        calculated = highest_position(self.rules.ladder, holds)
        possible = highest_position(self.rules.ladder, holds, undecided_holds=True)
        if self.values is not None and self.values.is_each:
            calculated, possible = or_lowest(calculated), or_lowest(possible)
        return self._ranged(calculated, possible if at_most is None else sql.greatest(at_most, possible))

    def _ranged(self, calculated: Sql, possible: Sql) -> dict[str, Sql]:
        if self.rules.is_plain:
            return {"calculated": calculated, "possible": possible}
        belongs, out = sql.col("belongs"), sql.number(-1)  # below every tier
        return {
            "calculated": sql.case([(belongs, calculated)], out),
            "possible": sql.case([(belongs, possible)], out),
        }
