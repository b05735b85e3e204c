"""Queries: what is selected from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from crmsync.levelling.sql.terms import Sql, col, name


def named(value: Sql, alias: str) -> Sql:
    return exp.Alias(this=value, alias=name(alias))


def columns(values: Mapping[str, Sql]) -> list[Sql]:
    return [named(value, alias) for alias, value in values.items()]


def star(table: str | None = None) -> Sql:
    return exp.Column(this=exp.Star(), table=name(table)) if table else exp.Star()


def table(relation: str, alias: str | None = None) -> Sql:
    return exp.Table(this=name(relation), alias=exp.TableAlias(this=name(alias)) if alias else None)


def with_prefix(query: Sql, prefix: str) -> Sql:
    """The query over tables whose names begin with a prefix; what reads them by their name still does."""
    renamed = query.copy()
    for found in list(renamed.find_all(exp.Table)):
        if not found.alias:
            found.set("alias", exp.TableAlias(this=name(found.name)))
        found.set("this", name(f"{prefix}{found.name}"))
    return renamed


def subquery(query: Sql, alias: str) -> Sql:
    return exp.Subquery(this=query, alias=exp.TableAlias(this=name(alias)))


def select(
    values: Sequence[Sql],
    source: Sql,
    joins: Sequence[tuple[str, Sql, Sql]] = (),
    where: Sql | None = None,
    group: Sequence[Sql] = (),
    order: Sequence[Sql] = (),
) -> exp.Select:
    """SELECT values FROM source, with joins of (kind `left`|`inner`|`cross`, relation, condition)."""
    # the builders would copy every tree they are given; the generator copies the whole once
    query = exp.Select(expressions=list(values)).from_(source, copy=False)
    for kind, relation, condition in joins:
        query = query.join(relation, on=None if kind == "cross" else condition, join_type=kind, copy=False)
    if where is not None:
        query = query.where(where, copy=False)
    if group:
        query = query.group_by(*group, copy=False)
    return query.order_by(*order, copy=False) if order else query


def some_rows(query: Sql, count: int) -> Sql:
    """At most so many of the rows, whichever come first."""
    return select([star()], subquery(query, "some")).limit(count, copy=False)


def in_order_of(query: Sql, column: str) -> Sql:
    """The same rows, ordered by one column."""
    return select([star()], subquery(query, "unordered"), order=[col(column)])


def union_all(queries: Sequence[Sql]) -> Sql:
    result: Sql = queries[0]
    for query in queries[1:]:
        result = exp.Union(this=result, expression=query, distinct=False)
    return result


def distinct(values: Sequence[Sql], source: Sql, where: Sql | None = None) -> exp.Select:
    query = exp.Select(expressions=list(values)).from_(source, copy=False).distinct(copy=False)
    return query.where(where, copy=False) if where is not None else query
