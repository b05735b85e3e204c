"""The metadata types that the org takes: where their files lie in a package, and the key prefix of their ids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MetadataType:
    """One type. A child stands as `element` within its object's file; `kept` types are stored as they come."""

    name: str
    prefix: str
    directory: str = ""
    suffix: str = ""
    in_folder: bool = False
    element: str = ""
    kept: bool = False

    @property
    def folder_type(self) -> str:
        """The type of the folders that hold its files."""
        return f"{self.name}Folder" if self.in_folder else ""


OBJECT = MetadataType("CustomObject", "01I", "objects", "object")
CHILDREN = (
    MetadataType("CustomField", "00N", element="fields"),
    MetadataType("RecordType", "012", element="recordTypes"),
    MetadataType("ValidationRule", "03d", element="validationRules"),
    MetadataType("ListView", "00B", element="listViews"),
    MetadataType("FieldSet", "0IX", element="fieldSets", kept=True),
    MetadataType("CompactLayout", "0AH", element="compactLayouts", kept=True),
    MetadataType("WebLink", "00b", element="webLinks", kept=True),
    MetadataType("BusinessProcess", "019", element="businessProcesses", kept=True),
)
FILES = (
    OBJECT,
    MetadataType("CustomTab", "01r", "tabs", "tab", kept=True),
    MetadataType("ReportType", "070", "reportTypes", "reportType"),
    MetadataType("PermissionSet", "0PS", "permissionsets", "permissionset"),
    MetadataType("Report", "00O", "reports", "report", in_folder=True),
    MetadataType("Dashboard", "01Z", "dashboards", "dashboard", in_folder=True),
    MetadataType("CustomApplication", "02u", "applications", "app", kept=True),
    MetadataType("ConnectedApp", "0H4", "connectedApps", "connectedApp", kept=True),
    MetadataType("ExternalClientApplication", "0xI", "externalClientApps", "eca", kept=True),
    MetadataType("ExtlClntAppOauthSettings", "0xJ", "extlClntAppOauthSettings", "ecaOauth", kept=True),
    MetadataType("ExtlClntAppGlobalOauthSettings", "0xK", "extlClntAppGlobalOauthSets", "ecaGlblOauth", kept=True),
    MetadataType("ExtlClntAppOauthConfigurablePolicies", "0xL", "extlClntAppOauthPolicies", "ecaOauthPlcy", kept=True),
    MetadataType("ExtlClntAppConfigurablePolicies", "0xM", "extlClntAppPolicies", "ecaPlcy", kept=True),
)
BY_NAME = {found.name: found for found in (*FILES, *CHILDREN)}
BY_DIRECTORY = {found.directory: found for found in FILES}
BY_ELEMENT = {found.element: found for found in CHILDREN}
FOLDERS = {found.folder_type: found for found in FILES if found.in_folder}
FOLDER_PREFIX = "00l"

ORDER = ("CustomObject", *(child.name for child in CHILDREN), *(found.name for found in FILES[1:]))
"""Types in the order in which their components are applied: what others refer to comes first."""


def prefix_of(kind: str) -> str:
    """The key prefix of a component's id."""
    return FOLDER_PREFIX if kind in FOLDERS else BY_NAME[kind].prefix


def file_of(kind: str, name: str) -> str:
    """The path of a component's file in a package."""
    if kind in FOLDERS:
        return f"{FOLDERS[kind].directory}/{name}-meta.xml"
    found = BY_NAME[kind]
    if found.element:
        return f"{OBJECT.directory}/{name.partition('.')[0]}.{OBJECT.suffix}"
    return f"{found.directory}/{name}.{found.suffix}"
