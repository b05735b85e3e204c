"""Where each key of a YAML file stands, so that a wrong schema is refused by line."""

from __future__ import annotations

import re
from typing import Any

_KEY = re.compile(r"`([^`]+)`")
_UNNAMED = ("objects", "fields")  # levels that messages leave out


class LinedDefinition(dict[str, Any]):
    """The mapping of a file, and the line of each key by its dotted path without `objects` and `fields`."""

    def __init__(self, content: dict[str, Any], lines: dict[str, int]) -> None:
        super().__init__(content)
        self.lines = lines


def lines_of(node: Any) -> dict[str, int]:
    """Lines by path of a composed YAML node."""
    found: dict[str, int] = {}
    _collect(node, (), found)
    return found


def _collect(node: Any, path: tuple[str, ...], found: dict[str, int]) -> None:
    if not isinstance(getattr(node, "value", None), list):
        return
    for entry in node.value:
        if not isinstance(entry, tuple):
            _collect(entry, path, found)
            continue
        key, value = entry
        here = path if key.value in _UNNAMED and len(path) < 2 else (*path, str(key.value))
        found.setdefault(".".join(here), key.start_mark.line + 1)
        _collect(value, here, found)


def with_line(message: str, source: str, lines: dict[str, int]) -> str:
    """The message `source: path: …` with the line of its path, or of the nearest level above that has one."""
    prefix = f"{source}: "
    if not message.startswith(prefix):
        return message
    rest = message.removeprefix(prefix)
    path = rest.partition(": ")[0]
    key = _KEY.search(rest)
    tried = [f"{path}.{key[1]}", key[1]] if key else []
    while path:
        tried.append(path)
        path = path.rpartition(".")[0]
    line = next((lines[name] for name in tried if name in lines), None)
    return message if line is None else f"{source}:{line}: {rest}"
