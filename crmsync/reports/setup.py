"""What setting up prints: what discovery found, what a check says, what `init` wrote and what comes next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crmsync.configuration import FILE
from crmsync.logs import safe_text
from crmsync.reports.text import command, json_text, table

if TYPE_CHECKING:
    from crmsync.checking import Checked, Seen
    from crmsync.connectors.salesforce.checks.findings import Finding
    from crmsync.connectors.salesforce.discover.choosing import Line
    from crmsync.discovering import Discovery
    from crmsync.setting_up import SetUp

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
    folder = found.file.parent.parent if found.file else Path()
    own = folder if (folder / FILE).is_file() else None
    yield f"next: look at the marked lines, then {command('check', config=own)}"


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


# --- check

HEADINGS = {"cannot": "a run could not succeed", "look": "look at", "told": "worth knowing"}


def check_report(found: Checked, as_json: bool) -> str:
    """The login, what it may do, what a run costs, and every finding with its way out."""
    if as_json:
        return json_text(_check_json(found))
    return "\n".join(safe_text(line) for line in _check(found)).rstrip()


def _check(found: Checked) -> Iterator[str]:
    yield from _login(found)
    if found.objects:
        headings = ("object", "records", "read", "edit", "create", "fields", "not seen")
        yield from table(headings, [_object(one) for one in found.objects])
        yield ""
    if found.cost is not None:
        left = found.identity.allowance if found.identity else None
        allowed = f"; {left[1]:,} of {left[0]:,} calls are left today" if left else ""
        first = found.cost.first
        still = f"{found.cost.still:,} to read all"
        yield f"API calls of a run, about: {still}, {first:,} when it writes every partner{allowed}"
        yield ""
    for severity, heading in HEADINGS.items():
        chosen = [one for one in found.findings if one.severity.value == severity]
        if chosen:
            yield f"{heading}:"
            for alike in _alike(chosen):
                yield from _findings(alike)
            yield ""
    yield _verdict(found)


def _login(found: Checked) -> Iterator[str]:
    one = found.identity
    if one is None:
        return
    named = f" ({one.name})" if one.name else ""
    yield f"org {one.org}{named} at {one.address}: {one.kind}"
    user = f" as {one.user}" if one.user else ""
    yield f"login: {one.login}{user}, API {one.version}, time zone {one.time_zone or 'not told'}"
    yield ""


def _object(one: Seen) -> tuple[object, ...]:
    words = {True: "yes", False: "no"}
    rows: object = "" if one.rows is None else one.rows
    return (one.name, rows, words[one.read], words[one.edit], words[one.create], one.fields, one.missing)


def _alike(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Findings that say the same of several places, together; in the order of the first of each."""
    found: dict[tuple[str, str, str | None], list[Finding]] = {}
    for one in findings:
        found.setdefault((one.what, one.way_out, one.file), []).append(one)
    yield from found.values()


def _findings(alike: Sequence[Finding]) -> Iterator[str]:
    one = alike[0]
    if len(alike) == 1:
        where = f"{one.file}:{one.line}: " if one.file and one.line else f"{one.file}: " if one.file else ""
        yield f"  {where}{one.about}: {one.what}"
    else:
        yield f"  {one.file or 'several'}: {one.what}:"
        named = ", ".join(f"{each.about}:{each.line}" if each.line else each.about for each in alike)
        yield from textwrap.wrap(
            named, 110, initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False
        )
    if one.way_out:
        yield f"      way out: {one.way_out}"


def _verdict(found: Checked) -> str:
    count = sum(one.severity.value == "cannot" for one in found.findings)
    if count:
        found_all = "1 finding stops" if count == 1 else f"{count} findings stop"
        return f"{found_all} a run; mend them, then {command('check', config=found.asked)}"
    return f"a run can succeed; next: {command('plan', '--shadow', config=found.asked)}"


def _check_json(found: Checked) -> dict[str, Any]:
    one, cost = found.identity, found.cost
    return {
        "exit_code": found.exit_code,
        "config": str(found.folder),
        "program": found.program,
        "org": None if one is None else {
            "id": one.org, "name": one.name, "kind": one.kind, "address": one.address, "api_version": one.version,
            "login": one.login, "user": one.user, "time_zone": one.time_zone, "clock_skew_s": one.skew_s,
        },
        "allowance": None if one is None or one.allowance is None else {
            "max": one.allowance[0], "remaining": one.allowance[1],
        },
        "cost": None if cost is None else {
            "read_calls": cost.still, "first_run_calls": cost.first, "rows": dict(cost.rows),
        },
        "objects": [vars(each) for each in found.objects],
        "findings": [vars(each) | {"severity": each.severity.value} for each in found.findings],
        "calls": found.calls,
    }  # fmt: skip


# --- init


def set_up_report(done: SetUp, as_json: bool) -> str:
    """What was written and what comes next."""
    if as_json:
        return json_text(
            {
                "written": [str(path) for path in done.written],
                "org": done.answers.org,
                "template": done.answers.template,
                "discovered": done.discovery is not None,
                "unanswered": done.unanswered,
                "open": len(done.discovery.marked) if done.discovery else None,
                "exposed": [str(path) for _, path in done.exposed],
            }
        )
    return "\n".join(safe_text(line) for line in _set_up(done))


def _set_up(done: SetUp) -> Iterator[str]:
    yield from (f"written: {path}" for path in done.written)
    if done.discovery is not None:
        count = len(done.discovery.marked)
        yield f"org {done.discovery.org} was read: {count} lines of its field map are marked `# ?`; look at them"
    if done.unanswered:
        yield done.unanswered
    yield from (f"{variable}: {path} may be read by others: chmod 600 {path}" for variable, path in done.exposed)
    yield ""
    yield f"next: {_after(done)}"


def _after(done: SetUp) -> str:
    if done.answers.org == "files":
        return f"put one CSV per table into {done.folder / 'data'}, then {command('plan', config=done.folder)}"
    if done.answers.org == "salesforce" and done.discovery is None:
        return command("discover", "--to", str(done.folder), config=done.folder)
    return command("check", config=done.folder)
