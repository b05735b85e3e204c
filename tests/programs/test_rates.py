"""Currency, rates and money."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.levelling.ecb import age_note, ecb_table
from crmsync.programs import ecb
from crmsync.programs.loading import money_columns
from crmsync.programs.program import MoneyValue, Program, RateRow
from tests.programs.texts import HEAD, LADDER, loaded

RATES = "currency,effective_from,rate\nEUR,,1\nUSD,2026-01-01,1.08\nUSD,2026-07-01,1.10\nGBP,,0.86\n"


def program(folder: Path, more: str = "", rates: str = RATES, ladder: str = LADDER) -> Program:
    (folder / "rates.csv").write_text(rates, encoding="utf-8")
    return loaded(folder, HEAD + ladder + "rates: rates.csv\n" + more)


def test_rates_are_read_exactly_and_a_row_without_a_date_holds_always(tmp_path: Path) -> None:
    assert program(tmp_path).rates == (
        RateRow("EUR", None, Decimal(1)),
        RateRow("USD", date(2026, 1, 1), Decimal("1.08")),
        RateRow("USD", date(2026, 7, 1), Decimal("1.10")),
        RateRow("GBP", None, Decimal("0.86")),
    )


def test_rates_may_be_those_of_the_crm(tmp_path: Path) -> None:
    assert loaded(tmp_path, HEAD + LADDER + "rates: crm\n").rates == "crm"


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ("currency,rate\nEUR,1\neur,1\n", "rates.csv:3: `eur` in `currency`"),
        ("currency,rate\nEUR,1\nUSD,0\n", "rates.csv:3: `0` in `rate` is not a number above 0"),
        ("currency,rate\nEUR,1\nUSD,-1\n", "is not a number above 0"),
        ("currency,rate\nEUR,1\nUSD,10%\n", "is not a number above 0"),
        ('currency,rate\nEUR,1\nUSD,"1,1"\n', "is not a number above 0"),
        ("currency,rate\nEUR,1\nUSD,1.1\nUSD,1.2\n", "rates.csv:4: the rate of USD for this date stands twice"),
        ("currency,rate\nEUR,1.1\nUSD,1.2\n", "rates.csv:1: no currency whose every rate is 1"),
        ("currency,rate\nUSD,1\n", "the program's currency EUR has no rate"),
        ("currency,rates\nEUR,1\n", "rates.csv:1: column `rate` is missing; did you mean `rates`?"),
        ("currency,rate,effective_from\nEUR,1,2026\n", "rates.csv:2: `2026` in `effective_from` is not a date"),
    ],
)
def test_mistakes_in_the_file_name_its_line(tmp_path: Path, rates: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program(tmp_path, rates=rates)
    assert message in str(caught.value)


def test_a_threshold_in_another_currency_keeps_it(tmp_path: Path) -> None:
    ladder = LADDER.replace("revenue: 500000", "revenue: 400000.50 USD")
    tier = program(tmp_path, "effective_from: 2026-03-01\n", ladder=ladder).ladders["main"].tiers[1]
    assert tier.requires is not None
    assert tier.requires.parts[0].value == MoneyValue(Decimal("400000.50"), "USD")  # type: ignore[union-attr]


def test_a_threshold_in_the_programs_currency_is_a_number(tmp_path: Path) -> None:
    tier = loaded(tmp_path, HEAD + LADDER.replace("500000", "500000 EUR")).ladders["main"].tiers[1]
    assert tier.requires is not None
    assert tier.requires.parts[0].value == Decimal(500000)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("threshold", "more", "message"),
    [
        ("1 USD", "", "which the program lacks"),
        ("1 USD", "effective_from: 2025-01-01\n", "the rates have no USD on the day of `effective_from:`"),
        ("1 CHF", "effective_from: 2026-03-01\n", "the rates have no CHF"),
    ],
)
def test_a_threshold_needs_a_rate_on_effective_from(tmp_path: Path, threshold: str, more: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        program(tmp_path, more, ladder=LADDER.replace("500000", threshold))


def test_a_rate_without_a_date_needs_no_effective_from(tmp_path: Path) -> None:
    program(tmp_path, ladder=LADDER.replace("500000", "1 GBP"))


def test_a_threshold_in_another_currency_needs_rates(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs `rates:`"):
        loaded(tmp_path, HEAD + LADDER.replace("500000", "1 USD"))


@pytest.mark.parametrize(
    "metric",
    [
        "{unit: money, sum: lines.mrr}",
        "{sum: opportunities.amount}",
        "{count: opportunities, where: amount > 1000}",
        "{field: partners.churn_pct}\nmoney: [partners.churn_pct]",
    ],
)
def test_money_needs_a_currency(tmp_path: Path, metric: str) -> None:
    text = f"program: p\n{LADDER.replace('revenue', 'x')}metrics:\n  x: {metric}\n"
    with pytest.raises(ConfigError, match="`currency:` is missing: metric `x`"):
        loaded(tmp_path, text)


def test_money_columns_are_readable_before_the_tables_are(tmp_path: Path) -> None:
    loaded(tmp_path, HEAD + LADDER + "money: [lines.mrr, partners.churn_pct]\n")
    assert money_columns(tmp_path) == {("lines", "mrr"), ("partners", "churn_pct")}
    assert money_columns(tmp_path / "program.yaml") == money_columns(tmp_path)


def test_ready_rates_are_read_from_the_installed_package_alone(tmp_path: Path) -> None:
    assert loaded(tmp_path, HEAD + LADDER + "rates: ecb\n").rates == "ecb"
    assert {"EUR", "USD", "JPY"} <= ecb.currencies()
    assert ecb.rates_by_currency()["USD"][0] == (date(1999, 1, 4), "1.1789")
    assert ecb.rates_by_currency()["USD"][-1][0] == ecb.last_day()


def test_a_day_without_a_ready_rate_takes_the_last_before() -> None:
    table = ecb_table()
    friday, sunday = date(2020, 1, 3), date(2020, 1, 5)
    assert table.factor("USD", "EUR", sunday) == table.factor("USD", "EUR", friday) == Decimal("0.897102359379")
    assert table.factor("USD", "EUR", date(1999, 1, 3)) is None
    assert table.factor("EUR", "GBP", sunday) == Decimal("0.851150000000")
    last = ecb.last_day()
    assert table.factor("USD", "EUR", last + timedelta(days=400)) == table.factor("USD", "EUR", last)


def test_a_program_says_when_its_ready_rates_are_old(tmp_path: Path) -> None:
    program = loaded(tmp_path, HEAD + LADDER + "rates: ecb\n")
    assert age_note(program, ecb.last_day() + timedelta(days=7)) is None
    note = age_note(program, ecb.last_day() + timedelta(days=8))
    assert note is not None
    assert f"end on {ecb.last_day()}" in note
    assert age_note(loaded(tmp_path, HEAD + LADDER), date(2099, 1, 1)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.replace("EUR", "EUX") + LADDER + "rates: ecb\n", "no rates of the program's currency EUX"),
        (HEAD + LADDER.replace("500000", "1 USD") + "rates: ecb\n", "which the program lacks"),
        (
            HEAD + LADDER.replace("500000", "1 AED") + "rates: ecb\neffective_from: 2026-01-01\n",
            "the rates have no AED",
        ),
    ],
)
def test_ready_rates_must_have_the_currency(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        loaded(tmp_path, text)
