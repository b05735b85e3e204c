"""Changes alone, put into what an earlier read kept, give the very snapshot that reading everything gives."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crmsync.connectors.base import ExtractReport
from crmsync.connectors.checks import check_rows
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.retries import Retries
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.errors import DataError
from crmsync.sandbox.process import start_org
from crmsync.settings import SalesforceSettings
from crmsync.snapshots import Snapshot, Staging
from tests.sandbox.orgs import Client

pytestmark = pytest.mark.xdist_group("increments")
EXAMPLES = int(os.environ.get("SOAK_INCREMENTS", "4"))  # make soak
COMMAND = ["--sample", "40", "--seed", "7", "--today", "2026-06-30"]
ROLES = """
      - {object: OpportunityPartner, opportunity: OpportunityId, partner_id: AccountToId, role: Role, share: "0.25"}
"""
TABLES = ("partners", "opportunities", "certifications", "activities", "overrides", "rates", "current_values")
OBJECTS = ("Account", "Opportunity", "Partner_Certification__c", "Partner_Activity__c", "Credential__c")


@dataclass
class World:
    """A sandbox org with people who work in it, and a reader."""

    client: Client
    folder: Path
    map: Path
    serial: Iterator[int] = field(default_factory=itertools.count)

    def connector(self) -> SalesforceConnector:
        """A connector that knows nothing yet."""
        org = self.client.org
        reached = {"instance_url": org.instance_url, "access_token": org.access_token}
        given = SalesforceSettings.model_validate(reached)
        return SalesforceConnector(given, read_mapping(self.map), self.folder / "state", "UTC", Retries(attempts=3))

    def read(
        self, since: Snapshot | None = None, overlap_s: float = 0.0, tables: tuple[str, ...] = TABLES
    ) -> tuple[Snapshot, ExtractReport, int]:
        """A sealed snapshot, its report, and how many calls it took."""
        staging = Staging(self.folder / f"s{next(self.serial)}", since, overlap_s)
        connector = self.connector()
        report = connector.extract(tables, staging)
        check_rows(staging)
        return staging.seal(), report, connector.calls_used

    def change(self, **changes: Any) -> list[str]:
        """What a person does at the screen; what the org does not allow is no matter here."""
        answer = self.client.call("POST", "//__sandbox/changes", json=changes)
        return answer.json() if answer.ok else []

    def ids(self, name: str) -> list[str]:
        """The ids of some records, there or deleted."""
        answer = self.client.get("/queryAll", params={"q": f"SELECT Id FROM {name} ORDER BY Id LIMIT 60"})
        return [one["Id"] for one in answer.json()["records"]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("increments")
    shipped = (project / "config" / "connectors" / "salesforce.yaml").read_text(encoding="utf-8")
    anchor = '      - {partner_id: Distributor__c, role: distributor, share: "0.5"}'
    (line,) = [line for line in shipped.splitlines() if line.startswith(anchor)]
    path = folder / "salesforce.yaml"
    path.write_text(shipped.replace(line, line + ROLES.rstrip()), encoding="utf-8")
    with start_org(COMMAND) as org:
        yield World(Client(org), folder, path)


@pytest.fixture(scope="module")
def ids(world: World) -> dict[str, list[str]]:
    return {name: world.ids(name) for name in OBJECTS}


def person(world: World, ids: dict[str, list[str]], what: str, first: int, second: int) -> None:
    """One thing that people do: records are picked by number."""

    def of(name: str, number: int) -> str:
        return ids[name][number % len(ids[name])]

    def edit(name: str, number: int, **fields: Any) -> dict[str, Any]:
        return {"object": name, "id": of(name, number), "fields": fields}

    account = of("Account", second)
    changes: dict[str, dict[str, Any]] = {
        "edit": {"edit": edit("Opportunity", first, Amount=second * 10)},
        "leave the filter": {"edit": edit("Account", first, Type="Customer" if second % 2 else "Partner")},
        "reparent": {"edit": edit("Opportunity", first, Reseller__c=account)},
        "credit": {
            "create": {
                "object": "OpportunityPartner",
                "fields": {"OpportunityId": of("Opportunity", first), "AccountToId": account, "Role": "Distributor"},
            }
        },
        "certify": {"edit": edit("Partner_Certification__c", first, Account__c=account)},
        "rename a parent": {"edit": edit("Credential__c", first, Level__c="expert" if second % 2 else "associate")},
        "write": {"edit": edit("Account", first, Partner_Tier__c=("Gold", "Silver")[second % 2])},
        "delete": {"delete": {"object": OBJECTS[second % 4], "id": of(OBJECTS[second % 4], first)}},
        "undelete": {"undelete": {"object": OBJECTS[second % 4], "id": of(OBJECTS[second % 4], first)}},
        "merge": {"merge": {"object": "Account", "master": of("Account", first), "losers": [account]}},
        "delete a parent": {"delete": {"object": "Credential__c", "id": of("Credential__c", first)}},
        "bad cell": {"edit": edit("Account", first, Partner_Since__c="2026-01-0" + str(1 + second % 9))},
    }
    world.change(**changes[what])


WHATS = (
    "edit", "leave the filter", "reparent", "credit", "certify", "rename a parent", "write", "delete", "undelete",
    "merge", "delete a parent", "bad cell",
)  # fmt: skip
NUMBERS = st.integers(0, 59)
ROUNDS = st.lists(
    st.lists(st.tuples(st.sampled_from(WHATS), NUMBERS, NUMBERS), min_size=0, max_size=8), min_size=1, max_size=2
)


@pytest.mark.timeout(60 if EXAMPLES < 10 else 20 * EXAMPLES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=ROUNDS, overlap_s=st.sampled_from([0.0, 600.0]))
def test_increments_equal_a_whole_read(
    world: World, ids: dict[str, list[str]], rounds: list[list[tuple[str, int, int]]], overlap_s: float
) -> None:
    snapshot, _, _ = world.read()
    for done in rounds:
        for what, first, second in done:
            person(world, ids, what, first, second)
        snapshot, _, _ = world.read(snapshot, overlap_s)
        assert "partners" in snapshot.held["increments"]
        whole, report, _ = world.read()
        assert snapshot.digest == whole.digest, {
            name: (snapshot.tables[name].rows, whole.tables[name].rows)
            for name in whole.tables
            if snapshot.tables[name].path.read_bytes() != whole.tables[name].path.read_bytes()
        }
        assert report.rows["partners"] == whole.held["parts"]["partners"]["rows"]


def test_an_increment_costs_few_calls_and_asks_for_few_rows(world: World, ids: dict[str, list[str]]) -> None:
    before, _, all_calls = world.read()
    world.change(edit={"object": "Opportunity", "id": ids["Opportunity"][0], "fields": {"Amount": 77}})
    after, _, calls = world.read(before)
    assert calls == 3, "versions; the org and its objects; three queries of each table"
    assert all_calls > 30
    assert set(after.held["increments"]) == set(after.held["parts"])
    assert after.held["parts"]["opportunities"]["seen"] > before.held["parts"]["opportunities"]["seen"]


def test_a_count_that_disagrees_leads_to_a_whole_read(world: World, ids: dict[str, list[str]]) -> None:
    activity = ids["Partner_Activity__c"][-1]
    world.change(undelete={"object": "Partner_Activity__c", "id": activity})
    before, _, _ = world.read()
    world.change(delete={"object": "Partner_Activity__c", "id": activity})
    rule = {"hide_rows": {"field": "Id", "value": activity}}
    world.client.call("PUT", "//__sandbox/faults", json=[{"path": "/composite/batch", "do": rule}])
    try:
        after, _, _ = world.read(before)
    finally:
        world.client.call("DELETE", "//__sandbox/faults")
    assert set(after.held["parts"]) - set(after.held["increments"]) == {"activities"}
    assert after.digest == world.read()[0].digest != before.digest


@pytest.mark.parametrize("overlap_s", [0.0, 900.0])
def test_an_org_that_never_rests_is_read_whole_all_the_same(
    world: World, ids: dict[str, list[str]], overlap_s: float
) -> None:
    """Somebody brings a record back while they are read, and deletes another when they are read again."""
    some = ids["Partner_Activity__c"]
    world.change(delete={"object": "Partner_Activity__c", "id": some[0]})
    seen: list[str] = []

    def people_work(what: str, done: int, total: int | None) -> None:  # noqa: ARG001
        if what == "activities" and len(seen) < 2:
            verb, record = ("undelete", some[0]) if not seen else ("delete", some[1])
            world.change(**{verb: {"object": "Partner_Activity__c", "id": record}})
            seen.append(verb)

    staging = Staging(world.folder / f"s{next(world.serial)}", None, overlap_s)
    world.connector().extract(TABLES, staging, people_work)
    check_rows(staging)
    busy = staging.seal()
    assert seen == ["undelete", "delete"], "both whole reads were disturbed"
    assert busy.held["increments"] == []
    assert busy.digest == world.read()[0].digest
    for record in some[:2]:
        world.change(undelete={"object": "Partner_Activity__c", "id": record})


def test_rows_that_are_hidden_are_not_made_up_for_by_changes(world: World, ids: dict[str, list[str]]) -> None:
    rule = {"hide_rows": {"field": "Id", "value": ids["Partner_Activity__c"][2]}}
    world.client.call("PUT", "//__sandbox/faults", json=[{"path": "/query", "do": rule}])
    try:
        with pytest.raises(DataError, match=r"table activities\): .* rows were read, but Salesforce counts"):
            world.read()
    finally:
        world.client.call("DELETE", "//__sandbox/faults")


def test_records_that_were_tampered_with_are_not_built_upon(world: World) -> None:
    before, _, _ = world.read()
    with (before.held_folder / "partners.parquet").open("ab") as file:
        file.write(b"x")
    after, _, _ = world.read(before)
    assert "partners" not in after.held["increments"]
    assert "opportunities" in after.held["increments"]
    assert after.digest == before.digest


def test_another_field_map_reads_only_its_own_query_anew(world: World) -> None:
    before, _, _ = world.read()
    text = world.map.read_text(encoding="utf-8")
    try:
        world.map.write_text(
            text.replace("      kind: Kind__c\n      value: Value__c", "      value: Value__c", 1), "utf-8"
        )
        after, _, _ = world.read(before)
    finally:
        world.map.write_text(text, encoding="utf-8")
    assert set(before.held["parts"]) - set(after.held["increments"]) == {"activities"}


def test_a_read_that_breaks_off_loses_nothing(world: World, ids: dict[str, list[str]]) -> None:
    before, _, _ = world.read()
    world.change(edit={"object": "Opportunity", "id": ids["Opportunity"][1], "fields": {"Amount": 4711}})
    staging = Staging(world.folder / "broken", before)
    world.connector().extract(TABLES, staging)
    staging.discard()
    after, _, _ = world.read(before)
    assert after.digest == world.read()[0].digest != before.digest


def test_an_org_of_another_id_is_read_whole(world: World) -> None:
    before, _, _ = world.read()
    other = dict(before.held) | {"org": "00D000000000009AAA"}
    object.__setattr__(before, "held", other)
    assert world.read(before)[0].held["increments"] == []
