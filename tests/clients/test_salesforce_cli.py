"""The Salesforce CLI, unmodified: deploys our metadata, reads what a run wrote, and writes what the next run reads."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.process import Org, start_org
from tests.clients import own_run
from tests.clients.certificates import Certificates
from tests.clients.conftest import PARTNERS
from tests.clients.foreign import group, machine, program, run

pytestmark = group("salesforce_cli")
QUIET = {
    "SF_USE_GENERIC_UNIX_KEYCHAIN": "true", "SF_DISABLE_TELEMETRY": "true", "SF_AUTOUPDATE_DISABLE": "true",
    "SF_SKIP_NEW_VERSION_CHECK": "true", "SF_DISABLE_LOG_FILE": "true", "NODE_NO_WARNINGS": "1",
}  # fmt: skip
"""No news, no telemetry: the org is the only address that the CLI calls."""


@dataclass(frozen=True)
class Cli:
    """The installed CLI with a home and a project folder of its own."""

    environment: dict[str, str]
    folder: Path

    def __call__(self, *arguments: str | Path, expected: int = 0, **more: str) -> Any:
        """The `result` of a command."""
        command = [program("node", "sf"), *arguments, "--json"]
        said = run(command, self.environment | more, self.folder, expected)
        return json.loads(said[said.index("{") :])["result"]


def logged_in(org: Org, folder: Path, certificates: Certificates) -> Cli:
    """The CLI, logged in with a signed assertion; the org is its default."""
    node = program("node", "sf").parent
    home, project = folder / "home", folder / "cli"
    home.mkdir()
    project.mkdir()
    environment = machine(home, QUIET)
    cli = Cli(environment | {"PATH": f"{node}:{environment['PATH']}"}, project)
    cli(
        "org", "login", "jwt", "--instance-url", org.instance_url, "--client-id", org.client_id, "--username",
        org.username, "--jwt-key-file", certificates.client.key, "--alias", "emu", "--set-default",
    )  # fmt: skip
    return cli


@pytest.fixture(scope="module")
def org(plain_org: Org) -> Org:
    """The org under its own address."""
    return plain_org


@pytest.fixture(scope="module")
def cli(org: Org, ran: Path, certificates: Certificates) -> Cli:
    """The CLI before an org that crmsync has written to."""
    return logged_in(org, ran, certificates)


def test_an_access_token_is_a_login(org: Org, cli: Cli) -> None:
    login = ("org", "login", "access-token", "--instance-url", org.instance_url, "--no-prompt", "--alias", "token")
    said = cli(*login, SF_ACCESS_TOKEN=org.access_token)
    assert (said["username"], said["orgId"]) == (org.username, org.org_id)


def test_limits_are_listed(cli: Cli) -> None:
    limits = {limit["name"]: limit for limit in cli("org", "list", "limits", "--target-org", "emu")}
    assert limits["DailyApiRequests"]["max"] == 115_000
    assert 0 < limits["DailyApiRequests"]["remaining"] < 115_000


def test_a_query_and_a_bulk_export_give_what_the_run_wrote(org: Org, cli: Cli) -> None:
    expected = own_run.rest_values(org)
    assert len(expected) > PARTNERS / 2
    soql = f"SELECT Id, {', '.join(own_run.WRITTEN)} FROM Account WHERE Partner_Tier__c != null"
    queried = cli("data", "query", "--query", soql, "--target-org", "emu")["records"]
    assert {one["Id"]: own_run.texts(one) for one in queried} == expected
    file = ("--output-file", "out.csv", "--result-format", "csv", "--wait", "5")
    cli("data", "export", "bulk", "--query", soql, *file, "--target-org", "emu")
    with (cli.folder / "out.csv").open(encoding="utf-8", newline="") as stream:
        exported = list(csv.DictReader(stream))
    assert {one["Id"]: own_run.texts(one) for one in exported} == expected


def test_what_the_cli_writes_in_bulk_the_next_run_reads(org: Org, ran: Path, cli: Cli) -> None:
    write_csv(cli.folder / "upsert.csv", own_run.NEWCOMER)
    upsert = ("--sobject", "Account", "--file", "upsert.csv", "--external-id", "Key__c", "--wait", "5")
    done = cli("data", "upsert", "bulk", *upsert, "--line-ending", "LF", "--target-org", "emu")
    assert done["jobInfo"]["numberRecordsFailed"] == 0
    found = f"SELECT Id, Name FROM Account WHERE Key__c = '{own_run.NEWCOMER['Key__c']}'"
    (made,) = cli("data", "query", "--query", found, "--target-org", "emu")["records"]
    assert made["Name"] == own_run.NEWCOMER["Name"]
    assert own_run.tier_of(org, "NEWCOMER") is None
    own_run.crmsync(org, ran, "run")
    tier = own_run.tier_of(org, "NEWCOMER")
    assert tier
    write_csv(cli.folder / "update.csv", {"Id": made["Id"], "Partner_Categories__c": "Distributor"})
    update = ("--sobject", "Account", "--file", "update.csv", "--wait", "5", "--line-ending", "LF")
    cli("data", "update", "bulk", *update, "--target-org", "emu")
    own_run.crmsync(org, ran, "run")
    assert own_run.tier_of(org, "NEWCOMER") not in {tier, None}  # the other category has other tiers


def test_our_metadata_is_deployed_and_described(certificates: Certificates, tmp_path: Path) -> None:
    key = str(certificates.client.certificate)
    with start_org(["--jwt-public-key", key]) as empty:
        own_run.crmsync(empty, tmp_path, "deploy", "plan", "--to", tmp_path / "project", expected=(0, 2, 3))
        cli = logged_in(empty, tmp_path, certificates)
        cli = Cli(cli.environment, tmp_path / "project")
        assert described(cli).isdisjoint(own_run.WRITTEN)
        source = ("--source-dir", "force-app", "--target-org", "emu", "--wait", "5")
        cli("project", "deploy", "start", "--dry-run", *source)
        done = cli("project", "deploy", "start", *source)
        assert (done["status"], done["numberComponentErrors"]) == ("Succeeded", 0)
        assert described(cli).isdisjoint(own_run.WRITTEN)  # nobody may see a new field until a permission set says so
        cli("org", "assign", "permset", "--name", "Crmsync_Run", "--target-org", "emu")
        assert described(cli) >= set(own_run.WRITTEN)
        assert "Standing_Key__c" in described(cli, "Partner_Standing__c")
        again = cli("project", "deploy", "start", *source, SF_ORG_METADATA_REST_DEPLOY="true")
        assert again["status"] == "Succeeded"


def described(cli: Cli, sobject: str = "Account") -> set[str]:
    """The fields that the CLI sees."""
    return {
        field["name"] for field in cli("sobject", "describe", "--sobject", sobject, "--target-org", "emu")["fields"]
    }


def write_csv(path: Path, row: dict[str, str]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(row), lineterminator="\n")
    writer.writeheader()
    writer.writerow(row)
    path.write_text(text.getvalue(), encoding="utf-8")
