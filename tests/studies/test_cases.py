"""`crmsync test`: what a case gives holds, what it leaves out is unknown, what differs is named with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.studies.cases import CaseResult, run_cases
from tests.studies.command import ended

PROGRAM = """\
program: resellers
currency: EUR
rates: crm
takes_part: status = 'active'
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won and points > 3, during: last 12 months}
  people: {unit: people, count_distinct: certifications.person_id, rolls_up: sum}
  deals: {count: opportunities}
  rate: {unit: percent, formula: people / deals}
  growth: {unit: percent, growth_of: revenue, versus: 1 year earlier}
  plan: {unit: yes_no, field: partners.business_plan}
  level: {unit: text, field: partners.level}
ladders:
  main:
    tiers:
      - registered
      - {key: silver, label: Silver Partner, requires: {revenue: 100000, people: 2}}
      - {key: gold, requires: {revenue: {by: region, default: 500000, LATAM: 300000}, people: 5}}
cases:
"""


def results(folder: Path, cases: str, program: str = PROGRAM) -> dict[str, CaseResult]:
    (folder / "program.yaml").write_text(program + cases, encoding="utf-8")
    return {result.name: result for result in run_cases(folder / "program.yaml")}


def passes(folder: Path, case: str, program: str = PROGRAM) -> None:
    (result,) = results(folder, case, program).values()
    assert result.differences == ()


def fails(folder: Path, case: str, program: str = PROGRAM) -> str:
    (result,) = results(folder, case, program).values()
    assert not result.passed
    return "\n".join(result.differences)


# --- what is given


@pytest.mark.parametrize(
    "case",
    [
        "metrics: {revenue: 900000, people: 4}, expect: {tier: silver, gap: {people: 1, revenue: 0}}",
        "metrics: {revenue: 300000, people: 5}, partner: {region: LATAM}, expect: {tier: gold}",
        "metrics: {revenue: 300000, people: 5}, partner: {region: EMEA}, expect: {tier: Silver Partner}",
        "metrics: {people: 4, deals: 8}, expect: {metrics: {rate: 50%, revenue: unknown, growth: unknown}}",
        "metrics: {rate: 70%}, expect: {metrics: {rate: 0.7}}",
        "metrics: {growth: 250%}, expect: {metrics: {growth: 2.5}}",
        "metrics: {revenue: 12345678901.55, people: 2}, expect: {metrics: {revenue: 12345678901.55}}",
        "partner: {business_plan: yes, level: '05'}, expect: {metrics: {plan: yes, level: '05'}}",
        "metrics: {plan: no, level: high}, expect: {metrics: {plan: no, level: high}, movement: entered}",
        "metrics: {people: unknown, revenue: 100000}, expect: {tier: registered, metrics: {people: unknown}}",
    ],
)
def test_metrics_and_attributes_are_what_the_case_says(tmp_path: Path, case: str) -> None:
    passes(tmp_path, f"  - {{name: one, {case}}}\n")


def test_metrics_that_are_not_named_are_unknown_and_not_zero(tmp_path: Path) -> None:
    told = fails(tmp_path, "  - {name: one, metrics: {people: 3}, expect: {metrics: {revenue: 0}}}\n")
    assert "metrics.revenue: expected 0, got unknown" in told


def test_facts_are_rows_of_the_cases_own_partner(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """\
  - name: one
    as_of: 2026-11-21
    tables:
      opportunities:
        - {amount: 60000, is_won: yes, closed_on: 2026-05-01, points: 4}
        - {amount: 70000, is_won: yes, closed_on: 2025-05-01, points: 4}
        - {amount: 80000, is_won: yes, closed_on: 2026-05-01, points: 3}
    expect: {tier: registered, metrics: {revenue: 60000, deals: 3, people: 0, growth: -0.142857143}}
""",
    )


def test_facts_may_belong_to_subsidiaries(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """\
  - name: one
    tables:
      partners: [{partner_id: below, parent_id: case}]
      certifications:
        - {person_id: p1, issued_on: 2025-01-01}
        - {person_id: p2, issued_on: 2025-01-01, partner_id: below}
        - {person_id: p2, issued_on: 2025-01-01}
    expect: {metrics: {people: 2}}
""",
    )


def test_given_metrics_stand_beside_facts(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """\
  - name: one
    metrics: {revenue: 100000}
    tables: {certifications: [{person_id: p1, issued_on: 2025-01-01}, {person_id: p2, issued_on: 2025-01-01}]}
    expect: {tier: silver}
""",
    )


def test_overrides_are_facts_that_leave_metrics_alone(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """\
  - name: one
    metrics: {revenue: 100000, people: 2}
    tables: {overrides: [{kind: pin, tier: gold, reason: Launch, approved_by: Ann}]}
    expect: {tier: silver, granted: gold, overrides: [{kind: pin, reason: Launch}], metrics: {deals: unknown}}
""",
    )


def test_an_override_that_is_not_applied_is_told_where_the_case_fails(tmp_path: Path) -> None:
    told = fails(
        tmp_path,
        """\
  - name: one
    metrics: {revenue: 100000, people: 2}
    tables: {overrides: [{kind: pin, tier: gold, approved_by: Ann}]}
    expect: {granted: gold}
""",
    )
    assert "granted: expected gold, got silver" in told
    assert "without reason" in told


def test_money_in_another_currency_needs_the_rates_of_the_case(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """\
  - name: one
    tables:
      rates: [{currency: USD, rate: 2}, {currency: EUR, rate: 1}]
      opportunities: [{amount: 100, currency: USD, is_won: yes, closed_on: 2025-12-31, points: 4}]
    expect: {metrics: {revenue: 50}}
""",
    )


def test_a_row_that_cannot_be_used_fails_the_case(tmp_path: Path) -> None:
    told = fails(
        tmp_path,
        """\
  - name: one
    tables:
      certifications: [{person_id: p1, issued_on: 2025-01-01, expires_on: 2024-01-01}]
    expect: {metrics: {people: 0}}
""",
    )
    assert "program.yaml:22: left out: expires_on" in told


# --- membership


SEVERAL = """\
program: several
metrics:
  deals: {count: opportunities}
  calls: {count: activities}
ladders:
  main: {tiers: [low, {key: high, requires: {deals: 5}}]}
categories:
  reseller: {member: "has(declared_categories, 'Reseller') or deals >= 3", ladder: main}
  msp: {member: calls >= 1, ladder: main}
cases:
"""


def test_the_category_that_a_case_names_is_one_its_partner_belongs_to(tmp_path: Path) -> None:
    """Unless the case gives everything that `member` reads."""
    found = results(tmp_path, """\
  - {name: named, metrics: {deals: 1}, category: reseller, expect: {tier: low}}
  - {name: declared, metrics: {calls: 1, deals: 5}, expect: {categories: {reseller: {tier: high}, msp: {tier: high}}}}
  - name: not one
    partner: {declared_categories: [MSP]}
    metrics: {deals: 2}
    category: reseller
    expect: {tier: none}
  - {name: by member, partner: {declared_categories: [Reseller]}, metrics: {deals: 2}, expect: {tier: low}}
  - {name: which, metrics: {deals: 5, calls: 2}, expect: {tier: low}}
""", SEVERAL)  # fmt: skip
    assert [name for name, result in found.items() if not result.passed] == ["which"]
    assert "reseller, msp" not in found["which"].differences[0]
    assert "say which one is meant" in found["which"].differences[0]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("expect: {reseller: {tier: high}}", "write `expect: {categories: {reseller: {…}}}`"),
        ("expect: {category: reseller, tier: high}", "`category:` stands in the case, beside `expect:`"),
        ("previous: {tier: top}, expect: {tier: high}", "`top` is no tier of category reseller; say of which category"),
    ],
)
def test_a_category_in_the_wrong_place_is_told_the_right_one(tmp_path: Path, case: str, message: str) -> None:
    program = SEVERAL.replace("categories:\n", "categories:\n  other: {ladder: more}\n", 1)
    program = program.replace("ladders:", "ladders:\n  more: {tiers: [start, {key: top, requires: {deals: 1}}]}", 1)
    with pytest.raises(ConfigError) as told:
        results(tmp_path, f"  - {{name: one, {case}}}\n", program)
    assert message in str(told.value)


def test_who_takes_no_part_has_no_standing(tmp_path: Path) -> None:
    told = fails(
        tmp_path, "  - {name: one, partner: {status: closed}, metrics: {people: 3}, expect: {tier: registered}}\n"
    )
    assert "takes no part" in told


# --- the standing before, and time


def test_the_previous_standing_is_remembered(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """\
  - name: one
    metrics: {revenue: 10, people: 1}
    previous: {tier: silver, since: 2025-01-01}
    expect: {tier: registered, granted: registered, previous: silver, movement: demoted, tier_since: 2026-01-01}
""",
    )


def test_what_was_given_last_holds_between_the_days_of_a_timeline(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """\
  - name: one
    previous: {tier: registered, since: 2025-06-01}
    on:
      - {date: 2026-01-15, metrics: {revenue: 200000, people: 2}, expect: {granted: silver, movement: promoted}}
      - {date: 2026-02-15, expect: {granted: silver, movement: unchanged, tier_since: 2026-01-15}}
      - {date: 2026-03-15, metrics: {people: 1}, expect: {granted: registered, previous: silver, movement: demoted}}
      - {date: 2026-03-16, metrics: {revenue: 1}, expect: {granted: registered, movement: unchanged}}
""",
    )


def test_a_day_of_a_timeline_is_named_where_it_differs(tmp_path: Path) -> None:
    told = fails(
        tmp_path,
        """\
  - name: one
    on:
      - {date: 2026-01-15, metrics: {revenue: 200000, people: 2}, expect: {granted: silver}}
      - {date: 2026-02-15, expect: {granted: gold}}
""",
    )
    assert told.startswith("2026-02-15: ")
    assert "program.yaml:23: granted: expected gold, got silver" in told


def test_facts_of_a_timeline_age(tmp_path: Path) -> None:
    passes(
        tmp_path,
        """\
  - name: one
    metrics: {people: 2}
    tables: {opportunities: [{amount: 100000, is_won: yes, closed_on: 2025-05-01, points: 4}]}
    on:
      - {date: 2026-04-30, expect: {granted: silver, metrics: {revenue: 100000}}}
      - {date: 2026-05-01, expect: {granted: registered, metrics: {revenue: 0}}}
""",
    )


# --- batches


def test_cases_put_into_one_assessment_know_nothing_of_each_other(tmp_path: Path) -> None:
    cases = "".join(
        f"  - {{name: case {n}, metrics: {{revenue: {n}, people: {n % 7}}}, expect: {{metrics: {{revenue: {n}}}}}}}\n"
        for n in range(1, 60)
    )
    assert all(result.passed for result in results(tmp_path, cases).values())


def test_given_by_value_of_a_split(tmp_path: Path) -> None:
    text = """\
program: regions
metrics:
  points: {sum: activities.value, split_by: market}
ladders:
  main: {per: market, tiers: [low, {key: high, requires: {points: 500}}]}
cases:
  - name: best
    metrics: {points: {EMEA: 510, AMER: 240}}
    expect: {tier: high, metrics: {points: 750, "points[EMEA]": 510}}
  - {name: none, metrics: {points: {EMEA: 410, AMER: 240}}, expect: {tier: low, metrics: {points: {EMEA: 410}}}}
  - {name: total, metrics: {points: {EMEA: 410, total: 1000}}, expect: {tier: low, metrics: {points: 1000}}}
"""
    found = results(tmp_path, text, "")
    assert [result.differences for result in found.values()] == [(), (), ()]


# --- mistakes in a case


@pytest.mark.parametrize(
    ("case", "line", "message"),
    [
        ("{name: one, metrics: {revenu: 1}, expect: {tier: gold}}", 20, "did you mean `revenue`?"),
        ("{name: one, expect: {tier: golden}}", 20, "`golden` is not a tier; did you mean `gold`?"),
        ("{name: one, expect: {teir: gold}}", 20, "`teir` is not a column of the standings; did you mean `tier`?"),
        ("{name: one, expect: {movement: risen}}", 20, "`risen` is not a movement word"),
        ("{name: one, expect: {grace_until: soon}}", 20, "`soon` is not a date"),
        ("{name: one, metrics: {growth: 30}, expect: {tier: gold}}", 20, "write `30%`, not `30`"),
        ("{name: one, metrics: {revenue: 1.234}, expect: {tier: gold}}", 20, "more than two decimals"),
        ("{name: one, metrics: {plan: 1}, expect: {tier: gold}}", 20, "`1` is not yes or no"),
        ("{name: one, metrics: {revenue: many}, expect: {tier: gold}}", 20, "`many` is not a number"),
        ("{name: one, metrics: {revenue: 1}}", 20, "`expect:` is missing"),
        ("{name: one, category: msp, expect: {tier: gold}}", 20, "`msp` is not a category"),
        ("{name: one, previous: {tier: bronze}, expect: {tier: gold}}", 20, "`bronze` is not a tier"),
        ("{name: one, on: [{date: 2026-01-01}], as_of: 2026-01-01}", 20, "`as_of` does not stand beside `on:`"),
        ("{name: one, on: [{date: 2026-01-02}, {date: 2026-01-01}]}", 20, "2026-01-01 is not after 2026-01-02"),
        ("{name: one, previous: {tier: gold, as_of: 2026-01-01}, expect: {tier: gold}}", 20, "is not before"),
        ("{name: one, expects: {tier: gold}}", 20, "unknown key `expects`; did you mean `expect`?"),
        ("{name: one, metrics: {revenue: {EMEA: 1}}, expect: {tier: gold}}", 20, "metric revenue is not split"),
        ("{name: one, expect: {}}", 20, "`expect:` names nothing"),
        ("{name: one, tables: {oportunities: []}, expect: {tier: gold}}", 20, "did you mean `opportunities`?"),
        ("{name: one, tables: {opportunities: [{amuont: 5}]}, expect: {tier: gold}}", 20, "did you mean `amount`?"),
        ("{name: one, partner: {regoin: EMEA}, expect: {tier: gold}}", 20, "did you mean `region`?"),
        ("{name: one, tables: {opportunities: [5]}, expect: {tier: gold}}", 20, "a mapping"),
        ("{name: one, tables: {'a b': []}, expect: {tier: gold}}", 20, "is not a name for a table"),
        ("{name: one, partner: {joined_on: soon}, expect: {tier: gold}}", 20, "joined_on `soon`: is not a date"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_case_is_refused_with_its_line(tmp_path: Path, case: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError) as told:
        results(tmp_path, f"  - {case}\n")
    assert f"program.yaml:{line}: " in str(told.value)
    assert message in str(told.value)


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a case named `one` stands on line 20 too"):
        results(tmp_path, "  - {name: one, expect: {tier: gold}}\n" * 2)


# --- files and the command


def test_cases_may_stand_in_a_file_beside_the_program(tmp_path: Path) -> None:
    (tmp_path / "resellers.cases.yaml").write_text(
        "- {name: one, metrics: {people: 1}, expect: {tier: registered}}\n"
        "- {name: two, metrics: {people: 1}, expect: {tier: gold}}\n"
    )
    (tmp_path / "program.yaml").write_text(PROGRAM.replace("cases:\n", "cases: resellers.cases.yaml\n"))
    one, two = run_cases(tmp_path)
    assert (one.passed, two.passed) == (True, False)
    assert two.differences[0].startswith(f"{tmp_path}/resellers.cases.yaml:2: tier: expected gold")


def test_a_file_of_cases_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"program.yaml:\d+: `other.yaml` is no file beside the program"):
        results(tmp_path, "", PROGRAM.replace("cases:\n", "cases: other.yaml\n"))


def test_the_command_ends_with_0_or_1_or_4(tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text(PROGRAM + "  - {name: one, metrics: {people: 1}, expect: {tier: registered}}\n")
    bad = tmp_path / "bad.yaml"
    bad.write_text(PROGRAM + "  - {name: two, metrics: {people: 1}, expect: {tier: gold}}\n")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("program: wrong\n")
    assert ended("test", str(good)).code == 0
    failed = ended("test", str(good), str(bad), "--json")
    assert failed.code == 1
    told = json.loads(failed.out)
    assert (told["passed"], told["failed"]) == (1, 1)
    assert told["cases"][1]["differences"][0].endswith("bad.yaml:20: tier: expected gold, got registered")
    assert ended("test", str(wrong)).code == 4


def test_facts_reach_the_other_programs_that_a_program_reads(tmp_path: Path) -> None:
    (tmp_path / "skills.yaml").write_text(
        "program: skills\nmetrics:\n  people: {unit: people, count_distinct: certifications.person_id}\n"
        "ladders:\n  main: {tiers: [none_yet, {key: skilled, requires: {people: 2}}]}\n"
    )
    found = results(tmp_path, """\
program: resellers
metrics:
  skill: {tier_of: {program: skills}}
ladders:
  main: {tiers: [low, {key: high, requires: {skill: 2}}]}
cases:
  - name: from facts
    tables: {certifications: [{person_id: a, issued_on: 2025-01-01}, {person_id: b, issued_on: 2025-01-01}]}
    expect: {tier: high, metrics: {skill: 2}}
  - {name: given, metrics: {skill: 2}, expect: {tier: high}}
  - {name: not given, metrics: {}, expect: {tier: low, metrics: {skill: unknown}}}
""", "")  # fmt: skip
    assert {name: result.differences for name, result in found.items() if not result.passed} == {}


def test_a_case_can_start_before_its_version(tmp_path: Path) -> None:
    """Tiers of the version before are known in `previous:`, and its floor holds while the migration lasts."""
    (tmp_path / "old.yaml").write_text(
        "program: p\neffective_from: 2025-01-01\nmetrics: {deals: {count: opportunities}}\n"
        "ladders: {main: {tiers: [low, {key: bronze, requires: {deals: 1}}, {key: high, requires: {deals: 5}}]}}\n"
    )
    found = results(tmp_path, """\
program: p
effective_from: 2026-01-01
metrics: {deals: {count: opportunities}}
ladders: {main: {tiers: [low, {key: high, requires: {deals: 50}}]}}
migration: {keep_until: 2026-06-30, becomes: {bronze: low}}
cases:
  - {name: kept, metrics: {deals: 7}, previous: {tier: high, version: 2025-01-01}, expect: {tier: low, granted: high}}
  - {name: mapped, metrics: {deals: 1}, previous: {tier: bronze, version: 2025-01-01}, expect: {granted: low}}
  - name: over
    metrics: {deals: 7}
    as_of: 2026-07-01
    previous: {tier: high, version: 2025-01-01}
    expect: {granted: low}
""", "")  # fmt: skip
    assert {name: result.differences for name, result in found.items() if not result.passed} == {}


def test_review_days_between_the_days_of_a_timeline_see_what_was_given_before(tmp_path: Path) -> None:
    """On 1 April the numbers of January still hold: the tier is lost, and May does not save it."""
    program = PROGRAM.replace("cases:\n", "movement: {promote: {on: [07-01]}, demote: {on: [04-01]}}\ncases:\n")
    passes(tmp_path, """\
  - name: one
    previous: {tier: silver, since: 2025-06-01}
    on:
      - {date: 2026-01-15, metrics: {revenue: 5, people: 1}, expect: {tier: registered, granted: silver}}
      - date: 2026-05-01
        metrics: {revenue: 200000, people: 2}
        expect: {tier: silver, granted: registered, previous: silver, movement: demoted, tier_since: 2026-04-01}
      - {date: 2026-07-01, expect: {granted: silver, movement: promoted, previous: registered}}
""", program)  # fmt: skip
