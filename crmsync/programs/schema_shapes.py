"""Shapes that the JSON Schema of a program is built of: texts, numbers, windows, tables by attribute.

Numbers, dates and yes/no may come as text or as what a YAML reader of an editor makes of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Schema = dict[str, Any]

KEY = "[A-Za-z][A-Za-z0-9_]*"
METRIC = rf"{KEY}(\.{KEY})?"  # a metric, or a part or group of a score

_PERIODS = "(days?|weeks?|months?|quarters?|years?)"
_WINDOW = "|".join(
    (
        rf"last [0-9]+ {_PERIODS}",
        "last [0-9]+ complete (months?|quarters?|years?)",
        "this and the [0-9]+ (months?|quarters?) before",
        "(this|previous) (month|quarter|year|fiscal quarter|fiscal year)",
        "since joining",
        "first [0-9]+ months?",
        "ever",
        rf"in force( plus [0-9]+ {_PERIODS})?",
    )
)
_SHIFT = "[0-9]+ (months?|years?) earlier"
WINDOW = rf"({_WINDOW})( {_SHIFT})?( until partners\.{KEY})?"


def described(schema: Schema, description: str) -> Schema:
    """The schema with what an editor shows beside it."""
    return {**schema, "description": description}


def text() -> Schema:
    """A single value: a reader of YAML may take a name like `2026` for a number."""
    return {"type": ["string", "number", "boolean"]}


def pattern(regex: str, *examples: str) -> Schema:
    """A text of this form, with examples for completion."""
    return {"type": "string", "pattern": f"^({regex})$", **({"examples": list(examples)} if examples else {})}


def words(*known: str) -> Schema:
    """One of these words."""
    return {"enum": [str(one) for one in known]}


def yes_no() -> Schema:
    """yes, no, true or false."""
    return {"enum": ["yes", "no", True, False]}


def number() -> Schema:
    """A plain number, or a percent like `30%`."""
    return {"anyOf": [{"type": "number"}, pattern(r"-?[0-9]+(\.[0-9]+)?%?")]}


def whole(least: int | None = None) -> Schema:
    """A whole number."""
    return {"type": "integer", **({} if least is None else {"minimum": least})}


def day() -> Schema:
    """A calendar date."""
    return pattern("[0-9]{4}-[0-9]{2}-[0-9]{2}", "2027-01-01")


def stretch(or_none: bool = False) -> Schema:
    """A stretch of days or months; `none` where it may be lifted."""
    found = pattern("[0-9]+ (days?|months?)" + ("|none|0" if or_none else ""), "90 days", "6 months")
    return {"anyOf": [found, {"const": 0}]} if or_none else found


def window() -> Schema:
    """The words of `during`."""
    return pattern(
        WINDOW,
        *(
            "last 12 months",
            "last 4 complete quarters",
            "this and the 5 months before",
            "this year",
            "previous quarter",
        ),
        *("this fiscal year", "since joining", "first 6 months", "ever", "in force", "last 12 months 1 year earlier"),
    )


def shift() -> Schema:
    """The words of `versus`."""
    return pattern(_SHIFT, "1 year earlier", "3 months earlier")


def ref(name: str) -> Schema:
    """A shape that stands in `$defs`."""
    return {"$ref": f"#/$defs/{name}"}


def either(*schemas: Schema) -> Schema:
    """Short and long forms."""
    return {"anyOf": list(schemas)}


def some(item: Schema, least: int = 1) -> Schema:
    """A list."""
    return {"type": "array", "items": item, "minItems": least}


def keys(properties: Mapping[str, Schema], required: Sequence[str] = (), **more: Any) -> Schema:
    """A mapping with known keys only."""
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": list(required)} if required else {}),
        "additionalProperties": False,
        **more,
    }


def named(value: Schema, name: str = KEY, least: int = 1) -> Schema:
    """A mapping from names that the program gives."""
    return {
        "type": "object",
        "patternProperties": {f"^{name}$": value},
        "additionalProperties": False,
        "minProperties": least,
    }


def by_attribute(value: Schema) -> Schema:
    """`{by: region, default: 2, EMEA: 3}`."""
    return {
        "type": "object",
        "properties": {
            "by": described(text(), "The column of the partner that decides, like region."),
            "default": described(value, "For partners whose column is empty or has none of the values named here."),
        },
        "required": ["by", "default"],
        "additionalProperties": value,
    }
