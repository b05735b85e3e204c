"""`conflicts:` of crmsync.yaml: what becomes of a computed field that somebody has edited by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from crmsync.strict_yaml import Node, nearest

Policy = Literal["restore", "adopt", "freeze"]
POLICIES: tuple[Policy, ...] = ("restore", "adopt", "freeze")
TIER = "granted_tier"
FIELDS = (
    "calculated_tier", "granted_tier", "previous_tier", "next_tier", "tier_since", "categories", "progress",
    "gap_summary", "main_blocker", "risk", "risk_reason", "risk_on", "points", "why", "provisional", "grace_until",
    "next_review", "pending_tier", "pending_on", "override_ends_on", "category_check",
)  # fmt: skip
"""The computed fields that can have a policy of their own; a test compares them with the field map's."""
DAYS = re.compile(r"(\d+) days?")
LONGEST = 366


@dataclass(frozen=True)
class Conflicts:
    """`policy`: of every field but those of `fields` (key of the field map -> its own); `adopt_for_days`: how long a
    tier that was set by hand then counts as an override. `adopt` is for the granted tier; other fields are restored."""

    policy: Policy = "restore"
    fields: Mapping[str, Policy] = field(default_factory=dict)
    adopt_for_days: int = 90

    def policy_of(self, key: str) -> Policy:
        """What becomes of an edit of this field."""
        found = self.fields.get(key, self.policy)
        return "restore" if found == "adopt" and key != TIER else found


def read_conflicts(node: Node | None) -> Conflicts:
    """The rules for hand edits. Errors: ConfigError with file and line."""
    if node is None:
        return Conflicts()
    keys = node.mapping(optional=("policy", "fields", "adopt_for"))
    each = keys["fields"].mapping() if "fields" in keys else {}
    return Conflicts(
        _policy(keys["policy"]) if "policy" in keys else Conflicts.policy,
        MappingProxyType({key: _policy_of(keys["fields"], key, one) for key, one in each.items()}),
        _days(keys["adopt_for"]) if "adopt_for" in keys else Conflicts.adopt_for_days,
    )


def _policy_of(of: Node, key: str, node: Node) -> Policy:
    if key not in FIELDS:
        raise of.fail_at_key(key, f"`{key}` is no computed field{nearest(key, FIELDS)}; they stand in the field map")
    policy = _policy(node)
    if policy == "adopt" and key != TIER:
        raise node.fail(f"`adopt` makes an override out of a tier, so it is for {TIER} alone; take restore or freeze")
    return policy


def _policy(node: Node) -> Policy:
    for policy in POLICIES:
        if node.text() == policy:
            return policy
    raise node.fail(f"`{node.text()}` is no policy{nearest(node.text(), POLICIES)}; take restore, adopt or freeze")


def _days(node: Node) -> int:
    found = DAYS.fullmatch(node.text())
    if found is None or not 1 <= int(found[1]) <= LONGEST:
        raise node.fail(f"`{node.text()}` is no time; write it as `90 days`, from 1 to {LONGEST}")
    return int(found[1])
