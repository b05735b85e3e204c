"""Standings of one category: who belongs, which tier they hold, what is missing, what is at risk.

One query in layers, each reading the columns of the one below by name. Source: program-language, sections 5, 6 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from crmsync.levelling import risk, sql
from crmsync.levelling.atoms import Days
from crmsync.levelling.before import held_column
from crmsync.levelling.belonging import Belonging
from crmsync.levelling.benefits import Benefits
from crmsync.levelling.climbing import Climbing
from crmsync.levelling.criteria import Criteria, Limits, Slots
from crmsync.levelling.family import inherited
from crmsync.levelling.granting import granted_columns
from crmsync.levelling.held_for import recorded, since_column
from crmsync.levelling.levelling import FILLED
from crmsync.levelling.measures import Measures, with_shown
from crmsync.levelling.movement import Turn
from crmsync.levelling.per_values import PER_VALUE, PLACE, PerValues, enough, or_lowest, taken
from crmsync.levelling.rules import Rules
from crmsync.levelling.shown import shown_texts
from crmsync.levelling.spots import HORIZON, NOW, PACE
from crmsync.levelling.sql import Sql
from crmsync.levelling.standing_row import StandingRow
from crmsync.levelling.state import Remembering, held_tier
from crmsync.levelling.towards import Towards
from crmsync.levelling.words import events
from crmsync.programs.program import Category, Ladder, Program


@dataclass(frozen=True)
class Standing:
    """Builds the standings of one category from the table of measures."""

    program: Program
    category: Category
    order: int
    measures: Mapping[str, Measures]  # by view
    limits: Limits
    days: Days
    file: str
    partner_columns: frozenset[str]
    remembers: Mapping[str, bool]  # which tables, and which columns of theirs, hold anything
    slots: Slots = field(default_factory=Slots)
    light: bool = False  # tiers and movement alone: no gap, no risk
    outlook: bool = False  # only who will have lost the tier at the horizon
    values: PerValues | None = None  # where the ladder is climbed once per value
    above: str | None = None  # the table of (ancestor, member) by which a family floor reaches down

    @property
    def ladder(self) -> Ladder:
        return self.program.ladders[self.category.ladder]

    @cached_property
    def rules(self) -> Rules:
        """The movement of the category on this day."""
        filled = frozenset(name.removeprefix(FILLED) for name, any_ in self.remembers.items() if any_)
        return Rules(self.program, self.category.key, self.days.as_of, filled)

    def names(self, view: str) -> Measures:
        """The measures as a partner of this category sees them in one view."""
        return self.measures[view].at(category=self.category.key)

    def row_names(self, view: str) -> Measures:
        """The measures as a row sees them: those of its value, where each value has a row."""
        names = self.names(view)
        return names if self.values is None else self.values.names(names)

    def criteria(self, view: str, spare: bool = False) -> Criteria:
        """The criteria as seen in one view."""
        near = self.program.risk.near if spare else None
        names = with_shown(self.row_names(view), view == NOW and not self.light)
        exempt = frozenset(name for name in self.rules.filled if name.startswith("exempt:"))
        return Criteria(self.program, names, self.limits, near, self.slots, exempt)

    def statements(self, measures: str) -> list[tuple[str, Sql]]:
        """Tables to make one after the other; the last holds all rows of the category with the columns of the standings
        table and a few for the headline."""
        turn = Turn(self.rules, self.names(NOW), self.file)
        climbing = list(Climbing(self.rules, self.criteria(NOW), turn.start_column, self.values).layers())
        brief = self.light or (self.outlook and self.values is None)  # of several values the gap chooses the row
        held = None if brief else self._held()
        ahead = [] if self.light else self._ahead(held)
        towards = Towards(self.program, self.ladder, self.criteria(NOW))
        gaps, gap_layers = ({}, []) if brief else towards.columns()
        texts = {} if brief else shown_texts(self.names(NOW)) | self._value_texts()
        query = self._layer(self._who(measures), "begun", turn.start())
        # all criteria were compiled above: what they share is computed once, below them
        query = self._layer(query, "required", self.slots.required_columns | self.slots.rounded_columns | texts)
        query = self._layer(query, "met", self.slots.met_columns)
        for alias, columns in (*climbing, *turn.layers(), ("happened", events(self.rules))):
            query = self._layer(query, alias, columns)
        made: list[tuple[str, Sql]] = []
        if self.above is not None:
            made.append((f"moved_{self.order}", query))
            query = inherited(made[0][0], self.above, self._stands, self.values)
        for alias, columns in granted_columns(self.rules, self.above is not None):
            query = self._layer(query, alias, columns)
        row = StandingRow(self.program, self.category, self.order, self.rules, self.names(NOW), turn, self.values)
        remembering = Remembering(self.rules, self._held_for())
        if self.light:
            query = self._one_per_partner(query, [])
            told = row.light(remembering)
            if self.program.primary:
                told["yardstick"] = row.mine(self._yardstick(), sql.null(sql.DOUBLE))
            made.append((self.table, sql.select(sql.columns(told), sql.subquery(query, "standing"))))
            return made
        for alias, columns in ahead:
            query = self._layer(query, alias, columns)
        if held is None:
            return [*made, (self.table, sql.select(sql.columns(row.outlook()), sql.subquery(query, "standing")))]
        query = self._layer(query, "risk", {"risk": risk.risk_word()})
        query = self._layer(query, "why", risk.why_at_risk())
        for alias, columns in held.told:
            query = self._layer(query, alias, columns)
        for depth, layer in enumerate(gap_layers):
            query = self._layer(query, f"gap{depth}", layer)
        if self.values is not None:
            query = self._layer(query, "nearing", {"nearing": gaps["progress"]})
            reached = sql.case([(sql.ge(sql.col("own_calculated"), sql.col("next")), sql.number(1))], sql.number(0))
            query = self._one_per_partner(query, [(reached, False), (sql.col("nearing"), True)])
        final = row.whole(remembering, gaps, held.reasons(), self._yardstick(), self._benefits())
        return [*made, (self.table, sql.select(sql.columns(final), sql.subquery(query, "standing")))]

    @property
    def table(self) -> str:
        """Name of the table of the rows."""
        return f"standing_{self.order}"

    @property
    def _stands(self) -> Sql:
        return sql.col("belongs" if self.rules.is_plain else "stands")

    def _one_per_partner(self, query: Sql, order: list[tuple[Sql, bool]]) -> Sql:
        """Of the rows of a partner's values the one that gap and risk speak of: the first by `order`, then by name."""
        if self.values is None or self.values.is_each:
            return query
        place = sql.row_number([sql.col("partner_id")], [*order, (sql.col(PER_VALUE), False)])
        placed = self._layer(query, "placed", {PLACE: place})
        return sql.select([sql.star()], sql.subquery(placed, "one"), where=sql.eq(sql.col(PLACE), sql.number(1)))

    def _value_texts(self) -> dict[str, Sql]:
        return {} if self.values is None else self.values.texts(self.names(NOW))

    def _layer(self, query: Sql, alias: str, columns: Mapping[str, Sql]) -> Sql:
        if not columns:
            return query
        return sql.select([sql.star(), *sql.columns(columns)], sql.subquery(query, alias))

    def _who(self, measures: str) -> Sql:
        belonging = Belonging(
            self.rules, self.category, self.names(NOW), self.file, self.partner_columns, self.remembers, self.values
        )
        if self.values is None:
            return belonging.query(sql.table(measures, "m"))
        by_view = {view: self.names(view) for view in self.values.views}
        return belonging.query(sql.subquery(self.values.rows(measures, by_view), "m"))

    def _held_for(self) -> dict[str, Sql]:
        """Since when each condition of a `held_for` metric holds after today, by its id."""
        found: dict[str, Sql] = {}
        names = self.names(NOW)
        for one in recorded(self.program):
            if one.tier is None:
                found[one.id] = sql.col(since_column(one.metric, names.spots.at(one.metric, names.spot)))
            else:
                found[one.id] = held_tier(self.rules, one.tier, held_column(one.id))
        return found

    # --- ahead

    def _ahead(self, held: risk.Held | None) -> list[tuple[str, dict[str, Sql]]]:
        """The layers that look ahead; what several values come to together is asked as for the calculated tier."""
        below = [] if held is None else held.asked
        own = {
            "kept": risk.position_by_keeps(self.ladder, self.criteria(NOW), self._entered),
            "projected": risk.position_by_keeps(self.ladder, self.criteria(HORIZON)),
            "paced": risk.position_by_keeps(self.ladder, self.criteria(PACE)),
            "thin": sql.false() if held is None else held.thin(),
        }
        if self.values is None:
            return [*below, ("ahead", own)]
        per, positions = self.values.per, ("kept", "projected", "paced")
        if self.values.is_each:
            return [*below, ("ahead", own | {name: or_lowest(own[name]) for name in positions})]
        together = {name: taken(per, self.ladder, or_lowest(sql.col(f"value_{name}"))) for name in positions}
        together["thin"] = sql.not_(enough(per, sql.not_(sql.col("value_thin"))))
        return [
            *below,
            ("ahead_of_value", {f"value_{name}": value for name, value in own.items()}),
            ("ahead", together),
        ]

    @property
    def _entered(self) -> str:
        """How the columns of `Climbing` begin that say whether a tier holds by `requires`."""
        several = self.values is not None and not self.values.is_each
        return "value_requires_" if several else "requires_"

    def _held(self) -> risk.Held:
        looks = risk.Looks(
            self.criteria(NOW), self.criteria(PACE), self.criteria(HORIZON), self.criteria(NOW, spare=True)
        )
        return risk.Held(self.ladder, looks)

    def _benefits(self) -> Sql:
        on = self.program.effective_from or self.days.as_of
        names = with_shown(self.names(NOW), True)
        return Benefits(self.program, self.category.key, names, self.limits.money, on).struct()

    def _yardstick(self) -> Sql:
        metric = self.program.primary.get(self.category.key)
        if metric is None:
            return sql.null(sql.DOUBLE)
        return sql.cast(self.names(NOW).metric(metric).sql, sql.DOUBLE)
