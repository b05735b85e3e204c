"""What a client gave of a record, as values to store, and what is refused before they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.schema import Field, Schema, SObject
from crmsync.sandbox.values import Stored

if TYPE_CHECKING:
    from crmsync.sandbox.rows import Rows

Convert = Callable[[Schema, Field, Any], Stored]


def given_values(
    rows: Rows, sobject: SObject, given: Mapping[str, Any], convert: Convert, creating: bool
) -> dict[str, Any]:
    """The values to store. Errors: ApiError for what is unknown, may not be written, or is no value of its field."""
    values: dict[str, Any] = {}
    refused: list[str] = []
    for name, value in given.items():
        if name.lower() in ("attributes", "id"):
            continue
        link, key = _relationship(sobject, name, value)
        known = link or sobject.field(name)
        if (known is None or known.hidden) and (withheld := _withheld(rows, sobject, name)):
            refused.append(withheld)
            continue
        if known is None or known.hidden:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name[:255]}' on sobject of type {sobject.name}")
        if not (known.createable if creating else known.updateable):
            refused.append(known.name)
        elif link is not None:
            values[known.name] = _referred(rows, link, key, value, convert)
        else:
            values[known.name] = _existing(rows, known, convert(rows.org.schema, known, value))
    if refused:
        listed = ", ".join(refused)
        raise ApiError(
            400, "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"Unable to create/update fields: {listed}. Please check the security settings of this field and "
            "verify that it is read/write for your profile or permission set.", refused,
        )  # fmt: skip
    return values


def _withheld(rows: Rows, sobject: SObject, name: str) -> str | None:
    """The name of a field that the object has, but the user does not see."""
    known = rows.whole(sobject).field(name.partition(".")[0])
    return known.name if known is not None and not known.hidden else None


def _existing(rows: Rows, known: Field, stored: Stored) -> Stored:
    """The value, if it is no reference to a record that is not there."""
    if known.type != "reference" or stored is None:
        return stored
    target = rows.org.schema.of_id(str(stored))
    if target is not None:
        alive = ' AND "IsDeleted" = 0' if target.field("IsDeleted") else ""
        if rows.connection.execute(f'SELECT 1 FROM "{target.name}" WHERE "Id" = ?{alive}', [stored]).fetchone():
            return stored
    raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [known.name])


def _referred(rows: Rows, link: Field, key: str, value: Any, convert: Convert) -> str | None:
    """The id of the parent that carries an external id."""
    if isinstance(value, Mapping):
        named = [(name, inner) for name, inner in value.items() if name.lower() != "attributes"]
        if len(named) != 1:
            raise ApiError(
                400, "INVALID_FIELD", f"The relationship {link.relationship} takes one external id field", []
            )
        key, value = named[0]
    if value is None or value == "":
        return None
    for name in link.reference_to:
        target = rows.org.schema.find(name)
        found = target.field(key) if target else None
        if target is not None and found is not None and (found.key or found.name == "Id"):
            ids = rows.find(target, found, convert(rows.org.schema, found, value))
            if len(ids) == 1:
                return ids[0]
            problem = "not found" if not ids else "found more than once"
            raise ApiError(
                400,
                "INVALID_FIELD",
                f"Foreign key external ID: {value} {problem} for field {found.name} in entity {target.name}",
                [],
            )
    raise ApiError(
        400,
        "INVALID_FIELD",
        f"No such column '{key}' on sobject of type {link.reference_to[0]}, or it is no external id",
        [],
    )


def require(sobject: SObject, row: Mapping[str, Any]) -> None:
    """Errors: ApiError REQUIRED_FIELD_MISSING for a new record without one."""
    missing = [known.name for known in sobject.fields if known.required and row.get(known.name) is None]
    if missing:
        raise ApiError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", missing)


def require_kept(sobject: SObject, values: Mapping[str, Any]) -> None:
    """Errors: ApiError REQUIRED_FIELD_MISSING for a change that empties one."""
    emptied = [
        name for name, value in values.items()
        if value is None and (known := sobject.field(name)) and not known.nillable
    ]  # fmt: skip
    if emptied:
        raise ApiError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(emptied)}]", emptied)


def refuse_twins(rows: Rows, sobject: SObject, values: Mapping[str, Any], own_id: str | None) -> None:
    """Errors: ApiError DUPLICATE_VALUE when another record has the value of a unique field."""
    for known in sobject.fields:
        value = values.get(known.name)
        if not known.unique or value is None:
            continue
        other = next((found for found in rows.find(sobject, known, value) if found != own_id), None)
        if other:
            raise ApiError(
                400, "DUPLICATE_VALUE",
                f"duplicate value found: {known.name} duplicates value on record with id: {other[:15]}", [],
            )  # fmt: skip


def _relationship(sobject: SObject, name: str, value: Any) -> tuple[Field | None, str]:
    """The reference field that a relationship name or column speaks of, and the key after the dot."""
    first, _, key = name.partition(".")
    if key or isinstance(value, Mapping):
        return sobject.by_relationship.get(first.lower()), key
    return None, ""
