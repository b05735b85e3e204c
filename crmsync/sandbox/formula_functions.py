"""The functions of formulas that this org knows, each as SQL of values. Described in docs/sandbox.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from crmsync.sandbox.formulas import FormulaError

Sort = Literal["number", "text", "picklist", "list", "date", "datetime", "flag", "null"]


@dataclass(frozen=True)
class Value:
    """A value as SQL. Numbers are real numbers, flags 1 and 0, days and instants texts as the store holds them.

    `chain` names an operator whose left operand this may become without its brackets, because the store cannot nest
    brackets deep.
    """

    sql: str
    sort: Sort
    chain: str = ""

    @property
    def bare(self) -> str:
        """The SQL without the brackets around it, of a value with a chain."""
        return self.sql[1:-1]


@dataclass(frozen=True)
class Function:
    """A function: the sorts that each argument may have (the last one repeats), how many, and its SQL."""

    takes: tuple[tuple[Sort, ...], ...]
    least: int
    most: int
    make: Callable[[Sequence[Value]], Value]


_NUMBER: tuple[Sort, ...] = ("number", "null")
_TEXT: tuple[Sort, ...] = ("text", "null")
_DAY: tuple[Sort, ...] = ("date", "null")
_TIMES: tuple[Sort, ...] = ("date", "datetime", "null")
_FLAG: tuple[Sort, ...] = ("flag", "null")
_ANY: tuple[Sort, ...] = ("number", "text", "picklist", "list", "date", "datetime", "flag", "null")
MANY = 250
MOST_SQL = 50_000
OUTWARDS = 1 + 2e-15
"""Halves that no binary number holds are a hair too small; times this they round up as decimals do."""


def true(value: Value) -> str:
    """SQL of a condition; what is unknown is false."""
    return f"coalesce({value.sql}, 0)"


def text_of(value: Value) -> str:
    """SQL of a text; nothing is the empty text."""
    return f"coalesce({value.sql}, '')"


def common(name: str, values: Sequence[Value]) -> Sort:
    """The sort that all of these have. Errors: FormulaError."""
    sorts = {value.sort for value in values if value.sort != "null"}
    if len(sorts) > 1:
        raise FormulaError(f"{name}: its results are of different types: {', '.join(sorted(sorts))}")
    return sorts.pop() if sorts else "null"


def _if(given: Sequence[Value]) -> Value:
    sort = common("IF", given[1:])
    first = f"CASE WHEN {true(given[0])} THEN {given[1].sql}"
    if given[2].chain == "if":
        return Value(f"({first}{given[2].bare.removeprefix('CASE')})", sort, "if")
    return Value(f"({first} ELSE {given[2].sql} END)", sort, "if")


def _case(given: Sequence[Value]) -> Value:
    if len(given) % 2:
        raise FormulaError("CASE: a value, pairs of value and result, and a last result are wanted: an even number")
    subject, pairs, last = given[0], given[1:-1], given[-1]
    sort = common("CASE", [*pairs[1::2], last])
    picks = []
    for value, result in zip(pairs[::2], pairs[1::2], strict=True):
        both = {subject.sort, value.sort} - {"null"}
        if len(both) > 1 and both != {"picklist", "text"}:
            raise FormulaError(f"CASE: a value of type {value.sort} is compared with one of type {subject.sort}")
        empty = subject.sort in ("text", "picklist") and value.sort in ("text", "null")
        same = f"{text_of(subject)} = {text_of(value)}" if empty else f"{subject.sql} IS {value.sql}"
        picks.append(f"WHEN {same} THEN {result.sql}")
    return Value(f"(CASE {' '.join(picks)} ELSE {last.sql} END)", sort)


def _blank(given: Sequence[Value]) -> Value:
    value = given[0]
    return Value(f"({text_of(value)} = '')" if value.sort == "text" else f"({value.sql} IS NULL)", "flag")


def _blank_value(given: Sequence[Value]) -> Value:
    sort = common("BLANKVALUE", given)
    first = f"nullif({given[0].sql}, '')" if sort == "text" else given[0].sql
    return Value(f"coalesce({first}, {given[1].sql})", sort)


def _text(given: Sequence[Value]) -> Value:
    sql, sort = given[0].sql, given[0].sort
    if sort == "number":
        # no trailing zeros, no point at the end
        return Value(f"rtrim(rtrim(printf('%.9f', {sql}), '0'), '.')" if sql else sql, "text")
    if sort == "datetime":
        return Value(f"(replace(substr({sql}, 1, 19), 'T', ' ') || 'Z')", "text")
    return Value(sql, "text")


def _value(given: Sequence[Value]) -> Value:
    sql = f"trim({text_of(given[0])})"
    return Value(f"(CASE WHEN {sql} GLOB '*[0-9]*' AND {sql} NOT GLOB '*[^-+.0-9eE]*' THEN CAST({sql} AS REAL) END)",
                 "number")  # fmt: skip


def _joined(word: str) -> Callable[[Sequence[Value]], Value]:
    return lambda given: Value("(" + f" {word} ".join(true(value) for value in given) + ")", "flag")


def _part(first: int, size: int) -> Callable[[Sequence[Value]], Value]:
    return lambda given: Value(f"(CAST(substr({given[0].sql}, {first}, {size}) AS INTEGER) * 1.0)", "number")


def _date(given: Sequence[Value]) -> Value:
    year, month, day = (f"CAST({value.sql} AS INTEGER)" for value in given)
    # a day that the month does not have would move on into the next one: it is no date
    sql = f"printf('%04d-%02d-%02d', {year}, {month}, {day})"
    return Value(f"nullif(iif(date({sql}, '+0 days') = {sql}, {sql}, ''), '')", "date")


def _add_months(given: Sequence[Value]) -> Value:
    # the last day of a month stays the last day, and no day runs over into the month after
    day, count = given[0].sql, f"CAST({given[1].sql} AS INTEGER)"
    moved = f"date({day}, 'start of month', {count} || ' months')"
    last = f"date({moved}, '+1 month', '-1 day')"
    was_last = f"substr(date({day}, '+1 day'), 9, 2) = '01'"
    kept = f"date({moved}, (CAST(substr({day}, 9, 2) AS INTEGER) - 1) || ' days')"
    return Value(f"(CASE WHEN {was_last} THEN {last} ELSE min({kept}, {last}) END)", "date")


def _round(given: Sequence[Value]) -> Value:
    return Value(f"round({given[0].sql} * {OUTWARDS!r}, CAST({given[1].sql} AS INTEGER))", "number")


def _floor(given: Sequence[Value]) -> Value:
    sql = given[0].sql
    return Value(f"(CAST({sql} AS INTEGER) - ({sql} < CAST({sql} AS INTEGER)) * 1.0)", "number")


def _ceiling(given: Sequence[Value]) -> Value:
    sql = given[0].sql
    return Value(f"(CAST({sql} AS INTEGER) + ({sql} > CAST({sql} AS INTEGER)) * 1.0)", "number")


def _extreme(name: str) -> Callable[[Sequence[Value]], Value]:
    return lambda given: Value(
        f"{name}({', '.join(value.sql for value in given)})" if len(given) > 1 else given[0].sql, "number"
    )


def _mod(given: Sequence[Value]) -> Value:
    left, right = given[0].sql, given[1].sql
    whole = _floor([Value(f"({left} / {right})", "number")]).sql
    return Value(f"({left} - {right} * {whole})", "number")


def _sql_text(shape: str, sort: Sort = "text") -> Callable[[Sequence[Value]], Value]:
    def make(given: Sequence[Value]) -> Value:
        parts = [f"CAST({v.sql} AS INTEGER)" if v.sort == "number" else text_of(v) for v in given]
        return Value(shape.format(*parts), sort)

    return make


def _includes(given: Sequence[Value]) -> Value:
    return Value(f"(instr(';' || {text_of(given[0])} || ';', ';' || {text_of(given[1])} || ';') > 0)", "flag")


def _day_value(given: Sequence[Value]) -> Value:
    return Value(f"date(substr({given[0].sql}, 1, 10))", "date")


FUNCTIONS: dict[str, Function] = {
    "IF": Function((_FLAG, _ANY), 3, 3, _if),
    "AND": Function((_FLAG,), 1, MANY, _joined("AND")),
    "OR": Function((_FLAG,), 1, MANY, _joined("OR")),
    "NOT": Function((_FLAG,), 1, 1, lambda given: Value(f"(NOT {true(given[0])})", "flag")),
    "TRUE": Function((), 0, 0, lambda _: Value("1", "flag")),
    "FALSE": Function((), 0, 0, lambda _: Value("0", "flag")),
    "NULL": Function((), 0, 0, lambda _: Value("NULL", "null")),
    "CASE": Function((_ANY,), 4, MANY, _case),
    "ISBLANK": Function((_ANY,), 1, 1, _blank),
    "ISNULL": Function((_ANY,), 1, 1, _blank),
    "BLANKVALUE": Function((_ANY,), 2, 2, _blank_value),
    "NULLVALUE": Function((_ANY,), 2, 2, _blank_value),
    "ISPICKVAL": Function((("picklist",), _TEXT), 2, 2, _sql_text("({0} = {1})", "flag")),
    "INCLUDES": Function((("list",), _TEXT), 2, 2, _includes),
    "TEXT": Function((("number", "picklist", "date", "datetime", "text", "null"),), 1, 1, _text),
    "VALUE": Function((_TEXT,), 1, 1, _value),
    "YEAR": Function((_DAY,), 1, 1, _part(1, 4)),
    "MONTH": Function((_DAY,), 1, 1, _part(6, 2)),
    "DAY": Function((_DAY,), 1, 1, _part(9, 2)),
    "DATE": Function((_NUMBER,), 3, 3, _date),
    "DATEVALUE": Function((("datetime", "date", "text", "null"),), 1, 1, _day_value),
    "ADDMONTHS": Function((_DAY, _NUMBER), 2, 2, _add_months),
    "ABS": Function((_NUMBER,), 1, 1, lambda given: Value(f"abs({given[0].sql})", "number")),
    "ROUND": Function((_NUMBER,), 2, 2, _round),
    "FLOOR": Function((_NUMBER,), 1, 1, _floor),
    "CEILING": Function((_NUMBER,), 1, 1, _ceiling),
    "MIN": Function((_NUMBER,), 1, MANY, _extreme("min")),
    "MAX": Function((_NUMBER,), 1, MANY, _extreme("max")),
    "MOD": Function((_NUMBER,), 2, 2, _mod),
    "LEN": Function((_TEXT,), 1, 1, _sql_text("(length({0}) * 1.0)", "number")),
    "LEFT": Function((_TEXT, _NUMBER), 2, 2, _sql_text("substr({0}, 1, max({1}, 0))")),
    "RIGHT": Function((_TEXT, _NUMBER), 2, 2, _sql_text("substr({0}, max(length({0}) - {1}, 0) + 1)")),
    "MID": Function((_TEXT, _NUMBER), 3, 3, _sql_text("substr({0}, max({1}, 1), max({2}, 0))")),
    "UPPER": Function((_TEXT,), 1, 1, _sql_text("upper({0})")),
    "LOWER": Function((_TEXT,), 1, 1, _sql_text("lower({0})")),
    "TRIM": Function((_TEXT,), 1, 1, _sql_text("trim({0})")),
    "CONTAINS": Function((_TEXT,), 2, 2, _sql_text("(instr({0}, {1}) > 0)", "flag")),
    "BEGINS": Function((_TEXT,), 2, 2, _sql_text("(substr({0}, 1, length({1})) = {1})", "flag")),
    "FIND": Function((_TEXT,), 2, 2, _sql_text("(instr({1}, {0}) * 1.0)", "number")),
    "SUBSTITUTE": Function((_TEXT,), 3, 3, _sql_text("replace({0}, {1}, {2})")),
    "CASESAFEID": Function((_TEXT,), 1, 1, _sql_text("{0}")),
}


def called(name: str, given: Sequence[Value]) -> Value:
    """The value of a call. Errors: FormulaError for unknown functions and wrong arguments."""
    function = FUNCTIONS.get(name)
    if function is None:
        raise FormulaError(f"the function {name} is not supported by this org")
    if not function.least <= len(given) <= function.most:
        wanted = str(function.least) if function.least == function.most else f"{function.least} or more"
        raise FormulaError(f"{name} takes {wanted} values, not {len(given)}")
    for place, value in enumerate(given):
        sorts = function.takes[min(place, len(function.takes) - 1)]
        if value.sort not in sorts:
            hint = "; a picklist is compared by ISPICKVAL or TEXT" if value.sort == "picklist" else ""
            wanted = " or ".join(sort for sort in sorts if sort != "null")
            raise FormulaError(f"{name}: value {place + 1} must be of type {wanted}, not {value.sort}{hint}")
    return limited(function.make(given))


def limited(value: Value) -> Value:
    """The value, unless it has become too large. Errors: FormulaError."""
    if len(value.sql) > MOST_SQL:
        raise FormulaError(f"the formula is too large: compiled, it has more than {MOST_SQL} characters")
    return value
