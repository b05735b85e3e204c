"""The field map: one token changed in a good file gives a message with file, line and what would be right."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from crmsync.connectors.mapping import MANAGED, Place, SalesforceMapping, read_mapping
from crmsync.errors import ConfigError
from tests.connectors.salesforce.wire import MAP, Wire, open_connector

GOOD = """\
time_zone: Europe/Berlin
tables:
  partners:
    object: Account
    filter: "Type = 'Partner'"
    columns: {partner_id: Id, name: Name, joined_on: Partner_Since__c}
  opportunities:
    object: Opportunity
    columns: {opportunity_id: Id, amount: Amount, closed_on: CloseDate}
    partners:
      - {partner_id: Reseller__c, role: reseller}
      - {partner_id: Distributor__c, role: distributor, share: "0.5"}
      - {partner_id: AccountId, role: seller, share: Split__c}
  certifications:
    object: Partner_Certification__c
    columns: {certification_id: Id, partner_id: Account__c, issued_on: Issued_On__c, expires_on: Expires_On__c}
    expires_on: last day
  campaigns:
    object: Campaign
    columns: {partner_id: Partner__c, started_on: StartDate}
    main_date: started_on
writes:
  object: Account
  token: Token__c
  fields: {granted_tier: Tier__c, progress: Progress__c}
  people: {dispute: Dispute__c}
  partner_safe: {tier: Portal_Tier__c}
  standings:
    object: Standing__c
    partner: Account__c
    key: Key__c
    fields: {category: Category__c, granted_tier: Tier__c}
  history: {object: Change__c, partner: Account__c, key: Key__c, fields: {to_tier: Tier__c}}
  plan_record: {object: Plan__c, key: Digest__c, fields: {decision: Decision__c, state: State__c}}
"""


def read(tmp_path: Path, text: str = GOOD) -> SalesforceMapping:
    """The map of a text."""
    path = tmp_path / "salesforce.yaml"
    path.write_text(text, encoding="utf-8")
    return read_mapping(path)


def test_a_good_map_is_read_whole(tmp_path: Path) -> None:
    mapping = read(tmp_path)
    assert mapping.time_zone == "Europe/Berlin"
    assert list(mapping.tables) == ["partners", "opportunities", "certifications", "campaigns"]
    assert mapping.tables["partners"].filter == Place("Type = 'Partner'", 5)
    credited = mapping.tables["opportunities"].partners
    assert [(one.role and one.role.text, one.share) for one in credited] == [
        ("reseller", None), ("distributor", Decimal("0.5")), ("seller", Place("Split__c", 13)),
    ]  # fmt: skip
    assert mapping.tables["certifications"].expires_on_is_last_day
    assert mapping.tables["campaigns"].main_date == "started_on"
    assert mapping.writes is not None
    assert [place.text for place in mapping.writes.all_fields] == [
        "Tier__c",
        "Progress__c",
        "Portal_Tier__c",
        "Token__c",
    ]
    assert mapping.writes.people == {"dispute": Place("Dispute__c", 26)}
    assert mapping.writes.partner_safe == {"tier": Place("Portal_Tier__c", 27)}
    assert mapping.writes.standings is not None
    assert [place.text for place in mapping.writes.standings.all_fields] == [
        "Account__c", "Key__c", "Category__c", "Tier__c",
    ]  # fmt: skip
    assert mapping.writes.history is not None
    assert mapping.writes.history.object == Place("Change__c", 33)


@pytest.mark.parametrize(
    ("token", "instead", "line", "words"),
    [
        ("granted_tier: Tier__c", "granted_tier: Rating", 25, "`Rating` is a standard field"),
        ("token: Token__c", "token: Name", 24, "`Name` is a standard field"),
        ("token: Token__c", "token: Token__c\n  last_error: Token__c", 25, "`Token__c` is already written by `token`"),
        ("Europe/Berlin", "Europe/Berln", 1, "`Europe/Berln` is not a time zone"),
        ("time_zone", "timezone", 1, "unknown key `timezone`; did you mean `time_zone`"),
        ("tables:", "table:", 2, "unknown key `table`; did you mean `tables`"),
        (
            "object: Account\n    filter",
            "objekt: Account\n    filter",
            4,
            "unknown key `objekt`; did you mean `object`",
        ),
        ("object: Account\n    filter", "object: Account.Owner\n    filter", 4, "`Account.Owner` is not an object"),
        ("partner_id: Id", "partner: Id", 6, "`partner_id:` is missing; table partners needs it"),
        ("name: Name", "Name: Name", 6, "`Name` cannot be a column"),
        ("name: Name", "name: Na me", 6, "`Na me` is not a field path"),
        ("name: Name", "name: Name;DROP", 6, "`Name;DROP` is not a field path"),
        ("name: Name", "name: A.B.C.D.E.F.G", 6, "is not a field path"),
        ("name: Name", "partner_id: Name", 6, "duplicate key `partner_id`"),
        ("opportunity_id: Id", "opportunity_id: [Id]", 9, "a single value is needed here"),
        ("amount: Amount", "partner_id: AccountId", 9, "`partner_id` is given by `partners:` too"),
        ("role: distributor", "role: reseller", 11, "each credited partner needs a `role:` of its own"),
        ("role: distributor", "roles: distributor", 12, "unknown key `roles`; did you mean `role`"),
        ('share: "0.5"', 'share: "1.5"', 12, "`1.5` is not a share between 0 and 1"),
        ('share: "0.5"', 'share: "0,5"', 12, "`0,5` is not a number"),
        ("share: Split__c", "share: Split c", 13, "`Split c` is not a share"),
        ("certification_id: Id", "certificate: Id", 16, "`certification_id:` is missing"),
        ("last day", "lastday", 17, "`lastday` is not known here; write `last day`"),
        ("expires_on: Expires_On__c", "ends_on: Expires_On__c", 17, "needs the columns issued_on and expires_on"),
        ("main_date: started_on", "main_date: begun_on", 21, "`begun_on` is not one of the columns of campaigns"),
        ("    main_date: started_on\n", "", 20, "`happened_on:` is missing; table campaigns needs it"),
        ("campaigns", "Campaigns", 18, "`Campaigns` cannot be the name of a table"),
        ("campaigns", "current_values", 18, "`current_values` cannot be the name of a table"),
        ("token: Token__c", "tokens: Token__c", 24, "unknown key `tokens`; did you mean `token`"),
        ("granted_tier", "grantedtier", 25, "unknown key `grantedtier`; did you mean `granted_tier`"),
        ("progress: Progress__c", "progress: Tier__c", 25, "`Tier__c` is already written by `granted_tier`"),
        ("granted_tier: Tier__c", "granted_tier: Owner.Name", 25, "`Owner.Name` is not a field"),
        ("granted_tier: Tier__c", "granted_tier: token__c", 25, "`token__c` is already written by `token`"),
        ("people: {", "peoples: {", 26, "unknown key `peoples`; did you mean `people`"),
        ("dispute: Dispute__c", "disputed: Dispute__c", 26, "unknown key `disputed`; did you mean `dispute`"),
        ("dispute: Dispute__c", "dispute: Tier__c", 26, "`Tier__c` is already written by `granted_tier`"),
        ("tier: Portal_Tier__c", "tier: Rating", 27, "`Rating` is a standard field"),
        ("tier: Portal_Tier__c", "risk: Portal_Risk__c", 27, "unknown key `risk`"),
        ("tier: Portal_Tier__c", f"tier: {'A' * 41}__c", 27, "is 41 letters long before __c; Salesforce takes 40"),
        ("object: Standing__c", "object: Asset", 29, "`Asset` is a standard object, and child records"),
        ("object: Standing__c\n    ", "", 29, "`object:` is missing here"),
        ("key: Key__c\n", "key: account__c\n", 31, "`account__c` is already written by `partner`"),
        ("category: Category__c", "category: Key__c", 32, "`Key__c` is already written by `key`"),
        ("category: Category__c", "categories: Category__c", 32, "unknown key `categories`; did you mean `category`"),
        ("object: Change__c", "object: standing__c", 33, "`standing__c` is already the object of `standings`"),
        ("to_tier: Tier__c", "tier: Tier__c", 33, "unknown key `tier`; did you mean `to_tier`"),
        ("object: Plan__c", "object: Change__c", 34, "`Change__c` is already the object of `history`"),
        ("object: Plan__c", "object: Task", 34, "`Task` is a standard object, and plan records"),
        ("decision: Decision__c", "answer: Decision__c", 34, "`decision:` is missing"),
        ("state: State__c", "state: digest__c", 34, "`digest__c` is already written by `key`"),
        ("state: State__c", "states: State__c", 34, "unknown key `states`; did you mean `state`"),
    ],
)
def test_one_wrong_token_is_named_with_its_line(
    tmp_path: Path, token: str, instead: str, line: int, words: str
) -> None:
    assert token in GOOD
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD.replace(token, instead, 1))
    assert f"salesforce.yaml:{line}: " in str(caught.value)
    assert words in str(caught.value)


def test_partners_belong_to_opportunities(tmp_path: Path) -> None:
    text = GOOD.replace("    expires_on: last day", "    partners: [{partner_id: Account__c}]")
    with pytest.raises(ConfigError, match="`partners:` belongs to opportunities"):
        read(tmp_path, text)


def test_a_map_of_no_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"salesforce\.yaml:1: no table is mapped"):
        read(tmp_path, "tables: {}\n")


def test_the_map_that_ships_is_good(project: Path) -> None:
    mapping = read_mapping(project / "config" / "connectors" / "salesforce.yaml")
    assert mapping.writes is not None
    assert set(mapping.writes.fields) == set(MANAGED)


# --- against the org


@pytest.mark.parametrize(
    ("token", "instead", "line", "words"),
    [
        (
            "object: Opportunity",
            "object: Oportunity",
            8,
            "object Oportunity does not exist .* did you mean Opportunity",
        ),
        ("amount: Amount", "amount: Amout", 10, "field Opportunity.Amout does not exist .* did you mean Amount"),
        ("amount: Amount", "amount: Name", 10, "opportunities.amount is money, but Opportunity.Name is string"),
        ("amount: Amount", "amount: IsWon", 10, "opportunities.amount is money, but Opportunity.IsWon is boolean"),
        ("is_won: IsWon", "is_won: Name", 10, "opportunities.is_won is yes_no, but Opportunity.Name is string"),
        (
            "closed_on: CloseDate",
            "closed_on: Amount",
            10,
            "opportunities.closed_on is date, but Opportunity.Amount is curr",
        ),
        (
            "name: Name, amount",
            "name: Acount.Name, amount",
            10,
            "Opportunity has no relationship Acount; did you mean Account",
        ),
        (
            "name: Name, amount",
            "name: Account.Nam, amount",
            10,
            "field Account.Nam does not exist .* did you mean Name",
        ),
        ("partner_id: Id, name: Name", "partner_id: Id, name: BillingAddress", 6, "BillingAddress is a compound field"),
        (
            "object: Account\n  token",
            "object: Opportunity\n  token",
            12,
            "goes to Opportunity, but partners are read from Acc",
        ),
    ],
)
def test_what_the_org_does_not_have_is_named_before_anything_is_read(
    wire: Wire, tmp_path: Path, token: str, instead: str, line: int, words: str
) -> None:
    assert token in MAP
    opened = open_connector(tmp_path, MAP.replace(token, instead, 1))
    with pytest.raises(ConfigError, match=rf"salesforce\.yaml:{line}: .*{words}"):
        opened.connector.extract(["partners", "opportunities", "current_values"], opened.staging)
    assert not wire.made("GET", ".*/query/.*")
    assert opened.staging.tables == {}


def test_a_table_that_is_not_mapped_is_named(wire: Wire, tmp_path: Path) -> None:
    del wire
    opened = open_connector(tmp_path)
    with pytest.raises(ConfigError, match="table activities is not mapped; mapped are: partners, opportunities"):
        opened.connector.extract(["activities"], opened.staging)


def test_names_take_the_spelling_of_the_org(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, MAP.replace("name: Name, joined_on", "name: parent.NAME, joined_on"))
    wire.counts("Account", 0)
    wire.page("Account", (200, {"Content-Type": "application/json"}, '{"totalSize": 0, "done": true, "records": []}'))
    opened.connector.extract(["partners"], opened.staging)
    assert wire.made("GET", ".*SELECT Id, Parent.Name, Partner_Since__c FROM Account.*")
