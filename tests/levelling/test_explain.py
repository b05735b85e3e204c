"""Explain: the tree down to the records, every path to a tier, and what would close the gap."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from crmsync.errors import ConfigError
from crmsync.levelling.explain import Explanation
from crmsync.offline import explain_folder

PROGRAM = """\
program: p
currency: EUR
rates: rates.csv
metrics:
  revenue:
    {label: Revenue, unit: money, sum: opportunities.amount, where: is_won, during: last 12 months, rolls_up: sum}
  people: {unit: people, count_distinct: certifications.person_id, where: credential = 'admin'}
  lines: {groups: {of: product_line, having: [{count: opportunities, where: is_won, at_least: 1}]}}
  points: {unit: points, score: {parts: {biz: {of: revenue, each: 1 per 100, max: 20}, train: {of: people, each: 10}}}}
ladders:
  main:
    tiers:
      - low
      - {key: high, label: High, requires: {all: [{revenue: 8000}, {any: [{people: 2}, {points: 90}, {lines: 2}]}]}}
"""
TABLES = {
    "partners": "partner_id,parent_id\nP1,\nP2,P1\n",
    "opportunities": (
        "opportunity_id,partner_id,name,amount,currency,is_won,is_closed,closed_on,product_line\n"
        "O1,P1,Alpha,5000,EUR,true,true,2026-06-01,cloud\nO2,P2,Beta,800,EUR,true,true,2026-07-01,cloud\n"
        "O3,P1,Gamma,4000,USD,false,false,,cloud\nO4,P2,Delta,900,EUR,false,false,,edge\nO5,P1,Eps,1,EUR,false,true,,edge\n"
    ),
    "certifications": (
        "certification_id,partner_id,person_id,credential,issued_on,expires_on\n"
        "C1,P1,ann,admin,2025-01-01,2027-01-01\nC2,P1,bob,admin,2024-01-01,2026-01-01\nC3,P1,cat,other,2025-01-01,2027-01-01\n"
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    (tmp_path / "p.yaml").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "rates.csv").write_text("currency,rate\nEUR,1\nUSD,2\n", encoding="utf-8")
    return tmp_path


def explained(folder: Path, why_not: str | None = None) -> Explanation:
    return explain_folder(folder / "p.yaml", folder, date(2026, 11, 21), "P1", None, None, why_not)


def test_the_tree_goes_down_to_the_records(folder: Path) -> None:
    lines = explained(folder).lines
    assert "   ├─ High: does not hold" in lines
    assert any(line.endswith("O2  2026-07-01  800.00") for line in lines), "a record of the subtree"
    assert any("revenue = 5800.00 (see above)" in line for line in lines)
    assert any("points.biz = 20: 1 for each 100 of revenue, at most 20" in line for line in lines)
    assert any(line.strip("│ ├└─") == "cloud" for line in lines), "a group and its records"


def test_every_path_says_what_is_missing(folder: Path) -> None:
    (row,) = explained(folder, "High").standings
    told = row["why_not"]
    missing = [[(one["metric"], one["missing"]) for one in path["missing"]] for path in told["paths"]]
    assert missing == [
        [("revenue", "2200.00"), ("people", "1")],
        [("revenue", "2200.00"), ("points", "60")],
        [("revenue", "2200.00"), ("lines", "1")],
    ]


def test_open_deals_and_people_that_would_close_the_gap(folder: Path) -> None:
    (row,) = explained(folder).standings
    actions: dict[str, Any] = {one["metric"]: one for one in row["next_actions"]}
    deals = [(deal["id"], deal["value"]) for deal in actions["revenue"]["opportunities"]]
    assert deals == [("O3", "2000.00"), ("O4", "900.00")], "converted, the largest first, until 2,200 are reached"
    people = [(one["person_id"], one["do"]) for one in actions["people"]["people"]]
    assert people == [("bob", "renew"), ("cat", "certify")]


def test_a_tier_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--why-not gould: no such tier in category all; there are low, high"):
        explained(folder, "gould")


EVERY_KIND = """\
program: p
currency: EUR
references: {weights: {file: weights.csv, key: product_line}}
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: this year, split_by: product_line}
  weighted: {unit: points, sum: opportunities.amount * weights.factor}
  points: {unit: points, score: {parts: {biz: {of: revenue, each: 1 per 100}, train: {of: people, each: 1}}}}
  people: {unit: people, count_distinct: certifications.person_id, during: in force plus 12 months}
  growth: {unit: percent, growth_of: revenue, versus: 1 year earlier}
  kept:
    unit: percent
    groups:
      of: customer_id
      share: yes
      having:
        - {count: opportunities, where: is_won, during: previous year, at_least: 1}
        - {count: opportunities, where: is_won, during: this year, at_least: 1}
ladders:
  main:
    per: product_line
    tiers:
      - low
      - key: high
        requires:
          at_least: 2
          of: [{growth: "> 30%"}, {points: 20}, {kept: 50%}, {weighted: 1}]
          including: [{points: 20}]
"""
EVERY_TABLE = {
    "partners": "partner_id\nP1\nP2\n",
    "opportunities": (
        "opportunity_id,partner_id,customer_id,amount,is_won,is_closed,closed_on,product_line\n"
        "O1,P1,c1,1000,true,true,2025-06-01,cloud\nO2,P1,c1,2000,true,true,2026-07-01,cloud\n"
        "O3,P1,c2,500,true,true,2026-08-01,edge\nO4,P2,c2,500,true,true,2026-08-01,\n"
    ),
    "certifications": "certification_id,partner_id,person_id,issued_on,expires_on\nC1,P1,ann,2025-01-01,2026-06-01\n",
}


@pytest.fixture
def every_kind(tmp_path: Path) -> Path:
    for name, text in EVERY_TABLE.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    (tmp_path / "p.yaml").write_text(EVERY_KIND, encoding="utf-8")
    (tmp_path / "weights.csv").write_text("product_line,factor\ncloud,2\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "points[cloud] = 21: sum of biz, train",
        "revenue[cloud] = 2000.00: sum of opportunities.amount where is_won, 2026-01-01 to 2026-11-21",
        "revenue[cloud] 1 year earlier = 1000.00: sum of opportunities.amount where is_won, 2025-01-01 to 2025-11-21",
        "met     growth = 100 %, required more than 30 % [at_least/1]",
        "count of opportunities where is_won at least 1, 2025-01-01 to 2025-12-31",
        "O3  2026-08-01  lost: no exchange rate or no row of a reference",
        "in force on 2026-11-21 or ended within 12 months before",
        "at least 2 of, with points among them: does not hold",
    ],
)
def test_numbers_are_those_of_the_criterion(every_kind: Path, line: str) -> None:
    """Of the value that counts, earlier where a growth looks back, with every window and what was lost."""
    text = EVERY_KIND.replace("{points: 20}", "{points: 30}")
    (every_kind / "p.yaml").write_text(text, encoding="utf-8")
    assert any(line in one for one in explained(every_kind).lines)


def test_what_is_sustained_says_until_when_it_waits(every_kind: Path) -> None:
    text = EVERY_KIND.replace("    per: product_line\n", "") + "        sustained: 6 months\n"
    (every_kind / "p.yaml").write_text(text, encoding="utf-8")
    told = [one.strip("│ ├└─") for one in explained(every_kind, "high").lines]
    waits = "since 2026-11-21: entered after 6 months, on 2027-05-21 at the earliest"
    assert f"high: holds {waits}" in told
    assert f"its numbers hold {waits}" in told


def test_who_has_no_value_has_no_numbers(every_kind: Path) -> None:
    found = explain_folder(every_kind / "p.yaml", every_kind, date(2026, 11, 21), "P2", None, None, None)
    assert any(line.endswith(", without a record that has a product_line") for line in found.lines)
    assert any("undecided points = unknown, required 20" in line for line in found.lines)
    assert not any("points = 5" in line for line in found.lines), "what it has in total decides nothing"


def test_positions_are_told_as_tiers(every_kind: Path) -> None:
    text = (
        "program: p\nmetrics: {skill: {tier_of: {ladder: skills}}}\nladders:\n"
        "  skills: {tiers: [{key: t1, label: Trained}, {key: t2, label: Advanced, requires: {skill_points: 9}}]}\n"
        "  main: {tiers: [low, {key: high, requires: {skill: t2}}]}\n"
    ).replace("metrics: {", "metrics: {skill_points: {count: certifications}, ")
    (every_kind / "p.yaml").write_text(text, encoding="utf-8")
    told = [one.strip("│ ├└─") for one in explained(every_kind, "high").lines]
    assert "missing skill = Trained, required Advanced or higher [all/1]" in told
    assert "why not high: skill = Trained, required Advanced or higher" in told
    assert any(one.startswith("skill = Trained: position of the calculated tier") for one in told)
