"""Which gap speaks of a row: that of the tier it climbs to next, by `keeps` on the way back up.

The gap is computed once per demand of the ladder, each row with the thresholds of its own aim. Texts come last, for the
rows and criteria that show them. Source: program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from crmsync.levelling import gap, sql
from crmsync.levelling.criteria import Criteria
from crmsync.levelling.demands import AIM, Aim, Demand, Demands
from crmsync.levelling.hints import Hinting
from crmsync.levelling.shortest import Shortest, total
from crmsync.levelling.sql import Sql
from crmsync.levelling.sustained import waiting
from crmsync.levelling.values import show
from crmsync.programs.program import Group, Ladder, Program

NOTHING = {
    "gap": sql.empty_array(gap.ENTRY),
    "summary": sql.null(sql.TEXT),
    "blocker": sql.null(sql.TEXT),
    "progress": sql.null("DECIMAL(4, 1)"),
}
"""The columns of a row that has nothing to climb to."""


@dataclass(frozen=True)
class Towards:
    """The gap of each row of a category. Reads `next` (position of the next tier) and `earned`."""

    program: Program
    ladder: Ladder
    criteria: Criteria

    def columns(self) -> tuple[dict[str, Sql], list[dict[str, Sql]]]:
        """The columns gap, summary, blocker and progress, and the layers they read."""
        requirements = dict(enumerate(self._requirements(), 1))
        if not requirements:
            return {name: value.copy() for name, value in NOTHING.items()}, []
        demands = Demands(self.criteria, [Aim(at, gap.paths_of(one)) for at, (one, _) in requirements.items()])
        applies = [(condition, sql.number(at)) for at, (_, condition) in requirements.items()]
        below: list[dict[str, Sql]] = [{AIM: sql.case(applies, sql.null(sql.INT))}, {}]
        gap_of = _Gap(self, demands, below[1])
        some = sql.not_null(sql.col(AIM))
        told = gap_of.told()
        waits = waiting(self.ladder)
        if waits is not None:
            told["summary"] = sql.coalesce(told["summary"], waits)
        told = {name: sql.case([(some, value)], NOTHING[name].copy()) for name, value in told.items()}
        return told, [*below, *gap_of.layers.all]

    def _requirements(self) -> Iterator[tuple[Group, Sql]]:
        """What may be the next to meet, and for which rows; the first that applies counts."""
        for position, tier in enumerate(self.ladder.tiers, 1):
            is_next = sql.eq(sql.col("next"), sql.number(position))
            if tier.keeps is not None:
                # in the way back up to the earned tier `keeps` decides
                yield tier.keeps, sql.and_(is_next, sql.ge(sql.col("earned"), sql.number(position)))
            if tier.requires is not None:
                yield tier.requires, is_next


class _Gap:
    """The columns of one ladder's gap. `chosen`: the layer in which each row reads what its aim asks."""

    def __init__(self, towards: Towards, demands: Demands, chosen: dict[str, Sql]) -> None:
        self._program, self._criteria = towards.program, towards.criteria
        self._demands, self._chosen = demands, chosen
        self.layers = gap.Layers()
        self._known: dict[int, gap.LeafColumns] = {}

    def told(self) -> dict[str, Sql]:
        """What the gap tells of a row that has an aim."""
        demands = self._demands.all
        shortest = Shortest(self._demands, self._measured, self.layers.keep)
        on_path = shortest.on_path()
        top = max(shortest.height * 3, len(self.layers.all) - 1) + 1
        # the mean is of all on the path, the lines are of those not met
        on = {one.number: self._flag(top, one, "on path", on_path[one.number]) for one in demands}
        measured = [(one, self._measured(one)) for one in demands]
        open_ = {
            one.number: self._kept(top + 1, one, "open", sql.and_(on[one.number], sql.not_(columns.met)))
            for one, columns in measured
        }
        shares = [sql.case([(open_[one.number], columns.share)], sql.double(2)) for one, columns in measured]
        lowest = self.layers.keep(top + 2, "lowest", sql.least_known(*shares))
        blockers = [
            (sql.and_(open_[one.number], sql.le(columns.share, lowest)), sql.text(one.leaf.criterion.metric))
            for one, columns in measured
        ]
        entries, lines = self._listed(measured, open_)
        takes = [on[one.number] for one in demands]
        share = total(takes, [columns.share for _, columns in measured])
        size = total(takes, [sql.double(1)] * len(takes))
        return {
            "gap": _list(entries),
            "summary": sql.joined(lines, "; "),
            "blocker": sql.case(blockers, sql.null(sql.TEXT)),
            "progress": gap.progress(share, size),
        }

    def _listed(
        self, measured: Sequence[tuple[Demand, gap.LeafColumns]], open_: dict[int, Sql]
    ) -> tuple[list[Sql], list[Sql]]:
        """The entries of the list, and the lines of the summary: gates to be opened before all others."""
        entries, gates, lines = [], [], []
        for one, columns in measured:
            criterion, asked = one.leaf.criterion, self._demands.asked(one)
            hints = Hinting(self._program, self._criteria.names, one, columns, asked, self.layers).hints()
            entries += [_where(asked, entry) for entry in hints.entries]
            is_open = open_[one.number]
            gates += [sql.case([(is_open, gate)], sql.null(sql.TEXT)) for gate in hints.first]
            metric = self._program.metrics[criterion.metric]
            sentence = gap.sentence(one.leaf, metric, self._program.currency, columns)
            lines.append(sql.case([(is_open, sql.concat(sentence, *hints.after))], sql.null(sql.TEXT)))
        return entries, [*gates, *lines]

    def _kept(self, at: int, demand: Demand, what: str, value: Sql) -> Sql:
        return self.layers.keep(at, self._demands.name(demand, what), value)

    def _flag(self, at: int, demand: Demand, what: str, value: Sql) -> Sql:
        return value if value == sql.true() else self._kept(at, demand, what, value)

    def _measured(self, demand: Demand) -> gap.LeafColumns:
        """The measures of a demand, as columns."""
        known = self._known.get(demand.number)
        if known is None:
            known = self._known[demand.number] = self._columns(demand)
        return known

    def _columns(self, demand: Demand) -> gap.LeafColumns:
        required = self._demands.required(demand, self._chosen)
        met_column = self._demands.name(demand, "met")
        self._chosen[met_column] = self._demands.met(demand)
        made = gap.measures(self._criteria, demand.leaf, required, sql.col(met_column))
        missing = made.missing
        if missing is not None:
            missing = replace(missing, sql=self._kept(0, demand, "missing", missing.sql))
            # texts are made for those accounts alone that have this gap
            asked = sql.and_(sql.not_null(sql.col(AIM)), self._demands.asked(demand))
            text = self._kept(1, demand, "missing text", sql.case([(asked, show(missing))], sql.null(sql.TEXT)))
            missing = replace(missing, shown=text)
        share, effort = (self._kept(0, demand, "share", made.share), self._kept(0, demand, "effort", made.effort))
        return replace(made, missing=missing, share=share, effort=effort)


def _where(asked: Sql, entry: Sql) -> Sql:
    """An entry of those whose aim has it."""
    if asked == sql.true():
        return entry
    if isinstance(entry, exp.Case):
        return sql.case([(sql.and_(asked, branch.this), branch.args["true"]) for branch in entry.args["ifs"]])
    return sql.case([(asked, entry)])


def _list(entries: Sequence[Sql]) -> Sql:
    """The entries as a list; those of hints are there only where they apply."""
    some = any(isinstance(one, exp.Case) for one in entries)
    listed = sql.cast(sql.array(entries), f"ARRAY<{gap.ENTRY}>")
    return sql.without_nulls(listed) if some else listed
