"""Values that the org gives to new records by itself: defaults, audit fields, numbers, ends of dated rates."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.schema import SObject

if TYPE_CHECKING:
    from crmsync.sandbox.org import Org


def defaults(org: Org, sobject: SObject, stamp: str) -> dict[str, Any]:
    """Stored values of a new record's fields that nobody gave."""
    row: dict[str, Any] = {}
    audit: dict[str, Any] = {
        "CreatedDate": stamp, "LastModifiedDate": stamp, "SystemModstamp": stamp, "CreatedById": org.acting_id,
        "LastModifiedById": org.acting_id, "OwnerId": org.acting_id, "CurrencyIsoCode": org.corporate,
    }  # fmt: skip
    for known in sobject.stored():
        if known.name in audit:
            row[known.name] = audit[known.name]
        elif known.kind == "flag":
            row[known.name] = int(known.default is True)
        elif known.default is not None and isinstance(known.default, str):
            row[known.name] = known.default
    return row


def name_record(org: Org, sobject: SObject, row: dict[str, Any]) -> None:
    """Number or name the record where that is the org's own task."""
    for known in sobject.fields:
        if known.auto_number is not None:
            row[known.name] = auto_number(known.auto_number, org.numbers.get(sobject.prefix, 0))
    named = sobject.name_field
    if named is not None and row.get(named.name) is None and sobject.custom:
        row[named.name] = row["Id"]


def auto_number(shape: str, number: int) -> str:
    """`PTH-{000000}` and 12 give `PTH-000012`."""
    return re.sub(r"\{(0+)\}", lambda match: str(number).zfill(len(match[1])), shape)


def end_rates(connection: sqlite3.Connection) -> None:
    """A dated rate holds until the next one of its currency begins; NextStartDate is that day."""
    connection.execute(
        'UPDATE "DatedConversionRate" AS d SET "NextStartDate" = coalesce((SELECT min(n."StartDate") '
        'FROM "DatedConversionRate" n WHERE n."IsoCode" = d."IsoCode" AND n."StartDate" > d."StartDate" '
        "AND n.\"IsDeleted\" = 0), '9999-12-31')"
    )
