"""The first day on which a tier will be lost if nothing more happens.

Where numbers of one account hang on many others the days are looked at one after the other (`loss_daily.py`).
Only the accounts that will have fallen at the horizon are looked at, and for each only the days on which something of
theirs changes: a row leaves or enters a window, a certificate ends. On those days the same metrics and the same
criteria are computed again; between them nothing can change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.aggregates import Made, TablePass
from crmsync.levelling.atoms import HAVING, AnyAtom, Atom, GroupsAtom, atoms_needed
from crmsync.levelling.calendar import Calendar, Moves
from crmsync.levelling.falling import FALLING, FALLING_TIERS, read_falling, register_falling
from crmsync.levelling.group_events import group_events
from crmsync.levelling.groups import GROUP, Groups, asked_of, has_group
from crmsync.levelling.held_ahead import follows_from_measures, lost_rows
from crmsync.levelling.levelling import Levelling, rows_of_metric
from crmsync.levelling.loss_daily import (
    Looking,
    days_of_change,
    losses_by_day,
    moves_by_partner,
    whose_numbers_count,
)
from crmsync.levelling.loss_rows import Followed, expressions_of, families_are_small, row_tables
from crmsync.levelling.measures import Measures, formulas_of
from crmsync.levelling.measuring import wanted_metrics
from crmsync.levelling.populations import looks_at_others
from crmsync.levelling.rules import deciding_metrics
from crmsync.levelling.running import (
    EVENTS,
    KEY,
    TODAY,
    Changes,
    Rowset,
    Running,
    key_of,
    register_events,
    running_of,
    running_values,
)
from crmsync.levelling.scans import MetricColumns, RowSource, row_expressions
from crmsync.levelling.spans import Join
from crmsync.levelling.spots import HORIZON, Spot, inputs_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.stages import MeasureQuery
from crmsync.levelling.windows import partner_dates
from crmsync.programs.program import Formula, FromGroups, FromHeld, InForce, Metric, Program

LOSSES, CHANGES, AHEAD = "losses", "risk_days", "risk_calendar"


@dataclass(frozen=True)
class Losses:
    """`falling`: (partner_id, category, granted); `lost_on`: the day of each, null where none was found.

    `followed`: the rows it was found from, where it was found from rows.
    """

    falling: pa.Table
    lost_on: pa.Array
    followed: Followed | None = None


def first_days_of_loss(levelling: Levelling, looking: Looking) -> Losses | None:
    """The days of those who will lose a tier; None where nobody does.

    `looking`: what the whole program gives on days ahead.
    """
    engine = levelling.engine
    falling = read_falling(engine)
    if falling.num_rows == 0:
        return None
    wanted = [one for one in wanted_metrics(levelling) if one[1].view == HORIZON]
    atoms = atoms_needed(levelling.spots, wanted, levelling.validity())
    asked = _asked(atoms.values())
    register_falling(engine, falling)
    if not _can_follow(levelling, asked):
        within = whose_numbers_count(levelling, falling)
        days = days_of_change(levelling, asked, _reads_no_clock(levelling), within)
        with looking(within, falling if follows_from_measures(levelling) else None) as look:
            found = losses_by_day(falling, days, look)
        return Losses(falling, _by_place(falling, found.column("place").combine_chunks(), found))
    followed = _followed(levelling, wanted, atoms, asked)
    found = engine.read(sql.select([sql.star()], sql.table(LOSSES)))
    engine.drop([LOSSES])
    return Losses(falling, _by_place(falling, found.column("place").combine_chunks(), found), followed)


def _by_place(falling: pa.Table, places: pa.Array, found: pa.Table) -> pa.Array:
    """The `lost_on` of each place, null where there is none."""
    lost = np.full(falling.num_rows, np.datetime64("NaT"), dtype="datetime64[D]")
    lost[places.to_numpy()] = found.column("lost_on").to_numpy()
    return pa.array(lost, pa.date32())


def _can_follow(levelling: Levelling, asked: Sequence[Atom]) -> bool:
    """Whether each number of an account follows from the rows that count for it, as they move (table `falling`)."""
    metrics = _deciding(levelling.program)
    alone = not any(looks_at_others(metric) for metric in metrics)
    held = any(isinstance(metric.source, FromHeld) for metric in metrics)
    by_partner = any(partner_dates(atom.window) and not _stays(levelling, atom) for atom in asked)
    clock = any(_reads_clock(one) for one in _formulas_of_rows(metrics))
    if not alone or held or by_partner or clock or not follows_from_measures(levelling):
        return False
    return families_are_small(levelling, asked)


def _deciding(program: Program) -> list[Metric]:
    """The metrics that tiers depend on, with all that these are built on."""
    waiting, found = sorted(deciding_metrics(program)), dict[str, Metric]()
    while waiting:
        key = waiting.pop()
        if key not in found:
            found[key] = program.metrics[key]
            waiting += inputs_of(program, found[key])
    return list(found.values())


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
) -> Followed:
    """Make the table `losses` from the days on which something of an account changes."""
    engine, steady = levelling.engine, _reads_no_clock(levelling)
    staying = [atom for atom in asked if partner_dates(atom.window)]
    asked = [atom for atom in asked if not partner_dates(atom.window)]
    calendar = Calendar(levelling.days, asked)
    moves = Moves(engine, calendar)
    groups = [atom for atom in atoms.values() if isinstance(atom, GroupsAtom)]
    plain = [atom for atom in atoms.values() if isinstance(atom, Atom) and atom not in staying]
    expressions = expressions_of(levelling, asked)
    running = running_of(levelling, plain, groups, expressions, calendar) if steady else Running()
    sources = row_tables(levelling, asked, _grouped_by(groups), calendar, expressions, running)
    events, things = _events(levelling, moves, sources, running)
    rest = [atom for atom in asked if atom.column not in running.asked]
    days = _days(levelling, calendar, sources, rest, events, steady)
    made, lossy = _Ahead(levelling, calendar, sources).compute(
        [one for one in plain if one not in running.atoms], [one for one in groups if one not in running.groups]
    )
    builder = MeasureQuery(levelling, {HORIZON: sql.col("day")})
    if running.kinds or staying:
        # of what runs where nothing moves today's value holds
        moving, still = (running, staying) if events is not None else (Running(), [*staying, *running.all])
        made.append(running_values(levelling, moving, still, days, builder.own_column))
    _losses(levelling, _measures(levelling, builder, days, wanted, atoms, made, lossy))
    engine.drop([*(name for name, _ in made), "risk_measures", TODAY, CHANGES, EVENTS, AHEAD, *things])
    return Followed(sources, moves)


def _grouped_by(groups: Iterable[GroupsAtom]) -> dict[str, list[str]]:
    """By table the columns that groups are made of."""
    columns: dict[str, list[str]] = {}
    for of, table in dict.fromkeys((one.source.of, table) for one in groups for table in one.tables):
        columns.setdefault(table, []).append(of)
    return columns


def _events(
    levelling: Levelling, moves: Moves, sources: Mapping[str, Rowset], running: Running
) -> tuple[str | None, list[str]]:
    """The table of what moves, None where nothing runs, and the tables made on the way."""
    changes = Changes(levelling, moves, running.kinds)
    queries: list[Sql] = []
    for table, source in sources.items():
        queries += changes.of(source, [atom for atom in running.atoms if atom.source.table == table], table)
    for number, group in enumerate(running.groups):
        of_values = group_events(levelling, moves, sources, group, f"of_{number}", changes.made)
        change = {group.column: sql.col("change", "f")}
        queries.append(changes.listed(sql.subquery(of_values, "f"), sql.col("day", "f"), change))
    return register_events(levelling, running, queries), changes.made


# --- the days on which something changes


def _days(
    levelling: Levelling, calendar: Calendar, sources: Mapping[str, Rowset], rest: Sequence[Atom], events: str | None,
    steady: bool,
) -> str:  # fmt: skip
    """The table (number, day, key) of the days to look at for each account: of what runs (`events`) and of the rest."""
    if steady and events is not None and not any(atom.source.table in sources for atom in rest):
        return events
    levelling.engine.register(AHEAD, calendar.table())
    queries: list[Sql] = [sql.select([sql.col("number"), sql.col("day")], sql.table(events))] if events else []
    seen: set[str] = set()
    for atom in rest if steady else ():
        table = atom.source.table
        if table not in sources:
            continue
        for change in _changes(calendar.number(atom), atom, sources[table].columns[atom.column], calendar):
            if (text := f"{table} {change.sql()}") not in seen:
                seen.add(text)
                queries.append(_change_days(table, change))
    if not steady or not queries:
        every = {"number": sql.col("number", "a"), "day": sql.col("day", "g")}
        joins = [("cross", sql.table(AHEAD, "g"), sql.true())]
        queries = [sql.select(sql.columns(every), sql.table(FALLING, "a"), joins)]
    each = sql.distinct([sql.star()], sql.subquery(sql.union_all(queries), "changes"))
    key = sql.named(key_of(levelling, sql.col("number"), sql.col("day")), KEY)
    return levelling.engine.run(CHANGES, sql.select([sql.star(), key], sql.subquery(each, "days")))


def _change_days(table: str, change: Sql) -> exp.Select:
    values = {"number": sql.col("scope", "f"), "day": sql.col("day", "g")}
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
    metrics = levelling.program.metrics.values()
    return not any(_reads_clock(one) for one in [*_formulas_of_rows(metrics), *formulas_of(levelling.program)])


def _formulas_of_rows(metrics: Iterable[Metric]) -> list[Formula]:
    found: list[Formula | None] = []
    for metric in metrics:
        found += [metric.where, *(source.value for source in rows_of_metric(metric))]
        if isinstance(metric.source, FromGroups):
            found += [condition.where for condition in metric.source.having]
    return [one for one in found if one is not None]


def _reads_clock(formula: Formula) -> bool:
    return any(column.table == "clock" for column in formula.tree.find_all(exp.Column))


# --- the same metrics and criteria on those days


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
        asked = [one for one in groups if any(table in self.sources for table in one.tables)]
        counted, losing, _ = Groups(self.levelling.engine, self._pass_of, limits, tag="_ahead").compute(asked)
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
        days = sql.eq(sql.col("number", "d"), sql.col("scope", "f"))
        ahead = sql.eq(sql.col("day", "d"), sql.col("day", "g"))
        values = [sql.star("f"), sql.star("g"), sql.named(sql.col(KEY, "d"), "partner_id"), *sql.columns(more)]
        query = sql.select(
            values, sql.table(f"risk_rows_{rowset.rows.table}", "f"),
            [("inner", sql.table(CHANGES, "d"), days), ("inner", sql.table(AHEAD, "g"), ahead)], only,
        )  # fmt: skip
        return sql.subquery(query, "f")


def _measures(
    levelling: Levelling, builder: MeasureQuery, days: str, wanted: Sequence[tuple[str, Spot]],
    atoms: Mapping[str, AnyAtom], made: Made, lossy: Sequence[str],
) -> Measures:  # fmt: skip
    account = sql.eq(sql.col("number", "a"), sql.col("number", "d"))
    mine = sql.eq(sql.col("partner_id", "p"), sql.col("partner_id", "a"))
    own = {"@number": sql.col("number", "d"), "@day": sql.col("day", "d"), KEY: sql.col(KEY, "d")}
    partners = sql.select(
        [sql.star("p"), *sql.columns(own)], sql.table(days, "d"),
        [("inner", sql.table(FALLING, "a"), account), ("inner", sql.table("t_partners", "p"), mine)],
    )  # fmt: skip
    keys = {"partner_id": sql.col(KEY, "f"), "day": sql.col("@day", "f"), "account": sql.col("@number", "f")}
    query = builder.build(wanted, atoms, made, lossy, keys, sql.subquery(partners, "f"))
    levelling.engine.run("risk_measures", query)
    return builder.names(Spot(HORIZON))


def _losses(levelling: Levelling, names: Measures) -> None:
    """Make the table `losses` (place, lost_on)."""
    match = sql.eq(sql.col("account", "m"), sql.col("number", "s"))
    joins: list[Join] = [("inner", sql.table(FALLING_TIERS, "s"), match)]
    first = {"place": sql.col("place"), "lost_on": sql.min_(sql.col("day"))}
    queries = [
        sql.select(sql.columns(first), sql.subquery(rows, "lost"), group=[sql.col("place")])
        for rows in lost_rows(levelling, names, sql.table("risk_measures", "m"), joins, ["day"])
    ]
    levelling.engine.run(LOSSES, sql.union_all(queries))
