"""Family: the granted tier is at least the earned tier of the account above, in the same category.

Source: program-language, section 5.
"""

from __future__ import annotations

from crmsync.levelling import sql
from crmsync.levelling.granting import INHERITED
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.per_values import PER_VALUE, PerValues
from crmsync.levelling.reach import heads, parents, subtrees
from crmsync.levelling.sql import Sql

BELOW = "family_parents"


def account_above(levelling: Levelling, category: str) -> str | None:
    """Name of the table (ancestor, member) by which tiers reach down in a category; None where none do."""
    family = levelling.program.family_of(levelling.program.ladder_of(category))
    if family is None or levelling.flat:
        return None
    if family.from_top:
        return heads(levelling, family.where)
    if family.where is None:
        return parents(levelling)
    return _asked_parents(levelling, category, parents(levelling), subtrees(levelling, family.where))


def _asked_parents(levelling: Levelling, category: str, direct: str, asked: str) -> str:
    """The parents of those accounts for which the condition of the family holds."""
    match = sql.and_(*(sql.eq(sql.col(one, "d"), sql.col(one, "w")) for one in ("ancestor", "member")))
    pairs = [sql.col("ancestor", "d"), sql.col("member", "d")]
    name = f"{BELOW}_{list(levelling.program.categories).index(category)}"
    return levelling.engine.run(
        name, sql.select(pairs, sql.table(direct, "d"), [("inner", sql.table(asked, "w"), match)])
    )


def inherited(moved: str, above: str, stands: Sql, values: PerValues | None) -> Sql:
    """The rows of `moved` with the earned position of the account above, where it has a standing."""
    keys = {"partner_id": sql.col("partner_id")}
    if values is not None and values.is_each:
        keys[PER_VALUE] = sql.coalesce(sql.col(PER_VALUE), sql.text(""))
    earned = {INHERITED: sql.max_(sql.col("earned"))}
    given = sql.select(sql.columns({**keys, **earned}), sql.table(moved), where=stands, group=list(keys.values()))
    match = sql.eq(sql.col("partner_id", "g"), sql.col("ancestor", "c"))
    if PER_VALUE in keys:
        own = sql.coalesce(sql.col(PER_VALUE, "s"), sql.text(""))
        match = sql.and_(match, sql.eq(sql.col(PER_VALUE, "g"), own))
    return sql.select(
        [sql.star("s"), sql.named(sql.col(INHERITED, "g"), INHERITED)],
        sql.table(moved, "s"),
        [
            ("left", sql.table(above, "c"), sql.eq(sql.col("member", "c"), sql.col("partner_id", "s"))),
            ("left", sql.subquery(given, "g"), match),
        ],
    )
