"""What the org refuses of list views, report types, reports and dashboards in a deploy.

Texts are those of real orgs where public projects quote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from crmsync.sandbox.list_columns import REPORT_TABLES, column_path, path_field, report_field
from crmsync.sandbox.metadata_draft import Draft, RefusedError
from crmsync.sandbox.metadata_fields import check_developer_name, check_label
from crmsync.sandbox.metadata_package import Component
from crmsync.sandbox.schema import Field, SObject

MOST_COLUMNS = 15
MOST_FILTERS = 20
_TOKEN = re.compile(r"\s*(\d+|\(|\)|AND|OR|NOT)", re.IGNORECASE | re.ASCII)
_TEXT_ONLY = frozenset({"contains", "notContain", "startsWith"})
_LISTS_ONLY = frozenset({"includes", "excludes"})
_ORDERED = frozenset({"lessThan", "greaterThan", "lessOrEqual", "greaterOrEqual"})


def try_list_view(draft: Draft, component: Component) -> str:
    """Put a list view into the draft. Errors: RefusedError."""
    name, _, own = component.name.partition(".")
    sobject = draft.schema.find(draft.spelled(name))
    assert sobject is not None
    values = component.values
    check_developer_name(own, "List View Unique Name")
    if len(str(values.get("label"))) > 40:
        raise RefusedError("Value too long for field: Name maximum length is:40")
    columns = list(values.get("columns") or [])
    if len(columns) > MOST_COLUMNS:
        raise RefusedError(f"A list view can show {MOST_COLUMNS} columns, not {len(columns)}")
    for column in columns:
        _column(draft, sobject, str(column))
    filters = list(values.get("filters") or [])
    if len(filters) > MOST_FILTERS:
        raise RefusedError(f"A list view can have {MOST_FILTERS} filters, not {len(filters)}")
    for entry in filters:
        _check_filter(_column(draft, sobject, str(entry["field"])), entry)
    if values.get("booleanFilter"):
        check_logic(str(values["booleanFilter"]), len(filters))
    return draft.keep(component)


def _column(draft: Draft, sobject: SObject, column: str) -> Field:
    path = column_path(sobject, column)
    found = path_field(draft.schema, sobject, path) if path else None
    if found is None:
        raise RefusedError(f"Could not resolve list view column: {column}")
    return found


def _check_filter(field: Field, entry: Mapping[str, Any]) -> None:
    operation = str(entry["operation"])
    if not field.filterable:
        raise RefusedError(f"The field {field.label} cannot be used in a filter")
    wrong = (
        (operation in _TEXT_ONLY and field.kind not in ("text", "list", "id"))
        or (operation in _LISTS_ONLY and field.kind != "list")
        or (operation in _ORDERED and field.kind in ("flag", "list", "id"))
    )
    if wrong:
        raise RefusedError(f"The filter operator {operation} is not valid for the field {field.label}")
    if field.restricted and field.choices and operation in ("equals", "notEqual", "includes", "excludes"):
        known = {choice.value for choice in field.choices}
        for value in filter_values(str(entry.get("value") or "")):
            if value not in known:
                raise RefusedError(f"Picklist value: {value} in picklist: {field.name} not found")
    if field.kind == "flag" and str(entry.get("value")) not in ("0", "1"):
        raise RefusedError(f"The filter value of the checkbox {field.label} is 0 or 1, not {entry.get('value')}")


def filter_values(text: str) -> list[str]:
    """The values of a filter, which are joined by commas; a value in quotes may hold one."""
    found = re.findall(r'\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|\Z)', text)
    return [value for quoted, bare in found if (value := (quoted.replace('""', '"') or bare).strip())]


def check_logic(text: str, count: int) -> None:
    """A filter logic such as `1 AND (2 OR 3)` that uses every filter. Errors: RefusedError."""
    tokens, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            raise RefusedError(f"Invalid filter logic at {text[place:][:20].strip()!r}: {text[:80]}")
        tokens.append(match[1].upper())
        place = match.end()
    used = {int(token) for token in tokens if token.isdigit()}
    if used != set(range(1, count + 1)):
        raise RefusedError(f"The filter logic {text[:80]} must use each of the {count} filters, by its number")
    rest = _expression(tokens)
    if rest is None or rest:
        raise RefusedError(f"Invalid filter logic: {text[:80]}; AND and OR need brackets to stand together")


def _expression(tokens: list[str]) -> list[str] | None:
    rest, joined = _operand(tokens), ""
    while rest and rest[0] in ("AND", "OR"):
        if joined and rest[0] != joined:
            return None
        joined = rest[0]
        rest = _operand(rest[1:])
    return rest


def _operand(tokens: list[str]) -> list[str] | None:
    if not tokens:
        return None
    if tokens[0] == "NOT":
        return _operand(tokens[1:])
    if tokens[0].isdigit():
        return tokens[1:]
    if tokens[0] == "(":
        rest = _expression(tokens[1:])
        return rest[1:] if rest and rest[0] == ")" else None
    return None


def try_report_type(draft: Draft, component: Component) -> str:
    """Put a custom report type into the draft. Errors: RefusedError."""
    check_developer_name(component.name, "Report Type Name", 40)
    check_label(component.values.get("label"), "ReportType", 50)
    tables = report_tables(draft, component.values)
    for section in component.values.get("sections") or []:
        for entry in section.get("columns") or []:
            sobject = tables.get(str(entry["table"]))
            if sobject is None:
                raise RefusedError(f"Could not find table {entry['table']} in report type {component.name}")
            if path_field(draft.schema, sobject, str(entry["field"])) is None:
                raise RefusedError(f"Could not find field {entry['field']} in table {entry['table']}")
    return draft.keep(component)


def report_tables(draft: Draft, values: Mapping[str, Any]) -> dict[str, SObject]:
    """The objects of a report type by the path that its columns name them with. Errors: RefusedError."""
    base = str(values.get("baseObject"))
    sobject = draft.schema.find(base)
    if sobject is None:
        raise RefusedError(f"In field: baseObject - no CustomObject named {base} found")
    tables, path, joined = {base: sobject}, base, values.get("join")
    while joined:
        name = str(joined.get("relationship"))
        child = next((found for found in draft.schema.children_of(sobject) if found.field.children == name), None)
        if child is None:
            raise RefusedError(f"In field: relationship - {sobject.name} has no child relationship {name}")
        path, sobject, joined = f"{path}.{name}", child.sobject, joined.get("join")
        tables[path] = sobject
    return tables


def try_report(draft: Draft, component: Component) -> str:
    """Put a report into the draft. Errors: RefusedError."""
    values = component.values
    _check_folder(draft, "ReportFolder", component.name)
    check_developer_name(component.name.rpartition("/")[2], "Report Unique Name", 80)
    if len(str(values["name"])) > 40:
        raise RefusedError("Value too long for field: Name maximum length is:40")
    down = [str(entry["field"]) for entry in values.get("groupingsDown") or []]
    across = [str(entry["field"]) for entry in values.get("groupingsAcross") or []]
    columns = [str(entry["field"]) for entry in values.get("columns") or []]
    if set(columns) & {*down, *across}:
        raise RefusedError("You can't include groupings in the selected columns list")
    if values["format"] == "Summary" and not down:
        raise RefusedError("A report of format Summary has at least one groupingsDown")
    if values["format"] == "Matrix" and not (down and across):
        raise RefusedError("A report of format Matrix has groupingsDown and groupingsAcross")
    filters = (values.get("filter") or {}).get("criteriaItems") or []
    for column in (*columns, *down, *across, *(str(entry["column"]) for entry in filters), *_dates(values)):
        if column not in ("RowCount",) and not _report_has(draft, str(values["reportType"]), column):
            raise RefusedError(f"Invalid field name: {column}")
    logic = (values.get("filter") or {}).get("booleanFilter")
    if logic:
        check_logic(str(logic), len(filters))
    return draft.keep(component)


def _dates(values: Mapping[str, Any]) -> Iterator[str]:
    frame = values.get("timeFrameFilter") or {}
    if frame.get("dateColumn"):
        yield str(frame["dateColumn"])


def _report_has(draft: Draft, kind: str, column: str) -> bool:
    if kind in REPORT_TABLES:
        return report_field(draft.schema, REPORT_TABLES[kind], column) is not None
    if "$" in kind and kind.partition("$")[0].endswith("CustomEntity"):
        tables = tuple(kind.split("$")[1:])
        missing = [name for name in tables if draft.schema.find(name) is None]
        if missing:
            raise RefusedError(f"Invalid report type: {kind}; there is no object {missing[0]}")
        return report_field(draft.schema, tables, column) is not None
    own = draft.find("ReportType", kind.removesuffix("__c")) if kind.endswith("__c") else None
    if own is None:
        raise RefusedError(f"Invalid report type: {kind}")
    table, dollar, field = column.partition("$")
    sobject = report_tables(draft, own).get(table)
    if dollar:
        return sobject is not None and path_field(draft.schema, sobject, field.replace("$", ".")) is not None
    names = tuple(found.name for found in report_tables(draft, own).values())
    return report_field(draft.schema, names, column) is not None


def _check_folder(draft: Draft, kind: str, name: str) -> None:
    folder = name.rpartition("/")[0]
    if folder not in ("unfiled$public", "") and not draft.exists(kind, folder):
        raise RefusedError(f"Cannot find folder:{folder}")
    if not folder:
        raise RefusedError(f"{name}: the file of a report or dashboard lies in the directory of its folder")


def try_dashboard(draft: Draft, component: Component) -> str:
    """Put a dashboard into the draft. Errors: RefusedError."""
    values = component.values
    _check_folder(draft, "DashboardFolder", component.name)
    check_developer_name(component.name.rpartition("/")[2], "Dashboard Unique Name", 80)
    if len(str(values["title"])) > 80:
        raise RefusedError("Value too long for field: Title maximum length is:80")
    for part in _parts(values):
        report = part.get("report")
        if report and not draft.exists("Report", str(report)):
            raise RefusedError(f"In field: report - no Report named {report} found")
    if values.get("dashboardType") == "SpecifiedUser":
        user = str(values.get("runningUser") or "")
        row = draft.org.store.reader().execute('SELECT 1 FROM "User" WHERE "Username" = ? COLLATE NOCASE', [user])
        if row.fetchone() is None:
            raise RefusedError(f"In field: runningUser - no User named {user or '(none)'} found")
    return draft.keep(component)


def _parts(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    grid = values.get("dashboardGridLayout") or {}
    for cell in grid.get("dashboardGridComponents") or []:
        yield cell.get("dashboardComponent") or {}
    for section in ("leftSection", "middleSection", "rightSection"):
        yield from (values.get(section) or {}).get("components") or []
