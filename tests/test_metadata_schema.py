"""Metadata files against Salesforce's own schema, offline."""

from __future__ import annotations

import pytest

from crmsync import metadata_schema as schema

HEAD = "<?xml version='1.0' encoding='UTF-8'?>\n"
NS = f'xmlns="{schema.NAMESPACE}"'


def field(*lines: str) -> str:
    return HEAD + f"<CustomField {NS}>\n" + "\n".join(lines) + "\n</CustomField>\n"


GOOD = field(
    "<fullName>Tier__c</fullName>",
    "<externalId>false</externalId>",
    "<label>Tier</label>",
    "<length>20</length>",
    "<type>Text</type>",
)


def test_a_right_file_has_no_problems() -> None:
    assert schema.problems("CustomField", GOOD) == []


@pytest.mark.parametrize(
    ("kind", "text", "line", "word"),
    [
        ("CustomField", field("<fullName>X__c</fullName>", "<bogus>1</bogus>"), 4, "CustomField has no element bogus"),
        ("CustomField", field("<lable>X</lable>"), 3, "did you mean label?"),
        ("CustomField", field("<label>X</label>", "<label>Y</label>"), 4, "takes one element label"),
        (
            "CustomField",
            field("<label>X</label>", "<type>Dait</type>"),
            4,
            "type: 'Dait' is not a valid value for the enum 'FieldType'; did you mean Date?",
        ),
        (
            "CustomField",
            field("<type>Text</type>", "<label>X</label>"),
            4,
            "label stands after type, but must stand before it",
        ),
        ("CustomField", field("<length>long</length>"), 3, "length: 'long' is not valid for the type xsd:int"),
        ("CustomField", field("<required>yes</required>"), 3, "required: 'yes' is not valid for the type xsd:boolean"),
        ("ListView", GOOD, 2, "the first element is CustomField and must be ListView"),
        ("Nonsense", GOOD, 2, "Nonsense is no metadata type"),
        ("CustomField", "<CustomField>", 1, "is no XML"),
        ("CustomField", "<CustomField/>", 1, schema.NAMESPACE),
        (
            "PermissionSet",
            HEAD + f"<PermissionSet {NS}>\n</PermissionSet>",
            2,
            "PermissionSet has no label, which is required",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(kind: str, text: str, line: int, word: str) -> None:
    found = schema.problems(kind, text)
    assert [problem.line for problem in found] == [line]
    assert word in str(found[0])


def test_every_misplaced_element_is_named_however_deep() -> None:
    text = field(
        "<valueSet>", "<valueSetDefinition>", "<value>", "<fullName>a</fullName>", "</value>", "<sortd>true</sortd>",
        "</valueSetDefinition>", "<restricted>maybe</restricted>", "</valueSet>",
    )  # fmt: skip
    found = [str(problem) for problem in schema.problems("CustomField", text)]
    assert found[0] == "line 4: ValueSetValuesDefinition has no sorted, which is required"
    assert found[1] == "line 5: CustomValue has no default, which is required"
    assert "did you mean sorted?" in found[2]
    assert found[3] == "line 10: restricted stands after valueSetDefinition, but must stand before it in ValueSet"
    assert found[4:] == ["line 10: restricted: 'maybe' is not valid for the type xsd:boolean"]


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY x SYSTEM "file:///etc/hostname">',
        '<!ENTITY x "y">',
        "<!ENTITY a 'aaaaaaaaaa'>" + "".join(f"<!ENTITY a{n} '{'&a%s;' % (n - 1 or '') * 10}'>" for n in range(1, 9)),
    ],
)
def test_entities_are_never_expanded(declared: str) -> None:
    text = f"<!DOCTYPE CustomField [{declared}]>\n<CustomField {NS}>\n<label>&x;</label>\n</CustomField>"
    found = schema.problems("CustomField", text)
    assert len(found) == 1
    assert "DOCTYPE" in found[0].message or "is no XML" in found[0].message


def test_a_file_that_is_too_large_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "MOST_BYTES", 10)
    assert "10 are allowed" in schema.problems("CustomField", GOOD)[0].message


def test_values_are_read_with_their_types_and_written_in_the_order_of_the_schema() -> None:
    values = {
        "type": "Picklist",
        "label": "Tier & Co",
        "fullName": "Tier__c",
        "required": False,
        "valueSet": {
            "restricted": True,
            "valueSetDefinition": {"sorted": False, "value": [{"fullName": "Gold", "default": True, "label": "Gold"}]},
        },
    }
    file = schema.write("CustomField", values)
    assert schema.problems("CustomField", file) == []
    assert schema.read("CustomField", schema.parsed(file)) == values


def test_a_name_that_the_type_does_not_have_is_not_written() -> None:
    with pytest.raises(schema.MetadataSchemaError, match="CustomField has no element colour"):
        schema.write("CustomField", {"colour": "red"})


def test_every_metadata_type_can_be_written_and_is_in_the_schema() -> None:
    assert {"CustomObject", "ListView", "PermissionSet", "Report", "ReportFolder", "Package"} <= schema.kinds()
    assert all(schema.parts(kind)[0].name == "fullName" for kind in schema.kinds())
