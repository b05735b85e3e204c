"""The tree of partner accounts: who stands above whom, cycles and orphans.

Computed in NumPy level by level, so a chain of any length needs no recursion, and handed to every engine as a table.
Source: program-language, section 3 (roll-up).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_LEVELS = 64
"""An account has at most as many accounts above it; deeper ones are cut off, each on its own, and reported."""


@dataclass(frozen=True)
class Hierarchy:
    """Who stands above whom, after cycles and too deep accounts were cut off.

    `ids`: the accounts; `parent`: the position of each one's parent, -1 at the top. `cyclic`: accounts in a broken
    cycle or deeper than 64 levels. `orphans`: (partner_id, unknown parent_id). `flat`: nobody has a parent.
    """

    ids: pa.Array
    parent: np.ndarray
    cyclic: tuple[str, ...]
    orphans: tuple[tuple[str, str], ...]
    flat: bool

    @property
    def families(self) -> pa.Table:
        """One row per (ancestor, member) of the accounts that have others below them, each its own ancestor too."""
        return self._pairs(*_pairs_of_families(self.parent))

    @property
    def alone(self) -> pa.Table:
        """One row per account that has nobody below it: (partner_id)."""
        return pa.table({"partner_id": self.ids.take(pa.array(np.flatnonzero(~_has_others(self.parent))))})

    @property
    def tops(self) -> pa.Table:
        """One row per account: (ancestor, member), the ancestor being the top of its tree."""
        return self._pairs(_climbed(self.parent, MAX_LEVELS), np.arange(len(self.parent)))

    @property
    def parents(self) -> pa.Table:
        """One row per account that has a parent: (ancestor, member), the ancestor being the parent."""
        members = np.flatnonzero(self.parent >= 0)
        return self._pairs(self.parent[members], members)

    def _pairs(self, ancestors: np.ndarray, members: np.ndarray) -> pa.Table:
        return pa.table({"ancestor": self.ids.take(pa.array(ancestors)), "member": self.ids.take(pa.array(members))})


def build_hierarchy(partner_ids: pa.ChunkedArray, parent_ids: pa.ChunkedArray) -> Hierarchy:
    """The tree of `parent_id`. A cycle is cut at the link that closes it, walking up from its smallest id."""
    ids = partner_ids.combine_chunks() if isinstance(partner_ids, pa.ChunkedArray) else partner_ids
    parents = parent_ids.combine_chunks() if isinstance(parent_ids, pa.ChunkedArray) else parent_ids
    given = pc.is_valid(parents).to_numpy(zero_copy_only=False)
    found = pc.fill_null(pc.index_in(parents, value_set=ids), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    parent = np.where(given, found, -1)  # an empty cell is nobody's child
    lost = np.flatnonzero((parent < 0) & given)
    orphans = tuple(zip(_names(ids, lost), _names(parents, lost), strict=True))
    flat = not bool((parent >= 0).any())
    cyclic = _break_cycles(parent, ids)
    deep = _cut_too_deep(parent)
    faulty = tuple(_sorted(ids, np.union1d(cyclic, deep)))
    return Hierarchy(ids, parent, faulty, orphans, flat)


def _names(ids: pa.Array, positions: np.ndarray | Sequence[int]) -> list[str]:
    names: list[str] = ids.take(pa.array(positions, pa.int64())).to_pylist()
    return names


def _sorted(ids: pa.Array, positions: np.ndarray) -> list[str]:
    chosen = ids.take(pa.array(positions, pa.int64()))
    names: list[str] = chosen.take(pc.sort_indices(chosen)).to_pylist()
    return names


def _has_others(parent: np.ndarray) -> np.ndarray:
    """Whether each account has another below it."""
    found = np.zeros(len(parent), dtype=bool)
    found[parent[parent >= 0]] = True
    return found


def _pairs_of_families(parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every (ancestor, member), level by level; nobody is deeper than 64 levels."""
    above = np.flatnonzero(_has_others(parent))
    ancestors, members = [above], [above]
    member = np.flatnonzero(parent >= 0)
    current = parent[member]
    while len(current):
        ancestors.append(current)
        members.append(member)
        current = parent[current]
        keep = current >= 0
        current, member = current[keep], member[keep]
    return np.concatenate(ancestors), np.concatenate(members)


def _climbed(parent: np.ndarray, levels: int) -> np.ndarray:
    """Where each account comes to by climbing at least so many levels, or up to the top. Doubles its step."""
    nodes = np.arange(len(parent), dtype=np.int64)
    step = np.where(parent < 0, nodes, parent)
    while levels > 1 and not np.array_equal(further := step[step], step):
        step, levels = further, (levels + 1) // 2
    return step


# --- cycles and depth


def _break_cycles(parent: np.ndarray, ids: pa.Array) -> np.ndarray:
    """Cut every cycle in `parent` (in place); returns the positions of the accounts that were in one."""
    in_cycle = _cycle_nodes(parent)
    by_id = in_cycle[pc.sort_indices(ids.take(pa.array(in_cycle))).to_numpy()] if len(in_cycle) else in_cycle
    left = set(in_cycle.tolist())
    for start in by_id.tolist():
        if start not in left:
            continue
        node = start
        while int(parent[node]) != start:
            left.discard(node)
            node = int(parent[node])
        left.discard(node)
        left.discard(start)
        parent[node] = -1
    return in_cycle


def _cycle_nodes(parent: np.ndarray) -> np.ndarray:
    """Positions of accounts on a cycle: who still climbs after as many steps as there are accounts is on one."""
    arrived = _climbed(parent, max(len(parent), 2))
    return np.unique(arrived[parent[arrived] >= 0])


def _cut_too_deep(parent: np.ndarray) -> np.ndarray:
    """Cut off (in place) every account with more than 64 above it, each on its own; returns their positions."""
    above = parent
    for _ in range(MAX_LEVELS.bit_length() - 1):  # 64 levels in six doublings
        above = np.where(above >= 0, above[above], -1)
    deep = np.flatnonzero((above >= 0) & (parent[above] >= 0))
    parent[deep] = -1
    return deep
