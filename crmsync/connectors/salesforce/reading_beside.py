"""What the records beside the accounts hold now, read with the extract, so that only what differs is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.connectors.mapping import SalesforceMapping
from crmsync.connectors.mapping_sinks import ChildMap
from crmsync.connectors.mapping_writes import held_of
from crmsync.connectors.salesforce.describe import Describe, FieldPath, SObject
from crmsync.connectors.salesforce.fetching import PartRead
from crmsync.connectors.salesforce.held import batches
from crmsync.connectors.salesforce.parts import Part, part_of
from crmsync.connectors.salesforce.rows import ID, canonical, distinct
from crmsync.connectors.salesforce.soql import Condition, both, filled, quoted
from crmsync.errors import AccessError
from crmsync.snapshots import Staging, TableFile
from crmsync.tables import ColumnType

CURRENT_VALUES = "current_values"


@dataclass(frozen=True)
class BesidePlan:
    """How one kind of record is read. `columns`: column of the table -> described field."""

    table: str
    part: Part
    columns: Mapping[str, FieldPath]


def plans_beside(mapping: SalesforceMapping, describe: Describe) -> tuple[list[BesidePlan], list[str]]:
    """How the records that are changed later are read, `current_values.<name>`; and notes. People's have no key.

    What does not exist gives a note: the write says what is missing, before anything is written.
    """
    plans, notes = [], []
    for name, child in held_of(mapping.writes) if mapping.writes else ():
        sobject = describe.find(child.object.text)
        if sobject is None:
            notes.append(_absent(child.object.text))
            continue
        columns, missing = _columns(sobject, child)
        notes += [_absent(f"{sobject.name}.{one}") for one in missing]
        table = f"{CURRENT_VALUES}.{name}"
        asked = {path.path: path for path in columns.values()}
        condition = _condition(sobject, child, columns, describe)
        if condition is None:
            notes.append(_absent(f"{sobject.name}.{child.only[0] if child.only else ''}"))
            continue
        plans.append(BesidePlan(table, part_of(table, sobject, asked.values(), condition, describe), columns))
    return plans, notes


def _condition(
    sobject: SObject, child: ChildMap, columns: Mapping[str, FieldPath], describe: Describe
) -> Condition | None:
    """Records with a key, of the ones that are meant; None where the org cannot tell them apart."""
    filled_in = Condition(filled(columns["key"].field), (columns["key"],)) if "key" in columns else Condition("")
    if child.only is None:
        return filled_in
    path, wanted = child.only
    try:
        found = describe.resolve(sobject.name, path)
    except AccessError:
        return None
    meant = f"{found.path} = {quoted(wanted.text)}"
    return Condition(both(filled_in.text, meant), (*filled_in.paths, found))


def _absent(name: str) -> str:
    return f"{name} does not exist or is hidden: nothing can be written to it"


def _columns(sobject: SObject, child: ChildMap) -> tuple[dict[str, FieldPath], list[str]]:
    """Id, key and account under names of their own, the other fields under those of the field map; what is missing."""
    asked = {"record_id": ID, "key": child.key.text, "account": child.partner.text}
    asked |= {place.text: place.text for place in (*child.fields.values(), *child.read)}
    described = {column: sobject.field(name) for column, name in asked.items()}
    found = {
        column: FieldPath(field.name, field, sobject.name, sobject.name) for column, field in described.items() if field
    }
    return found, [asked[column] for column, field in described.items() if field is None]


def write_beside(plans: Sequence[BesidePlan], reads: Mapping[str, PartRead], staging: Staging) -> None:
    """The tables in the staging, every value in canonical text."""
    for plan in plans:
        path = staging.path(plan.table)
        schema = pa.schema([(column, pa.string()) for column in plan.columns])
        rows = 0
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for arrays in _canonical(plan, reads[plan.part.key]):
                writer.write_table(pa.table(arrays, schema=schema))
                rows += len(arrays[0])
        staging.add(TableFile(plan.table, path, rows, dict.fromkeys(plan.columns, ColumnType.TEXT)))


def _canonical(plan: BesidePlan, read: PartRead) -> Iterator[list[pa.Array]]:
    for batch in batches(read.held.path):
        texts = dict(zip(batch.schema.names, batch.columns, strict=True))
        yield [_texts(texts[path.path], path.field.type) for path in plan.columns.values()]


def _texts(text: pa.Array, source: str) -> pa.Array:
    return distinct(text, lambda cell: canonical(cell, source))
