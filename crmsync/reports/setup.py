"""What setting up prints: what discovery found, what a check says, what `init` wrote and what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crmsync.logs import safe_text
from crmsync.reports.text import command, json_text, table

if TYPE_CHECKING:
    from crmsync.connectors.salesforce.discover.choosing import Line
    from crmsync.discovering import Discovery

MARKED_SHOWN = 20


def discovery_report(found: Discovery, as_json: bool) -> str:
    """The field map itself, or where it was written, with what people must look at."""
    if as_json:
        return json_text(_discovery_json(found))
    if found.file is None:
        return found.text.rstrip("\n")
    return "\n".join(safe_text(line) for line in _discovery(found))


def _discovery(found: Discovery) -> Iterator[str]:
    yield f"org {found.org} at {found.login}"
    yield ""
    yield from table(
        ("table", "object", "records", "lines", "to look at"), [_row(found, one) for one in found.proposal.tables]
    )
    yield ""
    yield from (f"not read: {note}" for note in found.facts.notes)
    if found.kept is not None:
        yield f"{found.kept} is left as it is; the proposal stands beside it"
    yield f"written: {found.file}"
    if found.marked:
        yield f"{len(found.marked)} lines are marked `# ?`:"
        yield from (f"  {found.file}:{number}: {_short(text)}" for number, text in found.marked[:MARKED_SHOWN])
    yield f"API calls used: {found.facts.calls}"
    yield ""
    yield f"next: look at the marked lines, then {command('check')}"


def _row(found: Discovery, one: Any) -> tuple[object, ...]:
    facts = found.facts.find(str(one.object.value or ""))
    rows: object = "" if facts is None or facts.rows is None else facts.rows
    open_lines = sum(1 for line in one.lines if not line.sure)
    return (one.name, one.object.value or "not known", rows, len(one.lines), open_lines)


def _short(text: str) -> str:
    return text if len(text) <= 150 else text[:149] + "…"


def _discovery_json(found: Discovery) -> dict[str, Any]:
    return {
        "org": found.org,
        "login": found.login,
        "file": str(found.file) if found.file else None,
        "kept": str(found.kept) if found.kept else None,
        "program": str(found.program) if found.program else None,
        "calls": found.facts.calls,
        "currencies": list(found.facts.currencies),
        "time_zone": found.facts.time_zone,
        "notes": list(found.facts.notes),
        "tables": {one.name: [_line(line) for line in one.lines] for one in found.proposal.tables},
        "writes": [_line(line) | {"part": part} for part, line in found.proposal.written],
        "further": [line.key for line in found.proposal.further],
        "open": [{"line": number, "text": text} for number, text in found.marked],
        "text": found.text,
    }


def _line(line: Line) -> dict[str, Any]:
    return {"key": line.key, "value": line.value, "sure": line.sure, "why": line.why, "others": list(line.others)}
