"""The names a program may use: tables, columns, references, metrics, and what each holds.

A `Scope` is what one expression sees: the row of a table, or the metrics and columns of a partner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum

from crmsync.programs.program import Reference, Unit
from crmsync.strict_yaml import Node, nearest
from crmsync.tables import CANONICAL, ColumnType

PARTNERS = "partners"
METRIC = "metric"
PARENT = "parent"
CLOCK = "clock"
AS_OF = "as_of"

_NOT_METRIC_TABLES = frozenset({"rates", "current_values"})


class Kind(StrEnum):
    """What a value of an expression is. A kind that nothing tells is None."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    CONDITION = "condition"  # yes/no
    LIST = "list"
    SPAN = "interval"


_OF_COLUMN = {
    ColumnType.TEXT: Kind.TEXT,
    ColumnType.LIST: Kind.LIST,
    ColumnType.DATE: Kind.DATE,
    ColumnType.NUMBER: Kind.NUMBER,
    ColumnType.MONEY: Kind.NUMBER,
    ColumnType.MEASURE: Kind.NUMBER,
    ColumnType.YES_NO: Kind.CONDITION,
}


def kind_of_unit(unit: Unit) -> Kind:
    """The kind of value that a metric of this unit has."""
    return {Unit.YES_NO: Kind.CONDITION, Unit.TEXT: Kind.TEXT}.get(unit, Kind.NUMBER)


def read_label(parts: Mapping[str, Node], key: str) -> str:
    """The `label:` among the parts of something, by default its key. Errors: ConfigError."""
    if "label" not in parts:
        return key
    if not parts["label"].text().strip():
        raise parts["label"].fail("an empty label; leave it out to show the key")
    return parts["label"].text()


@dataclass(frozen=True)
class Found:
    """A resolved name: where it lives, its column (or metric key), and its kind where known."""

    table: str
    column: str
    kind: Kind | None


class UnknownNameError(Exception):
    """A name that the scope does not have; the text says what is wrong and what is near."""


@dataclass(frozen=True)
class Tables:
    """Tables and columns. `delivered` None: what the tables really hold is not known, further names are let through."""

    delivered: Mapping[str, Mapping[str, ColumnType]] | None = None

    def names(self) -> list[str]:
        """Tables that metrics can read."""
        return sorted((set(CANONICAL) | set(self.delivered or ())) - _NOT_METRIC_TABLES)

    def has(self, table: str) -> bool:
        """Whether a metric can read the table."""
        if table in _NOT_METRIC_TABLES:
            return False
        return self.delivered is None or table in self.names()

    def columns(self, table: str) -> Mapping[str, ColumnType]:
        """Known columns of a table: the canonical ones and the delivered ones."""
        canonical = CANONICAL[table].columns if table in CANONICAL else {}
        return {**canonical, **(self.delivered or {}).get(table, {})}

    def kind(self, table: str, column: str) -> Kind | None:
        """What a column holds. Errors: UnknownNameError."""
        known = self.columns(table)
        if column in known:
            return _OF_COLUMN[known[column]]
        if self.delivered is None:
            return None
        raise UnknownNameError(f"`{table}` has no column `{column}`{nearest(column, known)}")

    def is_delivered(self, table: str, column: str) -> bool:
        """Whether the column is there; True where that is not known."""
        return self.delivered is None or column in self.delivered.get(table, {})

    def has_validity(self, table: str) -> bool:
        """Whether rows of the table are valid from issued_on until before expires_on; True where not known."""
        known = self.columns(table)
        unknown = self.delivered is None and table not in CANONICAL
        return unknown or {"issued_on", "expires_on"} <= set(known)


@dataclass(frozen=True)
class Scope:
    """What one expression sees. `table` None: metrics, then partner columns.

    `has_parent`: `parent.column` is the account above, as in `rolls_up_where` and `family`.
    """

    tables: Tables
    table: str | None = None
    references: Mapping[str, Reference] = field(default_factory=dict)
    metrics: Mapping[str, Unit] = field(default_factory=dict)
    has_parent: bool = False

    def is_known(self, word: str) -> bool:
        """Whether an unqualified word surely is a name here (so that a column called `no` beats the word no)."""
        if self.table is None:
            return word in self.metrics or word in self.tables.columns(PARTNERS)
        return word in self.tables.columns(self.table)

    def resolve(self, prefix: str | None, name: str) -> Found:
        """The column or metric that `prefix.name` or `name` means. Errors: UnknownNameError."""
        if prefix is not None:
            return self._qualified(prefix, name)
        if name == AS_OF:
            return Found(CLOCK, AS_OF, Kind.DATE)
        if self.table is not None:
            return Found(self.table, name, self._own_column(self.table, name))
        if name in self.metrics:
            return Found(METRIC, name, kind_of_unit(self.metrics[name]))
        known = self.tables.columns(PARTNERS)
        # Where the delivered columns are not known a new name is taken for one of them, unless a metric is near.
        may_be_column = self.tables.delivered is None and not get_close_matches(name, self.metrics, 1, 0.75)
        if name not in known and not may_be_column:
            where = "unknown metric or partner column" if self.metrics else "unknown partner column"
            raise UnknownNameError(f"{where} `{name}`{nearest(name, [*self.metrics, *known])}")
        return Found(PARTNERS, name, self.tables.kind(PARTNERS, name))

    def _own_column(self, table: str, name: str) -> Kind | None:
        try:
            return self.tables.kind(table, name)
        except UnknownNameError:
            if name in self.tables.columns(PARTNERS):
                raise UnknownNameError(f"`{table}` has no column `{name}`; write `partners.{name}`") from None
            if name in self.metrics:
                why = (
                    "only columns of partners are known" if table == PARTNERS else f"the rows of `{table}` are counted"
                )
                raise UnknownNameError(f"`{name}` is a metric; {why} before it is") from None
            raise

    def _qualified(self, prefix: str, name: str) -> Found:
        parts = self._parts_of(prefix)
        if parts:
            return self._part(f"{prefix}.{name}", parts)
        if prefix == PARENT:
            return self._parent(name)
        if prefix in (PARTNERS, self.table):
            return Found(prefix, name, self.tables.kind(prefix, name))
        if prefix in self.references:
            return self._reference(self.references[prefix], name)
        raise self._unknown_prefix(prefix)

    def _unknown_prefix(self, prefix: str) -> UnknownNameError:
        if self.table is None and prefix in self.metrics:
            return UnknownNameError(f"metric `{prefix}` has no parts; write `{prefix}` alone")
        scores = {key.split(".")[0] for key in self.metrics if "." in key} if self.table is None else set()
        known = {PARTNERS, *self.references, *([self.table] if self.table else []), *scores}
        return UnknownNameError(f"unknown table or reference `{prefix}`{nearest(prefix, known)}")

    def _parts_of(self, prefix: str) -> list[str]:
        """`score.part` of a score, where metrics can be read."""
        if self.table is not None:
            return []
        return [key for key in self.metrics if key.startswith(f"{prefix}.")]

    def _part(self, key: str, parts: list[str]) -> Found:
        if key not in parts:
            raise UnknownNameError(f"unknown part `{key}`{nearest(key, parts)}")
        return Found(METRIC, key, kind_of_unit(self.metrics[key]))

    def _parent(self, name: str) -> Found:
        if not self.has_parent:
            raise UnknownNameError(f"`parent.{name}` is the account above; it stands in `rolls_up_where` and `family`")
        try:
            return Found(PARENT, name, self.tables.kind(PARTNERS, name))
        except UnknownNameError:
            known = self.tables.columns(PARTNERS)
            raise UnknownNameError(f"`partners` has no column `{name}`{nearest(name, known)}") from None

    def _reference(self, reference: Reference, name: str) -> Found:
        if self.table is None:
            raise UnknownNameError(
                f"reference `{reference.name}` is looked up for the rows of a table; "
                f"read it in a metric's source or `where`"
            )
        if name not in reference.columns:
            raise UnknownNameError(f"`{reference.name}` has no column `{name}`{nearest(name, reference.columns)}")
        self._check_lookup(reference, self.table)
        return Found(reference.name, name, _of_reference(reference, name))

    def _check_lookup(self, reference: Reference, table: str) -> None:
        """Errors: UnknownNameError where the record has no column to look the reference up by."""
        sources = [source for _, source in reference.key] + ([reference.dated_by] if reference.dated_by else [])
        for source in sources:
            prefix, _, column = source.rpartition(".")
            if prefix in self.references:
                self._check_lookup(self.references[prefix], table)
            elif self._lookup_kind(reference, prefix or table, column) is Kind.LIST:
                raise UnknownNameError(f"`{reference.name}` cannot be looked up by the list `{source}`")

    def _lookup_kind(self, reference: Reference, table: str, column: str) -> Kind | None:
        try:
            return self.tables.kind(table, column)
        except UnknownNameError as error:
            raise UnknownNameError(f"`{reference.name}` is looked up by `{column}`, but {error}") from None


def _of_reference(reference: Reference, column: str) -> Kind:
    return _OF_COLUMN[ColumnType(reference.columns[column])]
