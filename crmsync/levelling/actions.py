"""Next actions: the open opportunities and the people whose certificates would close a partner's gap.

Open opportunities are asked as if they were won today; people of the account who hold nothing that counts are those
whose certificate has ended, then those who hold another one. Source: program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, atoms_needed
from crmsync.levelling.conditions import condition_of, value_of
from crmsync.levelling.criteria import tiers_of
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.levers import lowering
from crmsync.levelling.reach import head_of, reach_of
from crmsync.levelling.rows import TIE, Rows
from crmsync.levelling.scans import fixed_bounds, in_window, source_of
from crmsync.levelling.spots import NOW, Spot, inputs_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import show
from crmsync.programs.program import Aggregate, Comparison, FromGroups, FromRows, Metric, criteria_of

MOST = 10
"""How many opportunities or people are named for one metric."""

Action = Mapping[str, Any]


def next_actions(levelling: Levelling, partner_id: str, row: Mapping[str, Any]) -> list[Action]:
    """What would move the metrics that the partner's gap waits for. One entry per metric with something to do."""
    found: list[Action] = []
    below = _asked_below(levelling)
    for entry in _open(row, below):
        for key in _rows_below(levelling, entry["metric"]):
            metric = levelling.program.metrics[key]
            missing = entry["missing"] if key == entry["metric"] else None
            things = _things(levelling, metric, partner_id, missing)
            if things and not any(one["metric"] == key for one in found):
                found.append({"metric": key, "label": metric.label, "for": entry["metric"], **things})
    return found


def _asked_below(levelling: Levelling) -> set[str]:
    """The metrics of which some tier asks to be below a value."""
    parts = (part for tier in tiers_of(levelling.program) for part in (tier.requires, tier.keeps))
    return {one.metric for part in parts for one in criteria_of(part) if one.comparison is Comparison.LT}


def _open(row: Mapping[str, Any], below: Collection[str]) -> list[Mapping[str, Any]]:
    entries = (entry for entry in row["gap"] or () if not entry["met"] and not _is_too_much(entry, below))
    return [entry for entry in entries if not entry["path"].endswith(("/needs", "/less"))]


def _is_too_much(entry: Mapping[str, Any], below: Collection[str]) -> bool:
    """Whether less would be needed, which nothing to win or to pass brings."""
    try:
        value, required = Decimal(entry["value"]), Decimal(entry["required"])
        return value > required or (value == required and entry["metric"] in below)
    except (TypeError, InvalidOperation):  # unknown, a text, yes or no
        return False


def _rows_below(levelling: Levelling, key: str) -> Iterator[str]:
    """The metrics counted from rows of which a metric is built, itself first; not those that make it smaller."""
    seen: set[str] = set()
    waiting = [key]
    while waiting:
        here = waiting.pop(0)
        if here in seen or here not in levelling.program.metrics:
            continue
        seen.add(here)
        metric = levelling.program.metrics[here]
        if isinstance(metric.source, FromRows) and not metric.lower_is_better:
            yield here
        if not isinstance(metric.source, FromGroups):
            less = lowering(metric)
            waiting += [one for one in inputs_of(levelling.program, metric) if one not in less]


def _things(levelling: Levelling, metric: Metric, partner_id: str, missing: str | None) -> dict[str, Any]:
    source = metric.source
    assert isinstance(source, FromRows)
    if source.table not in levelling.snapshot.tables:
        return {}
    if source.table == "opportunities":
        deals = _open_deals(levelling, metric, source, partner_id)
        chosen = _enough(deals, missing, source.aggregate)
        return {"opportunities": chosen} if chosen else {}
    if levelling.rows(source.table).has_validity and "person_id" in levelling.rows(source.table).columns:
        people = _people(levelling, metric, partner_id)
        wanted = int(Decimal(missing)) + 1 if missing is not None else MOST
        return {"people": people[: min(wanted, MOST)]} if people else {}
    return {}


# --- opportunities


@dataclass
class AsIfWon(Rows):
    """The opportunities as they would be if each open one were won today."""

    def cell(self, column: str) -> Sql:
        """A column, with the deal won."""
        match column:
            case "is_won" | "is_closed":
                return sql.true()
            case "closed_on":
                return sql.day(self.as_of_day)
        return super().cell(column)


def _open_deals(levelling: Levelling, metric: Metric, source: FromRows, partner_id: str) -> list[dict[str, Any]]:
    """Open opportunities that would count, the largest first."""
    plain = levelling.rows("opportunities")
    won = AsIfWon(**{one.name: getattr(plain, one.name) for one in fields(Rows) if one.init and one.name != "_joins"})
    condition = condition_of(metric.where, won, levelling.file) if metric.where else None
    value = value_of(source.value, won, levelling.file) if source.value else None
    reach = reach_of(levelling, metric)
    account = head_of(levelling, partner_id, reach)
    shown = {"id": plain.identity(), "partner_id": sql.col("partner_id", "f")}
    shown |= {name: sql.col(name, "f") for name in ("name", "stage") if name in plain.columns}
    shown["value"] = show(value) if value is not None else sql.null(sql.TEXT)
    size: Sql = sql.cast(value.sql, sql.DOUBLE) if value is not None and _is_number(source) else sql.number(0)
    joins = list(won.joins())
    if reach.pairs is not None:
        pair = sql.eq(sql.col("member", "c"), sql.col("partner_id", "f"))
        joins.insert(0, ("inner", sql.table(reach.pairs, "c"), pair))
    mine = sql.eq(sql.col("partner_id", "f") if reach.pairs is None else sql.col("ancestor", "c"), sql.text(account))
    is_open = sql.not_(sql.coalesce(plain.cell("is_closed"), sql.false()))
    where = sql.and_(*(one for one in (mine, is_open, condition, plain.visible()) if one is not None))
    query = sql.select([*sql.columns(shown), sql.named(size, "size")], plain.source(), joins, where)
    rows: list[dict[str, Any]] = levelling.engine.read(query).to_pylist()
    once = {row["id"]: row for row in rows}
    ordered = sorted(once.values(), key=lambda row: (-(row["size"] or 0), row["id"]))
    return [{name: cell for name, cell in row.items() if name != "size"} for row in ordered]


def _is_number(source: FromRows) -> bool:
    return source.aggregate in (Aggregate.SUM, Aggregate.AVERAGE, Aggregate.MAXIMUM, Aggregate.MEDIAN)


def _enough(deals: Sequence[dict[str, Any]], missing: str | None, aggregate: Aggregate) -> list[dict[str, Any]]:
    """The first deals that together are what is missing, at most MOST."""
    if missing is None:
        return list(deals[:MOST])
    left, chosen = Decimal(missing), []
    for deal in deals[:MOST]:
        if left <= 0:
            break
        chosen.append(deal)
        worth = Decimal(deal["value"] or 0) if aggregate is Aggregate.SUM else Decimal(1)
        left -= worth
    return chosen


# --- people


def _people(levelling: Levelling, metric: Metric, partner_id: str) -> list[dict[str, Any]]:
    """People of the account who do not count: whose certificate that counted has ended, then holders of others."""
    held: dict[str, list[dict[str, Any]]] = {}
    for row in _certificates(levelling, metric, partner_id):
        if row["person_id"]:
            held.setdefault(row["person_id"], []).append(row)
    people = []
    for person, rows in held.items():
        if any(row["counts"] for row in rows):
            continue
        fitting = [row for row in rows if row["fits"]]
        last = max(fitting or rows, key=lambda row: (str(row["expires_on"] or ""), row["id"]))
        what = "renew" if fitting else "certify"
        people.append({"person_id": person, "do": what, "certificate": last["id"], "ended_on": last["expires_on"]})
    return sorted(people, key=lambda one: (one["do"] != "renew", _latest_first(one["ended_on"]), one["person_id"]))


def _latest_first(day: Any) -> int:
    return -day.toordinal() if day is not None else 0


def _certificates(levelling: Levelling, metric: Metric, partner_id: str) -> list[dict[str, Any]]:
    (atom,) = atoms_needed(levelling.spots, [(metric.key, Spot(NOW))], levelling.validity()).values()
    assert isinstance(atom, Atom)
    rows, reach = levelling.rows(atom.source.table), reach_of(levelling, metric)
    more = {TIE: rows.identity(), "person_id": sql.col("person_id", "f")}
    source = source_of(
        rows, [atom], levelling.days, levelling.file, fixed_bounds(levelling.days), levelling.spans,
        pairs=reach.pairs, more=more,
    )  # fmt: skip
    columns = source.columns[atom.column]
    last_day = rows.file.expires_on_is_last_day if rows.file else False
    counts = in_window(atom, columns, fixed_bounds(levelling.days), last_day, levelling.days.as_of)
    shown = {
        "id": sql.col(TIE, "f"),
        "person_id": sql.col("person_id", "f"),
        "expires_on": columns.expires,
        "fits": sql.coalesce(columns.condition, sql.false()) if columns.condition is not None else sql.true(),
        "counts": sql.coalesce(counts, sql.false()),
    }
    mine = sql.eq(sql.col("partner_id", "f"), sql.text(head_of(levelling, partner_id, reach)))
    found: list[dict[str, Any]] = levelling.engine.read(
        sql.select(sql.columns(shown), source.relation, where=mine, order=[sql.col("id")])
    ).to_pylist()
    return found
