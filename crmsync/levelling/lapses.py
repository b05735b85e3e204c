"""What is about to lapse: the certificates that end and the records that leave their window until a tier is lost.

Named for those who will have lost their tier at the horizon, for the metrics that their tier asks for. Source:
program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, atoms_needed
from crmsync.levelling.calendar import Calendar
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.loss_rows import FALLING_TIERS, Followed
from crmsync.levelling.reach import reach_of
from crmsync.levelling.rows import TIE
from crmsync.levelling.running import Rowset
from crmsync.levelling.scans import MetricColumns, fixed_bounds, in_window, source_of
from crmsync.levelling.spots import HORIZON, NOW, Spot, inputs_of
from crmsync.levelling.sql import Sql
from crmsync.levelling.tiers import keeps_of
from crmsync.levelling.windows import partner_dates
from crmsync.programs.dependence import requirement_metrics
from crmsync.programs.program import Ever, FromRows, InForce, Metric, Unit

MOST = 5
"""How many records are named for one standing; the rest is counted."""

THINGS = {"certifications": "certificate", "opportunities": "opportunity", "activities": "activity"}


@dataclass
class Asked:
    """A metric and the standings whose tier asks for it: category -> positions."""

    metric: Metric
    positions: dict[str, list[int]] = field(default_factory=dict)

    def falls(self, granted: str) -> Sql:
        """Whether a standing (alias s, with its granted position in a column) asks for the metric."""
        return sql.or_(
            *(
                sql.and_(
                    sql.eq(sql.col("category", "s"), sql.text(category)),
                    sql.in_(sql.col(granted, "s"), [sql.number(one) for one in positions]),
                )
                for category, positions in self.positions.items()
            )
        )


def what_lapses(levelling: Levelling, followed: Followed | None) -> pa.Table | None:
    """(partner_id, category, text), the first to go first; None where nothing that moves is asked for.

    Reads the table `standing`, or what is `followed` of those who will fall, which is freed.
    """
    gone = [one for number, asked in enumerate(_asked(levelling)) if (one := _gone(levelling, asked, number, followed))]
    if not gone:
        return None
    queries = [one.query(number) for number, one in enumerate(gone)]
    over = [sql.col("partner_id"), sql.col("category")]
    order = [
        (sql.col("gone_on"), False),
        (_by_number(gone, lambda one: one.metric.label), False),
        (sql.col("id"), False),
    ]
    numbers = {"place": sql.row_number(over, order), "all": sql.known_within(sql.col("id"), over)}
    placed = sql.select([sql.star(), *sql.columns(numbers)], sql.subquery(sql.union_all(queries), "gone"))
    kept = sql.le(sql.col("place"), sql.number(MOST))
    shown = {name: sql.col(name) for name in ("partner_id", "category")} | {"text": _text(levelling, gone)}
    query = sql.select(sql.columns(shown), sql.subquery(placed, "placed"), where=kept, order=[*over, sql.col("place")])
    found = levelling.engine.read(query)
    if followed is not None:
        followed.drop(levelling.engine)
    return found


@dataclass(frozen=True)
class Gone:
    """The records of one metric that go, per standing that asks for it: rows (alias f) and what is told of them."""

    metric: Metric
    atom: Atom
    relation: Sql
    joins: list[tuple[str, Sql, Sql]]
    where: Sql
    keys: Mapping[str, Sql]  # partner_id, category
    day: Sql
    amount: Sql | None

    def query(self, number: int) -> Sql:
        """(partner_id, category, number, id, gone_on, amount), each record once."""
        values = {
            **self.keys,
            "number": sql.number(number),
            "id": sql.col(TIE, "f"),
            "gone_on": self.day,
            "amount": self.amount if self.amount is not None else sql.null(sql.MONEY),
        }
        rows = sql.select(sql.columns(values), self.relation, self.joins, self.where)
        return sql.distinct([sql.star()], sql.subquery(rows, "one"))


def _by_number(gone: Sequence[Gone], text: Callable[[Gone], str]) -> Sql:
    """A text of each metric, by the number of the metric in a row."""
    texts: dict[str, list[Sql]] = {}
    for number, one in enumerate(gone):
        texts.setdefault(text(one), []).append(sql.number(number))
    words = [(sql.in_(sql.col("number"), numbers), sql.text(word)) for word, numbers in texts.items()]
    return sql.case(words) if len(words) > 1 else words[0][1]


def _text(levelling: Levelling, gone: Sequence[Gone]) -> Sql:
    """What is said of a record: which it is, its amount, when it goes; and behind the last how many there are more."""
    amount = sql.coalesce(sql.concat(sql.text(" of "), sql.cast(sql.col("amount"), sql.TEXT)), sql.text(""))
    when = sql.coalesce(sql.cast(sql.col("gone_on"), sql.TEXT), sql.text(f"or before {levelling.days.horizon}"))
    more = sql.sub(sql.col("all"), sql.number(MOST))
    last = sql.and_(sql.eq(sql.col("place"), sql.number(MOST)), sql.gt(more, sql.number(0)))
    rest = sql.concat(sql.text(", and "), sql.cast(more, sql.TEXT), sql.text(" more"))
    return sql.concat(
        _by_number(gone, _begins), sql.col("id"), amount, _by_number(gone, _verb), when,
        sql.case([(last, rest)], sql.text("")),
    )  # fmt: skip


def _begins(gone: Gone) -> str:
    table = gone.atom.source.table
    return f"{gone.metric.label}: {THINGS.get(table, f'row of {table}')} "


def _verb(gone: Gone) -> str:
    return " ends on " if isinstance(gone.atom.window, InForce) else " leaves its window on "


def _asked(levelling: Levelling) -> Iterator[Asked]:
    """The metrics counted from rows that some tier above the lowest depends on."""
    found: dict[str, Asked] = {}
    program = levelling.program
    for category in program.categories:
        if program.ladder_of(category).per is not None:  # its numbers are those of one value, which is not followed
            continue
        for position, tier in enumerate(program.ladder_of(category).tiers, 1):
            requirement = keeps_of(tier)
            if position == 1 or requirement is None:
                continue
            for key in _counted(levelling, set(requirement_metrics(requirement))):
                asked = found.setdefault(key, Asked(program.metrics[key]))
                asked.positions.setdefault(category, []).append(position)
    yield from found.values()


def _counted(levelling: Levelling, keys: set[str]) -> Iterator[str]:
    waiting, seen = sorted(keys), set[str]()
    while waiting:
        key = waiting.pop(0)
        if key in seen:
            continue
        seen.add(key)
        metric = levelling.program.metrics[key]
        if isinstance(metric.source, FromRows) and metric.source.table in levelling.snapshot.tables:
            yield key
        waiting += inputs_of(levelling.program, metric)


def _gone(levelling: Levelling, asked: Asked, number: int, followed: Followed | None) -> Gone | None:
    """The records of one metric that count today and will not at the horizon, per standing that asks for it."""
    spots = [(asked.metric.key, Spot(view)) for view in (NOW, HORIZON)]
    atoms = list(atoms_needed(levelling.spots, spots, levelling.validity()).values())
    now, ahead = (one for one in atoms if isinstance(one, Atom))
    if isinstance(now.window, Ever):
        return None
    source = followed.sources.get(now.source.table) if followed is not None else None
    if followed is not None and source is not None and ahead.column in source.columns:
        return _of_followed(levelling, asked, now, ahead, source, followed)
    return _of_table(levelling, asked, now, ahead, number)


def _of_followed(
    levelling: Levelling, asked: Asked, now: Atom, ahead: Atom, source: Rowset, followed: Followed
) -> Gone:
    """From the rows of those who will fall; what is asked of a row is there the same on every day."""
    columns = source.columns[ahead.column]
    joins = [
        ("inner", sql.table(FALLING_TIERS, "s"), sql.eq(sql.col("number", "s"), sql.col("scope", "f"))),
    ]
    day = columns.day
    if isinstance(now.window, InForce):
        day = columns.expires
    elif (moves := followed.moves.of(followed.moves.calendar.number(ahead), leaving=True)) is not None:
        joins.append(("left", moves, sql.eq(sql.col("moved", "g"), day)))
        day = sql.col("day", "g")
    where = sql.and_(
        asked.falls("granted"), _goes(levelling, now, ahead, {NOW: columns, HORIZON: columns}, source.last_day)
    )
    keys = {name: sql.col(name, "s") for name in ("partner_id", "category")}
    return Gone(asked.metric, now, source.relation, joins, where, keys, day, _amount(asked, columns))


def _of_table(levelling: Levelling, asked: Asked, now: Atom, ahead: Atom, number: int) -> Gone:
    """From the table itself, for the standings that will fall."""
    scope = _scope(levelling, asked, number)
    rows, limits = levelling.rows(now.source.table), fixed_bounds(levelling.days)
    more = {TIE: rows.identity(), "category": sql.col("category", "c")}
    source = source_of(
        rows, [now, ahead], levelling.days, levelling.file, limits, levelling.spans, pairs=scope, more=more
    )
    columns = source.columns[now.column]
    both = {NOW: columns, HORIZON: source.columns[ahead.column]}
    where = _goes(levelling, now, ahead, both, rows.file is not None and rows.file.expires_on_is_last_day)
    joins, day = _day_of_leaving(levelling, now, columns.day, columns.expires, number)
    keys = {name: sql.col(name, "f") for name in ("partner_id", "category")}
    return Gone(asked.metric, now, source.relation, joins, where, keys, day, _amount(asked, columns))


def _goes(levelling: Levelling, now: Atom, ahead: Atom, columns: Mapping[str, MetricColumns], last_day: bool) -> Sql:
    """Whether a row counts today and will not at the horizon."""
    limits, as_of = fixed_bounds(levelling.days), levelling.days.as_of
    counts = {one.view: in_window(one, columns[one.view], limits, last_day, as_of) for one in (now, ahead)}
    return sql.and_(counts[NOW], sql.not_(sql.coalesce(counts[HORIZON], sql.false())))


def _amount(asked: Asked, columns: MetricColumns) -> Sql | None:
    return columns.value if asked.metric.unit is Unit.MONEY else None


def _day_of_leaving(
    levelling: Levelling, atom: Atom, day: Sql, expires: Sql, number: int
) -> tuple[list[tuple[str, Sql, Sql]], Sql]:
    if isinstance(atom.window, InForce):
        return [], expires
    if partner_dates(atom.window):
        return [], sql.null(sql.DATE)
    calendar = Calendar(levelling.days, [atom])
    name = f"leaving_{number}"
    levelling.engine.register(name, calendar.moves(calendar.number(atom), leaving=True))
    return [("left", sql.table(name, "g"), sql.eq(sql.col("moved", "g"), day))], sql.col("day", "g")


def _scope(levelling: Levelling, asked: Asked, number: int) -> str:
    """(ancestor, member, category): whose rows count for the standings that will fall."""
    falls = sql.and_(sql.col("lost_ahead", "s"), asked.falls("granted_position"))
    reach = reach_of(levelling, asked.metric)
    account, category = sql.col("partner_id", "s"), sql.col("category", "s")
    if reach.pairs is None:
        columns = {"ancestor": account, "member": account, "category": category}
        query = sql.select(sql.columns(columns), sql.table("standing", "s"), where=falls)
        return levelling.engine.run(f"lapse_scope_{number}", query)
    joins: list[tuple[str, Sql, Sql]] = []
    head = account
    if reach.shared:
        joins.append(("inner", sql.table(reach.pairs, "h"), sql.eq(sql.col("member", "h"), account)))
        head = sql.col("ancestor", "h")
    joins.append(("inner", sql.table(reach.pairs, "p"), sql.eq(sql.col("ancestor", "p"), head)))
    columns = {"ancestor": account, "member": sql.col("member", "p"), "category": category}
    query = sql.select(sql.columns(columns), sql.table("standing", "s"), joins, falls)
    return levelling.engine.run(f"lapse_scope_{number}", query)


# --- into the standings


def with_lapses(standings: pa.Table, lapses: pa.Table) -> pa.Table:
    """The standings with what lapses behind the reasons of their risk."""
    if lapses.num_rows == 0:
        return standings
    found = pc.run_end_encode(_places(lapses))
    first = np.concatenate([[0], found.run_ends.to_numpy()])
    at = pc.index_in(_places(standings), value_set=found.values).to_numpy(zero_copy_only=False)
    known = ~np.isnan(at)
    place = np.where(known, at, 0).astype(np.int64)
    start = np.where(known, first[place], 0)
    count = np.where(known, first[place + 1] - start, 0)
    column = standings.column_names.index("risk_reasons")
    reasons = standings.column(column).combine_chunks()
    offsets = reasons.offsets.to_numpy().astype(np.int64)
    whole = _side_by_side(reasons.values, lapses.column("text").combine_chunks(), offsets, start, count)
    return standings.set_column(column, "risk_reasons", whole)


def _side_by_side(
    left: pa.Array, right: pa.Array, offsets: np.ndarray, start: np.ndarray, count: np.ndarray
) -> pa.Array:
    """Lists of `left` (by offsets), each with `count` values of `right` from `start` on behind it."""
    lengths = np.diff(offsets)
    ends = np.cumsum(lengths + count)
    begins = ends - (lengths + count)
    taken = np.empty(int(ends[-1]) if len(ends) else 0, dtype=np.int64)
    taken[np.repeat(begins, lengths) + _from_zero(lengths)] = np.repeat(offsets[:-1], lengths) + _from_zero(lengths)
    behind = np.repeat(begins + lengths, count) + _from_zero(count)
    taken[behind] = len(left) + np.repeat(start, count) + _from_zero(count)
    values = pa.concat_arrays([left, right.cast(left.type)]).take(pa.array(taken))
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]).astype(np.int32)), values)


def _from_zero(lengths: np.ndarray) -> np.ndarray:
    """0, 1, 2 … for each length, one after the other."""
    whole: np.ndarray = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return whole


def _places(rows: pa.Table) -> pa.Array:
    both = [rows.column(name).combine_chunks().cast(pa.string()) for name in ("partner_id", "category")]
    return pc.binary_join_element_wise(*both, "\n")
