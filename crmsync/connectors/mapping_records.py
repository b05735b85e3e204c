"""Records of our own in the CRM beside the partners': of blocked plans (`plan_record`), of runs (`run_record`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from crmsync.connectors.mapping_places import Place, custom_place
from crmsync.connectors.mapping_sinks import NOT_OURS
from crmsync.strict_yaml import Node

DECISION, ANCHOR = "decision", "anchor"
PLAN_RECORD = (DECISION, "state", "answer", "summary", "guards", "who_moves", "movers", "changes", "as_of", "run_id")
"""What the record of a blocked plan says; the decision is people's, the rest is written by runs."""
RUN_RECORD = (ANCHOR, "as_of", "state", "changes", "movers")
"""What the record of a run that wrote says."""


@dataclass(frozen=True)
class RecordMap:
    """`key`: the field that holds the plan's digest or the run's id; `fields`: key of what it says -> field."""

    object: Place
    key: Place
    fields: Mapping[str, Place]


def read_plan_record(node: Node) -> RecordMap:
    """The records of blocked plans. Errors: ConfigError with file and line."""
    return _read(node, DECISION, PLAN_RECORD, "plan records")


def read_run_record(node: Node) -> RecordMap:
    """The records of runs. Errors: ConfigError with file and line."""
    return _read(node, ANCHOR, RUN_RECORD, "run records")


def _read(node: Node, needed: str, known: Sequence[str], what: str) -> RecordMap:
    parts = node.mapping(required=("object", "key", "fields"))
    key = custom_place(parts["key"], "a field", NOT_OURS)
    taken = {key.text.lower(): "key"}
    fields = {}
    for name, value in parts["fields"].mapping(required=(needed,), optional=known).items():
        place = custom_place(value, "a field", NOT_OURS)
        if place.text.lower() in taken:
            raise value.fail(f"`{place.text}` is already written by `{taken[place.text.lower()]}`")
        taken[place.text.lower()] = name
        fields[name] = place
    return RecordMap(
        custom_place(parts["object"], "an object", f"{what} are kept in a custom one"), key, MappingProxyType(fields)
    )
