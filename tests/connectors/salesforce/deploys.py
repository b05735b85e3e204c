"""A field map with words of its own, a program, and an org that is known by what describe says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from crmsync.connectors.base_needs import Dictionary
from crmsync.connectors.mapping import SalesforceMapping, read_mapping
from crmsync.connectors.salesforce.describe import Describe, Field, SObject
from crmsync.connectors.salesforce.metadata.catalog import Catalog
from crmsync.connectors.salesforce.metadata.components import FIELD, Component
from crmsync.connectors.salesforce.metadata.needs import Needs, needs_of
from crmsync.connectors.salesforce.metadata.packages import files_of, zipped
from crmsync.connectors.salesforce.metadata.plan import DeployPlan, Weight, plan_deploy
from crmsync.connectors.salesforce.metadata.retrieved import Present, present_of
from crmsync.programs.loading import load_program
from crmsync.writeback.dictionary import dictionary_of

PROGRAM = """\
program: channel
currency: EUR
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months}
  stars: {unit: points, sum: activities.value, during: last 12 months}
ladders:
  sales:
    tiers:
      - {key: basic, label: Basic}
      - {key: silver, label: Silver, requires: {revenue: 1000}}
      - {key: gold, label: Gold, requires: {revenue: 5000}}
  service:
    tiers:
      - {key: basic, label: Basic}
      - {key: master, label: Service Master, requires: {revenue: 100}}
categories:
  reseller: {label: Reseller, ladder: sales, member: "has(declared_categories, 'Reseller')"}
  service: {label: "Service & Support", ladder: service, member: revenue > 10}
"""
MAP = """\
tables:
  partners:
    object: Account
    filter: "Type = 'Partner'"
    columns: {partner_id: Id, name: Name, region: Region__c, status: Owner.Title, parent_status: Parent.Status__c}
  opportunities:
    object: Opportunity
    columns: {opportunity_id: Id, amount: Amount, is_won: IsWon}
    partners:
      - {partner_id: Seller__c, role: seller, share: Split__c}
  certifications:
    object: Badge__c
    columns: {certification_id: Id, partner_id: Firma__c, credential: Course__r.Key__c, issued_on: On__c}
  overrides:
    object: Ausnahme__c
    columns: {partner_id: Firma__c, kind: Art__c, reason: Grund__c, approved_by: Freigabe__r.Username}
writes:
  object: Account
  token: Marke__c
  fields:
    {calculated_tier: Stufe_Berechnet__c, granted_tier: Stufe__c, previous_tier: Stufe_Vorher__c, progress: Weg__c,
     categories: Segmente__c, gap_summary: Luecke__c, why: Warum__c, provisional: Vorlaeufig__c, points: Punkte__c,
     tier_since: Seit__c, risk: Risiko__c, next_review: Naechste__c}
  people: {dispute: Einspruch__c}
  partner_safe: {tier: Portal_Stufe__c}
  standings:
    object: Stand__c
    partner: Firma__c
    key: Schluessel__c
    fields: {category: Kategorie__c, granted_tier: Stufe__c, movement: Bewegung__c, progress: Weg__c}
  history: {object: Wechsel__c, partner: Firma__c, key: Schluessel__c, fields: {to_tier: Neu__c, why: Warum__c}}
"""
LOCKED = ("Id", "Name", "IsWon", "Amount")  # everybody sees them, so that no permission set may name them

ORG: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "Account": {
        "Id": {}, "Name": {}, "Type": {}, "Region__c": {}, "Status__c": {},
        "ParentId": {"relationship": "Parent", "reference_to": ("Account",)},
        "OwnerId": {"relationship": "Owner", "reference_to": ("User",), "permissionable": False},
    },
    "User": {"Title": {}, "Username": {"permissionable": False}},
    "Opportunity": {"Id": {}, "Amount": {}, "IsWon": {}, "Split__c": {}, "Seller__c": {}, "Secret__c": {}},
    "Badge__c": {
        "Id": {}, "On__c": {}, "Firma__c": {},
        "Course__c": {"relationship": "Course__r", "reference_to": ("Course__c",)},
    },
    "Course__c": {"Key__c": {}},
}  # fmt: skip


class Described(Describe):
    """Describe of an org that is written down here."""

    def __init__(self, org: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        self._names = ()
        self._known = {name.lower(): _sobject(name, fields) for name, fields in org.items()}

    def find(self, name: str) -> SObject | None:
        return self._known.get(name.lower())


def _sobject(name: str, fields: Mapping[str, Mapping[str, Any]]) -> SObject:
    made = {
        field.lower(): Field(field, field, "string", **{"permissionable": field not in LOCKED, **given})
        for field, given in fields.items()
    }
    return SObject(name, name, MappingProxyType(made))


@dataclass(frozen=True)
class World:
    """A field map and a program over that org; what it has of ours is given to `plan`."""

    mapping: SalesforceMapping
    dictionary: Dictionary
    org: Mapping[str, Mapping[str, Mapping[str, Any]]]

    @property
    def needs(self) -> Needs:
        return needs_of(self.mapping, self.dictionary)

    def plan(self, present: Present | None = None) -> DeployPlan:
        """What a deploy would do where these components are there already."""
        present = present or Present()
        return plan_deploy(self.mapping, self.needs, present, Catalog(Described(self.org), present, self.needs))


def world(folder: Path, mapping: str = MAP, program: str = PROGRAM, org: Mapping[str, Any] = ORG) -> World:
    """The field map and the program of these texts."""
    (folder / "salesforce.yaml").write_text(mapping, encoding="utf-8")
    (folder / "channel.yaml").write_text(program, encoding="utf-8")
    dictionary = dictionary_of([load_program(folder / "channel.yaml")])
    return World(read_mapping(folder / "salesforce.yaml"), dictionary, org)


def deployed(plan: DeployPlan, before: Present | None = None) -> Present:
    """The org after this deploy, by way of the very bytes that are sent."""
    after = {one.key: one for one in before or ()}
    after |= {one.key: one for one in present_of(zipped(files_of(plan.components, "67.0")))}
    return Present(after.values())


def with_field(present: Present, name: str, **changes: Any) -> Present:
    """The same org, where somebody has changed a field."""
    found = present.find(FIELD, name)
    assert found is not None, name
    changed = Component(FIELD, found.name, {**found.body, **changes})
    return Present([changed if one.key == found.key else one for one in present])


def body(plan: DeployPlan, kind: str, name: str) -> dict[str, Any]:
    """The values of the one component of this kind and name that a plan deploys."""
    found = [one for one in plan.components if (one.kind, one.name) == (kind, name)]
    assert len(found) == 1, [one.name for one in plan.components if one.kind == kind]
    return dict(found[0].body)


def texts(plan: DeployPlan, weight: Weight) -> list[str]:
    """The findings of one weight, as they are printed."""
    return [f"{one.about}: {one.text}" for one in plan.of(weight)]
