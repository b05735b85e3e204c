"""Ladders, tiers, categories, headline, declared and starts_from."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import Category, Headline, StartsFrom
from tests.programs.texts import COLUMNS, HEAD, LADDER, loaded

TWO = LADDER + "  other:\n    climb: steps\n    tiers: [basic]\n"


def test_without_categories_all_partners_are_in_one(tmp_path: Path) -> None:
    program = loaded(tmp_path, HEAD + LADDER)
    assert program.categories == {"all": Category("all", "all", 1, "main")}
    assert not program.has_categories
    assert program.ladder_of("all").tiers[1].key == "gold"


def test_with_one_ladder_categories_may_omit_it(tmp_path: Path) -> None:
    program = loaded(tmp_path, HEAD + LADDER + "categories: {msp: {member: revenue > 1, observed: plan}}\n")
    category = program.categories["msp"]
    assert category.ladder == "main"
    assert category.member is not None
    assert category.member.metrics == {"revenue"}
    assert category.observed is not None
    assert program.has_categories


def test_tiers_have_keys_labels_and_ranks(tmp_path: Path) -> None:
    text = LADDER.replace("key: gold", "key: gold, label: Gold Partner, rank: 7, keeps: {revenue: 1}")
    first, gold = loaded(tmp_path, HEAD + text).ladders["main"].tiers
    assert (first.key, first.label, first.rank, first.requires) == ("registered", "registered", None, None)
    assert (gold.key, gold.label, gold.rank) == ("gold", "Gold Partner", 7)
    assert gold.keeps is not None


def test_a_ladder_may_be_climbed_in_steps(tmp_path: Path) -> None:
    program = loaded(tmp_path, HEAD + TWO + "categories: {a: {ladder: main}, b: {ladder: other}}\n")
    assert [ladder.climb_steps for ladder in program.ladders.values()] == [False, True]


def test_declared_is_the_canonical_column_where_it_is_delivered(tmp_path: Path) -> None:
    assert loaded(tmp_path, HEAD + LADDER).declared == "declared_categories"
    without = {name: kind for name, kind in COLUMNS["partners"].items() if name != "declared_categories"}
    assert loaded(tmp_path, HEAD + LADDER, {**COLUMNS, "partners": without}).declared is None
    assert loaded(tmp_path, HEAD + LADDER + "declared: partners.segment\n").declared == "segment"


def test_headline_and_primary(tmp_path: Path) -> None:
    assert loaded(tmp_path, HEAD + LADDER).headline is Headline.HIGHEST
    program = loaded(tmp_path, HEAD + LADDER + "headline: primary\nprimary: {all: revenue}\n")
    assert (program.headline, program.primary) == (Headline.PRIMARY, {"all": "revenue"})


def test_starts_from_maps_texts_to_tiers_by_key_or_label(tmp_path: Path) -> None:
    text = HEAD + LADDER.replace("key: gold", "key: gold, label: Gold Partner")
    more = "starts_from: {field: partners.current_tier, values: {Au: gold, Best: Gold Partner}}\n"
    assert loaded(tmp_path, text + more).starts_from == StartsFrom("current_tier", {"Au": "gold", "Best": "gold"})
    assert loaded(tmp_path, text + "starts_from: {field: partners.current_tier}\n").starts_from == StartsFrom(
        "current_tier", {}
    )


def test_who_takes_part_is_asked_of_the_columns_of_the_partner(tmp_path: Path) -> None:
    program = loaded(tmp_path, HEAD + LADDER + "takes_part: status = 'active'\n")
    assert program.takes_part is not None
    assert program.takes_part.columns == {("partners", "status")}


@pytest.mark.parametrize(
    ("more", "fragment"),
    [
        ("categories: {}\n", "names no category"),
        ("categories: {a b: {}}\n", "cannot be a key"),
        ("categories: {a: {}, b: {label: a}}\n", "two categories are called `a`"),
        ("categories: {a: {ladder: mian}}\n", "did you mean `main`?"),
        ("categories: {a: {member: revenue}}\n", "a condition"),
        (
            "categories: {a: {starts_from: {field: partners.current_tier, values: {x: goldd}}}}\n",
            "did you mean `gold`?",
        ),
        ("declared: partners.joined_on\n", "neither a list nor a text"),
        ("declared: declared_categories\n", "write partners.column"),
        ("headline: primary\n", "needs `primary:`"),
        ("headline: best\n", "is not a headline"),
        ("primary: {al: revenue}\n", "unknown category `al`; did you mean `all`?"),
        ("primary: {all: revenues}\n", "did you mean `revenue`?"),
        ("primary: {all: plan}\n", "is no number"),
        ("takes_part: revenue > 1\n", "`revenue` is a metric"),
        ("takes_part: status\n", "a condition"),
        ("starts_from: {field: partners.joined_on}\n", "is not a text"),
        ("starts_from: {values: {a: gold}}\n", "`field:` is missing"),
    ],
)
def test_mistakes(tmp_path: Path, more: str, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, HEAD + LADDER + more)
    assert fragment in caught.value.message
    assert caught.value.line == 14


@pytest.mark.parametrize(
    ("tier", "fragment"),
    [
        ("silver", "needs `requires:`"),
        ("{key: None, requires: {plan: yes}}", "may not be called `none`"),
        ("{key: x, label: none, requires: {plan: yes}}", "may not be called `none`"),
        ("{key: gold, requires: {plan: yes}}", "two tiers are called `gold`"),
        ("{key: x, label: gold, requires: {plan: yes}}", "two tiers are called `gold`"),
        ("{key: x, keeps: {plan: yes}}", "needs `requires:`"),
        ("{key: x, requires: {plan: yes}, rank: high}", "is not a whole number"),
        ("{label: X, requires: {plan: yes}}", "`key:` is missing"),
    ],
)
def test_mistakes_in_tiers(tmp_path: Path, tier: str, fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, HEAD + LADDER + f"      - {tier}\n")
    assert fragment in caught.value.message
    assert caught.value.line == 14


def test_several_ladders_need_categories(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="several ladders need `categories:`"):
        loaded(tmp_path, HEAD + TWO)
    with pytest.raises(ConfigError, match="`ladder:` is missing; one of main, other"):
        loaded(tmp_path, HEAD + TWO + "categories: {a: {means: x}}\n")


def test_a_label_of_several_tiers_does_not_say_where_to_start(tmp_path: Path) -> None:
    ladders = LADDER.replace("key: gold", "key: gold, label: Top") + "  other:\n    tiers: [{key: best, label: Top}]\n"
    text = HEAD + ladders + "categories: {a: {ladder: main}, b: {ladder: other}}\n"
    with pytest.raises(ConfigError, match="`Top` is the label of several tiers; write one of their keys: best, gold"):
        loaded(tmp_path, text + "starts_from: {field: partners.current_tier, values: {x: Top}}\n")
    more = "starts_from: {field: partners.current_tier, values: {x: best}}\n"
    assert loaded(tmp_path, text + more).starts_from == StartsFrom("current_tier", {"x": "best"})
