"""Explain: how one partner's tier follows from its numbers, and its numbers from the records that count.

The same metrics, windows and criteria as in assess, asked for one account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from crmsync.errors import ConfigError
from crmsync.levelling import gap, sql
from crmsync.levelling.assess import Day, Spine
from crmsync.levelling.atoms import Atom, atoms_needed, bounds_of
from crmsync.levelling.criteria import LIMITS, Criteria
from crmsync.levelling.engine import DuckDbEngine
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import Measures
from crmsync.levelling.previous import previous_standings
from crmsync.levelling.reach import head_of, reach_of
from crmsync.levelling.rows import TIE
from crmsync.levelling.scans import fixed_bounds, in_window, source_of
from crmsync.levelling.spots import NOW, Spot, inputs_of
from crmsync.levelling.standings import json_ready
from crmsync.levelling.windows import partner_dates
from crmsync.programs.program import (
    FromField,
    FromFormula,
    FromPast,
    FromRows,
    InForce,
    Metric,
    Period,
    Program,
)
from crmsync.snapshots import Snapshot

SHOWN_RECORDS = 20


@dataclass(frozen=True)
class Explanation:
    """The derivation of one partner's standings, as a tree. `standings`: one per category, with the criteria of every
    tier; `metrics`: by key, each with its value, how it is made and the records that count."""

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
        """The tree as indented text: tier, criteria, metrics, records."""
        return list(_lines(self))


def explain(
    program: Program,
    snapshot: Snapshot,
    as_of: date,
    partner_id: str,
    category: str | None,
    previous: Path | None = None,
) -> Explanation:
    """The derivation of one partner. Errors: ConfigError for a partner or category that does not exist."""
    if category is not None and category not in program.categories:
        raise ConfigError(f"category {category}: no such category; there are {', '.join(program.categories)}")
    engine = DuckDbEngine(rows=sum(table.rows for table in snapshot.tables.values()))
    try:
        if partner_id in snapshot.rejected_partners:
            raise ConfigError(f"partner {partner_id}: its row was rejected; what it has stays as it was")
        before = previous_standings(program, previous, as_of)
        return _explained(Spine(snapshot, engine).today(program, before, as_of), partner_id, category)
    finally:
        engine.close()


def _explained(day: Day, partner_id: str, category: str | None) -> Explanation:
    levelling, program, days = day.levelling, day.levelling.program, day.levelling.days
    rows = day.whole(keep_measures=True)
    names = day.names
    mine = [row for row in rows.to_pylist() if row["partner_id"] == partner_id]
    mine = [row for row in mine if category is None or row["category"] == category]
    if not mine:
        raise ConfigError(_not_there(levelling, partner_id, category))
    standings = [row | {"tiers": _tiers(levelling, names[NOW], partner_id, row["category"])} for row in mine]
    used = dict.fromkeys(entry["metric"] for row in standings for tier in row["tiers"] for entry in tier["criteria"])
    metrics = {
        key: _metric(levelling, program.metrics[key], partner_id, mine[0]) for key in _with_inputs(program, used)
    }
    return Explanation(program.key, days.as_of, partner_id, tuple(standings), metrics)


def _not_there(levelling: Levelling, partner_id: str, category: str | None) -> str:
    match = sql.eq(sql.col("partner_id"), sql.text(partner_id))
    there = levelling.engine.read(sql.select([sql.count()], sql.table("t_partners"), where=match)).column(0)[0].as_py()
    if not there:
        return f"partner {partner_id}: no such partner in the tables; partner_id is the record's id"
    what = f"in category {category}" if category is not None else "in any category"
    return f"partner {partner_id}: has no standing {what} on {levelling.days.as_of}"


def _with_inputs(program: Program, keys: Sequence[str] | dict[str, None]) -> list[str]:
    """Metrics with what they are built on, each once, what is built first."""
    found: dict[str, None] = {}

    def visit(key: str) -> None:
        if key not in found:
            found[key] = None
            for other in inputs_of(program, program.metrics[key]):
                visit(other)

    for key in keys:
        visit(key)
    return list(found)


# --- criteria of every tier


def _tiers(levelling: Levelling, names: Measures, partner_id: str, category: str) -> list[dict[str, Any]]:
    ladder = levelling.program.ladder_of(category)
    criteria = Criteria(levelling.program, names, levelling.limits)
    tiers = []
    for tier in ladder.tiers:
        for word, requirement in (("requires", tier.requires), ("keeps", tier.keeps)):
            if requirement is None and word == "keeps":
                continue
            held, entries = sql.true(), sql.empty_array(gap.ENTRY)
            if requirement is not None:
                one = gap.GapQuery(criteria, "x", {}, sql.true())
                leaves = gap.leaves_of(gap.paths_of(requirement))
                entries = sql.array([gap.entry(leaf, one.measured(leaf), sql.false()) for leaf in leaves])
                held = criteria.holds(requirement)
            found = _of_partner(levelling, {"held": held, "criteria": entries}, partner_id)
            tiers.append({"tier": tier.key, "label": tier.label, "rule": word, **found})
    return tiers


def _of_partner(levelling: Levelling, values: Mapping[str, sql.Sql], partner_id: str) -> dict[str, Any]:
    levelling.engine.register(LIMITS, levelling.limits.table())
    query = sql.select(
        sql.columns(values),
        sql.table("measures"),
        [("cross", sql.table(LIMITS), sql.true())],
        sql.eq(sql.col("partner_id"), sql.text(partner_id)),
    )
    rows = levelling.engine.read(query).to_pylist()
    return rows[0] if rows else dict.fromkeys(values)


# --- metrics and their records


def _metric(levelling: Levelling, metric: Metric, partner_id: str, standing: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "label": metric.label,
        "unit": metric.unit.value,
        "value": standing["metrics"][metric.key],
        "line": metric.line,
        "built_on": inputs_of(levelling.program, metric),
    }
    match metric.source:
        case FromRows() as source:
            return told | _records(levelling, metric, source, partner_id)
        case FromField(column=column):
            return told | {"how": f"partners.{column}"}
        case FromFormula(formula=formula):
            return told | {"how": formula.text}
        case FromPast(metric=other, shift=shift, relative=relative):
            word = "growth" if relative else "change"
            return told | {"how": f"{word} of {other} versus {_words(shift.count, shift.period)} earlier"}


def _records(levelling: Levelling, metric: Metric, source: FromRows, partner_id: str) -> dict[str, Any]:
    file = levelling.snapshot.tables.get(source.table)
    (atom,) = atoms_needed(levelling.spots, [(metric.key, Spot(NOW))], levelling.validity()).values()
    how = f"{source.aggregate.value} of {source.table}" + (f".{source.value.text}" if source.value else "")
    how += f" where {metric.where.text}" if metric.where else ""
    told: dict[str, Any] = {"how": how, "window": _window(levelling, atom, partner_id), "records": []}
    if file is None:
        return told
    return told | {"records": _counting(levelling, atom, partner_id, file.expires_on_is_last_day)}


def _counting(levelling: Levelling, atom: Atom, partner_id: str, last_day: bool) -> list[dict[str, Any]]:
    """The records that count for an account: its own, or those of all accounts that it gets them from."""
    rows, limits, reach = (
        levelling.rows(atom.source.table),
        fixed_bounds(levelling.days),
        reach_of(levelling, atom.metric),
    )
    more = {TIE: rows.identity(), "member": sql.col("partner_id", "f")}
    source = source_of(
        rows, [atom], levelling.days, levelling.file, limits, levelling.spans, pairs=reach.pairs, more=more
    )
    columns = source.columns[atom.column]
    shown = {
        "table": sql.text(atom.source.table),
        "id": sql.col(TIE, "f"),
        "partner_id": sql.col("member", "f"),
        "date": columns.day,
        "value": sql.cast(columns.value, sql.TEXT) if columns.value is not None else sql.null(sql.TEXT),
    }
    counts = in_window(atom, columns, limits, last_day, levelling.days.as_of)
    account = head_of(levelling, partner_id, reach)
    mine = sql.and_(sql.eq(sql.col("partner_id", "f"), sql.text(account)), counts)
    query = sql.select(sql.columns(shown), source.relation, where=mine, order=[sql.col("date"), sql.col("id")])
    records: list[dict[str, Any]] = levelling.engine.read(query).to_pylist()
    return records


def _window(levelling: Levelling, atom: Atom, partner_id: str) -> dict[str, Any]:
    dates = _dates_of(levelling, atom, head_of(levelling, partner_id, reach_of(levelling, atom.metric)))
    if dates is None:
        return {}
    limits = bounds_of(atom, levelling.days.as_of, levelling.days, dates)
    if isinstance(atom.window, InForce):
        return {"in_force_on": limits.end}
    return {"from": limits.start, "until": limits.end}


def _dates_of(levelling: Levelling, atom: Atom, account: str) -> dict[str, date] | None:
    """The dates of the account that the window depends on; None where it lacks one."""
    columns = partner_dates(atom.window)
    delivered = levelling.snapshot.tables["partners"].columns
    if not columns or any(column not in delivered for column in columns):
        return None if columns else {}
    match = sql.eq(sql.col("partner_id"), sql.text(account))
    found = levelling.engine.read(
        sql.select([sql.col(column) for column in columns], sql.table("t_partners"), where=match)
    )
    dates: dict[str, date] = found.to_pylist()[0]
    return None if None in dates.values() else dates


# --- as text


def _lines(told: Explanation) -> Iterator[str]:
    yield f"partner {told.partner_id}, program {told.program}, as of {told.as_of}"
    for row in told.standings:
        yield f"category {row['category']}: {_tier_words(row)}"
        for tier in _worth_telling(row):
            rule = "" if tier["rule"] == "requires" else " (to keep it)"
            yield f"  {tier['label']}{rule}: {_held(tier['held'])}"
            for entry in tier["criteria"] or ():
                yield f"    {'met    ' if entry['met'] else 'missing'} {_entry(entry)}"
        if row["gap_summary"]:
            yield f"  to {row['next_tier']}: {row['gap_summary']}"
        for reason in row["risk_reasons"]:
            yield f"  risk {row['risk']}: {reason}"
    yield "metrics"
    for key, metric in told.metrics.items():
        yield from _metric_lines(key, metric)


def _worth_telling(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All tiers; what keeps a tier only for those that the partner has."""
    keys = list(dict.fromkeys(tier["tier"] for tier in row["tiers"]))
    held = keys[: keys.index(row["earned_tier"]) + 1] if row["earned_tier"] in keys else []
    return (tier for tier in row["tiers"] if tier["rule"] == "requires" or tier["tier"] in held)


def _tier_words(row: Mapping[str, Any]) -> str:
    words = [f"{name} {row[f'{name}_tier'] or 'none'}" for name in ("calculated", "earned", "granted")]
    since = f" since {row['tier_since']}" if row["tier_since"] else ""
    pins = [f"; {one['kind']} {one['value']} ({one['reason']})" for one in row["overrides"]]
    return f"{', '.join(words)}{since}, {row['movement'] or 'no standing'}{''.join(pins)}"


def _words(count: int, period: Period) -> str:
    return f"1 {period.value.rstrip('s')}" if count == 1 else f"{count} {period.value}"


def _held(held: bool | None) -> str:
    return "undecided" if held is None else "holds" if held else "does not hold"


def _entry(entry: Mapping[str, Any]) -> str:
    return f"{entry['metric']} = {_told(entry['value'])}, required {_told(entry['required'])} [{entry['path']}]"


def _told(value: object) -> str:
    if value is None:
        return "unknown"
    text = str(value)
    return {"true": "yes", "false": "no"}.get(text.lower(), text)


def _metric_lines(key: str, metric: Mapping[str, Any]) -> Iterator[str]:
    yield f"  {key} = {_told(metric['value'])}: {metric['how']}{_window_words(metric.get('window'))}"
    records = metric.get("records", ())
    for record in records[:SHOWN_RECORDS]:
        amount = "" if record["value"] is None else f"  {record['value']}"
        yield f"    {record['id']}  {record['date'] or 'no date'}{amount}"
    if len(records) > SHOWN_RECORDS:
        yield f"    and {len(records) - SHOWN_RECORDS} more ({len(records)} in all; --json lists every one)"


def _window_words(window: Mapping[str, Any] | None) -> str:
    if not window:
        return ""
    if "in_force_on" in window:
        return f", in force on {window['in_force_on']}"
    return f", {window['from'] or 'ever'} to {window['until']}"
