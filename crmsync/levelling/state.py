"""State: what the next assessment needs and no other column of the standings holds.

A JSON object with only the parts that the program needs: promoted_on, decided_on, declined, member_since, `held` (id of
a condition -> the day since when it holds) and `met` (tier -> the last day it was met). Days are ISO text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.before import BEFORE, NO_TIER, sustained_id
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql
from crmsync.levelling.sustained import since_column
from crmsync.levelling.tiers import by_tier
from crmsync.programs.program import FromHeld, Ladder, Program

DAYS = ("promoted_on", "decided_on", "member_since")
TEXTS = ("declined",)
HELD, MET = "held", "met"
_SOME_DAY = date(2000, 1, 1)


@dataclass(frozen=True)
class Shape:
    """Which parts the state of a program has."""

    days: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    held: tuple[str, ...] = ()  # ids
    met: tuple[str, ...] = ()  # tiers

    @property
    def columns(self) -> dict[str, pa.DataType]:
        """Name and type of each part as a flat column."""
        return {
            **dict.fromkeys(self.days, pa.date32()),
            **dict.fromkeys(self.texts, pa.string()),
            **{f"{HELD}:{one}": pa.date32() for one in self.held},
            **{f"{MET}:{one}": pa.date32() for one in self.met},
        }


def shape_of(program: Program) -> Shape:
    """The parts that some category of a program needs, the same for all of them."""
    rules = [Rules(program, key, _SOME_DAY) for key in program.categories]
    days = []
    if any(one.holds_promoted for one in rules):
        days.append("promoted_on")
    approval = any(one.has_approval for one in rules)
    days += ["decided_on"] if approval else []
    days += ["member_since"] if program.reassess is not None else []
    sustained = [sustained_id(one.ladder.tiers[at - 1].key) for one in rules for at in one.sustained]
    recorded = [key for key, metric in program.metrics.items() if isinstance(metric.source, FromHeld)]
    met = dict.fromkeys(one.ladder.tiers[at - 1].key for one in rules for at in one.windows)
    return Shape(tuple(days), TEXTS if approval else (), (*dict.fromkeys(sustained), *recorded), tuple(met))


def struct_of(shape: Shape, parts: Mapping[str, Sql]) -> Sql:
    """The state of a row from its parts by flat name; NULL where every part is."""
    if not shape.columns:
        return sql.null(sql.TEXT)
    texts = {name: sql.cast(parts[name], sql.TEXT) if name in parts else sql.null(sql.TEXT) for name in shape.columns}
    known = sql.not_null(sql.coalesce(next(iter(texts.values())), *list(texts.values())[1:]))
    fields: dict[str, Sql] = {name: texts[name] for name in (*shape.days, *shape.texts)}
    for group, ids in ((HELD, shape.held), (MET, shape.met)):
        if ids:
            # Sail refuses an empty struct with a part that can never be empty: so each part may be
            fields[group] = sql.case([(known, sql.struct({one: texts[f"{group}:{one}"] for one in ids}))])
    return sql.case([(known, sql.struct(fields))])


@dataclass
class Remembering:
    """The parts of a category's state after today, as SQL over the columns of the row."""

    rules: Rules
    holds: Mapping[str, Sql] = field(default_factory=dict)  # id of a held_for metric -> the day since when

    def parts(self) -> dict[str, Sql]:
        """Flat name -> value."""
        found = {f"{HELD}:{one}": day for one, day in self.holds.items()}
        found |= dict(self._of_movement())
        for position in self.rules.sustained:
            identity = sustained_id(self.rules.ladder.tiers[position - 1].key)
            found[f"{HELD}:{identity}"] = sql.col(since_column(position))
        for position in self.rules.windows:
            found[f"{MET}:{self.rules.ladder.tiers[position - 1].key}"] = sql.col(f"met_on_{position}")
        return found

    def _of_movement(self) -> Iterable[tuple[str, Sql]]:
        rules, today = self.rules, sql.day(self.rules.as_of)
        if rules.holds_promoted:
            up = sql.gt(sql.col("earned"), sql.col(BEFORE.earned))
            yield "promoted_on", sql.case([(sql.coalesce(up, sql.false()), today)], sql.col(BEFORE.promoted_on))
        if rules.has_approval:
            yield "decided_on", sql.col("decided_on")
            yield "declined", self._declined()
        if rules.program.reassess is not None:
            since = sql.case([(sql.col(BEFORE.stood), sql.col(BEFORE.member_since))])
            yield "member_since", sql.case([(sql.col("belongs"), sql.coalesce(since, today))], since)

    def _declined(self) -> Sql:
        """The tier that was declined and is not asked again yet."""
        up = sql.and_(sql.lt(sql.col("decided"), sql.col("reach")), sql.gt(sql.col("reach"), sql.col("start")))
        refused = sql.and_(sql.col("falls"), sql.col("refused"))
        above = sql.add(sql.col("decided"), sql.number(1))
        still = sql.and_(
            sql.or_(
                sql.and_(
                    sql.gt(sql.col(BEFORE.declined), sql.col("start")),
                    sql.ge(sql.col("calculated"), sql.col(BEFORE.declined)),
                    sql.le(sql.col("reach"), sql.col("start")),
                ),
                sql.and_(
                    sql.lt(sql.col(BEFORE.declined), sql.col("start")),
                    sql.lt(sql.col("calculated"), sql.col("start")),
                    sql.not_(sql.col("falls")),
                ),
            ),
            sql.eq(sql.col("earned"), sql.col("start")),
        )
        position = sql.case(
            [
                (sql.coalesce(up, sql.false()), above),
                (sql.coalesce(refused, sql.false()), sql.col("fallen")),
                (sql.coalesce(still, sql.false()), sql.col(BEFORE.declined)),
            ],
            sql.null(sql.INT),
        )
        return key_or_none(self.rules.ladder, position)


def key_or_none(ladder: Ladder, position: Sql) -> Sql:
    """Key of a waiting tier; `none` for no tier, NULL where nothing waits."""
    none = sql.case([(sql.le(position, sql.number(0)), sql.text(NO_TIER))], sql.null(sql.TEXT))
    return by_tier(ladder, position, lambda tier: sql.text(tier.key), none)


def held_tier(rules: Rules, tier: str, before: str) -> Sql:
    """Since when the granted tier has been a tier or higher. `before`: the column with what is remembered of it."""
    keys = [one.key for one in rules.ladder.tiers]
    if tier not in keys:
        return sql.null(sql.DATE)
    wanted = sql.number(keys.index(tier) + 1)
    # a hand-kept tier of a first run counts as granted the day before, with nothing remembered of it
    remembered = sql.case([(sql.col(BEFORE.stood), sql.col(before))], sql.null(sql.DATE))
    had = sql.ge(sql.col(BEFORE.granted), wanted)
    since = sql.case([(had, sql.coalesce(remembered, sql.col(BEFORE.since)))], sql.null(sql.DATE))
    now = sql.coalesce(since, sql.day(rules.as_of))
    return sql.case([(sql.ge(sql.col("granted"), wanted), now)], sql.null(sql.DATE))
