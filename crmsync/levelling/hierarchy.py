"""The tree of partner accounts: who stands above whom, cycles and orphans.

Computed in NumPy level by level, so a chain of any length needs no recursion, and handed to every engine as a table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MAX_LEVELS = 64


@dataclass(frozen=True)
class Hierarchy:
    """`closure`: one row per (ancestor, member), every partner its own ancestor. `cyclic`: partners in a broken cycle
    or deeper than 64 levels. `orphans`: (partner_id, unknown parent_id). `flat`: nobody has a parent."""

    closure: pa.Table
    cyclic: tuple[str, ...]
    orphans: tuple[tuple[str, str], ...]
    flat: bool


def build_hierarchy(partner_ids: pa.ChunkedArray, parent_ids: pa.ChunkedArray) -> Hierarchy:
    """The closure of `parent_id`. A cycle is cut at the link that closes it, walking up from its smallest id."""
    ids = partner_ids.combine_chunks() if isinstance(partner_ids, pa.ChunkedArray) else partner_ids
    parents = parent_ids.combine_chunks() if isinstance(parent_ids, pa.ChunkedArray) else parent_ids
    found = pc.index_in(parents, value_set=ids)
    parent = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    parent[pc.is_null(parents).to_numpy(zero_copy_only=False)] = -1
    orphan_mask = (parent < 0) & pc.is_valid(parents).to_numpy(zero_copy_only=False)
    orphans = tuple((ids[int(i)].as_py(), parents[int(i)].as_py()) for i in np.flatnonzero(orphan_mask))
    flat = not bool((parent >= 0).any())
    cyclic = _break_cycles(parent, ids)
    ancestors, members, too_deep = _pairs(parent)
    names = {ids[int(i)].as_py() for i in (*cyclic, *too_deep)}
    closure = pa.table({"ancestor": ids.take(pa.array(ancestors)), "member": ids.take(pa.array(members))})
    return Hierarchy(closure, tuple(sorted(names)), orphans, flat)


def _pairs(parent: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
    nodes = np.arange(len(parent), dtype=np.int64)
    ancestors, members = [nodes], [nodes]
    current, member = parent, nodes
    for _ in range(MAX_LEVELS):
        keep = current >= 0
        if not keep.any():
            return np.concatenate(ancestors), np.concatenate(members), []
        current, member = current[keep], member[keep]
        ancestors.append(current)
        members.append(member)
        current = parent[current]
    deeper = [int(i) for i in np.unique(member[current >= 0])]
    return np.concatenate(ancestors), np.concatenate(members), deeper


def _break_cycles(parent: np.ndarray, ids: pa.Array) -> list[int]:
    """Cut every cycle in `parent` (in place); returns the nodes that were in one."""
    in_cycle = _cycle_nodes(parent)
    left = set(in_cycle)
    while left:
        start = min(left, key=lambda i: str(ids[i].as_py()))
        node = start
        while int(parent[node]) != start:
            left.discard(node)
            node = int(parent[node])
        left.discard(node)
        left.discard(start)
        parent[node] = -1
    return in_cycle


def _cycle_nodes(parent: np.ndarray) -> list[int]:
    # repeatedly taking away nodes without children leaves exactly the nodes on cycles
    children = np.bincount(parent[parent >= 0], minlength=len(parent))
    alive = parent >= 0
    leaves = np.flatnonzero(alive & (children == 0))
    while len(leaves):
        alive[leaves] = False
        above = parent[leaves]
        np.subtract.at(children, above, 1)
        candidates = np.unique(above)
        leaves = candidates[(children[candidates] == 0) & alive[candidates]]
    # a tree is peeled away whole from its leaves; what stays is cycles
    return [int(i) for i in np.flatnonzero(alive)]
