"""Explain: how one partner's tier follows from its numbers, and its numbers from the records that count.

The same metrics, windows and criteria as in assess, asked for one account.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.errors import ConfigError
from crmsync.levelling import sql
from crmsync.levelling.actions import next_actions
from crmsync.levelling.engine import DuckDbEngine
from crmsync.levelling.explain_metrics import told_metrics
from crmsync.levelling.explain_nodes import Node, names_of, with_inputs
from crmsync.levelling.explain_text import lines_of
from crmsync.levelling.explain_tiers import category_of, told_tiers, value_lacking, why_not
from crmsync.levelling.kept import Parts
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.override_entries import with_entries
from crmsync.levelling.spine import Day, Spine
from crmsync.levelling.spots import NOW
from crmsync.levelling.standings import json_ready
from crmsync.levelling.timeline import Timeline
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot


@dataclass(frozen=True)
class Explanation:
    """The derivation of one partner's standings, as a tree. `standings`: one per category, with the criteria of every
    tier, next actions and, where asked, why not a tier; `metrics`: by key, each with its value, how it is made and the
    records that count."""

    program: str
    as_of: date
    partner_id: str
    standings: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, Mapping[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """The whole tree, ready for JSON."""
        tree = {
            "program": self.program,
            "as_of": self.as_of,
            "partner_id": self.partner_id,
            "standings": list(self.standings),
            "metrics": dict(self.metrics),
        }
        ready: dict[str, Any] = json_ready(tree)
        return ready

    @property
    def lines(self) -> list[str]:
        """The tree as text: tier, criteria, metrics, records."""
        head = f"partner {self.partner_id}, program {self.program}, as of {self.as_of}"
        return list(lines_of(head, self.standings, self.metrics))


def explain(
    program: Program,
    snapshot: Snapshot,
    as_of: date,
    partner_id: str,
    category: str | None,
    previous: Path | None = None,
    wanted_tier: str | None = None,
    others: Sequence[Program] = (),
) -> Explanation:
    """The derivation of one partner. `wanted_tier`: also why it does not have this tier. `others`: programs whose
    tiers this one may read.

    Errors: ConfigError for a partner, category or tier that does not exist.
    """
    if category is not None and category.partition("/")[0] not in program.categories:
        raise ConfigError(f"category {category}: no such category; there are {', '.join(program.categories)}")
    engine = DuckDbEngine(rows=sum(table.rows for table in snapshot.tables.values()))
    try:
        if partner_id in snapshot.rejected_partners:
            raise ConfigError(f"partner {partner_id}: its row was rejected; what it has stays as it was")
        day = Timeline(Spine(snapshot, engine), [*others, program], as_of, previous).opened(program.key)
        return _explained(day, partner_id, category, wanted_tier)
    finally:
        engine.close()


def _explained(day: Day, partner_id: str, category: str | None, wanted_tier: str | None) -> Explanation:
    mine = _rows_of(day, day.whole(keep_measures=True), partner_id, category)
    levelling, names = day.levelling, day.names[NOW]
    standings = []
    for row in mine:
        told = row | {"tiers": told_tiers(levelling, names, row), "without": value_lacking(levelling, row)}
        told["next_actions"] = next_actions(levelling, partner_id, row)
        if wanted_tier is not None:
            told["why_not"] = why_not(levelling, told, wanted_tier)
        standings.append(told)
    metrics = told_metrics(levelling, names, _derived(levelling, standings), partner_id)
    return Explanation(levelling.program.key, levelling.days.as_of, partner_id, tuple(standings), metrics)


def _derived(levelling: Levelling, standings: Sequence[Mapping[str, Any]]) -> list[Node]:
    """The metrics of all criteria, each as its standing sees it. Tells each criterion which it `comes_from`."""
    of_entries: list[tuple[dict[str, Any], Node | None]] = []
    for row in standings:
        category, split = category_of(levelling, row)
        unknown = levelling.spots.split if row["without"] else frozenset()
        for entry in (entry for tier in row["tiers"] for entry in tier["criteria"]):
            seen = Node.seen(levelling, entry["metric"], split, category)
            of_entries.append((entry, None if entry["metric"] in unknown else seen))
    nodes = list(dict.fromkeys(node for _, node in of_entries if node is not None))
    named = names_of(with_inputs(levelling, nodes))
    for entry, node in of_entries:
        entry["comes_from"] = named[node] if node is not None else None
    return nodes


def _rows_of(day: Day, standings: Parts, partner_id: str, category: str | None) -> list[dict[str, Any]]:
    """The partner's standings, in the category if one is named. Errors: ConfigError where there are none."""
    mine = pa.concat_tables(part.filter(pc.equal(part.column("partner_id"), partner_id)) for part in standings)
    rows: list[dict[str, Any]] = with_entries(day.overrides, None)(mine).to_pylist()
    named = [row for row in rows if category is None or category in (row["category"], row["category"].split("/")[0])]
    if not named:
        raise ConfigError(_not_there(day.levelling, partner_id, category))
    return named


def _not_there(levelling: Levelling, partner_id: str, category: str | None) -> str:
    match = sql.eq(sql.col("partner_id"), sql.text(partner_id))
    there = levelling.engine.read(sql.select([sql.count()], sql.table("t_partners"), where=match)).column(0)[0].as_py()
    if not there:
        return f"partner {partner_id}: no such partner in the tables; partner_id is the record's id"
    what = f"in category {category}" if category is not None else "in any category"
    return f"partner {partner_id}: has no standing {what} on {levelling.days.as_of}"
