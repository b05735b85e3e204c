"""CumulusCI, unmodified: `cci org info` knows the org."""

from __future__ import annotations

import json
from pathlib import Path

from crmsync.sandbox.process import Org
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


def test_org_info_knows_the_org(org: Org, tunnel: str, certificates: Certificates, tmp_path: Path) -> None:
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
    project = tmp_path / "partners"
    project.mkdir()
    environment = machine(tmp_path, through(tunnel, certificates) | keychain)
    run(["git", "init", "--quiet", "--initial-branch", "main"], environment, project)
    run(["git", "remote", "add", "origin", "https://github.com/example/partners.git"], environment, project)
    (project / "cumulusci.yml").write_text(PROJECT_FILE, encoding="utf-8")
    said = run([program("cumulusci", "cci"), "org", "info", "emu", "--json"], environment, project)
    info = json.loads(said[said.index("{") :])
    assert info["instance_url"] == PUBLIC_URL
    assert info["userinfo"]["preferred_username"] == org.username
    assert info["userinfo"]["organization_id"] == org.org_id
