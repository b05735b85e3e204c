"""Discovery decides by type, name, label and fill; what it cannot know it leaves open. Nothing here needs an org."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from crmsync.configuration import packaged_folder
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.describe import Field, RecordType, SObject
from crmsync.connectors.salesforce.discover.choosing import DATES, TEXTS, Line, Wanted, choose
from crmsync.connectors.salesforce.discover.drawing import drawn
from crmsync.connectors.salesforce.discover.facts import ObjectFacts, OrgFacts
from crmsync.connectors.salesforce.discover.opportunities import credited_lines
from crmsync.connectors.salesforce.discover.partner_flag import is_partner_value, partner_filter
from crmsync.connectors.salesforce.discover.proposal import propose
from crmsync.connectors.salesforce.discover.words import says, tokens
from crmsync.connectors.salesforce.discover.written import written_line
from crmsync.tables import ColumnType

STANDARD: Mapping[str, tuple[Field, ...]] = {
    "Account": (
        Field("Id", "Account ID", "id"),
        Field("Name", "Account Name", "string"),
        Field("Type", "Account Type", "picklist", values=("Partner", "Customer")),
    ),
    "Opportunity": (
        Field("Id", "Opportunity ID", "id"),
        Field("AccountId", "Account ID", "reference", reference_to=("Account",), relationship="Account"),
        Field("Amount", "Amount", "currency"),
    ),
}


def facts(name: str, *fields: Field, rows: int | None = 100, filled: Mapping[str, int] | None = None,
          values: Mapping[str, Mapping[str, int]] | None = None, types: tuple[RecordType, ...] = (),
          label: str = "") -> ObjectFacts:  # fmt: skip
    """An object of these fields and counts."""
    by_name = {one.name.lower(): one for one in (*STANDARD.get(name, ()), *fields)}
    described = SObject(name, label or name, MappingProxyType(by_name), types)
    counts = {key.lower(): number for key, number in (filled or {}).items()}
    return ObjectFacts(described, rows, counts, {key.lower(): found for key, found in (values or {}).items()})


def org(*objects: ObjectFacts, **more: Any) -> OrgFacts:
    """An org of these objects, and plain accounts and opportunities where none are given."""
    found = {one.name.lower(): one for one in objects}
    for name in ("Account", "Opportunity"):
        found.setdefault(name.lower(), facts(name))
    return OrgFacts(found, **more)


def text(name: str, label: str = "", **more: Any) -> Field:
    return Field(name, label or name, "string", **more)


def to_account(name: str, label: str = "") -> Field:
    relation = name.replace("__c", "__r")
    return Field(name, label or name, "reference", reference_to=("Account",), relationship=relation)


def to_deal(name: str) -> Field:
    return Field(name, name, "reference", reference_to=("Opportunity",), relationship=name.replace("__c", "__r"))


# --- words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Partner_Since__c", ("partner", "since")),
        ("acme__PartnerSince__c", ("partner", "since")),
        ("Gültig bis", ("gultig", "bis")),
        ("CategoriesABC", ("category", "abc")),
        ("Status", ("status",)),
    ],
)
def test_names_are_taken_apart(name: str, words: tuple[str, ...]) -> None:
    assert tokens(name) == words


def test_a_phrase_is_said_better_by_a_name_that_says_nothing_else() -> None:
    assert says("Partner_Status__c", ("partner status",)) > says("Partner_Credit_Status__c", ("partner status",)) > 0
    assert says("Partnerstatus", ("partner status",)) > 0  # one word, as German has it
    assert says("Partner_Type__c", ("partner status",)) == 0
    assert says("Region__c", ("partner region", "region")) < says("Partner_Region__c", ("partner region", "region"))


# --- which field


def test_the_field_that_people_fill_is_taken_from_two_of_one_name() -> None:
    account = facts("Account", text("Region__c"), text("Region_Old__c"), filled={"Region__c": 90, "Region_Old__c": 0})
    line = choose(Wanted("region", TEXTS, ("region",)), account)
    assert (line.value, line.sure) == ("Region__c", True)
    assert "filled 90 %" in line.why


def test_two_fields_that_are_alike_are_a_question_with_both() -> None:
    account = facts("Account", text("Sales_Region__c"), text("Service_Region__c"), filled={"Sales_Region__c": 80,
                    "Service_Region__c": 80})  # fmt: skip
    line = choose(Wanted("region", TEXTS, ("region",)), account)
    assert (line.value, line.sure) == ("Sales_Region__c", False)
    assert line.others == ("Service_Region__c (string, filled 80 %)",)


def test_an_empty_field_is_not_taken_and_stands_as_a_candidate() -> None:
    account = facts("Account", text("Region__c"), filled={"Region__c": 0})
    line = choose(Wanted("region", TEXTS, ("region",)), account)
    assert (line.value, line.sure, line.others) == (None, False, ("Region__c (string, filled 0 %)",))


def test_a_field_of_another_type_is_never_taken() -> None:
    account = facts("Account", Field("Partner_Since__c", "Partner Since", "picklist"))
    assert choose(Wanted("joined_on", DATES, ("partner since",)), account).value is None


def test_a_label_says_what_an_odd_name_does_not() -> None:
    account = facts("Account", text("X17__c", "Partner Status"), filled={"X17__c": 50})
    assert choose(Wanted("status", TEXTS, ("partner status",)), account).value == "X17__c"


# --- who is a partner


def test_values_of_customers_are_no_partners() -> None:
    told = {
        value: is_partner_value(value) for value in ("Partner", "Customer - Channel", "Fachhändler", "Former Partner")
    }
    assert told == {"Partner": True, "Customer - Channel": False, "Fachhändler": True, "Former Partner": False}


def test_ways_that_find_the_same_accounts_are_no_question() -> None:
    flag = Field("Is_Partner__c", "Partner?", "boolean")
    account = facts("Account", flag, values={"Type": {"Partner": 30, "Customer": 70}, "Is_Partner__c": {"true": 30}})
    line = partner_filter(account)
    assert (line.value, line.sure) == ("Is_Partner__c = true", True)
    assert "30 accounts of 100 (30 %)" in line.why


def test_ways_that_find_different_accounts_are_one() -> None:
    kind = RecordType("012000000000001AAA", "Channel_Partner", "Channel Partner")
    record_type = Field("RecordTypeId", "Record Type ID", "reference", reference_to=("RecordType",))
    counts = {"Type": {"Partner": 40}, "RecordTypeId": {"012000000000001AAA": 25, "": 75}}
    line = partner_filter(facts("Account", record_type, values=counts, types=(kind,)))
    assert (line.value, line.sure) == ("RecordType.DeveloperName = 'Channel_Partner'", False)
    assert line.others == ("Type = 'Partner' (40 accounts)",)


@pytest.mark.parametrize(
    "values", [{}, {"Type": {"Partner": 0}}, {"Type": {"Partner": 100}}, {"Type": {"Customer": 9}}]
)
def test_what_finds_nobody_or_everybody_tells_nothing(values: Mapping[str, Mapping[str, int]]) -> None:
    line = partner_filter(facts("Account", values=values))
    assert (line.value, line.sure) == (None, False)


def test_a_quote_in_a_value_stays_a_value() -> None:
    account = facts("Account", values={"Type": {"O'Partner": 3}})
    assert partner_filter(account).value == "Type = 'O\\'Partner'"


# --- who is credited


def test_each_lookup_that_is_filled_is_a_role_of_its_own() -> None:
    deals = facts("Opportunity", to_account("Reseller__c"), to_account("Distribution_Partner__c"), to_account("Old__c"),
                  filled={"Reseller__c": 60, "Distribution_Partner__c": 5, "Old__c": 0})  # fmt: skip
    lines = {line.key: line for line in credited_lines(org(deals))}
    assert lines["Reseller__c"].value == "{partner_id: Reseller__c, role: reseller}"
    assert lines["Distribution_Partner__c"].value == "{partner_id: Distribution_Partner__c, role: distribution}"
    assert (lines["Old__c"].value, lines["Old__c"].sure) == (None, True)
    assert "never filled" in lines["Old__c"].why


def test_a_junction_object_is_found_with_its_role_and_share() -> None:
    share = Field("Anteil__c", "Anteil", "percent")
    junction = facts("Beteiligung__c", to_deal("Deal__c"), to_account("Firma__c"), text("Rolle__c"), share,
                     filled={"Rolle__c": 100, "Anteil__c": 100})  # fmt: skip
    (line,) = credited_lines(org(junction))
    assert line.value == (
        "{object: Beteiligung__c, opportunity: Deal__c, partner_id: Firma__c, role: Rolle__c, share: Anteil__c}"
    )
    assert line.sure


def test_roles_of_the_platform_are_of_the_account_that_is_pointed_at() -> None:
    partner = facts("OpportunityPartner", to_deal("OpportunityId"), to_account("AccountFromId"),
                    to_account("AccountToId"), Field("Role", "Role", "picklist"), filled={"Role": 90})  # fmt: skip
    (line,) = credited_lines(org(partner))
    assert line.value == (
        "{object: OpportunityPartner, opportunity: OpportunityId, partner_id: AccountToId, role: Role}"
    )
    assert line.sure
    (unused,) = [line for line in credited_lines(org(replace(partner, rows=0))) if line.key == "OpportunityPartner"]
    assert (unused.value, unused.sure) == (None, True)


@pytest.mark.parametrize(("own", "value"), [(80, "{partner_id: AccountId}"), (2, None), (None, None)])
def test_where_nothing_names_a_partner_the_own_account_is_asked_about(own: int | None, value: str | None) -> None:
    (line,) = credited_lines(org(partner_deals=own))
    assert (line.value, line.sure) == (value, False)


# --- what is written


def test_a_field_of_people_is_never_written_over() -> None:
    account = facts("Account", text("Partner_Tier__c"), filled={"Partner_Tier__c": 90})
    line = written_line("granted_tier", "Partner_Tier__c", account, ours=False, read=frozenset())
    assert (line.value, line.sure) == ("Crmsync_Partner_Tier__c", False)
    assert "filled 90 %" in line.why
    assert (
        written_line("granted_tier", "Partner_Tier__c", account, ours=True, read=frozenset()).value == "Partner_Tier__c"
    )


# --- the whole


class Shipped:
    """The field map that ships; its repr is short, so that a failing example stays readable."""

    def __init__(self) -> None:
        self.mapping = read_mapping(packaged_folder() / "connectors" / "salesforce.yaml")


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return Shipped()


def test_what_is_unknown_is_left_out_marked_and_the_rest_is_a_field_map(shipped: Shipped, tmp_path: Path) -> None:
    account = facts("Account", text("Region__c"), values={"Type": {"Partner": 10, "Customer": 90}})
    found = org(account, partner_deals=50)
    proposal = propose(found, shipped.mapping, {"partners": {"region": None, "csat": ColumnType.NUMBER}})
    yaml = drawn(proposal, found)
    path = tmp_path / "salesforce.yaml"
    path.write_text(yaml, encoding="utf-8")
    mapping = read_mapping(path)
    assert set(mapping.tables) == {"partners", "opportunities", "overrides", "rates"}
    assert "  # ? certifications: no object that points at accounts or contacts is called certification" in yaml
    assert "# ? csat: no field of a fitting type has a name like it; the program reads it" in yaml
    assert mapping.tables["partners"].columns["region"].text == "Region__c"
    assert mapping.tables["opportunities"].partners[0].partner.text == "AccountId"
    assert mapping.writes is not None
    assert yaml.count("# ?") == int(yaml.split(" lines are marked")[0].rpartition("# ")[2]) + 1  # the heading says it


LABELS = st.text(min_size=0, max_size=30)


@settings(max_examples=40, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(label=LABELS, other=LABELS, value=st.text(min_size=1, max_size=20))
def test_no_label_or_value_of_an_org_breaks_the_file(
    shipped: Shipped, tmp_path_factory: pytest.TempPathFactory, label: str, other: str, value: str
) -> None:
    picked = f"Partner {value}"
    region = Field("Region__c", label, "picklist")
    account = facts("Account", region, Field("Type", other, "picklist", values=(picked,)),
                    values={"Type": {picked: 5}}, label=other)  # fmt: skip
    certificates = facts("Zertifikat__c", to_account("Firma__c", label), Field("On__c", other, "date"), label=label)
    found = org(account, certificates, notes=(label,), partner_deals=99)
    path = tmp_path_factory.mktemp("map") / "salesforce.yaml"
    path.write_text(drawn(propose(found, shipped.mapping), found), encoding="utf-8", newline="\n")
    mapping = read_mapping(path)
    assert set(mapping.tables["partners"].columns) >= {"partner_id", "name"}
    assert mapping.tables["certifications"].object.text == "Zertifikat__c"
    assert set(mapping.tables) >= {"partners", "opportunities"}


def test_opportunities_that_credit_nobody_are_left_out_with_what_is_known(shipped: Shipped, tmp_path: Path) -> None:
    found = org(partner_deals=0)
    yaml = drawn(propose(found, shipped.mapping), found)
    path = tmp_path / "salesforce.yaml"
    path.write_text(yaml, encoding="utf-8")
    assert "opportunities" not in read_mapping(path).tables
    assert (
        "  # ? opportunities: Opportunity (standard object, 100 records) is left out: who is credited is not known"
        in yaml
    )
    assert "  #   ? AccountId: 0 % of the opportunities have a partner as their own account" in yaml


def test_our_own_results_are_never_read_as_input(shipped: Shipped) -> None:
    assert shipped.mapping.writes is not None
    tier = text("Partner_Tier__c")
    ours = facts("Account", tier, text(shipped.mapping.writes.token.text), filled={"Partner_Tier__c": 90})
    theirs = facts("Account", tier, filled={"Partner_Tier__c": 90})

    def hand_kept(account: ObjectFacts) -> list[Line]:
        return [line for line in propose(org(account), shipped.mapping).tables[0].columns if line.key == "current_tier"]

    assert hand_kept(ours) == []
    assert [line.value for line in hand_kept(theirs)] == ["Partner_Tier__c"]
