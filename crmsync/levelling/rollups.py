"""Roll-ups over the tree of accounts: how values of single accounts come together.

`best`, `family best` and `inherit` act on the finished value of every account, so the measures made so far become a
table first (a barrier), the best of each is found over the tree, and what is built on it follows. An unknown value
never wins; the best of none known is unknown. A lower bound that takes part leaves the best a lower bound; where lower
is better it says nothing about the others and counts as unknown.

Source: program-language, section 3 (roll-up).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crmsync.levelling import sql
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.reach import heads, subtrees
from crmsync.levelling.sql import Sql
from crmsync.programs.program import FromRank, Metric, RollsUp, Unit

BEST_OF = frozenset({RollsUp.BEST, RollsUp.FAMILY_BEST, RollsUp.INHERIT})
"""Roll-ups that need a barrier."""

WHOLE_FAMILY = frozenset({RollsUp.FAMILY, RollsUp.FAMILY_BEST})


def over_tree(rolls_up: RollsUp, pairs: str, accounts: Sql, values: Mapping[str, Sql]) -> Sql:
    """(partner_id, values): aggregates over the accounts whose values come together for each account.

    `accounts`: a relation (partner_id, …) of alias m; `pairs`: a table (ancestor, member), of which the ancestor is the
    top of the tree where the roll-up is of the whole family.
    """
    if rolls_up not in WHOLE_FAMILY:
        give, take = ("ancestor", "member") if rolls_up is RollsUp.INHERIT else ("member", "ancestor")
        return _grouped(pairs, accounts, values, give, take, "partner_id")
    tops = sql.subquery(_grouped(pairs, accounts, values, "member", "ancestor", "top"), "b")
    shown = {"partner_id": sql.col("member", "t"), **{name: sql.col(name, "b") for name in values}}
    match = sql.eq(sql.col("top", "b"), sql.col("ancestor", "t"))
    return sql.select(sql.columns(shown), sql.table(pairs, "t"), [("inner", tops, match)])


def pairs_of(levelling: Levelling, metric: Metric) -> str:
    """The table of pairs (ancestor, member) over which a metric rolls up; every account is in it."""
    where = metric.rolls_up_where
    return heads(levelling, where) if metric.rolls_up in WHOLE_FAMILY else subtrees(levelling, where)


def _grouped(pairs: str, accounts: Sql, values: Mapping[str, Sql], give: str, take: str, key: str) -> Sql:
    taker = sql.col(take, "c")
    match = sql.eq(sql.col(give, "c"), sql.col("partner_id", "m"))
    joins = [("inner", sql.table(pairs, "c"), match)]
    return sql.select([sql.named(taker, key), *sql.columns(values)], accounts, joins, group=[taker])


# --- the best of several accounts


@dataclass(frozen=True)
class Own:
    """An account's own value: a column of the table below, its flag where it may be a lower bound, and what is best."""

    column: str
    lost: str | None
    lower: bool
    yes_no: bool

    def best(self) -> dict[str, Sql]:
        """The best of several, and whether it is a lower bound; alias m."""
        value = sql.col(self.column, "m")
        if self.lost is None:
            return {self.column: self._best_of(value)}
        lost = sql.col(self.lost, "m")
        if self.lower:
            # who stands alone has its own value, a lower bound as it is
            alone = sql.eq(sql.count(), sql.number(1))
            sure = self._best_of(sql.case([(lost, sql.null())], value))
            return {
                self.column: sql.case([(alone, self._best_of(value))], sure),
                self.lost: sql.and_(alone, sql.any_true(lost)),
            }
        bound = sql.any_true(sql.and_(lost, sql.not_null(value)))
        return {self.column: self._best_of(value), self.lost: bound}

    def _best_of(self, value: Sql) -> Sql:
        if not self.yes_no:
            return sql.min_(value) if self.lower else sql.max_(value)
        # yes is best, and no where lower is better
        return sql.not_(sql.any_true(sql.not_(value))) if self.lower else sql.any_true(value)

    @property
    def columns(self) -> list[str]:
        """The column, and the one of its flag."""
        return [self.column] if self.lost is None else [self.column, self.lost]


@dataclass
class Barrier:
    """One table with the best values of each account, for all columns that roll up the same way over the same pairs.

    Its alias where it is joined is its name.
    """

    name: str
    rolls_up: RollsUp
    pairs: str
    columns: list[Own] = field(default_factory=list)

    def query(self, below: str) -> Sql:
        """The best of each, from the table of own values."""
        values = {name: value for own in self.columns for name, value in own.best().items()}
        return over_tree(self.rolls_up, self.pairs, sql.table(below, "m"), values)


def takes_best(metric: Metric) -> bool:
    """Whether a metric's roll-up needs the finished values of other accounts."""
    return metric.rolls_up in BEST_OF and metric.unit is not Unit.TEXT


def lower_is_best(metric: Metric) -> bool:
    """Whether the smaller of two values is the better one: by `better: lower`, and always of places in a ranking."""
    return metric.lower_is_better or isinstance(metric.source, FromRank)
