"""Keys of a program: stable names of tiers, ladders, categories, benefits and costs. Source: program-language, 0."""

from __future__ import annotations

import re

from crmsync.strict_yaml import Node

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def read_key(node: Node, line_key: str | None = None) -> str:
    """A key of the program: letters, digits, `_`, first a letter. `line_key`: the key of the mapping that is meant."""
    text = line_key if line_key is not None else node.text()
    if not _KEY.fullmatch(text):
        problem = f"`{text}` cannot be a key; use letters, digits and `_`, first a letter"
        raise node.fail(problem) if line_key is None else node.fail_at_key(line_key, problem)
    return text
