"""Which tiers of its ladder a row holds today, and so which one is calculated.

A tier above the earned one holds by `requires` (for as long as `sustained` asks), the earned one and those below it by
`keeps`; with `any day of …` a tier holds if it was met on any assessed day of the window.

Source: program-language, sections 5 and 7.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.before import held_column, met_column, sustained_id
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql
from crmsync.levelling.tiers import highest_position


@dataclass(frozen=True)
class Climbing:
    """The layers that lead to `calculated` and `possible`. `start`: column of the earned tier the day begins with."""

    rules: Rules
    criteria: Criteria  # of today
    start: str

    def layers(self) -> Iterator[tuple[str, dict[str, Sql]]]:
        """Each layer reads the columns of the one before by name."""
        yield "held", self._held()
        if self.rules.sustained:
            yield "sustained", self._since()
            yield "entering", self._entering()
        if self.rules.windows:
            yield "qualified", dict(self._qualified())
        yield "calculated", self._calculated()

    def _held(self) -> dict[str, Sql]:
        columns = {}
        for position, tier in enumerate(self.rules.ladder.tiers, 1):
            requires = self.criteria.tier_holds(tier.requires)
            columns[f"requires_{position}"] = requires
            if tier.keeps is not None:
                keeps = self.criteria.tier_holds(tier.keeps)
                if position in self.rules.sustained:
                    columns[f"keeps_{position}"] = keeps
                else:
                    columns[f"holds_{position}"] = sql.case([(self._kept(position), keeps)], requires)
        return columns

    def _kept(self, position: int) -> Sql:
        """Whether a tier holds by `keeps`: it is the earned one or below it."""
        return sql.ge(sql.coalesce(sql.col(self.start), sql.number(0)), sql.number(position))

    def _since(self) -> dict[str, Sql]:
        """Since when `requires` has held on every assessed day; undecided breaks it."""
        columns = {}
        for position in self.rules.sustained:
            identity = sustained_id(self.rules.ladder.tiers[position - 1].key)
            since = sql.coalesce(sql.col(held_column(identity)), sql.day(self.rules.as_of))
            holds = sql.coalesce(sql.col(f"requires_{position}"), sql.false())
            columns[f"since_{position}"] = sql.case([(holds, since)], sql.null(sql.DATE))
        return columns

    def _entering(self) -> dict[str, Sql]:
        columns = {}
        for position, cutoff in self.rules.sustained.items():
            long_enough = sql.coalesce(sql.le(sql.col(f"since_{position}"), sql.day(cutoff)), sql.false())
            kept = sql.col(f"keeps_{position}" if self._has_keeps(position) else f"requires_{position}")
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

    def _calculated(self) -> dict[str, Sql]:
        positions = range(1, len(self.rules.ladder.tiers) + 1)
        holds = [sql.col(f"qualifies_{at}") if at in self.rules.windows else self._holds(at) for at in positions]
        calculated = highest_position(self.rules.ladder, holds)
        possible = highest_position(self.rules.ladder, holds, undecided_holds=True)
        if self.rules.is_plain:
            return {"calculated": calculated, "possible": possible}
        belongs, out = sql.col("belongs"), sql.number(-1)  # below every tier
        return {
            "calculated": sql.case([(belongs, calculated)], out),
            "possible": sql.case([(belongs, possible)], out),
        }
