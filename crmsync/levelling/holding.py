"""Whether a requirement holds for sure: undecided counts as not, so that counting what is met is enough.

Over the tree without negated groups, where each criterion is asked for what it is or, turned, for its opposite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crmsync.levelling import sql
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.gap import Leaf, Node, paths_of
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Group


def surely_holds(criteria: Criteria, requirement: Group | None) -> Sql:
    """Whether a requirement holds, false or NULL where that is undecided."""
    return sql.true() if requirement is None else surely(paths_of(requirement), lambda leaf: met(criteria, leaf))


def met(criteria: Criteria, leaf: Leaf) -> Sql:
    """Whether a criterion is met, or a turned one is missed; NULL where that is unknown."""
    holds = criteria.as_turned(leaf.turned).criterion(leaf.criterion)
    return sql.not_(holds) if leaf.turned else holds


def surely(node: Node, answer: Callable[[Leaf], Sql]) -> Sql:
    """Whether the node holds, false or NULL where that is undecided; `answer`: whether a leaf does."""
    if isinstance(node, Leaf):
        return answer(node)
    parts = [surely(part, answer) for part in node.parts]
    if node.count == len(parts):
        return sql.and_(*parts)
    if node.count == 1 and not node.including:
        return sql.or_(*parts)
    enough = sql.ge(counted(parts), sql.number(node.count))
    return sql.and_(enough, *(parts[at] for at in node.including))


def counted(flags: Sequence[Sql]) -> Sql:
    """How many of the conditions hold."""
    result: Sql = sql.number(0)
    for flag in flags:
        result = sql.add(result, sql.case([(flag, sql.number(1))], sql.number(0)))
    return result
