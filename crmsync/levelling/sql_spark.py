"""The Spark form of a query: what SQLGlot's Spark dialect leaves different from DuckDB, said once here.

Every rule below was measured on Apache Spark 4.2 and on Sail 0.7; the tests of tests/engines run all of them. A query
is not changed: the rules work on a copy. Beside the folder sql this is the only place that builds SQLGlot nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.sql import Sql


def spark_text(query: Sql, tables: Mapping[str, str], ordered: bool = True) -> str:
    """`query` as Spark SQL over the views that stand for its tables. `ordered`: whether its own order is kept."""
    tree = query.copy()
    if not ordered:
        tree.set("order", None)
    for node in reversed(list(tree.walk(bfs=True))):  # from the leaves up, so that no rule sees what another made
        rule = RULES.get(type(node))
        if rule is not None:
            rule(node)
        elif isinstance(node, exp.Table):
            _read_view(node, tables)
    return tree.sql(dialect="spark", copy=False)


def _read_view(table: exp.Table, tables: Mapping[str, str]) -> None:
    """A view of any name serves as the table; columns go on naming it as before."""
    name = table.name
    if name in tables:
        if not table.alias:
            table.set("alias", exp.TableAlias(this=sql.name(name)))
        table.set("this", sql.name(tables[name]))


def _plain_backslash(like: Sql) -> None:
    """A backslash escapes in LIKE; the language gives it no meaning."""
    pattern = like.expression
    if isinstance(pattern, exp.Literal):
        like.set("expression", sql.text(pattern.name.replace("\\", "\\\\")))
    else:
        like.set("expression", _replaced(pattern, "\\", "\\\\"))


def _replaced(value: Sql, part: str, by: str) -> Sql:
    return exp.Anonymous(this="REPLACE", expressions=[value, sql.text(part), sql.text(by)])


def _known_members(contains: Sql) -> None:
    """A list with an empty member gives NULL for what it does not hold."""
    contains.set("this", sql.without_nulls(contains.this))


def _declared_members(cast: Sql) -> None:
    """Each member of a list is cast: Sail takes structs for different whose fields may be null in one alone."""
    if isinstance(cast.this, exp.Array) and cast.this.expressions:
        (member,) = cast.args["to"].expressions
        cast.this.set("expressions", [exp.Cast(this=one, to=member.copy()) for one in cast.this.expressions])
        cast.replace(cast.this)


def _null_where_nothing(joined: Sql) -> None:
    """Where every text is null there is nothing to join: null in DuckDB, an empty text in Spark."""
    whole = sql.nullif(joined.copy(), sql.text(""))
    joined.replace(whole)


def _null_by_zero(division: Sql) -> None:
    """What is divided is checked before it, but Sail works out a division whose divisor it knows wherever it stands."""
    divisor = division.expression
    if not isinstance(divisor, exp.Literal | exp.Nullif):
        division.set("expression", sql.nullif(divisor, sql.number(0)))


def _one_to_one(characters: str, by: str) -> Callable[[Sql], None]:
    """LOWER and UPPER turn some letters into several, or by their place in the word; DuckDB turns one into one."""

    def rule(node: Sql) -> None:
        given = [node.this, sql.text(characters), sql.text(by)]
        node.set("this", exp.Anonymous(this="TRANSLATE", expressions=given))

    return rule


RULES: Mapping[type[exp.Expr], Callable[[Any], None]] = {
    exp.Cast: _declared_members,
    exp.Div: _null_by_zero,
    exp.ArrayToString: _null_where_nothing,
    exp.Like: _plain_backslash,
    exp.ArrayContains: _known_members,
    exp.Lower: _one_to_one("İΣ", "iσ"),
    exp.Upper: _one_to_one("ß", "ẞ"),
}
