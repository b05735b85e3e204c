"""The report of a copied org: rows, what was masked and what was not, what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from crmsync.logs import safe_text
from crmsync.reports.text import json_text

if TYPE_CHECKING:
    from crmsync.connectors.salesforce.copying.copy import Copied

_CASES = 12


def copy_report(done: Copied, as_json: bool) -> str:
    """What was copied where, and how to start a sandbox from it."""
    if as_json:
        return json_text(vars(done) | {"folder": str(done.folder)})
    lines = [f"org {done.org} copied to {done.folder} with {done.calls} API calls, all of them reads", ""]
    lines += [f"{name}: {count:,} rows" for name, count in done.rows.items()]
    lines.append("")
    if done.masked:
        lines += ["Masked, the same text by the same made-up one:", *_fields(done.masked), ""]
        lines += ["Texts kept as they are, because a program or a key goes by them:", *_fields(done.kept), ""]
        lines += ["Ids, amounts, dates, checkboxes and picklist values are kept too.", ""]
    else:
        lines += ["Nothing was masked: names, addresses and texts are those of the org (--names masked).", ""]
    if done.blanked:
        lines.append("Emptied, because the record that was named is not in the copy:")
        lines += [f"  {name}: {count:,}" for name, count in sorted(done.blanked.items())] + [""]
    if done.left:
        lines.append("Not as in the org:")
        lines += [f"  {text}" for text in done.left[:_CASES]]
        more = len(done.left) - _CASES
        lines += ([f"  and {more} more (--json lists them)"] if more > 0 else []) + [""]
    lines.append("No org describes its validation rules, duplicate rules, permission sets and values by record type:")
    lines += ["they are not in the copy.", "", f"next: crmsync sandbox salesforce --data {done.folder}"]
    return "\n".join(safe_text(line) for line in lines)


def _fields(by_object: Mapping[str, list[str]]) -> Iterator[str]:
    for name, fields in sorted(by_object.items()):
        yield f"  {name}: {', '.join(fields)}"
