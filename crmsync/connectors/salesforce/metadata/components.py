"""Metadata components: what an org is given, each with its values in the names of the Metadata API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crmsync.metadata_schema import write

Body = Mapping[str, Any]
"""Values of one component: texts, whole numbers, yes/no, lists and mappings, by element name."""

TAG = "[crmsync]"
"""Stands at the end of every description that is ours; what lacks it was made by people and is never removed."""
PREFIX = "Crmsync_"
"""Begins the name of what has no description to carry the tag: list views and folders."""
FOLDER = f"{PREFIX}Partner_Program"

FIELD, OBJECT, LIST_VIEW, PERMISSION_SET = "CustomField", "CustomObject", "ListView", "PermissionSet"
RECORD_TYPE = "RecordType"
REPORT_TYPE, REPORT, REPORT_FOLDER = "ReportType", "Report", "ReportFolder"
DASHBOARD, DASHBOARD_FOLDER = "Dashboard", "DashboardFolder"

ORDER = (
    OBJECT, FIELD, RECORD_TYPE, LIST_VIEW, PERMISSION_SET, REPORT_TYPE, REPORT_FOLDER, REPORT, DASHBOARD_FOLDER,
    DASHBOARD,
)  # fmt: skip
"""The order in which components are made; they are removed the other way round."""

WORDS: Mapping[str, str] = {
    OBJECT: "object", FIELD: "field", RECORD_TYPE: "record type", LIST_VIEW: "list view",
    PERMISSION_SET: "permission set",
    REPORT_TYPE: "report type", REPORT_FOLDER: "report folder", REPORT: "report",
    DASHBOARD_FOLDER: "dashboard folder", DASHBOARD: "dashboard",
}  # fmt: skip


@dataclass(frozen=True)
class Component:
    """One component. `name` as the Metadata API gives it: `Account.Tier__c`, `Crmsync_Run`, `Folder/Report`."""

    kind: str
    name: str
    body: Body

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it: Salesforce names ignore case."""
        return self.kind, self.name.lower()

    @property
    def parent(self) -> str:
        """The object of a field or list view, the folder of a report or dashboard, else nothing."""
        sign = "/" if self.kind in (REPORT, DASHBOARD) else "."
        return self.name.partition(sign)[0] if sign in self.name else ""

    @property
    def own_name(self) -> str:
        """The name without its object or folder."""
        return self.name[len(self.parent) + 1 :] if self.parent else self.name

    @property
    def said(self) -> str:
        """`field Account.Tier__c`"""
        return f"{WORDS[self.kind]} {self.name}"


def xml_of(component: Component) -> bytes:
    """The component as a file of its own."""
    return write(component.kind, component.body)


def described(text: str) -> str:
    """A description that says who made it."""
    return f"{text} {TAG}"


def is_ours(kind: str, name: str, body: Body) -> bool:
    """Whether a component of the org was made by a deploy of ours."""
    if kind in (LIST_VIEW, REPORT_FOLDER, DASHBOARD_FOLDER):
        return name.rpartition(".")[2].startswith(PREFIX)
    return TAG in str(body.get("description") or "")


def words_of(name: str) -> str:
    """A label from an API name: `Partner_Tier__c` -> `Partner Tier`."""
    own = name[:-3] if name.lower().endswith("__c") else name
    return " ".join(own.rpartition("__")[2].split("_")).strip() or name


def plural_of(label: str) -> str:
    """The plural of a label: `Partner Tier History` -> `Partner Tier Histories`."""
    if label[-1:].lower() == "y" and label[-2:-1].lower() not in "aeiou":
        return f"{label[:-1]}ies"
    return f"{label}es" if label[-1:].lower() in ("s", "x") else f"{label}s"
