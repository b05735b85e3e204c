"""Formulas: any text is read or refused by column, and what is read can be worked out, as plain Python works it out."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.sandbox.formula_sql import Calculation, check_nesting
from crmsync.sandbox.formulas import FormulaError, parse_formula
from crmsync.sandbox.schema import Field, Schema, SObject

OBJECT = SObject("Deal__c", "Deal", "Deals", "a00", (
    Field("Id", "Id", "id", length=18), Field("N__c", "N", "double", precision=10, scale=2),
    Field("M__c", "M", "double", precision=10, scale=2), Field("T__c", "T", "string", length=40),
    Field("P__c", "P", "picklist", length=40), Field("L__c", "L", "multipicklist", length=40),
    Field("F__c", "F", "boolean"), Field("D__c", "D", "date"), Field("S__c", "S", "datetime"),
))  # fmt: skip
SCHEMA = Schema([OBJECT], multi_currency=False)
COLUMNS = ["Id", "N__c", "M__c", "T__c", "P__c", "L__c", "F__c", "D__c", "S__c"]
ROWS: list[tuple[Any, ...]] = [
    ("a001", 1250, -300, "Abc", "Gold", "MSP;Reseller", 1, "2026-02-28", "2026-02-28T23:30:00.000"),
    ("a002", None, None, None, None, None, 0, None, None),
]


@pytest.fixture(scope="module")
def store() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE Deal__c ({', '.join(COLUMNS)})")
    connection.executemany(f"INSERT INTO Deal__c VALUES ({', '.join('?' * len(COLUMNS))})", ROWS)
    return connection


def worked_out(store: sqlite3.Connection, formula: str, kind: str = "double", zero: bool = True) -> list[Any]:
    """The value for each row; numbers with two places."""
    field = Field("X__c", "X", kind, precision=18, scale=2, formula=formula, blank_as_zero=zero, length=1300)
    sql = Calculation(SCHEMA, "2026-03-31", "2026-03-31T12:00:00.000").field_sql(OBJECT, field, "t0")
    values = [row[0] for row in store.execute(f"SELECT {sql} FROM Deal__c t0 ORDER BY t0.Id")]
    return [value / 100 if kind == "double" and value is not None else value for value in values]


CASES: list[tuple[str, str, list[Any]]] = [
    ("N__c + M__c", "double", [9.5, 0]),
    ("N__c / 0", "double", [None, None]),
    ("-N__c * 2 - -1", "double", [-24, 1]),
    ("ROUND(1.005, 2)", "double", [1.01, 1.01]),
    ("ROUND(-1.005, 2)", "double", [-1.01, -1.01]),
    ("FLOOR(-1.5) + CEILING(1.2) + FLOOR(2)", "double", [2, 2]),
    ("MOD(-7, 3) + MIN(3, N__c) + MAX(N__c)", "double", [17.5, 2]),
    ("IF(N__c > 1, 1, 2)", "double", [1, 2]),
    ("IF(ISBLANK(N__c), 7, N__c)", "double", [12.5, 7]),
    ("BLANKVALUE(N__c, 9)", "double", [12.5, 9]),
    ("CASE(P__c, 'Gold', 1, 'Silver', 2, 3)", "double", [1, 3]),
    ("CASE(N__c, 12.5, 1, NULL, 2, 3)", "double", [1, 3]),
    ("LEN(T__c) + FIND('c', T__c) + VALUE('12.5')", "double", [18.5, 12.5]),
    ("VALUE('x')", "double", [None, None]),
    ("0.1 + 0.2 - 0.3", "double", [0, 0]),
    ("IF(0.1 + 0.2 = 0.3, 1, 0)", "double", [1, 1]),
    ("YEAR(D__c) + MONTH(D__c) / 100", "double", [2026.02, None]),
    ("TODAY() - D__c", "double", [31, None]),
    ("NOW() - S__c", "double", [30.52, None]),
    ("T__c & '-' & P__c", "string", FormulaError),  # type: ignore[list-item]
    ("T__c & '-' & TEXT(P__c)", "string", ["Abc-Gold", "-"]),
    ("T__c", "string", ["Abc", None]),
    ('LEFT(T__c, 2) + RIGHT(T__c, 1) + MID(T__c, 2, 1) + "\\"\'"', "string", ["Abcb\"'", "\"'"]),
    ("SUBSTITUTE(LOWER(T__c), 'b', UPPER('x'))", "string", ["aXc", None]),
    ("TEXT(N__c) & TEXT(2.50) & TEXT(-0.5)", "string", ["12.52.5-0.5", "02.5-0.5"]),
    ("TEXT(D__c) & TEXT(S__c)", "string", ["2026-02-282026-02-28 23:30:00Z", None]),
    ("IF(CONTAINS(T__c, 'b') && BEGINS(T__c, 'A'), 'y', 'n')", "string", ["y", "n"]),
    ("ADDMONTHS(D__c, 1)", "date", ["2026-03-31", None]),
    ("ADDMONTHS(DATE(2026, 1, 30), 1)", "date", ["2026-02-28", "2026-02-28"]),
    ("ADDMONTHS(D__c, -12) + 1", "date", ["2025-03-01", None]),
    ("DATE(2026, 2, 31)", "date", [None, None]),
    ("DATEVALUE(S__c) - 1", "date", ["2026-02-27", None]),
    ("S__c + 0.5", "datetime", ["2026-03-01T11:30:00.000", None]),
    ("INCLUDES(L__c, 'MSP')", "boolean", [1, 0]),
    ("INCLUDES(L__c, 'MS')", "boolean", [0, 0]),
    ("ISPICKVAL(P__c, '')", "boolean", [0, 1]),
    ("NOT(F__c) || N__c < 0", "boolean", [0, 1]),
    ("D__c = NULL", "boolean", [0, 1]),
    ("T__c = ''", "boolean", [0, 1]),
    ("T__c = 'abc'", "boolean", [0, 0]),
    ("N__c <> 12.5", "boolean", [0, 1]),
    ("!F__c = FALSE", "boolean", [1, 0]),
]


@pytest.mark.parametrize(("formula", "kind", "expected"), CASES)
def test_a_formula_gives_what_salesforce_gives(
    store: sqlite3.Connection, formula: str, kind: str, expected: Any
) -> None:
    if expected is FormulaError:
        with pytest.raises(FormulaError):
            worked_out(store, formula, kind)
        return
    assert worked_out(store, formula, kind) == expected


def test_blanks_stay_blank_where_the_formula_says_so(store: sqlite3.Connection) -> None:
    assert worked_out(store, "N__c + 1", zero=False) == [13.5, None]
    assert worked_out(store, "IF(N__c > 1, 1, 2)", zero=False) == [1, 2]


NUMBERS = st.decimals(-1000, 1000, places=2).map(
    lambda value: (f"{value:f}" if value >= 0 else f"(0 - {-value:f})", float(value))
)


def _pairs(inner: st.SearchStrategy[tuple[str, float]]) -> st.SearchStrategy[tuple[str, float]]:
    def joined(parts: tuple[tuple[str, float], str, tuple[str, float]]) -> tuple[str, float]:
        (left, a), sign, (right, b) = parts
        value = {"+": a + b, "-": a - b, "*": a * b / 100, "max": max(a, b), "if": a if a < b else b}[sign]
        shown = {
            "*": f"({left} * {right} / 100)",
            "max": f"MAX({left}, {right})",
            "if": f"IF({left} < {right}, {left}, {right})",
        }.get(sign, f"({left} {sign} {right})")
        return shown, value

    return st.tuples(inner, st.sampled_from(["+", "-", "*", "max", "if"]), inner).map(joined)


@given(st.recursive(NUMBERS, _pairs, max_leaves=8))
@settings(max_examples=60, deadline=None)
def test_numbers_come_out_as_plain_arithmetic_has_them(store: sqlite3.Connection, made: tuple[str, float]) -> None:
    formula, expected = made
    found = worked_out(store, formula)[0]
    assert math.isclose(found, expected, rel_tol=1e-6, abs_tol=0.0051), formula


@given(st.dates(date(2000, 1, 1), date(2040, 12, 31)), st.integers(-500, 500))
@settings(max_examples=60, deadline=None)
def test_days_are_moved_as_the_calendar_moves_them(store: sqlite3.Connection, day: date, count: int) -> None:
    formula = f"DATE({day.year}, {day.month}, {day.day}) + ({count})"
    assert worked_out(store, formula, "date")[0] == (day + timedelta(days=count)).isoformat()
    assert worked_out(store, f"({formula}) - DATE({day.year}, {day.month}, {day.day})")[0] == count


@given(st.text(alphabet="AIFN_c.()'\"\\&|!<>=+-*/^,$ 19\n\x00é", max_size=40) | st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_by_column(store: sqlite3.Connection, text: str) -> None:
    with contextlib.suppress(FormulaError):
        parse_formula(text)
        for kind in ("double", "string", "boolean"):
            worked_out(store, text, kind)


NESTS = {
    "many terms": " + ".join(["N__c"] * 100),
    "many texts": " & ".join(["T__c"] * 100),
    "many conditions": "IF(" + " && ".join(["N__c > 1"] * 100) + ", 1, 0)",
    "many cases": "IF(N__c = 0, 0, " * 50 + "9" + ")" * 50,
    "deep functions": "ABS(" * 20 + "N__c" + ")" * 20,
}


@pytest.mark.parametrize("formula", NESTS.values(), ids=list(NESTS))
def test_long_formulas_are_worked_out(store: sqlite3.Connection, formula: str) -> None:
    kind = "string" if "T__c" in formula else "double"
    check_nesting(sql_of(formula, kind))
    assert len(worked_out(store, formula, kind)) == 2


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("ABS(" * 50 + "1" + ")" * 50, "nested too deep"),
        ("FLOOR(" * 20 + "N__c" + ")" * 20, "too large: compiled"),
        ("1" + " + 1" * 200, "more than 120 operators"),
        ("1" + " " * 4_000, "characters long"),
    ],
)
def test_formulas_that_the_org_cannot_work_out_are_refused(formula: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        check_nesting(sql_of(formula))


def sql_of(formula: str, kind: str = "double") -> str:
    field = Field("X__c", "X", kind, precision=18, scale=2, formula=formula)
    return Calculation(SCHEMA, "2026-01-01", "2026-01-01T00:00:00.000").field_sql(OBJECT, field, "t0")
