"""Badges on contacts: what a person holds on the day, compared as a set, and nothing else of a contact."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa

from crmsync.belt import sinks_of
from crmsync.connectors.mapping_writes import read_writes
from crmsync.snapshots import Staging, TableFile, write_table
from crmsync.strict_yaml import read_yaml
from crmsync.tables import ColumnType
from crmsync.writeback.badges import badge_changes, badges_of
from crmsync.writeback.beside import Beside, Drafted
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import Sink
from crmsync.writeback.plan import draft_plan
from tests.writeback.facts import AS_OF, FIELDS, a_program, standing, standings

WRITES = """\
object: Account
token: Token__c
fields: {granted_tier: Tier__c}
sinks: {contact_badges: {badges: Badges__c}}
"""
SCHEMA = pa.schema(
    [("person_id", pa.string()), ("credential", pa.string()), ("issued_on", pa.date32()), ("expires_on", pa.date32())]
)
KINDS = dict(zip(SCHEMA.names, [ColumnType.TEXT, ColumnType.TEXT, ColumnType.DATE, ColumnType.DATE], strict=True))
HELD = ("record_id", "key", "account", "Badges__c")


def drafted(tmp_path: Path, certificates: list[dict[str, object]], held: dict[str, str | None]) -> list[Change]:
    file = tmp_path / "writes.yaml"
    file.write_text(WRITES, encoding="utf-8")
    staging = Staging(tmp_path / "snapshot")
    rows = pa.Table.from_pylist(certificates, schema=SCHEMA)
    count = write_table(staging.path("certifications"), rows, KINDS)
    staging.add(TableFile("certifications", staging.path("certifications"), count, KINDS, expires_on_is_last_day=True))
    contacts = [
        dict(zip(HELD, (contact, contact, "A", text), strict=True)) for contact, text in held.items()
    ]  # fmt: skip
    texts = dict.fromkeys(HELD, ColumnType.TEXT)
    schema = pa.schema([(name, pa.string()) for name in HELD])
    name = "current_values.contact_badges"
    written = write_table(staging.path(name), pa.Table.from_pylist(contacts, schema=schema), texts)
    staging.add(TableFile(name, staging.path(name), written, texts))
    fields = replace(FIELDS, sinks=tuple(sinks_of(read_writes(read_yaml(file)))))
    plan = draft_plan(a_program(), standings([standing("A")]), staging.seal(), fields, "run-1", AS_OF)
    return list(plan.beside)


def certificate(
    person: str, credential: str, begins: date | None = None, ends: date | None = None
) -> dict[str, object]:
    return {"person_id": person, "credential": credential, "issued_on": begins, "expires_on": ends}


def test_a_contact_shows_what_is_in_force_on_the_day(tmp_path: Path):
    rows = [
        certificate("003A", "Storage"),
        certificate("003A", "Cloud", date(2026, 1, 1), AS_OF),  # its last day
        certificate("003A", "Old", date(2020, 1, 1), date(2026, 11, 20)),
        certificate("003A", "Next", date(2026, 11, 22)),
        certificate("003X", "Cloud"),  # not a contact of this org
    ]
    (change,) = drafted(tmp_path, rows, {"003A": None})
    assert (change.object, change.key_field, change.record_id, change.partner_id) == ("Contact", None, "003A", "A")
    assert (dict(change.values), change.expected) == ({"Badges__c": "Cloud;Storage"}, {"Badges__c": None})


def test_the_order_of_a_multi_select_is_no_change(tmp_path: Path):
    assert drafted(tmp_path, [certificate("003A", "A"), certificate("003A", "B")], {"003A": "B;A"}) == []


def test_nobody_loses_badges_where_no_table_tells_who_holds_what(tmp_path: Path):
    """The column of persons was taken out of the field map, or the table out of the configuration."""
    for lost in ("person_id", "credential"):
        kinds = {name: kind for name, kind in KINDS.items() if name != lost}
        rows = pa.table(
            {name: pa.array(["x"], SCHEMA.field(name).type) for name in kinds if kinds[name] is ColumnType.TEXT}
        )
        staging = Staging(tmp_path / lost)
        texts = dict.fromkeys(rows.column_names, ColumnType.TEXT)
        count = write_table(staging.path("certifications"), rows, texts)
        staging.add(TableFile("certifications", staging.path("certifications"), count, texts))
        assert badges_of(staging.seal(), AS_OF) is None
    drafted_from = Drafted(a_program(), FIELDS, AS_OF, {"A": "A"})
    sink = Sink("contact_badges", "Contact", None, None, {"badges": "Badges__c"})
    held = {"003A": Beside("003A", "003A", "A", {"Badges__c": "Cloud"})}
    assert list(badge_changes(drafted_from, sink, held, None)) == []


def test_a_badge_that_has_lapsed_is_taken_away(tmp_path: Path):
    (change,) = drafted(tmp_path, [], {"003A": "Cloud", "003B": None})
    assert (change.record_id, dict(change.values)) == ("003A", {"Badges__c": None})
