"""Explain over a folder of tables, for a program that reads the tiers of another."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from crmsync.offline import explain_folder

SKILLS = """\
program: skills
metrics: {people: {unit: people, count_distinct: certifications.person_id}}
ladders: {main: {tiers: [none_yet, {key: skilled, requires: {people: 2}}]}}
"""
RESELLERS = """\
program: resellers
metrics: {skill: {tier_of: {program: skills}}}
ladders: {main: {tiers: [low, {key: high, requires: {skill: skilled}}]}}
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "skills.yaml").write_text(SKILLS)
    (folder / "resellers.yaml").write_text(RESELLERS)
    return folder


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "partners.csv").write_text("partner_id\nP1\nP2\n")
    (folder / "certifications.csv").write_text(
        "certification_id,partner_id,person_id,issued_on\nC1,P1,a,2025-01-01\nC2,P1,b,2025-01-01\nC3,P2,a,2025-01-01\n"
    )
    return folder


@pytest.mark.parametrize(("partner", "tier"), [("P1", "high"), ("P2", "low")])
def test_the_other_program_is_assessed_first(programs: Path, tables: Path, partner: str, tier: str) -> None:
    found = explain_folder(programs / "resellers.yaml", tables, date(2026, 11, 21), partner, None, None, "high")
    assert [row["granted_tier"] for row in found.standings] == [tier]


def test_what_makes_a_ratio_smaller_is_no_next_action(tmp_path: Path, tables: Path) -> None:
    (tables / "opportunities.csv").write_text(
        "opportunity_id,partner_id,amount,is_won,is_closed,closed_on\nO1,P1,90,true,true,2026-05-01\nO2,P1,70,,false,\n"
    )
    (tables / "certifications.csv").write_text(
        "certification_id,partner_id,person_id,issued_on,expires_on\n"
        "C1,P1,a,2025-01-01,\nC2,P1,b,2025-01-01,\nC3,P1,c,2024-01-01,2026-01-01\n"
    )
    program = tmp_path / "heads.yaml"
    program.write_text("""\
program: heads
currency: EUR
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won}
  people: {unit: people, count_distinct: certifications.person_id}
  per_head: {unit: money, formula: revenue / people}
ladders: {main: {tiers: [low, {key: high, requires: {per_head: 80}}, {key: top, requires: {people: "< 2"}}]}}
""")
    found = explain_folder(program, tables, date(2026, 11, 21), "P1", None, None)
    assert [(one["metric"], one["for"]) for one in found.standings[0]["next_actions"]] == [("revenue", "per_head")]
    text = program.read_text().replace("per_head: 80", "people: 1")
    program.write_text(text.replace('{people: "< 2"}', "{people: 3}"))
    found = explain_folder(program, tables, date(2026, 11, 21), "P1", None, None)
    assert [person["person_id"] for person in found.standings[0]["next_actions"][0]["people"]] == ["c"]
    program.write_text(text)
    found = explain_folder(program, tables, date(2026, 11, 21), "P1", None, None)
    assert found.standings[0]["next_actions"] == []
