"""Our reader on a small org: a field map in, the rows of its tables out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.settings import SalesforceSettings
from crmsync.snapshots import Staging
from tests.sandbox.orgs import Client


def read_tables(org: Client, field_map: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of every mapped table that the org can have, as the client's user sees them."""
    path = folder / "map.yaml"
    path.write_text(field_map, encoding="utf-8")
    token = str(org.session.headers["Authorization"]).removeprefix("Bearer ")
    settings = SalesforceSettings.model_validate({"instance_url": org.org.instance_url, "access_token": token})
    staging = Staging(folder / "snapshot")
    mapping = read_mapping(path)
    SalesforceConnector(settings, mapping, folder / "state").extract([*mapping.tables], staging)
    return {name: pq.read_table(table.path).to_pylist() for name, table in staging.tables.items()}
