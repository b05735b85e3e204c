"""Values of fields: from JSON or CSV text to what the store holds, refused as the org refuses them.

Stored: texts, ids, dates `YYYY-MM-DD`, stamps `YYYY-MM-DDThh:mm:ss.mmm` in UTC, yes/no as 1 and 0, decimals as whole
numbers scaled by 10^scale, so that sums and comparisons are exact.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.ids import to_18
from crmsync.sandbox.schema import Field, Schema

Stored = str | int | None

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,3})?)?Z?\Z", re.ASCII)
_SHORT_ZONE = re.compile(r"([+-]\d\d)(\d\d)\Z", re.ASCII)
_FLAGS = {"true": 1, "false": 0, "1": 1, "0": 0}


def wrong_type(field: Field, shown: Any, json_type: str | None) -> ApiError:
    """The refusal of a value that is not of the field's type, as REST (with a JSON type) or Bulk words it."""
    if json_type is not None:
        kind = {"decimal": field.type, "flag": "boolean", "id": "reference", "whole": "int"}.get(field.kind, field.kind)
        return ApiError(
            400, "JSON_PARSER_ERROR",
            f"Cannot deserialize instance of {kind} from {json_type} value {_short(shown)} or request may be missing a "
            f"required field: {field.name}", [field.name],
        )  # fmt: skip
    return ApiError(
        400,
        "INVALID_TYPE_ON_FIELD_IN_RECORD",
        f"{field.label}: value not of required type: {_short(shown)}",
        [field.name],
    )


def from_json(schema: Schema, field: Field, value: Any) -> Stored:
    """What the store holds for a JSON value. Errors: ApiError with code, text and field."""
    if value is None:
        return _nothing(field)
    if isinstance(value, bool):
        if field.kind != "flag":
            raise wrong_type(field, str(value).lower(), f"VALUE_{str(value).upper()}")
        return int(value)
    if isinstance(value, (int, Decimal)):
        if field.kind not in ("whole", "decimal"):
            raise wrong_type(field, value, "VALUE_NUMBER_INT" if isinstance(value, int) else "VALUE_NUMBER_FLOAT")
        return scaled(field, Decimal(value))
    if not isinstance(value, str):
        raise wrong_type(field, "{}" if isinstance(value, dict) else "[]",
                         "START_OBJECT" if isinstance(value, dict) else "START_ARRAY")  # fmt: skip
    return _from_text(schema, field, value, "VALUE_STRING")


def from_text(schema: Schema, field: Field, text: str | None) -> Stored:
    """What the store holds for a CSV cell; None and the empty text clear. Errors: ApiError."""
    return _nothing(field) if text is None or text == "" else _from_text(schema, field, text, None)


def _nothing(field: Field) -> Stored:
    return 0 if field.kind == "flag" else None


def _from_text(schema: Schema, field: Field, text: str, json_type: str | None) -> Stored:
    kind = field.kind
    if kind == "text":
        return checked_text(field, text)
    if kind == "list":
        return checked_list(field, text)
    text = text.strip()
    if text == "":
        return _nothing(field)
    if kind == "id":
        return checked_id(schema, field, text)
    if kind == "flag" and text.lower() in _FLAGS:
        return _FLAGS[text.lower()]
    if kind in ("whole", "decimal") and _NUMBER.match(text):
        return scaled(field, Decimal(text))
    found = _moment(kind, text)
    if found is None:
        raise wrong_type(field, text, json_type)
    return found


def _moment(kind: str, text: str) -> str | None:
    try:
        if kind == "date":
            return (
                date.fromisoformat(text[:10]).isoformat()
                if _DATE.match(text[:10]) and text[10:11] in ("", "T")
                else None
            )
        if kind == "datetime":
            return stamp_of(text)
    except (ValueError, OverflowError):
        return None
    if kind == "time" and _TIME.match(text):
        return text.removesuffix("Z")
    return None


def stamp_of(text: str) -> str:
    """The stored form of an ISO instant; without an offset it is UTC. Errors: ValueError, OverflowError."""
    found = datetime.fromisoformat(_SHORT_ZONE.sub(r"\1:\2", text) if len(text) > 10 else text)
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + f".{found.microsecond // 1000:03d}"


def checked_text(field: Field, text: str) -> str | None:
    """The text without outer blanks, None when nothing is left."""
    text = text.strip()
    if text == "":
        return None
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    if field.length and len(text) > field.length:
        raise ApiError(
            400,
            "STRING_TOO_LONG",
            f"{field.label}: data value too large: {_short(text)} (max length={field.length})",
            [field.name],
        )
    if field.restricted:
        _check_choice(field, text, text)
    return text


def checked_list(field: Field, text: str) -> str | None:
    """A multi-select value in the order of the picklist, each value once."""
    parts = list(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))
    if field.restricted:
        for part in parts:
            _check_choice(field, part, text)
    places = field.places
    ordered = ";".join(sorted(parts, key=lambda part: places.get(part.lower(), len(places))))
    return ordered.encode("utf-8", "replace").decode("utf-8") or None


def _check_choice(field: Field, value: str, shown: str) -> None:
    place = field.places.get(value.lower())
    if place is None or field.choices[place].value != value or not field.choices[place].active:
        raise ApiError(
            400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{field.label}: bad value for restricted picklist field: {_short(shown)}", [field.name],
        )  # fmt: skip


def checked_id(schema: Schema, field: Field, text: str) -> str:
    """The 18-character id, of an object that the field may refer to."""
    found = to_18(text)
    target = schema.of_id(found) if found else None
    fits = target is not None and (not field.reference_to or target.name in field.reference_to)
    if found is None or not fits:
        raise ApiError(400, "MALFORMED_ID", f"{field.label}: id value of incorrect type: {_short(text)}", [field.name])
    return found


def scaled(field: Field, value: Decimal) -> int:
    """The number scaled by 10^scale, rounded half up. Errors: ApiError NUMBER_OUTSIDE_VALID_RANGE."""
    try:
        whole = int(value.scaleb(field.scale).to_integral_value(ROUND_HALF_UP)) if value.adjusted() < 30 else 10**30
    except InvalidOperation:
        whole = 10**30
    most = field.precision or (field.digits + 1 if field.digits else 18)
    if abs(whole) >= 10**most:
        raise ApiError(
            400, "NUMBER_OUTSIDE_VALID_RANGE",
            f"{field.label}: value outside of valid range on numeric field: {_short(value)}", [field.name],
        )  # fmt: skip
    return whole


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 255 else text[:255] + "..."


def shown_sql(kind: str, scale: int, sql: str, zone: str) -> str:
    """SQL of a stored value as answers show it: decimals unscaled, stamps with their offset `zone`."""
    if kind == "decimal" and scale >= 0:
        return f"({sql} / {10**scale}.0)"
    return f"({sql} || '{zone}')" if kind == "datetime" else sql


def formatted(value: Any, kind: str, scale: int, iso: str | None) -> str | None:
    """FORMAT() of SOQL for an en_US user."""
    if value is None:
        return None
    if kind in ("decimal", "whole"):
        amount = value / 10**scale if scale > 0 else value
        text = f"{amount:,.{2 if scale < 0 else scale}f}"
        return f"{iso} {text}" if iso else text
    if kind == "date":
        day = date.fromisoformat(str(value))
        return f"{day.month}/{day.day}/{day.year}"
    if kind == "datetime":
        moment = datetime.fromisoformat(str(value))
        return f"{moment.month}/{moment.day}/{moment.year}, {moment:%I:%M %p}".replace(", 0", ", ")
    return str(value)
