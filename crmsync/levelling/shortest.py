"""The shortest path through a requirement: where a group leaves a choice, the parts of least effort.

The requirements of several aims go in together: groups of the same demands are weighed once, each aim with the number
it asks for. Source: program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from crmsync.levelling import sql
from crmsync.levelling.demands import Aim, Demand, Demands, by_aim
from crmsync.levelling.gap import Choice, LeafColumns, Node
from crmsync.levelling.holding import counted
from crmsync.levelling.sql import Sql

Kept = Callable[[int, str, Sql], Sql]
"""Makes a value a column of one of the layers: its number, the column's name and the value; gives the column."""


@dataclass(eq=False)
class Crossing:
    """One choice of one or several aims: its parts, and by aim how many of them it takes, and which in any case."""

    number: int
    parts: tuple[Part, ...]
    counts: dict[int, int] = field(default_factory=dict)
    including: dict[int, frozenset[int]] = field(default_factory=dict)

    @property
    def is_free(self) -> bool:
        """Whether there is anything to choose for any aim."""
        return any(count < len(self.parts) for count in self.counts.values())

    @property
    def height(self) -> int:
        """How many choices lie above the criteria."""
        return 1 + max(part.height if isinstance(part, Crossing) else 0 for part in self.parts)


Part = Demand | Crossing
Cost = tuple[Sql, Sql, Sql]
"""Effort, mean share and number of criteria of the shortest path through a part, as columns."""


class Shortest:
    """Weighs the paths. `measured`: the columns of a demand; `keep`: where what is computed becomes a column."""

    def __init__(self, demands: Demands, measured: Callable[[Demand], LeafColumns], keep: Kept) -> None:
        self._demands, self._measured, self._keep = demands, measured, keep
        self._known: dict[tuple[int, ...], Crossing] = {}
        self._flags: dict[tuple[int, int], Sql] = {}  # whether a part of a choice is taken, where it need not be
        self._roots: dict[int, tuple[Part, list[int]]] = {}
        for aim in demands.aims:
            root = self._part(aim.tree, aim)
            self._roots.setdefault(id(root), (root, []))[1].append(aim.number)
        self.height = max((_height(root) for root, _ in self._roots.values()), default=0)

    def _part(self, node: Node, aim: Aim) -> Part:
        if not isinstance(node, Choice):
            return self._demands.at(aim.number, node.path)
        parts = tuple(self._part(part, aim) for part in node.parts)
        known = self._known.setdefault(tuple(id(part) for part in parts), Crossing(len(self._known), parts))
        known.counts[aim.number] = node.count
        known.including[aim.number] = frozenset(node.including)
        return known

    def on_path(self) -> dict[int, Sql]:
        """For each demand's number, whether it is on the shortest path of the row's aim (NULL-free)."""
        for crossing in self._known.values():
            self._weigh(crossing)
        ways: dict[int, list[Sql]] = {}
        for root, aims in self._roots.values():
            self._mark(root, [self._demands.is_of(aims)], ways)
        return {number: sql.or_(*some) for number, some in ways.items()}

    def _mark(self, part: Part, conditions: list[Sql], ways: dict[int, list[Sql]]) -> None:
        if isinstance(part, Demand):
            ways.setdefault(part.number, []).append(sql.and_(*conditions))
            return
        for at, inner in enumerate(part.parts):
            flag = self._flags.get((part.number, at), sql.true())
            self._mark(inner, [*conditions, flag], ways)

    def _cost(self, part: Part) -> Cost:
        if isinstance(part, Demand):
            columns = self._measured(part)
            return columns.effort, columns.share, sql.double(1)
        size = sql.col(_name(part, "size"))
        mean = sql.div(sql.col(_name(part, "share")), sql.nullif(size, sql.double(0)))
        return sql.col(_name(part, "effort")), sql.coalesce(mean, sql.double(1)), size

    def _weigh(self, one: Crossing) -> None:
        """The columns of a choice; what it costs itself only where a choice above it asks."""
        costs = [self._cost(part) for part in one.parts]
        takes = self._takes(one, costs) if one.is_free else [sql.true()] * len(costs)
        if not any(one in other.parts for other in self._known.values()):
            return
        at = one.height * 3
        self._keep(at, _name(one, "effort"), total(takes, [effort for effort, _, _ in costs]))
        self._keep(at, _name(one, "share"), total(takes, [sql.mul(share, size) for _, share, size in costs]))
        self._keep(at, _name(one, "size"), total(takes, [size for _, _, size in costs]))

    def _takes(self, one: Crossing, costs: Sequence[Cost]) -> list[Sql]:
        """Whether each part is taken: it must be, or too few others are shorter."""
        must = [self._must(one, at) for at in range(len(costs))]
        left = by_aim(
            self._demands.column,
            {aim: count - len(one.including[aim]) for aim, count in one.counts.items()},
            sql.number,
        )
        shorter: dict[tuple[int, int], Sql] = {}
        for late in range(len(costs)):
            for early in range(late):
                name = _name(one, f"{early} before {late}")
                first = self._keep(one.height * 3 - 2, name, _first(costs[early], costs[late]))
                shorter[early, late], shorter[late, early] = first, sql.not_(first)
        taken = []
        for at in range(len(costs)):
            others = [other for other in range(len(costs)) if other != at and must[other] != sql.true()]
            ahead = counted([_unless(must[other], shorter[other, at]) for other in others])
            if must[at] != sql.true():
                flag = sql.or_(must[at], sql.lt(ahead, left))
                self._flags[one.number, at] = self._keep(one.height * 3 - 1, _name(one, f"takes {at}"), flag)
            taken.append(self._flags.get((one.number, at), sql.true()))
        return taken

    def _must(self, one: Crossing, at: int) -> Sql:
        aims = [aim for aim, including in one.including.items() if at in including]
        return self._demands.is_of(aims) if aims else sql.false()


def _unless(condition: Sql, value: Sql) -> Sql:
    return value if condition == sql.false() else sql.and_(sql.not_(condition), value)


def _name(one: Crossing, what: str) -> str:
    return f"choice_{one.number}|{what}"


def _height(part: Part) -> int:
    return part.height if isinstance(part, Crossing) else 0


def _first(early: Cost, late: Cost) -> Sql:
    """Whether one is chosen before another later in the file: by less effort, or the same and no smaller share."""
    same = sql.and_(sql.eq(early[0], late[0]), sql.ge(early[1], late[1]))
    return sql.or_(sql.lt(early[0], late[0]), same)


def total(takes: Sequence[Sql], values: Sequence[Sql]) -> Sql:
    """The sum of the values that are taken, as a DOUBLE."""
    result: Sql = sql.double(0)
    for flag, value in zip(takes, values, strict=True):
        result = sql.add(result, sql.case([(flag, value)], sql.double(0)))
    return result
