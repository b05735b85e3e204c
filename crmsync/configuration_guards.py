"""`guards:` of crmsync.yaml: how much may move, fall or lack before a person must look. Every key has a default."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from crmsync.strict_yaml import Node, nearest

OFF = "off"
ADOPTED_INTO = "overrides"
"""The table that tiers set by hand are adopted into, also where nothing else is read into it."""


@dataclass(frozen=True)
class Movement:
    """More than the larger of `at_least` and `share` of the partners (a fraction) blocks."""

    at_least: int
    share: Decimal


@dataclass(frozen=True)
class Trends:
    """From which loss on (a fraction) a table, a column, a kind of record or the closed amounts block.

    `at_least`: fewer rows or values than that are no trend. `tables`: table -> its own share of rows; None: not asked.
    What takes rows away takes their kinds and amounts away, so that its own share, where larger, holds for these, too.
    """

    rows: Decimal = Decimal("0.02")
    values: Decimal = Decimal("0.02")
    kinds: Decimal = Decimal("0.1")
    closed_amounts: Decimal = Decimal("0.005")
    at_least: int = 2
    tables: Mapping[str, Decimal | None] = field(default_factory=dict)

    def kinds_of(self, table: str) -> Decimal:
        """From which share on a kind of record of this table has lost too many rows."""
        return max(self.kinds, self.tables.get(table) or self.kinds)

    def closed_amounts_of(self, table: str) -> Decimal | None:
        """From which share on the closed amounts of this table have lost too much; None: they are not asked."""
        own = self.tables.get(table, self.closed_amounts)
        return None if own is None else max(self.closed_amounts, own)


@dataclass(frozen=True)
class Canary:
    """How many accounts are written and read back before the rest: `share` of them, between the two numbers."""

    share: Decimal = Decimal("0.01")
    at_least: int = 5
    at_most: int = 50

    def size(self, accounts: int) -> int:
        """Accounts that go first; all of them where there are no more than `at_least`."""
        return min(accounts, self.at_most, max(self.at_least, int(accounts * self.share)))


@dataclass(frozen=True)
class GuardLimits:
    """All of `guards:`. `canary` None: off. `small_program`: below so many partners only the numbers count."""

    tier_changes: Movement = Movement(10, Decimal("0.05"))
    demotions: Movement = Movement(5, Decimal("0.02"))
    top_tier: Movement = Movement(2, Decimal("0.1"))
    removals: Movement = Movement(2, Decimal("0.1"))
    small_program: int = 100
    trends: Trends = Trends()
    canary: Canary | None = Canary()
    period_end: bool = False
    first_fill: bool = False
    demotion_lag: bool = False


MOVEMENTS = ("tier_changes", "demotions", "top_tier", "removals")
SHARES = ("rows", "values", "kinds", "closed_amounts")


def read_guards(node: Node | None, tables: Collection[str] = ()) -> GuardLimits:
    """The guards of a configuration. `tables`: those that it reads. Errors: ConfigError with file and line."""
    if node is None:
        return GuardLimits()
    keys = node.mapping(optional=[one.name for one in fields(GuardLimits)])
    usual = GuardLimits()
    found: dict[str, Any] = {name: _movement(keys[name], getattr(usual, name)) for name in MOVEMENTS if name in keys}
    found |= {name: _asks(keys[name]) for name in ("period_end", "first_fill") if name in keys}
    if "small_program" in keys:
        found["small_program"] = _count(keys["small_program"], "partners")
    if "trends" in keys:
        found["trends"] = _trends(keys["trends"], {*tables, ADOPTED_INTO})
    if "canary" in keys:
        found["canary"] = _canary(keys["canary"])
    if "demotion_lag" in keys:
        found["demotion_lag"] = keys["demotion_lag"].yes_no()
    return replace(usual, **found)


def _movement(node: Node, usual: Movement) -> Movement:
    keys = node.mapping(optional=("at_least", "share"))
    return Movement(
        _count(keys["at_least"], "partners") if "at_least" in keys else usual.at_least,
        _share(keys["share"], "all partners") if "share" in keys else usual.share,
    )


def _trends(node: Node, known: Collection[str]) -> Trends:
    keys = node.mapping(optional=[one.name for one in fields(Trends)])
    shares = {name: _share(keys[name], "what was there before") for name in SHARES if name in keys}
    return Trends(
        **shares,
        at_least=_count(keys["at_least"], "rows") if "at_least" in keys else Trends.at_least,
        tables=MappingProxyType(_own_shares(keys["tables"], known) if "tables" in keys else {}),
    )


def _own_shares(node: Node, known: Collection[str]) -> dict[str, Decimal | None]:
    tables = node.mapping()
    shares = {name: _share_or_off(one) for name, one in tables.items()}
    for name in tables:
        if name not in known:
            raise node.fail_at_key(name, f"`{name}` is none of the tables that are read{nearest(name, known)}")
    return shares


def _share_or_off(node: Node) -> Decimal | None:
    return None if node.text() == OFF else _share(node, "the rows before")


def _canary(node: Node) -> Canary | None:
    if node.is_text:
        if node.text() != OFF:
            raise node.fail(f"`{node.text()}` is no canary; write off, or {{share: 1%, at_least: 5, at_most: 50}}")
        return None
    keys = node.mapping(optional=("share", "at_least", "at_most"))
    found = Canary(
        _share(keys["share"], "the accounts") if "share" in keys else Canary.share,
        _count(keys["at_least"], "accounts") if "at_least" in keys else Canary.at_least,
        _count(keys["at_most"], "accounts") if "at_most" in keys else Canary.at_most,
    )
    if not 1 <= found.at_least <= found.at_most:
        raise node.fail(f"`{found.at_least}` to `{found.at_most}` accounts; at_least is 1 or more and at_most not less")
    return found


def _asks(node: Node) -> bool:
    if node.text() not in ("approve", OFF):
        raise node.fail(f"`{node.text()}` is not known here; write approve (a person must open it) or off")
    return node.text() == "approve"


def _count(node: Node, of: str) -> int:
    if (number := node.integer()) < 0:
        raise node.fail(f"`{number}` {of}; a guard counts from 0")
    return number


def _share(node: Node, of: str) -> Decimal:
    share = node.decimal()
    if not 0 <= share <= 1:
        raise node.fail(f"`{node.text()}` is not a share of {of}; write 5%, at most 100%")
    return share
