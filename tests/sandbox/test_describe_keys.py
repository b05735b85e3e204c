"""Every key of every describe answer has the type that real orgs' recorded answers give it; the count is printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.sandbox.orgs import SCHEMA, Client, running, write_files
from tests.sandbox.test_describe import FIELD_KEYS, OBJECT_KEYS

Types = tuple[type, ...]
NONE = type(None)
_TEXT: Types = (str,)
_MAYBE: Types = (str, NONE)
_NUMBER: Types = (int,)

FIELD: dict[str, Types] = dict.fromkeys(FIELD_KEYS, (bool,)) | {
    "byteLength": _NUMBER, "calculatedFormula": _MAYBE, "compoundFieldName": _MAYBE, "controllerName": _MAYBE,
    "defaultValue": (str, bool, int, float, NONE), "defaultValueFormula": _MAYBE, "digits": _NUMBER,
    "extraTypeInfo": _MAYBE, "filteredLookupInfo": (dict, NONE), "inlineHelpText": _MAYBE, "label": _TEXT,
    "length": _NUMBER, "mask": _MAYBE, "maskType": _MAYBE, "name": _TEXT, "picklistValues": (list,),
    "precision": _NUMBER, "referenceTargetField": _MAYBE, "referenceTo": (list,), "relationshipName": _MAYBE,
    "relationshipOrder": (int, NONE), "scale": _NUMBER, "soapType": _TEXT, "type": _TEXT,
}  # fmt: skip
_FLAGS = (
    "activateable", "createable", "custom", "customSetting", "deepCloneable", "deletable", "deprecatedAndHidden",
    "feedEnabled", "hasSubtypes", "isInterface", "isSubtype", "layoutable", "mergeable", "mruEnabled", "queryable",
    "replicateable", "retrieveable", "searchable", "triggerable", "undeletable", "updateable",
)  # fmt: skip
BRIEF: dict[str, Types] = dict.fromkeys(_FLAGS, (bool,)) | {
    "keyPrefix": _MAYBE, "label": _TEXT, "labelPlural": _TEXT, "name": _TEXT, "urls": (dict,),
}  # fmt: skip
WHOLE: dict[str, Types] = BRIEF | {
    "actionOverrides": (list,), "childRelationships": (list,), "compactLayoutable": (bool,),
    "defaultImplementation": _MAYBE, "extendedBy": _MAYBE, "extendsInterfaces": _MAYBE, "fields": (list,),
    "implementedBy": _MAYBE, "implementsInterfaces": _MAYBE, "listviewable": (bool, NONE),
    "lookupLayoutable": (bool, NONE), "namedLayoutInfos": (list,), "networkScopeFieldName": _MAYBE,
    "recordTypeInfos": (list,), "searchLayoutable": (bool,), "supportedScopes": (list,),
}  # fmt: skip
CHILD: dict[str, Types] = {
    "cascadeDelete": (bool,), "childSObject": _TEXT, "deprecatedAndHidden": (bool,), "field": _TEXT,
    "junctionIdListNames": (list,), "junctionReferenceTo": (list,), "relationshipName": _MAYBE,
    "restrictedDelete": (bool,),
}  # fmt: skip
RECORD_TYPE: dict[str, Types] = {
    "active": (bool,), "available": (bool,), "defaultRecordTypeMapping": (bool,), "developerName": _TEXT,
    "master": (bool,), "name": _TEXT, "recordTypeId": _TEXT, "urls": (dict,),
}  # fmt: skip
CHOICE: dict[str, Types] = {
    "active": (bool,), "defaultValue": (bool,), "label": _TEXT, "validFor": _MAYBE, "value": _TEXT,
}  # fmt: skip
SCOPE: dict[str, Types] = {"label": _TEXT, "name": _TEXT}
URLS = {"describe", "rowTemplate", "sobject"}


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), {"schema.yaml": SCHEMA}))) as client:
        yield client


def compared(body: Mapping[str, Any], shape: Mapping[str, Types], where: str) -> int:
    """The number of keys, all of which are there and of their type."""
    assert sorted(body) == sorted(shape), where
    for key, types in shape.items():
        # a bool is an int to Python, but not to a client
        fits = isinstance(body[key], types) and (bool in types or not isinstance(body[key], bool))
        assert fits, f"{where}.{key}: {body[key]!r}"
    return len(shape)


def listed(body: Mapping[str, Any], key: str, shape: Mapping[str, Types], where: str) -> int:
    return sum(compared(entry, shape, f"{where}.{key}[{place}]") for place, entry in enumerate(body[key]))


def test_every_key_has_its_type(org: Client, capsys: pytest.CaptureFixture[str]) -> None:
    counts: dict[str, int] = {}
    for name in ("Account", "Opportunity", "Contact", "Cert__c"):
        body = org.get(f"/sobjects/{name}/describe").json()
        count = compared(body, WHOLE, name) + listed(body, "childRelationships", CHILD, name)
        count += listed(body, "recordTypeInfos", RECORD_TYPE, name) + listed(body, "supportedScopes", SCOPE, name)
        for field in body["fields"]:
            where = f"{name}.{field['name']}"
            count += compared(field, FIELD, where) + listed(field, "picklistValues", CHOICE, where)
            assert all(isinstance(target, str) for target in field["referenceTo"])
        assert set(body["urls"]) >= URLS
        counts[name] = count
    body = org.get("/sobjects").json()
    assert sorted(body) == ["encoding", "maxBatchSize", "sobjects"]
    counts["global"] = 3 + listed(body, "sobjects", BRIEF, "global")
    assert set(WHOLE) == set(OBJECT_KEYS)
    assert set(FIELD) == set(FIELD_KEYS)
    with capsys.disabled():
        each = ", ".join(f"{name} {count}" for name, count in counts.items())
        print(f"\ndescribe: {sum(counts.values())} keys compared by name and type ({each})")
    assert min(counts.values()) > 500
