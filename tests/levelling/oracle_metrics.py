"""Metrics the slow way: every row looked at, one partner and one day at a time. Shares no code with the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

from crmsync.programs import program as tree
from crmsync.programs.program import Metric, Program, Shift
from crmsync.tables import CANONICAL, ColumnType
from tests.levelling.facts import Facts
from tests.levelling.oracle_cells import LOST, UNKNOWN, Lower, before, condition, number, rounded, value

LEVELS = 64
CREDITS = {("opportunities", "share"), ("opportunities", "credited_amount")}


@dataclass(frozen=True)
class View:
    """A day to look from; at `pace` flows go on as lately."""

    day: date
    pace: bool = False


@dataclass
class World:
    """A program, its tables and the day of the assessment."""

    program: Program
    facts: Facts
    as_of: date
    _known: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def partners(self) -> dict[str, dict[str, Any]]:
        return {row["partner_id"]: row for row in self.facts.rows["partners"]}

    # --- the tree of accounts

    @cached_property
    def parents(self) -> dict[str, str | None]:
        """The parent of each account after cycles are cut at the link that closes them, by smallest id."""
        found = {key: row.get("parent_id") for key, row in self.partners.items()}
        parent: dict[str, str | None] = {key: one if one in found else None for key, one in found.items()}
        for start in sorted(parent):
            at, seen = start, {start}
            while (above := parent[at]) is not None and above not in seen:
                seen.add(above)
                at = above
            if above == start:
                self.in_circles |= seen
                parent[at] = None
        return parent

    in_circles: set[str] = field(default_factory=set)

    def ancestors(self, partner: str) -> list[str]:
        """The account itself and those above it."""
        found, at = [partner], self.parents[partner]
        while at is not None and len(found) <= LEVELS:
            found.append(at)
            at = self.parents[at]
        return found

    @cached_property
    def subtree(self) -> dict[str, list[str]]:
        below: dict[str, list[str]] = {key: [] for key in self.partners}
        for partner in self.partners:
            for above in self.ancestors(partner):
                below[above].append(partner)
        return below

    # --- money

    @cached_property
    def rates(self) -> dict[str, list[tuple[date, Fraction]]]:
        rows: Sequence[tuple[str, date | None, Decimal]] = ()
        if isinstance(self.program.rates, tuple):
            rows = [(row.currency, row.effective_from, row.rate) for row in self.program.rates]
        elif self.program.rates == "crm":
            delivered = self.facts.rows.get("rates", [])
            rows = [(row["currency"], row.get("effective_from"), row["rate"]) for row in delivered]
        found: dict[str, list[tuple[date, Fraction]]] = {}
        for currency, start, rate in rows:
            found.setdefault(currency, []).append((start or date.min, number(rate)))
        return found

    def rate(self, currency: str, on: date) -> Fraction | None:
        rows = self.rates.get(currency, [])
        if rows and all(rate == 1 for _, rate in rows):
            return Fraction(1)
        fitting = [row for row in rows if row[0] <= on]
        return max(fitting)[1] if fitting else None

    def factor(self, currency: str, on: date) -> Fraction | None:
        mine, theirs = self.rate(str(self.program.currency), on), self.rate(currency, on)
        return None if mine is None or theirs is None else rounded(mine / theirs, 12)

    def converted(self, amount: Fraction | None, row: Row) -> Any:
        """An amount in the program's currency, in cents."""
        if amount is None:
            return None
        currency = row.own.get("currency") or row.partner.get("currency") or self.program.currency
        if currency == self.program.currency:
            return rounded(amount, 2)
        factor = self.factor(str(currency), row.main_date or self.as_of)
        return LOST if factor is None else rounded(rounded(amount, 2) * factor, 2)

    # --- rows

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows as they are visible at as_of."""
        return self._known.setdefault(("rows", table), list(self._visible(table)))

    def _visible(self, table: str) -> Iterator[dict[str, Any]]:
        for given in self.facts.rows.get(table, []):
            row = dict(given)
            if row.get("created_on") and row["created_on"] > self.as_of:
                continue
            if self.has_validity(table) and row.get("issued_on") and row["issued_on"] > self.as_of:
                continue
            if table == "opportunities" and row.get("closed_on") and row["closed_on"] > self.as_of:
                row |= {"closed_on": None, "is_won": False, "is_closed": False}
            yield row

    def has_validity(self, table: str) -> bool:
        known = {*self.facts.types.get(table, ()), *(CANONICAL[table].columns if table in CANONICAL else ())}
        return {"issued_on", "expires_on"} <= known

    def main_date_column(self, table: str) -> str:
        return CANONICAL[table].main_date or "" if table in CANONICAL else "happened_on"

    # --- metrics

    def metric(self, partner: str, key: str, view: View, shifts: tuple[Shift, ...] = ()) -> Any:
        """A known value, None (unknown) or a lower bound."""
        where = (partner, key, view, shifts)
        if where not in self._known:
            self._known[where] = self._filled(self.program.metrics[key], partner, view, shifts)
        return self._known[where]

    def _filled(self, metric: Metric, partner: str, view: View, shifts: tuple[Shift, ...]) -> Any:
        found = self._computed(metric, partner, view, shifts)
        missing = found is None or (isinstance(found, Lower) and found.value is None)
        if not missing or metric.when_missing is not tree.WhenMissing.ZERO:
            return None if missing else found
        zero = False if metric.unit is tree.Unit.YES_NO else Fraction(0)
        return Lower(zero) if isinstance(found, Lower) else zero

    def _computed(self, metric: Metric, partner: str, view: View, shifts: tuple[Shift, ...]) -> Any:
        match metric.source:
            case tree.FromRows():
                return self._at_pace(metric, partner, view, shifts) if view.pace else self._rows_value(
                    metric, partner, self._stretch(metric, view.day, shifts), view.day)  # fmt: skip
            case tree.FromField(column=column, of_hundred=of_hundred):
                return self._field(metric, partner, column, of_hundred)
            case tree.FromFormula(formula=formula):
                names = Account(self, partner, view, shifts)
                reader = condition if metric.unit is tree.Unit.YES_NO else value
                found = reader(formula.tree, names)
                if found in (UNKNOWN, LOST) or isinstance(found, Lower):
                    return None
                return self._in_unit(metric, found)
            case tree.FromPast() as source:
                return self._past(metric, source, partner, view, shifts)

    def _in_unit(self, metric: Metric, found: Any) -> Any:
        return rounded(found, 2) if metric.unit is tree.Unit.MONEY and found is not None else found

    def _field(self, metric: Metric, partner: str, column: str, of_hundred: bool) -> Any:
        rolled = metric.rolls_up is tree.RollsUp.SUM
        cells = [self.partners[one].get(column) for one in (self.subtree[partner] if rolled else [partner])]
        if metric.unit in (tree.Unit.TEXT, tree.Unit.YES_NO):
            return cells[0]
        known = [self._in_unit(metric, number(one) / (100 if of_hundred else 1)) for one in cells if one is not None]
        return sum(known, Fraction(0)) if known else None

    def _past(self, metric: Metric, source: tree.FromPast, partner: str, view: View, shifts: tuple[Shift, ...]) -> Any:
        now = self.metric(partner, source.metric, view, shifts)
        base = self.metric(partner, source.metric, view, (*shifts, source.shift))
        if any(one is None or isinstance(one, Lower) for one in (now, base)):
            return None
        if not source.relative:
            return self._in_unit(metric, now - base)
        if base == 0:
            return None if source.when_base_is_zero is None else Fraction(source.when_base_is_zero)
        return None if base < 0 else (now - base) / base

    # --- aggregates

    def _window(self, metric: Metric) -> tree.Window:
        assert isinstance(metric.source, tree.FromRows)
        if metric.during is not None:
            return metric.during
        return tree.InForce() if self.has_validity(metric.source.table) else tree.Ever()

    def _stretch(self, metric: Metric, day: date, shifts: tuple[Shift, ...]) -> Stretch:
        window = self._window(metric)
        for shift in (*((window.shift,) if window.shift else ()), *shifts):
            day = before(day, shift.count, shift.period.value)
        if isinstance(window, tree.InForce):
            return Stretch(None, min(day, self.as_of), day)
        if isinstance(window, tree.Ever):
            return Stretch(None, min(day, self.as_of))
        first = before(day, window.count, window.period.value) + timedelta(days=1)
        return Stretch(first, min(day, self.as_of))

    def _at_pace(self, metric: Metric, partner: str, view: View, shifts: tuple[Shift, ...]) -> Any:
        window, source = self._window(metric), metric.source
        assert isinstance(source, tree.FromRows)
        stays = self._rows_value(metric, partner, self._stretch(metric, view.day, shifts), view.day)
        flows = source.aggregate in (tree.Aggregate.SUM, tree.Aggregate.COUNT, tree.Aggregate.COUNT_DISTINCT)
        if not flows or not isinstance(window, tree.Last) or window.shift is not None or shifts:
            return stays
        pace = self.program.risk.pace
        start = before(self.as_of, pace.count, pace.period.value)
        lately = self._rows_value(metric, partner, Stretch(start + timedelta(days=1), self.as_of), self.as_of)
        first = before(view.day, window.count, window.period.value)
        days = (view.day - max(self.as_of, first)).days
        parts = [one.value if isinstance(one, Lower) else one for one in (stays, lately)]
        if None in parts:
            return None
        total = parts[0] + self._in_unit(metric, parts[1] * days / (self.as_of - start).days)
        return Lower(total) if isinstance(stays, Lower) or isinstance(lately, Lower) else total

    def _rows_value(self, metric: Metric, partner: str, stretch: Stretch, seen_from: date) -> Any:
        source = metric.source
        assert isinstance(source, tree.FromRows)
        scope = set(self.subtree[partner]) if metric.rolls_up is tree.RollsUp.SUM else {partner}
        formulas = [one for one in (metric.where, source.value) if one is not None]
        once = source.table == "opportunities" and not any(one.columns & CREDITS for one in formulas)
        lost = False
        counted: dict[Any, list[Any]] = {}
        for place, given in enumerate(self.rows(source.table)):
            row = Row(self, source.table, given, seen_from, metric.unit is tree.Unit.MONEY)
            if given["partner_id"] not in scope or not self._inside(metric, row, stretch):
                continue
            holds = True if metric.where is None else condition(metric.where.tree, row)
            lost = lost or holds is LOST
            if holds is not True:
                continue
            cell = None if source.value is None else value(source.value.tree, row)
            lost = lost or cell is LOST
            known = [] if cell in (None, UNKNOWN, LOST) else [self._typed(metric, cell)]
            counted.setdefault(given["opportunity_id"] if once else place, []).extend(known)
        return self._aggregated(metric, source.aggregate, counted, lost)

    def _typed(self, metric: Metric, cell: Any) -> Any:
        return rounded(cell, 2) if metric.unit is tree.Unit.MONEY and isinstance(cell, Fraction) else cell

    def _inside(self, metric: Metric, row: Row, stretch: Stretch) -> bool:
        if stretch.valid_on is not None:
            issued, expires = row.own.get("issued_on"), row.own.get("expires_on")
            late = expires is None or (
                expires >= stretch.valid_on if self.facts.last_day else expires > stretch.valid_on
            )
            return (issued is None or issued <= stretch.last) and late
        day = row.own.get(metric.dated_by) if metric.dated_by else row.main_date
        if stretch.first is None:
            return day is None or day <= stretch.last
        return day is not None and stretch.first <= day <= stretch.last

    def _aggregated(
        self, metric: Metric, aggregate: tree.Aggregate, counted: Mapping[Any, list[Any]], lost: bool
    ) -> Any:
        if aggregate is tree.Aggregate.COUNT:
            total: Any = Fraction(len(counted))
        elif aggregate is tree.Aggregate.COUNT_DISTINCT:
            total = Fraction(len({one for values in counted.values() for one in values}))
        else:
            # the rows of one opportunity agree on what is its own; where they differ the largest counts
            values = [max(values) for values in counted.values() if values]
            total = self._of_values(metric, aggregate, values)
            unsure = aggregate in (tree.Aggregate.AVERAGE, tree.Aggregate.MINIMUM)
            unsure = unsure or (aggregate is tree.Aggregate.SUM and any(one < 0 for one in values))
            if lost and unsure:
                total = None
        return Lower(total) if lost else total

    def _of_values(self, metric: Metric, aggregate: tree.Aggregate, values: list[Any]) -> Any:
        if aggregate is tree.Aggregate.SUM:
            return sum(values, Fraction(0))
        if not values:
            return None
        if aggregate is tree.Aggregate.AVERAGE:
            return self._in_unit(metric, sum(values, Fraction(0)) / len(values))
        return min(values) if aggregate is tree.Aggregate.MINIMUM else max(values)


@dataclass(frozen=True)
class Stretch:
    """First and last day; `valid_on`: the day on which validity is asked instead."""

    first: date | None
    last: date
    valid_on: date | None = None


@dataclass(frozen=True)
class Row:
    """One record as an expression sees it."""

    world: World
    table: str
    own: Mapping[str, Any]
    seen_from: date
    money_unit: bool

    @property
    def partner(self) -> Mapping[str, Any]:
        return self.world.partners.get(self.own["partner_id"], {})

    @property
    def main_date(self) -> date | None:
        return self.own.get(self.world.main_date_column(self.table))

    def cell(self, table: str, column: str) -> Any:
        if table == "clock":
            return self.seen_from
        if table == self.table:
            return self._own(column)
        if table == "partners":
            return plain(self.partner.get(column))
        found = self._reference(table)
        if found is None:
            return LOST
        return _typed_text(found[column], self.world.program.references[table].columns[column])

    def _own(self, column: str) -> Any:
        if self.table == "opportunities" and column in ("credited_amount", "share"):
            return self._credit(column)
        kind = self.world.facts.types[self.table].get(column)
        if kind is ColumnType.MONEY:
            amount = self.own.get(column)
            return self.world.converted(None if amount is None else Fraction(amount), self)
        if kind is ColumnType.MEASURE and self.own.get(column) is not None:
            cell = Fraction(self.own[column])
            if self.own.get("currency") and self.world.program.currency:
                return self.world.converted(rounded(cell, 2), self)
            return rounded(cell, 2) if self.money_unit else cell
        return plain(self.own.get(column))

    def _credit(self, column: str) -> Any:
        share = Fraction(1) if self.own.get("share") is None else number(self.own["share"])
        if column == "share":
            return share
        amount = self.own.get("amount")
        return self.world.converted(None if amount is None else rounded(Fraction(amount) * share, 2), self)

    def _reference(self, name: str) -> Mapping[str, str] | None:
        reference = self.world.program.references[name]
        keys = []
        for _, path in reference.key:
            table, _, column = path.rpartition(".")
            keys.append(self.cell(table or self.table, column))
        if any(key is None or key is LOST for key in keys):
            return None
        day = (self.own.get(reference.dated_by) if reference.dated_by else self.main_date) or self.world.as_of
        columns = [column for column, _ in reference.key]
        for wanted in (keys, ["*"] * len(keys)):
            rows = [row for row in reference.rows if [row[column] for column in columns] == wanted]
            if reference.effective_from:
                rows = [row for row in rows if not row["effective_from"] or row["effective_from"] <= day.isoformat()]
            if rows:
                return max(rows, key=lambda row: row.get("effective_from", ""))
        return None


@dataclass(frozen=True)
class Account:
    """A partner as a formula sees it."""

    world: World
    partner: str
    view: View
    shifts: tuple[Shift, ...] = ()

    def cell(self, table: str, column: str) -> Any:
        if table == "clock":
            return self.view.day
        if table == "metric":
            found = self.world.metric(self.partner, column, self.view, self.shifts)
            return UNKNOWN if found is None else found
        return plain(self.world.partners[self.partner].get(column))


def plain(cell: Any) -> Any:
    """A cell as expressions compute with it."""
    return number(cell) if isinstance(cell, float | Decimal) else cell


def _typed_text(text: str, kind: str) -> Any:
    if text == "":
        return None
    if kind == "number":
        return Fraction(Decimal(text))
    if kind == "date":
        return date.fromisoformat(text)
    return text in ("true", "yes") if kind == "yes_no" else text
