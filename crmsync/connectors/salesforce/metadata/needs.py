"""What an org needs: objects and fields, from the field map and the dictionary. Nothing is asked of the org here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from crmsync.connectors.base_needs import Dictionary, Said
from crmsync.connectors.mapping import ChildMap, Place, SalesforceMapping, WriteMap
from crmsync.connectors.mapping_records import DECISION
from crmsync.connectors.mapping_writes import children_of
from crmsync.connectors.salesforce.metadata.components import OBJECT, Body, Component, described, plural_of, words_of
from crmsync.connectors.salesforce.metadata.fields import ACTIVITY, FieldNeed
from crmsync.errors import ConfigError

OVERRIDES = "overrides"
PLAN_RECORD = "plan_record"
RUN_RECORD = "run_record"
RECORDS = (PLAN_RECORD, RUN_RECORD)
"""Records of their own that runs make, and people see."""


@dataclass(frozen=True)
class ObjectNeed:
    """A custom object. `detail`: its records belong to an account, and whoever sees the account sees them."""

    name: str
    role: str  # standings, history, overrides
    line: int
    help: str
    detail: bool


@dataclass(frozen=True)
class SinkNeed:
    """Records of a standard object beside the account. `made`: new ones are made; `read`, `written`: paths of fields,
    the custom ones that a deploy makes among them."""

    object: str
    line: int
    made: bool
    read: tuple[str, ...]
    written: tuple[str, ...]


@dataclass(frozen=True)
class Needs:
    """Objects and fields of one field map. `account`: the object whose records are partners."""

    account: str
    objects: tuple[ObjectNeed, ...]
    fields: tuple[FieldNeed, ...]
    sinks: tuple[SinkNeed, ...] = ()

    def of(self, name: str) -> tuple[FieldNeed, ...]:
        """The fields that records of one object have."""
        return tuple(need for need in self.fields if need.records.lower() == name.lower())


def needs_of(mapping: SalesforceMapping, dictionary: Dictionary) -> Needs:
    """What an org needs for this field map. Errors: ConfigError when nothing is written, or a field has two uses."""
    writes = mapping.writes
    if writes is None:
        raise ConfigError("no `writes:` in this field map, so there is nothing to deploy", file=mapping.file)
    objects = tuple(_objects(mapping, writes, dictionary))
    fields = (
        *_account_fields(writes, dictionary),
        *(need for name, child in children_of(writes) for need in _child(name, child, writes, dictionary)),
        *_sink_fields(writes, dictionary),
        *_override_fields(mapping, writes, dictionary),
        *_plan_fields(writes, dictionary),
        *_run_fields(writes, dictionary),
    )
    return Needs(writes.object.text, objects, tuple(_once(mapping, fields)), tuple(_sinks(writes)))


def _once(mapping: SalesforceMapping, fields: tuple[FieldNeed, ...]) -> Iterator[FieldNeed]:
    seen: dict[str, FieldNeed] = {}
    for need in fields:
        first = seen.setdefault(need.full_name.lower(), need)
        if first is need:
            yield need
        elif first.said != need.said:
            raise ConfigError(
                f"{need.full_name} is named twice, for two kinds of value (the other one at line {first.line})",
                file=mapping.file, line=need.line,
            )  # fmt: skip


def _objects(mapping: SalesforceMapping, writes: WriteMap, dictionary: Dictionary) -> Iterator[ObjectNeed]:
    for name, child in children_of(writes):
        yield ObjectNeed(child.object.text, name, child.object.line, dictionary.objects[name], detail=True)
    table = mapping.tables.get(OVERRIDES)
    if table is not None and _is_custom(table.object.text):
        said = dictionary.objects[OVERRIDES]
        yield ObjectNeed(table.object.text, OVERRIDES, table.object.line, said, detail=False)
    plan = writes.plan_record
    if plan is not None:
        yield ObjectNeed(plan.object.text, PLAN_RECORD, plan.object.line, dictionary.objects[PLAN_RECORD], detail=False)
    run = writes.run_record
    if run is not None:
        yield ObjectNeed(run.object.text, RUN_RECORD, run.object.line, dictionary.objects[RUN_RECORD], detail=False)


def _account_fields(writes: WriteMap, dictionary: Dictionary) -> Iterator[FieldNeed]:
    account = writes.object.text
    yield from (_need(account, place, dictionary.account[key]) for key, place in writes.fields.items())
    yield _need(account, writes.token, dictionary.token)
    if writes.last_error is not None:
        yield _need(account, writes.last_error, dictionary.last_error)
    yield from (_need(account, place, dictionary.partner_safe[key]) for key, place in writes.partner_safe.items())
    for key, place in writes.people.items():
        yield FieldNeed(account, place.text, dictionary.people[key], place.line, written=False)


def _child(name: str, child: ChildMap, writes: WriteMap, dictionary: Dictionary) -> Iterator[FieldNeed]:
    known: Mapping[str, Said] = dictionary.standings if name == "standings" else dictionary.history
    own = child.object.text
    yield FieldNeed(own, child.partner.text, dictionary.partner, child.partner.line, target=writes.object.text)
    yield _need(own, child.key, dictionary.key)
    yield from (_need(own, place, known[key]) for key, place in child.fields.items())


def _sink_fields(writes: WriteMap, dictionary: Dictionary) -> Iterator[FieldNeed]:
    """The custom fields of the sinks; standard ones are there, or the org does not have that feature."""
    sinks = writes.sinks
    if sinks.badges is not None:
        place = sinks.badges.fields["badges"]
        yield _need(sinks.badges.object.text, place, dictionary.badges)
    if sinks.risk_task is not None:
        yield _need(ACTIVITY, sinks.risk_task.child.key, dictionary.key)
    if sinks.notice_task is not None:
        yield _need(ACTIVITY, sinks.notice_task.key, dictionary.key)


def _plan_fields(writes: WriteMap, dictionary: Dictionary) -> Iterator[FieldNeed]:
    """The record of a blocked plan: runs write all of it, and sales operations the decision."""
    plan = writes.plan_record
    if plan is None:
        return
    yield _need(plan.object.text, plan.key, dictionary.key)
    for key, place in plan.fields.items():
        said = dictionary.plan_record[key]
        yield FieldNeed(plan.object.text, place.text, said, place.line, decided=key == DECISION)


def _run_fields(writes: WriteMap, dictionary: Dictionary) -> Iterator[FieldNeed]:
    run = writes.run_record
    if run is not None:
        yield _need(run.object.text, run.key, dictionary.key)
        yield from (_need(run.object.text, place, dictionary.run_record[key]) for key, place in run.fields.items())


def _sinks(writes: WriteMap) -> Iterator[SinkNeed]:
    for _, child in writes.sinks.needed():
        fields = tuple(place.text for place in child.fields.values())
        read = tuple(place.text for place in (child.key, child.partner, *child.read))
        if child.only is not None:
            read = (*read, child.only[0])
        written = (child.partner.text, child.key.text, *fields) if child.made else fields
        yield SinkNeed(child.object.text, child.object.line, child.made, read, written)


def _override_fields(mapping: SalesforceMapping, writes: WriteMap, dictionary: Dictionary) -> Iterator[FieldNeed]:
    """Fields that people fill in exceptions; a path like `Approved_By__r.Username` needs its lookup field."""
    table = mapping.tables.get(OVERRIDES)
    for column, place in table.columns.items() if table is not None else ():
        said = dictionary.overrides.get(column)
        first, dot, _ = place.text.partition(".")
        name = f"{first[:-3]}__c" if dot and first.lower().endswith("__r") else first
        if said is None or table is None or not _is_custom(name) or (dot and not said.shape.points):
            continue
        target = {"account": writes.object.text, "user": "User"}.get(said.shape.value, "")
        yield FieldNeed(table.object.text, name, said, place.line, written=False, target=target)


def _need(owner: str, place: Place, said: Said) -> FieldNeed:
    return FieldNeed(owner, place.text, said, place.line)


def _is_custom(name: str) -> bool:
    return name.lower().endswith("__c")


def object_component(need: ObjectNeed) -> Component:
    """A new object with records that are numbered by themselves; its fields come as components of their own."""
    label = words_of(need.name)
    initials = "".join(word[0] for word in label.split()).upper()
    enabled = dict.fromkeys(("enableBulkApi", "enableReports", "enableSharing", "enableStreamingApi"), True)
    body: Body = {
        "deploymentStatus": "Deployed",
        "description": described(need.help),
        "label": label,
        "nameField": {"displayFormat": f"{initials}-{{000000}}", "label": f"{label} Number"[:40], "type": "AutoNumber"},
        "pluralLabel": plural_of(label)[:40],
        "sharingModel": "ControlledByParent" if need.detail else "ReadWrite",
        **enabled,
    }
    return Component(OBJECT, need.name, body)
