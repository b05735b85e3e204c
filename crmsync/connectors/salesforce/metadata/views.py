"""List views on the account: who is at risk, in grace, near the next tier, changed, and whom somebody must look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crmsync.connectors.mapping import WriteMap
from crmsync.connectors.mapping_records import RecordMap
from crmsync.connectors.salesforce.metadata.components import LIST_VIEW, PREFIX, Body, Component

PLAN_COLUMNS = ("summary", "movers", "changes", "as_of", "state", "decision")
NAME, OWNER = "ACCOUNT.NAME", "CORE.USERS.ALIAS"
LATELY_DAYS, SOON_DAYS = 30, 30
NEAR_PERCENT = 80
EMPTY = ""


@dataclass(frozen=True)
class Test:
    """One condition: key of the field map, operation of the list view, value (`EMPTY`: none)."""

    key: str
    operation: str
    value: str = EMPTY


@dataclass(frozen=True)
class View:
    """One list view. `any_of`: one test is enough."""

    name: str
    label: str
    tests: tuple[Test, ...]
    columns: tuple[str, ...]
    any_of: bool = False


VIEWS: Sequence[View] = (
    View("At_Risk", "Partners: at risk", (Test("risk", "equals", "high,medium"),),
         ("granted_tier", "risk", "risk_on", "risk_reason", "main_blocker")),
    View("In_Grace", "Partners: in grace", (Test("grace_until", "notEqual"),),
         ("granted_tier", "calculated_tier", "grace_until", "gap_summary")),
    View("Near_Promotion", "Partners: near promotion", (Test("progress", "greaterOrEqual", str(NEAR_PERCENT)),),
         ("granted_tier", "next_tier", "progress", "main_blocker", "gap_summary")),
    View("Tier_Changed_Lately", "Partners: tier changed lately",
         (Test("tier_since", "greaterOrEqual", f"LAST_N_DAYS:{LATELY_DAYS}"),),
         ("granted_tier", "previous_tier", "tier_since", "why")),
    View("Overrides_Ending", "Partners: exceptions ending",
         (Test("override_ends_on", "greaterOrEqual", "TODAY"),
          Test("override_ends_on", "lessOrEqual", f"NEXT_N_DAYS:{SOON_DAYS}")),
         ("granted_tier", "calculated_tier", "override_ends_on", "why")),
    View("Misclassified", "Partners: misclassified", (Test("category_check", "equals", "over_declared,undeclared"),),
         ("categories", "category_check", "granted_tier")),
    View("Awaiting_Approval", "Partners: awaiting approval",
         (Test("pending_tier", "notEqual"), Test("pending_on", "equals")),
         ("granted_tier", "pending_tier", "why")),
    View("Stale", "Partners: stale", (Test("provisional", "equals", "1"), Test("next_review", "lessThan", "TODAY")),
         ("granted_tier", "provisional", "next_review", "why"), any_of=True),
)  # fmt: skip


def list_views(writes: WriteMap, account: str) -> Iterator[Component]:
    """The list views whose fields are all mapped. `account`: the object in the org's spelling."""
    for view in VIEWS:
        if all(test.key in writes.fields for test in view.tests):
            yield Component(LIST_VIEW, f"{account}.{PREFIX}{view.name}", _body(view, writes))


def plan_views(plan: RecordMap, object_name: str) -> Iterator[Component]:
    """The plans that wait for a decision. `object_name`: in the org's spelling."""
    if "state" not in plan.fields:
        return
    shown = [plan.fields[key].text for key in PLAN_COLUMNS if key in plan.fields]
    body: Body = {
        "fullName": f"{PREFIX}Waiting_Plans",
        "columns": ["NAME", *shown, "LAST_UPDATE"],
        "filterScope": "Everything",
        "filters": [{"field": plan.fields["state"].text, "operation": "equals", "value": "Waiting"}],
        "label": "Plans: waiting for a decision",
    }
    yield Component(LIST_VIEW, f"{object_name}.{PREFIX}Waiting_Plans", body)


def views_left_out(writes: WriteMap) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Label of each list view that cannot be made, and the keys of `writes:` that it lacks."""
    for view in VIEWS:
        lacking = tuple(dict.fromkeys(test.key for test in view.tests if test.key not in writes.fields))
        if lacking:
            yield view.label, lacking


def _body(view: View, writes: WriteMap) -> Body:
    names: Mapping[str, str] = {key: place.text for key, place in writes.fields.items()}
    filters = [
        {"field": names[test.key], "operation": test.operation} | ({"value": test.value} if test.value else {})
        for test in view.tests
    ]
    body = {
        "fullName": f"{PREFIX}{view.name}",
        "columns": [NAME, *(names[key] for key in view.columns if key in names), OWNER],
        "filterScope": "Everything",
        "filters": filters,
        "label": view.label,
    }
    numbers = [str(number) for number in range(1, len(filters) + 1)]
    return body | ({"booleanFilter": " OR ".join(numbers)} if view.any_of else {})


def same_view(wanted: Body, present: Body) -> bool:
    """Whether a present list view still asks the same; columns are people's to arrange."""
    return _question(wanted) == _question(present)


def _question(body: Body) -> tuple[object, ...]:
    tests = [(one.get("field"), one.get("operation"), one.get("value") or "") for one in body.get("filters") or ()]
    return body.get("filterScope"), body.get("booleanFilter") or "", tests
