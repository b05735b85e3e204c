"""Forms of records: the input of each field, what a person sent, and the org's refusals beside the field at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as made
from typing import Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.org import Org
from crmsync.sandbox.page.records import linked
from crmsync.sandbox.page.shown import form_text, local, readable
from crmsync.sandbox.page.tables import literal
from crmsync.sandbox.queries import first_page
from crmsync.sandbox.schema import Choice, Field, SObject
from crmsync.sandbox.values import from_text

_ROOT = "/services/data/v67.0"
_MOST_INPUTS = 500
Given = Mapping[str, list[str]]
Errors = dict[str, list[str]]


@dataclass(frozen=True)
class Input:
    """One field of a form: what it holds now, and how it is asked for."""

    field: Field
    value: str
    kind: str  # text, area, number, date, datetime-local, checkbox, choice, choices, record, plain
    required: bool
    choices: tuple[Choice, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def chosen(self) -> list[str]:
        """The values of a multi-select."""
        return [part for part in self.value.split(";") if part]


@dataclass
class Form:
    """What a person sent: values by field name as they stand in the inputs, and refusals by field name."""

    values: dict[str, str] = made(default_factory=dict)
    errors: Errors = made(default_factory=dict)
    general: list[str] = made(default_factory=list)

    def refuse(self, error: ApiError) -> None:
        """Take the org's refusal, in its own words, to the fields that it names."""
        for each in (error, *error.more):
            shown = [name for name in each.fields or () if name in self.values]
            for name in shown:
                self.errors.setdefault(name, []).append(each.message)
            if not shown:
                self.general.append(f"{each.message} ({each.code})")


def sent(given: Given) -> Form:
    """What was sent. `shown` names every field of the form, so that an empty checkbox is told from a missing one."""
    names = list(dict.fromkeys(given.get("shown", [])))[:_MOST_INPUTS]
    return Form({name: ";".join(given.get(f"field.{name}", [])).replace("\r\n", "\n") for name in names})


def inputs(org: Org, fields: Sequence[Field], record: Mapping[str, Any], form: Form) -> list[Input]:
    """The inputs of a form; fields that the user may only read are plain text."""
    new = "Id" not in record
    made_of = []
    for known in fields:
        writes = known.createable if new else known.updateable
        value = form.values.get(known.name, present(org, known, record))
        # values that are in use no more are offered only where the record still has one
        offered = tuple(entry for entry in known.choices if entry.active or entry.value in value.split(";"))
        needed = writes and not known.nillable and known.kind != "flag" and not (new and known.defaulted_on_create)
        kind = _kind(known) if writes else "plain"
        made_of.append(Input(known, value, kind, needed, offered, tuple(form.errors.get(known.name, ()))))
    return made_of


def present(org: Org, known: Field, record: Mapping[str, Any]) -> str:
    """What the input of a field holds before anybody changes it."""
    named = linked(org, known, dict(record))
    return named[0] if named is not None else form_text(known, record.get(known.name), org.clock.zone)


def _kind(known: Field) -> str:
    if known.type == "reference":
        return "record"
    if known.type in ("picklist", "multipicklist"):
        return "choice" if known.type == "picklist" else "choices"
    if known.type == "textarea":
        return "area"
    by_kind = {"flag": "checkbox", "date": "date", "datetime": "datetime-local", "decimal": "number", "whole": "number"}
    return by_kind.get(known.kind, "text")


def asked_fields(sobject: SObject, new: bool) -> list[Field]:
    """The fields that a form may ask for, or show."""
    shown = readable(sobject)
    if new:
        return [known for known in shown if known.createable and known.name != "OwnerId"]
    return [known for known in shown if known.updateable or known.custom or known.name_field]


def changes(org: Org, sobject: SObject, form: Form, record: Mapping[str, Any]) -> dict[str, str]:
    """What the person changed, as the org takes it; refusals go to the form.

    A name that the form did not offer is kept, so that the org says itself why it cannot be written.
    """
    found: dict[str, str] = {}
    for name, text in form.values.items():
        known = sobject.field(name)
        if known is not None and known.kind == "flag":
            text = text or "false"
        if known is not None and text == present(org, known, record):
            continue
        try:
            found[name] = text if known is None else _taken(org, known, text)
        except ApiError as error:
            form.refuse(error)
    return found


def _taken(org: Org, known: Field, text: str) -> str:
    """What the org takes for the text of an input. Errors: ApiError with the field."""
    if text and known.type == "reference" and to_18(text) is None:
        return _id_of(org, known, text)
    if text and known.kind == "datetime":
        try:
            moment = local("2000-01-01T00:00:00", org.clock.zone).fromisoformat(text)
        except ValueError:
            return text  # the org refuses it in its own words
        return moment.replace(tzinfo=moment.tzinfo or org.clock.zone).isoformat()
    return text


def _id_of(org: Org, known: Field, name: str) -> str:
    """The id of the record that is called so. Errors: ApiError with the field."""
    ids: list[str] = []
    for target in (org.visible.find(target) for target in known.reference_to):
        if target is not None and target.name_field is not None:
            where = f"{target.name_field.name} = {literal(name)}"
            soql = f"SELECT Id FROM {target.name} WHERE {where} ORDER BY Id LIMIT 2"
            ids += [str(record["Id"]) for record in first_page(org, soql, _ROOT)["records"]]
    if len(ids) == 1:
        return ids[0]
    why = "no record has this name" if not ids else "several records have this name: give the id"
    raise ApiError(400, "MALFORMED_ID", f"{known.label}: {name[:80]}: {why}", [known.name])


def save(org: Org, sobject: SObject, record_id: str | None, form: Form, record: Mapping[str, Any], stamp: str) -> str:
    """The id of the record that was made or changed; "" when it was refused, with the refusals in the form."""
    if record_id is not None and stamp != str(record.get("SystemModstamp") or ""):
        form.general.append(
            "The record was changed by somebody else since this form was opened. Look at what it says now; "
            "saving again writes your values over it."
        )
        return ""
    given = changes(org, sobject, form, record)
    if form.errors or form.general:
        return ""
    try:
        with org.rows(counted=False) as rows:
            if record_id is None:
                # an empty input of a new record is no wish to have it empty: defaults of the org may fill it
                filled = {name: text for name, text in given.items() if text != ""}
                return rows.create(sobject, filled, from_text)
            return rows.update(sobject, record_id, given, from_text) if given else record_id
    except ApiError as error:
        form.refuse(error)
        return ""
