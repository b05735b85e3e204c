"""SQL scalar expressions of a program: read, checked word by word, resolved; everything not listed is refused.

Two gates: the words (an allow-list of tokens, with exact places), then the tree (an allow-list of nodes, `kinds.py`).
What passes is a SQLGlot tree whose every column says which table, reference or metric it belongs to.
Source: program-language, section 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from itertools import pairwise

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.expressions import Expression
from sqlglot.tokenizer_core import Token, TokenType

from crmsync.errors import ConfigError
from crmsync.programs.durings import is_interval
from crmsync.programs.kinds import FUNCTIONS, WrongUseError, kind_of
from crmsync.programs.names import AS_OF, CLOCK, METRIC, Found, Kind, Scope, UnknownNameError
from crmsync.programs.program import Formula, Unit
from crmsync.strict_yaml import date_of, nearest, one_line

MAX_LENGTH = 20_000
MAX_WORDS = 4_000
MAX_NESTING = 20
MAX_DEPTH = 100  # of the tree, where each link of `a or b or …` is a level; more belongs into `in (…)` or a reference

_OPERATORS = {
    TokenType.EQ: {"="},
    TokenType.NEQ: {"<>", "!="},
    TokenType.LT: {"<"},
    TokenType.LTE: {"<="},
    TokenType.GT: {">"},
    TokenType.GTE: {">="},
    TokenType.PLUS: {"+"},
    TokenType.DASH: {"-"},
    TokenType.STAR: {"*"},
    TokenType.SLASH: {"/"},
    TokenType.L_PAREN: {"("},
    TokenType.R_PAREN: {")"},
    TokenType.COMMA: {","},
}
_KEYWORDS = frozenset(
    {"and", "or", "not", "in", "between", "like", "is", "null", "case", "when", "then", "else", "end", "true", "false"}
)
_BEFORE_BRACKETS = frozenset({"in", "and", "or", "not"})
_NEVER_FIRST = frozenset({"and", "or", "in", "between", "like", "is", "when", "then", "else", "end"})
_REFUSED = frozenset(
    {
        "select", "from", "where", "distinct", "as", "over", "escape", "collate", "ilike", "similar", "exists",
        "any", "some", "all", "cast", "extract", "union", "join", "with", "values", "interval", "glob", "rlike",
        "regexp", "isnull", "notnull", "at", "window", "partition", "order", "group", "having", "limit",
        "current_date", "current_timestamp", "current_time", "localtime", "localtimestamp",
    }
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[0-9]{1,28}(\.[0-9]{1,28})?")
_VALUES = frozenset(
    {TokenType.IDENTIFIER, TokenType.NUMBER, TokenType.STRING, TokenType.TRUE, TokenType.FALSE, TokenType.NULL}
)
_YES_NO = {"yes": TokenType.TRUE, "no": TokenType.FALSE}
_HINTS = {
    TokenType.SEMICOLON: "write one expression, without `;`",
    TokenType.IDENTIFIER: "text takes single quotes, names take none",
    TokenType.MOD: "write a percent as a fraction, 30% is 0.3",
    TokenType.EQ: "write `=`",
    TokenType.DOT: "write 0.5, or table.column",
    TokenType.DCOLON: "casts are not part of the language",
    TokenType.DAMP: "write `and`",
    TokenType.DPIPE: "joining texts is not part of the language",
    TokenType.PLACEHOLDER: "parameters are not part of the language",
    TokenType.PARAMETER: "parameters are not part of the language",
}


_AGGREGATE = "an aggregate is the source of a metric, like `sum: opportunities.amount`"
_ELSEWHERE = {  # what other languages call it
    **dict.fromkeys(("sum", "count", "avg", "average", "min", "max", "median", "first", "last"), _AGGREGATE),
    **dict.fromkeys(("contains", "includes", "ispickval", "list_contains"), "write has(list, 'value')"),
    **dict.fromkeys(("today", "now", "current_date"), "the day of the assessment is `as_of`"),
    **dict.fromkeys(("ifnull", "nvl", "isnull", "isblank"), "write coalesce(value, other), or `value is null`"),
    **dict.fromkeys(("if", "iif", "iff"), "write `case when condition then value else other end`"),
    **dict.fromkeys(("datediff", "date_diff"), "a date minus a date gives days"),
}


@dataclass(frozen=True)
class _Place:
    """Where an expression stands, to name it in messages."""

    text: str
    line: int
    file: str

    def fail(self, message: str, start: int | None = None) -> ConfigError:
        shown = one_line(self.text, 120)
        position = "" if start is None else f"position {start + 1} of "
        return ConfigError(f"{one_line(message)} ({position}`{shown}`)", file=self.file, line=self.line)


@dataclass
class _Reading:
    """The words of one expression on their way through the first gate."""

    place: _Place
    scope: Scope
    tokens: list[Token]
    names: dict[int, Found] = field(default_factory=dict)  # start of the column's word -> what it means
    kept: list[Token] = field(default_factory=list)

    def source(self, token: Token) -> str:
        return self.place.text[token.start : token.end + 1]

    def type_at(self, index: int) -> TokenType | None:
        return self.tokens[index].token_type if index < len(self.tokens) else None


def parse_formula(text: str, line: int, file: str, scope: Scope, needs: Kind | None = None) -> Formula:
    """A checked expression. `needs`: the kind of value it must give (None: any).

    Errors: ConfigError with file, line, position in the expression, the value and the nearest known name.
    """
    place = _Place(text.strip(), line, file)
    if not place.text:
        raise place.fail("an empty expression")
    if len(place.text) > MAX_LENGTH:
        raise place.fail(f"an expression longer than {MAX_LENGTH:,} characters")
    reading = _Reading(place, scope, _words(place))
    _check_nesting(reading)
    _check_words(reading)
    _check_operators(reading)
    tree = _resolved(_tree(reading), reading)
    _check_result(tree, reading, needs)
    _check_percents(tree, reading)
    found = reading.names.values()
    return Formula(
        place.text,
        line,
        tree,
        frozenset((one.table, one.column) for one in found if one.table not in (METRIC, CLOCK)),
        frozenset(one.column for one in found if one.table == METRIC),
    )


def _words(place: _Place) -> list[Token]:
    try:
        tokens = DuckDB().tokenize(place.text)
    except SqlglotError:
        raise place.fail("a quote is not closed, or a character is not part of the language") from None
    for token in tokens:
        if token.comments:
            raise place.fail("a comment is not accepted inside an expression", token.start)
    if not tokens:
        raise place.fail("a comment is not an expression")
    if len(tokens) > MAX_WORDS:
        raise place.fail(f"an expression of more than {MAX_WORDS:,} words")
    return list(tokens)


def _check_nesting(reading: _Reading) -> None:
    depth = prefixes = 0
    for token in reading.tokens:
        word = token.text.lower()
        opens = token.token_type is TokenType.L_PAREN or word == "case"
        depth += opens - (token.token_type is TokenType.R_PAREN or word == "end")
        prefixes = prefixes + 1 if token.token_type in (TokenType.NOT, TokenType.DASH) else 0
        if max(depth, prefixes) > MAX_NESTING:
            raise reading.place.fail(f"nested deeper than {MAX_NESTING} levels; split it into metrics", token.start)


def _check_words(reading: _Reading) -> None:
    """Errors: ConfigError at the first word that is not part of the language or not a known name."""
    if reading.source(reading.tokens[0]).lower() in _NEVER_FIRST:
        raise reading.place.fail(f"an expression cannot start with `{reading.source(reading.tokens[0])}`", 0)
    index = 0
    while index < len(reading.tokens):
        index += _check_word(reading, index)


def _check_word(reading: _Reading, index: int) -> int:
    """How many tokens were taken."""
    token, source = reading.tokens[index], reading.source(reading.tokens[index])
    if source in _OPERATORS.get(token.token_type, ()):
        reading.kept.append(token)
        return 1
    if token.token_type is TokenType.STRING and source.startswith("'"):
        reading.kept.append(token)
        return 1
    if token.token_type is TokenType.NUMBER:
        return _check_number(reading, index, source)
    if _WORD.fullmatch(source):
        return _check_name(reading, index, source)
    hint = _HINTS.get(token.token_type, "")
    raise reading.place.fail(
        f"`{source}` is not part of the language of expressions" + (f"; {hint}" if hint else ""), token.start
    )


def _check_number(reading: _Reading, index: int, source: str) -> int:
    token = reading.tokens[index]
    if not _NUMBER.fullmatch(source):
        raise reading.place.fail(f"`{source}` is not a plain number; write it like 1000 or 0.5", token.start)
    reading.kept.append(token)
    return 1


def _check_name(reading: _Reading, index: int, source: str) -> int:
    token, word, after = reading.tokens[index], source.lower(), reading.type_at(index + 1)
    if word in _KEYWORDS:
        reading.kept.append(token)
        return 1
    if word in ("date", "interval") and after is TokenType.STRING:
        return _check_literal(reading, index, word)
    if after is TokenType.L_PAREN:
        if word not in FUNCTIONS:
            raise reading.place.fail(
                f"`{source}(…)` is not a function of the language{_right_function(word)}", token.start
            )
        reading.kept.append(token)
        return 1
    if after is TokenType.DOT:
        return _check_qualified(reading, index, source)
    if word in _YES_NO and not reading.scope.is_known(source):
        reading.kept.append(_retyped(token, _YES_NO[word]))
        return 1
    if word in _REFUSED and not reading.scope.is_known(source):
        raise reading.place.fail(f"`{source}` is not part of the language of expressions", token.start)
    _keep_name(reading, None, index, token.start)
    return 1


def _right_function(word: str) -> str:
    """What to write instead of a function that the language does not have."""
    if word in _ELSEWHERE:
        return f"; {_ELSEWHERE[word]}"
    return nearest(word, FUNCTIONS | _BEFORE_BRACKETS) or f"; it has {', '.join(sorted(FUNCTIONS))}"


def _check_literal(reading: _Reading, index: int, word: str) -> int:
    keyword, literal = reading.tokens[index], reading.tokens[index + 1]
    if word == "date" and date_of(literal.text) is None:
        raise reading.place.fail(f"`{literal.text}` is not a date; write date '2026-01-31'", literal.start)
    if word == "interval" and not is_interval(literal.text):
        raise reading.place.fail(f"`{literal.text}` is not an interval; write interval '12 months'", literal.start)
    reading.kept += [keyword, literal]
    return 2


def _check_qualified(reading: _Reading, index: int, prefix: str) -> int:
    place, start = reading.place, reading.tokens[index].start
    name = reading.tokens[index + 2] if index + 2 < len(reading.tokens) else None
    if name is None or not _WORD.fullmatch(reading.source(name)):
        raise place.fail(f"`{prefix}.` needs the name of a column", start)
    if reading.type_at(index + 3) is TokenType.DOT:
        raise place.fail(f"`{prefix}.{name.text}.…` has too many parts; write table.column", start)
    if reading.type_at(index + 3) is TokenType.L_PAREN:
        raise place.fail(f"`{prefix}.{name.text}(…)` is not a function of the language", start)
    _keep_name(reading, prefix, index + 2, start)
    return 3


def _keep_name(reading: _Reading, prefix: str | None, index: int, start: int) -> None:
    """Keep a column under one quoted word, so that a column called `comment` or `end_date` never meets the grammar."""
    token = reading.tokens[index]
    try:
        reading.names[token.start] = reading.scope.resolve(prefix, reading.source(token))
    except UnknownNameError as error:
        raise reading.place.fail(f"{error}{_near_word(str(error), prefix, token.text)}", start) from None
    reading.kept.append(_retyped(token, TokenType.IDENTIFIER))


def _near_word(message: str, prefix: str | None, name: str) -> str:
    """The word of the language that an unknown name nearly is, where no name is near."""
    if prefix is not None or "did you mean" in message:
        return ""
    close = get_close_matches(name.lower(), (*(_KEYWORDS - {"end"}), *_YES_NO, AS_OF), 1, 0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def _retyped(token: Token, to: TokenType) -> Token:
    return Token(to, token.text, token.line, token.col, token.start, token.end)


def _tree(reading: _Reading) -> Expression:
    place = reading.place
    try:
        found = DuckDB().parser().parse(reading.kept, place.text)
    except ParseError as error:
        raise _cannot_be_read(reading, _start_of(error, reading)) from None
    except (SqlglotError, ValueError, RecursionError) as error:
        raise place.fail(f"cannot be read: {type(error).__name__}") from None
    if len(found) != 1 or not isinstance(found[0], Expression):
        raise place.fail("is not one expression")
    return found[0]


def _check_operators(reading: _Reading) -> None:
    """Errors: ConfigError where an operator between two values is missing or misspelt (else read as an alias)."""
    for before, after in pairwise(reading.kept):
        if before.token_type in _VALUES and after.token_type in _VALUES:
            for token in (after, before):
                _check_misspelt(reading, token, 0.6)
            pair = f"`{reading.source(before)}` and `{reading.source(after)}`"
            raise reading.place.fail(f"cannot be read: between {pair} an operator is missing", after.start)


def _check_misspelt(reading: _Reading, token: Token, likeness: float) -> None:
    """Errors: ConfigError for a name that nobody surely knows and that nearly is a word of the language."""
    if token.token_type is not TokenType.IDENTIFIER or reading.scope.is_known(token.text):
        return
    close = get_close_matches(token.text.lower(), _KEYWORDS - {"end", "true", "false"}, 1, likeness)
    if close:
        raise reading.place.fail(f"`{token.text}` cannot stand here; did you mean `{close[0]}`?", token.start)


def _cannot_be_read(reading: _Reading, start: int | None) -> ConfigError:
    """What to say of words that are no sentence. Errors: ConfigError for one that is nearly a word of the language."""
    for token in reading.kept:
        _check_misspelt(reading, token, 0.75)
    word = next((f" at `{reading.source(token)}`" for token in reading.kept if token.start == start), "")
    return reading.place.fail(f"cannot be read{word}; a value, an operator or a bracket is missing or too much", start)


def _start_of(error: ParseError, reading: _Reading) -> int | None:
    details: Mapping[str, object] = error.errors[0] if error.errors else {}
    line, column = details.get("line"), details.get("col")
    for token in reading.kept:
        if (token.line, token.col) == (line, column):
            return int(token.start)
    return None


def _resolved(tree: Expression, reading: _Reading) -> Expression:
    """The tree with every column bound, `not like` as not (like), and null-keeping least and greatest."""
    _check_depth(tree, reading.place)
    top = exp.Paren(this=tree)  # so that the topmost node, too, can be replaced in place
    for node in list(tree.walk()):
        if isinstance(node, exp.Column):
            node.replace(_bound_column(node, reading))
        elif isinstance(node, exp.Like) and node.args.get("negate"):
            node.replace(exp.Not(this=exp.Like(this=node.this, expression=node.expression)))
        elif isinstance(node, exp.Greatest | exp.Least):
            node.set("ignore_nulls", False)
        elif isinstance(node, exp.Anonymous):
            node.set("this", str(node.this).upper())
    found = top.this
    assert isinstance(found, Expression)
    return found.pop()


def _check_depth(tree: Expression, place: _Place) -> None:
    level, depth = [tree], 0
    while level:
        level = [child for node in level for child in node.iter_expressions()]
        depth += 1
        if depth > MAX_DEPTH:
            raise place.fail("too long a chain; use `in (…)`, a reference, or several metrics")


def _bound_column(node: exp.Column, reading: _Reading) -> Expression:
    word = node.this
    start = word.meta.get("start") if isinstance(word, exp.Identifier) else None
    found = reading.names.get(start) if start is not None else None
    if found is None:
        raise reading.place.fail(f"`{node.name}` cannot stand here", start)
    column = exp.Column(
        this=exp.Identifier(this=found.column, quoted=False), table=exp.Identifier(this=found.table, quoted=False)
    )
    column.meta["start"] = start
    return column


def _check_result(tree: Expression, reading: _Reading, needs: Kind | None) -> None:
    kinds = {(found.table, found.column): found.kind for found in reading.names.values()}
    try:
        kind = kind_of(tree, kinds)
    except WrongUseError as error:
        raise reading.place.fail(str(error), error.start) from None
    except RecursionError:
        raise reading.place.fail("nested too deeply; split it into metrics") from None
    if kind is Kind.SPAN:
        raise reading.place.fail("an interval alone is no value; add it to a date")
    if needs is None or kind is None or kind is needs:
        return
    wanted = {Kind.CONDITION: "a condition (yes or no)", Kind.NUMBER: "a number", Kind.TEXT: "a text"}
    raise reading.place.fail(f"gives {_article(kind)}, but {wanted.get(needs, needs)} is needed")


def _check_percents(tree: Expression, reading: _Reading) -> None:
    """Errors: ConfigError for a percent metric compared with a bare number above 1."""
    units = reading.scope.metrics
    for node in tree.find_all(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In):
        sides = list(node.iter_expressions())
        percents = [side.name for side in sides if isinstance(side, exp.Column) and side.table == METRIC]
        for name in percents:
            for side in sides:
                if units[name] is Unit.PERCENT and side.is_number and abs(Decimal(side.to_py())) > 1:
                    raise reading.place.fail(f"`{name}` is a percent, kept as a fraction: 30% is 0.3, not 30")


def _article(kind: Kind) -> str:
    return "an interval" if kind is Kind.SPAN else f"a {kind}"
