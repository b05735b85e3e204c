"""The part of the field map that asks for more than accounts, standings and history: tasks, badges, channel programs.

All of it is off unless it stands in the map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from crmsync.connectors.mapping_places import Place, custom_place
from crmsync.strict_yaml import Node

RISK_TASK, CONTACT_BADGES, CHANNEL_PROGRAM_MEMBER = "risk_task", "contact_badges", "channel_program_member"
NOTICE_TASK = "notice_task"
CHANNEL_PROGRAM_LEVELS = "channel_program_levels"
"""The records that give the levels their names; they are read and never written."""
SINKS = (RISK_TASK, CONTACT_BADGES, CHANNEL_PROGRAM_MEMBER, NOTICE_TASK)
PERIODS = ("month", "quarter", "year")
TASK_FIELDS = {"subject": "Subject", "due_on": "ActivityDate", "why": "Description", "owner": "OwnerId"}
NOT_OURS = "only custom fields are written"


@dataclass(frozen=True)
class ChildMap:
    """Records beside an account. `partner`: the field that points at it; `key`: the external id of an upsert;
    `fields`: what is written -> field; `read`: fields that are read with them; `only`: a path and the value that the
    records have there, where not all of them are meant; `made`: new ones are made."""

    object: Place
    partner: Place
    key: Place
    fields: Mapping[str, Place]
    read: tuple[Place, ...] = ()
    only: tuple[str, Place] | None = None
    made: bool = True

    @property
    def all_fields(self) -> tuple[Place, ...]:
        """Every field of a new record that is written."""
        return (self.partner, self.key, *self.fields.values())


@dataclass(frozen=True)
class TaskMap:
    """A task for the owner of an account. `every`: month, quarter or year, in which there is one per reason."""

    child: ChildMap
    every: str


@dataclass(frozen=True)
class MemberMap:
    """Members of a channel program, whose level follows the tier. `program`: its name; `levels`: label of a tier ->
    name of its level, where they differ (an empty name: no level); `category`: whose tier counts, else the account's.

    `rungs`: the levels of the program, read by their names.
    """

    child: ChildMap
    rungs: ChildMap
    program: Place
    levels: Mapping[str, Place] = field(default_factory=dict)
    category: Place | None = None


@dataclass(frozen=True)
class SinkMap:
    """What is written beside the account beyond standings and history."""

    risk_task: TaskMap | None = None
    badges: ChildMap | None = None
    members: MemberMap | None = None
    notice_task: ChildMap | None = None

    def written(self) -> Iterator[tuple[str, ChildMap]]:
        """The records that are written, with their key in the map."""
        if self.badges is not None:
            yield CONTACT_BADGES, self.badges
        if self.members is not None:
            yield CHANNEL_PROGRAM_MEMBER, self.members.child
        if self.risk_task is not None:
            yield RISK_TASK, self.risk_task.child
        if self.notice_task is not None:
            yield NOTICE_TASK, self.notice_task

    def needed(self) -> Iterator[tuple[str, ChildMap]]:
        """The records that are written, and those that a draft reads for it."""
        yield from self.held()
        if self.notice_task is not None:
            yield NOTICE_TASK, self.notice_task

    def held(self) -> Iterator[tuple[str, ChildMap]]:
        """The records whose present values a draft must know. A notice is made once and looked up by its key."""
        yield from ((name, child) for name, child in self.written() if name != NOTICE_TASK)
        if self.members is not None:
            yield CHANNEL_PROGRAM_LEVELS, self.members.rungs


def read_sinks(node: Node) -> SinkMap:
    """The `sinks:` of a field map. Errors: ConfigError with file and line."""
    parts = node.mapping(optional=SINKS)
    return SinkMap(
        _risk_task(parts[RISK_TASK]) if RISK_TASK in parts else None,
        _badges(parts[CONTACT_BADGES]) if CONTACT_BADGES in parts else None,
        _members(parts[CHANNEL_PROGRAM_MEMBER]) if CHANNEL_PROGRAM_MEMBER in parts else None,
        _task(parts[NOTICE_TASK].mapping(required=("key",))["key"], parts[NOTICE_TASK])
        if NOTICE_TASK in parts
        else None,
    )


def _risk_task(node: Node) -> TaskMap:
    """`risk_task: {key, every}`. The key is a custom field of activities, the rest is standard."""
    task = node.mapping(required=("key",), optional=("every",))
    every = task["every"].text() if "every" in task else "quarter"
    if every not in PERIODS:
        raise task["every"].fail(f"`{every}` is no period of tasks; write one of {', '.join(PERIODS)}")
    return TaskMap(_task(task["key"], node), every)


def _task(key: Node, node: Node) -> ChildMap:
    """A task for an owner, named by a field of its own. Notices have theirs: `notice_task: {key}`."""
    fields = {what: Place(name, node.line) for what, name in TASK_FIELDS.items()}
    named = custom_place(key, "a field", NOT_OURS)
    return ChildMap(Place("Task", node.line), Place("WhatId", node.line), named, MappingProxyType(fields))


def _badges(node: Node) -> ChildMap:
    """`contact_badges: {badges: Field__c}`: contacts are people's; only this field of theirs is written."""
    given = node.mapping(required=("badges",))
    badges = custom_place(given["badges"], "a field", NOT_OURS)
    object_, account, own = (Place(name, node.line) for name in ("Contact", "AccountId", "Id"))
    return ChildMap(object_, account, own, MappingProxyType({"badges": badges}), made=False)


def _members(node: Node) -> MemberMap:
    """`channel_program_member: {program, levels, category}`: members are people's; only their level is written."""
    given = node.mapping(required=("program",), optional=("levels", "category"))
    program = Place(given["program"].text(), given["program"].line)
    if not program.text.strip():
        raise given["program"].fail("`program` is empty; write the name of a channel program of the org")
    levels = given["levels"].mapping() if "levels" in given else {}
    category = Place(given["category"].text(), given["category"].line) if "category" in given else None

    def at(name: str) -> Place:
        return Place(name, node.line)

    only = ("Program.Name", program)
    child = ChildMap(
        at("ChannelProgramMember"), at("PartnerId"), at("Id"), MappingProxyType({"level": at("LevelId")}),
        (at("ProgramId"),), only, made=False,
    )  # fmt: skip
    rungs = ChildMap(at("ChannelProgramLevel"), at("ProgramId"), at("Name"), MappingProxyType({}), (), only, made=False)
    named = {label: Place(level.text().strip(), level.line) for label, level in levels.items()}
    return MemberMap(child, rungs, program, MappingProxyType(named), category)
