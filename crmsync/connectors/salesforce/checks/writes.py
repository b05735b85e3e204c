"""What is written, field by field: there, editable, able to hold what comes; and what a new child record needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crmsync.connectors.base_needs import Dictionary, Shape
from crmsync.connectors.mapping import SalesforceMapping
from crmsync.connectors.mapping_sinks import ChildMap
from crmsync.connectors.mapping_writes import children_of
from crmsync.connectors.salesforce.checks.findings import Finding, cannot, look, told
from crmsync.connectors.salesforce.describe import Describe, Field, SObject
from crmsync.connectors.salesforce.metadata.components import Body
from crmsync.connectors.salesforce.metadata.fields import FieldNeed, compare_field
from crmsync.connectors.salesforce.metadata.needs import OVERRIDES, RECORDS, Needs, needs_of

ASSIGN = "`crmsync deploy apply --assign USERNAME` makes what is missing and grants it to the run user"
EDIT = "give the run user the permission set Crmsync_Run: `crmsync deploy apply --assign USERNAME`"
WIDEN = "`crmsync deploy apply` widens it"
_KINDS: Mapping[str, str] = {
    "string": "Text", "textarea": "LongTextArea", "picklist": "Picklist", "multipicklist": "MultiselectPicklist",
    "double": "Number", "int": "Number", "long": "Number", "percent": "Percent", "currency": "Currency",
    "date": "Date", "datetime": "DateTime", "boolean": "Checkbox", "reference": "Lookup", "email": "Email",
    "url": "Url", "phone": "Phone", "combobox": "Text", "id": "Id", "encryptedstring": "EncryptedText",
}  # fmt: skip
_SHORT_TEXT = 255
_FILLED_BY_ORG = frozenset({"name", "ownerid"})


def check_writes(mapping: SalesforceMapping, dictionary: Dictionary, describe: Describe) -> Iterator[Finding]:
    """Every finding about fields that are written, or made for people."""
    needs = needs_of(mapping, dictionary)
    account = describe.find(needs.account)
    if account is not None and not account.updateable:
        what = "records cannot be edited by this login"
        yield cannot(account.name, what, EDIT, mapping.file, mapping.writes.object.line if mapping.writes else None)
    for one in needs.objects:
        if one.role != OVERRIDES and describe.find(one.name) is None:  # exceptions are a table, and told there
            what = "the object does not exist, or is hidden from this login"
            # Without them a run goes on: a blocked plan is approved by the command, the anchor stands in the log.
            finding = look if one.role in RECORDS else cannot
            yield finding(one.name, what, ASSIGN, mapping.file, one.line)
    for need in needs.fields:
        sobject = describe.find(need.records)
        if sobject is not None:
            yield from _field(need, sobject, mapping.file)
    yield from _children(mapping, needs, describe)


def _field(need: FieldNeed, sobject: SObject, file: str) -> Iterator[Finding]:
    about = f"{sobject.name}.{need.name}"
    field = sobject.field(need.name)
    if field is None:
        what = "the field does not exist, or field-level security hides it from this login"
        finding = cannot if need.written else look
        yield finding(about, what, ASSIGN, file, need.line)
        return
    if need.written and not field.updateable and need.said.shape is not Shape.PARTNER:
        yield cannot(about, "this login may not edit the field", EDIT, file, need.line)
    compared = compare_field(need, body_of(field), ours=False)
    for text in compared.cannot:
        yield cannot(about, text, f"correct the field, or name another one ({file}:{need.line})", file, need.line)
    for text in compared.added:
        yield _lacking(need, field, about, text, file)
    for text in compared.drift:
        yield look(about, text, "activate it in Setup, or rename it in the program", file, need.line)
    if field.type == "multipicklist":
        yield from _order(need, field, about, file)


def _lacking(need: FieldNeed, field: Field, about: str, text: str, file: str) -> Finding:
    """What the field lacks stops a run where the org would refuse the value, not where it takes any text."""
    if text.startswith("values") and not field.restricted:
        return look(about, f"lacks {text.removeprefix('values ')} as values; any text is taken", WIDEN, file, need.line)
    return cannot(about, f"lacks {text}", WIDEN, file, need.line)


def _order(need: FieldNeed, field: Field, about: str, file: str) -> Iterator[Finding]:
    """A multi-select field answers in the order of its picklist; we compare it as a set, people may not."""
    wanted = [choice.value for choice in need.said.choices]
    held = [value for value in field.values if value in wanted]
    if held != [value for value in wanted if value in held]:
        what = f"answers in the order of its picklist ({'; '.join(held)}), not of the program; compared without order"
        yield told(about, what, file, need.line)


def body_of(field: Field) -> Body:
    """A described field in the words of the Metadata API, so that one comparison serves deploys and checks."""
    kind = _KINDS.get(field.type, field.type)
    if kind == "LongTextArea" and field.length <= _SHORT_TEXT:
        kind = "TextArea"
    body: dict[str, Any] = {"type": kind, "length": field.length}
    if field.calculated:
        body["formula"] = "calculated"
    if field.digits[0]:
        body.update(precision=field.digits[0], scale=field.digits[1])
    if field.unique_key:
        body.update(externalId=True, unique=True, caseSensitive=field.case_sensitive)
    if kind in ("Picklist", "MultiselectPicklist"):
        values: list[dict[str, Any]] = [{"fullName": value} for value in field.values]
        values += [{"fullName": value, "isActive": False} for value in field.inactive]
        body["valueSet"] = {"restricted": field.restricted, "valueSetDefinition": {"value": values}}
    return body


def _children(mapping: SalesforceMapping, needs: Needs, describe: Describe) -> Iterator[Finding]:
    if mapping.writes is None:
        return
    for _, child in children_of(mapping.writes):
        sobject = describe.find(child.object.text)
        if sobject is None:
            continue
        if not sobject.createable:
            yield cannot(sobject.name, "this login may not create records", EDIT, mapping.file, child.object.line)
        yield from _unfilled(sobject, child, needs, mapping.file)


def _unfilled(sobject: SObject, child: ChildMap, needs: Needs, file: str) -> Iterator[Finding]:
    """Required fields that nobody fills refuse every new record."""
    ours = {place.text.lower() for place in child.all_fields} | {need.name.lower() for need in needs.of(sobject.name)}
    for field in sobject.fields.values():
        if field.required and field.name.lower() not in ours | _FILLED_BY_ORG:
            what = "is required, and crmsync does not fill it: every new record is refused"
            way = "give it a default value in Setup, or make it optional"
            yield cannot(f"{sobject.name}.{field.name}", what, way, file, child.object.line)


def written_objects(mapping: SalesforceMapping) -> Sequence[str]:
    """The objects that a run writes to."""
    if mapping.writes is None:
        return ()
    beside = (*children_of(mapping.writes), *mapping.writes.sinks.written())
    return (mapping.writes.object.text, *(child.object.text for _, child in beside))
