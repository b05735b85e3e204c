"""Which numbers an explanation tells: a metric as one standing sees it, today or earlier, in total or for one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import Measures
from crmsync.levelling.spots import NOW, Spot, inputs_of
from crmsync.levelling.values import Value
from crmsync.programs.guide_words import counted
from crmsync.programs.program import Metric


@dataclass(frozen=True)
class Node:
    """A metric at a spot."""

    key: str
    spot: Spot

    @classmethod
    def seen(cls, levelling: Levelling, key: str, split: str | None, category: str) -> Node:
        """The metric as the standing in a category sees it; `split`: for one value of its ladder."""
        return cls(key, levelling.spots.at(key, Spot(NOW, split=split, category=category)))

    @property
    def name(self) -> str:
        """`score`, `score[EMEA]`, `revenue 1 year earlier`."""
        split = "" if self.spot.split is None else f"[{self.spot.split}]"
        earlier = "".join(f" {counted(one.count, one.period)} earlier" for one in self.spot.shifts)
        return f"{self.key}{split}{earlier}"

    def inputs(self, levelling: Levelling) -> list[Node]:
        """What it is built on."""
        metric = levelling.program.metrics[self.key]
        own = inputs_of(levelling.program, metric)
        found = levelling.spots.inputs(metric, self.spot)
        return [Node(key, spot) for key, spot in found if key in own and spot.view == NOW]

    def value(self, names: Measures) -> Value:
        """Its value over the table of measures."""
        return replace(names, spot=self.spot, shown=False).metric(self.key)

    def metric(self, levelling: Levelling) -> Metric:
        return levelling.program.metrics[self.key]


def with_inputs(levelling: Levelling, nodes: Iterable[Node]) -> list[Node]:
    """Nodes with what they are built on, each once, what is built first."""
    found: dict[Node, None] = {}

    def visit(node: Node) -> None:
        if node not in found:
            found[node] = None
            for other in node.inputs(levelling):
                visit(other)

    for node in nodes:
        visit(node)
    return list(found)


def names_of(nodes: Iterable[Node]) -> Mapping[Node, str]:
    """A name for each; what differs from category to category says in which where there are several."""
    by_name: dict[str, list[Node]] = {}
    for node in nodes:
        by_name.setdefault(node.name, []).append(node)
    return {
        node: name if len(same) == 1 else f"{name} in {node.spot.category}"
        for name, same in by_name.items()
        for node in same
    }
