"""Formulas, roll-up summaries and conditions as SQL over the store: worked out when they are read, never stale."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.formula_functions import OUTWARDS, Sort, Value, called, limited, text_of
from crmsync.sandbox.formulas import Binary, Call, Formula, FormulaError, Name, Number, Text, parse_formula
from crmsync.sandbox.schema import Field, RollUp, Schema, SObject
from crmsync.sandbox.values import from_text

_MOST_NESTED = 10
_ROOM = 20
_SORTS: dict[str, Sort] = {
    "boolean": "flag", "int": "number", "double": "number", "currency": "number", "percent": "number", "date": "date",
    "datetime": "datetime", "picklist": "picklist", "multipicklist": "list",
}  # fmt: skip
_SIGNS: Mapping[str, str] = {
    "equals": "=", "notEqual": "!=", "lessThan": "<", "lessOrEqual": "<=", "greaterThan": ">", "greaterOrEqual": ">=",
}  # fmt: skip


@dataclass
class Calculation:
    """The schema, today and now of a calculation. `aliases` counts the tables that were given a name."""

    schema: Schema
    today: str
    now: str
    aliases: int = 0
    inside: list[tuple[str, str]] = field(default_factory=list)
    priors: dict[str, Field] | None = None  # fields whose value before the change a rule asks for

    def field_sql(self, sobject: SObject, known: Field, alias: str) -> str:
        """SQL of a calculated field's value, in the form in which the store would hold it. Errors: FormulaError."""
        if known.roll_up is not None:
            return self._rolled_up(known.roll_up, alias)
        key = (sobject.name, known.name)
        if key in self.inside or len(self.inside) >= _MOST_NESTED:
            raise FormulaError(f"{sobject.name}.{known.name} refers to itself, or to formulas nested too deep")
        self.inside.append(key)
        found = self._value(parse_formula(str(known.formula)), sobject, alias, known.blank_as_zero)
        self.inside.pop()
        return _stored(found, known)

    def condition(self, formula: str, sobject: SObject, alias: str) -> str:
        """SQL of a condition: 1, 0 or null. Errors: FormulaError."""
        found = self._value(parse_formula(formula), sobject, alias, False)
        if found.sort not in ("flag", "null"):
            raise FormulaError(f"the formula is of type {found.sort}; a condition is true or false")
        return found.sql

    def _value(self, formula: Formula, sobject: SObject, alias: str, zero: bool) -> Value:
        if isinstance(formula, Number):
            return Value(f"{formula.value:f}" if "." in f"{formula.value:f}" else f"{formula.value:f}.0", "number")
        if isinstance(formula, Text):
            return Value(_quoted(formula.value), "text")
        if isinstance(formula, Name):
            return self._named(formula, sobject, alias, zero)
        if isinstance(formula, Binary):
            left = self._value(formula.left, sobject, alias, zero)
            return limited(_combined(formula.sign, left, self._value(formula.right, sobject, alias, zero)))
        return self._called(formula, sobject, alias, zero)

    def _called(self, call: Call, sobject: SObject, alias: str, zero: bool) -> Value:
        if call.name in ("TODAY", "NOW") and not call.arguments:
            return Value(_quoted(self.today), "date") if call.name == "TODAY" else Value(_quoted(self.now), "datetime")
        if call.name in ("ISNEW", "ISCHANGED", "PRIORVALUE"):
            return self._change(call, sobject, alias)
        # whether a field is empty is asked of the field as it is
        zero = zero and call.name not in ("ISBLANK", "ISNULL", "BLANKVALUE", "NULLVALUE")
        return called(call.name, [self._value(argument, sobject, alias, zero) for argument in call.arguments])

    def _change(self, call: Call, sobject: SObject, alias: str) -> Value:
        """What a validation rule asks about the change itself."""
        if self.priors is None:
            raise FormulaError(f"{call.name} can stand in validation rules only")
        if call.name == "ISNEW":
            return Value(":is_new", "flag")
        first = call.arguments[0] if len(call.arguments) == 1 else None
        known = sobject.field(first.path[0]) if isinstance(first, Name) and len(first.path) == 1 else None
        if known is None or known.calculated or known.kind == "compound":
            raise FormulaError(f"{call.name} takes one field of the record itself, which is no formula")
        self.priors[known.name] = known
        if call.name == "PRIORVALUE":
            return _read(f":old_{known.name}", known, False)
        return Value(f'(:is_new = 0 AND {alias}."{known.name}" IS NOT :old_{known.name})', "flag")

    def _named(self, name: Name, sobject: SObject, alias: str, zero: bool) -> Value:
        if name.path[0].startswith("$"):
            raise FormulaError(f"the global variable {name} is not supported by this org")
        if len(name.path) == 1:
            known = sobject.field(name.path[0])
            if known is None or known.kind == "compound":
                raise FormulaError(f"{sobject.name} has no field {name.path[0]}")
            raw = self.field_sql(sobject, known, alias) if known.calculated else f'{alias}."{known.name}"'
            return _read(raw, known, zero)
        link = sobject.by_relationship.get(name.path[0].lower())
        parent = self.schema.find(link.reference_to[0]) if link is not None and len(link.reference_to) == 1 else None
        if link is None or parent is None:
            raise FormulaError(f"{sobject.name} has no relationship {name.path[0]} to one object")
        inner = self._alias()
        found = self._named(Name(name.path[1:]), parent, inner, False)
        sql = f'(SELECT {found.sql} FROM "{parent.name}" {inner} WHERE {inner}."Id" = {alias}."{link.name}")'
        return Value(f"coalesce({sql}, 0)" if found.sort == "number" and zero else sql, found.sort)

    def _alias(self) -> str:
        self.aliases += 1
        return f"f{self.aliases}"

    def _rolled_up(self, made: RollUp, alias: str) -> str:
        child = self.schema.find(made.child)
        if child is None:
            raise FormulaError(f"the org has no object {made.child}")
        inner = self._alias()
        where = [f'{inner}."{made.link}" = {alias}."Id"', f'{inner}."IsDeleted" = 0']
        where += [self._filter(child, inner, *given) for given in made.filters]
        known = child.field(made.field) if made.field else None
        if known is None:
            picked = "count(*)"
        else:
            raw = self.field_sql(child, known, inner) if known.calculated else f'{inner}."{known.name}"'
            picked = f"coalesce(sum({raw}), 0)" if made.operation == "sum" else f"{made.operation}({raw})"
        return f'(SELECT {picked} FROM "{child.name}" {inner} WHERE {" AND ".join(where)})'

    def _filter(self, child: SObject, alias: str, name: str, operation: str, value: str) -> str:
        known = child.field(name)
        sign = _SIGNS.get(operation)
        if known is None or known.calculated or known.kind == "compound":
            raise FormulaError(f"summaryFilterItems: {child.name} has no stored field {name}")
        if sign is None:
            raise FormulaError(f"summaryFilterItems: operation {operation} is not one of {', '.join(_SIGNS)}")
        try:
            stored = from_text(self.schema, known, value)
        except ApiError as error:
            raise FormulaError(f"summaryFilterItems: {name}: {error.message}") from None
        if stored is None:
            return f'{alias}."{known.name}" IS {"NOT " if sign == "!=" else ""}NULL'
        shown = str(stored) if isinstance(stored, int) else _quoted(stored)
        compared = f'{alias}."{known.name}" {"=" if sign == "!=" else sign} {shown}'
        return f"({compared}) IS NOT TRUE" if sign == "!=" else compared


def check_nesting(sql: str) -> None:
    """Errors: FormulaError when the store cannot nest so deep, with some room for the query around it."""
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute(f"SELECT {'(' * _ROOM}{sql}{')' * _ROOM}")
    except sqlite3.OperationalError as error:
        # what it reads it cannot find here; what it cannot even read is nested too deep
        if "no such" not in str(error):
            raise FormulaError("functions are nested too deep in each other for this org") from None
    finally:
        connection.close()


def _read(raw: str, known: Field, zero: bool) -> Value:
    """A stored value as formulas see it: numbers unscaled, percents as shares of one."""
    sort = _SORTS.get(known.type, "text")
    if sort != "number":
        return Value(raw, sort)
    factor = 10 ** (known.scale + (2 if known.type == "percent" else 0))
    sql = f"({raw} / {factor}.0)"
    return Value(f"coalesce({sql}, 0.0)" if zero else sql, sort)


def _combined(sign: str, left: Value, right: Value) -> Value:
    sorts = {left.sort, right.sort} - {"null"}
    if "picklist" in sorts or "list" in sorts:
        raise FormulaError(f"a picklist cannot stand beside {sign}; use ISPICKVAL, INCLUDES or TEXT")
    if sign in ("=", "!=", "<", "<=", ">", ">="):
        return _compared(sign, left, right, sorts)
    if sorts <= {"text"} and sign in ("+", "&"):
        start = left.bare if left.chain == "text" else text_of(left)
        return Value(f"({start} || {text_of(right)})", "text", "text")
    if sorts <= {"number"} and sign != "&":
        chain = "sum" if sign in ("+", "-") else "product"
        start = left.bare if left.chain == chain else left.sql
        return Value(f"({start} {sign} {right.sql})", "number", chain)
    return _moved(sign, left, right)


def _compared(sign: str, left: Value, right: Value, sorts: set[Sort]) -> Value:
    if len(sorts) > 1 or (sorts == {"flag"} and sign not in ("=", "!=")):
        raise FormulaError(f"values of type {left.sort} and {right.sort} cannot be compared by {sign}")
    if sorts <= {"text"}:
        sql = f"{text_of(left)} {sign} {text_of(right)}"
    elif sorts == {"number"}:
        # sums of decimals as binary numbers are off by less than this
        sql = f"round({left.sql}, 9) {sign} round({right.sql}, 9)"
    else:
        sql = f"{left.sql} {sign} {right.sql}"
    if sign in ("=", "!=") and "null" in (left.sort, right.sort) and sorts != {"text"}:
        sql = f"{left.sql} IS {'NOT ' if sign == '!=' else ''}{right.sql}"
    return Value(f"coalesce({sql}, 0)", "flag")


def _moved(sign: str, left: Value, right: Value) -> Value:
    """Days and instants moved by a number of days, or the days between two."""
    if sign == "+" and left.sort == "number":
        left, right = right, left
    if sign == "-" and left.sort == right.sort and left.sort in ("date", "datetime"):
        return Value(f"(julianday({left.sql}) - julianday({right.sql}))", "number")
    if sign in ("+", "-") and right.sort == "number" and left.sort == "date":
        days = f"CAST({right.sql} AS INTEGER)"
        return Value(f"date({left.sql}, {'-' if sign == '-' else ''}{days} || ' days')", "date")
    if sign in ("+", "-") and right.sort == "number" and left.sort == "datetime":
        return Value(f"strftime('%Y-%m-%dT%H:%M:%f', julianday({left.sql}) {sign} {right.sql})", "datetime")
    raise FormulaError(f"values of type {left.sort} and {right.sort} cannot stand beside {sign}")


def _stored(found: Value, known: Field) -> str:
    wanted = _SORTS.get(known.type, "text")
    if found.sort not in (wanted, "null"):
        hint = "; wrap the picklist in TEXT" if found.sort == "picklist" else ""
        raise FormulaError(f"the formula is of type {found.sort}, the field of type {wanted}{hint}")
    if wanted == "number":
        factor = 10 ** (known.scale + (2 if known.type == "percent" else 0))
        # a hair outwards, so that halves that no binary number holds go up as they do in decimals
        return f"CAST(round({found.sql} * {factor * OUTWARDS!r}) AS INTEGER)"
    if wanted == "flag":
        return f"coalesce({found.sql}, 0)"
    return f"nullif({found.sql}, '')" if wanted == "text" else found.sql


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''").replace("\x00", "") + "'"
