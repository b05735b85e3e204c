"""`writes: plan_record:` of the field map: where a blocked plan is laid before sales operations, who decide there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from crmsync.connectors.mapping_places import Place, custom_place
from crmsync.connectors.mapping_sinks import NOT_OURS
from crmsync.strict_yaml import Node

DECISION = "decision"
PLAN_RECORD = ("decision", "state", "answer", "summary", "guards", "who_moves", "movers", "changes", "as_of", "run_id")
"""What a plan record says; `decision` is people's, the rest is written by runs."""


@dataclass(frozen=True)
class PlanRecordMap:
    """Records of blocked plans. `key`: holds the digest; `fields`: key of `PLAN_RECORD` -> field."""

    object: Place
    key: Place
    fields: Mapping[str, Place]


def read_plan_record(node: Node) -> PlanRecordMap:
    """The records of blocked plans. Errors: ConfigError with file and line."""
    parts = node.mapping(required=("object", "key", "fields"))
    key = custom_place(parts["key"], "a field", NOT_OURS)
    taken = {key.text.lower(): "key"}
    fields = {}
    for name, value in parts["fields"].mapping(required=(DECISION,), optional=PLAN_RECORD).items():
        place = custom_place(value, "a field", NOT_OURS)
        if place.text.lower() in taken:
            raise value.fail(f"`{place.text}` is already written by `{taken[place.text.lower()]}`")
        taken[place.text.lower()] = name
        fields[name] = place
    kept = "plan records are kept in a custom one"
    return PlanRecordMap(custom_place(parts["object"], "an object", kept), key, MappingProxyType(fields))
