"""A check tells what would stop a run, on fields, values and numbers; the org is written down here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from crmsync.connectors.salesforce.checks.cost import allowance_findings, estimate
from crmsync.connectors.salesforce.checks.findings import Finding, Severity
from crmsync.connectors.salesforce.checks.identity import Identity, clock_findings, kind_of, zone_findings
from crmsync.connectors.salesforce.checks.money import Currencies, money_findings
from crmsync.connectors.salesforce.checks.reads import check_table
from crmsync.connectors.salesforce.checks.writes import body_of, check_writes
from crmsync.connectors.salesforce.describe import Field, SObject
from crmsync.connectors.salesforce.metadata.fields import field_body
from crmsync.connectors.salesforce.metadata.needs import needs_of
from crmsync.settings import SalesforceSettings
from tests.connectors.salesforce.deploys import MAP, ORG, Described, World, world

TYPES = {
    "Text": "string", "LongTextArea": "textarea", "Picklist": "picklist", "MultiselectPicklist": "multipicklist",
    "Number": "double", "Percent": "percent", "Date": "date", "Checkbox": "boolean", "MasterDetail": "reference",
    "Lookup": "reference",
}  # fmt: skip


class Deployed(Described):
    """The org after a deploy; single fields can be changed."""

    def __init__(self, made: World) -> None:
        super().__init__(ORG)
        for need in made.needs.fields:
            one = self._known.get(need.object.lower()) or SObject(need.object, need.object, MappingProxyType({}))
            field = as_described(field_body(need))
            self._known[need.object.lower()] = replace(one, fields={**one.fields, field.name.lower(): field})

    def change(self, name: str, field: str, **changes: Any) -> None:
        """Change one field, or take it away (`gone=True`)."""
        one = self._known[name.lower()]
        assert one is not None
        fields = dict(one.fields)
        found = fields.pop(field.lower())
        if not changes.get("gone"):
            fields[field.lower()] = replace(found, **changes)
        self._known[name.lower()] = replace(one, fields=fields)

    def add(self, name: str, field: Field) -> None:
        """One more field."""
        one = self._known[name.lower()]
        assert one is not None
        self._known[name.lower()] = replace(one, fields={**one.fields, field.name.lower(): field})


def as_described(body: Mapping[str, Any]) -> Field:
    """What describe says of a field of this definition."""
    value_set = body.get("valueSet") or {}
    values = tuple(one["fullName"] for one in (value_set.get("valueSetDefinition") or {}).get("value") or ())
    return Field(
        name=body["fullName"], label=body["label"], type=TYPES[body["type"]], length=int(body.get("length") or 0),
        updateable=body["type"] != "MasterDetail", restricted=bool(value_set.get("restricted")), values=values,
        digits=(int(body.get("precision") or 0), int(body.get("scale") or 0)),
        unique_key=bool(body.get("unique")), case_sensitive=bool(body.get("caseSensitive")),
    )  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> World:
    return world(tmp_path)


@pytest.fixture
def deployed(made: World) -> Deployed:
    return Deployed(made)


def findings(made: World, org: Deployed) -> list[Finding]:
    return list(check_writes(made.mapping, made.dictionary, org))


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


# --- what is written


def test_what_a_deploy_makes_is_all_a_run_needs(made: World, deployed: Deployed) -> None:
    assert findings(made, deployed) == []


def test_an_org_where_nothing_was_deployed_names_every_field_with_its_line(made: World) -> None:
    found = list(check_writes(made.mapping, made.dictionary, Described(ORG)))
    needed = {f"Account.{need.name}" for need in made.needs.of("Account")} | {"Stand__c", "Wechsel__c"}
    assert {one.about for one in found} == needed
    assert all("crmsync deploy apply" in one.way_out and one.line and one.file for one in found)


def test_a_field_of_people_that_is_missing_does_not_stop_a_run(made: World, deployed: Deployed) -> None:
    deployed.change("Account", "Einspruch__c", gone=True)
    assert only(findings(made, deployed)).severity is Severity.LOOK


@pytest.mark.parametrize(
    ("field", "changes", "severity", "says"),
    [
        ("Stufe__c", {"updateable": False}, Severity.CANNOT, "this login may not edit the field"),
        ("Stufe__c", {"type": "date"}, Severity.CANNOT, "is Date and cannot hold choice"),
        ("Stufe__c", {"calculated": True}, Severity.CANNOT, "is a formula (Picklist) and cannot hold choice"),
        ("Stufe__c", {"values": ("Gold", "Basic", "Service Master")}, Severity.CANNOT, "lacks values Silver"),
        ("Stufe__c", {"values": ("Gold",), "restricted": False}, Severity.LOOK, "any text is taken"),
        ("Stufe__c", {"values": ("gold", "Silver", "Basic", "Service Master")}, Severity.CANNOT, "write both alike"),
        ("Stufe_Vorher__c", {"length": 3}, Severity.CANNOT, "lacks length 3 -> 14"),
        ("Warum__c", {"type": "string", "length": 255}, Severity.CANNOT, "is Text and cannot hold long text"),
        ("Weg__c", {"digits": (2, 0)}, Severity.CANNOT, "lacks digits 2.0 -> 3.0"),
        ("Segmente__c", {"values": ("Service & Support", "Reseller")}, Severity.TOLD, "in the order of its picklist"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_take_what_comes_says_so(
    made: World, deployed: Deployed, field: str, changes: Mapping[str, Any], severity: Severity, says: str
) -> None:
    deployed.change("Account", field, **changes)
    found = [one for one in findings(made, deployed) if one.about == f"Account.{field}"]
    assert [one for one in found if one.severity is severity and says in one.what], found
    assert all(one.way_out for one in found if one.severity is not Severity.TOLD)


def test_an_inactive_value_is_found(made: World, deployed: Deployed) -> None:
    deployed.change("Account", "Stufe__c", values=("Gold", "Basic", "Service Master"), inactive=("Silver",))
    assert "value `Silver` is inactive" in only(findings(made, deployed)).what


def test_a_required_field_that_nobody_fills_refuses_every_record(made: World, deployed: Deployed) -> None:
    deployed.add("Stand__c", Field("Kostenstelle__c", "Kostenstelle", "string", required=True))
    found = only(findings(made, deployed))
    assert (found.about, found.severity) == ("Stand__c.Kostenstelle__c", Severity.CANNOT)
    assert "every new record is refused" in found.what


def test_every_shape_of_the_dictionary_survives_describe(made: World) -> None:
    for need in needs_of(made.mapping, made.dictionary).fields:
        body = field_body(need)
        seen = body_of(as_described(body))
        kind = "Lookup" if body["type"] == "MasterDetail" else body["type"]
        assert seen["type"] == kind, need.full_name


# --- what is read


def org_of(**account: Field) -> Described:
    """The org with other fields on the account."""
    org = Described(ORG)
    one = org._known["account"]
    assert one is not None
    org._known["account"] = replace(
        one, fields={**one.fields, **{name.lower(): field for name, field in account.items()}}
    )
    return org


def test_every_field_that_is_missing_is_told_not_the_first_only(made: World) -> None:
    org = Described({**ORG, "Account": {name: one for name, one in ORG["Account"].items()
                                        if name not in ("Region__c", "Status__c")}})  # fmt: skip
    found = check_table(made.mapping, "partners", org, ())
    assert [one.about for one in found.findings] == ["Account.Region__c", "Account.Parent.Status__c"]
    assert {one.line for one in found.findings} == {5}
    assert found.missing == 2
    assert all(one.severity is Severity.CANNOT for one in found.findings)


def test_a_formula_is_an_input_whose_changes_are_not_seen(made: World) -> None:
    org = org_of(Region__c=Field("Region__c", "Region", "string", calculated=True))
    found = only(check_table(made.mapping, "partners", org, ()).findings)
    assert (found.severity, found.about) == (Severity.LOOK, "Account.Region__c")
    assert "SystemModstamp" in found.what


def test_an_object_that_a_deploy_makes_says_so(made: World) -> None:
    found = only(check_table(made.mapping, "overrides", Described(ORG), ("ausnahme__c",)).findings)
    assert (found.about, found.way_out) == ("Ausnahme__c", "`crmsync deploy apply` makes it")


def test_an_org_with_one_currency_needs_no_rates(tmp_path: Path) -> None:
    rates = "  rates: {object: DatedConversionRate, columns: {currency: IsoCode, effective_from: StartDate, rate: X}}\n"
    made = world(tmp_path, MAP.replace("writes:", f"{rates}writes:", 1))
    assert check_table(made.mapping, "rates", Described(ORG), ()).findings == []


def test_picklists_give_the_texts_that_a_program_may_name(made: World) -> None:
    field = Field("Region__c", "Region", "picklist", values=("Nord",), inactive=("Alt",))
    found = check_table(made.mapping, "partners", org_of(Region__c=field), ())
    assert found.texts == {"region": frozenset({"Nord", "Alt"})}


# --- cost


@pytest.mark.parametrize(
    ("rows", "calls"), [(0, 3), (2_000, 3), (2_001, 6), (100_000, 7), (100_001, 9), (1_000_000, 27)]
)
def test_the_calls_of_a_table_follow_from_its_rows(rows: int, calls: int) -> None:
    assert estimate({"opportunities": rows}, 0, 200, 0).reads == {"opportunities": calls}


def test_an_allowance_that_does_not_last_stops_a_run() -> None:
    cost = estimate({"partners": 25_000}, 5, 200, 2)
    assert cost.first_writes == 3 * 6 * 3
    assert [one.severity for one in allowance_findings(cost, (100_000, 100_000))] == []
    assert [one.severity for one in allowance_findings(cost, (500, 400))] == [Severity.LOOK]
    stopped = only(list(allowance_findings(cost, (15_000, cost.first - 1))))
    assert stopped.severity is Severity.CANNOT
    assert f"{cost.first - 1:,} of 15,000 calls are left today" in stopped.what
    assert [one.severity for one in allowance_findings(cost, None)] == [Severity.TOLD]


# --- the org itself


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"IsSandbox": True, "OrganizationType": "Enterprise Edition"}, "sandbox (Enterprise Edition)"),
        ({"IsSandbox": False, "OrganizationType": "Developer Edition"}, "developer (Developer Edition)"),
        ({"IsSandbox": False, "OrganizationType": "Unlimited Edition"}, "production (Unlimited Edition)"),
        ({"IsSandbox": False, "OrganizationType": "X", "TrialExpirationDate": "2026-09-01T"},
         "trial until 2026-09-01 (X)"),
        ({"OrganizationType": "Enterprise Edition"},
         "unknown kind (Enterprise Edition): Organization.IsSandbox is hidden from this login"),
    ],
)  # fmt: skip
def test_the_kind_of_an_org_is_told_and_never_guessed(record: dict[str, Any], kind: str) -> None:
    assert kind_of(record) == kind


def identity(**more: Any) -> Identity:
    return Identity("00D", "Acme", "production", "https://x", "67.0", "JWT bearer", **more)


def test_a_clock_that_is_off_is_told_with_what_it_breaks() -> None:
    settings = SalesforceSettings(jwt_key_file=Path("key.pem"))
    assert list(clock_findings(identity(skew_s=20.0), settings)) == []
    found = only(list(clock_findings(identity(skew_s=-200.0), settings)))
    assert "200 s behind the org's; a JWT assertion lives 3 minutes" in found.what
    assert only(list(clock_findings(identity(), settings))).severity is Severity.TOLD


def test_two_time_zones_are_told() -> None:
    here = identity(time_zone="Europe/Berlin")
    assert "days in Europe/Berlin" in only(list(zone_findings(here, "UTC", "org", "f.yaml"))).what
    assert list(zone_findings(here, "Europe/Berlin", "org", "f.yaml")) == []
    assert list(zone_findings(here, "UTC", None, "f.yaml")) == []


def test_currencies_without_rates_are_told(made: World) -> None:
    two = Currencies(("EUR", "USD", "GBP"), frozenset({"EUR", "USD"}))
    mapping = replace(made.mapping, tables={**made.mapping.tables, "rates": made.mapping.tables["partners"]})
    said = [one.what for one in money_findings(two, "EUR", True, mapping, True) if one.severity is Severity.LOOK]
    assert said == ["GBP have no dated rate; amounts in them cannot be converted"]
    foreign = [one for one in money_findings(two, "CHF", True, mapping, True) if one.severity is Severity.CANNOT]
    assert "the program counts in CHF" in only(foreign).what
    no_rates = list(money_findings(two, "EUR", True, made.mapping, False))
    assert "no rates are read" in no_rates[-1].what
    assert [one.severity for one in money_findings(Currencies(), "EUR", True, mapping, True)] == [Severity.TOLD]
