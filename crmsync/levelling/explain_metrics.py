"""How one partner's metric is made: in words, with what it is built on, and the records that count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, GroupsAtom, atoms_needed, bounds_of
from crmsync.levelling.criteria import LIMITS
from crmsync.levelling.explain_nodes import Node, names_of, with_inputs
from crmsync.levelling.gap import tiers_of
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import Measures
from crmsync.levelling.reach import head_of, reach_of, subtrees
from crmsync.levelling.rows import TIE
from crmsync.levelling.scans import as_words, fixed_bounds, in_window, source_of
from crmsync.levelling.values import show
from crmsync.levelling.windows import partner_dates
from crmsync.programs.guide_words import counted
from crmsync.programs.program import (
    Bands,
    BestOf,
    ByAttribute,
    Computed,
    FromField,
    FromFormula,
    FromGroups,
    FromHeld,
    FromPart,
    FromParts,
    FromPast,
    FromRank,
    FromRows,
    FromTier,
    GroupCondition,
    InForce,
    Linear,
    Metric,
    OtherMetric,
    PerUnit,
    Points,
    RollsUp,
    Unit,
)

ROLLED = {
    RollsUp.SUM: "over the subtree",
    RollsUp.FAMILY: "over the whole family",
    RollsUp.BEST: "the best of the subtree",
    RollsUp.FAMILY_BEST: "the best of the whole family",
    RollsUp.INHERIT: "the parent's where better",
}
GIVEN = frozenset({RollsUp.BEST, RollsUp.FAMILY_BEST, RollsUp.INHERIT})


def told_metrics(
    levelling: Levelling, names: Measures, nodes: Iterable[Node], partner_id: str
) -> dict[str, dict[str, Any]]:
    """Metrics with what they are built on, by name. `records`: those that count, of a metric counted from rows;
    `groups`: the values and their conditions; `given_by`: the account whose value it is, where the best counts;
    `tiers`: what the positions are called that are its values."""
    found = with_inputs(levelling, nodes)
    named = names_of(found)
    shown = {}
    for node, name in named.items():
        value = node.value(names)
        shown[name] = value.sql if node.metric(levelling).unit is Unit.YES_NO else show(value)
    values = of_partner(levelling, shown, partner_id)
    return {
        name: {
            "metric": node.key,
            "label": node.metric(levelling).label,
            "unit": node.metric(levelling).unit.value,
            "value": values[name],
            "line": node.metric(levelling).line,
            "built_on": [named[one] for one in node.inputs(levelling)],
            "how": how_words(node.metric(levelling)),
            **_counted(levelling, names, node, partner_id),
        }
        for node, name in named.items()
    }


def of_partner(levelling: Levelling, values: Mapping[str, sql.Sql], partner_id: str) -> dict[str, Any]:
    """The values of one partner, computed over the measures."""
    if not values:
        return {}
    levelling.engine.register(LIMITS, levelling.limits.table())
    query = sql.select(
        sql.columns(values),
        sql.table("measures"),
        [("cross", sql.table(LIMITS), sql.true())],
        sql.eq(sql.col("partner_id"), sql.text(partner_id)),
    )
    rows = levelling.engine.read(query).to_pylist()
    return rows[0] if rows else dict.fromkeys(values)


def _counted(levelling: Levelling, names: Measures, node: Node, partner_id: str) -> dict[str, Any]:
    """Where a metric comes from, as far as records, other accounts or tiers give it."""
    metric = node.metric(levelling)
    told: dict[str, Any] = {}
    if tiers_of(metric):
        told["tiers"] = list(tiers_of(metric))
    if metric.rolls_up in GIVEN and not levelling.flat:
        told["given_by"] = _giver(levelling, node.value(names).sql, metric, partner_id)
    if isinstance(metric.source, FromRows):
        return told | _records(levelling, node, metric.source, partner_id)
    if isinstance(metric.source, FromGroups):
        return told | {"groups": _groups(levelling, node, metric.source, partner_id)}
    return told


# --- in words


def how_words(metric: Metric) -> str:
    """How a metric is made, in the words of the file."""
    words = _source_words(metric)
    if metric.where is not None:
        words += f" where {metric.where.text}"
    rolled = ROLLED.get(metric.rolls_up)
    return f"{words}, {rolled}" if rolled else words


def _source_words(metric: Metric) -> str:
    match metric.source:
        case FromRows(aggregate=aggregate, table=table, value=value):
            return f"{aggregate.value} of {table}" + (f".{value.text}" if value else "")
        case FromField(column=column):
            return f"partners.{column}"
        case FromFormula(formula=formula):
            return formula.text
        case FromPast(metric=other, shift=shift, relative=relative):
            return (
                f"{'growth' if relative else 'change'} of {other} versus {counted(shift.count, shift.period)} earlier"
            )
        case FromGroups(of=of, having=having, share=share):
            what = "share of the values" if share else "values"
            return f"{what} of {of} with {' and '.join(_condition(one) for one in having)}"
        case FromPart() as part:
            return _part_words(part)
        case FromParts(parts=parts, max=most):
            names = ", ".join(part.rpartition(".")[2] for part in parts)
            return f"sum of {names}{_most(most)}"
        case FromRank() as rank:
            return _rank_words(rank)
        case Computed() as computed:
            return computed.words
        case FromTier(ladder=ladder, category=category, program=program):
            where = (
                f"on ladder {ladder}" if ladder else f"in program {program}" if program else f"in category {category}"
            )
            return f"position of the calculated tier {where}"
        case FromHeld(tier=tier, criterion=criterion):
            what = f"the granted tier is {tier} or higher" if tier else f"{criterion.metric if criterion else ''} holds"
            return f"days since {what}"


def _condition(one: GroupCondition) -> str:
    value = f".{one.source.value.text}" if one.source.value else ""
    where = f" where {one.where.text}" if one.where else ""
    bound = f"{'at most' if one.at_most else 'at least'} {one.limit.normalize():f}"
    return f"{one.source.aggregate.value} of {one.source.table}{value}{where} {bound}"


def _part_words(part: FromPart) -> str:
    match part.earning:
        case Linear(worth=worth, full_at=None):
            words = f"{_number(worth)} for {part.of}"
        case Linear(worth=worth, full_at=full_at):
            words = f"{_number(worth)} for {part.of} in full at {_number(full_at)}, before that in proportion"
        case PerUnit(points=points, per=per, whole_units=whole):
            words = f"{_number(points)} for each {'whole ' if whole else ''}{_number(per)} of {part.of}"
        case Bands(steps=steps):
            words = f"by band of {part.of}: " + ", ".join(
                f"from {start:f} {_number(points)}" for start, points in steps
            )
        case BestOf(metrics=metrics):
            words = f"the best of {', '.join(metrics)}"
    return f"{words}{_most(part.max)}" + (f", if {part.needs.text}" if part.needs else "")


def _most(most: Points | None) -> str:
    return f", at most {_number(most)}" if most is not None else ""


def _number(points: Points | None) -> str:
    if isinstance(points, ByAttribute):
        return f"(by {points.column})"
    return points.key if isinstance(points, OtherMetric) else f"{points:f}"


def _rank_words(rank: FromRank) -> str:
    among = [*rank.within, *(["category"] if rank.within_category else [])]
    where = f" within {', '.join(among)}" if among else ""
    condition = f" where {rank.where.text}" if rank.where else ""
    return f"{'percentile' if rank.percentile else 'rank'} of {rank.metric}{where}{condition}"


# --- whose value it is


def _giver(levelling: Levelling, value: sql.Sql, metric: Metric, partner_id: str) -> str | None:
    """The account whose value the partner has: the one furthest from it that has the same value."""
    match metric.rolls_up:
        case RollsUp.BEST:
            pairs, mine, theirs = subtrees(levelling, metric.rolls_up_where), "ancestor", "member"
        case RollsUp.INHERIT:
            pairs, mine, theirs = subtrees(levelling, metric.rolls_up_where), "member", "ancestor"
        case _:
            return None
    accounts = sql.select([sql.col("partner_id"), sql.named(value, "value")], sql.table("measures"))
    match_ = sql.eq(sql.col(theirs, "c"), sql.col("partner_id", "v"))
    query = sql.select(
        [sql.col(theirs, "c"), sql.col("value", "v")], sql.table(pairs, "c"),
        [("inner", sql.subquery(accounts, "v"), match_)], sql.eq(sql.col(mine, "c"), sql.text(partner_id)),
    )  # fmt: skip
    rows = levelling.engine.read(query).to_pylist()
    own = next((row["value"] for row in rows if row[theirs] == partner_id), None)
    same = sorted(row[theirs] for row in rows if row["value"] == own and own is not None)
    below = _below(levelling, same, mine, theirs, pairs)
    return next((one for one in same if not below[one] & set(same) - {one}), None)


def _below(levelling: Levelling, accounts: Sequence[str], mine: str, theirs: str, pairs: str) -> dict[str, set[str]]:
    """For each account those further on in the same direction."""
    if not accounts:
        return {}
    chosen = sql.in_(sql.col(mine), [sql.text(one) for one in accounts])
    found: dict[str, set[str]] = {one: set() for one in accounts}
    for row in levelling.engine.read(sql.select([sql.star()], sql.table(pairs), where=chosen)).to_pylist():
        found[row[mine]].add(row[theirs])
    return found


# --- records


def _groups(levelling: Levelling, node: Node, source: FromGroups, partner_id: str) -> list[dict[str, Any]]:
    """The records of each condition, by value of the column."""
    atoms = atoms_needed(levelling.spots, [(node.key, node.spot)], levelling.validity()).values()
    (atom,) = (one for one in atoms if isinstance(one, GroupsAtom))
    windows = [_window(levelling, one, partner_id) for one in atom.conditions]
    found: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(atom.conditions):
        file = levelling.snapshot.tables.get(one.source.table)
        if file is None:
            continue
        for record in _counting(levelling, one, partner_id, file.expires_on_is_last_day, source.of):
            if record["group"]:
                group = found.setdefault(record["group"], {"value": record["group"], "conditions": []})
                _condition_of(group, number, source, windows)["records"].append(record)
    return [found[value] for value in sorted(found)]


def _condition_of(
    group: dict[str, Any], number: int, source: FromGroups, windows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    if not group["conditions"]:
        group["conditions"] = [
            {"asks": _condition(one), "window": window, "records": []}
            for one, window in zip(source.having, windows, strict=True)
        ]
    condition: dict[str, Any] = group["conditions"][number]
    return condition


def _records(levelling: Levelling, node: Node, source: FromRows, partner_id: str) -> dict[str, Any]:
    file = levelling.snapshot.tables.get(source.table)
    (atom,) = atoms_needed(levelling.spots, [(node.key, node.spot)], levelling.validity()).values()
    assert isinstance(atom, Atom)
    told: dict[str, Any] = {"window": _window(levelling, atom, partner_id), "records": []}
    if file is None:
        return told
    return told | {"records": _counting(levelling, atom, partner_id, file.expires_on_is_last_day)}


def _counting(
    levelling: Levelling, atom: Atom, partner_id: str, last_day: bool, group: str | None = None
) -> list[dict[str, Any]]:
    """The records that count for an account: its own, or those of all accounts that it gets them from.

    `group`: also the value of this column.
    """
    rows, limits, reach = (
        levelling.rows(atom.source.table),
        fixed_bounds(levelling.days),
        reach_of(levelling, atom.metric),
    )
    more = {TIE: rows.identity(), "member": sql.col("partner_id", "f")}
    if group is not None:
        more["group"] = as_words(rows.value(rows.table, group))
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
        "lost": sql.coalesce(columns.lost, sql.false()) if columns.lost is not None else sql.false(),
    }
    if group is not None:
        shown["group"] = sql.col("group", "f")
    counts = in_window(atom, columns, limits, last_day, levelling.days.as_of)
    account = head_of(levelling, partner_id, reach)
    if columns.lost is not None:  # also those whose condition hangs on what was not found
        lost = in_window(atom, replace(columns, condition=columns.lost), limits, last_day, levelling.days.as_of)
        counts = sql.or_(counts, lost)
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
        tail = atom.window.tail
        return {"in_force_on": limits.end} | ({"or_ended_within": counted(tail.count, tail.period)} if tail else {})
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
