"""The guide: the whole program in words, escaped, without a word of the YAML."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from crmsync.programs.guide import guide_of, guide_text
from crmsync.programs.loading import load_program
from tests.conftest import PROJECT
from tests.studies.command import ended

METRICS = """\
program: p
currency: EUR
metrics:
  revenue: {label: Sales, unit: money, sum: opportunities.amount, where: is_won, during: last 12 months, rolls_up: sum}
  people: {label: Certified people, unit: people, count_distinct: certifications.person_id}
  won_deals: {count: opportunities, where: "is_won and role <> 'broker' and amount >= 1000", during: this fiscal year}
  win_rate: {unit: percent, formula: won_deals / (won_deals + people)}
  growth: {unit: percent, growth_of: revenue, versus: 1 year earlier}
  place: {label: Place in the country, unit: percent, percentile_of: revenue, within: [country]}
  plan: {label: Business plan, unit: yes_no, field: partners.business_plan}
  points:
    label: Program points
    unit: points
    score:
      max: 100
      parts:
        training: {of: people, each: 4, max: 40, needs: won_deals >= 2}
        sales: {of: revenue, full_at: 100000, worth: 50}
        deals: {of: won_deals, bands: {1: 5, 10: 10}}
      groups:
        business: {parts: [sales, deals], max: 55}
"""


def text_of(folder: Path, rest: str, html: bool = False) -> str:
    path = folder / "p.yaml"
    path.write_text(METRICS + rest, encoding="utf-8")
    return guide_text(load_program(path), html)


def tier(requires: str) -> str:
    return f"ladders:\n  main:\n    tiers:\n      - start\n      - {{key: gold, label: Gold, requires: {requires}}}\n"


@pytest.mark.parametrize(
    ("requires", "words"),
    [
        ("{revenue: 500000}", "- Sales: at least EUR 500,000"),
        ("{revenue: '> 1250.5'}", "- Sales: more than EUR 1,250.5"),
        ("{people: '<= 3'}", "- Certified people: at most 3"),
        ("{people: '= 3'}", "- Certified people: exactly 3"),
        ("{win_rate: 12.5%}", "- Win rate: at least 12.5%"),
        ("{place: '<= 3%'}", "- Place in the country: among the best 3%"),
        ("{plan: yes}", "- Business plan\n"),
        ("{plan: no}", "- Business plan: no"),
        ("{people: won_deals}", "- Certified people: at least as much as Won deals"),
        ("{points.training: 20}", "- Program points: training: at least 20"),
        ("{any: [{people: 3}, {all: [{plan: yes}, {people: 2}]}]}",
         "- One of these:\n  - Certified people: at least 3\n  - All of these together:\n    - Business plan\n"
         "    - Certified people: at least 2"),
        ("{none: [{people: 3}]}", "- None of these:\n  - Certified people: at least 3"),
        ("{at_least: 1, of: [{people: 3}, {plan: yes}], including: [{plan: yes}]}",
         "- At least 1 of these 2, the ones marked “required” among them:\n  - Certified people: at least 3\n"
         "  - Business plan (required)"),
        ("{revenue: {by: region, default: 5, EMEA: 4}}", "- Sales: at least the value for your region (see the table)"),
    ],
)  # fmt: skip
def test_requirements_are_said_in_words(tmp_path: Path, requires: str, words: str) -> None:
    assert words in text_of(tmp_path, tier(requires))


def test_thresholds_by_region_and_country_become_one_table(tmp_path: Path) -> None:
    text = text_of(tmp_path, """\
ladders:
  main:
    tiers:
      - start
      - {key: silver, requires: {revenue: {by: region, default: 500000, EMEA: 400000}}}
      - key: gold
        requires: {revenue: {by: region, default: 900000, APAC: {by: country, default: 600000, IN: 300000}}}
""")  # fmt: skip
    assert (
        """\
### Sales by region and country

| Region | Country | Silver | Gold |
| --- | --- | ---: | ---: |
| EMEA | all | EUR 400,000 | EUR 900,000 |
| APAC | IN | EUR 500,000 | EUR 300,000 |
| APAC | all others | EUR 500,000 | EUR 600,000 |
| all others | all | EUR 500,000 | EUR 900,000 |
"""
        in text
    )
    assert "| Sales | EUR 400,000 to EUR 500,000 | EUR 300,000 to EUR 900,000 |" in text


def test_a_threshold_sheet_becomes_the_same_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "ladder,tier,metric,value,region\nmain,gold,revenue,500,\nmain,gold,revenue,400,EMEA\n", encoding="utf-8"
    )
    text = text_of(tmp_path, tier("{revenue: from thresholds}") + "thresholds: t.csv\n")
    assert "| EMEA | EUR 400 |\n| all others | EUR 500 |" in text


@pytest.mark.parametrize(
    "words",
    [
        "- **Sales.** Total amount of deals in the last 12 months, where won; subsidiaries are included",
        "- **Certified people.** Number of different people, each counted once.",
        "- **Won deals.** Number of deals in this fiscal year so far, where won, role is not “broker” and amount is at "
        "least 1,000.",
        "- **Win rate.** Won deals ÷ (Won deals + Certified people).",
        "- **Growth.** Growth of “Sales” against the same time 1 year earlier.",
        "- **Place in the country.** Place as a share of “Sales” among the partners of the same country.",
        "- **Business plan.** As recorded on your account (business plan).",
        "At most 100 points in all.",
        "| Training | 4 points for each one of “Certified people” | 40 | Won deals is at least 2 |",
        "| Business | The sum of sales and deals | 55 | – |",
        "| Sales | 50 points from EUR 100,000 of “Sales” on, fewer in proportion below | 50 | – |",
        "| Deals | Points by “Won deals”, from 1: 5 and 10: 10 | 10 | – |",
    ],
)
def test_numbers_and_points_are_explained(tmp_path: Path, words: str) -> None:
    assert words in text_of(tmp_path, tier("{points: 50}"))


def test_groups_say_which_records_a_condition_counts_even_beside_a_text(tmp_path: Path) -> None:
    rest = """\
  both:
    means: People of two levels
    groups:
      of: person_id
      having:
        - {count: certifications, where: "level = 'A'", at_least: 1}
        - {count: certifications, where: "level = 'B'", at_least: 2}
  areas: {groups: {of: product_line, having: [{sum: opportunities.amount, during: last 12 months, at_least: 5000}]}}
"""
    program = METRICS.replace("  points:\n", f"{rest}  points:\n")
    path = tmp_path / "p.yaml"
    path.write_text(program + tier("{both: 1, areas: 2}"), encoding="utf-8")
    text = guide_text(load_program(path), html=False)
    assert (
        "Number of people with number of certificates at least 1 (where level is “A”) and"
        " number of certificates at least 2 (where level is “B”)."
    ) in text
    assert "with total amount of deals at least EUR 5,000 in the last 12 months" in text


def test_the_overview_hides_no_criterion(tmp_path: Path) -> None:
    """Two criteria on one metric stand in one cell; one among alternatives is not an empty cell."""
    text = text_of(tmp_path, """\
ladders:
  main:
    tiers:
      - start
      - {key: silver, label: Silver, requires: {all: [{people: 3}, {people: won_deals}, {revenue: 100}]}}
      - {key: gold, label: Gold, requires: {all: [{people: 6}, {any: [{revenue: 900}, {won_deals: 9}]}]}}
""")  # fmt: skip
    assert "| Certified people | 3 and Won deals | 6 |" in text
    assert "| Sales | EUR 100 | see below |" in text


MOVEMENT = """\
  promote: {on: monthly, effective: first of next month}
  demote: {on: [01-15, 07-15], grace: 90 days, steps: 1, approval: yes}
  hold: {newcomers: 6 months, after_promotion: 12 months}
  freeze: [{where: "region = 'LATAM'", from: 2026-09-01, until: 2027-03-31, reason: Earthquake}]
"""


@pytest.mark.parametrize(
    "words",
    [
        "- You move up on the first day of each month, if you then meet what a higher tier asks for; the new tier "
        "takes effect on the first day of the month after.",
        "on 15 January and 15 July of each year, you have 90 days to recover.",
        "you move down at the end of that time, after the program team has approved it",
        "- You move down by at most 1 tier at a time.",
        "- New partners are not moved down in their first 6 months.",
        "- Nobody is moved down in the 12 months after moving up.",
        "- No partner where region is “LATAM” is moved down from 1 September 2026 until 31 March 2027 (Earthquake).",
    ],
)
def test_calendars_grace_holds_and_freezes_are_said(tmp_path: Path, words: str) -> None:
    assert words in text_of(tmp_path, f"{tier('{people: 1}')}movement:\n{MOVEMENT}")


def test_benefits_are_a_matrix_in_which_a_tier_has_those_below_it(tmp_path: Path) -> None:
    text = text_of(tmp_path, """\
ladders:
  main:
    tiers:
      - {key: bronze, benefits: {discount: 5%, support: Mail}}
      - {key: silver, requires: {people: 1}, benefits: {discount: 10%, mdf: {by: region, default: 2%, APAC: 3%}}}
      - {key: gold, requires: {people: 3}, benefits: {support: none}}
commission: {of: win_rate, bands: {0%: 3%, 50%: 10%}, max: {by: tier, default: 20%, silver: 9%}}
""")  # fmt: skip
    assert (
        """\
| Benefit | Bronze | Silver | Gold |
| --- | ---: | ---: | ---: |
| Discount | 5% | 10% | 10% |
| Support | Mail | Mail | – |
| Mdf (APAC) | – | 3% | 3% |
| Mdf (all others) | – | 2% | 2% |
"""
        in text
    )
    assert "| from 0% | 3% |\n| from 50% | 10% |" in text
    assert "At most 9% for Silver and 20% for all others." in text


def test_categories_say_who_belongs_and_which_tiers_they_climb(tmp_path: Path) -> None:
    text = text_of(tmp_path, """\
effective_from: 2026-02-01
ladders:
  main: {label: Resale, tiers: [start, {key: gold, requires: {people: 1}}]}
  other: {tiers: [begin, {key: pro, requires: {people: 2}}]}
categories:
  reseller: {label: Reseller, member: "has(declared_categories, 'Reseller') or people >= 3", ladder: main}
  msp: {label: MSP, ladder: other}
reassess: every 12 months
""")  # fmt: skip
    assert "*Valid from 1 February 2026.*" in text
    assert (
        "You belong to it if declared categories include “Reseller” or Certified people is at least 3. Its tiers:"
        in text
    )
    assert "Every partner belongs to it. Its tiers: Other." in text
    assert "Categories are looked at again every 12 months." in text


# --- safety and form


HOSTILE = """\
ladders:
  main:
    tiers:
      - {key: start, label: "<script>alert(1)</script>"}
      - {key: gold, label: "a | b *c* [d](e)", means: "x & <b>y</b>", requires: {people: 1}}
"""


def test_texts_of_the_program_are_escaped_in_html(tmp_path: Path) -> None:
    text = text_of(tmp_path, HOSTILE, html=True)
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "x &amp; &lt;b&gt;y&lt;/b&gt;" in text


def test_texts_of_the_program_are_escaped_in_markdown(tmp_path: Path) -> None:
    text = text_of(tmp_path, HOSTILE)
    assert "### &lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert r"### a \| b \*c\* \[d\](e)" in text
    assert "<b>" not in text


class Balanced(HTMLParser):
    """Collects tags that are not closed, and what a page would load from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        self.outside += [
            value for name, value in attrs if name in ("src", "href") and value and not value.startswith("#")
        ]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


PROGRAMS = sorted(
    [*(PROJECT / "config" / "programs").glob("*.yaml"), *(PROJECT / "config" / "programs").glob("gallery/*.yaml")]
)
YAML_WORDS = re.compile(
    r"\b(?:rolls_up|at_least|count_distinct|requires|keeps|during|dated_by|takes_part|ladders?|metrics?|yes_no|"
    r"when_missing|is_won|is_closed|full_at|[a-z]+_[a-z_]+)\b|\bnull\b|None\b"
)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_every_program_has_a_guide_without_words_of_the_yaml(path: Path) -> None:
    program = load_program(path)
    page = Balanced()
    page.feed(guide_text(program, html=True))
    page.close()
    assert page.open == []
    assert page.outside == []
    markdown = guide_text(program)
    assert markdown == guide_text(program)
    assert YAML_WORDS.findall(markdown) == []
    assert len(guide_of(program).paths) == len(program.ladders)


def test_the_command_writes_markdown_or_html(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(METRICS + tier("{people: 1}"), encoding="utf-8")
    assert ended("guide", str(path)).out.startswith("# P\n")
    told = ended("guide", str(path), "--out", str(tmp_path / "g.html"))
    assert told.code == 0
    assert str(tmp_path / "g.html") in told.out
    assert (tmp_path / "g.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(ended("guide", str(path), "--json").out)["guide"]["title"] == "P"
    assert ended("guide", str(path), "--out", str(tmp_path / "g.pdf")).code == 4
    assert ended("guide", str(path), "--out", str(tmp_path / "no" / "g.md")).code == 6
