"""One day of a program: all its standings, made when they are asked for. Shares no code with the engine."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property

from crmsync.programs.program import Category, Program, RollsUp, Take
from tests.levelling.facts import Facts
from tests.levelling.oracle_metrics import Metrics
from tests.levelling.oracle_overrides import MEASURED, Exceptions
from tests.levelling.oracle_places import Places, Stood, values_of
from tests.levelling.oracle_told import Told
from tests.levelling.oracle_versions import written_back


class Day:
    """One day of a program on its tables. `stood`: by (partner, category); `without`: overrides that are left out."""

    def __init__(
        self, program: Program, facts: Facts, as_of: date, stood: Mapping[tuple[str, str], Stood], without: bool = False
    ) -> None:
        self.program, self.as_of, self.stood = program, as_of, stood
        rows = facts.rows.get("overrides", [])
        exceptions = Exceptions(program, rows, as_of, MEASURED if without else ())
        self.world = Metrics(program, facts, as_of, credits=exceptions.credits)
        self.places = self.world.places = Places(self.world, exceptions, stood)
        self.facts = facts
        self._standings: dict[tuple[str, str], Told] = {}

    # --- the version before

    @cached_property
    def _before(self) -> Day | None:
        """The same day in the version before, as long as that still bounds demotions."""
        migration, old = self.program.migration, self.program.before
        if migration is None or old is None or self.as_of > migration.keep_until:
            return None
        return Day(old, self.facts, self.as_of, written_back(self.stood, self.program))

    def given_before(self, partner: str, category: str, key: str) -> int | None:
        """The tier that the version before gives, as a position of this one; None: nothing."""
        old = self._before
        if old is None or category not in old.program.categories:
            return None
        there = next((one for one in old.of_partner(partner) if one.key == key), None)
        if there is None or not there.moved.stands or there.moved.earned <= 0:
            return None
        assert self.program.migration is not None
        name = old.program.ladder_of(category).tiers[there.moved.earned - 1].key
        name = self.program.migration.becomes.get(name, name)
        tiers = [tier.key for tier in self.program.ladder_of(category).tiers]
        return tiers.index(name) + 1 if name in tiers else None

    def of_partner(self, partner: str) -> list[Told]:
        """All rows that a partner could have, in the order of the categories."""
        return [one for category in self.program.categories.values() for one in self._of_category(partner, category)]

    def _of_category(self, partner: str, category: Category) -> list[Told]:
        per = self.program.ladder_of(category.key).per
        if per is None or per.take is not Take.EACH:
            return [self.standing(partner, category)]
        has = values_of(self.world, self.program.ladder_of(category.key), partner)
        prefix = f"{category.key}/"
        stood = {key[1].removeprefix(prefix) for key in self.stood if key[0] == partner and key[1].startswith(prefix)}
        found = [self.standing(partner, category, one) for one in sorted({*has, *stood})]
        if not has or (partner, category.key) in self.stood:
            found.append(self.standing(partner, category))
        return found

    def standing(self, partner: str, category: Category, value: str | None = None) -> Told:
        key = f"{category.key}/{value}" if value is not None else category.key
        if (partner, key) not in self._standings:
            self._standings[partner, key] = Told(self, partner, category, key, value)
        return self._standings[partner, key]

    @cached_property
    def circles(self) -> set[str]:
        """Those in a cycle or too deep, where something passes along the tree."""
        program, world = self.program, self.world
        rolls = any(metric.rolls_up is not RollsUp.OWN for metric in program.metrics.values())
        families = any(program.family_of(one) is not None for one in program.ladders.values())
        if not rolls and not families:
            return set()
        deep = {one for one in world.partners if len(world.ancestors(one)) > 65}
        return {*world.in_circles, *deep} if world.parents else deep
