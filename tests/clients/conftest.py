"""A sandbox org that a foreign client takes for *.salesforce.com, and a client that is logged in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from simple_salesforce import Salesforce

from tests.clients.certificates import Certificates, make_certificates
from tests.clients.tunnel import open_tunnel

PUBLIC_URL = "https://emu.my.salesforce.com"
PARTNERS = 40


@dataclass(frozen=True)
class Org:
    """A running sandbox, as its first line told. `address` is on loopback."""

    address: str
    token: str
    username: str
    client_id: str
    client_secret: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of this test run."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def org(certificates: Certificates) -> Iterator[Org]:
    """A sandbox process with a sample company, which says that it lives at PUBLIC_URL."""
    command = [
        sys.executable, "-m", "crmsync.sandbox", "salesforce", "--sample", str(PARTNERS), "--seed", "7",
        "--public-url", PUBLIC_URL, "--jwt-public-key", str(certificates.client.certificate),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            names = ("access_token", "username", "client_id", "client_secret")
            yield Org(told["instance_url"], *(told[name] for name in names))
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def tunnel(org: Org, certificates: Certificates) -> Iterator[str]:
    """The address of the proxy in front of the org."""
    port = urlsplit(org.address).port
    assert port is not None
    with open_tunnel(port, certificates.server) as address:
        yield address


@pytest.fixture
def _through_tunnel(tunnel: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user would export before starting a client; nothing of the client is changed."""
    for name in ("NO_PROXY", "no_proxy", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, tunnel)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))


@pytest.fixture
def salesforce(_through_tunnel: None, org: Org) -> Iterator[Salesforce]:
    """simple-salesforce, logged in with client credentials."""
    client = Salesforce(consumer_key=org.client_id, consumer_secret=org.client_secret, domain="emu.my")
    yield client
    client.session.close()
