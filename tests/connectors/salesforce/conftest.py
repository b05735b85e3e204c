"""A wire with one small org, and a connector on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import responses

from crmsync.connectors.salesforce.metadata.retrieved import Present
from crmsync.sandbox.process import Org, start_org
from tests.connectors.salesforce.deploys import World, deployed, world
from tests.connectors.salesforce.faulty import PARTNERS, Faulty
from tests.connectors.salesforce.wire import ACCOUNT, OPPORTUNITY, Opened, Wire, ok, open_connector


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Scripted answers of https://acme.my.salesforce.com."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        wire = Wire(mock)
        wire.describe("Account", ACCOUNT)
        wire.describe("Opportunity", OPPORTUNITY)
        names = [{"name": "Account"}, {"name": "Opportunity"}, {"name": "Partner_Certification__c"}]
        wire.on("GET", "/services/data/v67.0/sobjects/?", ok({"sobjects": names}))
        yield wire


@pytest.fixture
def opened(wire: Wire, tmp_path: Path) -> Opened:
    """A connector that talks to the wire."""
    del wire
    return open_connector(tmp_path)


@pytest.fixture
def empty(tmp_path: Path) -> World:
    """A field map and a program, over an org that has nothing of them yet."""
    return world(tmp_path)


@pytest.fixture
def full(empty: World) -> Present:
    """The org after a first deploy."""
    return deployed(empty.plan())


@pytest.fixture(scope="module")
def org() -> Iterator[Org]:
    with start_org(["--sample", str(PARTNERS), "--seed", "7", "--today", "2026-06-30"]) as running:
        yield running


@pytest.fixture
def faulty(org: Org, project: Path, tmp_path: Path) -> Iterator[Faulty]:
    one = Faulty(org, project / "config" / "connectors" / "salesforce.yaml", tmp_path)
    yield one
    one.fault()
