"""Places of a field map: a value, the line it stands on, and whether it has the shape of an API name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from crmsync.strict_yaml import Node

API_NAME_MAX = 40
"""Letters of a custom API name without its ending; the platform's own limit."""

_PATH = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*){0,5}", re.ASCII)


@dataclass(frozen=True)
class Place:
    """A value of the map and the line it stands on."""

    text: str
    line: int


def path_place(node: Node, what: str, *, single: bool = False) -> Place:
    """The API name or dotted path of a node. Errors: ConfigError with file and line."""
    text = node.text()
    if not _PATH.fullmatch(text) or (single and "." in text):
        example = "Account" if single else "Credential__r.Level__c"
        raise node.fail(f"`{text}` is not {what}; write an API name like {example}")
    return Place(text, node.line)


def custom_place(node: Node, what: str, why: str) -> Place:
    """The name of a custom object or field. `why`: what is wrong with a standard one. Errors: ConfigError."""
    place = path_place(node, what, single=True)
    if not place.text.lower().endswith("__c"):
        raise node.fail(f"`{place.text}` is a standard {what.split()[-1]}, and {why}; name one that ends in __c")
    own = place.text[:-3].rpartition("__")[2]  # a namespace before it has room of its own
    if len(own) > API_NAME_MAX:
        raise node.fail(f"`{place.text}` is {len(own)} letters long before __c; Salesforce takes {API_NAME_MAX}")
    return place
