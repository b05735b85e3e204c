"""CumulusCI, unmodified: `cci org info` knows the org, and its tasks of the first Bulk API read and write it."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from crmsync.sandbox.process import Org
from tests.clients import own_run
from tests.clients.certificates import Certificates
from tests.clients.conftest import PUBLIC_URL
from tests.clients.foreign import group, machine, program, run, through

pytestmark = group("cumulusci")
PROJECT_FILE = """minimum_cumulusci_version: '4.0.0'
project:
    name: partners
    package:
        name: partners
        api_version: '66.0'
    git:
        default_branch: main
"""


@dataclass(frozen=True)
class Cci:
    """The installed CumulusCI in a project of its own, whose only org is `emu`."""

    environment: dict[str, str]
    project: Path

    def __call__(self, *arguments: str) -> str:
        """What a command printed."""
        return run([program("cumulusci", "cci"), *arguments], self.environment, self.project)


@pytest.fixture(scope="module")
def cci(org: Org, tunnel: str, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Cci:
    """CumulusCI before the org."""
    home = tmp_path_factory.mktemp("home")
    login = {
        "access_token": org.access_token, "refresh_token": org.refresh_token, "instance_url": PUBLIC_URL,
        "client_id": org.client_id, "client_secret": org.client_secret,
        "id": f"https://login.salesforce.com/id/{org.org_id}/{org.user_id}",
    }  # fmt: skip
    keychain = {
        "CUMULUSCI_KEYCHAIN_CLASS": "cumulusci.core.keychain.EnvironmentProjectKeychain",
        "CUMULUSCI_ORG_emu": json.dumps(login),
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    project = home / "partners"
    project.mkdir()
    environment = machine(home, through(tunnel, certificates) | keychain)
    run(["git", "init", "--quiet", "--initial-branch", "main"], environment, project)
    run(["git", "remote", "add", "origin", "https://github.com/example/partners.git"], environment, project)
    (project / "cumulusci.yml").write_text(PROJECT_FILE, encoding="utf-8")
    return Cci(environment, project)


def test_org_info_knows_the_org(org: Org, cci: Cci) -> None:
    said = cci("org", "info", "emu", "--json")
    info = json.loads(said[said.index("{") :])
    assert info["instance_url"] == PUBLIC_URL
    assert info["userinfo"]["preferred_username"] == org.username
    assert info["userinfo"]["organization_id"] == org.org_id


@pytest.mark.usefixtures("ran")
def test_a_query_task_reads_what_the_run_wrote(org: Org, cci: Cci) -> None:
    soql = f"SELECT Id, {', '.join(own_run.WRITTEN)} FROM Account WHERE Partner_Tier__c != null"
    task = ("task", "run", "query", "--org", "emu", "--object", "Account")
    cci(*task, "--query", soql, "--result_file", "out.csv")
    with (cci.project / "out.csv").open(encoding="utf-8", newline="") as stream:
        read = {row["Id"]: own_run.texts(row) for row in csv.DictReader(stream)}
    assert read == own_run.rest_values(org)


def test_a_data_set_is_taken_out_and_loaded_again(org: Org, cci: Cci) -> None:
    name = own_run.NEWCOMER["Name"]
    mapping = f"Accounts: {{sf_object: Account, api: bulk, fields: [Name, Site], filters: [\"Name = '{name}'\"]}}\n"
    (cci.project / "mapping.yml").write_text(mapping, encoding="utf-8")
    own_run.create(org, "Account", own_run.NEWCOMER)
    files = ("--org", "emu", "--mapping", "mapping.yml", "--sql_path", "data.sql")
    cci("task", "run", "extract_dataset", *files)
    assert name in (cci.project / "data.sql").read_text(encoding="utf-8")
    cci("task", "run", "load_dataset", *files)
    assert own_run.count(org, f"SELECT count() FROM Account WHERE Name = '{name}'") == 2
