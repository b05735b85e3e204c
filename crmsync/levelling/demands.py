"""Demands: what the tiers that may come next ask, so that the gap of a row is computed once and not once per tier.

Tiers of one ladder mostly ask the same metrics with other thresholds. A demand is one place in the gap; for each tier
it is one criterion or none, and a row reads the threshold of the tier that it climbs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from crmsync.levelling import sql
from crmsync.levelling.criteria import Criteria, is_cell
from crmsync.levelling.gap import Leaf, Node, leaves_of
from crmsync.levelling.holding import met
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import Value, show

One = TypeVar("One")

AIM = "aim"
"""The column with the number of what a row has to meet next; NULL where there is none."""


@dataclass(frozen=True)
class Aim:
    """A requirement that some rows have to meet. `number`: from 1, in a column of these rows."""

    number: int
    tree: Node


@dataclass(eq=False)
class Demand:
    """One place in the gap: the criteria of several aims, at most one of each, on one metric and of one kind."""

    kind: tuple[object, ...]
    column: str  # with the number of the row's aim
    leaves: dict[int, Leaf] = field(default_factory=dict)  # by aim
    number: int = 0

    @property
    def leaf(self) -> Leaf:
        """Any of the criteria, for what they have in common: the metric, the comparison, whether it is turned."""
        return next(iter(self.leaves.values()))

    def path(self, below: str = "") -> Sql:
        """Where the criterion stands in the requirement of the row's aim; `below`: what is said behind it."""
        return self.by_aim({aim: f"{leaf.path}{below}" for aim, leaf in self.leaves.items()}, sql.text)

    def by_aim(self, values: Mapping[int, One], made: Callable[[One], Sql]) -> Sql:
        """What is made of the value of the row's aim."""
        return by_aim(self.column, values, made)


class Demands:
    """The demands of the aims, in an order that is the file's order for each of them.

    `column`: which has the number of the row's aim; what else the columns are called begins with it.
    """

    def __init__(self, criteria: Criteria, aims: Sequence[Aim], column: str = AIM) -> None:
        self.criteria, self.aims, self.column = criteria, aims, column
        self.all: list[Demand] = []
        self._places: dict[tuple[int, str], Demand] = {}
        self._required: dict[tuple[int, str], Value] = {}
        for aim in aims:
            self._place(aim)
        for number, demand in enumerate(self.all):
            demand.number = number

    def _place(self, aim: Aim) -> None:
        at = 0
        for leaf in leaves_of(aim.tree):
            required = self._required[aim.number, leaf.path] = self.criteria.required(leaf.criterion)
            kind = _kind(leaf, required)
            at = next((n for n in range(at, len(self.all)) if self.all[n].kind == kind), -1 - at)
            if at < 0:
                at = -1 - at
                self.all.insert(at, Demand(kind, self.column))
            self.all[at].leaves[aim.number] = leaf
            self._places[aim.number, leaf.path] = self.all[at]
            at += 1

    def at(self, aim: int, path: str) -> Demand:
        """The demand that a criterion of an aim is part of."""
        return self._places[aim, path]

    def name(self, demand: Demand, what: str) -> str:
        """The name of a column of a demand."""
        return f"{self.column}_{demand.number}|{what}"

    def asked(self, demand: Demand) -> Sql:
        """Whether the row's aim has the demand; for rows without an aim it does not matter."""
        return self.is_of(demand.leaves)

    def is_of(self, aims: Iterable[int]) -> Sql:
        """Whether the row's aim is one of these; true where these are all."""
        some = sorted(set(aims))
        if len(some) == len(self.aims):
            return sql.true()
        return _is(self.column, some)

    # --- what is demanded

    def required(self, demand: Demand, columns: dict[str, Sql]) -> Value:
        """The threshold of the row's aim; what it takes to choose it is added to the columns."""
        values = {aim: self._required[aim, leaf.path] for aim, leaf in demand.leaves.items()}
        first = next(iter(values.values()))
        if len({one.sql for one in values.values()}) == 1:
            return first
        number, text = (self.name(demand, what) for what in ("required", "required text"))
        columns[number] = demand.by_aim(values, lambda one: one.sql)
        columns[text] = demand.by_aim(values, show)
        sure, whole = all(one.sure for one in values.values()), all(one.whole for one in values.values())
        unknown = any(one.unknown for one in values.values())
        return replace(first, sql=sql.col(number), shown=sql.col(text), sure=sure, unknown=unknown, whole=whole)

    def met(self, demand: Demand) -> Sql:
        """Whether the row meets it, never null."""
        return sql.coalesce(self.met_by(demand, self.criteria), sql.false())

    def met_by(self, demand: Demand, criteria: Criteria) -> Sql:
        """The same as other criteria see it, NULL where it is unknown."""
        return demand.by_aim(demand.leaves, lambda leaf: met(criteria, leaf))


def _kind(leaf: Leaf, required: Value) -> tuple[object, ...]:
    """What criteria must share to be one demand. A threshold that is a metric is no cell: it stays for itself."""
    own = None if is_cell(leaf.criterion, required) else repr(leaf.criterion.value)
    return leaf.criterion.metric, leaf.criterion.comparison, leaf.turned, required.kind, own


def by_aim(column: str, values: Mapping[int, One], made: Callable[[One], Sql]) -> Sql:
    """What is made of the value of the row's aim; aims of the same value share a branch."""
    groups: dict[Sql, list[int]] = {}
    for aim, value in values.items():
        groups.setdefault(made(value), []).append(aim)
    *rest, (last, _) = groups.items()
    return sql.case([(_is(column, aims), one) for one, aims in rest], last)


def _is(column: str, aims: Sequence[int]) -> Sql:
    if len(aims) == 1:
        return sql.eq(sql.col(column), sql.number(aims[0]))
    return sql.in_(sql.col(column), [sql.number(aim) for aim in aims])
