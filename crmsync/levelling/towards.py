"""Which gap speaks of a row: that of the tier it climbs to next, by `keeps` on the way back up.

Source: program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from crmsync.levelling import gap, sql
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.hints import hints_of
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Group, Ladder, Program


@dataclass(frozen=True)
class Towards:
    """The gap of each row of a category. Reads `next` (position of the next tier) and `earned`."""

    program: Program
    ladder: Ladder
    criteria: Criteria

    def columns(self) -> tuple[dict[str, Sql], list[dict[str, Sql]]]:
        """The columns gap, summary, blocker and progress, and the layers they read."""
        chosen: dict[str, list[tuple[Sql, Sql]]] = {name: [] for name in ("gap", "summary", "blocker", "progress")}
        queries: list[gap.GapQuery] = []
        for position, tier in enumerate(self.ladder.tiers, 1):
            is_next = sql.eq(sql.col("next"), sql.number(position))
            # in the way back up to the earned tier `keeps` decides
            way_back = sql.ge(sql.col("earned"), sql.number(position))
            variants: list[tuple[str, Group | None, Sql]] = [(f"r{position}", tier.requires, is_next)]
            if tier.keeps is not None:
                variants.insert(0, (f"k{position}", tier.keeps, sql.and_(is_next, way_back)))
            for tag, requirement, condition in variants:
                if requirement is not None:
                    columns = self._gap_of(tag, requirement, condition, queries)
                    for name, value in columns.items():
                        chosen[name].append((condition, value))
        depths = range(max((len(one.layers) for one in queries), default=0))
        layers = [
            {name: value for one in queries for name, value in (one.layers[depth : depth + 1] or [{}])[0].items()}
            for depth in depths
        ]
        kinds = {"gap": sql.empty_array(gap.ENTRY), "summary": sql.null(sql.TEXT), "blocker": sql.null(sql.TEXT),
                 "progress": sql.null("DECIMAL(4, 1)")}  # fmt: skip
        return {name: sql.case(chosen[name], kinds[name]) for name in chosen}, layers

    def _gap_of(self, tag: str, requirement: Group, applies: Sql, queries: list[gap.GapQuery]) -> Mapping[str, Sql]:
        one = gap.GapQuery(self.criteria, tag, self.program.effort, applies)
        queries.append(one)
        tree = gap.paths_of(requirement)
        on_path = one.on_path(tree)
        leaves = gap.leaves_of(tree)
        measured = [(leaf, one.leaf(leaf)) for leaf in leaves]
        lines, blockers, gates = [], [], []
        entries: list[Sql] = []
        lowest = one.lowest([_share_on_path(columns, on_path[leaf.path]) for leaf, columns in measured])
        for leaf, columns in measured:
            metric = self.program.metrics[leaf.criterion.metric]
            open_ = sql.and_(on_path[leaf.path], sql.not_(columns.met))
            hints = hints_of(self.program, one, leaf, columns)
            entries += hints.entries
            gates += [sql.case([(open_, gate)], sql.null(sql.TEXT)) for gate in hints.first]
            line = sql.concat(gap.sentence(leaf, metric, self.program.currency, columns), *hints.after)
            lines.append(sql.case([(open_, line)], sql.null(sql.TEXT)))
            blockers.append((sql.and_(open_, sql.le(columns.share, lowest)), sql.text(metric.key)))
        return {
            "gap": _list(entries),
            "summary": sql.joined([*gates, *lines], "; "),
            "blocker": sql.case(blockers, sql.null(sql.TEXT)),
            "progress": gap.progress([c.share for _, c in measured], [on_path[leaf.path] for leaf, _ in measured]),
        }


def _list(entries: Sequence[Sql]) -> Sql:
    """The entries as a list; those of hints are there only where they apply."""
    some = any(isinstance(one, exp.Case) for one in entries)
    # of one declared type: Sail takes structs for different whose fields may be null in one and not in the other
    listed = sql.array([sql.cast(one, gap.ENTRY) for one in entries])
    return sql.without_nulls(listed) if some else listed


def _share_on_path(columns: gap.LeafColumns, on_path: Sql) -> Sql:
    open_ = sql.and_(on_path, sql.not_(columns.met))
    return sql.case([(open_, columns.share)], sql.double(2))
