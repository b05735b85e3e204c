"""The rows of one table as they are visible at as_of, with money converted and references looked up.

Source: program-language, section 1 (as_of, references) and 3 (money).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from types import MappingProxyType

import pyarrow as pa

from crmsync.levelling import sql
from crmsync.levelling.engine import Engine
from crmsync.levelling.money import Money, register_factors
from crmsync.levelling.references import RegisteredReference
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import KIND_OF_COLUMN, MONEY, NUMBER, WORDS, Value
from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot, TableFile
from crmsync.tables import CANONICAL, ColumnType

ENGINE_TYPES: Mapping[ColumnType, str] = MappingProxyType(
    {
        ColumnType.TEXT: sql.TEXT,
        ColumnType.LIST: "ARRAY<TEXT>",
        ColumnType.DATE: sql.DATE,
        ColumnType.NUMBER: sql.DOUBLE,
        ColumnType.MONEY: sql.AMOUNT,
        ColumnType.MEASURE: "DECIMAL(28, 9)",
        ColumnType.YES_NO: sql.BOOLEAN,
    }
)


TIE = "record"
"""Name of the column that holds the id of a record, where rows are put in order or listed."""


FEW, SAMPLE, MANY_ROWS = 12, 20_000, 100_000
"""So many texts of a column are few; rows that are looked at first, and rows of a table for which it is worth while."""


@dataclass
class Rows:
    """A table of the snapshot as a formula sees it; collects the joins that the formulas asked for.

    `partners_only` is the table of partners itself. `foreign`: some record is in another currency; `unrated`: for some
    currency and day there is no rate.
    """

    table: str
    file: TableFile | None
    program: Program
    money: Money
    as_of_day: date
    references: Mapping[str, RegisteredReference]
    partners: TableFile
    on: Sql  # the day of evaluation that `as_of` means
    foreign: bool = False
    unrated: bool = False
    bare_currency: bool = True  # whether some row names no currency of its own
    closed_in_window: bool = False  # whether what closes after as_of is left out anyway
    money_unit: bool = False  # whether activities.value is wanted as money
    _joins: dict[str, tuple[str, Sql, Sql]] = field(default_factory=dict)
    _few: dict[str, tuple[str, ...]] = field(default_factory=dict)

    # --- Names

    def as_of(self) -> Sql:
        return self.on

    def value(self, table: str, column: str) -> Value:
        if table == self.table:
            return self._own(column)
        if table == "partners":
            return self._of_partner(column)
        return self._of_reference(table, column)

    # --- joins and visibility

    def joins(self) -> list[tuple[str, Sql, Sql]]:
        """The joins that the compiled formulas need, in an order that satisfies them."""
        return list(self._joins.values())

    def visible(self) -> Sql | None:
        """Which rows exist at as_of."""
        columns = self.columns
        conditions = [
            sql.or_(sql.is_null(sql.col(column, "f")), sql.le(sql.col(column, "f"), sql.day(self.as_of_day)))
            for column in (["created_on"] if "created_on" in columns else [])
            + (["issued_on"] if self.has_validity and "issued_on" in columns else [])
        ]
        return sql.and_(*conditions) if conditions else None

    @property
    def columns(self) -> Mapping[str, ColumnType]:
        return self.file.columns if self.file is not None else {}

    @property
    def has_validity(self) -> bool:
        canonical = CANONICAL.get(self.table)
        known = set(self.columns) | set(canonical.columns if canonical else ())
        return {"issued_on", "expires_on"} <= known

    def source(self) -> Sql:
        return sql.table(f"t_{self.table}", "f")

    def cell(self, column: str) -> Sql:
        """A column as visible at as_of; NULL where it was not delivered."""
        kind = self.type_of(column)
        if column not in self.columns:
            return sql.null(ENGINE_TYPES[kind])
        cell = sql.col(column, "f")
        if self.table != "opportunities" or "closed_on" not in self.columns or self.closed_in_window:
            return cell
        later = sql.gt(sql.col("closed_on", "f"), sql.day(self.as_of_day))
        if column in ("is_closed", "is_won"):
            return sql.case([(later, sql.false())], cell)
        return sql.case([(later, sql.null(sql.DATE))], cell) if column == "closed_on" else cell

    def few_values(self, column: str, engine: Engine) -> tuple[str, ...]:
        """The texts that a column has; none where they are many, or so few rows that to look would cost more."""
        if self.file is None or self.file.rows < MANY_ROWS or self.columns.get(column) is not ColumnType.TEXT:
            return ()
        if column not in self._few:
            texts = sql.select([sql.col(column)], sql.table(f"t_{self.table}"))
            found: list[str] = []
            for rows in (sql.subquery(sql.some_rows(texts, SAMPLE), "rows"), sql.table(f"t_{self.table}")):
                known = sql.distinct([sql.col(column)], rows, sql.not_null(sql.col(column)))
                found = engine.read(known).column(0).to_pylist()
                if len(found) > FEW:
                    found = []
                    break
            self._few[column] = tuple(sorted(found))
        return self._few[column]

    def type_of(self, column: str) -> ColumnType:
        """The type of a column, delivered or only listed."""
        if column in self.columns:
            return self.columns[column]
        canonical = CANONICAL.get(self.table)
        return canonical.columns[column] if canonical and column in canonical.columns else ColumnType.TEXT

    def identity(self) -> Sql:
        """The id of a record; the partner's where the table has none."""
        canonical = CANONICAL.get(self.table)
        known = [canonical.id_column] if canonical and canonical.id_column else []
        others = [column for column in self.columns if column.endswith("_id") and column != "partner_id"]
        chosen = next((column for column in (*known, *others, "name", "id") if column in self.columns), "partner_id")
        return sql.cast(sql.col(chosen, "f"), sql.TEXT)

    def main_date(self) -> str | None:
        """Name of the column that windows, rates and references ask for."""
        if self.file is not None and self.file.main_date is not None:
            return self.file.main_date
        return CANONICAL[self.table].main_date if self.table in CANONICAL else None

    def dated(self, dated_by: str | None = None) -> Sql:
        column = dated_by or self.main_date()
        return self.cell(column) if column else sql.null(sql.DATE)

    # --- cells

    def _own(self, column: str) -> Value:
        if self.table == "opportunities" and column == "credited_amount":
            return self._converted(self._credited_amount())
        if self.table == "opportunities" and column == "share":
            return Value(sql.coalesce(self.cell("share"), sql.double(1)), NUMBER)
        kind = self.type_of(column)
        if kind is ColumnType.MEASURE:
            return self._measure(column)
        if kind is ColumnType.MONEY or (self.table, column) in self.program.money:
            cell = self.cell(column)
            return self._converted(cell if kind is ColumnType.MONEY else sql.cast(cell, sql.AMOUNT))
        return Value(self.cell(column), KIND_OF_COLUMN[kind])

    def _credited_amount(self) -> Sql:
        share = sql.coalesce(self.cell("share"), sql.double(1))
        computed = sql.money_times_rate(self.cell("amount"), sql.exact(share, sql.RATE))
        if "credited_amount" not in self.columns:
            return computed
        return sql.coalesce(sql.cast(self.cell("credited_amount"), sql.MONEY), computed)

    def _measure(self, column: str) -> Value:
        cell = self.cell(column)
        plain = sql.is_null(self.cell("currency"))
        if self.program.currency is None:
            return Value(sql.cast(cell, sql.DOUBLE), NUMBER)
        money = self._converted(sql.cast(sql.round_(cell, 2), sql.AMOUNT))
        found = tuple(sql.or_(plain, condition) for condition in money.found)  # a plain number needs no rate
        if self.money_unit:
            return Value(sql.case([(plain, sql.money(cell))], money.sql), MONEY, found)
        number = sql.case([(plain, sql.cast(cell, sql.DOUBLE))], sql.cast(money.sql, sql.DOUBLE))
        return Value(number, NUMBER, found)

    def currency(self) -> Sql:
        """The record's currency, else the partner's, else the program's."""
        if not self.bare_currency:
            return self.cell("currency")
        own = [self.cell("currency")] if "currency" in self.columns else []
        partners = []
        if self.bare_currency and self.table != "partners" and "currency" in self.partners.columns:
            self._join_partner()
            partners = [sql.col("currency", "p")]
        return sql.coalesce(*[*own, *partners, sql.text(self.program.currency or "")])

    def rate_day(self) -> Sql:
        with self._for_all():
            return sql.coalesce(self.dated(), sql.day(self.as_of_day))

    @contextmanager
    def _for_all(self) -> Iterator[None]:
        """Cells as every metric may see them: what is joined is joined once for all, whatever their windows ask."""
        kept, self.closed_in_window = self.closed_in_window, False
        try:
            yield
        finally:
            self.closed_in_window = kept

    def _converted(self, amount: Sql) -> Value:
        if self.program.currency is None or not self.foreign:
            return Value(sql.cast(amount, sql.MONEY), MONEY)
        currency = self.currency()
        factor = sql.col("factor", "x")
        match = sql.and_(sql.eq(sql.col("currency", "x"), currency), sql.eq(sql.col("day", "x"), self.rate_day()))
        self._joins.setdefault("x", ("left", sql.table(f"factors_{self.table}", "x"), match))
        found: tuple[Sql, ...] = ()
        if self.unrated:
            own = sql.eq(currency, sql.text(self.program.currency))
            found = (sql.or_(sql.is_null(amount), own, sql.not_null(factor)),)
        return Value(self.money.convert(amount, currency, factor), MONEY, found)

    def _of_partner(self, column: str) -> Value:
        self._join_partner()
        kind = self.partners.columns.get(column)
        if kind is None:
            listed = CANONICAL["partners"].columns.get(column, ColumnType.TEXT)
            return Value(sql.null(ENGINE_TYPES[listed]), KIND_OF_COLUMN[listed])
        return Value(sql.col(column, "p"), KIND_OF_COLUMN[kind])

    def _join_partner(self) -> None:
        match = sql.eq(sql.col("partner_id", "p"), sql.col("partner_id", "f"))
        self._joins.setdefault("p", ("left", sql.table("t_partners", "p"), match))

    def _of_reference(self, reference: str, column: str) -> Value:
        registered = self.references[reference]
        with self._for_all():
            keys = [_as_key(self._key(path)) for _, path in registered.reference.key]
            day = sql.coalesce(self.dated(registered.reference.dated_by), sql.day(self.as_of_day))
        for alias, join in registered.joins([key.sql for key in keys], day):
            self._joins.setdefault(alias, join)
        found = tuple(condition for key in keys for condition in key.found)
        return registered.value(column, found)

    def _key(self, path: str) -> Value:
        table, _, column = path.rpartition(".")
        return self.value(table or self.table, column)


def _as_key(value: Value) -> Value:
    return value if value.kind == WORDS else replace(value, sql=sql.cast(value.sql, sql.TEXT), kind=WORDS)


def rows_of(
    table: str, program: Program, snapshot: Snapshot, money: Money, as_of: date,
    references: Mapping[str, RegisteredReference], engine: Engine,
) -> Rows:  # fmt: skip
    """The visible rows of a table; looks once at the currencies and days that its money needs."""
    file = snapshot.tables.get(table)
    rows = Rows(table, file, program, money, as_of, references, snapshot.tables["partners"], sql.day(as_of))
    if file is None or program.currency is None or not _has_money(table, file, program):
        return rows
    own = sql.col("currency", "f") if "currency" in file.columns else sql.null(sql.TEXT)
    spans = _spans(rows, own, engine)
    rows.bare_currency = any(one.as_py() is None for one in spans.column("currency"))
    if rows.bare_currency and table != "partners":
        spans = _spans(rows, rows.currency(), engine)
    rows.foreign, rows.unrated = register_factors(engine, f"factors_{table}", spans, money)
    return rows


def _spans(rows: Rows, currency: Sql, engine: Engine) -> pa.Table:
    """The first and last day on which each currency needs a rate."""
    day = rows.rate_day()
    values = {"currency": currency, "first": sql.min_(day), "last": sql.max_(day)}
    return engine.read(sql.select(sql.columns(values), rows.source(), rows.joins(), group=[currency]))


def _has_money(table: str, file: TableFile, program: Program) -> bool:
    kinds = {ColumnType.MONEY, ColumnType.MEASURE}
    return any(kind in kinds or (table, column) in program.money for column, kind in file.columns.items())
