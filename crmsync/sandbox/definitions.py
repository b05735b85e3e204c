"""EntityDefinition and FieldDefinition, which the data API answers too: the org's own description."""

from __future__ import annotations

import re
from typing import Any

from crmsync.sandbox import queries
from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.org import Org

_FROM = re.compile(r"\bFROM\s+(EntityDefinition|FieldDefinition)\b", re.IGNORECASE)


def definitions(org: Org, soql: str) -> Org | None:
    """The org that answers a query on the schema; None for a query on records."""
    if _FROM.search(soql) is None:
        return None
    from crmsync.sandbox.tooling import described_org

    return described_org(org)


def one_page(org: Org, soql: str, root: str) -> dict[str, Any]:
    """The whole answer. Errors: ApiError when it does not fit one page."""
    page = queries.first_page(org, soql, root)
    if not page["done"]:
        name = page["records"][0]["attributes"]["type"]
        raise ApiError(
            400, "EXCEEDED_ID_LIMIT",
            f"{name} does not support queryMore(), use LIMIT to restrict the results to a single batch",
        )  # fmt: skip
    return page
