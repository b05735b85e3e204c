"""The two ways by which data gets into a snapshot: a folder of files, and an org over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crmsync.connectors.checks import check_rows
from crmsync.connectors.files import read_tables
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.sandbox.process import start_org
from crmsync.settings import SalesforceSettings
from crmsync.snapshots import Snapshot, Staging


@dataclass(frozen=True)
class Delivered:
    """A sealed snapshot, and how many rows of nobody each table had."""

    snapshot: Snapshot
    direct: Mapping[str, int]


def snapshot_of_files(tables: Path, folder: Path) -> Delivered:
    """Seal a folder of CSV tables; nothing in it is rejected."""
    staging = Staging(folder)
    report = read_tables(tables, staging)
    checks = check_rows(staging)
    assert report.rejected == ()
    assert checks.rejected == ()
    return Delivered(staging.seal(), {**report.direct, **checks.direct})


def snapshot_of_org(records: Path, field_map: Path, folder: Path) -> Delivered:
    """Serve the records as an org on loopback, read it over HTTP through a field map and seal what came."""
    with start_org(["--data", str(records)]) as org:
        settings = SalesforceSettings(instance_url=org.instance_url, access_token=org.access_token)
        mapping = read_mapping(field_map)
        connector = SalesforceConnector(settings, mapping, folder.parent, "UTC")
        staging = Staging(folder)
        report = connector.extract(list(mapping.tables), staging)
        checks = check_rows(staging)
        assert report.rejected == ()
        assert checks.rejected == ()
        assert report.counts_before == report.counts_after
        return Delivered(staging.seal(), {**report.direct, **checks.direct})
