"""The connector against the sandbox org over real HTTP: it reads what is there, and what it writes is there after."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from crmsync.connectors.base import ExtractReport, Write
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.retries import Retries
from crmsync.connectors.salesforce import fetching
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.errors import AccessError
from crmsync.sandbox.process import Org, start_org
from crmsync.settings import SalesforceSettings
from crmsync.snapshots import Staging

pytestmark = pytest.mark.xdist_group("salesforce-org")  # one org for all tests of this file
PARTNERS = 300
COMMAND = ["--sample", str(PARTNERS), "--seed", "7", "--today", "2026-06-30"]


@dataclass
class Sandbox:
    """A running sandbox org."""

    org: Org
    key_file: Path

    def settings(self, **more: Any) -> SalesforceSettings:
        """How to reach it."""
        given = {"instance_url": self.org.instance_url, "access_token": self.org.access_token}
        return SalesforceSettings.model_validate(given | more)

    def effects(self) -> dict[str, Any]:
        """What the org itself counted since the last reset."""
        with urllib.request.urlopen(f"{self.org.instance_url}/__sandbox/effects", timeout=10) as answer:
            return json.loads(answer.read())

    def forget_effects(self) -> None:
        """Start counting anew."""
        request = urllib.request.Request(f"{self.org.instance_url}/__sandbox/effects", method="DELETE")
        urllib.request.urlopen(request, timeout=10).close()

    def edit(self, record_id: str, **fields: Any) -> None:
        """Somebody edits an account by hand."""
        request = urllib.request.Request(
            f"{self.org.instance_url}/services/data/v67.0/sobjects/Account/{record_id}",
            data=json.dumps(fields).encode(),
            headers={"Authorization": f"Bearer {self.org.access_token}", "Content-Type": "application/json"},
            method="PATCH",
        )
        urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A small sample company, served by a process of its own."""
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "private.pem", folder / "public.pem"
    key = rsa.generate_private_key(65537, 2048)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with start_org([*COMMAND, "--jwt-public-key", str(public)]) as org:
        yield Sandbox(org, private)


@pytest.fixture
def connector(sandbox: Sandbox, project: Path, tmp_path: Path) -> SalesforceConnector:
    """The connector with the field map that ships."""
    mapping = read_mapping(project / "config" / "connectors" / "salesforce.yaml")
    return SalesforceConnector(sandbox.settings(), mapping, tmp_path / "state", "UTC", Retries(attempts=3))


def extract(connector: SalesforceConnector, folder: Path, *tables: str) -> tuple[Staging, ExtractReport]:
    """An extract of tables (all of them when none are named)."""
    staging = Staging(folder / "snapshot")
    return staging, connector.extract(tables or [*connector.mapping.tables, "current_values"], staging)


def test_every_mapped_table_is_read_and_counted(connector: SalesforceConnector, tmp_path: Path) -> None:
    staging, report = extract(connector, tmp_path)
    assert report.rows["partners"] == PARTNERS
    assert report.rows == dict(report.counts_before) == dict(report.counts_after)
    assert report.rows["opportunities"] > fetching.BULK_ABOVE
    assert report.rejected == ()
    snapshot = staging.seal()
    assert set(snapshot.tables) == {*connector.mapping.tables, "current_values", "current_values.standings"}
    assert {"dispute", "dispute_comment"} <= set(snapshot.tables["partners"].columns)
    assert all(table.rows == pq.read_metadata(table.path).num_rows for table in snapshot.tables.values())


def test_bulk_and_rest_give_the_same_rows(
    connector: SalesforceConnector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = ("partners", "opportunities", "certifications", "current_values")
    monkeypatch.setattr(fetching, "BULK_ABOVE", 10**9)
    by_rest, _ = extract(connector, tmp_path / "rest", *tables)
    monkeypatch.setattr(fetching, "BULK_ABOVE", -1)
    by_bulk, _ = extract(connector, tmp_path / "bulk", *tables)
    for table in tables:
        ours, theirs = (str(staging.path(table)) for staging in (by_rest, by_bulk))
        assert pq.read_schema(ours) == pq.read_schema(theirs)
        different = (
            "SELECT count(*) FROM ((FROM '{0}' EXCEPT ALL FROM '{1}') UNION ALL (FROM '{1}' EXCEPT ALL FROM '{0}'))"
        )
        with duckdb.connect() as engine:
            assert engine.execute(different.format(ours, theirs)).fetchall() == [(0,)], table


def test_a_deal_credited_twice_is_two_rows_of_one_record(connector: SalesforceConnector, tmp_path: Path) -> None:
    staging, report = extract(connector, tmp_path, "opportunities")
    rows = pq.read_table(staging.path("opportunities"), columns=["opportunity_id", "partner_id", "role", "share"])
    records = len(set(rows.column("opportunity_id").to_pylist()))
    assert records + report.direct["opportunities"] == report.rows["opportunities"]
    assert rows.num_rows > records
    assert rows.column("partner_id").null_count == 0
    roles = {(row["role"], row["share"]) for row in rows.to_pylist()}
    assert roles == {("reseller", 1.0), ("distributor", 0.5)}


def some_partners(connector: SalesforceConnector, folder: Path, count: int) -> list[str]:
    """The ids of a few partners."""
    staging, _ = extract(connector, folder, "partners")
    return sorted(pq.read_table(staging.path("partners")).column("partner_id").to_pylist())[:count]


def wanted(run: str) -> dict[str, str | None]:
    """Values of every type that we write."""
    return {
        "Tier_Progress__c": "85",
        "Tier_Provisional__c": "true",
        "Tier_Explanation__c": f'{run}: revenue 1,200,000 of 1,500,000 "EUR"; Müller & Söhne 🚲',
        "Tier_Risk_Date__c": "2026-09-28",
        "Tier_Run_Id__c": run,
        "Partner_Write_Token__c": f"token-{run}",
        "Tier_Main_Blocker__c": None,
    }


def test_one_record_is_written_once_and_read_back(
    connector: SalesforceConnector, sandbox: Sandbox, tmp_path: Path
) -> None:
    (record_id,) = some_partners(connector, tmp_path, 1)
    before = connector.read([record_id], list(wanted("one")))[record_id]
    write = Write(record_id, wanted("one"), before)
    sandbox.forget_effects()
    assert connector.write_one(write).state == "applied"
    assert connector.read([record_id], list(wanted("one"))) == {record_id: wanted("one")}
    assert connector.write_one(write).state == "applied"
    effects = sandbox.effects()
    assert effects["records"]["Account"] == {record_id: 1}
    assert effects["calls"]["write"] == connector.writes_used == 1


def test_a_hand_edit_is_a_conflict_and_stays(connector: SalesforceConnector, sandbox: Sandbox, tmp_path: Path) -> None:
    record_id = some_partners(connector, tmp_path, 2)[1]
    before = connector.read([record_id], list(wanted("two")))[record_id]
    sandbox.edit(record_id, Tier_Explanation__c="by hand")
    assert connector.write_one(Write(record_id, wanted("two"), before)).state == "conflict"
    assert connector.read([record_id], ["Tier_Explanation__c"]) == {record_id: {"Tier_Explanation__c": "by hand"}}


@pytest.mark.parametrize(
    ("edit", "state"), [({"Tier_Explanation__c": "by hand"}, "conflict"), ({"Description": "called them"}, "applied")]
)
def test_an_edit_between_look_and_write_is_not_lost(
    connector: SalesforceConnector, sandbox: Sandbox, tmp_path: Path, edit: dict[str, str], state: str
) -> None:
    """The org itself refuses the write (412); what was edited decides whether it is tried again."""
    record_id = some_partners(connector, tmp_path, 4)[2 if state == "conflict" else 3]
    before = connector.read([record_id], list(wanted("race")))[record_id]
    edits = [edit]

    def meddle(answer: requests.Response, **_: Any) -> None:
        if edits and answer.request.method == "GET" and record_id in (answer.request.url or ""):
            sandbox.edit(record_id, **edits.pop())

    connector.org.session.hooks["response"].append(meddle)
    assert connector.write_one(Write(record_id, wanted("race"), before)).state == state
    ((name, text),) = edit.items()
    assert connector.read([record_id], [name]) == {record_id: {name: text}}


def test_a_bulk_job_writes_each_record_once(connector: SalesforceConnector, sandbox: Sandbox, tmp_path: Path) -> None:
    ids = some_partners(connector, tmp_path, 220)
    writes = [Write(record_id, wanted(f"bulk {number}"), {}) for number, record_id in enumerate(ids)]
    sandbox.forget_effects()
    job = connector.create_job()
    connector.upload_job(job, writes)
    assert connector.job_state(job).state == "open"
    assert "Account" not in sandbox.effects().get("records", {})
    connector.start_job(job)
    connector.start_job(job)
    for _ in range(600):
        found = connector.job_state(job)
        if found.state != "running":
            break
        connector.org.retries.sleep(0.05)
    assert (found.state, found.processed, found.failed) == ("done", 220, 0)
    assert {written.record_id: written.state for written in connector.job_results(job)} == dict.fromkeys(ids, "applied")
    assert sandbox.effects()["records"]["Account"] == dict.fromkeys(ids, 1)
    assert connector.read(ids, list(wanted(""))) == {write.record_id: write.values for write in writes}


def test_values_now_there_are_those_that_were_written(connector: SalesforceConnector, tmp_path: Path) -> None:
    (record_id,) = some_partners(connector, tmp_path / "ids", 1)
    connector.write_one(Write(record_id, wanted("now"), {}))
    staging, _ = extract(connector, tmp_path, "partners", "current_values")
    (row,) = [row for row in pq.read_table(staging.path("current_values")).to_pylist() if row["record_id"] == record_id]
    assert {name: row[name] for name in wanted("now")} == wanted("now")


def test_a_tier_that_the_org_cannot_hold_is_refused_before_any_write(
    connector: SalesforceConnector, sandbox: Sandbox, tmp_path: Path
) -> None:
    ids = some_partners(connector, tmp_path, 3)
    sandbox.forget_effects()
    good, bad = {"Tier_Progress__c": "1"}, {"Tier_Risk__c": "terrible"}
    with pytest.raises(AccessError, match=rf"Account\.Tier_Risk__c has no active picklist value `terrible` .*{ids[2]}"):
        connector.check_writes([Write(ids[0], good, {}), Write(ids[1], good, {}), Write(ids[2], bad, {})])
    assert sandbox.effects()["calls"]["write"] == 0


def test_a_record_that_is_gone_is_absent_and_its_write_fails(connector: SalesforceConnector) -> None:
    gone = "001zzzzzzzzzzzzAAA"
    assert connector.read([gone], ["Tier_Progress__c"]) == {}
    assert connector.write_one(Write(gone, {"Tier_Progress__c": "1"}, {})).state == "failed"


def test_the_org_tells_its_id_and_what_it_cost(connector: SalesforceConnector, sandbox: Sandbox) -> None:
    assert connector.identity() == sandbox.org.org_id
    assert len(connector.identity()) == 18
    assert connector.api_usage is not None
    assert connector.api_usage[0] <= connector.api_usage[1]


def test_a_wrong_token_says_what_to_set(sandbox: Sandbox, project: Path, tmp_path: Path) -> None:
    mapping = read_mapping(project / "config" / "connectors" / "salesforce.yaml")
    wrong = SalesforceConnector(sandbox.settings(access_token="00Dxx!wrong"), mapping, tmp_path, "UTC")
    with pytest.raises(AccessError, match="CRMSYNC_SALESFORCE__ACCESS_TOKEN"):
        wrong.identity()


@pytest.mark.parametrize("way", ["client_secret", "refresh_token", "jwt_key_file"])
def test_lasting_credentials_log_in_and_renew(sandbox: Sandbox, project: Path, tmp_path: Path, way: str) -> None:
    mapping = read_mapping(project / "config" / "connectors" / "salesforce.yaml")
    secret = sandbox.key_file if way == "jwt_key_file" else getattr(sandbox.org, way)
    credentials = {"client_id": sandbox.org.client_id, "username": sandbox.org.username, way: secret}
    for token in (None, "00Dxx!expired"):
        settings = sandbox.settings(**credentials, access_token=token)
        assert SalesforceConnector(settings, mapping, tmp_path, "UTC").identity() == sandbox.org.org_id
