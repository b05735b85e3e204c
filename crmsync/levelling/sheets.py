"""Threshold sheets: which row speaks of a partner. Source: program-language, section 5.

The row with the most filled attribute columns that fit wins. Where none fits, or two fit equally well, the value is
unknown and the standing says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, groupby

from crmsync.levelling import sql
from crmsync.levelling.measures import partner_column
from crmsync.levelling.sql import Sql
from crmsync.programs.program import FromSheet, ThresholdRow

Choice = tuple[int | None, Sql]
"""The place of a row in the sheet (None: two rows fit equally well) and the condition under which it is the one."""


def choices(sheet: FromSheet, alias: str | None = None) -> list[Choice]:
    """The rows to ask one after the other; the first whose condition holds is the one."""
    found: list[Choice] = []
    places = sorted(range(len(sheet.rows)), key=lambda place: -len(sheet.rows[place].attributes))
    for _, level in groupby(places, key=lambda place: len(sheet.rows[place].attributes)):
        same = list(level)
        for one, other in clashes(sheet, same):
            both = {**sheet.rows[one].attributes, **sheet.rows[other].attributes}
            found.append((None, _fits(both, alias)))
        found += [(place, _fits(sheet.rows[place].attributes, alias)) for place in same]
    return found


def clashes(sheet: FromSheet, places: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of rows that may fit the same partner: no column in which they differ."""
    yield from ((one, other) for one, other in combinations(places, 2) if _may_meet(sheet.rows[one], sheet.rows[other]))


def _may_meet(one: ThresholdRow, other: ThresholdRow) -> bool:
    return all(other.attributes.get(column, value) == value for column, value in one.attributes.items())


def _fits(attributes: Mapping[str, str], alias: str | None) -> Sql:
    cells = [
        sql.coalesce(sql.eq(sql.cast(sql.col(partner_column(column), alias), sql.TEXT), sql.text(value)), sql.false())
        for column, value in attributes.items()
    ]
    return sql.and_(*cells)
