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
