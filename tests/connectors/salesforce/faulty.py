"""A sandbox org in which things go wrong on request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crmsync.connectors.base import ExtractReport
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.retries import Retries
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.sandbox.process import Org
from crmsync.settings import SalesforceSettings
from crmsync.snapshots import Staging
from tests.sandbox.orgs import Client

PARTNERS = 20


@dataclass
class Faulty:
    """An org in which things can be made to go wrong, and a connector with lasting credentials."""

    org: Org
    map: Path
    folder: Path

    def fault(self, *faults: dict[str, Any]) -> None:
        """Switch faults on, in place of the ones before."""
        answer = Client(self.org).call("PUT", "//__sandbox/faults", json=list(faults))
        assert answer.ok, answer.text

    def fired(self) -> list[int]:
        """How often each fault struck."""
        return [one["fired"] for one in Client(self.org).get("//__sandbox/faults").json()]

    def connector(self, **more: str) -> SalesforceConnector:
        """One that does not really sleep; `more`: further settings."""
        given = {
            "instance_url": self.org.instance_url,
            "client_id": self.org.client_id,
            "client_secret": self.org.client_secret,
            "username": self.org.username,
        } | more
        retries = Retries(attempts=4, budget_s=10_000, sleep=lambda _: None)
        return SalesforceConnector(
            SalesforceSettings.model_validate(given), read_mapping(self.map), self.folder / "state", "UTC", retries
        )

    def read(self) -> ExtractReport:
        """An extract of the partners."""
        return self.connector().extract(["partners"], Staging(self.folder / "snapshot"))
