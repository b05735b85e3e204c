"""Recursive-descent parser of the SOQL that our connector, foreign clients and admins send."""

from __future__ import annotations

from crmsync.sandbox.soql import dates
from crmsync.sandbox.soql.lexer import Token, tokens
from crmsync.sandbox.soql.refusals import SoqlError, malformed
from crmsync.sandbox.soql.tree import (
    Both,
    Compare,
    Condition,
    Function,
    Item,
    Literal,
    Not,
    Operand,
    Order,
    Path,
    Select,
    Within,
)  # fmt: skip

MAX_DEPTH = 60
_CLAUSES = frozenset(
    [
        "from",
        "where",
        "with",
        "group",
        "having",
        "order",
        "limit",
        "offset",
        "for",
        "all",
        "using",
        "update",
        "and",
        "or",
        "not",
        "in",
        "like",
        "includes",
        "excludes",
        "asc",
        "desc",
        "nulls",
        "select",
        "by",
        "having",
        "typeof",
        "end",
        "then",
        "when",
        "else",
        "as",
    ]
)
_FUNCTIONS = frozenset(
    [
        "COUNT",
        "COUNT_DISTINCT",
        "SUM",
        "MIN",
        "MAX",
        "AVG",
        "FIELDS",
        "CONVERTCURRENCY",
        "FORMAT",
        "TOLABEL",
        "CALENDAR_YEAR",
        "CALENDAR_QUARTER",
        "CALENDAR_MONTH",
        "DAY_IN_MONTH",
        "DAY_IN_WEEK",
        "DAY_IN_YEAR",
        "DAY_ONLY",
        "HOUR_IN_DAY",
        "FISCAL_YEAR",
        "FISCAL_QUARTER",
        "FISCAL_MONTH",
    ]
)
_SIGNS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def parse(soql: str) -> Select:
    """The tree of one SOQL statement. Errors: SoqlError MALFORMED_QUERY with row and column."""
    return _Parser(soql).statement()


class _Parser:
    def __init__(self, soql: str) -> None:
        self.soql = soql
        self.tokens = tokens(soql)
        self.place = 0
        self.depth = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.next
        if token.sort != "end":
            self.place += 1
        return token

    def take_word(self, *words: str) -> Token | None:
        """The next token when it is one of these words."""
        return self.take() if self.next.word in words else None

    def take_sign(self, sign: str) -> Token | None:
        return self.take() if self.next.sort == "sign" and self.next.text == sign else None

    def need_word(self, word: str) -> Token:
        found = self.take_word(word)
        if found is None:
            raise self.unexpected(f"expecting '{word.upper()}'")
        return found

    def need_sign(self, sign: str) -> Token:
        found = self.take_sign(sign)
        if found is None:
            raise self.unexpected(f"expecting '{sign}'")
        return found

    def unexpected(self, hint: str = "") -> SoqlError:
        token = self.next
        shown = token.text if token.sort == "end" else f"'{token.text}'"
        return malformed(self.soql, token.at, f"unexpected token: {shown}" + (f" ({hint})" if hint else ""))

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise malformed(self.soql, self.next.at, "the query is nested too deeply")

    def statement(self) -> Select:
        select = self.select(top=True)
        if self.next.sort != "end":
            raise self.unexpected()
        return select

    def select(self, top: bool) -> Select:
        self.deeper()
        at = self.need_word("select").at
        items = [self.item(top)]
        while self.take_sign(","):
            items.append(self.item(top))
        self.need_word("from")
        source = self.name()
        alias = self.source_alias()
        select = self.clauses(Select(tuple(items), source.text, source.at, alias, at=at))
        self.depth -= 1
        return select

    def clauses(self, select: Select) -> Select:
        self.scope()
        where = self.condition() if self.take_word("where") else None
        self.security()
        group_by = self.group_by() if self.take_word("group") else ()
        having = self.condition() if group_by and self.take_word("having") else None
        order_by = self.order_by() if self.take_word("order") else ()
        limit = self.whole_number("LIMIT") if self.take_word("limit") else None
        offset = self.whole_number("OFFSET") if self.take_word("offset") else 0
        self.purpose()
        all_rows = self.take_word("all") is not None
        if all_rows:
            self.need_word("rows")
        return Select(
            select.items, select.source, select.source_at, select.alias, where, group_by, having, order_by, limit,
            offset,
            all_rows, select.at,
        )  # fmt: skip

    def scope(self) -> None:
        if self.take_word("using"):
            self.need_word("scope")
            if self.take_word("everything") is None:
                raise self.unexpected("this org knows the scope EVERYTHING only")

    def security(self) -> None:
        if self.take_word("with") and self.take_word("security_enforced", "user_mode", "system_mode") is None:
            raise self.unexpected("expecting SECURITY_ENFORCED, USER_MODE or SYSTEM_MODE")

    def purpose(self) -> None:
        while self.take_word("for"):
            if self.take_word("update", "view", "reference") is None:
                raise self.unexpected("expecting UPDATE, VIEW or REFERENCE")

    def source_alias(self) -> str | None:
        if self.take_word("as"):
            return self.name().text
        if self.next.sort in ("name", "money") and self.next.word not in _CLAUSES:
            return self.take().text
        return None

    def name(self) -> Token:
        if self.next.sort not in ("name", "money"):
            raise self.unexpected()
        return self.take()

    def item(self, top: bool) -> Item:
        at = self.next.at
        if self.take_sign("("):
            if not top:
                raise malformed(self.soql, at, "a sub-select may not hold another sub-select here")
            inner = self.select(top=False)
            self.need_sign(")")
            return Item(inner, None, at)
        if self.next.word == "typeof":
            raise malformed(self.soql, at, "TYPEOF is not supported")
        operand = self.operand()
        alias = self.take().text if self.next.sort in ("name", "money") and self.next.word not in _CLAUSES else None
        return Item(operand, alias, at)

    def operand(self) -> Operand:
        first = self.name()
        if self.next.sort == "sign" and self.next.text == "(":
            return self.function(first)
        names = [first.text]
        if first.word in ("select", "from", "where"):
            self.place -= 1
            raise self.unexpected()
        while self.take_sign("."):
            names.append(self.name().text)
        return Path(tuple(names), first.at)

    def function(self, first: Token) -> Function:
        self.deeper()
        name = first.text.upper()
        if name not in _FUNCTIONS:
            raise malformed(self.soql, first.at, f"unknown function: {first.text}")
        self.need_sign("(")
        argument: Operand | None = None
        word = ""
        if name == "FIELDS":
            word = self.name().word
        elif not (name == "COUNT" and self.next.text == ")"):
            argument = self.operand()
        self.need_sign(")")
        self.depth -= 1
        return Function(name, argument, first.at, word)

    def group_by(self) -> tuple[Operand, ...]:
        self.need_word("by")
        if self.next.word in ("rollup", "cube"):
            raise malformed(self.soql, self.next.at, f"GROUP BY {self.next.text.upper()} is not supported")
        found = [self.operand()]
        while self.take_sign(","):
            found.append(self.operand())
        return tuple(found)

    def order_by(self) -> tuple[Order, ...]:
        self.need_word("by")
        found = [self.order()]
        while self.take_sign(","):
            found.append(self.order())
        return tuple(found)

    def order(self) -> Order:
        operand = self.operand()
        way = self.take_word("asc", "desc")
        last = False
        if self.take_word("nulls"):
            place = self.take_word("first", "last")
            if place is None:
                raise self.unexpected("expecting FIRST or LAST")
            last = place.word == "last"
        return Order(operand, way is not None and way.word == "desc", last)

    def whole_number(self, clause: str) -> int:
        token = self.next
        if token.sort != "number" or not token.text.isdigit() or len(token.text) > 9:
            raise self.unexpected(f"{clause} takes a whole number")
        return int(self.take().text)

    def condition(self) -> Condition:
        """One or more conditions joined by AND or by OR, not by both: those need parentheses."""
        self.deeper()
        parts = [self.simple()]
        joined = ""
        while self.next.word in ("and", "or"):
            if joined and self.next.word != joined:
                raise self.unexpected("AND and OR may be mixed with parentheses only")
            joined = self.take().word
            parts.append(self.simple())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Both("and" if joined == "and" else "or", tuple(parts))

    def simple(self) -> Condition:
        if self.take_word("not"):
            self.deeper()
            inner = Not(self.simple())
            self.depth -= 1
            return inner
        if self.take_sign("("):
            inner_condition = self.condition()
            self.need_sign(")")
            return inner_condition
        return self.comparison()

    def comparison(self) -> Condition:
        operand = self.operand()
        if self.next.sort == "sign" and self.next.text in _SIGNS:
            return Compare(operand, _SIGNS[self.take().text], self.literal())
        if self.take_word("like"):
            return Compare(operand, "like", self.literal())
        listed = self.take_word("includes", "excludes")
        if listed:
            return Within(operand, "includes", listed.word == "excludes", self.literals())
        negated = self.take_word("not") is not None
        if self.take_word("in") is None:
            raise self.unexpected("expecting an operator")
        if self.tokens[min(self.place + 1, len(self.tokens) - 1)].word == "select":
            return self.sub_select(operand, negated)
        return Within(operand, "in", negated, self.literals())

    def sub_select(self, operand: Operand, negated: bool) -> Condition:
        self.need_sign("(")
        select = self.select(top=False)
        self.need_sign(")")
        return Within(operand, "in", negated, (), select)

    def literals(self) -> tuple[Literal, ...]:
        self.need_sign("(")
        found = [self.literal()]
        while self.take_sign(","):
            found.append(self.literal())
        self.need_sign(")")
        return tuple(found)

    def literal(self) -> Literal:
        token = self.next
        if token.sort in ("text", "number", "money", "date", "datetime"):
            self.take()
            return Literal(token.sort, token.text, token.at)
        if self.take_word("true", "false"):
            return Literal("flag", token.word, token.at)
        if self.take_word("null"):
            return Literal("null", "", token.at)
        if token.sort == "sign" and token.text == ":":
            raise self.unexpected("bind variables exist in Apex only")
        if token.sort == "name" and token.word.upper() in dates.RANGES:
            return self.date_range(self.take())
        raise self.unexpected("expecting a value")

    def date_range(self, token: Token) -> Literal:
        word = token.text.upper()
        if not dates.counted(word):
            return Literal("range", word, token.at)
        self.need_sign(":")
        at = self.next.at
        count = self.whole_number(word)
        if count > dates.MOST:
            raise malformed(self.soql, at, f"{word} takes a number up to {dates.MOST}")
        return Literal("range", word, token.at, count)
