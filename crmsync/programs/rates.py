"""`currency`, `rates` and `money`: what money is counted in and how it is converted.

Source: program-language, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches

from crmsync.programs.ecb import FROM_ECB, currencies
from crmsync.programs.names import Kind, Tables, UnknownNameError
from crmsync.programs.program import RateRow
from crmsync.programs.sheets import Sheet, read_sheet
from crmsync.strict_yaml import Node, date_of, decimal_of, nearest
from crmsync.tables import CANONICAL, ColumnType

FROM_CRM = "crm"

_CODE = re.compile(r"[A-Z]{3}")
_COLUMN = re.compile(r"([A-Za-z][A-Za-z0-9_]*)\.([A-Za-z_][A-Za-z0-9_]*)")
MoneyColumns = frozenset[tuple[str, str]]


def read_currency(node: Node | None) -> str | None:
    """The three-letter code of the program's currency. Errors: ConfigError."""
    if node is None:
        return None
    if not _CODE.fullmatch(node.text()):
        raise node.fail(f"`{node.text()}` is not a currency; write its three capital letters, like EUR")
    return node.text()


def read_money(node: Node | None) -> MoneyColumns:
    """The columns that `money:` names. Errors: ConfigError."""
    if node is None:
        return frozenset()
    found = set()
    for item in node.sequence():
        pair = _COLUMN.fullmatch(item.text())
        if not pair:
            raise item.fail(f"`{item.text()}` is not a column; write table.column, like lines.mrr")
        found.add((pair[1], pair[2]))
    return frozenset(found)


def check_money(node: Node | None, tables: Tables) -> None:
    """Errors: ConfigError for a column that is not there or cannot hold money."""
    for item in node.sequence() if node else ():
        table, column = item.text().split(".")
        if not tables.has(table):
            raise item.fail(f"unknown table `{table}`{nearest(table, tables.names())}")
        try:
            kind = tables.kind(table, column)
        except UnknownNameError as error:
            raise item.fail(str(error)) from None
        if kind not in (Kind.NUMBER, None):
            raise item.fail(f"`{item.text()}` is a {kind}, not money")


def reads_money(columns: Collection[tuple[str, str]], named: MoneyColumns) -> bool:
    """Whether an expression reads a column that is money: named ones, and the canonical ones."""
    return any((table, column) in named or _is_canonical_money(table, column) for table, column in columns)


def _is_canonical_money(table: str, column: str) -> bool:
    return table in CANONICAL and CANONICAL[table].columns.get(column) is ColumnType.MONEY


def read_rates(node: Node | None, currency: str | None) -> str | tuple[RateRow, ...] | None:
    """`crm`, `ecb`, the rows of the file, or None. Errors: ConfigError."""
    if node is None:
        return None
    text = node.text()
    if text == FROM_CRM:
        return FROM_CRM
    if text == FROM_ECB:
        if currency is not None and currency not in currencies():
            near = nearest(currency, currencies())
            raise node.fail(f"`ecb` has no rates of the program's currency {currency}{near}")
        return FROM_ECB
    if "." not in text:
        raise node.fail(f"`{text}` is no source of rates; write crm, ecb or the name of a CSV file{_near_source(text)}")
    sheet = read_sheet(node, ("currency", "rate"))
    rows = tuple(_row(sheet, index) for index in range(len(sheet.rows)))
    _check_rates(node, sheet, rows, currency)
    return rows


def _near_source(text: str) -> str:
    close = get_close_matches(text, (FROM_CRM, FROM_ECB), 1, 0.5)
    return f"; did you mean `{close[0]}`?" if close else ""


def _row(sheet: Sheet, index: int) -> RateRow:
    cells = sheet.rows[index]
    code, day, text = cells["currency"], cells.get("effective_from", ""), cells["rate"]
    rate = None if text.endswith("%") else decimal_of(text)
    if not _CODE.fullmatch(code):
        raise sheet.fail(index, f"`{code}` in `currency` is not a currency; write three capital letters, like EUR")
    if rate is None or rate <= 0:
        raise sheet.fail(index, f"`{text}` in `rate` is not a number above 0")
    if day and date_of(day) is None:
        raise sheet.fail(index, f"`{day}` in `effective_from` is not a date; write it like 2026-01-31")
    return RateRow(code, date_of(day) if day else None, rate)


def _check_rates(node: Node, sheet: Sheet, rows: tuple[RateRow, ...], currency: str | None) -> None:
    """Errors: ConfigError for double rows, a file without a base currency or without the program's currency."""
    first: dict[tuple[str, object], int] = {}
    for index, row in enumerate(rows):
        line = first.setdefault((row.currency, row.effective_from), sheet.lines[index])
        if line != sheet.lines[index]:
            raise sheet.fail(index, f"the rate of {row.currency} for this date stands twice (first on line {line})")
    listed = {row.currency for row in rows}
    if not listed - {row.currency for row in rows if row.rate != 1}:
        raise sheet.fail_head("no currency whose every rate is 1: add a row for the base currency of the file")
    if currency is not None and currency not in listed:
        raise node.fail(f"the program's currency {currency} has no rate in {sheet.file.name}")
