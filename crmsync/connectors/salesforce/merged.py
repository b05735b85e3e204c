"""Accounts that people merged: the losers are deleted and name their master."""

from __future__ import annotations

from collections.abc import Mapping

from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.parts import DELETED
from crmsync.connectors.salesforce.rest_query import rest_blocks
from crmsync.connectors.salesforce.rows import ID, long_ids
from crmsync.connectors.salesforce.soql import select

MASTER = "MasterRecordId"


def read_merged(org: Org, describe: Describe, sobject: str) -> Mapping[str, str]:
    """Master by loser, both as 18-character ids; none where the object cannot be merged."""
    found = describe.object(sobject)
    if found.field(MASTER) is None or found.field(DELETED) is None:
        return {}
    paths = [describe.resolve(found.name, name) for name in (ID, MASTER)]
    soql = select(paths, found.name, f"{DELETED} = true AND {MASTER} != null")
    first = org.get("queryAll", {"q": soql})
    merged: dict[str, str] = {}
    for block in rest_blocks(org, first, found.name, (ID, MASTER)):
        merged |= zip(long_ids(block[ID]).to_pylist(), long_ids(block[MASTER]).to_pylist(), strict=True)
    return merged
