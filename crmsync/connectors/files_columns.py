"""Which column of a table each heading of a file is, and what a column that no table names holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.connectors.files_cells import Decimals
from crmsync.connectors.files_mapping import TableMapping, require_headings
from crmsync.errors import ConfigError
from crmsync.strict_yaml import nearest
from crmsync.tables import ARROW_TYPES, CANONICAL, ColumnType

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "partners": ("partner_id",),
    "opportunities": ("opportunity_id", "partner_id"),
    "certifications": ("partner_id",),
    "activities": ("partner_id",),
    "rates": ("currency", "rate"),
    "overrides": ("partner_id",),
}
"""Without these columns a file is not the table; others that are not delivered are empty."""

_FILLED: Mapping[str, tuple[str, ...]] = {
    "partners": ("partner_id",),
    "opportunities": ("opportunity_id",),
    "certifications": ("certification_id",),
    "activities": ("activity_id",),
    "rates": ("currency", "rate"),
    "overrides": ("partner_id",),
}
_NUMBERS = (ColumnType.NUMBER, ColumnType.MONEY, ColumnType.MEASURE)


@dataclass(frozen=True)
class Column:
    """One column of a file. `kind` None: to be seen from its cells; `place` counts the file's columns from 0."""

    name: str
    heading: str
    place: int
    kind: ColumnType | None


@dataclass(frozen=True)
class Layout:
    """The columns of a file, and the places of columns without a heading (they must be empty)."""

    table: str
    columns: tuple[Column, ...]
    nameless: tuple[int, ...]

    @property
    def filled(self) -> frozenset[str]:
        """Columns in which an empty cell is an error of its row."""
        return frozenset(_FILLED.get(self.table, ())) & {column.name for column in self.columns}


def layout(
    table: str, headings: Sequence[str], mapping: TableMapping, money: frozenset[tuple[str, str]], file: str, line: int
) -> Layout:
    """The columns that headings stand for. Errors: ConfigError for doubled, missing or unknown headings."""
    _refuse_doubled(headings, file, line)
    require_headings(table, mapping, {heading.lower(): heading for heading in headings}, file, line)
    renamed = {heading.lower(): name for name, heading in mapping.columns.items()}
    columns = [
        Column(name, heading, place, kind_of(table, name, mapping, money))
        for place, heading in enumerate(headings)
        if heading
        for name in (renamed.get(heading.lower()) or _own_name(table, heading),)
    ]
    _refuse_shared(columns, file, line)
    names = {column.name for column in columns}
    for required in REQUIRED.get(table, ("partner_id",)):
        if required not in names:
            raise ConfigError(
                f"has no column `{required}`, which {table} need{nearest(required, names)}", file=file, line=line
            )
    return Layout(table, tuple(columns), tuple(place for place, heading in enumerate(headings) if not heading))


def kind_of(table: str, name: str, mapping: TableMapping, money: frozenset[tuple[str, str]]) -> ColumnType | None:
    """What a column holds as far as it is known without looking at its cells."""
    canonical = CANONICAL.get(table)
    if canonical and name in canonical.columns:
        return canonical.columns[name]
    if (table, name) in money or name in mapping.money:
        return ColumnType.MONEY
    if canonical is None and name in ("partner_id", "currency"):
        return ColumnType.TEXT
    return ColumnType.DATE if canonical is None and name == mapping.main_date else None


def _own_name(table: str, heading: str) -> str:
    known = CANONICAL[table].columns if table in CANONICAL else ("partner_id", "currency", "happened_on")
    return heading.lower() if heading.lower() in known else heading


def _refuse_doubled(headings: Sequence[str], file: str, line: int) -> None:
    counts = Counter(heading.lower() for heading in headings if heading)
    for heading in headings:
        if counts[heading.lower()] > 1:
            raise ConfigError(
                f"column `{heading}` stands there {counts[heading.lower()]} times (capitals do not tell names apart)",
                file=file, line=line,
            )  # fmt: skip


def _refuse_shared(columns: Sequence[Column], file: str, line: int) -> None:
    seen: dict[str, str] = {}
    for column in columns:
        other = seen.setdefault(column.name.lower(), column.heading)
        if other != column.heading:
            raise ConfigError(
                f"headings `{other}` and `{column.heading}` both give the column `{column.name}`", file=file, line=line
            )


# --- what cells show


@dataclass
class Traits:
    """What all the cells of a column seen so far have in common. Text until proven otherwise."""

    known: ColumnType | None
    filled: bool = False
    yes_no: bool = True
    day: bool = True
    point: bool = True
    comma: bool = True
    shows_point: bool = False
    shows_comma: bool = False

    def look(self, cells: pa.Array) -> None:
        """Take more cells into account."""
        if cells.null_count == len(cells):
            return
        self.filled = True
        if self.known is None:
            if len(cells) > _SAMPLE:
                self._look(cells[:_SAMPLE])
            self._look(cells)
        if self.known in _NUMBERS or (self.known is None and (self.point or self.comma)):
            self.shows_point = self.shows_point or _any(cells, _SHOWS_POINT)
            self.shows_comma = self.shows_comma or _any(cells, _SHOWS_COMMA)

    def _look(self, cells: pa.Array) -> None:
        self.yes_no = self.yes_no and _all(cells, "(?i)^(?:true|false)$")
        self.day = self.day and _all(cells, "^[0-9]{4}-[0-9]{2}-[0-9]{2}$") and _are_days(cells)
        self.point = self.point and _all(cells, _plain(r"\."))
        self.comma = self.comma and _all(cells, _plain(","))

    def kind(self, decimals: Decimals) -> ColumnType:
        """The type of the column in a file that writes decimals like this."""
        if self.known is not None:
            return self.known
        if not self.filled:
            return ColumnType.TEXT
        if self.yes_no or self.day:
            return ColumnType.YES_NO if self.yes_no else ColumnType.DATE
        number = self.comma if decimals is Decimals.COMMA else self.point
        return ColumnType.NUMBER if number else ColumnType.TEXT


_SAMPLE = 64
_SHOWS_POINT = (
    r"^[+-]?(?:[0-9]*\.(?:[0-9]{1,2}|[0-9]{4,})|0?\.[0-9]{3}|[0-9]{4,}\.[0-9]{3}|[0-9]{1,3}(?:,[0-9]{3})+\.[0-9]+)$"
)
_SHOWS_COMMA = (
    r"^[+-]?(?:[0-9]*,(?:[0-9]{1,2}|[0-9]{4,})|0?,[0-9]{3}|[0-9]{4,},[0-9]{3}|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+)$"
)


def _plain(mark: str) -> str:
    # A whole number of more than 15 digits is an id: as a number it would lose its last digits.
    return rf"^-?(?:0|[1-9][0-9]{{0,14}})(?:{mark}[0-9]+)?$"


def _all(cells: pa.Array, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(cells, pattern)).as_py() is not False


def _any(cells: pa.Array, pattern: str) -> bool:
    return pc.any(pc.match_substring_regex(cells, pattern)).as_py() is True


def _are_days(cells: pa.Array) -> bool:
    try:
        cells.cast(ARROW_TYPES[ColumnType.DATE])
    except pa.ArrowInvalid:
        return False
    return not _any(cells, "^0000")


def decimals_of(traits: Sequence[Traits]) -> Decimals:
    """How a file writes decimals, from every number in it that can be read in one way only."""
    numbers = [one for one in traits if one.known in _NUMBERS or (one.known is None and (one.point or one.comma))]
    point = any(one.shows_point for one in numbers)
    comma = any(one.shows_comma for one in numbers)
    if point == comma:
        return Decimals.UNCLEAR
    return Decimals.POINT if point else Decimals.COMMA


@dataclass(frozen=True)
class Findings:
    """What a look at the cells showed: a type per column, how decimals are written, and columns not yet filled."""

    kinds: Mapping[str, ColumnType]
    decimals: Decimals
    unfilled: frozenset[str] = field(default_factory=frozenset)


def findings(layout: Layout, traits: Mapping[str, Traits], decimals: Decimals | None) -> Findings:
    """The conclusion from the traits of all columns; `decimals` None: from the numbers seen."""
    found = decimals or decimals_of(list(traits.values()))
    return Findings(
        {column.name: traits[column.name].kind(found) for column in layout.columns},
        found,
        frozenset(column.name for column in layout.columns if column.kind is None and not traits[column.name].filled),
    )
