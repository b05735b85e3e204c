"""Benefits of tiers, the commission and what they cost."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import Benefit, ByAttribute, Commission, MoneyValue, Program, Unit
from tests.programs.texts import HEAD, LADDER, loaded

RATES = "rates: rates.csv\n"


def program(folder: Path, benefits: str, more: str = "") -> Program:
    (folder / "rates.csv").write_text("currency,rate\nEUR,1\nUSD,1.1\n", encoding="utf-8")
    ladder = LADDER.replace("500000}", f"500000}}, benefits: {benefits}")
    return loaded(folder, HEAD + ladder + RATES + more)


def gold(folder: Path, benefits: str, more: str = "") -> dict[str, Benefit]:
    return dict(program(folder, benefits, more).ladders["main"].tiers[1].benefits)


def test_a_benefit_is_a_percent_money_a_number_or_a_text(tmp_path: Path) -> None:
    found = gold(
        tmp_path, "{discount: 20%, mdf: 500 EUR, fund: 500 USD, seats: 5, support: 24x7, hotline: '112', portal: yes}"
    )
    assert {key: (one.value, one.unit) for key, one in found.items()} == {
        "discount": (Decimal("0.2"), Unit.PERCENT),
        "mdf": (Decimal(500), Unit.MONEY),
        "fund": (MoneyValue(Decimal(500), "USD"), Unit.MONEY),
        "seats": (Decimal(5), Unit.NUMBER),
        "support": ("24x7", Unit.TEXT),
        "hotline": ("112", Unit.TEXT),
        "portal": ("yes", Unit.TEXT),
    }


def test_none_takes_a_benefit_away(tmp_path: Path) -> None:
    ladder = LADDER.replace("- registered", "- {key: registered, benefits: {mdf: 1%}}")
    found = loaded(tmp_path, HEAD + ladder.replace("500000}", "500000}, benefits: {mdf: none}"))
    assert found.ladders["main"].tiers[1].benefits["mdf"].value is None


def test_only_what_some_tier_gives_can_be_taken_away(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="takes away what no tier of the ladder gives") as caught:
        gold(tmp_path, "{mdf: 5%, mdff: none}")
    assert caught.value.line == 13


def test_a_benefit_may_depend_on_a_column_or_the_category(tmp_path: Path) -> None:
    found = gold(
        tmp_path,
        "{discount: {by: region, default: 2%, APAC: {by: country, default: 3%, JP: 4%}}, "
        "fund: {by: category, default: 1, near: 2}}",
        "categories: {near: {}, far: {}}\n",
    )
    inner = ByAttribute("country", {"JP": Decimal("0.04")}, Decimal("0.03"))
    assert found["discount"].value == ByAttribute("region", {"APAC": inner}, Decimal("0.02"))
    assert found["fund"].value == ByAttribute("category", {"near": Decimal(2)}, Decimal(1))


@pytest.mark.parametrize(
    ("benefits", "problem"),
    [
        ("{revenue: 20%}", "benefit `revenue` is a metric too; rename it"),
        ("{commission: 20%}", "is the name of `commission:` among the benefits"),
        ("{2fast: 20%}", "`2fast` cannot be a key"),
        ("{discount: [20%]}", "benefit `discount` needs one value, not a list"),
        ("{mdf: 20'000}", "`20'000` is not a number; write it without separators"),
        ("{mdf: 500 CHF}", "the rates have no CHF"),
        ("{discount: {default: 2%}}", "a table that starts with `by:`"),
        ("{discount: {by: region, APAC: 2%}}", "`by: region` needs a `default:`"),
        ("{discount: {by: regio, default: 2%}}", "did you mean `region`?"),
        ("{discount: {by: declared_categories, default: 2%}}", "is a list"),
        ("{discount: {by: category, default: 2%, al: 3%}}", "unknown category `al`; did you mean `all`?"),
        ("{discount: {by: region, default: 2%, APAC: 3}}", "`APAC` is a number, but `default` is a percent"),
        ("{discount: {by: region, default: 2%, APAC: none}}", "write a value, like 0%"),
    ],
)
def test_mistakes_in_benefits(tmp_path: Path, benefits: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        gold(tmp_path, benefits)
    assert problem in caught.value.message
    assert caught.value.line == 13


def test_a_benefit_is_one_thing_in_all_tiers_of_a_ladder(tmp_path: Path) -> None:
    more = "      - {key: top, requires: {revenue: 900000}, benefits: {discount: 30 EUR}}\n"
    with pytest.raises(ConfigError, match=r"`discount` is money here, but a percent in tier `gold` \(line 13\)"):
        loaded(tmp_path, HEAD + LADDER.replace("500000}", "500000}, benefits: {discount: 20%}") + more)
    assert loaded(tmp_path, HEAD + LADDER.replace("500000}", "500000}, benefits: {discount: 0}") + more)


def test_the_commission_has_bands_and_a_most(tmp_path: Path) -> None:
    found = program(
        tmp_path, "{}", "commission: {of: rate, bands: {0%: 3%, 50%: 10%}, max: {by: tier, default: 20%, gold: 0.1}}\n"
    )
    most = ByAttribute("tier", {"gold": Decimal("0.1")}, Decimal("0.2"))
    bands = ((Decimal(0), Decimal("0.03")), (Decimal("0.5"), Decimal("0.1")))
    assert found.commission == Commission("rate", bands, most, 15)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{of: rates, bands: {0: 3%}}", "unknown metric `rates`; did you mean `rate`?"),
        ("{of: plan, bands: {0: 3%}}", "`plan` is no number"),
        ("{of: rate}", "`bands:` is missing"),
        ("{of: rate, bands: {}}", "names no band"),
        ("{of: rate, bands: {low: 3%}}", "`low` is not a number; a band starts at one"),
        ("{of: rate, bands: {0%: 3%, 50: 10%}}", "kept as a fraction: write 50%"),
        ("{of: rate, bands: {50%: 3%, 0%: 10%}}", "`0%` does not rise"),
        ("{of: rate, bands: {0%: 3}}", "`3` is a rate above 100%"),
        (
            "{of: rate, bands: {0%: 3%}, max: {by: tier, default: 1%, god: 2%}}",
            "unknown tier `god`; did you mean `gold`?",
        ),
        ("{of: rate, bands: {0%: 3%}, max: {by: regio, default: 1%}}", "did you mean `region`?"),
        ("{of: rate, bands: {0%: 3%}, most: 20%}", "unknown key `most`"),
    ],
)
def test_mistakes_in_the_commission(tmp_path: Path, entry: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program(tmp_path, "{}", f"commission: {entry}\n")
    assert problem in caught.value.message
    assert caught.value.line == 15


COMMISSION = "commission: {of: rate, bands: {0%: 3%}}\n"


def test_costs_read_benefits_and_metrics(tmp_path: Path) -> None:
    found = program(tmp_path, "{discount: 20%}", COMMISSION + "costs: {rebate: (discount + commission) * revenue}\n")
    assert found.costs["rebate"].columns == {("benefit", "discount"), ("benefit", "commission")}
    assert found.costs["rebate"].metrics == {"revenue"}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "{rebate: discont * revenue}",
            "unknown benefit, metric or partner column `discont`; did you mean `discount`?",
        ),
        ("{rebate: support * revenue}", "text"),
        ("{rebate: commission * revenue}", "`commission`"),
        ("{rebate: plan}", "a number is needed"),
        ("{}", "`costs:` names no cost"),
    ],
)
def test_mistakes_in_costs(tmp_path: Path, entry: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        program(tmp_path, "{discount: 20%, support: 24x7}", f"costs: {entry}\n")
    assert problem in caught.value.message
    assert caught.value.line == 15
