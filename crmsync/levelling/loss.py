"""The first day on which a tier will be lost if nothing more happens.

Where numbers of one account hang on many others the days are looked at one after the other (`loss_daily.py`).
Only the accounts that will have fallen at the horizon are looked at, and for each only the days on which something of
theirs changes: a row leaves or enters a window, a certificate ends. On those days the same metrics and the same
criteria are computed again; between them nothing can change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.aggregates import Made, TablePass
from crmsync.levelling.atoms import HAVING, AnyAtom, Atom, GroupsAtom, atoms_needed
from crmsync.levelling.calendar import Calendar
from crmsync.levelling.criteria import LIMITS, Criteria
from crmsync.levelling.groups import GROUP, Groups, asked_of, has_group
from crmsync.levelling.levelling import Levelling, rows_of_metric
from crmsync.levelling.loss_daily import (
    Looking,
    days_of_change,
    losses_by_day,
    moves_by_partner,
    whose_numbers_count,
)
from crmsync.levelling.loss_rows import FALLING, families_are_small, row_tables
from crmsync.levelling.measures import Measures, formulas_of
from crmsync.levelling.measuring import MEASURES, wanted_metrics
from crmsync.levelling.populations import looks_at_population
from crmsync.levelling.risk import position_by_keeps
from crmsync.levelling.running import Rowset, can_run, register_events, running_values
from crmsync.levelling.scans import MetricColumns, RowSource, row_expressions
from crmsync.levelling.spots import HORIZON, NOW, Spot
from crmsync.levelling.sql import Sql
from crmsync.levelling.stages import MeasureQuery
from crmsync.levelling.standing_before import exemptions
from crmsync.levelling.windows import partner_dates
from crmsync.programs.program import Formula, FromGroups, FromHeld, InForce, Metric

LOSSES, CHANGES, AHEAD = "losses", "risk_days", "risk_calendar"
KEY = "key"


def first_days_of_loss(levelling: Levelling, looking: Looking) -> pa.Table | None:
    """(partner_id, category, lost_on) of those who will lose a tier; None where nobody does.

    `looking`: what the whole program gives on days ahead.
    """
    engine = levelling.engine
    falling = [sql.col("partner_id"), sql.col("category")]
    rows = engine.read(sql.distinct(falling, sql.table("standing"), sql.col("lost_ahead")))
    if rows.num_rows == 0:
        return None
    wanted = [one for one in wanted_metrics(levelling) if one[1].view == HORIZON]
    atoms = atoms_needed(levelling.spots, wanted, levelling.validity())
    asked = _asked(atoms.values())
    engine.run(FALLING, sql.distinct([sql.col("partner_id")], sql.table("standing"), sql.col("lost_ahead")))
    if not _can_follow(levelling, asked):
        within = whose_numbers_count(levelling, rows)
        days = days_of_change(levelling, asked, _reads_no_clock(levelling), within)
        with looking(within) as look:
            return losses_by_day(rows, days, look)
    _followed(levelling, wanted, atoms, asked)
    return engine.read(sql.select([sql.star()], sql.table(LOSSES)))


def _can_follow(levelling: Levelling, asked: Sequence[Atom]) -> bool:
    """Whether each number of an account follows from the rows that count for it, as they move (table `falling`)."""
    program = levelling.program
    alone = not (looks_at_population(program) or exemptions(levelling))
    held = any(isinstance(metric.source, FromHeld) for metric in program.metrics.values())
    split = any(ladder.per is not None for ladder in program.ladders.values())
    by_partner = any(partner_dates(atom.window) and not _stays(levelling, atom) for atom in asked)
    if not alone or held or split or by_partner or any(_reads_clock(one) for one in _formulas_of_rows(levelling)):
        return False
    return families_are_small(levelling, asked)


def _stays(levelling: Levelling, atom: Atom) -> bool:
    """Whether a metric with a window of the partner's own dates is ahead just what it is today."""
    if moves_by_partner(atom) or HAVING in atom.metric.key or atom.source.table not in levelling.snapshot.tables:
        return False
    rows = levelling.rows(atom.source.table)
    return row_expressions(rows, [atom], levelling.days, levelling.file)[atom.column].lost is None


def _asked(atoms: Iterable[AnyAtom]) -> list[Atom]:
    """The plain atoms, those that groups ask too."""
    found: dict[str, Atom] = {}
    for atom in atoms:
        found |= {one.column: one for one in (asked_of(atom) if isinstance(atom, GroupsAtom) else [atom])}
    return list(found.values())


def _followed(
    levelling: Levelling, wanted: Sequence[tuple[str, Spot]], atoms: Mapping[str, AnyAtom], asked: Sequence[Atom]
) -> None:
    """Make the table `losses` from the days on which something of an account changes."""
    engine, steady = levelling.engine, _reads_no_clock(levelling)
    staying = [atom for atom in asked if partner_dates(atom.window)]
    asked = [atom for atom in asked if not partner_dates(atom.window)]
    calendar = Calendar(levelling.days, asked)
    engine.register(AHEAD, calendar.table())
    groups = [atom for atom in atoms.values() if isinstance(atom, GroupsAtom)]
    columns: dict[str, list[str]] = {}
    for of, table in dict.fromkeys((one.source.of, table) for one in groups for table in one.tables):
        columns.setdefault(table, []).append(of)
    sources = row_tables(levelling, asked, columns, calendar, steady)
    running = [source for source in sources if steady and can_run(source, calendar)]
    others = [source for source in sources if source not in running]
    events = register_events(levelling, calendar, running)
    _register_changes(levelling, calendar, others, events, steady)
    ahead = _Ahead(levelling, calendar, {source.rows.table: source for source in others})
    plain = [atom for atom in atoms.values() if isinstance(atom, Atom) and atom not in staying]
    made, lossy = ahead.compute(plain, groups)
    builder = MeasureQuery(levelling, {HORIZON: sql.col("day")})
    if events is not None:
        made.append(running_values(levelling, running, CHANGES, KEY, builder.own_column))
    if staying:
        made.append(_as_today(levelling, staying, builder.own_column))
    _losses(levelling, _measures(levelling, builder, wanted, atoms, made, lossy))
    engine.drop([*(f"risk_rows_{source.rows.table}" for source in sources), "risk_measures", AHEAD])


# --- the days on which something changes


def _register_changes(
    levelling: Levelling, calendar: Calendar, sources: Sequence[Rowset], events: str | None, steady: bool
) -> None:
    """(partner_id, day, key): the days to look at for each account."""
    queries: list[Sql] = [sql.select([sql.col("partner_id"), sql.col("day")], sql.table(events))] if events else []
    if not steady or not (queries or sources):
        every = {"partner_id": sql.col("partner_id", "a"), "day": sql.col("day", "g")}
        queries.append(
            sql.select(sql.columns(every), sql.table(FALLING, "a"), [("cross", sql.table(AHEAD, "g"), sql.true())])
        )
    seen: set[str] = set()
    for source in sources:
        table = source.rows.table
        for atom in source.atoms:
            for change in _changes(calendar.number(atom), atom, source.columns[atom.column], calendar):
                if (text := f"{table} {change.sql()}") not in seen:
                    seen.add(text)
                    queries.append(_change_days(table, change))
    every_day = sql.distinct([sql.star()], sql.subquery(sql.union_all(queries), "changes"))
    key = sql.concat(sql.col("partner_id"), sql.text("@"), sql.cast(sql.col("day"), sql.TEXT))
    levelling.engine.run(CHANGES, sql.select([sql.star(), sql.named(key, KEY)], sql.subquery(every_day, "days")))


def _change_days(table: str, change: Sql) -> exp.Select:
    values = {"partner_id": sql.col("scope", "f"), "day": sql.col("day", "g")}
    return sql.distinct(sql.columns(values), sql.table(f"risk_rows_{table}", "f")).join(
        sql.table(AHEAD, "g"), on=change, join_type="inner"
    )


def _changes(number: int, atom: Atom, columns: MetricColumns, calendar: Calendar) -> list[Sql]:
    """When a row of the atom comes or goes between one day (before) and the next."""
    start, start_before = sql.col(f"start_{number}", "g"), sql.col(f"start_{number}_before", "g")
    end, end_before = sql.col(f"end_{number}", "g"), sql.col(f"end_{number}_before", "g")
    if isinstance(atom.window, InForce):
        # the day after the last valid day is looked at too: either reading of expires_on is covered
        gone = sql.and_(sql.lt(start_before, _next(columns.expires)), sql.le(columns.expires, start))
        return [gone, sql.and_(sql.lt(end_before, columns.day), sql.le(columns.day, end))]
    comes = sql.and_(sql.lt(end_before, columns.day), sql.le(columns.day, end))
    moves = [comes] if calendar.end_moves(number) else []
    if calendar.bounds[number][0][0] is not None:
        moves.append(sql.and_(sql.le(start_before, columns.day), sql.lt(columns.day, start)))
    return moves


def _next(day: Sql) -> Sql:
    return sql.plus_interval(day, 1, "DAY")


def _reads_no_clock(levelling: Levelling) -> bool:
    """Whether nothing but windows and validities depends on the day."""
    return not any(_reads_clock(one) for one in [*_formulas_of_rows(levelling), *formulas_of(levelling.program)])


def _formulas_of_rows(levelling: Levelling) -> list[Formula]:
    found: list[Formula | None] = []
    for metric in levelling.program.metrics.values():
        found += [metric.where, *(source.value for source in rows_of_metric(metric))]
        if isinstance(metric.source, FromGroups):
            found += [condition.where for condition in metric.source.having]
    return [one for one in found if one is not None]


def _reads_clock(formula: Formula) -> bool:
    return any(column.table == "clock" for column in formula.tree.find_all(exp.Column))


# --- the same metrics and criteria on those days


def _as_today(levelling: Levelling, atoms: Sequence[Atom], own: Callable[[Metric, Spot], str]) -> tuple[str, list[str]]:
    """The numbers that stay as they are, on each day that is looked at."""
    values = {atom.column: sql.col(own(atom.metric, atom.spot.seen(NOW)), "m") for atom in atoms}
    match = sql.eq(sql.col("partner_id", "m"), sql.col("partner_id", "d"))
    query = sql.select(
        [sql.named(sql.col(KEY, "d"), "partner_id"), *sql.columns(values)], sql.table(CHANGES, "d"),
        [("inner", sql.table(MEASURES, "m"), match)],
    )  # fmt: skip
    return levelling.engine.run("risk_as_today", query), list(values)


@dataclass(frozen=True)
class _Ahead:
    """The passes over the rows in scope, each row once for every day of its account that is looked at."""

    levelling: Levelling
    calendar: Calendar
    sources: Mapping[str, Rowset]  # by table

    def compute(self, atoms: Sequence[Atom], groups: Sequence[GroupsAtom]) -> tuple[Made, list[str]]:
        """Tables keyed by account and day, with their columns, and the columns that can lose records."""
        made: Made = []
        lossy: list[str] = []
        limits = self.calendar.limits()
        for table, rowset in self.sources.items():
            mine = [atom for atom in atoms if atom.source.table == table]
            made += self._pass(rowset, mine, self._rows(rowset, {})).compute(limits) if mine else []
            lossy += [atom.column for atom in mine if rowset.columns[atom.column].lost is not None]
        counted, losing, _ = Groups(self.levelling.engine, self._pass_of, limits, tag="_ahead").compute(groups)
        return [*made, *counted], [*lossy, *losing]

    def _pass_of(self, table: str, of: str, asked: Sequence[Atom]) -> TablePass | None:
        rowset = self.sources.get(table)
        if rowset is None:
            return None
        group = sql.col(f"group:{of}", "f")
        relation = self._rows(rowset, {GROUP: group}, has_group(group))
        return self._pass(rowset, asked, relation, [GROUP], f"_by_{of}")

    def _pass(
        self, rowset: Rowset, atoms: Sequence[Atom], relation: Sql, keys: Sequence[str] = (), tag: str = ""
    ) -> TablePass:
        source = RowSource(relation, rowset.columns, {})
        days, engine = self.levelling.days, self.levelling.engine
        return TablePass(rowset.rows, atoms, days, engine, source, keys=keys, tag=f"{tag}_ahead")

    def _rows(self, rowset: Rowset, more: Mapping[str, Sql], only: Sql | None = None) -> Sql:
        days = sql.eq(sql.col("partner_id", "d"), sql.col("scope", "f"))
        ahead = sql.eq(sql.col("day", "d"), sql.col("day", "g"))
        values = [sql.star("f"), sql.star("g"), sql.named(sql.col(KEY, "d"), "partner_id"), *sql.columns(more)]
        query = sql.select(
            values, sql.table(f"risk_rows_{rowset.rows.table}", "f"),
            [("inner", sql.table(CHANGES, "d"), days), ("inner", sql.table(AHEAD, "g"), ahead)], only,
        )  # fmt: skip
        return sql.subquery(query, "f")


def _measures(
    levelling: Levelling, builder: MeasureQuery, wanted: Sequence[tuple[str, Spot]], atoms: Mapping[str, AnyAtom],
    made: Made, lossy: Sequence[str],
) -> Measures:  # fmt: skip
    match = sql.eq(sql.col("partner_id", "p"), sql.col("partner_id", "d"))
    partners = sql.select(
        [sql.star("p"), sql.col("day", "d"), sql.col(KEY, "d")], sql.table(CHANGES, "d"),
        [("inner", sql.table("t_partners", "p"), match)],
    )  # fmt: skip
    keys = {"partner_id": sql.col(KEY, "f"), "day": sql.col("day", "f"), "account": sql.col("partner_id", "f")}
    query = builder.build(wanted, atoms, made, lossy, keys, sql.subquery(partners, "f"))
    levelling.engine.run("risk_measures", query)
    return builder.names(Spot(HORIZON))


def _losses(levelling: Levelling, names: Measures) -> None:
    queries = []
    for key, category in levelling.program.categories.items():
        ladder = levelling.program.ladders[category.ladder]
        match = sql.and_(
            sql.eq(sql.col("account", "m"), sql.col("partner_id", "s")),
            sql.eq(sql.col("category", "s"), sql.text(key)),
            sql.col("lost_ahead", "s"),
        )
        wide = sql.select(
            [sql.star("m"), sql.star(LIMITS), sql.named(sql.col("granted_position", "s"), "granted")],
            sql.table("risk_measures", "m"),
            [("inner", sql.table("standing", "s"), match), ("cross", sql.table(LIMITS), sql.true())],
        )
        position = position_by_keeps(ladder, Criteria(levelling.program, names.at(category=key), levelling.limits))
        lost = sql.select([sql.star(), sql.named(position, "position")], sql.subquery(wide, "wide"))
        values = {"partner_id": sql.col("account"), "category": sql.text(key), "lost_on": sql.min_(sql.col("day"))}
        queries.append(
            sql.select(
                sql.columns(values),
                sql.subquery(lost, "lost"),
                where=sql.lt(sql.col("position"), sql.col("granted")),
                group=[sql.col("account")],
            )
        )
    levelling.engine.run(LOSSES, sql.union_all(queries))
