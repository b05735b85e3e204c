"""What is about to lapse: the certificates that end and the records that leave their window until a tier is lost.

Named for those who will have lost their tier at the horizon, for the metrics that their tier asks for. Source:
program-language, section 9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, atoms_needed
from crmsync.levelling.calendar import Calendar
from crmsync.levelling.falling import FALLING, FALLING_TIERS, Told, lists_by_place
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.loss import Losses
from crmsync.levelling.loss_rows import Followed
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
from crmsync.tables import ROW_NAMES

MOST = 5
"""How many records are named for one standing; the rest is counted."""

ASKED, LEAVING, WORDS = "lapses_asked", "lapses_leaving", "lapses_words"


NO_WINDOW = -1


@dataclass
class Asked:
    """A metric and the standings whose tier asks for it: category -> positions."""

    metric: Metric
    positions: dict[str, list[int]] = field(default_factory=dict)


def told_of(levelling: Levelling, losses: Losses) -> Told:
    """What is told of those who will lose a tier; the rows that were followed are freed."""
    texts = what_lapses(levelling, losses.followed)
    if losses.followed is not None:
        losses.followed.drop(levelling.engine)
    return Told(losses.falling, losses.lost_on, lists_by_place(texts, losses.falling.num_rows))


def what_lapses(levelling: Levelling, followed: Followed | None) -> pa.Table:
    """(place, text): for each standing that will fall the first records to go. `followed`: the rows they stand in."""
    found = [one for asked in _asked(levelling) if (one := _gone(levelling, asked, followed)) is not None]
    if not found:
        return pa.table({"place": pa.array([], pa.int64()), "text": pa.array([], pa.string())})
    calendar = Calendar(levelling.days, [one.now for one in found if one.leaves])
    _register(levelling, found, calendar)
    queries = [one.query(number, calendar) for number, one in enumerate(found)]
    same = sql.eq(sql.col("number", "s"), sql.col("scope", "r"))
    asks = [sql.eq(sql.col(name, "k"), sql.col(name, side)) for name, side in (("metric", "r"), *_TIER)]
    left = [sql.eq(sql.col(name, "g"), sql.col(name, "r")) for name in ("window", "moved")]
    joins = [
        ("inner", sql.table(FALLING_TIERS, "s"), same),
        ("inner", sql.table(ASKED, "k"), sql.and_(*asks)),
        ("left", sql.table(LEAVING, "g"), sql.and_(*left)),
    ]
    values = {"place": sql.col("place", "s"), **{name: sql.col(name, "r") for name in ("metric", "id", "amount")}}
    values |= {"by_label": sql.col("by_label", "k"), "gone_on": sql.coalesce(sql.col("day", "g"), sql.col("ends", "r"))}
    rows = sql.select(sql.columns(values), sql.subquery(sql.union_all(queries), "r"), joins)
    gone = sql.subquery(sql.distinct([sql.star()], sql.subquery(rows, "rows")), "gone")
    over = [sql.col("place")]
    order = [(sql.col("gone_on"), False), (sql.col("by_label"), False), (sql.col("id"), False)]
    numbers = {"at": sql.row_number(over, order), "all": sql.known_within(sql.col("id"), over)}
    placed = sql.subquery(sql.select([sql.star(), *sql.columns(numbers)], gone), "placed")
    words = ("inner", sql.table(WORDS, "w"), sql.eq(sql.col("metric", "w"), sql.col("metric", "placed")))
    shown = {"place": sql.col("place"), "text": _text(levelling)}
    kept = sql.le(sql.col("at"), sql.number(MOST))
    texts = levelling.engine.read(
        sql.select(sql.columns(shown), placed, [words], kept, order=[sql.col("place"), sql.col("at")])
    )
    levelling.engine.drop([ASKED, LEAVING, WORDS, *(one.scope for one in found if one.scope is not None)])
    return texts


_TIER = (("category", "s"), ("granted", "s"))


@dataclass(frozen=True)
class Gone:
    """The records of one metric that go: rows (alias f) with the number of the account they count for."""

    asked: Asked
    now: Atom
    relation: Sql
    columns: MetricColumns
    where: Sql
    scope: str | None = None  # a table made for it

    @property
    def ends(self) -> bool:
        """Whether a record ends, rather than leaves its window."""
        return isinstance(self.now.window, InForce)

    @property
    def leaves(self) -> bool:
        """Whether a record leaves a window that is the same for all partners."""
        return not self.ends and not partner_dates(self.now.window)

    def query(self, number: int, calendar: Calendar) -> Sql:
        """(metric, scope, id, window, moved, ends, amount): the date that leaves, or the one on which it ends."""
        never = sql.null(sql.DATE)
        money = self.asked.metric.unit is Unit.MONEY and self.columns.value is not None
        values = {
            "metric": sql.number(number),
            "scope": sql.col("scope", "f"),
            "id": sql.col(TIE, "f"),
            "window": sql.number(calendar.number(self.now) if self.leaves else NO_WINDOW),
            "moved": never if self.ends else self.columns.day,
            "ends": self.columns.expires if self.ends else never,
            "amount": (self.columns.value if money else None) or sql.null(sql.MONEY),
        }
        return sql.select(sql.columns(values), self.relation, where=self.where)


def _register(levelling: Levelling, found: Sequence[Gone], calendar: Calendar) -> None:
    """Which tiers ask for which metric, the words for it, and the days on which dates leave each window."""
    labels = sorted({one.asked.metric.label for one in found})
    asked, words = [], []
    for number, one in enumerate(found):
        table, label = one.now.source.table, one.asked.metric.label
        begins = f"{label}: {ROW_NAMES.get(table, f'row of {table}')} "
        words.append((number, begins, " ends on " if one.ends else " leaves its window on "))
        for category, positions in one.asked.positions.items():
            asked += [(number, category, at, labels.index(label)) for at in positions]
    levelling.engine.register(ASKED, _table(asked, ("metric", "category", "granted", "by_label")))
    levelling.engine.register(WORDS, _table(words, ("metric", "begins", "verb")))
    kinds = [("moved", pa.date32()), ("day", pa.date32()), ("window", pa.int32())]
    leaving = [pa.schema(kinds).empty_table()]
    for window in range(len(calendar.bounds)):
        moves = calendar.moves(window, leaving=True)
        leaving.append(moves.append_column("window", pa.array([window] * moves.num_rows, pa.int32())))
    levelling.engine.register(LEAVING, pa.concat_tables(leaving))


def _table(rows: Sequence[tuple[int | str, ...]], names: Sequence[str]) -> pa.Table:
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return pa.table(
        {name: pa.array(cells, pa.string() if isinstance(cells[0], str) else pa.int32()) for name, cells in columns}
    )


def _text(levelling: Levelling) -> Sql:
    """What is said of a record: which it is, its amount, when it goes; and behind the last how many there are more."""
    amount = sql.coalesce(sql.concat(sql.text(" of "), sql.cast(sql.col("amount"), sql.TEXT)), sql.text(""))
    when = sql.coalesce(sql.cast(sql.col("gone_on"), sql.TEXT), sql.text(f"or before {levelling.days.horizon}"))
    more = sql.sub(sql.col("all"), sql.number(MOST))
    last = sql.and_(sql.eq(sql.col("at"), sql.number(MOST)), sql.gt(more, sql.number(0)))
    rest = sql.case([(last, sql.concat(sql.text(", and "), sql.cast(more, sql.TEXT), sql.text(" more")))], sql.text(""))
    return sql.concat(sql.col("begins"), sql.col("id"), amount, sql.col("verb"), when, rest)


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


def _gone(levelling: Levelling, asked: Asked, followed: Followed | None) -> Gone | None:
    """The records of one metric that count today and will not at the horizon."""
    spots = [(asked.metric.key, Spot(view)) for view in (NOW, HORIZON)]
    atoms = list(atoms_needed(levelling.spots, spots, levelling.validity()).values())
    now, ahead = (one for one in atoms if isinstance(one, Atom))
    if isinstance(now.window, Ever):
        return None
    source = followed.sources.get(now.source.table) if followed is not None else None
    if source is not None and ahead.column in source.columns:
        return _of_followed(levelling, asked, now, ahead, source)
    return _of_table(levelling, asked, now, ahead)


def _of_followed(levelling: Levelling, asked: Asked, now: Atom, ahead: Atom, source: Rowset) -> Gone:
    """From the rows of those who will fall; what is asked of a row is there the same on every day."""
    columns = source.columns[ahead.column]
    where = _goes(levelling, now, ahead, {NOW: columns, HORIZON: columns}, source.last_day)
    return Gone(asked, now, source.relation, columns, where)


def _of_table(levelling: Levelling, asked: Asked, now: Atom, ahead: Atom) -> Gone:
    """From the table itself, for the accounts that will fall."""
    scope = _scope(levelling, asked)
    rows, limits = levelling.rows(now.source.table), fixed_bounds(levelling.days)
    more = {TIE: rows.identity(), "scope": sql.col("scope", "c")}
    source = source_of(
        rows, [now, ahead], levelling.days, levelling.file, limits, levelling.spans, pairs=scope, more=more
    )
    both = {NOW: source.columns[now.column], HORIZON: source.columns[ahead.column]}
    where = _goes(levelling, now, ahead, both, rows.file is not None and rows.file.expires_on_is_last_day)
    return Gone(asked, now, source.relation, both[NOW], where, scope)


def _goes(levelling: Levelling, now: Atom, ahead: Atom, columns: Mapping[str, MetricColumns], last_day: bool) -> Sql:
    """Whether a row counts today and will not at the horizon."""
    limits, as_of = fixed_bounds(levelling.days), levelling.days.as_of
    counts = {one.view: in_window(one, columns[one.view], limits, last_day, as_of) for one in (now, ahead)}
    return sql.and_(counts[NOW], sql.not_(sql.coalesce(counts[HORIZON], sql.false())))


def _scope(levelling: Levelling, asked: Asked) -> str:
    """(ancestor, member, scope): whose rows count for the accounts that will fall on a tier that asks for a metric."""
    ways = [
        sql.and_(
            sql.eq(sql.col("category", "t"), sql.text(category)),
            sql.in_(sql.col("granted", "t"), [sql.number(one) for one in positions]),
        )
        for category, positions in asked.positions.items()
    ]
    numbers = sql.distinct([sql.col("number", "t")], sql.table(FALLING_TIERS, "t"), sql.or_(*ways))
    reach = reach_of(levelling, asked.metric)
    account = sql.col("partner_id", "a")
    joins = [("inner", sql.subquery(numbers, "s"), sql.eq(sql.col("number", "s"), sql.col("number", "a")))]
    head = member = account
    if reach.shared and reach.pairs is not None:
        joins.append(("inner", sql.table(reach.pairs, "h"), sql.eq(sql.col("member", "h"), account)))
        head = sql.col("ancestor", "h")
    if reach.pairs is not None:
        joins.append(("inner", sql.table(reach.pairs, "p"), sql.eq(sql.col("ancestor", "p"), head)))
        member = sql.col("member", "p")
    columns = {"ancestor": account, "member": member, "scope": sql.col("number", "a")}
    query = sql.select(sql.columns(columns), sql.table(FALLING, "a"), joins)
    return levelling.engine.run(f"lapse_scope_{asked.metric.key}", query)
