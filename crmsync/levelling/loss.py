"""The first day on which a tier will be lost if nothing more happens.

Where numbers of one account hang on many others the days are looked at one after the other (`loss_daily.py`).
Only the accounts that will have fallen at the horizon are looked at, and for each only the days on which something of
theirs changes: a row leaves or enters a window, a certificate ends. On those days the same metrics and the same
criteria are computed again; between them nothing can change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from crmsync.levelling import sql
from crmsync.levelling.aggregates import TablePass
from crmsync.levelling.atoms import AnyAtom, Atom, GroupsAtom, atoms_needed, is_ordered
from crmsync.levelling.calendar import Calendar
from crmsync.levelling.criteria import LIMITS, Criteria
from crmsync.levelling.levelling import Levelling, tables_used
from crmsync.levelling.loss_daily import Looking, days_of_change, losses_by_day, whose_numbers_count
from crmsync.levelling.measures import Measures, formulas_of
from crmsync.levelling.measuring import wanted_metrics
from crmsync.levelling.populations import looks_at_population
from crmsync.levelling.reach import CLOSURE, reach_of, subtrees
from crmsync.levelling.risk import position_by_keeps
from crmsync.levelling.rows import TIE, Rows
from crmsync.levelling.running import Rowset, can_run, register_events, running_values
from crmsync.levelling.scans import MetricColumns, RowSource, kept, row_expressions, row_values
from crmsync.levelling.spots import HORIZON, Spot
from crmsync.levelling.sql import Sql
from crmsync.levelling.stages import MeasureQuery
from crmsync.levelling.standing_before import exemptions
from crmsync.levelling.windows import partner_dates
from crmsync.programs.program import Aggregate, Formula, FromHeld, FromRows, InForce, RollsUp

LOSSES, SCOPE, CHANGES, AHEAD = "losses", "risk_scope", "risk_days", "risk_calendar"
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
    steady = _reads_no_clock(levelling)
    if not _can_follow(levelling, atoms):
        within = whose_numbers_count(levelling, rows)
        with looking(within) as look:
            return losses_by_day(rows, days_of_change(levelling, atoms, steady, within), look)
    plain = {column: atom for column, atom in atoms.items() if isinstance(atom, Atom)}
    engine.run("falling", sql.distinct([sql.col("partner_id")], sql.table("standing"), sql.col("lost_ahead")))
    _followed(levelling, wanted, plain, steady)
    return engine.read(sql.select([sql.star()], sql.table(LOSSES)))


def _can_follow(levelling: Levelling, atoms: Mapping[str, AnyAtom]) -> bool:
    """Whether each number of an account follows from the rows of its subtree that move."""
    program = levelling.program
    alone = not (looks_at_population(program) or levelling.credits or exemptions(levelling))
    held = any(isinstance(metric.source, FromHeld) for metric in program.metrics.values())
    split = any(ladder.per is not None for ladder in program.ladders.values())
    return alone and not held and not split and all(_follows(levelling, atom) for atom in atoms.values())


def _follows(levelling: Levelling, atom: AnyAtom) -> bool:
    if isinstance(atom, GroupsAtom) or partner_dates(atom.window):
        return False
    return reach_of(levelling, atom.metric).pairs in (None, CLOSURE)


def _followed(
    levelling: Levelling, wanted: Sequence[tuple[str, Spot]], atoms: Mapping[str, Atom], steady: bool
) -> None:
    """Make the table `losses` from the days on which something of an account changes."""
    engine = levelling.engine
    _register_scope(levelling)
    calendar = Calendar(levelling.days, list(atoms.values()))
    engine.register(AHEAD, calendar.table())
    sources = _row_tables(levelling, atoms, calendar, steady)
    running = [source for source in sources if steady and can_run(source, calendar)]
    others = [source for source in sources if source not in running]
    events = register_events(levelling, calendar, running)
    _register_changes(levelling, calendar, others, events, steady)
    made, lossy = _passes(levelling, calendar, others)
    if events is not None:
        made.append(running_values(levelling, running, CHANGES, KEY))
    views = _measures(levelling, wanted, atoms, made, lossy)
    _losses(levelling, views)
    engine.drop([*(f"risk_rows_{source.rows.table}" for source in sources), "risk_measures", AHEAD])


def _register_scope(levelling: Levelling) -> None:
    """(ancestor, member): whose rows count for the accounts that will fall."""
    if levelling.flat:
        both = {"ancestor": sql.col("partner_id"), "member": sql.col("partner_id")}
        query = sql.select(sql.columns(both), sql.table("falling"))
    else:
        match = sql.eq(sql.col("ancestor", "c"), sql.col("partner_id", "a"))
        query = sql.select(
            [sql.col("ancestor", "c"), sql.col("member", "c")], sql.table(subtrees(levelling), "c"),
            [("inner", sql.table("falling", "a"), match)],
        )  # fmt: skip
    levelling.engine.run(SCOPE, query)


def _row_tables(levelling: Levelling, atoms: Mapping[str, Atom], calendar: Calendar, steady: bool) -> list[Rowset]:
    """Per table its rows in scope with all row expressions computed, as `risk_rows_<table>`."""
    made = []
    for table in tables_used(levelling.program):
        mine = [atom for atom in atoms.values() if atom.source.table == table]
        if not mine or table not in levelling.snapshot.tables:
            continue
        rows = levelling.rows(table)
        expressions = row_expressions(rows, mine, levelling.days, levelling.file)
        values = {**row_values(rows), "scope": sql.col("scope", "f")}
        values["member"] = values.pop("partner_id")
        if any(is_ordered(atom) for atom in mine):
            values[TIE] = rows.identity()
        columns = {atom.column: _owned(atom, kept(expressions[atom.column], values)) for atom in mine}
        match = sql.eq(sql.col("member", "c"), sql.col("partner_id", "t"))
        in_scope = sql.select(
            [sql.star("t"), sql.named(sql.col("ancestor", "c"), "scope")], sql.table(f"t_{table}", "t"),
            [("inner", sql.table(SCOPE, "c"), match)],
        )  # fmt: skip
        rowset = Rowset(rows, mine, columns)
        conditions = [_any_counts(rows, expressions.values())]
        if steady and can_run(rowset, calendar):
            conditions.append(_moving(rowset, expressions, calendar))
        where = sql.and_(*(condition for condition in conditions if condition is not None))
        query = sql.select(sql.columns(values), sql.subquery(in_scope, "f"), rows.joins(), where)
        levelling.engine.run(f"risk_rows_{table}", query)
        made.append(rowset)
    return made


def _moving(rowset: Rowset, expressions: Mapping[str, MetricColumns], calendar: Calendar) -> Sql | None:
    """Rows that move at all; of a table that is only summed and counted no others are looked at."""
    stretches: dict[str, Sql] = {}
    for atom in rowset.atoms:
        if atom.source.aggregate is Aggregate.COUNT_DISTINCT:
            return None
        for first, last in calendar.stretches(calendar.number(atom)):
            day = expressions[atom.column].day
            one = sql.and_(sql.ge(day, sql.day(first)), sql.le(day, sql.day(last)))
            stretches[one.sql()] = one
    return sql.or_(*stretches.values()) if stretches else None


def _any_counts(rows: Rows, expressions: Iterable[MetricColumns]) -> Sql | None:
    """Visible rows that some metric could count or lose."""
    visible = rows.visible()
    conditions = {one.condition.sql(): one.condition for one in expressions if one.condition is not None}
    if any(one.condition is None or one.lost is not None for one in expressions):
        return visible
    some = sql.or_(*conditions.values())
    return some if visible is None else sql.and_(visible, some)


def _owned(atom: Atom, columns: MetricColumns) -> MetricColumns:
    """A metric that rolls nothing up counts only the rows of the account itself."""
    if atom.metric.rolls_up is not RollsUp.OWN:
        return columns
    own = sql.eq(sql.col("member", "f"), sql.col("scope", "f"))
    return replace(columns, condition=own if columns.condition is None else sql.and_(own, columns.condition))


# --- the days on which something changes


def _register_changes(
    levelling: Levelling, calendar: Calendar, sources: Sequence[Rowset], events: str | None, steady: bool
) -> None:
    """(partner_id, day, key): the days to look at for each account."""
    queries: list[Sql] = [sql.select([sql.col("partner_id"), sql.col("day")], sql.table(events))] if events else []
    if not steady or not (queries or sources):
        every = {"partner_id": sql.col("partner_id", "a"), "day": sql.col("day", "g")}
        queries.append(
            sql.select(sql.columns(every), sql.table("falling", "a"), [("cross", sql.table(AHEAD, "g"), sql.true())])
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
    of_rows = [
        formula
        for metric in levelling.program.metrics.values()
        if isinstance(metric.source, FromRows)
        for formula in (metric.where, metric.source.value)
        if formula is not None
    ]
    return not any(_reads_clock(formula) for formula in [*of_rows, *formulas_of(levelling.program)])


def _reads_clock(formula: Formula) -> bool:
    return any(column.table == "clock" for column in formula.tree.find_all(exp.Column))


# --- the same metrics and criteria on those days


def _passes(
    levelling: Levelling, calendar: Calendar, sources: Sequence[Rowset]
) -> tuple[list[tuple[str, list[str]]], list[str]]:
    made: list[tuple[str, list[str]]] = []
    lossy: list[str] = []
    for rowset in sources:
        rows, columns = rowset.rows, rowset.columns
        days = sql.eq(sql.col("partner_id", "d"), sql.col("scope", "f"))
        ahead = sql.eq(sql.col("day", "d"), sql.col("day", "g"))
        values = [sql.star("f"), sql.star("g"), sql.named(sql.col(KEY, "d"), "partner_id")]
        query = sql.select(
            values, sql.table(f"risk_rows_{rows.table}", "f"),
            [("inner", sql.table(CHANGES, "d"), days), ("inner", sql.table(AHEAD, "g"), ahead)],
        )  # fmt: skip
        source = RowSource(sql.subquery(query, "f"), columns, {})
        one = TablePass(rows, rowset.atoms, levelling.days, levelling.engine, source, tag="_ahead")
        made += one.compute(calendar.limits())
        lossy += [column for column, known in columns.items() if known.lost is not None]
    return made, lossy


def _measures(
    levelling: Levelling, wanted: Sequence[tuple[str, Spot]], atoms: Mapping[str, Atom],
    made: Sequence[tuple[str, list[str]]], lossy: Sequence[str],
) -> Measures:  # fmt: skip
    builder = MeasureQuery(levelling, {HORIZON: sql.col("day")})
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
