"""The part of the field map that says where results go: account fields, fields of people, child records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from crmsync.connectors.mapping_places import Place, custom_place, path_place
from crmsync.connectors.mapping_records import RecordMap, read_plan_record, read_run_record
from crmsync.connectors.mapping_sinks import NOT_OURS, ChildMap, SinkMap, read_sinks
from crmsync.strict_yaml import Node

MANAGED = (
    "calculated_tier", "granted_tier", "previous_tier", "next_tier", "tier_since", "categories", "progress",
    "gap_summary", "main_blocker", "risk", "risk_reason", "risk_on", "points", "why", "provisional",
    "grace_until", "next_review", "pending_tier", "pending_on", "override_ends_on", "category_check",
    "changed_on", "run_id",
)  # fmt: skip
"""What write-back computes for an account; the field map says into which field each goes."""

PEOPLE = ("dispute", "dispute_comment")
"""Fields of the account that people fill; they are made and read, never written."""

PARTNER_SAFE = ("tier", "next_tier", "gap")
"""Texts that a partner may see: no internal reason, no name of a person, no risk."""

STANDING = (
    "program", "category", "calculated_tier", "granted_tier", "previous_tier", "pending_tier", "pending_on",
    "next_tier", "progress", "gap_summary", "main_blocker", "risk", "risk_on", "movement", "tier_since",
    "grace_until", "next_review", "category_check", "overrides", "provisional", "as_of", "run_id",
)  # fmt: skip
"""Columns of a child record per partner, program and category."""

HISTORY = (
    "program", "category", "from_tier", "to_tier", "movement", "effective_on", "why", "run_id", "program_version",
)  # fmt: skip
"""Columns of a record per change of a granted tier."""


@dataclass(frozen=True)
class WriteMap:
    """What is written: object, the token field, managed value -> field, and what stands beside them.

    `people`: fields that only people fill; `partner_safe`: texts for partners; `standings`, `history`: child records;
    `sinks`: what is off unless it is asked for; `plan_record`: where blocked plans are laid before people;
    `last_error`: the field of the account that says why it could not be written.
    """

    object: Place
    token: Place
    fields: Mapping[str, Place]
    people: Mapping[str, Place] = field(default_factory=dict)
    partner_safe: Mapping[str, Place] = field(default_factory=dict)
    standings: ChildMap | None = None
    history: ChildMap | None = None
    sinks: SinkMap = field(default_factory=SinkMap)
    plan_record: RecordMap | None = None
    last_error: Place | None = None
    run_record: RecordMap | None = None

    @property
    def all_fields(self) -> tuple[Place, ...]:
        """Every field of the account that a run writes by its key, the token last."""
        error = () if self.last_error is None else (self.last_error,)
        return (*self.fields.values(), *self.partner_safe.values(), *error, self.token)


def read_writes(node: Node) -> WriteMap:
    """The `writes:` of a field map. Errors: ConfigError with file and line."""
    parts = node.mapping(
        required=("object", "token", "fields"),
        optional=("people", "partner_safe", "standings", "history", "sinks", "plan_record", "last_error", "run_record"),
    )
    account = path_place(parts["object"], "an object", single=True)
    token = custom_place(parts["token"], "a field", NOT_OURS)
    taken = {token.text.lower(): "token"}
    fields = _fields(parts["fields"], MANAGED, taken)
    people = _fields(parts["people"], PEOPLE, taken) if "people" in parts else {}
    safe = _fields(parts["partner_safe"], PARTNER_SAFE, taken) if "partner_safe" in parts else {}
    written = WriteMap(
        account, token, MappingProxyType(fields), MappingProxyType(people), MappingProxyType(safe),
        _child(parts["standings"], STANDING) if "standings" in parts else None,
        _child(parts["history"], HISTORY) if "history" in parts else None,
        read_sinks(parts["sinks"]) if "sinks" in parts else SinkMap(),
        read_plan_record(parts["plan_record"]) if "plan_record" in parts else None,
        _one_more(parts["last_error"], "last_error", taken) if "last_error" in parts else None,
        read_run_record(parts["run_record"]) if "run_record" in parts else None,
    )  # fmt: skip
    _refuse_shared_objects(written, parts)
    return written


def children_of(written: WriteMap) -> Iterator[tuple[str, ChildMap]]:
    """The child records that the map asks for, with their key in it."""
    for name, child in (("standings", written.standings), ("history", written.history)):
        if child is not None:
            yield name, child


def held_of(written: WriteMap) -> Iterator[tuple[str, ChildMap]]:
    """Those of the child records that are changed later, so that what they hold must be known. A change of tier is
    written once."""
    yield from ((name, child) for name, child in children_of(written) if name != "history")
    yield from written.sinks.held()


def _child(node: Node, keys: tuple[str, ...]) -> ChildMap:
    parts = node.mapping(required=("object", "partner", "key", "fields"))
    place = custom_place(parts["object"], "an object", "child records are kept in a custom one")
    partner = custom_place(parts["partner"], "a field", NOT_OURS)
    key = custom_place(parts["key"], "a field", NOT_OURS)
    if key.text.lower() == partner.text.lower():
        raise parts["key"].fail(f"`{key.text}` is already written by `partner`")
    taken = {partner.text.lower(): "partner", key.text.lower(): "key"}
    return ChildMap(place, partner, key, MappingProxyType(_fields(parts["fields"], keys, taken)))


def _fields(node: Node, keys: tuple[str, ...], taken: dict[str, str]) -> dict[str, Place]:
    """Key -> field; `taken` names the key of each field so far, by its name in lower case, and grows."""
    return {name: _one_more(value, name, taken) for name, value in node.mapping(optional=keys).items()}


def _one_more(node: Node, name: str, taken: dict[str, str]) -> Place:
    place = custom_place(node, "a field", NOT_OURS)
    if place.text.lower() in taken:
        raise node.fail(f"`{place.text}` is already written by `{taken[place.text.lower()]}`")
    taken[place.text.lower()] = name
    return place


def _refuse_shared_objects(written: WriteMap, parts: Mapping[str, Node]) -> None:
    seen = {written.object.text.lower(): "the account"}
    for name, child in children_of(written):
        if child.object.text.lower() in seen:
            before = seen[child.object.text.lower()]
            raise parts[name].mapping()["object"].fail(f"`{child.object.text}` is already the object of {before}")
        seen[child.object.text.lower()] = f"`{name}`"
    for name, record in (("plan_record", written.plan_record), ("run_record", written.run_record)):
        if record is not None and record.object.text.lower() in seen:
            before = seen[record.object.text.lower()]
            raise parts[name].mapping()["object"].fail(f"`{record.object.text}` is already the object of {before}")
        if record is not None:
            seen[record.object.text.lower()] = f"`{name}`"
