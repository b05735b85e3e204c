"""Levels of a channel program: they follow the tier of the account or of one category; members are people's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crmsync.connectors.mapping_writes import read_writes
from crmsync.errors import ConfigError
from crmsync.programs.program import Headline, Program
from crmsync.strict_yaml import read_yaml
from crmsync.writeback.beside import Beside, Drafted
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import Sink
from crmsync.writeback.members import member_changes
from tests.writeback.facts import AS_OF, FIELDS, a_program, standing

SINK = Sink("channel_program_member", "ChannelProgramMember", None, None, {"level": "LevelId"}, program="World")
LEVELS = {
    ("P1", "silver"): ("L1", "Silver"),
    ("P1", "gold level"): ("L2", "Gold Level"),
    ("P2", "silver"): ("M1", "Silver"),
}


def member(record_id: str, account: str, level: str | None = None, program: str = "P1") -> tuple[str, Beside]:
    return record_id, Beside(record_id, record_id, account, {"LevelId": level, "ProgramId": program})


def changes(
    held: Mapping[str, Beside], rows: list[dict[str, Any]], sink: Sink = SINK, program: Program | None = None
) -> list[Change]:
    """Of accounts A, B, C, whose partners have the same ids; C could not be read."""
    drafted = Drafted(program or a_program(), FIELDS, AS_OF, {one: one for one in "ABC"}, frozenset("C"))
    partners = {one: [row for row in rows if row["partner_id"] == one] for one in "ABC"}
    return list(
        member_changes(drafted, sink, {key: own or [standing(key)] for key, own in partners.items()}, held, LEVELS)
    )


def told(found: list[Change]) -> list[tuple[str, str | None, str]]:
    return [(one.record_id, one.values["LevelId"], one.why) for one in found]


def test_each_program_of_that_name_has_levels_of_its_own() -> None:
    held = dict(
        [
            member("m1", "A"),
            member("m2", "A", "L1", "P2"),
            member("m3", "B", "L1"),
            member("m4", "C"),
            member("m5", "X"),
        ]
    )
    assert told(changes(held, [])) == [("m1", "L1", "level empty → Silver"), ("m2", "M1", "level Silver → Silver")]


def test_a_tier_without_a_level_and_no_tier_empty_it() -> None:
    held = dict([member("m1", "A", "L1"), member("m2", "B", "L1")])
    rows = [standing("A", "registered"), standing("B", None)]
    sink = replace(SINK, levels={"Registered": ""})
    assert told(changes(held, rows, sink)) == [
        ("m1", None, "level Silver → empty"),
        ("m2", None, "level Silver → empty"),
    ]


def test_the_tier_of_a_category_counts_where_it_is_asked_for() -> None:
    program = a_program(categories={"reseller": "Reseller", "msp": "MSP"})
    rows = [standing("A", "gold", category="reseller"), standing("A", "silver", category="msp")]
    sink = replace(SINK, levels={"Gold": "gold LEVEL"})
    held = dict([member("m1", "A"), member("m2", "B", "L2")])
    rows.append(standing("B", "gold", category="reseller"))
    assert told(changes(held, rows, replace(sink, category="msp"), program)) == [
        ("m1", "L1", "level empty → Silver"), ("m2", None, "level Gold Level → empty"),
    ]  # fmt: skip
    assert told(changes(held, rows, replace(sink, category="reseller"), program)) == [
        ("m1", "L2", "level empty → Gold Level"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sink", "program", "words"),
    [
        (SINK, a_program(), "has no level `Gold` for the tier Gold; its levels are: Gold Level, Silver"),
        (replace(SINK, levels={"Glod": "x"}), a_program(), "names the tier `Glod`; program channel has Gold"),
        (replace(SINK, category="msp"), a_program(), "category `msp` is none of program channel; it has all"),
        (SINK, replace(a_program(), headline=Headline.NONE), "`headline: none`; say with `category:`"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_written(sink: Sink, program: Program, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        changes(dict([member("m1", "A")]), [standing("A", "gold")], sink, program)


def test_without_the_feature_in_the_org_nothing_is_drafted() -> None:
    drafted = Drafted(a_program(), FIELDS, AS_OF, {"A": "A"})
    assert list(member_changes(drafted, SINK, {"A": [standing("A")]}, None, None)) == []


def test_a_map_without_a_program_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "writes.yaml"
    file.write_text(
        "object: Account\ntoken: T__c\nfields: {}\nsinks:\n  channel_program_member: {program: ''}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError, match="`program` is empty") as refused:
        read_writes(read_yaml(file))
    assert refused.value.line == 5
