"""Rules of the org that may refuse what is written: validation rules, and picklists narrowed by record types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crmsync.connectors.mapping import SalesforceMapping
from crmsync.connectors.salesforce.checks.findings import Finding, look, told
from crmsync.connectors.salesforce.describe import Describe, SObject
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.metadata.needs import Needs
from crmsync.connectors.salesforce.org import Org
from crmsync.errors import AccessError

RULES = (
    "SELECT ValidationName, ErrorMessage, ErrorDisplayField, EntityDefinition.QualifiedApiName FROM ValidationRule "
    "WHERE Active = true"
)
RULES_SHOWN = 10
RECORD_TYPES_MAX = 10
"""Record types whose picklists are looked at, one call each."""


def validation_findings(org: Org, objects: Sequence[str]) -> Iterator[Finding]:
    """Active validation rules on what is written, where this login may read them."""
    try:
        answer = org.get("tooling/query", {"q": RULES})
    except (Refused, AccessError):
        what = "not readable by this login (it needs View Setup and Configuration); rules may refuse single records"
        yield told("validation rules", what)
        return
    wanted = {name.lower() for name in objects}
    found = [one for one in answer.get("records") or () if _owner(one).lower() in wanted]
    for one in found[:RULES_SHOWN]:
        about = f"{_owner(one)} validation rule {one.get('ValidationName')}"
        what = f"is active and may refuse a write: “{one.get('ErrorMessage') or ''}”"
        yield look(about, what, "let the rule pass the run user, where it asks for what crmsync does not fill")
    if len(found) > RULES_SHOWN:
        yield told("validation rules", f"{len(found) - RULES_SHOWN} more are active on what is written")


def _owner(record: Mapping[str, Any]) -> str:
    definition = record.get("EntityDefinition")
    return str(definition.get("QualifiedApiName") or "") if isinstance(definition, dict) else ""


def record_type_findings(org: Org, mapping: SalesforceMapping, needs: Needs, describe: Describe) -> Iterator[Finding]:
    """Values that a record type does not offer: records of that type refuse them."""
    sobject = describe.find(needs.account)
    if sobject is None:
        return
    wanted = _restricted(needs, sobject)
    types = [one for one in sobject.record_types if one.active and not one.master]
    if not wanted or not types:
        return
    for one in types[:RECORD_TYPES_MAX]:
        try:
            answer = org.get(f"ui-api/object-info/{sobject.name}/picklist-values/{one.id}")
        except (Refused, AccessError):
            yield told(
                f"record type {one.label}", "its picklists are not readable by this login; they may refuse values"
            )
            return
        yield from _narrowed(answer, wanted, f"{sobject.name} record type {one.label}", mapping.file)


def _restricted(needs: Needs, sobject: SObject) -> Mapping[str, tuple[tuple[str, ...], int]]:
    """Field -> (values that are written, line of the field map) of restricted picklists."""
    found = {}
    for need in needs.of(sobject.name):
        field = sobject.field(need.name)
        if field is not None and field.restricted and need.written and need.said.choices:
            found[field.name] = tuple(choice.value for choice in need.said.choices), need.line
    return found


def _narrowed(
    answer: Any, wanted: Mapping[str, tuple[tuple[str, ...], int]], about: str, file: str
) -> Iterator[Finding]:
    fields = answer.get("picklistFieldValues") if isinstance(answer, dict) else None
    for name, (values, line) in wanted.items():
        entry = (fields or {}).get(name)
        if not isinstance(entry, dict):
            continue
        offered = {str(value.get("value")) for value in entry.get("values") or () if isinstance(value, dict)}
        lacking = [value for value in values if value not in offered]
        if lacking:
            what = f"does not offer {', '.join(lacking)} in {name}: its records refuse these values"
            way = f"add them in Setup, Object Manager, Record Types, {name}"
            yield look(about, what, way, file, line)
