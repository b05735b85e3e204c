"""The text of statements for DuckDB: SQLGlot's own, with a short way for the nodes that statements are full of.

SQLGlot's generator asks every node for comments, types and dialects that ours never have; nine in ten nodes are
columns, literals, casts, comparisons and cases. What has no short way here is written by SQLGlot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.generators.duckdb import DuckDBGenerator

from crmsync.levelling.sql import Sql

Writer = Callable[["_Quick", Any], str]


def duckdb_text(query: Sql) -> str:
    """The query as DuckDB reads it. The tree is written as it stands, without a copy."""
    return _Quick(dialect=DuckDB()).generate(query, copy=False)


class _Quick(DuckDBGenerator):
    """SQLGlot's generator, asked only for what has no short way."""

    def sql(self, expression: Any, key: str | None = None, comment: bool = True) -> str:
        if key is not None:
            expression = expression.args.get(key) if expression is not None else None
        if not expression:
            return ""
        short = _SHORT.get(expression.__class__)
        return short(self, expression) if short is not None else super().sql(expression, None, comment)


def _identifier(to: _Quick, node: exp.Identifier) -> str:
    name: str = node.args["this"]
    if not node.args.get("quoted"):
        return to.identifier_sql(node)
    return '"' + name.replace('"', '""') + '"' if '"' in name else f'"{name}"'


def _column(to: _Quick, node: exp.Column) -> str:
    table = node.args.get("table")
    this = to.sql(node.args["this"])
    return f"{to.sql(table)}.{this}" if table is not None else this


def _literal(to: _Quick, node: exp.Literal) -> str:
    value: str = node.args["this"]
    if not node.args["is_string"]:
        return value
    return f"'{value}'" if value.isprintable() and "'" not in value and "\\" not in value else to.literal_sql(node)


def _cast(to: _Quick, node: exp.Cast) -> str:
    if len(node.args) > 2:
        return to.cast_sql(node)
    return f"CAST({to.sql(node.args['this'])} AS {_type(to, node.args['to'])})"


_TYPES: dict[tuple[object, ...], str] = {}
"""The texts of types by name and digits."""


def _type(to: _Quick, node: exp.DataType) -> str:
    digits = node.args.get("expressions") or ()
    if node.args.get("nested") or not all(isinstance(one, exp.DataTypeParam) for one in digits):
        return to.datatype_sql(node)
    key = (node.args["this"], *(one.args["this"].args["this"] for one in digits))
    known = _TYPES.get(key)
    if known is None:
        known = _TYPES[key] = to.datatype_sql(node)
    return known


def _case(to: _Quick, node: exp.Case) -> str:
    if node.args.get("this") is not None:
        return to.case_sql(node)
    parts = ["CASE"]
    for branch in node.args["ifs"]:
        parts.append(f"WHEN {to.sql(branch.args['this'])} THEN {to.sql(branch.args['true'])}")
    default = node.args.get("default")
    if default is not None:
        parts.append(f"ELSE {to.sql(default)}")
    return " ".join((*parts, "END"))


def _is(to: _Quick, node: exp.Is) -> str:
    return f"{to.sql(node.args['this'])} IS {to.sql(node.args['expression'])}"


def _between(operator: str) -> Writer:
    def write(to: _Quick, node: exp.Binary) -> str:
        return f"{to.sql(node.args['this'])} {operator} {to.sql(node.args['expression'])}"

    return write


def _call(name: str, *others: str) -> Writer:
    """A function of `this`, of the arguments named, and of any expressions."""

    def write(to: _Quick, node: exp.Func) -> str:
        values = [node.args["this"], *(node.args[one] for one in others if node.args.get(one) is not None)]
        values += node.args.get("expressions") or ()
        return f"{name}({', '.join([to.sql(value) for value in values])})"

    return write


_SHORT: Mapping[type[exp.Expr], Writer] = {
    exp.Identifier: _identifier,
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Cast: _cast,
    exp.Case: _case,
    exp.Is: _is,
    exp.Paren: lambda to, node: f"({to.sql(node.args['this'])})",
    exp.Alias: lambda to, node: f"{to.sql(node.args['this'])} AS {to.sql(node.args['alias'])}",
    exp.Not: lambda to, node: f"NOT {to.sql(node.args['this'])}",
    exp.Null: lambda _to, _node: "NULL",
    exp.Boolean: lambda _to, node: "TRUE" if node.args.get("this") else "FALSE",
    exp.EQ: _between("="),
    exp.NEQ: _between("<>"),
    exp.LT: _between("<"),
    exp.LTE: _between("<="),
    exp.GT: _between(">"),
    exp.GTE: _between(">="),
    exp.Add: _between("+"),
    exp.Sub: _between("-"),
    exp.Mul: _between("*"),
    exp.Div: _between("/"),
    exp.DPipe: _between("||"),
    exp.And: _between("AND"),
    exp.Or: _between("OR"),
    exp.Coalesce: _call("COALESCE"),
    exp.Nullif: _call("NULLIF", "expression"),
    exp.Abs: _call("ABS"),
    exp.Floor: _call("FLOOR"),
    exp.Ceil: _call("CEIL"),
    exp.Round: _call("ROUND", "decimals"),
}
"""Written as SQLGlot would; the tests compare."""
