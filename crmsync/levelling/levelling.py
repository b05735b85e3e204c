"""What one assessment works with, shared by its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from crmsync.levelling.atoms import Days
from crmsync.levelling.criteria import Limits
from crmsync.levelling.engine import Engine
from crmsync.levelling.hierarchy import Hierarchy
from crmsync.levelling.money import Money
from crmsync.levelling.references import RegisteredReference
from crmsync.levelling.rows import Rows, rows_of
from crmsync.levelling.spans import Spans
from crmsync.levelling.spots import Spots
from crmsync.programs.program import FromGroups, FromRows, Metric, Program
from crmsync.snapshots import Snapshot
from crmsync.tables import CANONICAL

FILLED = "filled:"
"""What the names in `remembers` begin with that stand for columns of those tables."""


@dataclass(frozen=True)
class Levelling:
    """The program, the tables and the engine of one assessment, and what all metrics share."""

    program: Program
    spots: Spots
    snapshot: Snapshot
    days: Days
    engine: Engine
    money: Money
    references: Mapping[str, RegisteredReference]
    hierarchy: Hierarchy | None
    limits: Limits
    partner_columns: frozenset[str]
    lost: dict[str, tuple[int, str]] = field(default_factory=dict)  # metric -> records lost today, and one of them
    remembers: dict[str, bool] = field(default_factory=dict)  # which tables of the past hold anything
    made: dict[str, str] = field(default_factory=dict)  # tables made when first asked for, by what they hold
    splits: dict[str, tuple[str, ...]] = field(default_factory=dict)  # split metric -> the values of its column
    credits: frozenset[tuple[str, bool]] = frozenset()  # (metric, whether an override names a category)
    others: dict[str, Program] = field(default_factory=dict)  # programs whose standings are there, by key
    _rows: dict[str, Rows] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The program file, for messages."""
        return str(self.program.file)

    @property
    def flat(self) -> bool:
        """Whether nothing rolls up."""
        return self.hierarchy is None or self.hierarchy.flat

    @cached_property
    def spans(self) -> Spans:
        """Windows that depend on a date of the partner."""
        return Spans(self.engine, self.snapshot.tables["partners"], self.days)

    @property
    def filled(self) -> frozenset[str]:
        """Columns of what stood before, and of the overrides in force, that hold anything."""
        return frozenset(name.removeprefix(FILLED) for name, any_ in self.remembers.items() if any_)

    def rows(self, table: str) -> Rows:
        """The visible rows of a table."""
        if table not in self._rows:
            self._rows[table] = rows_of(
                table, self.program, self.snapshot, self.money, self.days.as_of, self.references, self.engine
            )
        return self._rows[table]

    def validity(self) -> dict[str, bool]:
        """Which tables of the program have issued_on and expires_on."""
        return {table: has_validity(self.snapshot, table) for table in tables_used(self.program)}


def tables_used(program: Program) -> list[str]:
    """Tables that metrics are computed from."""
    return list(dict.fromkeys(source.table for metric in program.metrics.values() for source in rows_of_metric(metric)))


def rows_of_metric(metric: Metric) -> list[FromRows]:
    """What a metric reads of the rows of tables itself: one source, or one for each condition of its groups."""
    if isinstance(metric.source, FromGroups):
        return [condition.source for condition in metric.source.having]
    return [metric.source] if isinstance(metric.source, FromRows) else []


def has_validity(snapshot: Snapshot, table: str) -> bool:
    """Whether a table has issued_on and expires_on, delivered or listed."""
    known = set(snapshot.tables[table].columns) if table in snapshot.tables else set()
    known |= set(CANONICAL[table].columns) if table in CANONICAL else set()
    return {"issued_on", "expires_on"} <= known
