"""What comparable tools' own tests expect, asked of our engine: 56 cases of shared/programs/peer-cases.json.

Every case is read from that file and checked here, or stands under NOT_OURS with the reason. A level of such a tool is
a tier that asks for an amount from its minimum to below its maximum; an inactive level is one that is not in the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any

import pytest

from crmsync.connectors.mapping import read_mapping
from crmsync.errors import ConfigError
from crmsync.levelling.assess import Assessment
from crmsync.programs.lint import lint
from crmsync.programs.loading import load_program
from crmsync.programs.program import Program
from crmsync.writeback.fields import account_of, account_values
from tests.conftest import PROJECT
from tests.levelling.facts import Row, assessed, plain

FOLDER = Path(__file__).parent / "peers"
SOURCE = PROJECT.parent / "shared" / "programs" / "peer-cases.json"
COUNT = 56
DAY = date(2018, 6, 1)

NOT_OURS = {
    "PC-054": "a year is never shown on its own: dates are ISO text in every locale",
}
"""Case -> why it does not apply."""

CONTRARY = {"PC-093": "a currency without a rate is lost to what reads its money, and said so; never 1:1"}
"""Case -> why we do the opposite on purpose."""

Case = Mapping[str, Any]


def peer_cases(path: Path = SOURCE) -> list[Case]:
    """The cases; none where the shared folder is not there (a test of its own says so)."""
    if not path.is_file():
        return []
    found: list[Case] = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    return found


ASKED: set[str] = set(CONTRARY)


def ours(group: str, chosen: Callable[[Case], bool]) -> list[Any]:
    """The cases of a group for which something holds, by id; they are asked by the test that takes them."""
    found = [case for case in peer_cases() if case["group"] == group and chosen(case) and case["id"] not in NOT_OURS]
    ASKED.update(case["id"] for case in found)
    return [pytest.param(case, id=case["id"]) for case in found]


def named(group: str, *ids: str) -> list[Any]:
    """These cases of a group."""
    return ours(group, lambda case: case["id"] in ids)


def test_every_case_is_asked_or_has_a_reason(shared: Path) -> None:
    cases = peer_cases(shared / "programs" / "peer-cases.json")
    assert len({case["id"] for case in cases}) == len(cases) == COUNT
    assert {case["id"] for case in cases} - ASKED == set(NOT_OURS)
    assert not ASKED & set(NOT_OURS)


# --- programs


def program_text(name: str, **lines: str | Sequence[str]) -> str:
    """A program of the folder, each `$name` replaced by a word or by lines at its own indentation."""
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    written = {}
    for key, value in lines.items():
        place = next(line for line in text.splitlines() if f"${key}" in line and not line.startswith("#"))
        indent = place[: len(place) - len(place.lstrip())]
        written[key] = value if isinstance(value, str) else f"\n{indent}".join(value)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return Template(body).substitute(written) + "\n"


def key_of(name: str) -> str:
    """The tier key of a level's name."""
    return name.lower().replace(" ", "_")


def tiers(levels: Iterable[Case], metric: str = "amount") -> list[str]:
    """The levels as tiers, those that are switched off left out."""
    return [tier(level, metric) for level in levels if level.get("active", True)]


def tier(level: Case, metric: str) -> str:
    low, high = level.get("min"), level.get("max")
    bounds = [f"{metric}: {low}"] * (low is not None) + [f'{metric}: "< {high}"'] * (high is not None)
    asked = f", requires: {{all: [{', '.join(f'{{{one}}}' for one in bounds)}]}}" if bounds else ""
    return f"- {{key: {key_of(level['name'])}, label: {level['name']}{asked}}}"


def loaded(folder: Path, text: str) -> Program:
    path = folder / "program.yaml"
    path.write_text(text, encoding="utf-8")
    return load_program(path)


# --- levels of one amount


SINGLE = ours("level_assignment", lambda case: "current_level" in case["inputs"] and case["id"] != "PC-018")


def levelled(folder: Path, text: str, amount: Any, before: str | None = None) -> tuple[Program, Row]:
    """The program and the standing of one partner with an amount, whose level was `before`."""
    rows = [{"partner_id": "P", "amount": amount}, {"partner_id": "other", "amount": 0}]
    previous = [{"partner_id": "P", "tier": key_of(before)}] if before else None
    found = assessed(folder, text, {"partners": rows}, DAY, previous=previous)
    return load_program(folder / "program.yaml"), plain(found.standings)["P", "all"]


@pytest.mark.parametrize("case", SINGLE)
def test_level_and_what_is_written_onto_the_record(case: Case, tmp_path: Path) -> None:
    given, expected = case["inputs"], case["expected"]
    text = program_text("levels", tiers=tiers(given["levels"]))
    program, row = levelled(tmp_path, text, given["amount"], given["current_level"])
    level = expected["level"]
    assert row["granted_tier"] == (key_of(level) if level else None)

    before = {"granted_tier": given["current_level"], "previous_tier": given["previous_level"]}
    written = account_values(program, account_of(program, [row]))
    after = {field: written.get(field, before[field]) for field in before}  # a field that is absent is left alone
    assert after == {"granted_tier": level, "previous_tier": expected["previous_level"]}
    assert (after != before) == expected["record_written"]


@pytest.mark.parametrize("case", named("level_assignment", "PC-018"))
def test_a_level_that_is_switched_off_is_not_there(case: Case, tmp_path: Path) -> None:
    """A ladder has at least one tier, so `unlevelled` stands for no level here."""
    given = case["inputs"]
    text = program_text("levels", tiers=["- unlevelled", *tiers(given["levels"])])
    _, row = levelled(tmp_path, text, given["amount"])
    assert (row["granted_tier"], case["expected"]["level"]) == ("unlevelled", None)
    switched_on = ["- unlevelled", *tiers({**level, "active": True} for level in given["levels"])]
    _, row = levelled(tmp_path, program_text("levels", tiers=switched_on), given["amount"])
    assert row["granted_tier"] == key_of(given["levels"][0]["name"])


@pytest.mark.parametrize("case", named("level_assignment", "PC-019"))
def test_ladders_of_two_kinds_of_record_do_not_mix(case: Case, tmp_path: Path) -> None:
    given, kinds = case["inputs"], ("Account", "Contact")
    ladders = {kind.lower(): tiers(one for one in given["levels"] if one["target"] == kind) for kind in kinds}
    rows = [{"partner_id": f"P{place}", **record} for place, record in enumerate(given["records"])]
    found = plain(assessed(tmp_path, program_text("targets", **ladders), {"partners": rows}, DAY).standings)
    got = [found[row["partner_id"], row["target"].lower()]["granted_tier"] for row in rows]
    assert got == [key_of(level) if level else None for level in case["expected"]]
    assert len(found) == len(rows)


@pytest.mark.parametrize("case", named("level_assignment", "PC-020"))
def test_two_ladders_on_one_record_are_decided_independently(case: Case, tmp_path: Path) -> None:
    given = case["inputs"]
    amounts = {f"amount_{name[-1].lower()}": amount for name, amount in given["amount_by_ladder"].items()}
    ladders = {name.lower(): tiers(levels, f"amount_{name[-1].lower()}") for name, levels in given["ladders"].items()}
    rows = [{"partner_id": "P", **amounts}]
    found = plain(assessed(tmp_path, program_text("two-ladders", **ladders), {"partners": rows}, DAY).standings)
    got = {name: found["P", name.lower()]["granted_tier"] for name in given["ladders"]}
    assert got == {name: key_of(level) for name, level in case["expected"].items()}


# --- fiscal years


@pytest.mark.parametrize("case", ours("fiscal_year", lambda case: "use_fiscal_year" in case["inputs"]))
def test_the_fiscal_year_of_a_day_is_the_one_named(case: Case, tmp_path: Path) -> None:
    """Deals on the first and last day of the year named so count on that day's own year, those beside it do not."""
    given, named = case["inputs"], int(case["expected"])
    day, month = date.fromisoformat(given["date"]), given["fiscal_start_month"]
    named_after_end = given["use_fiscal_year"] and not given["named_after_start_year"] and month > 1
    first = date(named - 1 if named_after_end else named, month, 1)
    text = program_text("fiscal-year", starts=f"{first:%m-%d}")
    before = date.fromordinal(first.toordinal() - 1)
    deals = [
        {"opportunity_id": f"o{place}", "partner_id": "P", "is_closed": True, "is_won": True, "closed_on": closed}
        for place, closed in enumerate((before, first, day))
    ]
    found = assessed(tmp_path, text, {"partners": [{"partner_id": "P"}], "opportunities": deals}, day)
    assert plain(found.standings)["P", "all"]["metrics"]["deals"] == "2"
    assert first <= day < first.replace(year=first.year + 1)


# --- currencies


def converted(
    folder: Path, given: Case, amount: Any, *, program: str, record: str, closed_on: date | None
) -> Assessment:
    """An open deal of `amount` in one currency, read by a program in another, at rates with and without dates."""
    rates: list[Row] = [{"currency": "USD", "effective_from": None, "rate": 1}]
    for currency in ("CAD", "EUR"):
        if rate := given.get(f"rate_{currency}"):
            rates.append({"currency": currency, "effective_from": None, "rate": rate})
    for since, rate in given.get("rates_desc") or ():
        rates.append({"currency": "CAD", "effective_from": date.fromisoformat(since), "rate": rate})
    if default := given.get("default"):  # the rate of today
        rates.append({"currency": "CAD", "effective_from": DAY, "rate": default})
    deal = {"opportunity_id": "o", "partner_id": "P", "amount": amount, "currency": record, "closed_on": closed_on}
    tables: dict[str, list[Row]] = {"partners": [{"partner_id": "P"}], "opportunities": [deal], "rates": rates}
    return assessed(folder, program_text("money", currency=program), tables, DAY)


def amount_of(found: Assessment) -> Decimal:
    return Decimal(plain(found.standings)["P", "all"]["metrics"]["amount"])


@pytest.mark.parametrize("case", ours("currency", lambda case: "amount" in case["inputs"]))
def test_an_amount_in_another_currency(case: Case, tmp_path: Path) -> None:
    given = case["inputs"]
    found = converted(tmp_path, given, given["amount"], program=given["to"], record=given["from"], closed_on=DAY)
    assert amount_of(found) == Decimal(case["expected"])


@pytest.mark.parametrize("case", named("currency", "PC-087"))
def test_a_cross_rate(case: Case, tmp_path: Path) -> None:
    """Theirs is units of the first currency for 1 of the second: what a million of the second is in the first."""
    given = case["inputs"]
    found = converted(tmp_path, given, 1_000_000, program=given["from"], record=given["to"], closed_on=DAY)
    assert round(amount_of(found) / 1_000_000, 6) == Decimal(case["expected"])


@pytest.mark.parametrize("case", ours("currency", lambda case: "date" in case["inputs"]))
def test_the_rate_of_the_day_of_the_record(case: Case, tmp_path: Path) -> None:
    """A record without a date takes the rate of today; the tool's default rate is that."""
    given = case["inputs"]
    closed_on = date.fromisoformat(given["date"]) if given["date"] else None
    found = converted(tmp_path, given, 1000, program="USD", record="CAD", closed_on=closed_on)
    assert amount_of(found) == round(1000 / Decimal(case["expected"]), 2)


def test_a_currency_without_a_rate_is_not_taken_one_to_one(shared: Path, tmp_path: Path) -> None:
    (case,) = (one for one in peer_cases(shared / "programs" / "peer-cases.json") if one["id"] in CONTRARY)
    found = converted(tmp_path, case["inputs"], 1000, program="USD", record="CAD", closed_on=DAY)
    assert amount_of(found) == 0 != 1000 * case["expected"]
    assert any("lost 1 record (o) for want of an exchange rate" in note for note in found.notes)


# --- what is refused


def refused(folder: Path, levels: Iterable[Case], *, lowest: bool = False) -> str:
    """The message with which a program of these levels is refused."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, program_text("levels", tiers=["- unlevelled"] * lowest + tiers(levels)))
    return str(caught.value)


def findings(folder: Path, levels: Iterable[Case]) -> list[str]:
    """What lint says about a program of these levels, as `kind: message`."""
    program = loaded(folder, program_text("levels", tiers=tiers(levels)))
    return [f"{one.kind}: {one.message}" for one in lint(program)]


def begins_below(found: Iterable[str], name: str = r"\w+") -> bool:
    """Whether lint says that a level begins below the level before it, so that both hold the amounts between."""
    says = re.compile(rf"(not-rising|mixed): tier {name} asks amount >= \d+, less than tier \w+ below it .*")
    return any(says.fullmatch(one) for one in found)


VALIDATION = "level_config_validation"


@pytest.mark.parametrize("case", named(VALIDATION, "PC-029", "PC-030"))
def test_two_levels_of_one_name_are_refused(case: Case, tmp_path: Path) -> None:
    name = case["inputs"]["levels"][-1]["name"]
    assert case["expected"] == f'reject, message names "{name}"'
    said = refused(tmp_path, case["inputs"]["levels"])
    assert f"two tiers are called `{name}`".lower() in said.lower()


@pytest.mark.parametrize("case", named(VALIDATION, "PC-024", "PC-032"))
def test_a_level_without_a_minimum_above_the_lowest_is_refused(case: Case, tmp_path: Path) -> None:
    """Written our own way, by minimum alone: the highest tier that holds counts, so a maximum is not needed."""
    levels = [{**level, "max": None} for level in case["inputs"]["levels"]]
    said = refused(tmp_path, levels[1:] if levels[0]["name"] == "Tin" else levels, lowest=True)
    assert f"tier `{key_of(levels[-1]['name'])}` needs `requires:`" in said


@pytest.mark.parametrize("case", named(VALIDATION, "PC-023", "PC-025", "PC-026", "PC-027", "PC-028"))
def test_lint_names_a_level_that_reaches_into_others(case: Case, tmp_path: Path) -> None:
    """Overlap is allowed (the higher tier wins), so it is a finding of lint and not a refusal."""
    levels = case["inputs"]["levels"]
    name = levels[-1]["name"]
    assert case["expected"] in ("reject", f'reject, message names "{name}"')
    assert begins_below(findings(tmp_path, levels), key_of(name))
    assert not begins_below(findings(tmp_path, levels[:-1]))


@pytest.mark.parametrize("case", named(VALIDATION, "PC-031", "PC-035"))
def test_lint_names_a_level_that_holds_no_amount(case: Case, tmp_path: Path) -> None:
    (level,) = case["inputs"]["levels"]
    said = f"unreachable: tier {key_of(level['name'])} cannot be reached: amount >= {level['min']} and amount < "
    assert any(one.startswith(f"{said}{level['max']}") for one in findings(tmp_path, [level]))


@pytest.mark.parametrize("case", ours(VALIDATION, lambda case: case["expected"] == "accept"))
def test_levels_that_touch_or_leave_a_gap_are_accepted(case: Case, tmp_path: Path) -> None:
    active = [level for level in case["inputs"]["levels"] if level.get("active", True)]
    program = loaded(tmp_path, program_text("levels", tiers=tiers(case["inputs"]["levels"])))
    assert [one.key for one in program.ladders["main"].tiers] == [key_of(level["name"]) for level in active]
    said = findings(tmp_path, case["inputs"]["levels"])
    assert not begins_below(said)
    assert not any(one.startswith("unreachable") for one in said)


@pytest.mark.parametrize("case", named(VALIDATION, "PC-036"))
def test_level_and_previous_level_are_different_fields(case: Case, tmp_path: Path) -> None:
    fields = {"level_field": "Partner_Tier__c", "previous_level_field": "Partner_Tier_Previous__c"}
    text = (PROJECT / "config" / "connectors" / "salesforce.yaml").read_text(encoding="utf-8")
    for key, ours in fields.items():
        assert f": {ours}\n" in text
        text = text.replace(f": {ours}\n", f": {case['inputs'][key]}\n")
    path = tmp_path / "map.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"`{case['inputs']['level_field']}` is already written by `granted_tier`"):
        read_mapping(path)
