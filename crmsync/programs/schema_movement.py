"""The JSON Schema of `movement:` and of dates of review."""

from __future__ import annotations

from crmsync.programs.schema_shapes import (
    WINDOW,
    Schema,
    day,
    described,
    either,
    keys,
    pattern,
    some,
    stretch,
    text,
    whole,
    words,
    yes_no,
)

_DAY_OF_YEAR = "(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_NONE = {"const": "none"}


def movement_schema() -> Schema:
    """`movement:` of the program, a category or a tier."""
    effective = described(
        pattern(
            "immediately|first of next month|after [0-9]+ (days?|months?)",
            *("immediately", "first of next month", "after 30 days"),
        ),
        "When a change comes into force. Default: immediately.",
    )
    change = {
        "on": described(_dates(), "The days on which it may happen. Default: any day."),
        "effective": effective,
        "approval": described(yes_no(), "Whether somebody must approve it first, by an override."),
    }
    fall = {
        "grace": described(stretch(or_none=True), "How long a partner has to come back before the tier is lost."),
        "steps": described(either(whole(1), _NONE), "By how many tiers at most a partner falls at once."),
    }
    return keys(
        {
            "promote": described(either(_dates(), keys(change)), "When a partner may rise; dates, or more of it."),
            "demote": described(either(_dates(), keys({**change, **fall})), "When a partner may fall."),
            "effective": effective,
            "hold": described(either(_NONE, _hold()), "For whom demotions are held back."),
            "freeze": described(either(_NONE, some(_freeze(), 0)), "When and for whom nobody falls."),
            "qualifies": described(_qualifies(), "Whether a tier holds if it held on any day of a window."),
        }
    )


def _dates() -> Schema:
    calendars = words("any day", "monthly", "quarterly", "yearly", "fiscal quarterly", "fiscal yearly", "anniversary")
    return either(
        calendars, pattern(r"anniversary of \S+", "anniversary of joined_on"), some(pattern(_DAY_OF_YEAR, "01-15"))
    )


def _hold() -> Schema:
    return keys(
        {
            "newcomers": described(stretch(or_none=True), "Nobody falls that soon after joined_on."),
            "after_promotion": described(stretch(or_none=True), "Nobody falls that soon after a promotion."),
        }
    )


def _freeze() -> Schema:
    return keys(
        {
            "where": described(text(), "For whom: a condition over metrics and columns. Default: everybody."),
            "from": described(day(), "The first day."),
            "until": described(day(), "The last day."),
            "reason": described(text(), "Why, for those who ask."),
        },
        anyOf=[{"required": [key]} for key in ("where", "from", "until")],
    )


def _qualifies() -> Schema:
    return pattern(f"today|any day of {WINDOW}", "today", "any day of last 6 months")


def fiscal_year_schema() -> Schema:
    """`fiscal_year:`."""
    return keys({"starts": described(pattern(_DAY_OF_YEAR, "02-01"), "The first day, month and day.")}, ("starts",))


def every_schema() -> Schema:
    """`reassess:`."""
    return pattern("every ([0-9]+ )?(day|week|month|quarter|year)s?", "every 12 months")
