"""Trying the components of a package on a draft of the org, and making the draft the org."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from crmsync.sandbox.metadata_draft import DELETED, IN_DEFINITION, SAME, Draft, RefusedError, fact_name
from crmsync.sandbox.metadata_fields import check_developer_name, check_label, try_field
from crmsync.sandbox.metadata_grants import try_permission_set
from crmsync.sandbox.metadata_objects import sharing_problem, try_object, try_record_type, try_rule
from crmsync.sandbox.metadata_package import Component, Fault, Package
from crmsync.sandbox.metadata_rows import IDS, component_ids, drop_grants, drop_rows, new_id, put_rows
from crmsync.sandbox.metadata_types import BY_NAME, FOLDERS, ORDER
from crmsync.sandbox.metadata_views import try_dashboard, try_list_view, try_report, try_report_type
from crmsync.sandbox.org import Org
from crmsync.sandbox.schema_file import SchemaError


@dataclass
class Trial:
    """What came of the components of one package: states of those that were taken, faults of the others."""

    draft: Draft
    taken: list[tuple[str, Component]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def errors(self) -> list[Fault]:
        """Faults that are more than a warning."""
        return [fault for fault in self.faults if not fault.warning]


def try_package(org: Org, package: Package) -> Trial:
    """Try everything that a package holds, in the order that its parts need."""
    trial = Trial(Draft(org), faults=list(package.faults))
    for component in package.before:
        _try(trial, component, _delete)
    for component in _in_order(package.components):
        _try(trial, component, _put)
    _check_sharing(trial)
    for component in package.after:
        _try(trial, component, _delete)
    return trial


def try_components(org: Org, components: Iterable[Component], deleting: bool = False) -> Trial:
    """The same for components that came one by one."""
    trial = Trial(Draft(org))
    for component in _in_order(components):
        _try(trial, component, _delete if deleting else _put)
    _check_sharing(trial)
    return trial


def _in_order(components: Iterable[Component]) -> list[Component]:
    places = {kind: 2 * place for place, kind in enumerate(ORDER)}
    # a folder comes right before what lies in it
    places |= {kind: places[found.name] - 1 for kind, found in FOLDERS.items()}
    return sorted(components, key=lambda found: places.get(found.kind, 2 * len(places)))


def _try(trial: Trial, component: Component, act: Callable[[Trial, Component], None]) -> None:
    try:
        act(trial, component)
    except RefusedError as error:
        trial.faults.append(Fault(component, str(error), line=component.line))


def _put(trial: Trial, component: Component) -> None:
    draft = trial.draft
    if any((found.kind, found.name) == (component.kind, component.name) for _, found in draft.touched):
        raise RefusedError(f"Duplicate component: {component.kind} {component.name} is in the package twice")
    state = _TRIALS.get(component.kind, _keep)(draft, component)
    draft.touched.append((state, component))
    trial.taken.append((state, component))


def _keep(draft: Draft, component: Component) -> str:
    first, dot, own = component.name.partition(".")
    if component.kind in BY_NAME and BY_NAME[component.kind].element:
        draft.spelled(first)
    check_developer_name((own if dot else component.name).rpartition("/")[2].removesuffix("__c"),
                         f"{component.kind} Name", 80)  # fmt: skip
    if component.kind in FOLDERS:
        check_label(component.values.get("name"), component.kind, 80)
    if component.kind == "CustomTab" and component.values.get("customObject") and not draft.has_object(component.name):
        raise RefusedError(f"In field: customObject - no CustomObject named {component.name} found")
    app = component.values.get("externalClientApplication")
    if app and not draft.exists("ExternalClientApplication", str(app)):
        raise RefusedError(f"In field: externalClientApplication - no ExternalClientApplication named {app} found")
    return draft.keep(component)


_TRIALS: dict[str, Callable[[Draft, Component], str]] = {
    "CustomObject": try_object, "CustomField": try_field, "RecordType": try_record_type, "ValidationRule": try_rule,
    "ListView": try_list_view, "PermissionSet": try_permission_set, "ReportType": try_report_type,
    "Report": try_report, "Dashboard": try_dashboard,
}  # fmt: skip


def _check_sharing(trial: Trial) -> None:
    """Sharing models and master-detail fields must agree once all are in."""
    draft = trial.draft
    concerned = {found.name.partition(".")[0] for _, found in trial.taken
                 if found.kind in ("CustomObject", "CustomField")}  # fmt: skip
    for name in sorted(concerned):
        problem = sharing_problem(draft, name) if name.endswith("__c") else None
        if problem is None:
            continue
        own = next((found for _, found in trial.taken if (found.kind, found.name) == ("CustomObject", name)), None)
        if own is None:
            draft.objects[draft.own_name(name) or name]["sharingModel"] = "ControlledByParent"
            continue
        trial.taken = [entry for entry in trial.taken if entry[1] is not own]
        trial.faults.append(Fault(own, problem, line=own.line))


def _delete(trial: Trial, component: Component) -> None:
    draft, kind, name = trial.draft, component.kind, component.name
    if kind not in BY_NAME and kind not in FOLDERS:
        raise RefusedError(f"Unknown type name '{kind}' specified in {component.file}")
    first, _, own = name.partition(".")
    custom = not (kind == "CustomObject" and not name.endswith("__c")) and not (
        kind == "CustomField" and draft.standard_field(first, own)
    )
    if not draft.exists(kind, name) or not custom:
        trial.faults.append(Fault(component, f"No {kind} named: {name} found", warning=True))
        return
    _refuse_used(draft, kind, name)
    before = deepcopy(draft.definition)
    try:
        _take_away(draft, kind, name)
    except RefusedError:
        draft.definition = before
        draft.changed_schema()
        raise
    draft.touched.append((DELETED, component))
    trial.taken.append((DELETED, component))


def _take_away(draft: Draft, kind: str, name: str) -> None:
    first, _, own = name.partition(".")
    if kind == "CustomObject":
        _delete_object(draft, draft.spelled(name))
    elif kind in IN_DEFINITION:
        listed = draft.children(first, IN_DEFINITION[kind])
        del listed[next(known for known in listed if known.lower() == own.lower())]
        draft.changed_schema()
        draft.schema  # noqa: B018  refused where something still needs it
        if kind == "CustomField":
            _forget_column(draft, first, own)
    else:
        if kind in FOLDERS and any(found.startswith(f"{name}/") for found in draft.names(FOLDERS[kind].name)):
            raise RefusedError(f"Your attempt to delete {name} could not be completed because it is not empty")
        draft.kept[kind, name] = None


def _refuse_used(draft: Draft, kind: str, name: str) -> None:
    """Fields that a rule or formula reads, objects that others refer to, and reports of a dashboard stay."""
    users: list[str] = []
    if kind == "CustomObject":
        users = [f"Custom Field - {where}" for where, values in _fields(draft)
                 if str(values.get("referenceTo") or "").lower() == name.lower()
                 and where.partition(".")[0].lower() != name.lower()]  # fmt: skip
    elif kind == "CustomField":
        users = [f"Custom Field - {where}" for where, values in _fields(draft)
                 if _reads(where.partition(".")[0], values.get("formula"), name)]  # fmt: skip
        users += [
            f"Validation Rule - {sobject}.{rule}"
            for sobject, body in draft.objects.items()
            for rule, values in ((body or {}).get("validationRules") or {}).items()
            if _reads(sobject, values.get("errorConditionFormula"), name)
        ]
    elif kind == "Report":
        users = [f"Dashboard - {found}" for found in draft.names("Dashboard")
                 if f"'{name}'" in str(draft.find("Dashboard", found))]  # fmt: skip
    if users:
        shown = {"CustomObject": "custom object", "CustomField": "custom field"}.get(kind, kind.lower())
        raise RefusedError(f"This {shown} is referenced elsewhere in Salesforce. : {users[0]}")


def _fields(draft: Draft) -> Iterator[tuple[str, dict[str, Any]]]:
    for sobject, body in draft.objects.items():
        for name, values in ((body or {}).get("fields") or {}).items():
            yield f"{sobject}.{name}", values or {}


def _reads(sobject: str, formula: Any, full_name: str) -> bool:
    """A formula of an object reads a field: by its bare name its own, through a relationship another's."""
    owner, _, field = full_name.partition(".")
    before = r"(?<![.\w])" if sobject.lower() == owner.lower() else r"\."
    return re.search(rf"{before}{re.escape(field)}\b", str(formula or ""), re.IGNORECASE) is not None


def _delete_object(draft: Draft, name: str) -> None:
    del draft.objects[name]
    for kind in ("ListView", "FieldSet", "CompactLayout", "WebLink", "BusinessProcess"):
        for child in [child for child in draft.names(kind) if child.partition(".")[0].lower() == name.lower()]:
            draft.kept[kind, child] = None
    draft.kept["CustomObject", name] = None
    draft.kept["CustomTab", name] = None
    draft.changed_schema()
    draft.schema  # noqa: B018


def _forget_column(draft: Draft, sobject: str, field: str) -> None:
    """List views no longer show or filter by a field that is gone."""
    for name in [found for found in draft.names("ListView") if found.partition(".")[0].lower() == sobject.lower()]:
        values = dict(draft.find("ListView", name) or {})
        values["columns"] = [found for found in values.get("columns") or [] if found.lower() != field.lower()]
        filters = list(values.get("filters") or [])
        values["filters"] = [found for found in filters if found["field"].lower() != field.lower()]
        if len(values["filters"]) < len(filters):
            values.pop("booleanFilter", None)  # its numbers would be those of other filters
        draft.kept["ListView", name] = values


def commit(org: Org, trial: Trial) -> None:
    """The draft becomes the org: schema, tables, records and kept metadata, in one transaction.

    Errors: RefusedError; nothing is changed then.
    """
    draft, made = trial.draft, None
    try:
        with org.whole():
            if draft.definition != org.definition:
                made = org.reshape(draft.definition)
            with org.rows() as rows:
                _commit_rows(org, trial, rows)
    except SchemaError as error:
        raise RefusedError(str(error)) from None
    if made is not None:
        org.show_schema(*made)
    org.permissions_changed()


def _commit_rows(org: Org, trial: Trial, rows: Any) -> None:
    draft, ids = trial.draft, component_ids(org)
    for state, component in trial.taken:
        key = f"{component.kind}:{component.name}"
        first, _, own = component.name.partition(".")
        if state == DELETED:
            if component.kind in ("CustomObject", "CustomField"):
                drop_grants(rows, first, own if component.kind == "CustomField" else None)
            gone = ids.pop(key, None) or existing_id(org, component.kind, component.name)
            if gone is not None:
                drop_rows(rows, component.kind, gone)
            continue
        ids.setdefault(key, existing_id(org, component.kind, component.name) or new_id(org, component.kind))
        if state != SAME:
            put_rows(rows, component.kind, component.name, component.values, ids[key])
    dropped = [fact_name(*key) for key, values in draft.kept.items() if values is None]
    kept = {fact_name(*key): values for key, values in draft.kept.items() if values is not None}
    org.store.drop_facts(dropped, rows.connection)
    org.store.keep_facts(kept | {IDS: ids}, rows.connection)


_OWN_ROWS = {"PermissionSet": '"Name"', "ListView": '"SobjectType" || \'.\' || "DeveloperName"',
             "RecordType": '"SobjectType" || \'.\' || "DeveloperName"'}  # fmt: skip


def existing_id(org: Org, kind: str, name: str) -> str | None:
    """The id of a component that came as a record, by the data API or with the org's data."""
    column = _OWN_ROWS.get(kind)
    if column is None:
        return None
    row = org.store.reader().execute(
        f'SELECT "Id" FROM "{kind}" WHERE {column} = ? COLLATE NOCASE', [name]
    ).fetchone()  # fmt: skip
    return str(row[0]) if row else None
