"""Conditions of WHERE and HAVING to SQL with parameters.

A comparison with an empty field is false, and its opposite is true: `!=` and NOT IN find empty fields too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal

from crmsync.sandbox.ids import to_18
from crmsync.sandbox.soql import dates
from crmsync.sandbox.soql.lexer import plain_text
from crmsync.sandbox.soql.refusals import SoqlError, malformed, refuse_at
from crmsync.sandbox.soql.scope import Scope, Term, folded
from crmsync.sandbox.soql.tree import Both, Compare, Condition, Function, Literal, Operand, Select, Within

Parameter = str | int | float
_TYPE_NAMES = {"text": "string", "list": "string", "id": "id", "flag": "boolean", "whole": "int", "decimal": "double",
               "date": "date", "datetime": "dateTime", "time": "time", "compound": "address"}  # fmt: skip
_BIGGEST = 2**63 - 1


def fold(text: str) -> str:
    """Text without case, as SOQL compares it."""
    return text.casefold()


@dataclass
class Conditions:
    """Writes the conditions of one SELECT; `parameters` grow in the order of the SQL text."""

    scope: Scope
    sub_select: Callable[[Select, Within], tuple[str, list[Parameter]]]
    grouped: Callable[[Operand], Term] | None = None  # HAVING: only grouped and aggregated terms
    parameters: list[Parameter] = field(default_factory=list)

    def sql(self, condition: Condition) -> str:
        """The condition as SQL. Errors: SoqlError."""
        if isinstance(condition, Both):
            return _balanced([self.sql(part) for part in condition.parts], condition.word.upper())
        if isinstance(condition, Compare):
            return self._compare(condition)
        if isinstance(condition, Within):
            return self._within(condition)
        return _maybe_not(f"({self.sql(condition.inner)})", True)

    def _term(self, operand: Operand) -> Term:
        if self.grouped is not None:
            return self.grouped(operand)
        term = self.scope.term(operand)
        if term.aggregate:
            raise malformed(self.scope.soql, operand.at, "Aggregate functions may stand in SELECT and HAVING only")
        if term.field is not None and not term.field.filterable:
            raise refuse_at("INVALID_FIELD", self.scope.soql, operand.at,
                            f"field '{term.names[-1]}' can not be filtered in a query call")  # fmt: skip
        return term

    def _compare(self, condition: Compare) -> str:
        term = self._term(condition.operand)
        literal = condition.literal
        if literal.sort == "null" or (
            literal.sort == "text" and literal.text == "" and term.kind in ("text", "list", "id")
        ):
            return self._empty(term, condition)
        if condition.sign == "like":
            return self._like(term, condition)
        if literal.sort == "range":
            return self._range(term, condition.sign, literal, condition.operand)
        if literal.sort == "money":
            return self._money(term, condition)
        if condition.sign not in ("=", "!=") and term.kind in ("flag", "list"):
            raise self._bad_operator(condition.operand)
        sql, value = self._pair(term, literal, condition.operand)
        self.parameters.append(value)
        if condition.sign == "!=":
            return f"({sql} = ?) IS NOT TRUE"
        return f"{sql} {condition.sign} ?"

    def _empty(self, term: Term, condition: Compare) -> str:
        if condition.sign not in ("=", "!="):
            raise self._bad_operator(condition.operand)
        return f"{term.sql} IS {'NOT ' if condition.sign == '!=' else ''}NULL"

    def _like(self, term: Term, condition: Compare) -> str:
        if term.kind not in ("text", "list") or condition.literal.sort != "text":
            raise self._bad_operator(condition.operand)
        pattern = condition.literal.text
        plain = pattern.isascii()
        self.parameters.append(pattern if plain else fold(pattern))
        return f"({term.sql if plain else f'soql_fold({term.sql})'} LIKE ? ESCAPE '\\')"

    def _range(self, term: Term, sign: str, literal: Literal, operand: Operand) -> str:
        if term.kind not in ("date", "datetime"):
            raise self._wrong_type(term, literal, operand)
        world = self.scope.world
        first, end = dates.date_range(literal.text, literal.count, world.today, world.fiscal_month)
        low, high = (_text_of(day, term, world.start_of) for day in (first, end))
        if sign in ("=", "!="):
            self.parameters += [low, high]
            inside = f"({term.sql} >= ? AND {term.sql} < ?)"
            return f"{inside} IS NOT TRUE" if sign == "!=" else inside
        way, edge = {"<": ("<", low), "<=": ("<", high), ">": (">=", high), ">=": (">=", low)}[sign]
        self.parameters.append(edge)
        return f"{term.sql} {way} ?"

    def _money(self, term: Term, condition: Compare) -> str:
        literal = condition.literal
        if term.field is None or term.field.type != "currency":
            raise self._wrong_type(term, literal, condition.operand)
        iso, amount = literal.text[:3].upper(), Decimal(literal.text[3:])
        if not self.scope.world.schema.multi_currency:
            raise malformed(self.scope.soql, literal.at, "currency literals need an org with several currencies")
        rate = '(SELECT r."ConversionRate" FROM "CurrencyType" r WHERE r."IsoCode" = ?)'
        self.parameters += [float(amount), iso]
        sign = "=" if condition.sign == "!=" else condition.sign
        compared = f"(round({self.scope.corporate(term)}, 6) {sign} round(? * 1000000.0 / {rate}, 6))"
        return _maybe_not(compared, condition.sign == "!=")

    def _within(self, condition: Within) -> str:
        term = self._term(condition.operand)
        if condition.word == "includes":
            return self._includes(term, condition)
        if condition.select is not None:
            return self._semi_join(term, condition, condition.select)
        known = [value for value in condition.values if not _is_empty(value)]
        parts = [self._listed(term, known, condition.operand)] if known else []
        if len(known) < len(condition.values):
            parts.append(f"{term.sql} IS NULL")
        return _maybe_not(f"({' OR '.join(parts)})", condition.negated)

    def _listed(self, term: Term, values: Sequence[Literal], operand: Operand) -> str:
        ranges = [value for value in values if value.sort == "range"]
        if ranges:
            return "(" + " OR ".join(self._compare(Compare(operand, "=", value)) for value in values) + ")"
        pairs = [self._pair(term, value, operand) for value in values]
        odd = next((sql for sql, _ in pairs if sql.startswith("soql_fold")), None)
        self.parameters += [fold(str(value)) if odd else value for _, value in pairs]
        return f"{odd or pairs[0][0]} IN ({', '.join('?' * len(pairs))})"

    def _semi_join(self, term: Term, condition: Within, select: Select) -> str:
        if term.kind != "id" or self.grouped is not None:
            raise malformed(
                self.scope.soql, condition.operand.at, "a sub-select may be compared with an id or reference field only"
            )
        sql, parameters = self.sub_select(select, condition)
        self.parameters += parameters
        return _maybe_not(f"({term.sql} IN ({sql}))", condition.negated)

    def _includes(self, term: Term, condition: Within) -> str:
        if term.kind != "list":
            raise self._bad_operator(condition.operand)
        choices = []
        for value in condition.values:
            if value.sort != "text":
                raise self._wrong_type(term, value, condition.operand)
            choices.append(self._has_all(term, plain_text(value.text)))
        return _maybe_not(f"({' OR '.join(choices)})", condition.negated)

    def _has_all(self, term: Term, listed: str) -> str:
        wanted = [part.strip() for part in listed.split(";") if part.strip()] or [""]
        self.parameters += [f";{fold(part)};" for part in wanted]
        return "(" + " AND ".join([f"instr(';' || soql_fold({term.sql}) || ';', ?) > 0"] * len(wanted)) + ")"

    def _pair(self, term: Term, literal: Literal, operand: Operand) -> tuple[str, Parameter]:
        """The two sides of a comparison: SQL of the field, and the parameter it is compared with."""
        if term.kind in ("text", "list", "time") and literal.sort == "text":
            return self._text_pair(term, plain_text(literal.text))
        if term.kind == "id" and literal.sort == "text":
            return term.sql, self._id(literal)
        if term.kind == "flag" and literal.sort == "flag":
            return term.sql, int(literal.text == "true")
        if term.kind in ("whole", "decimal") and literal.sort == "number":
            return term.sql, _scaled(Decimal(literal.text), term.scale)
        if term.kind == "date" and literal.sort == "date":
            return term.sql, self._day(literal).isoformat()
        if term.kind == "datetime" and literal.sort == "datetime":
            return term.sql, self._instant(literal)
        raise self._wrong_type(term, literal, operand)

    def _text_pair(self, term: Term, text: str) -> tuple[str, Parameter]:
        if term.kind == "list" and term.field is not None:
            places = term.field.places
            text = ";".join(sorted(text.split(";"), key=lambda part: places.get(part.lower(), len(places))))
        if not folded(term):
            return term.sql, text
        return (f"{term.sql} COLLATE NOCASE", text) if text.isascii() else (f"soql_fold({term.sql})", fold(text))

    def _id(self, literal: Literal) -> str:
        found = to_18(plain_text(literal.text))
        if found is None:
            raise refuse_at(
                "INVALID_QUERY_FILTER_OPERATOR", self.scope.soql, literal.at, f"invalid ID field: {literal.text}"
            )
        return found

    def _day(self, literal: Literal) -> date:
        try:
            return date.fromisoformat(literal.text)
        except ValueError:
            raise malformed(self.scope.soql, literal.at, f"Invalid date: {literal.text}") from None

    def _instant(self, literal: Literal) -> str:
        try:
            found = datetime.fromisoformat(literal.text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise malformed(self.scope.soql, literal.at, f"Invalid dateTime: {literal.text}") from None
        return f"{found:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + f".{found.microsecond // 1000:03d}"

    def _bad_operator(self, operand: Operand) -> SoqlError:
        return refuse_at(
            "INVALID_QUERY_FILTER_OPERATOR", self.scope.soql, operand.at, f"invalid operator on field {_name(operand)}"
        )

    def _wrong_type(self, term: Term, literal: Literal, operand: Operand) -> SoqlError:
        wanted = _TYPE_NAMES[term.kind]
        should = "should be" if wanted in ("string", "id") else "should not be"
        return refuse_at("INVALID_FIELD", self.scope.soql, literal.at,
                        f"value of filter criterion for field '{_name(operand)}' must be of type {wanted} and {should} "
                        "enclosed in quotes")  # fmt: skip


def _maybe_not(sql: str, negated: bool) -> str:
    """The opposite where wanted; what is unknown because a field is empty counts as false before it is turned."""
    return f"({sql} IS NOT TRUE)" if negated else sql


def _name(operand: Operand) -> str:
    return operand.name if isinstance(operand, Function) else str(operand)


def _is_empty(literal: Literal) -> bool:
    return literal.sort == "null" or (literal.sort == "text" and literal.text == "")


def _scaled(value: Decimal, scale: int) -> int | float:
    if scale < 0:
        return float(value)
    try:
        scaled = value.scaleb(scale)
    except ArithmeticError:
        return float(value)
    whole = int(scaled) if abs(scaled) <= _BIGGEST else None
    return whole if whole is not None and whole == scaled else float(scaled)


def _text_of(day: date, term: Term, start_of: Callable[[date], str]) -> str:
    return day.isoformat() if term.kind == "date" else start_of(day)


def _balanced(parts: list[str], word: str) -> str:
    """The parts joined as a balanced tree, because SQLite limits how deep an expression may be."""
    while len(parts) > 1:
        paired = [f"({first} {word} {second})" for first, second in zip(parts[::2], parts[1::2], strict=False)]
        parts = paired + parts[len(paired) * 2 :]
    return parts[0]


__all__ = ["Conditions", "Parameter", "SoqlError", "fold"]
