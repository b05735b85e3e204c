"""List views as clients see them: the list, what a view shows and filters by, and its records.

A view is turned into one SOQL statement, the same that `describe` tells, and that statement is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from crmsync.sandbox.answers import Answer, ApiError, Call, not_found
from crmsync.sandbox.discovery import sobject_of
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.list_columns import column_path, path_field
from crmsync.sandbox.metadata_draft import fact_name
from crmsync.sandbox.metadata_views import filter_values
from crmsync.sandbox.org import Org
from crmsync.sandbox.queries import compiled, rows_of
from crmsync.sandbox.schema import Field, Kind, SObject

MOST_RECORDS, DEFAULT_RECORDS = 2_000, 25
_RANGE = re.compile(r"[A-Z]+(?:_[A-Z]+)*(?::\d+)?\Z", re.ASCII)
_SIGNS = {"equals": "=", "notEqual": "!=", "lessThan": "<", "lessOrEqual": "<=", "greaterThan": ">",
          "greaterOrEqual": ">=", "within": "="}  # fmt: skip
_OPERATORS = {"equals": "equals", "notEqual": "notEqual", "lessThan": "lessThan", "lessOrEqual": "lessThanOrEqualTo",
              "greaterThan": "greaterThan", "greaterOrEqual": "greaterThanOrEqualTo", "within": "equals",
              "contains": "like", "startsWith": "like", "notContain": "like", "includes": "includes",
              "excludes": "excludes"}  # fmt: skip


@dataclass(frozen=True)
class View:
    """A list view with its definition."""

    id: str
    label: str
    name: str
    sobject: SObject
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """One column: its path from the object, and the field at its end."""

    path: str
    field: Field


def list_views(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/listviews`: the views of an object, by label; `?offset=&limit=`."""
    sobject = sobject_of(org, call)
    start, size = _cut(call, MOST_RECORDS)
    rows = org.store.reader().execute(
        'SELECT "Id", "Name", "DeveloperName", "IsSoqlCompatible" FROM "ListView" '
        'WHERE "SobjectType" = ? COLLATE NOCASE ORDER BY "Name"', [sobject.name],
    ).fetchall()  # fmt: skip
    base = f"{call.root}/sobjects/{sobject.name}/listviews"
    listed = [
        {
            "describeUrl": f"{base}/{view_id}/describe", "developerName": name, "id": view_id, "label": label,
            "resultsUrl": f"{base}/{view_id}/results", "soqlCompatible": bool(compatible), "url": f"{base}/{view_id}",
        }
        for view_id, label, name, compatible in rows[start : start + size]
    ]  # fmt: skip
    done = start + size >= len(rows)
    more = None if done else f"{base}?offset={start + size}&limit={size}"
    return Answer({
        "done": done, "listviews": listed, "nextRecordsUrl": more, "size": len(listed), "sobjectType": sobject.name,
    })  # fmt: skip


def list_view(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/listviews/{id}`."""
    view = _view(org, call)
    base = f"{call.root}/sobjects/{view.sobject.name}/listviews/{view.id}"
    return Answer({
        "describeUrl": f"{base}/describe", "developerName": view.name, "id": view.id, "label": view.label,
        "resultsUrl": f"{base}/results", "soqlCompatible": True, "url": base,
    })  # fmt: skip


def describe(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/listviews/{id}/describe`: columns, order, conditions and the SOQL of it all."""
    view = _view(org, call)
    columns = _columns(org, view)
    order = _order(columns)
    conditions = _conditions(org, view)
    scope = str(view.values.get("filterScope") or "Everything")
    where: dict[str, Any] = {"conditions": [shown for _, shown in conditions], "conjunction": "and"}
    return Answer({
        "columns": [_column(shown, order) for shown in columns] + _hidden_columns(columns),
        "id": view.id,
        "orderBy": [{"fieldNameOrPath": path, "nullsPosition": "first", "sortDirection": "ascending"}
                    for path in (*order, "Id")],
        "query": soql_of(org, view),
        "relatedEntityId": None,
        "scope": scope[:1].lower() + scope[1:],
        "scopeEntityId": None,
        "sobjectType": view.sobject.name,
        "whereCondition": conditions[0][1] if len(conditions) == 1 else where,
    })  # fmt: skip


def results(org: Org, call: Call) -> Answer:
    """`/sobjects/{object}/listviews/{id}/results?limit=&offset=`: the records, every value as a text."""
    view = _view(org, call)
    start, size = _cut(call, DEFAULT_RECORDS)
    columns = _columns(org, view)
    plan = compiled(org, soql_of(org, view))
    found = list(rows_of(org, replace(plan, limit=size + 1, offset=start)))
    order = _order(columns)
    paths = [shown.path for shown in columns] + [path for path, _ in _hidden(columns)]
    kinds = [shown.field.kind for shown in columns] + [kind for _, kind in _hidden(columns)]
    records = [
        {
            "columns": [
                {"fieldNameOrPath": path, "value": _text(value, kind)}
                for path, value, kind in zip(paths, row, kinds, strict=True)
            ]
        }
        for row in found[:size]
    ]
    return Answer({
        "columns": [_column(shown, order) for shown in columns] + _hidden_columns(columns), "developerName": view.name,
        "done": len(found) <= size, "id": view.id, "label": view.label, "records": records, "size": len(records),
    })  # fmt: skip


_HIDDEN: tuple[tuple[str, Kind], ...] = (
    ("Id", "id"), ("CreatedDate", "datetime"), ("LastModifiedDate", "datetime"), ("SystemModstamp", "datetime"),
)  # fmt: skip
"""What every view selects, as columns or beside them: path, and kind, which is also the type that describe tells."""


def soql_of(org: Org, view: View) -> str:
    """The statement of a view, for the user of the call."""
    columns = _columns(org, view)
    order = [*_order(columns), "Id"]
    sorted_by = ", ".join(f"{path} ASC NULLS FIRST" for path in order)
    names = [*(shown.path for shown in columns), *(path for path, _ in _hidden(columns))]
    parts = [_where(view, [soql for soql, _ in _conditions(org, view)]), _scope(org, view)]
    where = " AND ".join(f"({part})" for part in parts if part)
    filtered = f" WHERE {where}" if where else ""
    return f"SELECT {', '.join(names)} FROM {view.sobject.name}{filtered} ORDER BY {sorted_by}"


def _view(org: Org, call: Call) -> View:
    sobject = sobject_of(org, call)
    asked = call.parts["view"]
    row = org.store.reader().execute(
        'SELECT "Id", "Name", "DeveloperName" FROM "ListView" WHERE "SobjectType" = ? COLLATE NOCASE '
        'AND ("Id" = ? OR "DeveloperName" = ? COLLATE NOCASE)', [sobject.name, to_18(asked), asked],
    ).fetchone()  # fmt: skip
    values = org.store.fact(fact_name("ListView", f"{sobject.name}.{row[2]}")) if row else None
    if row is None or values is None:
        raise not_found()
    return View(row[0], row[1], row[2], sobject, values)


def _cut(call: Call, default: int) -> tuple[int, int]:
    """(offset, limit) as the call asks. Errors: ApiError."""
    given = [call.query.get("offset", "0"), call.query.get("limit", str(default))]
    if not all(text.isdigit() for text in given) or not 1 <= int(given[1]) <= MOST_RECORDS:
        raise ApiError(400, "INVALID_PARAMETER", f"offset is a number, limit one from 1 to {MOST_RECORDS}")
    return int(given[0]), int(given[1])


def _columns(org: Org, view: View) -> list[Shown]:
    """The columns that the user may see; a view always shows one."""
    found: list[Shown] = []
    for column in view.values.get("columns") or []:
        path = column_path(view.sobject, str(column))
        field = path_field(org.visible, view.sobject, path) if path else None
        if path is not None and field is not None and path not in {shown.path for shown in found}:
            found.append(Shown(path, field))
    named = view.sobject.name_field
    return found or ([Shown(named.name, named)] if named else [])


def _order(columns: list[Shown]) -> list[str]:
    return next(([shown.path] for shown in columns if shown.field.filterable and shown.field.kind != "list"), [])


def _column(shown: Shown, order: list[str]) -> dict[str, Any]:
    field, first = shown.field, shown.path in order
    numeric = field.kind in ("whole", "decimal")
    return {
        "ascendingLabel": "9-0" if numeric else "Z-A", "descendingLabel": "0-9" if numeric else "A-Z",
        "fieldNameOrPath": shown.path, "hidden": False, "label": field.label, "searchable": False,
        "selectListItem": f"toLabel({shown.path})" if field.type in ("picklist", "multipicklist") else shown.path,
        "sortDirection": "ascending" if first else None, "sortIndex": 0 if first else None,
        "sortable": field.filterable and field.kind != "list", "type": field.type,
    }  # fmt: skip


def _hidden(columns: list[Shown]) -> list[tuple[str, Kind]]:
    """What is selected beside the columns: path and kind."""
    listed = {shown.path for shown in columns}
    return [(path, kind) for path, kind in _HIDDEN if path not in listed]


def _hidden_columns(columns: list[Shown]) -> list[dict[str, Any]]:
    return [
        {
            "ascendingLabel": None, "descendingLabel": None, "fieldNameOrPath": path, "hidden": True, "label": path,
            "searchable": False, "selectListItem": path, "sortDirection": None, "sortIndex": None, "sortable": False,
            "type": kind,
        }
        for path, kind in _hidden(columns)
    ]  # fmt: skip


def _scope(org: Org, view: View) -> str:
    scope = str(view.values.get("filterScope") or "Everything")
    if scope == "Everything":
        return ""
    if scope in ("Mine", "MineAndMyGroups"):
        return f"OwnerId = {_quoted(org.acting_id)}"
    raise ApiError(400, "INVALID_FILTER", f"list view {view.name}: the scope {scope} is not supported by this org")


def _where(view: View, conditions: list[str]) -> str:
    """The conditions joined by the view's own logic, or by AND."""
    logic = view.values.get("booleanFilter")
    if not logic:
        return " AND ".join(f"({soql})" for soql in conditions)

    def numbered(match: re.Match[str]) -> str:
        number = int(match[0])
        if not 1 <= number <= len(conditions):
            raise ApiError(400, "INVALID_FILTER", f"list view {view.name}: there is no filter {number} in {logic}")
        return f"({conditions[number - 1]})"

    return re.sub(r"\d+", numbered, str(logic))


def _conditions(org: Org, view: View) -> list[tuple[str, dict[str, Any]]]:
    """Each filter as SOQL and as `describe` shows it."""
    return [_condition(org, view, entry) for entry in view.values.get("filters") or []]


def _condition(org: Org, view: View, entry: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    operation = str(entry["operation"])
    path = column_path(view.sobject, str(entry["field"])) or str(entry["field"])
    values = filter_values(str(entry.get("value") or ""))
    if path == "RecordType.Name":
        # metadata name a record type by object and developer name
        path, values = "RecordType.DeveloperName", [value.rpartition(".")[2] for value in values]
    field = path_field(org.visible, view.sobject, path)
    if field is None or operation not in _OPERATORS:
        raise ApiError(
            400, "INVALID_FIELD", f"list view {view.name}: {entry['field']} {operation} cannot be filtered by"
        )
    literals = [_literal(view, field, value) for value in values] or ["null"]
    shown = {"field": path, "operator": _OPERATORS[operation], "values": [_shown_value(text) for text in literals]}
    return _soql(path, operation, literals, values), shown


def _soql(path: str, operation: str, literals: list[str], values: list[str]) -> str:
    if operation in ("includes", "excludes"):
        return f"{path} {operation.upper()} ({', '.join(literals)})"
    if operation in ("contains", "notContain", "startsWith"):
        first = "" if operation == "startsWith" else "%"
        parts = [f"{path} LIKE {_quoted(first + _escaped(value) + '%', raw=True)}" for value in values]
        both = " OR ".join(parts) or f"{path} = null"
        return f"(NOT ({both}))" if operation == "notContain" else both
    sign = _SIGNS[operation]
    # several values: one of them, or none of them
    return (" AND " if sign == "!=" else " OR ").join(f"{path} {sign} {literal}" for literal in literals)


def _literal(view: View, field: Field, value: str) -> str:
    if field.kind == "flag":
        return "TRUE" if value.lower() in ("1", "true") else "FALSE"
    if field.kind in ("whole", "decimal"):
        number = value.replace("%", "").strip()
        if re.fullmatch(r"[-+]?\d+(\.\d+)?", number, re.ASCII):
            return number
        raise ApiError(400, "INVALID_FILTER", f"list view {view.name}: {value!r:.40} is no number for {field.label}")
    if field.kind in ("date", "datetime"):
        return _day(view, field, value)
    return _quoted(value)


def _day(view: View, field: Field, value: str) -> str:
    word = value.strip().upper().replace(" ", "_")
    if _RANGE.match(word):
        return word
    for shape in ("%Y-%m-%d", "%m/%d/%Y"):
        try:
            day = datetime.strptime(value.strip()[:10], shape).date()
        except ValueError:
            continue
        return day.isoformat() if field.kind == "date" else f"{day.isoformat()}T00:00:00Z"
    raise ApiError(400, "INVALID_FILTER", f"list view {view.name}: {value!r:.40} is no date for {field.label}")


def _quoted(text: str, raw: bool = False) -> str:
    inner = text if raw else text.replace("\\", "\\\\")
    return "'" + inner.replace("'", "\\'") + "'"


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _shown_value(literal: str) -> str | None:
    return None if literal == "null" else literal


def _text(value: Any, kind: str) -> str | None:
    """A value as list views show it: always a text, instants written out in GMT."""
    if value is None:
        return None
    if kind == "flag":
        return "true" if value else "false"
    if kind == "datetime":
        return f"{datetime.fromisoformat(str(value)[:19]):%a %b %d %H:%M:%S GMT %Y}"
    if kind == "date":
        return date.fromisoformat(str(value)).isoformat()
    if isinstance(value, float):
        return f"{value:.10f}".rstrip("0").rstrip(".")
    return str(value)
