"""A sandbox org that a foreign client takes for *.salesforce.com, and a client that is logged in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from simple_salesforce import Salesforce

from crmsync.sandbox.process import Org, start_org
from tests.clients import own_run
from tests.clients.certificates import Certificates, make_certificates
from tests.clients.foreign import machine, through
from tests.clients.tunnel import open_tunnel

PUBLIC_URL = "https://emu.my.salesforce.com"
PARTNERS = 40


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of this test run."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def org(certificates: Certificates) -> Iterator[Org]:
    """A sandbox process with a sample company, which says that it lives at PUBLIC_URL; each module has its own, since
    a second ledger would be refused by an org that another one has written to."""
    arguments = ["--sample", str(PARTNERS), "--seed", "7", "--public-url", PUBLIC_URL]
    with start_org([*arguments, "--jwt-public-key", str(certificates.client.certificate)]) as running:
        yield running


@pytest.fixture(scope="module")
def tunnel(org: Org, certificates: Certificates) -> Iterator[str]:
    """The address of the proxy in front of the org."""
    port = urlsplit(org.instance_url).port
    assert port is not None
    with open_tunnel(port, certificates.server) as address:
        yield address


@pytest.fixture(scope="module")
def plain_org(certificates: Certificates) -> Iterator[Org]:
    """An org of the module's own with the same company, under its own address."""
    key = str(certificates.client.certificate)
    with start_org(["--sample", str(PARTNERS), "--seed", "7", "--jwt-public-key", key]) as running:
        yield running


@pytest.fixture(scope="module")
def ran(org: Org, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of crmsync over the module's org."""
    folder = tmp_path_factory.mktemp("own")
    own_run.crmsync(org, folder, "run")
    return folder


@pytest.fixture(scope="module")
def environment(tunnel: str, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a client that goes through the tunnel, with a home of its own."""
    return machine(tmp_path_factory.mktemp("home"), through(tunnel, certificates))


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
