"""What the language has and this version does not build: refused by name, never ignored. Source: program-language."""

from __future__ import annotations

from collections.abc import Collection

from crmsync.strict_yaml import Node

METRIC = frozenset(
    {
        "median", "first", "last", "groups", "score", "rank_of", "percentile_of", "tier_of", "held_for", "within",
        "split_by", "rolls_up_where",
    }
)  # fmt: skip
ROLLS_UP = frozenset({"family", "best", "family best", "inherit"})


def refuse(node: Node, words: Collection[str]) -> None:
    """Errors: ConfigError for the first key of a mapping that is not built yet."""
    for key in node.mapping():
        if key in words:
            raise node.fail_at_key(key, f"`{key}` is not built yet")
