"""Running compiled SOQL: REST answers page by page, and rows for Bulk."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.faults import twist
from crmsync.sandbox.ids import LOCATOR_PREFIX, make_id
from crmsync.sandbox.org import Org
from crmsync.sandbox.soql.compiler import ChildPlan, Column, Plan, compile_soql
from crmsync.sandbox.soql.refusals import SoqlError
from crmsync.sandbox.values import shown_sql

Record = dict[str, Any]
MOST_ROWS = 2_000
LEAST_ROWS = 200
KEPT_CURSORS = 200
_SPREAD = 9_973


@dataclass(frozen=True)
class Cursor:
    """A query that was begun: the rows it found (by store row number) and what to show of them."""

    locator: str
    plan: Plan
    rows: array[int]
    asked: int
    all_rows: bool


def compiled(org: Org, soql: str, deleted_too: bool = False) -> Plan:
    """The plan of a query. Errors: ApiError with the refusal of the SOQL."""
    try:
        plan = compile_soql(soql, org.world(), deleted_too)
    except SoqlError as error:
        raise ApiError(400, error.code, error.message) from None
    hidden = twist().value("hide_rows")
    return plan if hidden is None or plan.count or plan.aggregate else _shortened(org, plan, hidden)


def _shortened(org: Org, plan: Plan, hidden: Any) -> Plan:
    """The plan without the rows that a fault hides: the last n, a share of all, or those with a value of a field."""
    base = plan.source.split(" ")[1]
    if isinstance(hidden, Mapping):
        known = plan.sobject.field(str(hidden.get("field")))
        if known is None or known.calculated or "value" not in hidden:
            raise ApiError(
                400, "INVALID_FAULT", f"hide_rows: {plan.sobject.name} has no field {hidden.get('field')!r:.80}"
            )
        where = f'({plan.where}) AND {base}."{known.name}" IS NOT ?'
        return replace(plan, where=where, parameters=(*plan.parameters, hidden["value"]))
    if isinstance(hidden, int):
        found = org.store.reader().execute(f"SELECT count(*) FROM ({plan.select('1')})", plan.parameters).fetchone()[0]
        return replace(plan, limit=max(0, found - hidden))
    # spread over all rows, and the same rows in every call
    least = int(float(hidden) * _SPREAD)
    return replace(plan, where=f"({plan.where}) AND ({base}.rowid * 48271) % {_SPREAD} >= {least}")


def first_page(org: Org, soql: str, root: str, asked: int = MOST_ROWS, deleted_too: bool = False) -> Record:
    """The answer of `/query`: all of it, or its first page with a link to the next."""
    plan = compiled(org, soql, deleted_too)
    reader = org.store.reader()
    with _refusing():
        if plan.count:
            found = reader.execute(f"SELECT count(*) FROM ({plan.select('1')})", plan.parameters).fetchone()[0]
            return {"totalSize": found, "done": True, "records": []}
        if plan.aggregate:
            return _aggregated(reader, plan)
        rows = array("q", (row[0] for row in reader.execute(plan.select("t0.rowid"), plan.parameters)))
    with org.lock:
        number = org.numbers[LOCATOR_PREFIX] = org.numbers.get(LOCATOR_PREFIX, 0) + 1
    cursor = Cursor(make_id(LOCATOR_PREFIX, number), plan, rows, asked, deleted_too)
    return page(org, cursor, 0, root)


def page(org: Org, cursor: Cursor, start: int, root: str) -> Record:
    """One page from row `start` on. It may hold fewer rows than asked for, as real answers do."""
    total = len(cursor.rows)
    size = twist().value("page_size") or cursor.asked
    if total > size and size == cursor.asked:
        size = org.random(f"page {cursor.locator} {start}").randint(max(1, size * 3 // 5), size)
    chosen = cursor.rows[start : start + size]
    records = _records(org, cursor.plan, chosen, root)
    end = start + len(chosen)
    answer: Record = {"totalSize": total, "done": end >= total}
    if end < total:
        _keep(org, cursor)
        kind = "queryAll" if cursor.all_rows else "query"
        answer["nextRecordsUrl"] = f"{root}/{kind}/{cursor.locator}-{end}"
    return answer | {"records": records}


def next_page(org: Org, locator: str, root: str) -> Record:
    """The page that a locator names. Errors: ApiError INVALID_QUERY_LOCATOR."""
    name, _, start = locator.rpartition("-")
    with org.lock:
        cursor = org.cursors.get(name)
    if cursor is None or not start.isdigit() or int(start) >= len(cursor.rows):
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return page(org, cursor, int(start), root)


def _keep(org: Org, cursor: Cursor) -> None:
    with org.lock:
        org.cursors[cursor.locator] = cursor
        while len(org.cursors) > KEPT_CURSORS:
            org.cursors.pop(next(iter(org.cursors)))


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns what SQLite cannot do into the org's refusal."""
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.DataError, OverflowError) as error:
        raise ApiError(400, "QUERY_TOO_COMPLICATED", "The query is too complicated to be run.") from error


def _aggregated(reader: sqlite3.Connection, plan: Plan) -> Record:
    shown = ", ".join(_shown(column, "+0000") for column in plan.columns)
    rows = reader.execute(plan.select(shown), plan.parameters).fetchmany(MOST_ROWS + 1)
    if len(rows) > MOST_ROWS:
        message = "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch"
        raise ApiError(400, "EXCEEDED_ID_LIMIT", message)
    fixes = _fixes(plan.columns)
    names = [column.names[0] for column in plan.columns]
    records = [
        {"attributes": {"type": "AggregateResult"}} | dict(zip(names, _fixed(row, fixes), strict=True)) for row in rows
    ]
    return {"totalSize": len(records), "done": True, "records": records}


def _records(org: Org, plan: Plan, chosen: Sequence[int], root: str) -> list[Record]:
    """The records of these rows in their order."""
    shaper = _Shaper(plan, root)
    statement = f"SELECT {shaper.columns} FROM {plan.source} WHERE t0.rowid IN (SELECT value FROM json_each(?))"
    reader = org.store.reader()
    found = {row[0]: shaper.record(row) for row in reader.execute(statement, [json.dumps(list(chosen))])}
    records = [found[number] for number in chosen if number in found]
    for child in plan.children:
        _add_children(reader, child, {number: found[number] for number in chosen if number in found}, shaper, root)
    return records


def _add_children(
    reader: sqlite3.Connection, child: ChildPlan, parents: dict[int, Record], shaper: _Shaper, root: str
) -> None:
    plan = child.plan
    inner = _Shaper(plan, root)
    base = plan.source.split(" ")[1]
    link = f'{base}."{child.child.field.name}"'
    ids = {shaper.ids[number]: record for number, record in parents.items()}
    order = plan.order.removeprefix(" ORDER BY ")
    ranked = (
        f"SELECT {inner.columns}, {link} AS parent_id, "
        f"row_number() OVER (PARTITION BY {link} ORDER BY {order}) AS place "
        f"FROM {plan.source} WHERE {plan.where} AND {link} IN (SELECT value FROM json_each(?))"
    )
    cut = f" WHERE place <= {plan.limit}" if plan.limit is not None else ""
    lists: dict[str, list[Record]] = {}
    for row in reader.execute(
        f"SELECT * FROM ({ranked}){cut} ORDER BY parent_id, place", [*plan.parameters, json.dumps(list(ids))]
    ):
        lists.setdefault(row[-2], []).append(inner.record(row[:-2]))
    for parent_id, record in ids.items():
        listed = lists.get(parent_id)
        record[child.name] = {"totalSize": len(listed), "done": True, "records": listed} if listed else None


def _shown(column: Column, zone: str) -> str:
    return shown_sql(column.kind, column.scale, column.sql, zone)


Fix = Callable[[Any], Any]


def _fixes(columns: Sequence[Column]) -> list[tuple[int, Fix]]:
    fixes: dict[str, Fix] = {"flag": bool, "compound": json.loads}
    return [(place, fixes[column.kind]) for place, column in enumerate(columns) if column.kind in fixes]


def _fixed(row: Sequence[Any], fixes: Sequence[tuple[int, Fix]]) -> Sequence[Any]:
    if not fixes:
        return row
    values = list(row)
    for place, fix in fixes:
        if values[place] is not None:
            values[place] = fix(values[place])
    return values


class _Shaper:
    """Makes records out of store rows: row number, id, parents' ids, then the selected columns."""

    def __init__(self, plan: Plan, root: str) -> None:
        base = plan.source.split(" ")[1]
        parents = [parent.id_sql for parent in plan.parents]
        shown = [_shown(column, "+0000") for column in plan.columns]
        numbered = [
            f"{sql} AS c{place}" for place, sql in enumerate([f"{base}.rowid", f'{base}."Id"', *parents, *shown])
        ]
        self.columns = ", ".join(numbered)
        self.plan = plan
        self.root = root
        self.first = 2 + len(parents)
        self.fixes = _fixes(plan.columns)
        self.parents = [parent.names for parent in plan.parents]
        self.ids: dict[str | int, str] = {}

    def record(self, row: Sequence[Any]) -> Record:
        """One record with its attributes; selected parents are nested, or null where there is none."""
        self.ids[row[0]] = row[1]
        record: Record = {"attributes": self._attributes(self.plan.sobject.name, row[1])}
        values = _fixed(row[self.first :], self.fixes)
        nested: dict[tuple[str, ...], Record | None] = {(): record}
        for column, value in zip(self.plan.columns, values, strict=True):
            target = self._parent(nested, column.names[:-1], row)
            if target is not None:
                target[column.names[-1]] = value
        return record

    def _parent(
        self, nested: dict[tuple[str, ...], Record | None], names: tuple[str, ...], row: Sequence[Any]
    ) -> Record | None:
        if names in nested:
            return nested[names]
        above = self._parent(nested, names[:-1], row)
        made: Record | None = None
        if names in self.parents:
            place = self.parents.index(names)
            parent_id = row[2 + place]
            name = self.plan.parents[place].sobject.name
            made = {"attributes": self._attributes(name, parent_id)} if parent_id else None
        else:
            made = {"attributes": {"type": "Name"}}
        if above is not None:
            above[names[-1]] = made
        nested[names] = made
        return made

    def _attributes(self, name: str, record_id: str) -> Record:
        return {"type": name, "url": f"{self.root}/sobjects/{name}/{record_id}"}


def bulk_rows(connection: sqlite3.Connection, plan: Plan) -> Iterator[tuple[Any, ...]]:
    """Rows as a Bulk result shows them: texts and numbers in SELECT order."""
    shown = ", ".join(_bulk_shown(column) for column in plan.columns)
    with _refusing():
        yield from connection.execute(plan.select(shown), plan.parameters)


def records_of(org: Org, plan: Plan, root: str) -> Iterator[Record]:
    """Records as a JSON result of the first Bulk API shows them: instants are milliseconds since 1970."""
    shaper = _Shaper(plan, root)
    instants = [column.names for column in plan.columns if column.kind == "datetime"]
    with _refusing():
        for row in org.store.reader().execute(plan.select(shaper.columns), plan.parameters):
            record = shaper.record(row)
            for names in instants:
                _to_milliseconds(record, names)
            yield record


def _to_milliseconds(record: Record, names: Sequence[str]) -> None:
    inner: Any = record
    for name in names[:-1]:
        inner = inner.get(name) if inner else None
    if inner and inner.get(names[-1]) is not None:
        inner[names[-1]] = int(datetime.fromisoformat(inner[names[-1]]).timestamp() * 1000)


def rows_of(org: Org, plan: Plan) -> Iterator[tuple[Any, ...]]:
    """Rows of a plan with flags as 1 and 0 and decimals unscaled, in SELECT order."""
    shown = ", ".join(_shown(column, "") for column in plan.columns)
    with _refusing():
        yield from org.store.reader().execute(plan.select(shown), plan.parameters)


def _bulk_shown(column: Column) -> str:
    if column.kind == "flag":
        return f"(CASE {column.sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"
    return _shown(column, "Z")


def column_metadata(org: Org, soql: str, deleted_too: bool = False) -> Record:
    """The answer of `/query?columns=true`, which the Salesforce CLI asks for beside the rows."""
    plan = compiled(org, soql, deleted_too)
    return {
        "columnMetadata": [_column_entry(column) for column in plan.columns],
        "entityName": plan.sobject.name,
        "groupBy": bool(plan.group),
        "idSelected": any(column.names == ("Id",) for column in plan.columns),
        "keyPrefix": plan.sobject.prefix,
    }


def _column_entry(column: Column) -> Record:
    return {
        "aggregate": column.aggregate,
        "apexType": {
            "id": "Id",
            "flag": "Boolean",
            "whole": "Integer",
            "decimal": "Double",
            "date": "Date",
            "datetime": "Datetime",
        }.get(column.kind, "String"),
        "booleanType": column.kind == "flag",
        "columnName": ".".join(column.names),
        "custom": column.custom,
        "displayName": ".".join(column.names),
        "foreignKeyName": None,
        "insertable": not column.aggregate,
        "joinColumns": [],
        "numberType": column.kind in ("whole", "decimal"),
        "textType": column.kind in ("text", "list"),
        "updatable": not column.aggregate,
    }
