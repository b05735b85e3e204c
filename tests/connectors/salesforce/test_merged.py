"""Accounts that were merged away: files that still name the loser are led to the one that is left."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crmsync.connectors.partner_ids import survivors, use_known_ids
from crmsync.snapshots import Staging, TableFile, write_table
from crmsync.tables import ColumnType
from tests.connectors.salesforce.faulty import Faulty
from tests.sandbox.orgs import Client

pytestmark = pytest.mark.xdist_group("error-table")


def test_the_org_tells_who_was_merged_into_whom(faulty: Faulty) -> None:
    client = Client(faulty.org)
    ids = client.names("SELECT Id FROM Account WHERE Type = 'Partner' ORDER BY Id")
    merge = {"object": "Account", "master": ids[1], "losers": [ids[2]]}
    assert client.call("POST", "//__sandbox/changes", json={"merge": merge}).ok
    assert faulty.connector().merged_partners()[ids[2]] == ids[1]


def test_a_survivor_may_itself_have_been_merged() -> None:
    assert survivors({"a": "b", "b": "c", "x": "y", "y": "x"}) == {"a": "c", "b": "c"}


def test_files_name_partners_by_short_ids_and_by_merged_ones(tmp_path: Path) -> None:
    staging = Staging(tmp_path / "s")
    columns = {"partner_id": ColumnType.TEXT, "value": ColumnType.TEXT}
    given = ["001000000000001", "001000000000002AAA", None, "P-7", "001000000000003"]
    rows = pa.table({"partner_id": given, "value": list("abcde")})
    write_table(staging.path("leads"), rows, columns)
    staging.add(TableFile("leads", staging.path("leads"), 5, columns))
    assert use_known_ids(staging, "leads", {"001000000000003AAA": "001000000000002AAA"}) == 2
    found = pq.read_table(staging.path("leads")).column("partner_id").to_pylist()
    assert found == ["001000000000001AAA", "001000000000002AAA", None, "P-7", "001000000000002AAA"]
    assert use_known_ids(staging, "leads", {}) == 0
