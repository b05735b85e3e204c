"""What the parts of one program may name: tables, references, money, and the metrics with their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from crmsync.errors import ConfigError
from crmsync.programs.names import PARTNERS, Kind, Scope, Tables, UnknownNameError
from crmsync.programs.program import Reference, Unit
from crmsync.programs.rates import MoneyColumns
from crmsync.programs.tier_names import TierNames
from crmsync.strict_yaml import Node, nearest


@dataclass(frozen=True)
class Vocabulary:
    """What one program may name. `units`: metrics, and the parts and groups of scores as `score.part`.

    `tiers`: the names of tiers, ladders and categories. `positions`: for each metric that is a `tier_of`, the tier keys
    it may be compared with and their positions.
    """

    tables: Tables
    references: Mapping[str, Reference]
    money: MoneyColumns
    units: Mapping[str, Unit]
    tiers: TierNames = field(default_factory=TierNames)
    positions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def rows(self, table: str) -> Scope:
        """What an expression over the rows of a table sees."""
        return Scope(self.tables, table, self.references, self.units)

    def partner(self) -> Scope:
        """What an expression over metrics and partner columns sees."""
        return Scope(self.tables, None, self.references, self.units)

    def accounts(self) -> Scope:
        """What a condition over a partner's columns and those of the account above (`parent.column`) sees."""
        return Scope(self.tables, PARTNERS, {}, self.units, has_parent=True)

    def unit_of(self, node: Node) -> Unit:
        """The unit of the metric that a value names. Errors: ConfigError."""
        return self.unit_named(node, node.text())

    def unit_named(self, node: Node, key: str) -> Unit:
        """The unit of a metric. Errors: ConfigError."""
        if key not in self.units:
            raise node.fail(f"unknown metric `{key}`{nearest(key, self.units)}")
        return self.units[key]


def no_default(node: Node, column: str) -> ConfigError:
    """The error to raise about a table by an attribute without `default:`, which may be there misspelt."""
    problem = f"`by: {column}` needs a `default:` for an empty or unlisted value"
    close = get_close_matches("default", node.mapping(), 1, 0.7)
    return node.fail_at_key(close[0], f"{problem}; is `{close[0]}` meant to be it?") if close else node.fail(problem)


def column_kind(node: Node, column: str, tables: Tables) -> Kind | None:
    """What a column of partners holds. Errors: ConfigError where there is none."""
    try:
        return tables.kind(PARTNERS, column)
    except UnknownNameError as error:
        raise node.fail(str(error)) from None
