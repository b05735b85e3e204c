"""`writing:` of crmsync.yaml: when a run stops sending although records are left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from crmsync.strict_yaml import Node


@dataclass(frozen=True)
class WriteLimits:
    """When a run stops sending; shares are fractions.

    `org_share`, `own_share`: of the org's daily API calls, those used by all and those used by this run.
    `refused_at_least`, `refused_share`: both must be passed by the records that the CRM refused.
    """

    org_share: Decimal = Decimal("0.8")
    own_share: Decimal = Decimal("0.25")
    refused_at_least: int = 20
    refused_share: Decimal = Decimal("0.2")


USUAL = WriteLimits()


def read_writing(node: Node | None) -> WriteLimits:
    """The limits; those that are not named are the usual ones. Errors: ConfigError with its line."""
    if node is None:
        return USUAL
    keys = node.mapping(optional=("allowance", "refused"))
    allowance = keys["allowance"].mapping(optional=("org", "own")) if "allowance" in keys else {}
    refused = keys["refused"].mapping(optional=("at_least", "share")) if "refused" in keys else {}
    return WriteLimits(
        _share(allowance.get("org"), USUAL.org_share, "the API calls of a day"),
        _share(allowance.get("own"), USUAL.own_share, "the API calls of a day"),
        _count(refused.get("at_least"), USUAL.refused_at_least),
        _share(refused.get("share"), USUAL.refused_share, "the records of a run"),
    )


def _share(node: Node | None, usual: Decimal, whole: str) -> Decimal:
    if node is None:
        return usual
    share = node.decimal()
    if not 0 < share <= 1:
        raise node.fail(f"`{node.text()}` is not a share of {whole}; write 25%, above 0% and at most 100%")
    return share


def _count(node: Node | None, usual: int) -> int:
    if node is None:
        return usual
    count = node.integer()
    if count < 0:
        raise node.fail(f"`{count}` records; the limit counts from 0")
    return count
