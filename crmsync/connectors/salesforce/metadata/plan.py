"""The plan of a deploy: what an org lacks, what grows, what stays as it is although it differs. Pure.

Nothing is ever made smaller: fields keep their length, picklists their values, permission sets what people added.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from crmsync.connectors.mapping import SalesforceMapping, WriteMap
from crmsync.connectors.salesforce.metadata.catalog import Catalog, Entry, Missing
from crmsync.connectors.salesforce.metadata.components import (
    FIELD,
    OBJECT,
    ORDER,
    PERMISSION_SET,
    RECORD_TYPE,
    Body,
    Component,
    is_ours,
)
from crmsync.connectors.salesforce.metadata.fields import FieldNeed, compare_field, field_body
from crmsync.connectors.salesforce.metadata.needs import Needs, ObjectNeed, SinkNeed, object_component
from crmsync.connectors.salesforce.metadata.permissions import compare_rights, lacking_paths, permission_sets
from crmsync.connectors.salesforce.metadata.record_types import Offered, offered, widened_record_type
from crmsync.connectors.salesforce.metadata.reports import report_components
from crmsync.connectors.salesforce.metadata.retrieved import PARTS, Present
from crmsync.connectors.salesforce.metadata.views import list_views, plan_views, same_view, views_left_out


class Action(StrEnum):
    """What a deploy does with a component."""

    ADD = "add"
    WIDEN = "widen"


class Weight(StrEnum):
    """What a finding means: `cannot` stops a deploy, `drift` stays until somebody acts, `told` is only told."""

    CANNOT = "cannot"
    DRIFT = "drift"
    TOLD = "told"


@dataclass(frozen=True)
class Step:
    """One component that is deployed. `what`: in words, what it gains (empty for a new one)."""

    action: Action
    component: Component
    what: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing. `about`: `field Account.Tier__c`; `line`: of the field map, or None."""

    weight: Weight
    about: str
    text: str
    line: int | None = None


@dataclass(frozen=True)
class DeployPlan:
    """What a deploy would do. `kept`: components that are there already and need nothing."""

    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    kept: tuple[Component, ...] = ()

    @property
    def components(self) -> tuple[Component, ...]:
        """What is deployed, in an order that is the same every time."""
        return tuple(step.component for step in self.steps)

    def of(self, weight: Weight) -> tuple[Finding, ...]:
        """The findings of one weight."""
        return tuple(finding for finding in self.findings if finding.weight is weight)

    @property
    def digest(self) -> str:
        """sha256 over what would be deployed."""
        return digest_of(self.components)


def digest_of(components: Sequence[Component]) -> str:
    """sha256 over components."""
    content = [[one.kind, one.name, one.body] for one in components]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def plan_deploy(mapping: SalesforceMapping, needs: Needs, present: Present, catalog: Catalog) -> DeployPlan:
    """What to do so that the org has everything that the field map names."""
    writes = mapping.writes
    assert writes is not None, "needs_of refuses a field map without `writes:`"
    draft = _Draft(present)
    for one in needs.objects:
        draft.object(one)
    for need in needs.fields:
        draft.field(need)
    for name in dict.fromkeys(need.object for need in needs.fields):
        draft.record_types(name)
    read = list(catalog.read_by(mapping))
    for place, found in read:
        if isinstance(found, Missing):
            draft.found(Weight.DRIFT, "the field map", f"{found}; a run cannot read it", place.line)
    entries = [found for _, found in read if isinstance(found, Entry)]
    for sink in needs.sinks:
        for path, lacking in lacking_paths(sink, catalog):
            draft.found(Weight.DRIFT, f"{sink.object}.{path}", f"{lacking}; {_feature(sink)}", sink.line)
    for component in permission_sets(needs, catalog, entries):
        draft.permissions(component)
    _views_and_reports(draft, writes, needs, present, catalog)
    steps = sorted(draft.steps, key=lambda step: (ORDER.index(step.component.kind), step.component.name))
    return DeployPlan(tuple(steps), tuple(draft.findings), tuple(draft.kept))


def _feature(need: SinkNeed) -> str:
    if need.object.startswith("ChannelProgram"):
        return "channel programs come with a licence for partners; switch them on in Setup, or take the sink out"
    return "give this login read access to it, or take the sink out of the field map"


def _views_and_reports(draft: _Draft, writes: WriteMap, needs: Needs, present: Present, catalog: Catalog) -> None:
    account = catalog.object_name(needs.account)
    for view in list_views(writes, account):
        draft.view(view)
    plan = writes.plan_record
    for view in plan_views(plan, catalog.object_name(plan.object.text)) if plan is not None else ():
        draft.view(view)
    for label, lacking in views_left_out(writes):
        keys = ", ".join(f"`{key}`" for key in lacking)
        draft.found(Weight.TOLD, f"list view {label}", f"left out: `writes: fields:` does not map {keys}")
    if account.lower() != "account":
        draft.found(Weight.TOLD, "reports", f"left out: they are made over Account, and partners are {account}")
        return
    for component in report_components(writes, account, _relationship(writes, present)):
        draft.if_missing(component)


def _relationship(writes: WriteMap, present: Present) -> str:
    """How the account calls its standings: as the present field says, else as a new one would."""
    if writes.standings is None:
        return ""
    child = writes.standings
    held = present.find(FIELD, f"{child.object.text}.{child.partner.text}")
    name = str(held.body.get("relationshipName") or "") if held is not None else ""
    if not name and held is None:
        label = object_component(ObjectNeed(child.object.text, "", 0, "", True)).body["pluralLabel"]
        name = str(label).replace(" ", "_")[:40].rstrip("_")
    return f"{name}__r" if name else ""


class _Draft:
    """Collects steps, findings and what may stay."""

    def __init__(self, present: Present) -> None:
        self._present = present
        self.steps: list[Step] = []
        self.findings: list[Finding] = []
        self.kept: list[Component] = []
        self._offered: dict[str, list[Offered]] = {}

    def found(self, weight: Weight, about: str, text: str, line: int | None = None) -> None:
        self.findings.append(Finding(weight, about, text, line))

    def if_missing(self, component: Component) -> Component | None:
        """Add the component, or give the present one."""
        held = self._present.find(component.kind, component.name)
        if held is None:
            self.steps.append(Step(Action.ADD, component))
        else:
            self.kept.append(held)
        return held

    def object(self, need: ObjectNeed) -> None:
        self.if_missing(object_component(need))

    def field(self, need: FieldNeed) -> None:
        component = Component(FIELD, need.full_name, field_body(need))
        held = self._present.find(FIELD, need.full_name)
        if held is None:
            self.steps.append(Step(Action.ADD, component))
            self._offer(need, component.body)
            return
        compared = compare_field(need, held.body, is_ours(FIELD, held.name, held.body))
        for weight, texts in (
            (Weight.CANNOT, compared.cannot),
            (Weight.DRIFT, compared.drift),
            (Weight.TOLD, compared.told),
        ):
            for text in texts:
                self.found(weight, held.said, text, need.line)
        self._offer(need, compared.widened or held.body)
        if compared.widened is None:
            self.kept.append(held)
        else:
            self.steps.append(Step(Action.WIDEN, Component(FIELD, held.name, compared.widened), compared.added))

    def _offer(self, need: FieldNeed, body: Body) -> None:
        found = offered(need.name, [choice.value for choice in need.said.choices], body) if need.written else None
        if found is not None:
            self._offered.setdefault(need.object.lower(), []).append(found)

    def record_types(self, name: str) -> None:
        """Add the written values to the record types of an object."""
        for held in self._present.of(RECORD_TYPE, name):
            widened = widened_record_type(held.body, self._offered.get(name.lower(), ()))
            if widened is not None:
                self.steps.append(Step(Action.WIDEN, Component(RECORD_TYPE, held.name, widened[0]), widened[1]))

    def permissions(self, component: Component) -> None:
        held = self._present.find(PERMISSION_SET, component.name)
        if held is None:
            self.steps.append(Step(Action.ADD, component))
            return
        compared = compare_rights(component.body, held.body)
        if compared.more:
            self.found(Weight.DRIFT, held.said, f"grants more than is needed: {_listed(compared.more)}")
        if compared.widened is None:
            self.kept.append(held)
        else:
            widened = Component(PERMISSION_SET, held.name, compared.widened)
            self.steps.append(Step(Action.WIDEN, widened, (_listed(compared.added),)))

    def view(self, component: Component) -> None:
        held = self.if_missing(component)
        if held is not None and not same_view(component.body, held.body):
            self.found(Weight.DRIFT, held.said, "its filters were edited; it is left as it is")


LISTED = 8


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


# --- removal


@dataclass(frozen=True)
class Removal:
    """What a removal takes away. `not_ours`: what people made, or put fields of theirs into; `unknown`: not there."""

    components: tuple[Component, ...]
    not_ours: tuple[Component, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """sha256 over what would be removed."""
        return digest_of([Component(one.kind, one.name, {}) for one in self.components])


def plan_removal(present: Present, names: Sequence[str], every: bool) -> Removal:
    """What to remove: all that is ours, or what is named (`Account.Tier__c`, `Crmsync_Run`, `Folder/Report`).

    The fields and list views of an object go with it, so only the object is named then; an object that people have
    given fields of their own is not ours any more.
    """
    held = list(present)
    if every:
        wanted = [one for one in held if is_ours(one.kind, one.name, one.body)]
        unknown: tuple[str, ...] = ()
    else:
        asked = {name.lower(): name for name in names}
        wanted = [one for one in held if one.name.lower() in asked and _may_be_named(one)]
        unknown = tuple(name for low, name in asked.items() if low not in {one.name.lower() for one in wanted})
    shared = {one.name.lower() for one in wanted if one.kind == OBJECT and _has_foreign_fields(one, held)}
    refused = [
        one
        for one in wanted
        if not is_ours(one.kind, one.name, one.body) or (one.kind == OBJECT and one.name.lower() in shared)
    ]
    ours = [one for one in wanted if one not in refused and not (every and one.parent.lower() in shared)]
    return Removal(tuple(_sorted(_without_parts(ours))), tuple(refused), unknown)


def _has_foreign_fields(component: Component, held: Sequence[Component]) -> bool:
    fields = (one for one in held if one.kind == FIELD and one.parent.lower() == component.name.lower())
    return any(not is_ours(one.kind, one.name, one.body) for one in fields)


def _may_be_named(component: Component) -> bool:
    return component.kind != OBJECT or component.name.lower().endswith("__c")


def _without_parts(components: Sequence[Component]) -> list[Component]:
    objects = {one.name.lower() for one in components if one.kind == OBJECT}
    return [one for one in components if not (one.kind in PARTS and one.parent.lower() in objects)]


def _sorted(components: Sequence[Component]) -> list[Component]:
    return sorted(components, key=lambda one: (-ORDER.index(one.kind), one.name))


# --- proof


@dataclass(frozen=True)
class Seen:
    """What describe shows of the fields that are needed. `hidden`: they exist, and this login may not see them."""

    visible: int
    hidden: tuple[str, ...]


def seen_fields(needs: Needs, fields: Mapping[str, Mapping[str, object] | None]) -> Seen:
    """Compare with describe. `fields`: by object in lower case, its fields by name in lower case; None: not there."""
    names = [need for need in needs.fields if need.name.lower() not in (fields.get(need.records.lower()) or {})]
    hidden = tuple(need.full_name for need in names)
    return Seen(len(needs.fields) - len(hidden), hidden)
