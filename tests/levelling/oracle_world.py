"""Tables as an assessment sees them: accounts, their tree, money, visible records. Shares no code with the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any

from crmsync.programs.program import Formula, Program, Shift
from crmsync.tables import CANONICAL, ColumnType
from tests.levelling.facts import Facts
from tests.levelling.oracle_cells import LOST, condition, number, rounded

LEVELS = 64


NO_VALUE = "\0none"
"""Stands for the value of a partner that has none: every split metric is unknown there."""


@dataclass(frozen=True)
class View:
    """A day to look from; at `pace` flows go on as lately."""

    day: date
    pace: bool = False


@dataclass(frozen=True)
class Seen:
    """From where a metric is looked at: a day, moved by shifts, for one split value, in the row of one category."""

    view: View
    shifts: tuple[Shift, ...] = ()
    split: str | None = None
    category: str | None = None


@dataclass
class World:
    """A program, its tables and the day of the assessment."""

    program: Program
    facts: Facts
    as_of: date
    known: dict[Any, Any] = field(default_factory=dict)

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

    def top(self, partner: str) -> str:
        return self.ancestors(partner)[-1]

    @cached_property
    def subtree(self) -> dict[str, list[str]]:
        below: dict[str, list[str]] = {key: [] for key in self.partners}
        for partner in self.partners:
            for above in self.ancestors(partner):
                below[above].append(partner)
        return below

    def reaches(self, asked: str, receiver: str, where: Formula | None) -> bool:
        """Whether an account counts for one above it."""
        return asked == receiver or where is None or condition(where.tree, Pair(self, asked, receiver)) is True

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

    # --- records

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows as they are visible at as_of."""
        return self.known.setdefault(("rows", table), list(self._visible(table)))

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
        return {"issued_on", "expires_on"} <= {*self.facts.types.get(table, ()), *_canonical(table)}

    def main_date_column(self, table: str) -> str:
        if table in self.facts.main_dates:
            return self.facts.main_dates[table]
        return CANONICAL[table].main_date or "" if table in CANONICAL else "happened_on"


def _canonical(table: str) -> Mapping[str, ColumnType]:
    return CANONICAL[table].columns if table in CANONICAL else {}


@dataclass(frozen=True)
class Pair:
    """An account below and the one that receives, as `rolls_up_where` sees them."""

    world: World
    asked: str
    receiver: str

    def cell(self, table: str, column: str) -> Any:
        account = self.receiver if table == "parent" else self.asked
        return plain(self.world.partners[account].get(column))


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

    def words(self, path: str) -> str | None:
        """A column of the table, else of the partner, as text: what groups and splits are made of; empty: None."""
        table, _, column = path.rpartition(".")
        of_partner = table == "partners" or (not table and column not in self.world.facts.types[self.table])
        cell = self.partner.get(column) if of_partner else self.own.get(column)
        return None if cell in (None, "") else str(cell)

    def _own(self, column: str) -> Any:
        if self.table == "opportunities" and column in ("credited_amount", "share"):
            return self._credit(column)
        kind = self.world.facts.types[self.table].get(column)
        if kind is ColumnType.MONEY:
            amount = self.own.get(column)
            return self._converted(None if amount is None else Fraction(amount))
        if kind is ColumnType.MEASURE and self.own.get(column) is not None:
            cell = Fraction(self.own[column])
            if self.own.get("currency") and self.world.program.currency:
                return self._converted(rounded(cell, 2))
            return rounded(cell, 2) if self.money_unit else cell
        return plain(self.own.get(column))

    def _converted(self, amount: Fraction | None) -> Any:
        """An amount in the program's currency, in cents."""
        if amount is None:
            return None
        world = self.world
        currency = self.own.get("currency") or self.partner.get("currency") or world.program.currency
        if currency == world.program.currency:
            return rounded(amount, 2)
        factor = world.factor(str(currency), self.main_date or world.as_of)
        return LOST if factor is None else rounded(rounded(amount, 2) * factor, 2)

    def _credit(self, column: str) -> Any:
        share = Fraction(1) if self.own.get("share") is None else number(self.own["share"])
        if column == "share":
            return share
        amount = self.own.get("amount")
        return self._converted(None if amount is None else rounded(Fraction(amount) * share, 2))

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
