"""Small reads: the pages of a REST query as blocks of text columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from crmsync.connectors.salesforce.org import Org
from crmsync.errors import DataError

PAGES_MAX = 10_000


def count_rows(org: Org, soql: str) -> int:
    """The server's own count of a `SELECT COUNT()`."""
    answer = org.query(soql)
    total = answer.get("totalSize") if isinstance(answer, dict) else None
    if not isinstance(total, int) or isinstance(total, bool):
        raise DataError(f"Salesforce did not answer `{soql[:120]}` with a count")
    return total


def rest_blocks(org: Org, first: Any, sobject: str, paths: Sequence[str]) -> Iterator[Mapping[str, pa.Array]]:
    """Blocks of text columns by path, one per page from the `first` on; the server decides how long a page is.

    Errors: DataError when the pages do not add up, name another host, or hold something that is not a record.
    """
    page, read = first, 0
    for _ in range(PAGES_MAX):
        total, records = _page(page, sobject)
        read += len(records)
        if records:
            yield {path: pa.array([_cell(record, path, sobject) for record in records], pa.string()) for path in paths}
        if page.get("done", True):
            _check_total(sobject, read, total)
            return
        if not isinstance(page.get("nextRecordsUrl"), str):
            raise DataError(f"{sobject}: page says there are more records but not where (nextRecordsUrl)")
        page = org.query_more(page["nextRecordsUrl"])
    raise DataError(f"{sobject}: more than {PAGES_MAX} pages; the query does not come to an end")


def _page(page: Any, sobject: str) -> tuple[int, list[dict[str, Any]]]:
    if not isinstance(page, dict) or not isinstance(page.get("records"), list):
        raise DataError(f"{sobject}: the answer is not a page of a query (no `records`)")
    total = page.get("totalSize")
    if not isinstance(total, int):
        raise DataError(f"{sobject}: a page does not say how many records there are (totalSize)")
    for place, record in enumerate(page["records"], 1):
        if not isinstance(record, dict) or not record.get("Id"):
            raise DataError(f"{sobject}: record {place} of a page has no Id")
    return total, page["records"]


def _check_total(sobject: str, read: int, total: int) -> None:
    if read != total:
        raise DataError(f"{sobject}: the pages hold {read:,} records, but Salesforce says {total:,} (totalSize)")


def _cell(record: Mapping[str, Any], path: str, sobject: str) -> str | None:
    value: Any = record
    for step in path.split("."):
        if value is None:
            return None
        if not isinstance(value, dict) or step not in value:
            raise DataError(f"{sobject} {record['Id']}: the answer has no {path}")
        value = value[step]
    return text_of(value, f"{sobject} {record['Id']}: {path}")


def text_of(value: Any, where: str = "") -> str | None:
    """A JSON value as the text that Bulk would give for it; null and empty text are None.

    Errors: DataError for anything that is not a single value.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise DataError(f"{where} is not a single value but {type(value).__name__}")
