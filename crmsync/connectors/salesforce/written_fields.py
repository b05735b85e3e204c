"""The fields we write: present, updateable and able to hold the wanted values, or nothing is written at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from crmsync.connectors.base import NotThere, Unwritable, Write
from crmsync.connectors.mapping import Place, SalesforceMapping, WriteMap
from crmsync.connectors.salesforce.describe import ABSENT, NUMBERS, Describe, Field, SObject, nearest
from crmsync.connectors.salesforce.rows import canonical, one_line
from crmsync.errors import AccessError, ConfigError

CLEARED = "#N/A"
CELL_MAX = 32_000
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SHOWN_VALUES = 12
TEXTS = frozenset({"string", "textarea"})
LIMITED = NUMBERS | {"picklist", "multipicklist"}
"""Types of fields that do not take every text."""


def write_map(mapping: SalesforceMapping) -> WriteMap:
    """What the field map says about writing. Errors: ConfigError when it says nothing."""
    if mapping.writes is None:
        raise ConfigError("no `writes:` in this field map, so nothing can be written to Salesforce", file=mapping.file)
    return mapping.writes


class WrittenFields:
    """The described fields of one write target, and the canonical form of their values."""

    def __init__(self, mapping: SalesforceMapping, describe: Describe) -> None:
        self._mapping = mapping
        self._describe = describe
        self._writes = write_map(mapping)
        self._sobject: SObject | None = None

    @property
    def sobject(self) -> SObject:
        """The written object, described once per run of writes."""
        if self._sobject is None:
            self._describe.forget()
            self._sobject = self._described()
        return self._sobject

    def field(self, name: str) -> Field:
        """One field. Errors: NotThere when it does not exist or is hidden."""
        found = self.sobject.field(name)
        if found is None:
            raise NotThere(_absent(self.sobject, name))
        return found

    def canonical(self, name: str, text: str | None) -> str | None:
        """A value in the form that is compared, and as long as the field has room for."""
        return compared(self.field(name), text)

    def canonical_values(self, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values in the form that is compared, by the field's own spelling."""
        given = [(self.field(name), text) for name, text in values.items()]
        return {field.name: compared(field, text) for field, text in given}

    def unwritable(self, names: Iterable[str]) -> dict[str, Unwritable]:
        """Those of the fields that cannot be written now, described anew. Errors: AccessError for a lost object."""
        self._describe.forget()
        self._sobject = found = self._present()
        gone: dict[str, Unwritable] = {}
        for name in names:
            field = found.field(name)
            if field is None:
                gone[name] = Unwritable(_absent(found, name), hidden=True)
            elif not self._may_write(field):
                gone[name] = Unwritable(_read_only(found, field), hidden=False)
        return gone

    def _present(self) -> SObject:
        """The object as it is now, whatever it lacks."""
        return self._find(self._writes.object)

    def _may_write(self, field: Field) -> bool:
        return field.updateable or field.type == "id"

    def check(self, writes: Iterable[Write]) -> None:
        """Return when every field and value of the writes can be stored.

        Errors: AccessError naming object.field (and the record) before anything is written.
        """
        known: dict[str, Field] = {}
        for write in writes:
            for name, text in write.values.items():
                field = known.get(name)
                if field is None:
                    field = known[name] = self._updateable(name)
                if text is not None and field.type in LIMITED:
                    self._check_value(field, text, write.record_id)

    def _updateable(self, name: str) -> Field:
        found = self.field(name)
        if not found.updateable:
            raise AccessError(_read_only(self.sobject, found))
        return found

    def _check_value(self, field: Field, text: str, record_id: str) -> None:
        if field.type in NUMBERS:
            self._check_digits(field, text, record_id)
            return
        if not field.restricted:
            return
        parts = text.split(";") if field.type == "multipicklist" else [text]
        for part in parts:
            if part and part not in field.values:
                known = ", ".join(field.values[:_SHOWN_VALUES])
                raise AccessError(
                    f"{self.sobject.name}.{field.name} has no active picklist value `{part}` (wanted for "
                    f"{self.sobject.name} {record_id}){nearest(part, field.values)}; it has: {known}. "
                    "Nothing was written"
                )

    def _check_digits(self, field: Field, text: str, record_id: str) -> None:
        """A number that Salesforce would round never equals what was written; one that is too large is refused."""
        digits, behind = field.digits
        whole, _, fraction = text.lstrip("-").partition(".")
        if digits and (len(whole) > digits - behind or len(fraction.rstrip("0")) > behind):
            raise AccessError(
                f"{self.sobject.name}.{field.name} holds {digits - behind} digits before the point and {behind} behind "
                f"it; `{text}` is wanted for {self.sobject.name} {record_id}. Widen the field. Nothing was written"
            )

    def _described(self) -> SObject:
        found = self._find(self._writes.object)
        for place in self._writes.all_fields:
            field = found.field(place.text)
            if field is None:
                raise self._missing(place, _absent(found, place.text))
            if not field.updateable:
                raise self._missing(place, _read_only(found, field))
        return found

    def _find(self, place: Place) -> SObject:
        try:
            return self._describe.object(place.text)
        except AccessError as error:
            raise self._missing(place, str(error)) from None

    def _missing(self, place: Place, message: str) -> AccessError:
        hint = "Nothing was written; `crmsync deploy plan` shows what the org lacks"
        return AccessError(f"{self._mapping.file}:{place.line}: {message}. {hint}")


def _absent(sobject: SObject, name: str) -> str:
    near = nearest(name, (field.name for field in sobject.fields.values()))
    return f"field {sobject.name}.{name} {ABSENT} or is hidden by field-level security{near}"


def _read_only(sobject: SObject, field: Field) -> str:
    return f"{sobject.name}.{field.name} cannot be written by this user: give its permission set edit access"


def compared(field: Field, text: str | None) -> str | None:
    """A value in the form that is compared, and as long as the field has room for."""
    return fitting(canonical(text, field.type), field)


def fitting(text: str | None, field: Field) -> str | None:
    """A text cut to the length of its field, with an ellipsis; keys and choices are never cut."""
    if text is None or 2 * len(text) <= field.length:  # a character takes two units at most
        return text
    if field.type not in TEXTS or field.unique_key or not field.length:
        return text
    cut = text.encode("utf-16-le", "surrogatepass")
    if len(cut) <= 2 * field.length:
        return text
    return cut[: 2 * (field.length - 1)].decode("utf-16-le", "ignore").rstrip() + "…"


def json_body(values: Mapping[str, str | None], fields: WrittenFields) -> str:
    """The body of a PATCH."""
    return "{" + ", ".join(json_members(values, fields)) + "}"


def json_members(values: Mapping[str, str | None], fields: WrittenFields) -> list[str]:
    """The members of a record; numbers are written digit by digit as planned, never through a float."""
    return [
        f"{json.dumps(fields.field(name).name)}: {_json_value(text, fields.field(name))}"
        for name, text in values.items()
    ]


def _json_value(text: str | None, field: Field) -> str:
    if text is None or text == "":
        return "null"
    if field.type == "boolean" and text in ("true", "false"):
        return text
    if field.type in NUMBERS and _NUMBER.fullmatch(text):
        return text
    return json.dumps(fitting(one_line(text), field), ensure_ascii=False)


def bulk_cell(text: str | None, field: Field | None = None) -> str:
    """One value as a bulk cell: `#N/A` clears a field, an empty cell would leave it unchanged."""
    if text is None or text == "":
        return CLEARED
    cell = one_line(text)
    return cell if field is None else fitting(cell, field) or CLEARED


def sorted_columns(writes: Sequence[Write]) -> list[str]:
    """The columns of an upload, the same for the same writes in every run."""
    return sorted({name for write in writes for name in write.values})
