"""The fields we write: present, updateable and able to hold the wanted values, or nothing is written at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from crmsync.connectors.base import Write
from crmsync.connectors.mapping import Place, SalesforceMapping, WriteMap
from crmsync.connectors.salesforce.describe import NUMBERS, Describe, Field, SObject, nearest
from crmsync.connectors.salesforce.rows import canonical, one_line
from crmsync.errors import AccessError, ConfigError

CLEARED = "#N/A"
CELL_MAX = 32_000
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SHOWN_VALUES = 12


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
        """One field. Errors: AccessError when it does not exist or is hidden."""
        found = self.sobject.field(name)
        if found is None:
            raise AccessError(_absent(self.sobject, name))
        return found

    def canonical(self, name: str, text: str | None) -> str | None:
        """A value in the form that is compared."""
        return canonical(text, self.field(name).type)

    def canonical_values(self, values: Mapping[str, str | None]) -> dict[str, str | None]:
        """Values in the form that is compared, by the field's own spelling."""
        return {self.field(name).name: self.canonical(name, text) for name, text in values.items()}

    def check(self, writes: Iterable[Write]) -> None:
        """Return when every field and value of the writes can be stored.

        Errors: AccessError naming object.field (and the record) before anything is written.
        """
        for write in writes:
            for name, text in write.values.items():
                self._check_value(self._updateable(name), text, write.record_id)

    def _updateable(self, name: str) -> Field:
        found = self.field(name)
        if not found.updateable:
            raise AccessError(
                f"{self.sobject.name}.{found.name} cannot be written by this user: give its permission set edit access"
            )
        return found

    def _check_value(self, field: Field, text: str | None, record_id: str) -> None:
        if text is None or field.type not in ("picklist", "multipicklist") or not field.restricted:
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

    def _described(self) -> SObject:
        found = self._find(self._writes.object)
        for place in self._writes.all_fields:
            field = found.field(place.text)
            if field is None:
                raise self._missing(place, _absent(found, place.text))
            if not field.updateable:
                raise self._missing(
                    place,
                    f"{found.name}.{field.name} cannot be written by this user: give its permission set edit access",
                )
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
    return f"field {sobject.name}.{name} does not exist in this org or is hidden by field-level security{near}"


def json_body(values: Mapping[str, str | None], fields: WrittenFields) -> str:
    """The body of a PATCH; numbers are written digit by digit as planned, never through a float."""
    members = [
        f"{json.dumps(fields.field(name).name)}: {_json_value(text, fields.field(name))}"
        for name, text in values.items()
    ]
    return "{" + ", ".join(members) + "}"


def _json_value(text: str | None, field: Field) -> str:
    if text is None or text == "":
        return "null"
    if field.type == "boolean" and text in ("true", "false"):
        return text
    if field.type in NUMBERS and _NUMBER.fullmatch(text):
        return text
    return json.dumps(one_line(text), ensure_ascii=False)


def bulk_cell(text: str | None) -> str:
    """One value as a bulk cell: `#N/A` clears a field, an empty cell would leave it unchanged."""
    return CLEARED if text is None or text == "" else one_line(text)


def sorted_columns(writes: Sequence[Write]) -> list[str]:
    """The columns of an upload, the same for the same writes in every run."""
    return sorted({name for write in writes for name in write.values})
