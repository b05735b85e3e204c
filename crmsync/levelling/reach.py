"""Reach: whose records count for an account, and who shares what it gets.

`sum` reaches the subtree, `family` the whole tree for everybody in it; `rolls_up_where` leaves accounts out. Every
answer is a table of pairs (ancestor, member) that is made when first asked for. Source: program-language, section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.conditions import condition_of
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import Value
from crmsync.programs.program import Formula, Metric, RollsUp

CLOSURE, TOPS, PARENTS = "closure", "tops", "parents"
FAMILIES, ALONE = "families", "alone"
"""Of the closure: (ancestor, member) of accounts that have others below them; (partner_id) of those that have none."""


@dataclass(frozen=True)
class Reach:
    """`pairs`: the table (ancestor, member) of whose records count for whom; None: each for its own account only.

    `shared`: what the ancestor gets its members have too, each member having one ancestor. `parted`: the tables
    `families` and `alone` hold the same, and the accounts that have nothing but their own apart.
    """

    pairs: str | None = None
    shared: bool = False
    parted: bool = False


OWN = Reach()


def reach_of(levelling: Levelling, metric: Metric) -> Reach:
    """Whose records count for a metric; what is best or inherited is taken from own values."""
    if levelling.flat:
        return OWN
    if metric.rolls_up is RollsUp.SUM:
        return Reach(subtrees(levelling, metric.rolls_up_where), parted=metric.rolls_up_where is None)
    if metric.rolls_up is RollsUp.FAMILY:
        return Reach(heads(levelling, metric.rolls_up_where), shared=True)
    return OWN


def subtrees(levelling: Levelling, where: Formula | None = None) -> str:
    """Name of the table of (ancestor, member): every account with itself and those below it for which `where` holds."""
    if where is None:
        return _registered(levelling, CLOSURE)
    holds = sql.or_(sql.eq(sql.col("ancestor", "c"), sql.col("member", "c")), _asked(levelling, where))
    pairs = [sql.col("ancestor", "c"), sql.col("member", "c")]
    return _asked_pairs(levelling, CLOSURE, where, pairs, holds)


def heads(levelling: Levelling, where: Formula | None = None) -> str:
    """Name of the table of (ancestor, member): every account once, with the top of its tree, or with itself where
    `where` does not hold."""
    if where is None:
        return _registered(levelling, TOPS)
    holds = sql.coalesce(_asked(levelling, where), sql.false())
    head = sql.case([(holds, sql.col("ancestor", "c"))], sql.col("member", "c"))
    return _asked_pairs(levelling, TOPS, where, [sql.named(head, "ancestor"), sql.col("member", "c")], None)


def parents(levelling: Levelling) -> str:
    """Name of the table of (ancestor, member): every account that has a parent, with that parent."""
    return _registered(levelling, PARENTS)


def head_of(levelling: Levelling, partner_id: str, reach: Reach) -> str:
    """The account that a partner's value is computed for: where it is shared the head of its family, else itself."""
    if not reach.shared or reach.pairs is None:
        return partner_id
    match = sql.eq(sql.col("member"), sql.text(partner_id))
    found = levelling.engine.read(sql.select([sql.col("ancestor")], sql.table(reach.pairs), where=match))
    return str(found.column(0)[0].as_py()) if found.num_rows else partner_id


# --- rows and values over pairs


def over_pairs(name: str, pairs: str, values: Mapping[str, Callable[[Sql], Sql]], keys: Sequence[str]) -> Sql:
    """Columns of the table `name` per account that they reach, combined; `keys`: what they are grouped by besides."""
    group = {"partner_id": sql.col("ancestor", "c"), **{key: sql.col(key, "m") for key in keys}}
    combined = {key: combine(sql.col(key, "m")) for key, combine in values.items()}
    joins = [("inner", sql.table(pairs, "c"), _given_by("m"))]
    shown = [*sql.columns(group), *sql.columns(combined)]
    return sql.select(shown, sql.table(name, "m"), joins, group=list(group.values()))


def over_families(name: str, values: Mapping[str, Callable[[Sql], Sql]], keys: Sequence[str]) -> Sql:
    """The same over the closure, of rows of which an account has one per `keys`: those alone keep what they have."""
    columns = {column: sql.col(column, "m") for column in (*keys, *values)}
    return sql.union_all([over_pairs(name, FAMILIES, values, keys), of_those_alone(name, columns)])


def of_those_alone(name: str, values: Mapping[str, Sql], group: Sequence[str] | None = None) -> Sql:
    """Columns of the table `name` (alias m) for accounts that have nobody below them; `group`: aggregates by it."""
    match = sql.eq(sql.col("partner_id", "a"), sql.col("partner_id", "m"))
    keys = [sql.col(key, "m") for key in ("partner_id", *(group or ()))]
    joins = [("inner", sql.table(ALONE, "a"), match)]
    return sql.select([*keys, *sql.columns(values)], sql.table(name, "m"), joins, group=[] if group is None else keys)


def united_rows(name: str, pairs: str, columns: Sequence[str]) -> Sql:
    """Every row of the table `name` once for each account that it reaches."""
    shown = [sql.named(sql.col("ancestor", "c"), "partner_id"), *(sql.col(column, "m") for column in columns)]
    return sql.select(shown, sql.table(name, "m"), [("inner", sql.table(pairs, "c"), _given_by("m"))])


def spread_over(query: Sql, pairs: str, columns: Sequence[str]) -> Sql:
    """What each ancestor has, for all its members."""
    shown = [sql.named(sql.col("member", "c"), "partner_id"), *(sql.col(column, "d") for column in columns)]
    match = sql.eq(sql.col("partner_id", "d"), sql.col("ancestor", "c"))
    return sql.select(shown, sql.table(pairs, "c"), [("inner", sql.subquery(query, "d"), match)])


def _given_by(alias: str) -> Sql:
    return sql.eq(sql.col("member", "c"), sql.col("partner_id", alias))


# --- pairs


def _registered(levelling: Levelling, name: str) -> str:
    hierarchy = levelling.hierarchy
    assert hierarchy is not None
    if name not in levelling.made:
        levelling.made[name] = name
        if name == CLOSURE:
            levelling.engine.register(FAMILIES, hierarchy.families)
            levelling.engine.register(ALONE, hierarchy.alone)
            itself = {"ancestor": sql.col("partner_id"), "member": sql.col("partner_id")}
            families = sql.select([sql.col("ancestor"), sql.col("member")], sql.table(FAMILIES))
            levelling.engine.define(name, sql.union_all([families, sql.select(sql.columns(itself), sql.table(ALONE))]))
        else:
            levelling.engine.register(name, hierarchy.tops if name == TOPS else hierarchy.parents)
    return name


@dataclass(frozen=True)
class _Accounts:
    """The account below (`partners`) and the one that receives (`parent`)."""

    kinds: Mapping[str, str]
    today: Sql

    def value(self, table: str, column: str) -> Value:
        return Value(sql.col(column, "asked" if table == "partners" else "above"), self.kinds[column])

    def as_of(self) -> Sql:
        return self.today


def _columns(levelling: Levelling, where: Formula) -> dict[str, Value]:
    rows = levelling.rows("partners")
    return {column: rows.value("partners", column) for column in sorted({column for _, column in where.columns})}


def _asked(levelling: Levelling, where: Formula) -> Sql:
    kinds = {column: value.kind for column, value in _columns(levelling, where).items()}
    return condition_of(where, _Accounts(kinds, sql.day(levelling.days.as_of)), levelling.file)


def _asked_pairs(
    levelling: Levelling, pairs: str, where: Formula, chosen: list[Sql], holds: Sql | None
) -> str:  # fmt: skip
    key = f"{pairs} where {where.text}"
    if key not in levelling.made:
        name = f"{_registered(levelling, pairs)}_{len(levelling.made)}"
        levelling.made[key] = name
        joins = [
            ("inner", _accounts(levelling, where, alias), sql.eq(sql.col("partner_id", alias), sql.col(side, "c")))
            for alias, side in (("asked", "member"), ("above", "ancestor"))
        ]
        levelling.engine.run(name, sql.select(chosen, sql.table(pairs, "c"), joins, holds))
    return levelling.made[key]


def _accounts(levelling: Levelling, where: Formula, alias: str) -> Sql:
    rows = levelling.rows("partners")
    values = {"partner_id": sql.col("partner_id", "f")}
    values |= {column: value.sql for column, value in _columns(levelling, where).items()}
    return sql.subquery(sql.select(sql.columns(values), rows.source(), rows.joins()), alias)
