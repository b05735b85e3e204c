"""Movement: how the earned tier follows the calculated one on one day.

Expressions over named columns of a standing row, in layers that read those below: `start` (the earned tier the day
begins with), `reach` and `risen` (up), `bottom`, `falls` and `fallen` (down), then the earned tier and what waits.
Positions: -1 no longer belongs, 0 no tier, 1 the lowest. Source: program-language, section 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.before import BEFORE
from crmsync.levelling.decisions import Decisions
from crmsync.levelling.demotion import Demotion
from crmsync.levelling.measures import Measures
from crmsync.levelling.movement_dates import in_force_on
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Change, Effective, Movement

Layers = Iterator[tuple[str, dict[str, Sql]]]


@dataclass(frozen=True)
class Turn:
    """What one day does to the standings of a category."""

    rules: Rules
    names: Measures
    file: str

    @property
    def down(self) -> Demotion:
        """The way down."""
        return Demotion(self.rules, self.names, self.file)

    @property
    def decisions(self) -> Decisions:
        """What people have to say."""
        return Decisions(self.rules)

    # --- before the criteria are asked

    def start(self) -> dict[str, Sql]:
        """The columns `start` and `came`: what was pending comes into force on its day, whatever the numbers say."""
        if not self.rules.has_lag:
            return {}
        arrives = sql.coalesce(sql.le(sql.col(BEFORE.pending_on), sql.day(self.rules.as_of)), sql.false())
        pending = sql.case([(arrives, sql.col(BEFORE.pending))], sql.col(BEFORE.earned))
        return {"start": pending, "came": arrives}

    @property
    def start_column(self) -> str:
        """The earned tier the day begins with; NULL at a first assessment."""
        return "start" if self.rules.has_lag else BEFORE.earned

    # --- after the calculated tier

    def layers(self) -> Layers:
        """The layers that lead to `earned`; `stands` says whether there still is a standing."""
        if self.rules.is_plain:
            yield "earned", {"earned": self._plainly()}
            return
        if not self.rules.has_lag:
            yield "begun", {"start": sql.col(BEFORE.earned)}
        yield "asked", self._asked()
        yield "aimed", self._aimed()
        yield "met_by_people", self._met_by_people()
        yield "turned", self._turned()
        yield "earned", self._earned()
        yield "stood_on", {"stands": self._stands()}

    def _plainly(self) -> Sql:
        """Up at once; down no lower than if every undecided criterion were met."""
        before, calculated, possible = sql.col(BEFORE.earned), sql.col("calculated"), sql.col("possible")
        fallen = sql.least(before, sql.greatest(calculated, possible))
        return sql.case([(sql.is_null(before), calculated), (sql.ge(calculated, before), calculated)], fallen)

    def _asked(self) -> dict[str, Sql]:
        """Dates, what stops a fall, and which tier waits."""
        columns = {
            "bottom": self.down.bottom(),
            "due": self.down.due(),
            "frozen": self.down.frozen(),
            "kept_back": self.down.held(),
            "waiting": self.decisions.waiting(),
        }
        if self.rules.has_grace:
            columns["deadline"] = self.down.deadline(sql.col(BEFORE.grace))
            columns["new_deadline"] = self.down.new_deadline()
        return columns

    def _aimed(self) -> dict[str, Sql]:
        """How far up the dates let a partner go, and whether and how far it falls."""
        start, calculated, waiting = sql.col("start"), sql.col("calculated"), sql.col("waiting")
        open_to = self._open_to()
        above = sql.least(calculated, open_to)
        if self.rules.has_approval:
            still = sql.and_(sql.gt(waiting, start), sql.ge(calculated, waiting))
            above = sql.case([(sql.coalesce(sql.and_(still, sql.gt(waiting, above)), sql.false()), waiting)], above)
        reach = sql.case([(sql.gt(calculated, start), above)], start)
        return {"reach": reach, **self._falling()}

    def _open_to(self) -> Sql:
        """The highest tier before the first on the way up whose promotion date is not today."""
        start = sql.col("start")
        branches = []
        for at, one in enumerate(self.rules.of_tiers, 1):
            closed = sql.not_(self.rules.date_of(one.promote.on))
            if self.rules.is_date(one.promote.on) is not True:
                branches.append((sql.and_(sql.lt(start, sql.number(at)), closed), sql.number(at - 1)))
        return sql.case(branches, sql.number(len(self.rules.of_tiers)))

    def _falling(self) -> dict[str, Sql]:
        start, bottom = sql.col("start"), sql.col("bottom")
        free = sql.not_(sql.or_(sql.col("frozen"), sql.col("kept_back")))
        below = sql.lt(bottom, start)
        now, today = sql.col("due"), sql.day(self.rules.as_of)
        columns: dict[str, Sql] = {}
        if self.rules.has_grace:
            running = self._in_grace()
            over = sql.le(sql.col("deadline"), today)
            at_once = sql.and_(sql.col("due"), sql.le(sql.col("new_deadline"), today))
            now = sql.case([(running, over)], at_once)
            starts = sql.and_(below, free, sql.col("due"), sql.gt(sql.col("new_deadline"), today), sql.not_(running))
            columns["grace_starts"] = sql.and_(sql.coalesce(starts, sql.false()), sql.not_(self._already_decided()))
        if self.rules.has_approval:
            now = sql.or_(now, sql.coalesce(sql.lt(sql.col("waiting"), start), sql.false()))
        columns["falls"] = sql.coalesce(sql.and_(below, free, now), sql.false())
        columns["fallen"] = self.down.fallen()
        return columns

    def _in_grace(self) -> Sql:
        """Whether a grace runs; what came into force today is past it."""
        running = sql.not_null(sql.col(BEFORE.grace))
        return sql.and_(running, sql.not_(sql.col("came"))) if self.rules.has_lag else running

    def _already_decided(self) -> Sql:
        """Whether a fall is decided already and waits for its day or for a person."""
        if not (self.rules.has_lag or self.rules.has_approval):
            return sql.false()
        waits = sql.lt(sql.col(BEFORE.pending), sql.col("start"))
        waits = sql.coalesce(waits, sql.false())
        return sql.and_(waits, sql.not_(sql.col("came"))) if self.rules.has_lag else waits

    def _met_by_people(self) -> dict[str, Sql]:
        """`decided`: how far up the change goes; `risen`: how far people let it; `drop`: how far down."""
        if not self.rules.has_approval:
            dropped = sql.case([(sql.col("falls"), sql.col("fallen"))], sql.col("start"))
            return {"decided": sql.col("reach"), "risen": sql.col("reach"), "drop": dropped}
        decided = sql.least(sql.col("reach"), self.decisions.declined_to())
        risen = sql.least(sql.col("reach"), self.decisions.declined_to(), self.decisions.approved_to())
        refused = self.decisions.drop_declined()
        return {
            "decided": decided,
            "risen": risen,
            "refused": refused,
            "drop": sql.case([(refused, sql.col("start"))], self.decisions.dropped_to()),
        }

    def _turned(self) -> dict[str, Sql]:
        """`rises`, `drops`: the change that counts today; `rises_on`, `drops_on`: the day it comes into force."""
        start, risen, drop = sql.col("start"), sql.col("risen"), sql.col("drop")
        up = self._comes_on(risen, lambda movement: movement.promote)
        down = self._comes_on(start, lambda movement: movement.demote)
        rises, drops = sql.gt(risen, start), sql.lt(drop, start)
        if self.rules.has_lag:
            rises = sql.and_(rises, sql.not_(self._overtaken(risen, up, up_wards=True)))
            drops = sql.and_(drops, sql.not_(self._overtaken(drop, down, up_wards=False)))
        return {
            "rises": sql.coalesce(rises, sql.false()),
            "drops": sql.coalesce(drops, sql.false()),
            "rises_on": up,
            "drops_on": down,
        }

    def _comes_on(self, position: Sql, change: Callable[[Movement], Change]) -> Sql:
        """The day on which a change decided today comes into force, as the tier at a position says."""
        return self.rules.by_position(
            position, lambda one: sql.day(in_force_on(change(one).effective or Effective(), self.rules.as_of))
        )

    def _overtaken(self, to: Sql, day: Sql, up_wards: bool) -> Sql:
        """Whether a change of the same direction is pending already that goes as far or comes sooner."""
        pending, pending_on, start = sql.col(BEFORE.pending), sql.col(BEFORE.pending_on), sql.col("start")
        same = sql.gt(pending, start) if up_wards else sql.lt(pending, start)
        as_far = sql.le(to, pending) if up_wards else sql.ge(to, pending)
        waits = sql.and_(sql.not_null(pending_on), sql.not_(sql.col("came")), same)
        return sql.coalesce(sql.and_(waits, sql.or_(as_far, sql.gt(day, pending_on))), sql.false())

    def _earned(self) -> dict[str, Sql]:
        """The earned tier, and what is remembered of what waits."""
        today = sql.day(self.rules.as_of)
        start, first = sql.col("start"), sql.is_null(sql.col("start"))
        up_now = sql.and_(sql.col("rises"), sql.le(sql.col("rises_on"), today))
        down_now = sql.and_(sql.col("drops"), sql.le(sql.col("drops_on"), today))
        branches = [(first, sql.col("calculated")), (up_now, sql.col("risen")), (down_now, sql.col("drop"))]
        columns = {"earned": sql.case(branches, start)}
        if self.rules.has_lag or self.rules.has_approval:
            columns |= self._waits()
        if self.rules.has_grace:
            columns["grace"] = self._grace()
        return columns

    def _waits(self) -> dict[str, Sql]:
        """`pending`, `pending_on` and `decided_on`: what is decided and not in force."""
        today, start = sql.day(self.rules.as_of), sql.col("start")
        none, never = sql.null(sql.INT), sql.null(sql.DATE)
        cases: list[tuple[Sql, Sql, Sql, Sql]] = [(sql.is_null(start), none, never, never)]
        if self.rules.has_lag:
            later_up = sql.and_(sql.col("rises"), sql.gt(sql.col("rises_on"), today))
            later_down = sql.and_(sql.col("drops"), sql.gt(sql.col("drops_on"), today))
            kept = sql.and_(
                sql.not_null(sql.col(BEFORE.pending_on)),
                sql.not_(sql.or_(sql.col("came"), sql.col("rises"), sql.col("drops"))),
            )
            cases += [
                (later_up, sql.col("risen"), sql.col("rises_on"), never),
                (later_down, sql.col("drop"), sql.col("drops_on"), never),
                (kept, sql.col(BEFORE.pending), sql.col(BEFORE.pending_on), never),
            ]
        if self.rules.has_approval:
            higher = sql.gt(sql.col("decided"), sql.col("risen"))
            lower = sql.and_(sql.col("falls"), sql.not_(sql.col("refused")), sql.eq(sql.col("drop"), start))
            cases += [
                (higher, sql.col("decided"), never, self._waits_since(sql.col("decided"))),
                (lower, sql.col("fallen"), never, self._waits_since(sql.col("fallen"))),
            ]
        return {
            "pending": sql.case([(when, to) for when, to, _, _ in cases], none),
            "pending_on": sql.case([(when, day) for when, _, day, _ in cases], never),
            "decided_on": sql.case([(when, day) for when, _, _, day in cases], never),
        }

    def _waits_since(self, position: Sql) -> Sql:
        same = sql.coalesce(sql.eq(sql.col("waiting"), position), sql.false())
        today = sql.day(self.rules.as_of)
        # standings made by hand may not say since when: then from today
        return sql.case([(same, sql.coalesce(sql.col(BEFORE.decided_on), today))], today)

    def _grace(self) -> Sql:
        """The end of the grace that runs on after today."""
        over = [sql.is_null(sql.col("start")), sql.col("rises"), sql.col("falls")]
        recovered = sql.ge(sql.col("calculated"), sql.col("start"))
        return sql.case(
            [
                (sql.or_(*over), sql.null(sql.DATE)),
                (sql.and_(self._in_grace(), sql.not_(recovered)), sql.col("deadline")),
                (sql.col("grace_starts"), sql.col("new_deadline")),
            ],
            sql.null(sql.DATE),
        )

    def _stands(self) -> Sql:
        """Whether the standing goes on: a member's, or one that movement has not ended yet."""
        gone = sql.and_(sql.le(sql.col("earned"), sql.number(0)), sql.lt(sql.col("earned"), sql.col(BEFORE.earned)))
        return sql.or_(sql.col("belongs"), sql.and_(sql.col(BEFORE.stood), sql.col("takes_part"), sql.not_(gone)))
