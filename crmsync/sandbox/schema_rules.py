"""What a schema says beside fields: validation rules, duplicate rules, record types, formulas, roll-up summaries.

Property names are those of the Metadata API (ValidationRule, RecordType, CustomField), duplicate rules are shorter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from crmsync.sandbox.formula_sql import Calculation, check_nesting
from crmsync.sandbox.formulas import FormulaError, parse_formula
from crmsync.sandbox.schema import DuplicateRule, Field, KindOfRecord, RollUp, Rule, Schema, SObject

RULE_KEYS = {"fullName", "active", "errorConditionFormula", "errorMessage", "errorDisplayField", "description"}
DUPLICATE_KEYS = {"fullName", "active", "isActive", "match", "actionOnInsert", "actionOnUpdate", "alertText",
                  "description", "masterLabel", "sortOrder"}  # fmt: skip
KIND_KEYS = {"fullName", "label", "active", "description", "picklistValues", "isPersonType", "businessProcess",
             "compactLayoutAssignment"}  # fmt: skip
FORMULA_TYPES = ("Text", "Number", "Currency", "Percent", "Date", "DateTime", "Checkbox")
_NAME = re.compile(r"[A-Za-z]\w*\Z", re.ASCII)
_OPERATIONS = ("count", "sum", "min", "max")
_ACTIONS = ("Block", "Allow")

Fail = Callable[[str], Exception]
"""Makes the error of the caller's kind out of a message."""


def make_rule(name: str, given: Mapping[str, Any], where: str, fail: Fail) -> Rule:
    """A validation rule; names of fields are checked by `check_calculations`. Errors: those of `fail`."""
    _check_name(name, where, fail)
    condition, message = given.get("errorConditionFormula"), given.get("errorMessage")
    if not isinstance(condition, str) or not condition.strip():
        raise fail(f"{where}: errorConditionFormula is missing; a record for which it holds is refused")
    if not isinstance(message, str) or not 0 < len(message) <= 255:
        raise fail(f"{where}: errorMessage must be a text of 1 to 255 characters")
    try:
        parse_formula(condition)
    except FormulaError as error:
        raise fail(f"{where}: errorConditionFormula: {error}") from None
    return Rule(name, condition, message, given.get("errorDisplayField"), _is(given.get("active", True)))


def make_duplicate_rule(sobject: SObject, name: str, given: Mapping[str, Any], where: str, fail: Fail) -> DuplicateRule:
    """A duplicate rule of an object. Errors: those of `fail`."""
    _check_name(name, where, fail)
    match = given.get("match")
    if not isinstance(match, list) or not match:
        raise fail(f"{where}: match must list the fields that two duplicates have in common")
    fields = []
    for entry in match:
        known = sobject.field(str(entry))
        if known is None or known.calculated or known.kind == "compound":
            raise fail(f"{where}.match: {sobject.name} has no stored field {entry}")
        fields.append(known.name)
    actions = [given.get(key, "Block") for key in ("actionOnInsert", "actionOnUpdate")]
    for action in actions:
        if action not in _ACTIONS:
            raise fail(f"{where}: action {action!r:.40} is not Block or Allow")
    text = str(given.get("alertText") or "Use one of these records?")
    active = _is(given.get("active", given.get("isActive", True)))
    return DuplicateRule(name, tuple(fields), str(actions[0]), str(actions[1]), text, active)


def make_kind(sobject: SObject, name: str, given: Mapping[str, Any], where: str, fail: Fail) -> KindOfRecord:
    """A record type of an object. Errors: those of `fail`."""
    _check_name(name, where, fail)
    if not sobject.record_types and not sobject.custom:
        raise fail(f"{where}: {sobject.name} has no record types")
    values = []
    for field_name, listed in _picklists(given.get("picklistValues") or {}, where, fail).items():
        known = sobject.field(field_name)
        if known is None or known.type not in ("picklist", "multipicklist"):
            raise fail(f"{where}.picklistValues: {sobject.name} has no picklist {field_name}")
        unknown = [value for value in listed if value not in {choice.value for choice in known.choices}]
        # values of stages and of open picklists are the org's data, not its schema
        if unknown and known.restricted:
            raise fail(f"{where}.picklistValues: {field_name} has no value {unknown[0]!r:.80}")
        values.append((known.name, frozenset(listed)))
    label = str(given.get("label") or name.replace("_", " "))
    return KindOfRecord(name, label, _is(given.get("active", True)), _is(given.get("isPersonType", False)),
                        given.get("description"), tuple(values))  # fmt: skip


def _picklists(given: Any, where: str, fail: Fail) -> dict[str, list[str]]:
    """Values by picklist, from a mapping or from the Metadata API's list of {picklist, values: [{fullName}]}."""
    if isinstance(given, Mapping):
        given = [{"picklist": name, "values": values} for name, values in given.items()]
    found: dict[str, list[str]] = {}
    for entry in given if isinstance(given, list) else [given]:
        if not isinstance(entry, Mapping) or "picklist" not in entry:
            raise fail(f"{where}.picklistValues: {entry!r:.60} is not a picklist with its values")
        values = entry.get("values") or []
        listed = values if isinstance(values, list) else [values]
        found[str(entry["picklist"])] = [
            str(value["fullName"] if isinstance(value, Mapping) else value) for value in listed
        ]
    return found


def make_roll_up(given: Mapping[str, Any], where: str, fail: Fail) -> RollUp:
    """The roll-up of a field of type Summary. Errors: those of `fail`."""
    operation = given.get("summaryOperation")
    if operation not in _OPERATIONS:
        raise fail(f"{where}: summaryOperation {operation!r:.40} is not one of {', '.join(_OPERATIONS)}")
    child, dot, link = str(given.get("summaryForeignKey") or "").partition(".")
    if not dot:
        raise fail(f"{where}: summaryForeignKey is missing; it names the child's field, as in Line__c.Order__c")
    summed = str(given.get("summarizedField") or "")
    if (operation != "count") != bool(summed) or (summed and summed.partition(".")[0] != child):
        raise fail(f"{where}: summarizedField names a field of {child}, except for the operation count")
    filters = given.get("summaryFilterItems") or []
    made = []
    for entry in filters if isinstance(filters, list) else [filters]:
        if not isinstance(entry, Mapping) or "field" not in entry or "operation" not in entry:
            raise fail(f"{where}.summaryFilterItems: {entry!r:.60} is not {{field, operation, value}}")
        value = entry.get("value")
        shown = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
        made.append((str(entry["field"]).removeprefix(f"{child}."), str(entry["operation"]), shown))
    return RollUp(child, link, str(operation), summed.partition(".")[2] or None, tuple(made))


def with_roll_ups(objects: Mapping[str, SObject], where: Callable[[str, str], str], fail: Fail) -> dict[str, SObject]:
    """The objects (by lower-case name), their roll-ups typed as the fields that they sum. Errors: those of `fail`."""
    made = dict(objects)
    for key, sobject in objects.items():
        if any(known.roll_up for known in sobject.fields):
            fields = tuple(
                known if known.roll_up is None else _typed(known, known.roll_up, sobject, objects, where, fail)
                for known in sobject.fields
            )
            made[key] = replace(sobject, fields=fields)
    return made


def _typed(
    known: Field, made: RollUp, sobject: SObject, objects: Mapping[str, SObject], where: Callable[[str, str], str],
    fail: Fail,
) -> Field:  # fmt: skip
    place = where(sobject.name, known.name)
    child = objects.get(made.child.lower())
    link = child.field(made.link) if child else None
    if child is None or link is None or sobject.name not in link.reference_to:
        raise fail(f"{place}: summaryForeignKey {made.child}.{made.link} is no field that refers to {sobject.name}")
    if made.field is None:
        return replace(
            known, type="double", precision=18, scale=0, roll_up=replace(made, child=child.name, link=link.name)
        )
    summed = child.field(made.field)
    numeric = summed is not None and summed.kind in ("decimal", "whole")
    if summed is None or not (numeric or (made.operation in ("min", "max") and summed.kind in ("date", "datetime"))):
        raise fail(f"{place}: summarizedField {made.child}.{made.field} cannot be used with {made.operation}")
    roll_up = replace(made, child=child.name, link=link.name, field=summed.name)
    return replace(known, type=summed.type if summed.kind != "whole" else "double", precision=summed.precision or 18,
                   scale=summed.scale, roll_up=roll_up)  # fmt: skip


def check_calculations(schema: Schema, where: Callable[[str, str], str], fail: Fail) -> None:
    """Work every formula, roll-up and rule out once. Errors: those of `fail`, naming the function that is not known."""
    for sobject in schema:
        for known in sobject.fields:
            if known.calculated:
                what = "formula" if known.formula is not None else "summary"
                try:
                    check_nesting(_calculation(schema).field_sql(sobject, known, "t0"))
                except FormulaError as error:
                    raise fail(f"{where(sobject.name, known.name)}: {what}: {error}") from None
        for rule in sobject.rules:
            place = where(sobject.name, f"validationRules.{rule.name}")
            try:
                check_nesting(_calculation(schema, rule=True).condition(rule.condition, sobject, "t0"))
            except FormulaError as error:
                raise fail(f"{place}: errorConditionFormula: {error}") from None
            if rule.field and sobject.field(rule.field) is None:
                raise fail(f"{place}: errorDisplayField: {sobject.name} has no field {rule.field}")


def _calculation(schema: Schema, rule: bool = False) -> Calculation:
    return Calculation(schema, "2026-01-01", "2026-01-01T00:00:00.000", priors={} if rule else None)


def _check_name(name: str, where: str, fail: Fail) -> None:
    if _NAME.match(name) is None or len(name) > 80:
        raise fail(f"{where}: a name has letters, digits and _ only, and 80 of them at most")


def _is(value: Any) -> bool:
    return value is True or str(value).lower() == "true"
