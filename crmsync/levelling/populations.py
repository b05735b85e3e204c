"""Places in a population: rank and percentile among those who take part, have a known value and are alike.

Source: program-language, section 3 (rank_of, percentile_of).
"""

from __future__ import annotations

from collections.abc import Sequence

from crmsync.levelling import sql
from crmsync.levelling.rollups import takes_best
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import MONEY, Value, as_double, rounded
from crmsync.programs.program import FromRank, FromTier, Metric


def looks_at_others(metric: Metric) -> bool:
    """Whether a metric of an account depends on the finished values of other accounts, or on standings."""
    return isinstance(metric.source, FromRank | FromTier) or takes_best(metric)


def ranked(value: Value, conditions: Sequence[Sql], within: Sequence[Sql]) -> Sql:
    """Whether an account is ranked at all: never NULL.

    `conditions`: takes part, is a member, `where`. An account whose column `within` is empty is like no other.
    """
    known = [sql.not_null(value.sql), *(sql.not_null(cell) for cell in within)]
    if value.lower_bound is not None:
        known.append(sql.not_(value.lower_bound))
    sure = [sql.coalesce(condition, sql.false()) for condition in conditions if condition != sql.true()]
    return sql.and_(*sure, *known)


def yardstick(value: Value) -> Sql:
    """What accounts are ranked by: money exactly, other numbers after rounding to nine digits."""
    return value.sql if value.kind == MONEY else rounded(as_double(value)).sql


def place(source: FromRank, measure: Sql, is_ranked: Sql, within: Sequence[Sql], lower: bool) -> Sql:
    """The place from 1, or the place by the number ranked; NULL for those who are not ranked."""
    over = [is_ranked, *within]
    rank = sql.cast(sql.rank_over(over, measure, descending=not lower), sql.DOUBLE)
    if source.percentile:
        rank = sql.div(rank, sql.cast(sql.count_over(over), sql.DOUBLE))
    return sql.case([(is_ranked, rank)], sql.null(sql.DOUBLE))
