"""`writes: run_record:` of the field map, off by default: a record per run that wrote, with the anchor of the audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from crmsync.connectors.mapping_places import Place, custom_place
from crmsync.connectors.mapping_sinks import NOT_OURS
from crmsync.strict_yaml import Node

ANCHOR = "anchor"
RUN_RECORD = (ANCHOR, "as_of", "state", "changes", "movers")
"""What a run record says."""


@dataclass(frozen=True)
class RunRecordMap:
    """Records of runs. `key`: holds the run's id; `fields`: key of `RUN_RECORD` -> field."""

    object: Place
    key: Place
    fields: Mapping[str, Place]


def read_run_record(node: Node) -> RunRecordMap:
    """The records of runs. Errors: ConfigError with file and line."""
    parts = node.mapping(required=("object", "key", "fields"))
    key = custom_place(parts["key"], "a field", NOT_OURS)
    taken = {key.text.lower(): "key"}
    fields = {}
    for name, value in parts["fields"].mapping(required=(ANCHOR,), optional=RUN_RECORD).items():
        place = custom_place(value, "a field", NOT_OURS)
        if place.text.lower() in taken:
            raise value.fail(f"`{place.text}` is already written by `{taken[place.text.lower()]}`")
        taken[place.text.lower()] = name
        fields[name] = place
    kept = "run records are kept in a custom one"
    return RunRecordMap(custom_place(parts["object"], "an object", kept), key, MappingProxyType(fields))
