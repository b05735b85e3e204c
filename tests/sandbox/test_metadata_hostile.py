"""Packages that are broken at random are refused or taken, but never trip the org."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from crmsync.sandbox.furnishing import open_org
from crmsync.sandbox.metadata_apply import commit, try_package
from crmsync.sandbox.metadata_draft import RefusedError
from crmsync.sandbox.metadata_package import PackageError, read_package
from crmsync.sandbox.org import Options, Org
from tests.sandbox.packages import custom_object, manifest, picklist, text, xml, zipped

WORDS = (
    "", "0", "-1", "true", "99999999999", "Account", "Nope__c", "$", "..", "a.b.c", "é", "Account.", ".X__c", "__c",
    "'", '"', "Picklist", "MasterDetail", "Lookup", "1 AND (2", "((((", "CustomEntity$Nope", "Account$Name", "*",
    "x" * 300,
)  # fmt: skip
VIEW = {"fullName": "V", "label": "V", "filterScope": "Everything", "columns": ["ACCOUNT.NAME", "Tier__c"],
        "filters": [{"field": "Tier__c", "operation": "equals", "value": "Gold"}]}  # fmt: skip
MASTER = {"fullName": "Of__c", "label": "Of", "type": "MasterDetail", "referenceTo": "Account",
          "relationshipName": "Things", "relationshipLabel": "Things", "relationshipOrder": 0}  # fmt: skip
ALLOW = {"allowCreate": True, "allowDelete": False, "allowEdit": True, "allowRead": True, "modifyAllRecords": False,
         "object": "Account", "viewAllRecords": False}  # fmt: skip
FILES = {
    "package.xml": manifest({
        "CustomObject": ["Thing__c"], "CustomField": ["Account.Tier__c", "Account.Code__c"],
        "ListView": ["Account.V"], "ValidationRule": ["Account.R"], "RecordType": ["Account.P"],
        "PermissionSet": ["Run"], "Report": ["F", "F/R"], "Dashboard": ["F", "F/D"],
    }),
    "objects/Account.object": xml(
        "CustomObject", fields=[picklist("Tier__c", "Gold", "Silver"), text("Code__c")], listViews=[VIEW],
        validationRules=[{"fullName": "R", "active": True, "errorConditionFormula": "ISBLANK(Code__c)",
                          "errorMessage": "m"}],
        recordTypes=[{"fullName": "P", "active": True, "label": "P", "picklistValues": [
            {"picklist": "Tier__c", "values": [{"fullName": "Gold", "default": False}]}]}],
    ),
    "objects/Thing__c.object": xml(
        "CustomObject", **custom_object(sharingModel="ControlledByParent", fields=[MASTER, text("Key__c")])
    ),
    "permissionsets/Run.permissionset": xml(
        "PermissionSet", label="Run", objectPermissions=[ALLOW],
        fieldPermissions=[{"editable": True, "field": "Account.Tier__c", "readable": True}],
    ),
    "reports/F-meta.xml": xml("ReportFolder", name="F"),
    "reports/F/R.report": xml(
        "Report", name="R", reportType="AccountList", format="Summary", columns=[{"field": "ACCOUNT.NAME"}],
        groupingsDown=[{"field": "Account.Tier__c", "sortOrder": "Asc"}],
    ),
    "dashboards/F-meta.xml": xml("DashboardFolder", name="F"),
    "dashboards/F/D.dashboard": xml(
        "Dashboard", title="D", backgroundEndColor="#FFFFFF", backgroundFadeDirection="Diagonal",
        backgroundStartColor="#FFFFFF", textColor="#000000", titleColor="#000000", titleSize=12,
    ),
}  # fmt: skip


@pytest.fixture
def org() -> Iterator[Org]:
    found = open_org(Options())
    yield found
    found.store.close()


def broken(chance: random.Random) -> dict[str, str]:
    """The files with one to four things changed, doubled or taken away."""
    files = dict(FILES)
    for _ in range(chance.randint(1, 4)):
        path = chance.choice(sorted(files))
        content = files[path]
        leaves = list(re.finditer(r"<(\w+)>([^<>]*)</\1>", content))
        blocks = list(re.finditer(r"<(\w+)>\s*<.*?</\1>", content, re.DOTALL))
        way = chance.choice(("word", "word", "drop", "double", "block", "letter", "delete", "file"))
        if way in ("word", "drop", "double") and leaves:
            leaf = chance.choice(leaves)
            new = {"word": f"<{leaf[1]}>{chance.choice(WORDS)}</{leaf[1]}>", "drop": "", "double": leaf[0] * 2}[way]
            files[path] = content[: leaf.start()] + new + content[leaf.end() :]
        elif way == "block" and blocks:
            block = chance.choice(blocks)
            files[path] = content[: block.start()] + chance.choice(("", block[0] * 2)) + content[block.end() :]
        elif way == "letter":
            place = chance.randrange(len(content))
            files[path] = content[:place] + chr(chance.randrange(1, 256)) + content[place + 1 :]
        elif way == "delete":
            files[chance.choice(("destructiveChanges.xml", "destructiveChangesPost.xml"))] = FILES["package.xml"]
        elif len(files) > 1:
            del files[path]
    return files


@pytest.mark.parametrize("seed", range(6))
def test_a_broken_package_is_refused_or_taken(org: Org, seed: int) -> None:
    chance = random.Random(seed)
    ended = {"taken": 0, "refused": 0}
    for _ in range(60):
        ended[outcome(org, zipped(broken(chance)))] += 1
    assert min(ended.values()) > 0  # else the files are broken too much, or too little


def outcome(org: Org, data: bytes) -> str:
    """How a package ends; what is taken is committed."""
    try:
        trial = try_package(org, read_package(data))
        if trial.errors:
            return "refused"
        commit(org, trial)
    except (PackageError, RefusedError):
        return "refused"
    return "taken"


def test_the_package_is_right_before_it_is_broken(org: Org) -> None:
    assert [fault.problem for fault in try_package(org, read_package(zipped(FILES))).errors] == []
