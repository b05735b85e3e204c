"""What a table looks like: several credited partners, direct deals, single-currency orgs, and the values now there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crmsync.errors import ConfigError, StoreError
from crmsync.snapshots import Staging
from crmsync.tables import ColumnType
from tests.connectors.salesforce.wire import ACCOUNT, MAP, Opened, Wire, account, entry, fault, ok, open_connector, page

TWO = """
tables:
  opportunities:
    object: Opportunity
    columns: {opportunity_id: Id, amount: Amount, created_on: CreatedDate}
    partners:
      - {partner_id: Reseller__c, role: reseller}
      - {partner_id: Distributor__c, role: distributor, share: %s}
"""
R, D = "001000000000001AAA", "001000000000002AAA"


def deal(number: int, reseller: str | None = None, distributor: str | None = None, **more: Any) -> dict[str, Any]:
    """A record of Opportunity."""
    record = {"Id": f"006{number:012d}AAA", "Amount": 10.5, "CreatedDate": "2026-01-31T23:30:00.000+0000"}
    return record | {"Reseller__c": reseller, "Distributor__c": distributor} | more


def read(wire: Wire, opened: Opened, *records: dict[str, Any]) -> list[tuple[Any, ...]]:
    """(opportunity, partner, role, share) of each row."""
    wire.counts("Opportunity", len(records))
    wire.page("Opportunity", page(records))
    opened.connector.extract(["opportunities"], opened.staging)
    rows = opened.rows("opportunities")
    return sorted(
        ((row["opportunity_id"][8:15], row["partner_id"], row.get("role"), row.get("share")) for row in rows), key=str
    )


def test_each_credited_partner_gives_a_row_read_once(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, TWO % '"0.5"')
    assert read(wire, opened, deal(1, R, D), deal(2, R), deal(3, None, D)) == [
        ("0000001", R, "reseller", 1.0),
        ("0000001", D, "distributor", 0.5),
        ("0000002", R, "reseller", 1.0),
        ("0000003", D, "distributor", 0.5),
    ]
    assert len(wire.made("GET", ".*SELECT Id,.* FROM [AO][cp].*")) == 1


def test_a_deal_of_nobody_is_counted_not_rejected(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, TWO % '"0.5"')
    wire.counts("Opportunity", 2)
    wire.page("Opportunity", page([deal(1, R), deal(2)]))
    report = opened.connector.extract(["opportunities"], opened.staging)
    assert (report.direct, report.rejected, report.rows) == ({"opportunities": 1}, (), {"opportunities": 2})
    assert [row["partner_id"] for row in opened.rows("opportunities")] == [R]


def test_a_row_of_nobody_is_left_out_of_every_table_but_partners(wire: Wire, opened: Opened) -> None:
    wire.counts("Opportunity", 2)
    empty = {"Name": "x", "Amount": 1, "IsWon": True, "CloseDate": None}
    wire.page("Opportunity", page([deal(1, **empty, AccountId=R), deal(2, **empty, AccountId=None)]))
    report = opened.connector.extract(["opportunities"], opened.staging)
    assert (report.direct, report.counts_after) == ({"opportunities": 1}, {"opportunities": 2})
    assert opened.staging.tables["opportunities"].rows == len(opened.rows("opportunities")) == 1


def test_a_share_may_be_a_percent_field(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, TWO % "Split__c")
    rows = read(wire, opened, deal(1, R, D, Split__c=25.0), deal(2, R, D, Split__c=None))
    assert [row[3] for row in rows if row[2] == "distributor"] == [0.25, None]


def test_without_shares_and_roles_these_columns_are_not_delivered(wire: Wire, tmp_path: Path) -> None:
    text = "\n".join(line for line in (TWO % "1").splitlines() if "Distributor" not in line).replace(
        ", role: reseller", ""
    )
    opened = open_connector(tmp_path, text)
    read(wire, opened, deal(1, R))
    columns = opened.staging.tables["opportunities"].columns
    assert set(columns) == {"opportunity_id", "amount", "created_on", "partner_id"}


def test_a_table_without_rows_has_its_columns(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, TWO % '"0.5"')
    assert read(wire, opened) == []
    assert pq.read_schema(opened.staging.path("opportunities")).names == list(
        opened.staging.tables["opportunities"].columns
    )


@pytest.mark.parametrize(("zone", "day"), [("UTC", 31), ("Europe/Berlin", 1), ("org", 1)])
def test_date_times_are_dates_of_the_maps_zone(wire: Wire, tmp_path: Path, zone: str, day: int) -> None:
    wire.on(
        "GET",
        ".*FROM Organization.*",
        ok({"records": [{"Id": "00D000000000001AAA", "TimeZoneSidKey": "Europe/Berlin"}]}),
    )
    opened = open_connector(tmp_path, f"time_zone: {zone}" + TWO % "1")
    read(wire, opened, deal(1, R))
    assert opened.rows("opportunities")[0]["created_on"].day == day


def test_a_disk_that_does_not_take_the_extract_is_named(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path)
    wire.counts("Account", 0)
    wire.page("Account", page([]))
    (tmp_path / "state").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="state: the extract cannot be kept"):
        opened.connector.extract(["partners"], opened.staging)


# --- single-currency orgs


def test_a_currency_column_that_the_org_lacks_is_left_out_with_a_note(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(
        tmp_path, (TWO % "1").replace("amount: Amount", "amount: Amount, currency: CurrencyIsoCode")
    )
    wire.counts("Opportunity", 0)
    wire.page("Opportunity", page([]))
    report = opened.connector.extract(["opportunities"], opened.staging)
    assert "currency" not in opened.staging.tables["opportunities"].columns
    assert report.notes == ("opportunities.currency: the org has one currency only (CurrencyIsoCode does not exist)",)


WHO = """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"><e:Body>
<getUserInfoResponse><result><organizationMultiCurrency>false</organizationMultiCurrency>
<orgDefaultCurrencyIsoCode>%s</orgDefaultCurrencyIsoCode></result></getUserInfoResponse></e:Body></e:Envelope>"""
XML = {"Content-Type": "text/xml;charset=UTF-8"}


def test_a_currency_column_that_the_org_lacks_holds_its_one_currency(wire: Wire, tmp_path: Path) -> None:
    text = (TWO % "1").replace("amount: Amount", "amount: Amount, currency: CurrencyIsoCode")
    opened = open_connector(tmp_path, text)
    wire.on("GET", ".*/sobjects/CurrencyType/describe", fault(400, "INVALID_TYPE"))
    wire.on("POST", "/services/Soap/u/67.0", (200, XML, WHO % "SEK"))
    wire.counts("Opportunity", 2)
    wire.page("Opportunity", page([deal(1, Reseller__c=R, Distributor__c=D), deal(2, Reseller__c=R)]))
    report = opened.connector.extract(["opportunities"], opened.staging)
    assert [row["currency"] for row in opened.rows("opportunities")] == ["SEK"] * 3
    said = "opportunities.currency: the org has one currency only, SEK (CurrencyIsoCode does not exist)"
    assert report.notes == (said,)
    assert opened.staging.tables["opportunities"].columns["currency"] is ColumnType.TEXT


def test_a_currency_column_that_one_object_lacks_in_an_org_with_several_is_a_mistake(
    wire: Wire, tmp_path: Path
) -> None:
    opened = open_connector(
        tmp_path, (TWO % "1").replace("amount: Amount", "amount: Amount, currency: CurrencyIsoCode")
    )
    wire.describe("CurrencyType", RATE_FIELDS)
    with pytest.raises(ConfigError, match=r"Opportunity\.CurrencyIsoCode does not exist"):
        opened.connector.extract(["opportunities"], opened.staging)


RATE_FIELDS = [entry("Id", "id"), entry("IsoCode", "picklist"), entry("ConversionRate", "double")]
RATES = """
tables:
  rates: {object: %s, columns: {currency: IsoCode, effective_from: StartDate, rate: ConversionRate}}
"""


def test_rates_without_dates_are_those_of_the_currencies(wire: Wire, tmp_path: Path) -> None:
    """Several currencies, but no advanced currency management: DatedConversionRate does not exist."""
    opened = open_connector(tmp_path, RATES % "DatedConversionRate")
    wire.on("GET", ".*/sobjects/DatedConversionRate/describe", fault(404, "NOT_FOUND"))
    wire.describe("CurrencyType", RATE_FIELDS)
    wire.counts("CurrencyType", 2)
    records = [
        {"Id": f"01L00000000000{n}AAA", "IsoCode": code, "ConversionRate": 1.25}
        for n, code in enumerate(["EUR", "USD"])
    ]
    wire.page("CurrencyType", page(records))
    report = opened.connector.extract(["rates"], opened.staging)
    assert [(row["currency"], float(row["rate"])) for row in opened.rows("rates")] == [("EUR", 1.25), ("USD", 1.25)]
    assert "effective_from" not in opened.staging.tables["rates"].columns
    assert report.notes == ("rates: the org's rates have no dates; those of CurrencyType hold for every day",)


@pytest.mark.parametrize("name", ["DatedConversionRate", "CurrencyType"])
def test_rates_that_the_org_lacks_are_left_out_with_a_note(wire: Wire, tmp_path: Path, name: str) -> None:
    opened = open_connector(tmp_path, RATES % name)
    wire.on("GET", ".*/sobjects/(DatedConversionRate|CurrencyType)/describe", fault(400, "INVALID_TYPE"))
    report = opened.connector.extract(["rates"], opened.staging)
    assert (report.rows, opened.staging.tables) == ({}, {})
    assert report.notes == ("rates: the org has one currency only, so there are no rates",)


# --- what stands on the accounts now


def current(wire: Wire, opened: Opened, *records: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of current_values."""
    wire.counts("Account", len(records))
    wire.page("Account", page(records))
    opened.connector.extract(["partners", "current_values"], opened.staging)
    return opened.rows("current_values")


HELD = {
    "Tier__c": "Gold",
    "Progress__c": 85.0,
    "Segments__c": "B;A",
    "Why__c": "a\r\nb",
    "Provisional__c": True,
    "Token__c": "t",
}


def test_current_values_come_with_the_partners_in_canonical_text(wire: Wire, opened: Opened) -> None:
    empty = dict.fromkeys(HELD) | {"Provisional__c": False}
    first, second = current(wire, opened, account(1, **HELD), account(2, **empty))
    assert first == {
        "record_id": R,
        "partner_id": R,
        "Tier__c": "Gold",
        "Progress__c": "85",
        "Segments__c": "A;B",
        "Why__c": "a b",
        "Provisional__c": "true",
        "Token__c": "t",
    }
    assert second == {"record_id": D, "partner_id": D} | empty | {"Provisional__c": "false"}
    assert len(wire.made("GET", ".*SELECT Id,.* FROM [AO][cp].*")) == 1
    assert set(opened.staging.tables["current_values"].columns.values()) == {ColumnType.TEXT}


def test_current_values_are_staged_only_when_asked_for(wire: Wire, opened: Opened) -> None:
    wire.counts("Account", 0)
    wire.page("Account", page([]))
    opened.connector.extract(["partners"], opened.staging)
    assert set(opened.staging.tables) == {"partners"}


def test_a_field_that_is_not_there_yet_is_empty_and_noted(wire: Wire, opened: Opened) -> None:
    wire.describe("Account", [field for field in ACCOUNT if field["name"] != "Why__c"])
    held = {name: value for name, value in HELD.items() if name != "Why__c"}
    assert current(wire, opened, account(1, **held))[0]["Why__c"] is None


def test_a_rejected_partner_has_no_current_values(wire: Wire, opened: Opened) -> None:
    rows = current(wire, opened, account(1, **HELD, Partner_Since__c="soon"), account(2, **HELD))
    assert [row["record_id"] for row in rows] == [D]


def test_a_rejected_partner_is_remembered_with_its_record(wire: Wire, opened: Opened) -> None:
    current(wire, opened, account(1, **HELD, Partner_Since__c="soon"), account(2, **HELD))
    (partner,) = opened.staging.rejected_partners.items()
    assert (partner[0], partner[1].place) == (R, f"Account {R}")
    assert partner[1].values["name"] == "P1"


def test_further_fields_are_typed_as_salesforce_says(wire: Wire, tmp_path: Path) -> None:
    extra = [*ACCOUNT, entry("Since__c", "datetime"), entry("Score__c", "double"), entry("Fee__c", "currency")]
    wire.describe("Account", extra)
    columns = (
        "since: Since__c, score: Score__c, fee: Fee__c, segments: Segments__c, provisional: Provisional__c, kind: Type"
    )
    opened = open_connector(tmp_path, MAP.replace("name: Name, joined_on: Partner_Since__c", columns))
    wire.counts("Account", 0)
    wire.page("Account", page([]))
    opened.connector.extract(["partners"], opened.staging)
    kinds = {name: kind.value for name, kind in opened.staging.tables["partners"].columns.items()}
    assert kinds == {
        "partner_id": "text",
        "since": "date",
        "score": "number",
        "fee": "money",
        "segments": "list",
        "provisional": "yes_no",
        "kind": "text",
    }


# --- credited by objects of their own

ROLE = [
    entry("Id", "id"),
    entry("Deal__c", "reference", referenceTo=["Opportunity"], relationshipName="Deal__r"),
    entry("Partner__c", "reference", referenceTo=["Account"], relationshipName="Partner__r"),
    entry("Role", "picklist"),
    entry("Percent__c", "percent"),
    entry("IsPrimary", "boolean"),
]
MIXED = """
tables:
  opportunities:
    object: Opportunity
    columns: {opportunity_id: Id, amount: Amount}
    partners:
      - {partner_id: Reseller__c, role: reseller}
      - {object: Deal_Share__c, opportunity: Deal__c, partner_id: Partner__c, role: Role, share: Percent__c}
      - {object: Deal_Share__c, opportunity: Deal__c, partner_id: Partner__c, role: primary, filter: "IsPrimary = true"}
"""


def share(
    number: int, of: int, partner: str | None, role: str, percent: float, primary: bool = False
) -> dict[str, Any]:
    """A record that credits a partner on a deal."""
    deal_id = f"006{of:012d}"  # 15 characters, as some exports have it
    record = {"Id": f"a0X{number:012d}AAA", "Deal__c": deal_id, "Partner__c": partner, "Role": role}
    return record | {"Percent__c": percent, "IsPrimary": primary}


def mixed(wire: Wire, tmp_path: Path, deals: list[dict[str, Any]], shares: list[dict[str, Any]]) -> tuple[Opened, Any]:
    """An extract of opportunities that are credited in three ways."""
    wire.describe("Deal_Share__c", ROLE)
    wire.counts("Opportunity", len(deals))
    wire.page("Opportunity", page(deals))
    wire.counts("Deal_Share__c", len(shares))
    wire.page("Deal_Share__c", page(shares))
    primary = [one for one in shares if one["IsPrimary"]]
    wire.on(
        "GET", r".*COUNT\(\) FROM Deal_Share__c WHERE.*", ok({"totalSize": len(primary), "done": True, "records": []})
    )
    wire.on("GET", r".*SELECT Id.* FROM Deal_Share__c WHERE IsPrimary = true", page(primary))
    opened = open_connector(tmp_path, MIXED)
    return opened, opened.connector.extract(["opportunities"], opened.staging)


def credits_of(opened: Opened) -> list[tuple[Any, ...]]:
    """(deal, partner, role, share) in the order of the table."""
    rows = opened.rows("opportunities")
    return [(int(row["opportunity_id"][3:15]), row["partner_id"], row["role"], row["share"]) for row in rows]


def test_lookups_and_records_of_another_object_credit_together(wire: Wire, tmp_path: Path) -> None:
    deals = [deal(1, R), deal(2), deal(3)]
    shares = [share(1, 1, D, "VAR/Reseller", 40), share(2, 2, D, "Broker", 12.5), share(3, 9, D, "Broker", 1)]
    opened, report = mixed(wire, tmp_path, deals, shares)
    assert credits_of(opened) == [(1, R, "reseller", 1.0), (1, D, "VAR/Reseller", 0.4), (2, D, "Broker", 0.125)]
    assert report.direct == {"opportunities": 1}
    assert report.notes == ()


def test_a_partner_named_twice_counts_once_by_the_first_way(wire: Wire, tmp_path: Path) -> None:
    shares = [
        share(1, 1, R, "Broker", 30),
        share(2, 1, D, "Dealer", 20, primary=True),
        share(3, 1, D, "Agency", 10),
        share(4, 1, None, "Agency", 10),
    ]
    opened, report = mixed(wire, tmp_path, [deal(1, R[:15])], shares)
    assert credits_of(opened) == [(1, R, "reseller", 1.0), (1, D, "Dealer", 0.2)]
    assert report.notes == (
        "opportunities: 3 times a partner was credited on the same record in several ways; each counts once, by the "
        "way that the field map names first",
    )


def test_a_share_that_is_no_number_is_rejected_with_its_record(wire: Wire, tmp_path: Path) -> None:
    opened, report = mixed(wire, tmp_path, [deal(1)], [share(1, 1, R, "Broker", 30) | {"Percent__c": "much"}])
    assert credits_of(opened) == []
    assert [(one.file, one.column, one.value) for one in report.rejected] == [
        ("Deal_Share__c a0X000000000001AAA", "share", "much")
    ]


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        (
            "Deal__c,",
            "Deel__c,",
            r"salesforce.yaml:8: field Deal_Share__c.Deel__c does not exist .*did you mean Deal__c",
        ),
        ("Deal__c,", "IsPrimary,", "Deal_Share__c.IsPrimary is boolean, not a lookup"),
        ("role: Role,", "role: Rolle__c,", "Deal_Share__c.Rolle__c does not exist"),
        ("share: Percent__c", "share: Role", "Deal_Share__c.Role is picklist, not a number"),
        ("Deal_Share__c, opp", "Deal_Shares__c, opp", "object Deal_Shares__c does not exist"),
        ("opportunity: Deal__c, ", "", "`opportunity:` is missing"),
        ("Reseller__c, role: reseller", "Reseller__c", "each credited partner needs a `role:` of its own"),
        ("role: reseller}", "role: reseller, opportunity: Id}", "`opportunity` belongs to an `object:` of its own"),
    ],
)
def test_a_wrong_way_of_crediting_is_told_before_anything_is_read(
    wire: Wire, tmp_path: Path, good: str, bad: str, told: str
) -> None:
    wire.describe("Deal_Share__c", ROLE)
    assert good in MIXED
    with pytest.raises(ConfigError, match=told):
        open_connector(tmp_path, MIXED.replace(good, bad, 1)).connector.extract(
            ["opportunities"], Staging(tmp_path / "s")
        )
    assert not wire.made("GET", r".*COUNT\(\).*")


def test_one_partner_in_both_lookups_counts_once(wire: Wire, tmp_path: Path) -> None:
    opened = open_connector(tmp_path, TWO % '"0.5"')
    assert read(wire, opened, deal(1, R, R)) == [("0000001", R, "reseller", 1.0)]
