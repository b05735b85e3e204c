"""Overrides of kind `credit`: what is added to a metric of one partner, after roll-up and before what is built on it.

The table `credits` (partner_id, category or null for all, metric, value) holds those in force. They are added today and
ahead, not to the base of a growth; a metric that is unknown stays so.

Source: program-language, section 8.
"""

from __future__ import annotations

from crmsync.levelling import sql
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import takes_credit
from crmsync.levelling.spots import Spot
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Metric, Unit

CREDITS = "credits"


def is_credited(levelling: Levelling, metric: Metric, spot: Spot) -> bool:
    """Whether something may be added to a metric as seen from a spot."""
    return takes_credit(spot) and any(key == metric.key for key, _ in levelling.credits)


def credit_joins(levelling: Levelling) -> tuple[dict[str, Sql], list[tuple[str, Sql, Sql]]]:
    """The columns of what is added, per metric and category, and the join (of alias f) that gives them."""
    if not levelling.credits:
        return {}, []
    categories = list(levelling.program.categories)
    sums: dict[str, Sql] = {}
    for key, of_category in sorted(levelling.credits):
        sums[_column(key, None)] = _sum(key, sql.is_null(sql.col("category")))
        for category in categories if of_category else ():
            mine = sql.coalesce(sql.eq(sql.col("category"), sql.text(category)), sql.true())
            sums[_column(key, category)] = _sum(key, mine)
    partner = sql.col("partner_id")
    totals = sql.select([partner, *sql.columns(sums)], sql.table(CREDITS), group=[partner])
    match = sql.eq(sql.col("partner_id", "cr"), sql.col("partner_id", "f"))
    values = {name: sql.coalesce(sql.col(name, "cr"), sql.number(0)) for name in sums}
    return values, [("left", sql.subquery(totals, "cr"), match)]


def credited_value(levelling: Levelling, metric: Metric, spot: Spot, value: Sql) -> Sql:
    """The value with what is added to it in the category of the spot."""
    category = spot.category if (metric.key, True) in levelling.credits else None
    added = sql.col(_column(metric.key, category))
    if metric.unit is Unit.MONEY:
        return sql.cast(sql.add(value, sql.money(added)), sql.MONEY)
    return sql.add(sql.cast(value, sql.DOUBLE), sql.cast(added, sql.DOUBLE))


def _sum(metric: str, applies: Sql) -> Sql:
    return sql.sum_(sql.col("value"), sql.and_(sql.eq(sql.col("metric"), sql.text(metric)), applies))


def _column(metric: str, category: str | None) -> str:
    return f"credit.{metric}" if category is None else f"credit.{metric}~{category}"
