"""The dictionary: a sentence for every value, sizes that fit, and the labels of the program as choices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crmsync.connectors.base_needs import Said, Shape
from crmsync.connectors.mapping_writes import HISTORY, MANAGED, PARTNER_SAFE, PEOPLE, STANDING
from crmsync.errors import ConfigError
from crmsync.programs.loading import load_programs
from crmsync.programs.program import Ladder, Per, Take, Tier
from crmsync.tables import CANONICAL
from crmsync.writeback.dictionary import dictionary_of
from crmsync.writeback.fields import COMPUTED, Kind
from tests.writeback.facts import a_program

INTERNAL = ("risk", "override", "exception", "reason", "grace", "pending", "who ", "approv")


def test_every_value_that_a_field_map_can_name_is_said() -> None:
    words = dictionary_of([a_program(points=True)])
    assert tuple(words.account) == MANAGED
    assert set(words.people) == set(PEOPLE)
    assert set(words.partner_safe) == set(PARTNER_SAFE)
    assert set(words.standings) == set(STANDING)
    assert set(words.history) == set(HISTORY)
    assert set(words.overrides) == set(CANONICAL["overrides"].columns)


def all_said() -> list[Said]:
    words = dictionary_of([a_program()])
    tables = (words.account, words.people, words.partner_safe, words.standings, words.history, words.overrides)
    return [words.token, words.partner, words.key, *(said for table in tables for said in table.values())]


def test_every_help_text_is_a_sentence_that_fits() -> None:
    for said in all_said():
        assert said.help[0].isupper(), said.help
        assert said.help.endswith("."), said.help
        assert len(said.help) <= 510  # what Salesforce takes


def test_a_help_text_that_a_partner_may_see_says_nothing_internal() -> None:
    for said in dictionary_of([a_program()]).partner_safe.values():
        hidden = said.help.replace("without internal reasons", "").lower()
        assert [word for word in INTERNAL if word in hidden] == []


def test_sizes_take_whatever_write_back_can_write() -> None:
    shapes = {
        Kind.TEXT: {Shape.TEXT, Shape.LONG_TEXT, Shape.CHOICE},
        Kind.NUMBER: {Shape.NUMBER, Shape.PERCENT},
        Kind.DATE: {Shape.DATE},
        Kind.LIST: {Shape.CHOICES},
        Kind.YES_NO: {Shape.YES_NO},
    }
    account = dictionary_of([a_program()]).account
    for key, spec in COMPUTED.items():
        said = account[key]
        assert said.shape in shapes[spec.kind], key
        if said.shape is Shape.LONG_TEXT:
            assert said.least == spec.length


def test_tiers_are_the_labels_of_all_ladders_from_the_top_once_each() -> None:
    program = a_program()
    other = Ladder("other", 9, (Tier("registered", "Registered", 10), Tier("expert", "Expert", 11)))
    found = dictionary_of([replace(program, ladders={**program.ladders, "other": other})]).account["granted_tier"]
    assert [choice.value for choice in found.choices] == ["Gold", "Silver", "Registered", "Expert"]


def test_a_later_version_adds_its_tiers() -> None:
    later = replace(a_program(), ladders={"main": Ladder("main", 1, (Tier("platinum", "Platinum", 2),))})
    found = dictionary_of([a_program(), later]).account["granted_tier"]
    assert [choice.value for choice in found.choices] == ["Gold", "Silver", "Registered", "Platinum"]


def test_a_tier_with_a_long_label_makes_longer_fields() -> None:
    program = replace(a_program(), ladders={"main": Ladder("main", 1, (Tier("long", "L" * 120, 2),))})
    found = dictionary_of([program]).account
    assert (found["previous_tier"].length, found["previous_tier"].least) == (120, 120)
    assert found["granted_tier"].least == 120


def test_categories_are_open_where_a_ladder_stands_once_per_value() -> None:
    program = a_program(categories={"reseller": "Reseller", "msp": "MSP"})
    closed = dictionary_of([program]).account["categories"]
    assert ([choice.value for choice in closed.choices], closed.restricted) == (["Reseller", "MSP"], True)
    each = replace(program.ladders["main"], per=Per("region", Take.EACH))
    opened = dictionary_of([replace(program, ladders={"main": each})]).account["categories"]
    assert not opened.restricted


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (("Gold", "GOLD"), r"channel\.yaml:3: the labels `Gold` and `GOLD` of tiers differ only in case"),
        (("G" * 256,), r"channel\.yaml:2: label `G+…` has 256 letters, a picklist value 255 at most"),
    ],
)
def test_labels_that_a_picklist_cannot_hold_are_named_with_their_line(labels: tuple[str, ...], words: str) -> None:
    tiers = tuple(Tier(f"t{at}", label, at + 2) for at, label in enumerate(labels))
    program = replace(a_program(), ladders={"main": Ladder("main", 1, tuple(reversed(tiers)))})
    with pytest.raises(ConfigError, match=words):
        dictionary_of([program])


def test_a_category_that_would_fall_apart_in_a_multi_select_is_named() -> None:
    with pytest.raises(ConfigError, match="category label `A;B` holds `;`"):
        dictionary_of([a_program(categories={"a": "A;B"})])


def test_the_program_that_ships_has_a_dictionary(project: Path) -> None:
    programs = load_programs(project / "config/programs/channel.yaml")
    found = dictionary_of(programs)
    assert {"Registered", "Silver", "Gold", "Platinum"} <= {one.value for one in found.account["granted_tier"].choices}
