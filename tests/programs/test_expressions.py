"""SQL scalar expressions: what the language has is read and resolved, everything else is refused in its place."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from crmsync.errors import ConfigError
from crmsync.programs.expressions import MAX_LENGTH, parse_formula
from crmsync.programs.names import Kind, Scope, Tables
from crmsync.programs.program import Formula, Unit
from tests.programs.texts import partner_scope, row_scope


def row(text: str, needs: Kind | None = None) -> Formula:
    return parse_formula(text, 7, "p.yaml", row_scope(), needs)


def refused(text: str, scope: Scope | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_formula(text, 7, "p.yaml", scope or row_scope())
    assert str(caught.value).startswith("p.yaml:7: ")
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("is_won and role = 'reseller'", "opportunities.is_won AND opportunities.role = 'reseller'"),
        ("amount * share", "opportunities.amount * opportunities.share"),
        ("opportunities.amount", "opportunities.amount"),
        ("partners.region in ('EMEA', 'APAC')", "partners.region IN ('EMEA', 'APAC')"),
        ("type not in ('a')", "NOT opportunities.type IN ('a')"),
        ("type not like 'x%'", "NOT opportunities.type LIKE 'x%'"),
        ("amount between 1 and 2.5", "opportunities.amount BETWEEN 1 AND 2.5"),
        ("amount is not null", "NOT opportunities.amount IS NULL"),
        ("case type when 'x' then 1 else 2 end", "CASE opportunities.type WHEN 'x' THEN 1 ELSE 2 END"),
        ("case when is_won then amount end", "CASE WHEN opportunities.is_won THEN opportunities.amount END"),
        ("coalesce(is_won and is_closed, false)", "COALESCE(opportunities.is_won AND opportunities.is_closed, FALSE)"),
        ("closed_on > as_of - interval '12 months'", "opportunities.closed_on > clock.as_of - INTERVAL '12' MONTHS"),
        ("as_of - closed_on <= 30", "clock.as_of - opportunities.closed_on <= 30"),
        ("closed_on >= date '2026-01-01'", "opportunities.closed_on >= CAST('2026-01-01' AS DATE)"),
        ("year(closed_on) + quarter(closed_on) - month(closed_on)", None),
        ("has(partners.declared_categories, 'MSP')", "HAS(partners.declared_categories, 'MSP')"),
        ("is_won = yes", "opportunities.is_won = TRUE"),
        ("round(abs(-amount) / nullif(share, 0), 2)", None),
        ("least(amount, 1) + greatest(share, 2) + floor(amount) + ceil(amount)", None),
        ("lower(name) = 'x' and upper(stage) <> 'Y' and length(name) > 3", None),
        ("NOT (is_won OR is_closed)", "NOT (opportunities.is_won OR opportunities.is_closed)"),
    ],
)
def test_the_language_is_read_and_every_column_says_where_it_lives(text: str, sql: str | None) -> None:
    tree = row(text).tree
    assert all(column.table for column in tree.find_all(exp.Column))
    assert sql is None or tree.sql("duckdb") == sql


def test_unqualified_names_elsewhere_are_metrics_then_partner_columns() -> None:
    formula = parse_formula("won / nullif(won + lost, 0)", 1, "p.yaml", partner_scope(), Kind.NUMBER)
    assert formula.metrics == {"won", "lost"}
    assert formula.columns == frozenset()
    formula = parse_formula("region = 'EMEA' and plan and partners.status = 'x'", 1, "p.yaml", partner_scope())
    assert formula.columns == {("partners", "region"), ("partners", "status")}
    assert formula.metrics == {"plan"}


def test_least_and_greatest_keep_the_unknown() -> None:
    tree = row("greatest(amount, share)").tree
    assert tree.args["ignore_nulls"] is False


@pytest.mark.parametrize("name", ["comment", "set", "text", "date", "order", "if", "values", "show", "load"])
def test_a_column_may_bear_a_word_of_sql(name: str) -> None:
    scope = Scope(Tables(None), "lines")
    assert parse_formula(f"lines.{name} is null", 1, "p.yaml", scope).columns == {("lines", name)}


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("is_wno", "no column `is_wno`; did you mean `is_won`? (position 1 of"),
        ("is_won and regio = 'x'", "position 12 of"),
        ("partners.regio = 'x'", "did you mean `region`?"),
        ("mkts.factor", "unknown table or reference `mkts`"),
        ("parent.region = 'x'", "it stands in `rolls_up_where`"),
        ("(select 1)", "`select` is not part of the language"),
        ("exists(select 1)", "`exists(…)` is not a function"),
        ("role in (select 1)", "`select` is not part of the language"),
        ("amount::int", "casts are not part of the language"),
        ("cast(amount as int)", "`cast(…)` is not a function"),
        ("sum(amount)", "`sum(…)` is not a function"),
        ("sum(amount) over ()", "`sum(…)` is not a function"),
        ("x -> x + 1", "has no column `x`"),
        ("is_won; is_closed", "`;` is not part of the language"),
        ("is_won -- yes", "a comment"),
        ("is_won /* yes */", "a comment"),
        ("is_won # yes", "`#` is not part"),
        ("*", "`*` is not part"),
        ("opportunities.*", "needs the name of a column"),
        ("$1 = amount", "parameters are not part"),
        ("amount = ?", "parameters are not part"),
        ("amount = :x", "`:` is not part"),
        ("amount || stage", "joining texts"),
        ('"amount" > 1', "names take none"),
        ("amount > 30%", "30% is 0.3"),
        ("amount > 1e5", "not a plain number"),
        ("amount > 1_000", "not a plain number"),
        ("amount > .5", "write 0.5"),
        ("share == 1", "write `=`"),
        ("is_won && is_closed", "write `and`"),
        ("contains(stage, 'x')", "write has(list, 'value')"),
        ("avg(amount) > 1", "the source of a metric, like `sum: opportunities.amount`"),
        ("trim(stage) = 'x'", "`trim(…)` is not a function of the language; it has abs, ceil, coalesce, floor"),
        ("today() > closed_on", "the day of the assessment is `as_of`"),
        ("[1, 2]", "`[` is not part"),
        ("{'a': 1}", "`{` is not part"),
        ("amount as x", "`as` is not part"),
        ("amount, share", "cannot be read"),
        ("amount share", "between `amount` and `share` an operator is missing"),
        ("stage ilike 'x'", "`ilike` is not part"),
        ("stage like 'x' escape 'e'", "`escape` is not part"),
        ("stage in type", "needs a list of values in brackets"),
        ("stage in ()", "needs a list of values in brackets"),
        ("is_won is true", "only `is null` and `is not null`"),
        ("'a' 'b'", "an operator is missing"),
        ("e'x'", "is not part of the language"),
        ("$$x$$", "is not part of the language"),
        ("stage = 'x", "a quote is not closed"),
        ("current_date > closed_on", "`current_date` is not part"),
        ("now() > closed_on", "`now(…)` is not a function"),
        ("interval '1 year'", "an interval alone"),
        ("closed_on + interval '1 fortnight'", "is not an interval"),
        ("closed_on + interval '9999 years'", "is not an interval"),
        ("closed_on > date '2026-02-30'", "`2026-02-30` is not a date"),
        ("a.b.c", "too many parts"),
        ("and is_won", "cannot start with `and`"),
        ("(amount", "cannot be read"),
        ("", "an empty expression"),
        ("coalesce()", "cannot be read"),
        ("abs(amount, 1)", "cannot be read"),
        ("floor(amount, 1)", "takes one value"),
        ("round(amount, share)", "a number of decimals"),
    ],
)
def test_everything_else_is_refused_with_its_place(text: str, fragment: str) -> None:
    assert fragment in refused(text)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("is_won and amount", "`opportunities.amount` is a number, but `and` needs a condition"),
        ("not amount", "needs a condition"),
        ("is_won + 1", "is a condition, but a calculation needs a number"),
        ("stage + 1", "is a text, but a calculation needs a number"),
        ("amount = 'x'", "do not go together in a comparison"),
        ("amount = amount = amount", "do not go together in a comparison"),
        ("closed_on > '2026-01-01'", "a date is written date '2026-01-31'"),
        ("closed_on + 30", "add an interval"),
        ("closed_on + closed_on", "add an interval"),
        ("amount + interval '1 day'", "an interval is added to a date"),
        ("amount = null", "write `is null`"),
        ("is_won > false", "have no order"),
        ("partners.declared_categories = 'x'", "do not go together"),
        ("has(stage, 'x')", "needs a list"),
        ("has(partners.declared_categories)", "write has(list, 'value')"),
        ("lower(amount)", "needs a text"),
        ("year(amount)", "needs a date"),
        ("amount like 'x'", "needs a text"),
        ("amount in (1, 'x')", "do not go together in `in`"),
        ("case when is_won then 1 else 'x' end", "do not go together in `case`"),
        ("case when amount then 1 end", "`when` needs a condition"),
        ("greatest(is_won, is_closed)", "needs numbers, dates or texts"),
        ("coalesce(amount, 'x')", "do not go together"),
    ],
)
def test_a_wrong_use_of_a_known_column_is_refused(text: str, fragment: str) -> None:
    assert fragment in refused(text)


@pytest.mark.parametrize(
    "text", ["extra", "extra + 1 > 2", "extra like 'x'", "extra > date '2026-01-01'", "has(extra, 'x')"]
)
def test_a_column_of_unknown_kind_fits_everywhere(text: str) -> None:
    parse_formula(text, 1, "p.yaml", Scope(Tables(None), "opportunities"), None)


def test_a_near_metric_is_named_even_where_further_columns_are_not_known() -> None:
    scope = Scope(Tables(None), None, {}, partner_scope().metrics)
    assert "did you mean `level`?" in refused("levle = 'x'", scope)


def test_a_condition_where_a_value_is_needed_is_refused_and_the_reverse() -> None:
    with pytest.raises(ConfigError, match="gives a condition, but a number is needed"):
        row("is_won", Kind.NUMBER)
    with pytest.raises(ConfigError, match=r"a condition .* is needed"):
        row("amount", Kind.CONDITION)


def test_a_percent_metric_is_not_compared_with_hundredths() -> None:
    assert "30% is 0.3" in refused("rate >= 30", partner_scope())
    parse_formula("rate >= 0.3 or rate in (0.1, 1)", 1, "p.yaml", partner_scope(), Kind.CONDITION)


@pytest.mark.parametrize(
    "text",
    [
        "x" * (MAX_LENGTH + 1),
        "(" * 50 + "1" + ")" * 50,
        "not " * 500 + "is_won",
        "- " * 500 + "1",
        " or ".join(["is_won"] * 1500),
        "+".join(["1"] * 3000),
        "case when is_won then " * 60 + "1" + " end" * 60,
        "amount in (" + ",".join(["1"] * 9000) + ")",
    ],
    ids=["length", "brackets", "nots", "minuses", "ors", "pluses", "cases", "words"],
)
def test_size_and_depth_are_bounded(text: str) -> None:
    refused(text)


def test_a_long_list_and_a_chain_of_conditions_are_fine() -> None:
    row("stage in (" + ",".join(f"'s{number}'" for number in range(1500)) + ")")
    row(" or ".join(f"stage = 's{number}'" for number in range(60)))


WORDS = (
    "is_won amount stage closed_on partners . region , ( ) and or not in between like is null case when then else end",
    "= <> < > + - * / 'x' 1 0.5 date '2026-01-01' interval '3 months' as_of has coalesce round year yes select ; --",
    "share x -> :: [ ] { } % \" ' $1 ? @ sum exists over",
)


@given(st.lists(st.sampled_from(" ".join(WORDS).split()), max_size=14))
def test_no_row_of_words_raises_anything_but_a_config_error(words: list[str]) -> None:
    try:
        formula = row(" ".join(words))
    except ConfigError:
        return
    assert all(column.table for column in formula.tree.find_all(exp.Column))


@given(st.text(max_size=40))
def test_no_text_raises_anything_but_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        row(text)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("is_won adn amount > 5", "no column `adn`; did you mean `and`? (position 8"),
        ("is_won amount > 5", "between `is_won` and `amount` an operator is missing (position 8"),
        ("case when is_won than 1 else 0 end > 0", "did you mean `then`?"),
        ("is_won and nit is_closed", "no column `nit`; did you mean `not`?"),
        ("cass when is_won then 1 else 0 end > 0", "no column `cass`; did you mean `case`?"),
        ("stage inn ('a', 'b')", "`inn(…)` is not a function of the language; did you mean `in`?"),
        ("coalesce(is_won, flase)", "`opportunities` has no column `flase`; did you mean `false`?"),
        ("amount >", "a value, an operator or a bracket is missing or too much"),
        ("(amount > 5", "a value, an operator or a bracket is missing or too much"),
    ],
)
def test_a_misspelt_word_of_the_language_is_named(text: str, fragment: str) -> None:
    assert fragment in refused(text)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("plan nad lost > 5", "`nad` cannot stand here; did you mean `and`?"),
        ("plan and nof is_old", "`nof` cannot stand here; did you mean `not`?"),
        ("cass when plan then 1 else 0 end > 0", "`cass` cannot stand here; did you mean `case`?"),
    ],
)
def test_a_misspelt_word_is_named_where_any_column_may_be(text: str, fragment: str) -> None:
    scope = Scope(Tables(None), None, {}, {"lost": Unit.NUMBER, "plan": Unit.YES_NO})
    with pytest.raises(ConfigError) as caught:
        parse_formula(text, 1, "p.yaml", scope)
    assert fragment in caught.value.message
