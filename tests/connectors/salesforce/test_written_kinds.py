"""Every kind of field that is written, up to its limits, one by one and by a bulk job: what stands in the org
afterwards is what was wanted, and written again it is no change.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from crmsync.connectors.base import Write, Written
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.errors import AccessError
from crmsync.settings import SalesforceSettings
from tests.sandbox.orgs import Client, running, write_files

pytestmark = pytest.mark.xdist_group("error-table")

SCHEMA = """\
objects:
  Account:
    fields:
      Many__c: {type: MultiselectPicklist, visibleLines: 4, valueSet: {restricted: true, valueSetDefinition: {value: [
        {fullName: Zulu}, {fullName: "Service & Support"}, {fullName: Älter}, {fullName: Alpha}]}}}
      Whole__c: {type: Percent, precision: 3, scale: 0}
      Part__c: {type: Percent, precision: 5, scale: 2}
      Money__c: {type: Currency, precision: 18, scale: 2}
      Points__c: {type: Number, precision: 16, scale: 2}
      Day__c: {type: Date}
      Short__c: {type: Text, length: 255}
      Long__c: {type: LongTextArea, length: 32000, visibleLines: 5}
      Small__c: {type: LongTextArea, length: 300, visibleLines: 5}
      Yes__c: {type: Checkbox, defaultValue: false}
      Token__c: {type: Text, length: 64}
"""
MAP = """\
tables:
  partners: {object: Account, columns: {partner_id: Id, name: Name}}
writes:
  object: Account
  token: Token__c
  fields: {categories: Many__c, progress: Whole__c, points: Points__c, tier_since: Day__c, main_blocker: Short__c,
           why: Long__c, gap_summary: Small__c, provisional: Yes__c}
"""
FACE = "\N{GRINNING FACE}"  # two units of UTF-16, one letter
HELD = {  # field -> (what is wanted, what REST answers)
    "Many__c": ("Alpha;Service & Support;Älter", "Service & Support;Älter;Alpha"),  # the order of the picklist
    "Whole__c": ("100", 100),
    "Part__c": ("-85.25", -85.25),
    "Money__c": ("9007199254740.99", 9007199254740.99),
    "Points__c": ("12345678901.5", 12345678901.5),
    "Day__c": ("1999-12-31", "1999-12-31"),
    "Short__c": ("ü" * 255, "ü" * 255),
    "Long__c": ('x, "y" ' + "ö" * 31_992, 'x, "y" ' + "ö" * 31_992),
    "Yes__c": ("true", True),
}
REFUSED = {
    "Whole__c": ("1000", "holds 3 digits before the point and 0 behind it; `1000` is wanted"),
    "Part__c": ("1.005", "holds 3 digits before the point and 2 behind it; `1.005` is wanted"),
    "Money__c": ("12345678901234567", "holds 16 digits before the point"),
    "Many__c": ("Alpha;alpha", "has no active picklist value `alpha`"),
}


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    rows = "Name\n" + "".join(f"Firm {number}\n" for number in range(3))
    data = write_files(tmp_path_factory.mktemp("kinds"), {"schema.yaml": SCHEMA, "Account.csv": rows})
    with running("--data", str(data)) as client:
        yield client


@pytest.fixture
def connector(org: Client, tmp_path: Path) -> SalesforceConnector:
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    given = {"instance_url": org.org.instance_url, "access_token": org.org.access_token}
    settings = SalesforceSettings.model_validate(given)
    return SalesforceConnector(settings, read_mapping(tmp_path / "map.yaml"), tmp_path / "state")


def written(connector: SalesforceConnector, writes: Sequence[Write], bulk: bool) -> list[Written]:
    if not bulk:
        return [connector.write_one(write) for write in writes]
    job_id = connector.create_job()
    connector.upload_job(job_id, writes)
    connector.start_job(job_id)
    while connector.job_state(job_id).state == "running":
        time.sleep(0.01)
    return list(connector.job_results(job_id))


@pytest.mark.parametrize("bulk", [False, True], ids=["singly", "bulk"])
def test_each_kind_is_stored_as_it_is_wanted_and_cleared(
    org: Client, connector: SalesforceConnector, bulk: bool
) -> None:
    record = org.names("SELECT Id FROM Account ORDER BY Name")[int(bulk)]
    wanted = {name: text for name, (text, _) in HELD.items()}
    assert [one.state for one in written(connector, [Write(record, wanted, {})], bulk)] == ["applied"]
    (row,) = org.rows(f"SELECT {', '.join(HELD)} FROM Account WHERE Id = '{record}'")
    assert row == {name: answer for name, (_, answer) in HELD.items()}
    read = connector.read([record], list(HELD))[record]
    assert read == connector.fields.canonical_values(wanted)  # so that a second run finds nothing to write

    empty = {name: None for name in HELD if name != "Yes__c"}
    assert [one.state for one in written(connector, [Write(record, empty, {})], bulk)] == ["applied"]
    (row,) = org.rows(f"SELECT {', '.join(empty)} FROM Account WHERE Id = '{record}'")
    assert set(row.values()) == {None}


@pytest.mark.parametrize("bulk", [False, True], ids=["singly", "bulk"])
def test_a_longer_text_is_cut_between_letters_and_compares_equal(
    org: Client, connector: SalesforceConnector, bulk: bool
) -> None:
    record = org.names("SELECT Id FROM Account ORDER BY Name")[2]
    text = "a" + FACE * 200  # 401 units, 300 fit
    assert [one.state for one in written(connector, [Write(record, {"Small__c": text}, {})], bulk)] == ["applied"]
    (held,) = org.names(f"SELECT Small__c FROM Account WHERE Id = '{record}'")
    assert held == "a" + FACE * 149 + "…"
    assert connector.read([record], ["Small__c"])[record]["Small__c"] == connector.fields.canonical("Small__c", text)
    written(connector, [Write(record, {"Small__c": None}, {})], bulk)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_a_field_cannot_hold_is_refused_before_anything_is_sent(
    org: Client, connector: SalesforceConnector, name: str
) -> None:
    text, words = REFUSED[name]
    record = org.names("SELECT Id FROM Account ORDER BY Name")[0]
    before = org.effects()["calls"]["write"]
    with pytest.raises(AccessError, match=words):
        connector.check_writes([Write(record, {name: text}, {})])
    assert org.effects()["calls"]["write"] == before
