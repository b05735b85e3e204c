"""Seeded chance: one independent stream of random numbers per purpose, and the few shapes that the company needs."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from statistics import NormalDist


def stream(seed: int, purpose: str) -> Random:
    """A generator of its own for one purpose, so that a change of one object leaves the others as they are."""
    return Random(f"{seed}/{purpose}")


def spread_normals(count: int, random: Random) -> list[float]:
    """Standard normal numbers that fill the bell evenly, shuffled: a small company is as skewed as a large one."""
    bell = NormalDist()
    normals = [bell.inv_cdf((rank + 0.5) / count) for rank in range(count)]
    random.shuffle(normals)
    return normals


def allot(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the weights that add up to exactly `total` (largest remainder)."""
    whole = sum(weights)
    if total <= 0 or whole <= 0:
        return [0] * len(weights)
    exact = [total * weight / whole for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: counts[place] - exact[place])
    for place in by_remainder[: total - sum(counts)]:
        counts[place] += 1
    return counts
