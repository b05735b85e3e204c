"""Texts that a partner may see. They are built from rules and its own numbers, never from internal texts.

Left out: risk, why a tier was granted or refused, exceptions, people, and values that may name somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from crmsync.programs.program import Headline, Program, Unit
from crmsync.writeback.wording import Standing, label_of_tier, number_entry, shown, tier_of, unmet

INTERNAL = re.compile(r"\brisk|\bchurn|\bhealth score|\binternal", re.IGNORECASE)
"""Words of metrics that are not for partners; such a requirement is left out of the text."""


def partner_texts(program: Program, row: Standing) -> dict[str, str | None]:
    """The three texts of one partner, from the standing that gives the account its tier."""
    category = row["category"]
    held = None if program.headline is Headline.NONE else row.get("granted_tier")
    ahead = row.get("next_tier")
    # A tier that is held by an exception lies above what the numbers give: the way to it is not for the partner.
    reached = held is not None and _place(program, category, held) >= _place(program, category, ahead)
    following = None if reached else ahead
    return {
        "partner_safe.tier": label_of_tier(program, category, held),
        "partner_safe.next_tier": label_of_tier(program, category, following),
        "partner_safe.gap": unmet(program, row, _told) or None if following else None,
    }


def _place(program: Program, category: str, key: str | None) -> int:
    tier = tier_of(program, category, key)
    return -1 if tier is None else program.ladder_of(category.partition("/")[0]).tiers.index(tier)


def _told(program: Program, entry: Mapping[str, Any]) -> str:
    """Empty where the requirement is not for partners; without values where these may be names."""
    key = entry["metric"].partition("[")[0].partition(".")[0]
    metric = program.metrics.get(key)
    if metric is None or INTERNAL.search(f"{metric.label} {key}"):
        return ""
    if metric.unit is Unit.TEXT or not number_entry(entry):
        return metric.label
    has, needs = (shown(program, key, entry.get(which)) for which in ("value", "required"))
    return f"{metric.label} {has} (needs {needs})"
