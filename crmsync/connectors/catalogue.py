"""Name of a connector -> how it is opened. The one table that says which connectors exist.

Vendor clients are imported when a connector is opened, so that commands which need none start at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from crmsync.connectors.base import Source, Target
from crmsync.settings import Settings


class Connector(Source, Target, Protocol):
    """Reads tables and writes computed values."""


class Opener(Protocol):
    """Opens one connector from the settings of the process and a configuration folder."""

    def __call__(self, settings: Settings, config_dir: Path) -> Connector:
        """The connector; nothing is called before it is used. Errors: ConfigError with file and line."""
        ...


def _open_salesforce(settings: Settings, config_dir: Path) -> Connector:
    from crmsync.connectors.mapping import read_mapping
    from crmsync.connectors.salesforce.connector import SalesforceConnector

    mapping = read_mapping(config_dir / "connectors" / "salesforce.yaml")
    return SalesforceConnector(settings.salesforce, mapping, settings.state_dir)


OPENERS: Mapping[str, Opener] = MappingProxyType({"salesforce": _open_salesforce})
