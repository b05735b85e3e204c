"""What the org refuses of permission sets, list views, reports, dashboards, record types and rules in a deploy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.checking import checking, refusals
from tests.sandbox.orgs import Client
from tests.sandbox.packages import custom_object, manifest, object_file, xml

MASTER = {"fullName": "Of__c", "label": "Of", "type": "MasterDetail", "referenceTo": "Account", "relationshipName": "O",
          "relationshipLabel": "O", "relationshipOrder": 0}  # fmt: skip


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with checking(tmp_path_factory.mktemp("org")) as client:
        yield client


def grants(*names: str, edit: bool = True, **more: Any) -> dict[str, str]:
    listed = [{"editable": edit, "field": name, "readable": more.pop("readable", True)} for name in names]
    file = xml("PermissionSet", **{"label": "P", "fieldPermissions": listed} | more)
    return {"package.xml": manifest({"PermissionSet": ["P"]}), "permissionsets/P.permissionset": file}


def allow(name: str, **more: bool) -> dict[str, Any]:
    flags = {"allowCreate": False, "allowDelete": False, "allowEdit": False, "allowRead": True,
             "modifyAllRecords": False, "viewAllRecords": False}  # fmt: skip
    return flags | {"object": name} | more


BAD_GRANTS: dict[str, tuple[dict[str, str], str]] = {
    "required": (grants("Account.Needed__c"), "You cannot deploy to a required field: Account.Needed__c"),
    "unknown field": (grants("Account.Nope__c"), "In field: field - no CustomField named Account.Nope__c found"),
    "unknown object": (grants("Nope__c.X__c"), "In field: field - no CustomObject named Nope__c found"),
    "twice": (grants("Account.Code__c", "Account.Code__c"), "Duplicate fieldPermissions found: field: Account.Code__c"),
    "edit without read": (
        grants("Account.Code__c", readable=False),
        "Permission Edit Account.Code__c depends on permission(s): Read Account.Code__c",
    ),
    "edit of a number": (grants("Cert__c.Number__c"), "Cannot make Cert__c.Number__c editable"),
    "create without read": (
        grants(objectPermissions=[allow("Account", allowRead=False, allowCreate=True)]),
        "Permission Create Account depends on permission(s): Read Account",
    ),
    "modify all": (
        grants(objectPermissions=[allow("Account", modifyAllRecords=True)]),
        "Permission Modify All Account depends on permission(s): Edit Account, Delete Account, View All Account",
    ),
    "object": (grants(objectPermissions=[allow("Nope__c")]), "In field: object - no CustomObject named Nope__c found"),
    "user permission": (grants(userPermissions=[{"enabled": True, "name": "Fly"}]), "Unknown user permission: Fly"),
    "tab": (
        grants(tabSettings=[{"tab": "Nope__c", "visibility": "Visible"}]),
        "In field: tab - no CustomTab named Nope__c found",
    ),
    "record type": (
        grants(recordTypeVisibilities=[{"recordType": "Account.Nope", "visible": True}]),
        "In field: recordType - no RecordType named Account.Nope found",
    ),
}


@pytest.mark.parametrize("case", BAD_GRANTS)
def test_a_wrong_permission_set_is_refused(org: Client, case: str) -> None:
    files, expected = BAD_GRANTS[case]
    assert refusals(org, files) == [expected] or expected in refusals(org, files)[0]


def test_a_master_detail_field_may_not_be_granted_and_needs_its_parent(org: Client) -> None:
    body = custom_object(sharingModel="ControlledByParent", fields=[MASTER])
    files = object_file("Thing__c", **body)
    listed = {"CustomObject": ["Thing__c"], "PermissionSet": ["P"]}
    field = grants("Thing__c.Of__c") | files | {"package.xml": manifest(listed)}
    assert refusals(org, field) == ["You cannot deploy to a required field: Thing__c.Of__c"]
    alone = grants(objectPermissions=[allow("Thing__c")]) | files | {"package.xml": manifest(listed)}
    assert refusals(org, alone) == ["Permission Read Thing__c depends on permission(s): Read Account"]


def view(**more: Any) -> dict[str, str]:
    body = {"fullName": "V", "label": "V", "filterScope": "Everything", "columns": ["ACCOUNT.NAME"]} | more
    return {"package.xml": manifest({"ListView": ["Account.V"]}),
            "objects/Account.object": xml("CustomObject", listViews=[body])}  # fmt: skip


def where(field: str, operation: str, value: str) -> dict[str, Any]:
    return {"filters": [{"field": field, "operation": operation, "value": value}]}


BAD_VIEWS: dict[str, tuple[dict[str, Any], str]] = {
    "column": ({"columns": ["Nope__c"]}, "Could not resolve list view column: Nope__c"),
    "standard column by field name": ({"columns": ["Name"]}, "Could not resolve list view column: Name"),
    "filter": (where("Nope__c", "equals", "a"), "Could not resolve list view column: Nope__c"),
    "long text": (where("Note__c", "equals", "a"), "The field Note cannot be used in a filter"),
    "operator": (where("Tier__c", "includes", "Gold"), "The filter operator includes is not valid for the field Tier"),
    "value": (where("Tier__c", "equals", "Gold,Bronze"), "Picklist value: Bronze in picklist: Tier__c not found"),
    "label": ({"label": "a" * 41}, "Value too long for field: Name maximum length is:40"),
    "too many columns": ({"columns": ["ACCOUNT.NAME"] * 16}, "A list view can show 15 columns, not 16"),
    "logic": (where("Code__c", "equals", "a") | {"booleanFilter": "1 AND 2"}, "must use each of the 1 filters"),
    "scope": ({"filterScope": "Everyone"}, "Everyone"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_VIEWS)
def test_a_wrong_list_view_is_refused(org: Client, case: str) -> None:
    more, expected = BAD_VIEWS[case]
    found = refusals(org, view(**more))
    assert len(found) >= 1
    assert expected in found[0]


@pytest.mark.parametrize(
    "more",
    [
        {"columns": ["ACCOUNT.NAME", "Tier__c", "CORE.USERS.ALIAS", "ACCOUNT.LAST_UPDATE"]},
        where("Tier__c", "equals", "Gold,Silver"),
        where("Score__c", "greaterThan", "5") | {"booleanFilter": "1"},
        where("ACCOUNT.RECORDTYPE", "equals", "Partner"),
    ],
)
def test_a_right_list_view_is_taken(org: Client, more: dict[str, Any]) -> None:
    assert refusals(org, view(**more)) == []


def report(kind: str = "AccountList", folder: bool = True, **more: Any) -> dict[str, str]:
    body = {
        "name": "By tier", "reportType": kind, "format": "Summary", "columns": [{"field": "ACCOUNT.NAME"}],
        "groupingsDown": [{"field": "Account.Tier__c", "dateGranularity": "Day", "sortOrder": "Asc"}],
        "scope": "organization", "showDetails": True,
        "timeFrameFilter": {"dateColumn": "CREATED_DATE", "interval": "INTERVAL_CUSTOM"},
    } | more  # fmt: skip
    files = {"reports/Ours/R.report": xml("Report", **body)}
    files |= {"reports/Ours-meta.xml": xml("ReportFolder", name="Ours")} if folder else {}
    return files | {"package.xml": manifest({"Report": ["Ours/R", *(["Ours"] if folder else [])]})}


BAD_REPORTS: dict[str, tuple[dict[str, str], str]] = {
    "folder": (report(folder=False), "Cannot find folder:Ours"),
    "type": (report("NopeList"), "Invalid report type: NopeList"),
    "custom type": (report("Nope__c"), "Invalid report type: Nope__c"),
    "column": (report(columns=[{"field": "Account.Nope__c"}]), "Invalid field name: Account.Nope__c"),
    "filter": (
        report(filter={"criteriaItems": [{"column": "Account.Nope__c", "operator": "equals", "value": "x"}]}),
        "Invalid field name: Account.Nope__c",
    ),
    "grouping shown": (
        report(columns=[{"field": "Account.Tier__c"}]),
        "You can't include groupings in the selected columns list",
    ),
    "no grouping": (report(groupingsDown=[]), "A report of format Summary has at least one groupingsDown"),
    "name": (report(name="a" * 41), "Value too long for field: Name maximum length is:40"),
}


@pytest.mark.parametrize("case", BAD_REPORTS)
def test_a_wrong_report_is_refused(org: Client, case: str) -> None:
    files, expected = BAD_REPORTS[case]
    assert refusals(org, files) == [expected]


def test_a_report_on_a_custom_report_type_is_taken_and_its_columns_are_checked(org: Client) -> None:
    columns = [{"checkedByDefault": True, "field": "Name", "table": "Account"},
               {"checkedByDefault": True, "field": "Number__c", "table": "Account.Certs__r"}]  # fmt: skip
    kind = {"baseObject": "Account", "category": "accounts", "deployed": True, "label": "Certified",
            "join": {"outerJoin": True, "relationship": "Certs__r"}}  # fmt: skip

    def files(shown: str, **more: Any) -> dict[str, str]:
        sections = {"sections": [{"columns": columns, "masterLabel": "All"}]}
        made = report("Certified__c", columns=[{"field": shown}],
                      groupingsDown=[{"field": "Account$Tier__c", "dateGranularity": "Day", "sortOrder": "Asc"}],
                      timeFrameFilter={"dateColumn": "Account$CreatedDate", "interval": "INTERVAL_CUSTOM"})  # fmt: skip
        return made | {
            "reportTypes/Certified.reportType": xml("ReportType", **kind | sections | more),
            "package.xml": manifest({"Report": ["Ours", "Ours/R"], "ReportType": ["Certified"]}),
        }

    assert refusals(org, files("Account.Certs__r$Number__c")) == []
    assert refusals(org, files("Account.Certs__r$Nope__c")) == ["Invalid field name: Account.Certs__r$Nope__c"]
    assert refusals(org, files("Account$Name", baseObject="Nope__c"))[0].startswith("In field: baseObject")
    assert (
        "has no child relationship Nope__r"
        in refusals(org, files("Account$Name", join={"outerJoin": True, "relationship": "Nope__r"}))[0]
    )


def test_a_dashboard_needs_its_folder_reports_and_user(org: Client) -> None:
    def files(report_name: str, **more: Any) -> dict[str, str]:
        part = {"componentType": "Metric", "header": "H", "legendPosition": "Bottom", "report": report_name}
        body = {
            "backgroundEndColor": "#FFFFFF", "backgroundFadeDirection": "Diagonal", "backgroundStartColor": "#FFFFFF",
            "dashboardGridLayout": {"dashboardGridComponents": [{"colSpan": 4, "columnIndex": 0, "rowIndex": 0,
                                                                 "rowSpan": 4, "dashboardComponent": part}],
                                    "numberOfColumns": 12, "rowHeight": 36},
            "dashboardType": "LoggedInUser", "isGridLayout": True, "textColor": "#000000", "title": "T",
            "titleColor": "#000000", "titleSize": 12,
        } | more  # fmt: skip
        return report() | {
            "dashboards/D-meta.xml": xml("DashboardFolder", name="D"),
            "dashboards/D/T.dashboard": xml("Dashboard", **body),
            "package.xml": manifest({"Report": ["Ours", "Ours/R"], "Dashboard": ["D", "D/T"]}),
        }

    assert refusals(org, files("Ours/R")) == []
    assert refusals(org, files("Ours/Nope")) == ["In field: report - no Report named Ours/Nope found"]
    named = refusals(org, files("Ours/R", dashboardType="SpecifiedUser", runningUser="nobody@example.com"))
    assert named == ["In field: runningUser - no User named nobody@example.com found"]
    assert refusals(org, files("Ours/R", dashboardType="SpecifiedUser", runningUser="admin@crmsync.example")) == []


@pytest.mark.parametrize(
    ("kind", "element", "body", "expected"),
    [
        (
            "RecordType",
            "recordTypes",
            {
                "active": True,
                "label": "P",
                "picklistValues": [{"picklist": "Tier__c", "values": [{"fullName": "Gold", "default": False}]}],
            },
            None,
        ),
        (
            "RecordType",
            "recordTypes",
            {
                "active": True,
                "label": "P",
                "picklistValues": [{"picklist": "Tier__c", "values": [{"fullName": "Lead", "default": False}]}],
            },
            "Picklist value: Lead in picklist: Tier__c not found",
        ),
        (
            "RecordType",
            "recordTypes",
            {"active": True, "label": "P", "picklistValues": [{"picklist": "Code__c", "values": []}]},
            "no Picklist named Code__c found",
        ),
        (
            "ValidationRule",
            "validationRules",
            {"active": True, "errorConditionFormula": "ISBLANK(Code__c)", "errorMessage": "m"},
            None,
        ),
        (
            "ValidationRule",
            "validationRules",
            {"active": True, "errorConditionFormula": "ISBLANK(Nope__c)", "errorMessage": "m"},
            "Nope__c",
        ),
        (
            "ValidationRule",
            "validationRules",
            {"active": True, "errorConditionFormula": "ISBLANK(Code__c", "errorMessage": "m"},
            "X",
        ),
        (
            "ValidationRule",
            "validationRules",
            {"active": True, "errorConditionFormula": "true", "errorMessage": "m" * 256},
            "errorMessage must have 1 to 255 characters",
        ),
        (
            "ValidationRule",
            "validationRules",
            {"active": True, "errorConditionFormula": "true", "errorMessage": "m", "errorDisplayField": "Nope__c"},
            "no CustomField named Account.Nope__c found",
        ),
    ],
)
def test_record_types_and_rules_are_checked(
    org: Client, kind: str, element: str, body: dict[str, Any], expected: str | None
) -> None:
    files = {"package.xml": manifest({kind: ["Account.X"]}),
             "objects/Account.object": xml("CustomObject", **{element: [{"fullName": "X"} | body]})}  # fmt: skip
    found = refusals(org, files)
    assert found == [] if expected is None else len(found) == 1 and expected in found[0], found


def test_an_external_client_app_is_kept_with_its_settings(org: Client) -> None:
    app = xml("ExternalClientApplication", contactEmail="a@example.com", distributionState="Local", label="App")
    settings = xml("ExtlClntAppOauthSettings", commaSeparatedOauthScopes="Api", externalClientApplication="App",
                   label="S")  # fmt: skip
    files = {
        "externalClientApps/App.eca": app,
        "extlClntAppOauthSettings/S.ecaOauth": settings,
        "package.xml": manifest({"ExternalClientApplication": ["App"], "ExtlClntAppOauthSettings": ["S"]}),
    }
    assert refusals(org, files) == []
    del files["externalClientApps/App.eca"]
    files["package.xml"] = manifest({"ExtlClntAppOauthSettings": ["S"]})
    assert refusals(org, files) == [
        "In field: externalClientApplication - no ExternalClientApplication named App found"
    ]
