"""jsforce, unmodified: SOAP and OAuth login, arrays, a bulk load, describe and the Metadata API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.process import Org
from tests.clients import own_run
from tests.clients.conftest import PARTNERS
from tests.clients.foreign import HERE, group, machine, program, run

pytestmark = group("jsforce")


@pytest.fixture(scope="module")
def org(plain_org: Org) -> Org:
    """The org under its own address."""
    return plain_org


@pytest.fixture(scope="module")
def said(org: Org, ran: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What jsforce saw and did."""
    given = {
        "login": org.instance_url, "username": org.username, "password": org.password + org.security_token,
        "client_id": org.client_id, "client_secret": org.client_secret, "row": own_run.NEWCOMER,
        "soql": f"SELECT Id, {', '.join(own_run.WRITTEN)} FROM Account WHERE Partner_Tier__c != null",
    }  # fmt: skip
    modules = program("node", "node").parent.parent
    home = tmp_path_factory.mktemp("home")
    environment = machine(home, {"NODE_PATH": str(modules)})
    command = [program("node", "node"), HERE / "scripts" / "jsforce.js"]
    found: dict[str, Any] = json.loads(run(command, environment, ran, typed=json.dumps(given)))
    return found


def test_both_logins_are_the_same_user(org: Org, said: dict[str, Any]) -> None:
    assert (said["soap"], said["identity"]) == (org.user_id, org.username)


def test_describe_knows_what_crmsync_writes(said: dict[str, Any]) -> None:
    assert set(own_run.WRITTEN) <= set(said["described"])
    assert said["listed"] > 10


def test_a_query_gives_what_the_run_wrote(org: Org, said: dict[str, Any]) -> None:
    read = {one["Id"]: own_run.texts(one) for one in said["records"]}
    assert read == {key: values for key, values in own_run.rest_values(org).items() if key in read}
    assert len(read) > PARTNERS / 2


def test_arrays_are_written(said: dict[str, Any]) -> None:
    assert [(one["success"], one["created"]) for one in said["upserted"]] == [(True, True)]
    assert said["updated"][0]["success"]


def test_a_bulk_load_names_the_rows_that_failed(said: dict[str, Any]) -> None:
    (ok,), (failed,) = said["loaded"]["ok"], said["loaded"]["failed"]
    assert (ok["Name"], ok["sf__Created"]) == ('Łódź, "Sp." z o.o.', "true")
    assert failed["sf__Error"].startswith("REQUIRED_FIELD_MISSING")


def test_a_field_is_made_read_and_removed(said: dict[str, Any]) -> None:
    assert [one["success"] for one in (*said["made"], *said["removed"])] == [True, True]
    assert [one["fullName"] for one in said["read"]] == ["Account.Jsforce__c"]


def test_the_next_run_reads_what_jsforce_wrote(org: Org, ran: Path, said: dict[str, Any]) -> None:
    assert said["upserted"][0]["created"]
    own_run.crmsync(org, ran, "run")
    assert own_run.tier_of(org, "NEWCOMER")
