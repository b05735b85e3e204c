"""Comparisons of compiled values: closed over empty cells, open (NULL) over what is unknown.

Source: program-language, sections 2 and 3 (unknown).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import Value, comparable

COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_MAKERS: Mapping[type[Sql], Callable[[Sql, Sql], Sql]] = MappingProxyType(
    {exp.EQ: sql.eq, exp.NEQ: sql.ne, exp.LT: sql.lt, exp.LTE: sql.le, exp.GT: sql.gt, exp.GTE: sql.ge}
)


def closed(answer: Sql, when_empty: Sql, sides: tuple[Value, ...]) -> Sql:
    """The answer with empty cells closed and unknowns left open."""
    decided = sql.coalesce(answer, when_empty)
    open_when = [sql.is_null(side.sql) for side in sides if side.unknown]
    open_when += [sql.not_(condition) for side in sides for condition in side.found]
    return sql.case([(sql.or_(*open_when), sql.null(sql.BOOLEAN))], decided) if open_when else decided


def compared(kind: type[Sql], left: Value, right: Value) -> Sql:
    """`left kind right` (kind: a SQLGlot comparison class) with empty cells closed and unknowns open."""
    left, right = comparable(left, right)
    if all((side.unknown or side.sure or side.number is not None) and not side.found for side in (left, right)):
        # no side can be empty: the plain comparison is NULL where one is unknown, and only there
        return _bounded(_MAKERS[kind](left.sql, right.sql), kind, left, right)
    answer = closed(_MAKERS[kind](left.sql, right.sql), sql.true() if kind is exp.NEQ else sql.false(), (left, right))
    return _bounded(answer, kind, left, right)


def _bounded(answer: Sql, kind: type[Sql], left: Value, right: Value) -> Sql:
    """A lower bound that reaches a >= is enough, on either side; anything else about it is unknown."""
    lost = []
    for side, reaches in ((left, (exp.GT, exp.GTE)), (right, (exp.LT, exp.LTE))):
        if side.lower_bound is not None:
            missed = [sql.not_(sql.coalesce(answer, sql.false()))] if kind in reaches else []
            lost.append(sql.and_(side.lower_bound, *missed))
    return sql.case([(sql.or_(*lost), sql.null(sql.BOOLEAN))], answer) if lost else answer
