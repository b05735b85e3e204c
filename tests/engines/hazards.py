"""Hand-made rows where engines part: decimals, doubles, nulls, texts and days. One partner is one hazard.

Every hazard says what must come out, worked out by hand, so that two engines that are wrong alike are found as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from crmsync.levelling.assess import Assessment
from tests.engines.equality import Assess
from tests.levelling.facts import facts_of, program_of, snapshot_of

AS_OF = date(2024, 2, 29)
RATES = "currency,effective_from,rate\nEUR,,1\nUSD,,1.2345\nJPY,,161.803398875\nKWD,,0.0000011\n"
PROGRAM = """
program: hazards
currency: EUR
rates: rates.csv
metrics:
  revenue: {unit: money, sum: opportunities.amount}
  mean: {unit: money, average: opportunities.amount}
  middle: {unit: money, median: opportunities.amount}
  half: {unit: money, sum: opportunities.amount * 0.5}
  shared: {unit: money, sum: opportunities.credited_amount}
  lowest: {unit: money, minimum: opportunities.amount}
  third: {unit: money, formula: revenue / 3}
  thirds: {formula: revenue / 3 * 3}
  ratio: {unit: percent, formula: revenue / partners.target}
  least_of: {formula: "least(revenue, partners.target)"}
  greatest_of: {formula: "greatest(revenue, partners.target)"}
  score: {field: partners.score}
  summed: {formula: score + 0.1}
  rounded: {formula: "round(score, 2)"}
  floored: {formula: "floor(score)"}
  values: {sum: activities.value}
  named: {count: activities, where: "kind <> ''"}
  blank: {count: activities, where: kind is null}
  kinds: {unit: people, count_distinct: activities.kind}
  escaped: {count: activities, where: "kind like 'a\\\\_b'"}
  folded: {count: activities, where: "lower(kind) = 'größe' or upper(kind) = 'GRÖẞE'"}
  after_a: {count: activities, where: kind > 'a'}
  last_kind: {unit: text, last: activities.kind}
  deals: {count: opportunities}
  recent: {count: opportunities, during: last 12 months}
  before_1970: {count: opportunities, where: closed_on < date '1970-01-01'}
  age: {unit: days, formula: as_of - partners.joined_on}
ladders:
  main:
    tiers:
      - low
      - {key: mid, requires: {any: [{revenue: 100000001.11}, {summed: 0.3}]}}
      - {key: top, requires: {all: [{revenue: 90071992547409.93}, {deals: 2}]}}
"""


@dataclass(frozen=True)
class Hazard:
    """What a partner has, and what must come out for it: metrics as their texts, `tier` the calculated one."""

    expect: Mapping[str, Any]
    amounts: Sequence[Any] = ()  # of opportunities: text, or a mapping of more columns
    activities: Sequence[Mapping[str, Any]] = ()
    partner: Mapping[str, Any] = field(default_factory=dict)


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


HAZARDS: Mapping[str, Hazard] = {
    "a product above 100 million": Hazard(
        # 1 / 1.2345 is 0.810044552450 to 12 decimals, the product 100005499402.415…
        {"revenue": "100005499402.42", "half": "50002749701.21", "tier": "mid"}, [usd("123456789012.34")],
    ),
    "a rate with 12 digits": Hazard({"revenue": "6180.34", "tier": "low"}, [{"amount": "1000000", "currency": "JPY"}]),
    "a factor of nearly a million": Hazard({"revenue": "909090.91"}, [{"amount": "1.00", "currency": "KWD"}]),
    "records are rounded before they are added": Hazard(
        {"revenue": "0.04", "half": "0.02"}, [usd("0.02"), usd("0.02"), "0.00"],  # 0.0162 each
    ),
    "half cents go away from zero": Hazard(
        {"half": "-0.01", "revenue": "-0.02", "lowest": "-0.05"}, ["0.01", "0.03", "-0.01", "-0.05"],
    ),
    "half cents of a formula": Hazard({"third": "0.01", "mean": "0.02"}, ["0.01", "0.02"]),
    "half cents of a large mean": Hazard(
        {"mean": "500000000000.01", "middle": "500000000000.01"}, ["999999999999.99", "0.02"],
    ),
    "a share of a cent": Hazard(
        {"shared": "0.02"},
        [{"amount": "0.03", "share": 0.5}],
    ),
    "a sum beyond 2^53 cents": Hazard(
        {"revenue": "90071992547409.94", "tier": "top", "deals": "2"}, ["90071992547409.92", "0.02"],
    ),
    "a sum one cent short of a threshold": Hazard(
        {"revenue": "90071992547409.92", "tier": "mid"}, ["90071992547409.91", "0.01"],
    ),
    "a money threshold met to the cent": Hazard({"revenue": "100000001.11", "tier": "mid"}, ["100000000.00", "1.11"]),
    "no rows are 0 in a sum and unknown in a mean": Hazard(
        {"revenue": "0.00", "mean": None, "middle": None, "lowest": None, "deals": "0", "last_kind": None},
    ),
    "three times a third": Hazard({"third": "33.33", "thirds": "100"}, ["100.00"]),
    "division by zero is unknown": Hazard({"ratio": None, "least_of": "0"}, ["1.00"], partner={"target": 0.0}),
    "a null in least and greatest": Hazard(
        {"ratio": None, "least_of": None, "greatest_of": None}, ["1.00"], partner={"target": None},
    ),
    "least and greatest of money and a number": Hazard(
        {"ratio": "0.5", "least_of": "1", "greatest_of": "2"}, ["1.00"], partner={"target": 2.0},
    ),
    "0.1 + 0.2 is 0.3": Hazard({"summed": "0.3", "tier": "mid"}, partner={"score": 0.2}),
    "just below stays below": Hazard({"summed": "0.299999999", "tier": "low"}, partner={"score": 0.199999999}),
    "1.005 is rounded as it is written": Hazard({"rounded": "1.01", "floored": "1"}, partner={"score": 1.005}),
    "a negative half": Hazard({"rounded": "-2.68", "floored": "-3"}, partner={"score": -2.675}),
    "the tenth decimal": Hazard({"score": "69912.780000001"}, partner={"score": 69912.7800000006}),
    "a large number keeps no noise": Hazard(
        {"score": "123456789012346", "floored": "123456789012345"}, partner={"score": 123456789012345.6},
    ),
    "a very large count": Hazard(
        {"score": "9007199254740992", "floored": "9007199254740992"}, partner={"score": 9007199254740992.0},
    ),
    "a million millions": Hazard({"score": "1000000000000"}, partner={"score": 1e12}),
    "small numbers have no exponent": Hazard({"score": "0.000000001"}, partner={"score": 1e-9}),
    "values with nine decimals": Hazard(
        {"values": "0.000000003"}, activities=[{"value": "0.000000001"}, {"value": "0.000000002"}],
    ),
    "texts that are empty or not there": Hazard(
        {"named": "2", "blank": "1", "kinds": "1"}, activities=[{"kind": "a"}, {"kind": None}],
    ),
    "a backslash is no escape": Hazard(
        {"escaped": "1", "kinds": "2"}, activities=[{"kind": "a_b"}, {"kind": "a\\xb"}],
    ),
    "letters of other alphabets": Hazard(
        {"folded": "2", "after_a": "2", "kinds": "4"},
        activities=[{"kind": "GRÖßE"}, {"kind": "größe"}, {"kind": "A"}, {"kind": "é"}],
    ),
    "the last of a day is the larger id, byte by byte": Hazard(
        {"last_kind": "of ä"},
        activities=[
            {"activity_id": "ä", "kind": "of ä", "happened_on": AS_OF},
            {"activity_id": "z", "kind": "of z", "happened_on": AS_OF},
            {"activity_id": "Z", "kind": "of Z", "happened_on": AS_OF},
        ],
    ),
    "a year that ends on 29 February": Hazard(
        {"recent": "1", "deals": "2"},
        [{"amount": "1", "closed_on": date(2023, 2, 28)}, {"amount": "1", "closed_on": date(2023, 3, 1)}],
    ),
    "days before 1970": Hazard(
        {"before_1970": "1", "age": "19783"},
        [{"amount": "1", "closed_on": date(1969, 12, 31)}, {"amount": "1", "closed_on": date(1970, 1, 1)}],
        partner={"joined_on": date(1969, 12, 31)},
    ),
}  # fmt: skip


def assess_hazards(folder: Path, assess: Assess) -> Assessment:
    """All hazards in one assessment."""
    partners, opportunities, activities = [], [], []
    for number, hazard in enumerate(HAZARDS.values()):
        own = f"P{number:02}"
        partners.append({"target": None, "score": None, **hazard.partner, "partner_id": own})
        for given in hazard.amounts:
            row = dict(given) if isinstance(given, Mapping) else {"amount": given}
            key = f"o{len(opportunities)}"
            row = {"share": 1.0, "closed_on": date(2024, 1, 15), "currency": "EUR", "is_won": True, **row}
            opportunities.append({**row, "partner_id": own, "opportunity_id": key})
        for given in hazard.activities:
            row = {"activity_id": f"a{len(activities)}", "value": None, "kind": None, "happened_on": None, **given}
            activities.append({**row, "partner_id": own})
    facts = facts_of({"partners": partners, "opportunities": opportunities, "activities": activities})
    snapshot, report = snapshot_of(folder / "snapshot", facts)
    assert not report.rejected, report.rejected
    program = program_of(folder, PROGRAM, facts.types, {"rates.csv": RATES})
    return assess(program, snapshot, AS_OF)


def rows_by_hazard(found: Assessment) -> dict[str, dict[str, Any]]:
    """The standings of each hazard's partner."""
    return dict(zip(HAZARDS, found.standings.to_pylist(), strict=True))
