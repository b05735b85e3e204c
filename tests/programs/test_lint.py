"""Lint: each kind of finding, in plain words with its line, and silence about what is meant."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from crmsync.programs.lint import Delivered, lint
from crmsync.programs.loading import load_program
from crmsync.tables import ColumnType
from tests.conftest import PROJECT
from tests.studies.command import ended

HEAD = """\
program: p
currency: EUR
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months}
  people: {unit: people, count_distinct: certifications.person_id}
  won: {count: opportunities, where: is_won}
  lost: {count: opportunities, where: is_closed and not is_won}
  all_deals: {count: opportunities}
  win_rate: {unit: percent, formula: won / (won + lost)}
  share_won: {unit: percent, formula: won / all_deals}
  closed: {count: opportunities, where: is_closed}
  closing: {unit: percent, formula: won / closed}
  turned: {unit: percent, formula: closed / won}
  growth: {unit: percent, growth_of: revenue, versus: 1 year earlier}
  place: {unit: percent, percentile_of: revenue}
  complaints: {count: activities, where: kind = 'complaint', better: lower}
  plan: {unit: yes_no, field: partners.plan}
  level: {unit: text, field: partners.level}
  points:
    unit: points
    score:
      max: 100
      parts:
        training: {of: people, each: 4, max: 40}
        sales: {of: revenue, full_at: 100000, worth: 50}
        deals: {of: won, bands: {1: 5, 10: 10}}
"""


def findings(folder: Path, requires: str, more: str = "", delivered: Delivered | None = None) -> list[str]:
    """`line: kind: message` of a program whose tiers (from line 30 on) are these; unused metrics are left out."""
    path = folder / "p.yaml"
    path.write_text(f"{HEAD}ladders:\n  main:\n    tiers:\n{requires}{more}", encoding="utf-8")
    found = lint(load_program(path), delivered)
    assert all(one.file == str(path) for one in found)
    return [f"{one.line}: {one.kind}: {one.message}" for one in found if one.kind != "unused"]


def tiers(*requires: str) -> str:
    lines = ["      - t0\n"]
    lines += [f"      - {{key: t{n}, requires: {one}}}\n" for n, one in enumerate(requires, 1)]
    return "".join(lines)


@pytest.mark.parametrize(
    ("requires", "told"),
    [
        ("{points: 120}", "31: unreachable: tier t1 cannot be reached: points >= 120, but points is at most 100"),
        ("{points: '> 100'}", "points > 100, but points is at most 100 and at least 0"),
        ("{points.training: 41}", "points.training >= 41, but points.training is at most 40"),
        ("{points.deals: 11}", "points.deals is at most 10 and at least 0"),
        ("{win_rate: 101%}", "win_rate >= 101%, but win_rate is at most 100%"),
        ("{share_won: 110%}", "share_won is a share of a whole, which ends at 100%"),
        ("{closing: 101%}", "closing is a share of a whole, which ends at 100%"),
        ("{place: '< 0%'}", "place < 0%, but place is at most 100% and at least 0%"),
        ("{complaints: '< 0'}", "complaints < 0, but complaints is at least 0"),
        ("{all: [{people: 5}, {people: '< 5'}]}", "people >= 5 and people < 5 contradict each other"),
        ("{all: [{plan: yes}, {all: [{plan: no}]}]}", "plan = yes and plan = no contradict each other"),
        ("{all: [{level: '= a'}, {level: '= b'}]}", "level = a and level = b contradict each other"),
        ("{any: [{points: 120}, {win_rate: 200%}]}", "points >= 120, but points is at most 100"),
        ("{at_least: 2, of: [{points: 120}, {people: 2}]}", "only 1 of the 2 can be met, 2 are asked for"),
        ("{at_least: 1, of: [{points: 120}, {people: 2}], including: [{points: 120}]}", "points >= 120, but points"),
        ("{points: {by: region, default: 50, EMEA: 150}}", "points >= 150 for region EMEA, but points is at most 100"),
        ("{points: people, people: '< 0'}", "people < 0, but people is at least 0"),
    ],
)
def test_a_tier_that_nobody_can_reach(tmp_path: Path, requires: str, told: str) -> None:
    found = findings(tmp_path, tiers(requires))
    assert any("tier t1 cannot be reached" in one and told in one for one in found), found


@pytest.mark.parametrize(
    "requires",
    [
        "{points: 100}",
        "{win_rate: 100%}",
        "{growth: 150%}",
        "{turned: 150%}",
        "{place: '<= 3%'}",
        "{all: [{people: 5}, {people: '<= 5'}]}",
        "{any: [{points: 120}, {people: 2}]}",
        "{revenue: {by: region, default: 500000, EMEA: 400000}, people: 2}",
        "{complaints: '< 3', revenue: 10, plan: yes, level: '= a'}",
        "{all: [{revenue: 100}, {any: [{people: 2}, {plan: yes}]}]}",
        "{none: [{complaints: 3}]}",
    ],
)
def test_what_is_meant_is_not_spoken_of(tmp_path: Path, requires: str) -> None:
    assert findings(tmp_path, tiers(requires)) == []


def test_steps_never_pass_a_tier_that_cannot_be_reached(tmp_path: Path) -> None:
    found = findings(tmp_path, tiers("{points: 120}", "{people: 2}"), "    climb: steps\n")
    assert "32: unreachable: tier t2 cannot be reached: `climb: steps` stops below tier t1" in "\n".join(found)


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        ("{revenue: 500}", "{revenue: 400}", "32: not-rising: tier t2 asks revenue >= 400, less than tier t1 "
         "below it (500)"),
        ("{revenue: 500}", "{revenue: 500}", "32: not-rising: tier t2 asks the same as tier t1 below it"),
        ("{complaints: '< 3'}", "{complaints: '< 5'}", "not-rising: tier t2 asks complaints < 5, less than"),
        ("{revenue: 500, people: 2}", "{revenue: 900, people: 1}", "mixed: tier t2 asks people >= 1, less than tier t1 "
         "below it (2), though it asks more of revenue"),
        ("{revenue: 500, plan: yes}", "{revenue: 900}", "mixed: tier t2 asks nothing of plan, which tier t1 "
         "below it does"),
        ("{revenue: {by: region, default: 500, LATAM: 300}}", "{revenue: {by: region, default: 900, LATAM: 200}}",
         "mixed: tier t2 asks revenue >= 200 for region LATAM, less than tier t1 below it (300)"),
        ("{revenue: 500}", "{revenue: 5001}", "32: cliff: revenue jumps from 500 in tier t1 to 5001 in tier t2"),
    ],
)  # fmt: skip
def test_tiers_beside_each_other(tmp_path: Path, low: str, high: str, told: str) -> None:
    (found,) = findings(tmp_path, tiers(low, high))
    assert told in found


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("{revenue: 500}", "{revenue: 5000}"),
        ("{revenue: 500, people: 2}", "{revenue: 900, people: 2}"),
        ("{complaints: '< 5'}", "{complaints: '< 3'}"),
        ("{revenue: {by: region, default: 500, LATAM: 300}}", "{revenue: {by: region, default: 900, LATAM: 400}}"),
        ("{revenue: 500}", "{any: [{revenue: 400}, {people: 9}]}"),
    ],
)
def test_tiers_that_rise_are_not_spoken_of(tmp_path: Path, low: str, high: str) -> None:
    assert findings(tmp_path, tiers(low, high)) == []


def test_what_keeps_a_tier_is_not_harder_than_what_gives_it(tmp_path: Path) -> None:
    found = findings(tmp_path, "      - t0\n      - {key: t1, requires: {revenue: 500}, keeps: {revenue: 600}}\n")
    assert found == [
        "31: keeps-harder: tier t1 is kept by revenue >= 600, harder than entering it (500): who just enters falls "
        "again"
    ]


@pytest.mark.parametrize(
    ("requires", "told"),
    [
        ("{people: 0}", "31: dead: tier t1: people >= 0 is met by everybody: no value of people is outside"),
        ("{points: '<= 100', people: 2}", "points <= 100 is met by everybody"),
        ("{all: [{revenue: 500}, {revenue: '> 300'}]}", "revenue > 300 changes nothing: revenue >= 500 is "
         "asked"),
        ("{all: [{revenue: 500}, {any: [{revenue: 100}, {plan: yes}]}]}", "`any` is always met here, because "
         "revenue >= 500"),
        ("{any: [{people: 5}, {people: 3}]}", "people >= 5 never decides: people >= 3 is enough"),
        ("{all: [{people: 5}, {at_least: 2, of: [{people: 3}, {plan: yes}, {won: 4}]}]}", "people >= 3 always counts"),
        ("{points: 90, points.training: 30}", "points.training >= 30 changes nothing: points >= 90 cannot be met "
         "without it, the other parts give at most 60"),
    ],
)  # fmt: skip
def test_a_criterion_that_changes_nothing(tmp_path: Path, requires: str, told: str) -> None:
    (found,) = findings(tmp_path, tiers(requires))
    assert told in found


def test_a_minimum_that_the_total_does_not_give_is_alive(tmp_path: Path) -> None:
    assert findings(tmp_path, tiers("{points: 90, points.training: 31}")) == []


def test_rows_of_a_threshold_table_that_fit_one_partner_twice(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "ladder,tier,metric,value,region,country\nmain,t1,revenue,500,,\nmain,t1,revenue,400,EMEA,\nmain,t1,revenue,300,,DE\n"
    )
    path = tmp_path / "p.yaml"
    path.write_text(
        f"{HEAD}ladders:\n  main: {{tiers: [t0, {{key: t1, requires: {{revenue: from thresholds}}}}]}}\n"
        "thresholds: t.csv\n"
    )
    (found,) = [one for one in lint(load_program(path)) if one.kind != "unused"]
    assert found.text.startswith(f"{tmp_path}/t.csv:4: overlap: tier t1, revenue: the row of line 3 (region EMEA)")
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "t.csv").write_text(f"{text}main,t1,revenue,350,EMEA,DE\n")
    assert [one for one in lint(load_program(path)) if one.kind != "unused"] == []


def test_bands_caps_and_benefits_that_fall(tmp_path: Path) -> None:
    more = """\
      - {key: t1, requires: {revenue: 5}, benefits: {discount: 20%}}
      - {key: t2, requires: {revenue: 9}, benefits: {discount: 15%}}
commission: {of: win_rate, bands: {0%: 3%, 50%: 10%, 90%: 9%}}
"""
    path = tmp_path / "p.yaml"
    head = HEAD.replace("max: 100", "max: 120").replace("{1: 5, 10: 10}", "{1: 5, 10: 4}")
    path.write_text(f"{head}ladders:\n  main:\n    tiers:\n      - t0\n{more}", encoding="utf-8")
    told = [f"{one.line}: {one.kind}: {one.message}" for one in lint(load_program(path)) if one.kind != "unused"]
    assert told == [
        "19: cap: `max: 120` of points is never reached: its parts give at most 95",
        "26: not-rising: part points.deals: the band from 10 gives 4, fewer points than the one from 1 (5)",
        "32: benefit-falls: tier t2 gives discount 15%, less than tier t1 below it (20%)",
        "33: not-rising: commission: the band from 90% gives 9%, less than the one from 50% (10%)",
    ]


def test_a_band_that_jumps_is_a_cliff(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    text = HEAD.replace("{1: 5, 10: 10}", "{1: 1, 10: 20}").replace("max: 100", "max: 110")
    path.write_text(f"{text}ladders:\n  main: {{tiers: [t0, {{key: t1, requires: {{points: 5}}}}]}}\n")
    (found,) = [one for one in lint(load_program(path)) if one.kind != "unused"]
    assert found.kind == "cliff"
    assert "from 10 on it gives 20 points, just below only 1, more than 10 times" in found.message


def test_a_column_that_is_nearly_one_of_the_language(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        HEAD.replace("where: is_won,", "where: is_wonn and colour = 'red',") + "ladders: {main: {tiers: [t0]}}\n"
    )
    (found,) = [one for one in lint(load_program(path)) if one.kind != "unused"]
    assert (
        found.text
        == f"{path}:4: unknown-column: `opportunities` has no listed column `is_wonn`; did you mean `is_won`?"
    )


@pytest.mark.parametrize(
    ("table", "right"),
    [
        ("opportunity", "opportunities"),
        ("oportunities", "opportunities"),
        ("certification", "certifications"),
        ("opportunity_lines", ""),
        ("ratings", ""),
        ("subscriptions", ""),
    ],
)
def test_a_table_that_is_nearly_one_of_the_language(tmp_path: Path, table: str, right: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"""\
program: p
metrics:
  things: {{count: {table}}}
  owners: {{groups: {{of: owner, having: [{{count: {table}, at_least: 1}}]}}}}
ladders: {{main: {{tiers: [t0, {{key: t1, requires: {{things: 2, owners: 1}}}}]}}}}
""")
    said = f"{path}:3: unknown-table: the language lists no table `{table}`; did you mean `{right}`?"
    assert [one.text for one in lint(load_program(path))] == ([said] if right else [])


def test_a_metric_that_nothing_reads(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + "ladders:\n  main: {tiers: [t0, {key: t1, requires: {points: 5, win_rate: 5%}}]}\n")
    unused = [one.message.split()[1] for one in lint(load_program(path)) if one.kind == "unused"]
    assert unused == [
        "all_deals",
        "share_won",
        "closed",
        "closing",
        "turned",
        "growth",
        "place",
        "complaints",
        "plan",
        "level",
    ]


CATEGORIES = """\
categories:
  reseller: {label: Reseller, member: "has(declared_categories, 'Resellr')"}
"""


def test_a_declaration_that_names_no_category(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, tiers("{people: 1}"), CATEGORIES)
    assert "declared: category reseller: 'Resellr' is no category's key or label" in found
    assert "did you mean `Reseller`?" in found


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            "movement: {freeze: [{from: 2026-01-01}]}\n",
            "neither `where` nor `until`: from 2026-01-01 on nobody is ever",
        ),
        ("effort: {won: 3}\n", "`effort:` names won, which no tier asks for"),
    ],
)
def test_movement_and_effort_that_never_act(tmp_path: Path, more: str, told: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"{HEAD}ladders:\n  main:\n    tiers:\n{tiers('{people: 1}')}{more}", encoding="utf-8")
    assert any(told in one.message for one in lint(load_program(path)))


TABLES = Delivered(
    {
        "partners": {"partner_id": ColumnType.TEXT, "region": ColumnType.TEXT, "plans": ColumnType.YES_NO},
        "opportunities": dict.fromkeys(
            ("opportunity_id", "partner_id", "is_won", "is_closed", "amount", "closed_on"), ColumnType.TEXT
        ),
        "activities": dict.fromkeys(("activity_id", "partner_id", "kind"), ColumnType.TEXT),
    },
    {("partners", "region"): frozenset({"EMEA", "LATAM"}), ("activities", "kind"): frozenset({"Complaint", "Call"})},
)


def test_columns_and_texts_that_the_tables_do_not_have(tmp_path: Path) -> None:
    asked = "{revenue: {by: region, default: 9, EMAE: 5}, complaints: '< 3', plan: yes, level: '= a', people: 2}"
    assert findings(tmp_path, tiers(asked), delivered=TABLES) == [
        "5: unknown-table: table certifications is not delivered: it is empty",
        "16: unknown-text: no row of activities has kind 'complaint'; did you mean `Complaint`?",
        "17: unknown-column: `partners` has no column `plan`; did you mean `plans`?",
        "18: unknown-column: `partners` has no column `level`; known: `country`, `currency`, `declared_categories`, "
        "`joined_on`, `name`, `owner_id`, `parent_id`, `partner_id`, `plans`, `region`, `status`",
        "31: unknown-text: no row of partners has region 'EMAE'; did you mean `EMEA`?",
    ]


def test_the_command_ends_with_0_on_findings_and_4_on_a_file_that_does_not_load(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"{HEAD}ladders:\n  main:\n    tiers:\n{tiers('{points: 120}')}", encoding="utf-8")
    found = ended("lint", str(path), "--json")
    assert found.code == 0
    assert {"kind": "unreachable", "file": str(path), "line": 31} == {
        key: json.loads(found.out)["findings"][-1][key] for key in ("kind", "file", "line")
    }
    assert f"{path}:31: unreachable: tier t1 cannot be reached" in ended("lint", str(path)).out
    path.write_text("program: p\n", encoding="utf-8")
    assert ended("lint", str(path)).code == 4


def test_lint_reads_a_folder_of_tables(tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "partners.csv").write_text("partner_id,plans,region\na,true,EMEA\nb,false,LATAM\n")
    (tables / "activities.csv").write_text("activity_id,partner_id,kind\n1,a,Complaint\n2,b,Call\n")
    path = tmp_path / "p.yaml"
    path.write_text(f"{HEAD}ladders:\n  main:\n    tiers:\n{tiers('{complaints: 3, plan: yes}')}", encoding="utf-8")
    told = ended("lint", str(path), "--tables", str(tables)).out
    assert f"{path}:17: unknown-column: `partners` has no column `plan`; did you mean `plans`?" in told
    assert f"{path}:16: unknown-text: no row of activities has kind 'complaint'; did you mean `Complaint`?" in told
    assert ended("lint", str(path), "--tables", str(tmp_path / "nowhere")).code == 4


def test_every_kind_of_finding_is_in_the_docs() -> None:
    modules = sorted((PROJECT / "crmsync" / "programs").glob("lint*.py"))
    code = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    kinds = set(re.findall(r'found\(\s*program,\s*"([a-z-]+)"', code)) | set(
        re.findall(r'^[A-Z]+ = "([a-z-]+)"$', code, re.M)
    )
    kinds |= set(re.findall(r'Finding\(\s*"([a-z-]+)"', code))
    page = (PROJECT / "docs" / "lint.md").read_text(encoding="utf-8")
    assert len(kinds) > 12
    assert sorted(kind for kind in kinds if f"`{kind}`" not in page) == []
