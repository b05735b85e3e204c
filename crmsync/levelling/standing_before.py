"""What stood before, as columns of the measures: for metrics that depend on the standing in one category.

Only `tier_of`, `held_for` a tier and ranks within a category ask for it; joins are made for those categories alone.
Source: program-language, section 3 (tier_of, rank_of, held_for), 6 (membership) and 7 (keeping, state).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from crmsync.levelling import sql
from crmsync.levelling.before import position_or_none, start_position, sustained_id
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql
from crmsync.levelling.tiers import position_of_key
from crmsync.programs.program import FromHeld, FromRank, FromTier, Program

PREVIOUS = "previous"
"""The table of what stood before, one row per partner and category."""

OVERRIDES = "overrides_in_force"
"""The table of what people decided, one row per partner and category."""

Columns = Iterator[tuple[str, Sql]]


def earned_column(category: str) -> str:
    """Name of the column with the earned position before; NULL where nothing stood."""
    return f"before~{category}?earned"


def stood_column(category: str) -> str:
    """Name of the column that says whether a partner had a standing."""
    return f"before~{category}?stood"


def held_column(category: str, identity: str) -> str:
    """Name of the column with the day since when a condition held before."""
    return f"before~{category}?held:{identity}"


def met_column(category: str, tier: str) -> str:
    """Name of the column with the last day on which a tier was met."""
    return f"before~{category}?met:{tier}"


def member_column(category: str) -> str:
    """Name of the column that says whether an override puts a partner into a category or takes it out."""
    return f"before~{category}?in"


def exempt_prefix(category: str) -> str:
    """What the names of the columns begin with that say who is exempt from a metric's criteria in a category."""
    return f"before~{category}?"


def exemptions(levelling: Levelling) -> frozenset[str]:
    """The columns of the overrides in force that say who is exempt."""
    return frozenset(name for name in levelling.filled if name.startswith("exempt:"))


def remembers(levelling: Levelling) -> bool:
    """Whether anything stood before."""
    return levelling.remembers.get(PREVIOUS, False)


def categories_asked(program: Program) -> list[str]:
    """The categories whose standing before some metric depends on."""
    found: dict[str, None] = {}
    for metric in program.metrics.values():
        match metric.source:
            case FromTier(category=str() as category, program=None):
                found[category] = None
            case FromTier(ladder=str() as ladder):
                climbing = [key for key, one in program.categories.items() if one.ladder == ladder]
                found |= dict.fromkeys(climbing if len(climbing) == 1 else ())
            case FromRank(within_category=True) | FromHeld(tier=str()):
                found |= dict.fromkeys(program.categories)
    return list(found)


def standing_joins(levelling: Levelling) -> tuple[dict[str, Sql], list[tuple[str, Sql, Sql]]]:
    """The columns of what stood before in each category asked for, and the joins (of alias f) that give them."""
    columns: dict[str, Sql] = {}
    joins: list[tuple[str, Sql, Sql]] = []
    for number, category in enumerate(categories_asked(levelling.program)):
        columns |= dict(_columns(levelling, category, f"before{number}"))
        columns |= dict(_decided(levelling, category, f"decided{number}"))
        joins += _joins(levelling, category, number)
    return columns, joins


def _joins(levelling: Levelling, category: str, number: int) -> Iterator[tuple[str, Sql, Sql]]:
    tables = [(PREVIOUS, f"before{number}"), (OVERRIDES, f"decided{number}")]
    for name, alias in tables:
        if levelling.remembers.get(name, False):
            match = sql.and_(
                sql.eq(sql.col("partner_id", alias), sql.col("partner_id", "f")),
                sql.eq(sql.col("category", alias), sql.text(category)),
            )
            yield "left", sql.table(name, alias), match


def _decided(levelling: Levelling, category: str, alias: str) -> Columns:
    """What people decided about membership and criteria."""
    known = "category_in" in levelling.filled
    yield member_column(category), sql.col("category_in", alias) if known else sql.null(sql.BOOLEAN)
    for name in sorted(exemptions(levelling)):
        yield exempt_prefix(category) + name, sql.col(name, alias)


def _columns(levelling: Levelling, category: str, alias: str) -> Columns:
    program, known = levelling.program, remembers(levelling)
    rules = Rules(program, category, levelling.days.as_of, levelling.filled)
    stood = sql.not_null(sql.col("partner_id", alias)) if known else sql.false()
    if "gone" in levelling.filled:  # left on a review day since the previous standings
        stood = sql.and_(stood, sql.not_(sql.col("gone", alias)))
    yield stood_column(category), stood
    started = _started(levelling, category)
    yield earned_column(category), sql.case([(stood, _earned(rules, alias))], started) if known else started
    for position in rules.sustained:
        identity = sustained_id(rules.ladder.tiers[position - 1].key)
        yield held_column(category, identity), _day(f"held:{identity}", alias, known)
    for position in rules.windows:
        key = rules.ladder.tiers[position - 1].key
        yield met_column(category, key), _day(f"met:{key}", alias, known)
    yield from _held_tiers(levelling, rules, stood, started, alias)


def _earned(rules: Rules, alias: str) -> Sql:
    """The earned tier the day begins with: what was pending comes into force on its day."""
    earned = position_of_key(rules.ladder, sql.col("earned_tier", alias))
    if not rules.has_lag:
        return earned
    arrives = sql.coalesce(sql.le(sql.col("pending_on", alias), sql.day(rules.as_of)), sql.false())
    pending = position_or_none(rules.ladder, sql.col("pending_tier", alias), earned)
    return sql.case([(arrives, pending)], earned)


def _held_tiers(levelling: Levelling, rules: Rules, stood: Sql, started: Sql, alias: str) -> Columns:
    """Since when the granted tier is high enough; without that memory it counts from the first day of its tier, and a
    hand-kept tier as if granted on the day before as_of."""
    yesterday = sql.day(levelling.days.as_of - timedelta(days=1))
    for key, metric in levelling.program.metrics.items():
        if not isinstance(metric.source, FromHeld) or metric.source.tier is None:
            continue
        keys = [tier.key for tier in rules.ladder.tiers]
        if metric.source.tier not in keys:
            yield held_column(rules.category, key), sql.null(sql.DATE)
            continue
        enough = sql.number(keys.index(metric.source.tier) + 1)
        branches = [(sql.and_(sql.not_(stood), sql.coalesce(sql.ge(started, enough), sql.false())), yesterday)]
        if remembers(levelling):
            granted = sql.ge(position_of_key(rules.ladder, sql.col("granted_tier", alias)), enough)
            since = sql.coalesce(sql.col(f"held:{key}", alias), sql.col("tier_since", alias))
            branches.append((sql.and_(stood, granted), since))
        yield held_column(rules.category, key), sql.case(branches, sql.null(sql.DATE))


def _started(levelling: Levelling, category: str) -> Sql:
    """Position of a hand-kept tier, which counts as earned where nothing stood before."""
    starts = levelling.program.categories[category].starts_from or levelling.program.starts_from
    if starts is None:
        return sql.null(sql.INT)
    cell = levelling.rows("partners").value("partners", starts.column).sql
    return start_position(levelling.program.ladder_of(category), starts, cell)


def _day(column: str, alias: str, known: bool) -> Sql:
    return sql.col(column, alias) if known else sql.null(sql.DATE)
