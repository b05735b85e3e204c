"""The proposal as YAML: a reason beside every line, `# ?` where people must look, what is unknown commented out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from crmsync.connectors.mapping import ChildMap
from crmsync.connectors.mapping_records import RecordMap
from crmsync.connectors.mapping_writes import children_of
from crmsync.connectors.salesforce.discover.choosing import Line
from crmsync.connectors.salesforce.discover.facts import OrgFacts
from crmsync.connectors.salesforce.discover.proposal import Proposal, TableProposal

WIDTH = 46
"""Column at which the reasons begin, where a line is shorter."""
MARK = "# ?"
"""Stands on every line that people must look at."""
_PLAIN = re.compile(r"[A-Za-z][\w. ]*")
_SPOTS = {"standings": "one record per partner and category", "history": "one record per change of a granted tier"}


def drawn(proposal: Proposal, org: OrgFacts) -> str:
    """The text of `connectors/salesforce.yaml`."""
    zone = "time_zone: org"
    lines = [zone + _beside(zone, f"{org.time_zone} now"), "", "tables:"]
    for table in proposal.tables:
        lines += [*_table(table), ""]
    lines += [*_further(proposal), *_writes(proposal)]
    questions = sum(MARK in line for line in lines)
    return "\n".join(_single_blank([*_heading(questions, org), "", *lines])) + "\n"


def _heading(questions: int, org: OrgFacts) -> Iterator[str]:
    yield "# How this Salesforce org stores the partner program, as `crmsync discover` proposes it."
    yield "#"
    if questions:
        yield f"# {questions} lines are marked `# ?`: look at them, correct them, and take the mark away."
        yield "# What could not be known is commented out. Next: crmsync check"
    else:
        yield "# No line is marked `# ?`. Next: crmsync check"
    yield from (f"# Not read: {comment(note)}" for note in org.notes)


def _table(table: TableProposal) -> Iterator[str]:
    if table.object.value is None:
        yield _comment(f"  # ? {table.name}:", table.object)
        yield from (f"  #     {line.key}: {line.value}" for line in table.columns if line.value is not None)
        for line in table.credited:
            yield _comment(f"  #   {'' if line.sure else '? '}{line.key}:", line)
        return
    yield f"  {table.name}:"
    yield _line("    ", table.object)
    for line in table.settings:
        yield _line("    ", line)
    yield "    columns:"
    yield from (_line("      ", line) for line in table.columns)
    yield from _credited(table)


def _credited(table: TableProposal) -> Iterator[str]:
    """Who is credited."""
    if not table.credited:
        return
    yield "    partners:"
    for line in table.credited:
        if line.value is None:
            yield _comment(f"      # {'' if line.sure else '? '}{line.key}:", line)
        else:
            yield _with_reason(f"      - {line.value}", line)


def _line(indent: str, line: Line) -> str:
    if line.value is None:
        return _comment(f"{indent}# {'' if line.sure else '? '}{line.key}:", line)
    return _with_reason(f"{indent}{line.key}: {_scalar(line.value)}", line)


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _with_reason(text: str, line: Line) -> str:
    mark = "" if line.sure else "? "
    return text + _beside(text, f"{mark}{line.why}{_others(line)}")


def _comment(text: str, line: Line) -> str:
    return f"{text} {comment(line.why)}{comment(_others(line))}"


def _others(line: Line) -> str:
    return f"; or: {', '.join(line.others)}" if line.others else ""


def _beside(text: str, why: str) -> str:
    return f"{' ' * max(WIDTH - len(text), 2)}# {comment(why)}"


def comment(text: str) -> str:
    """A text of the org as part of a comment: one line of signs that show."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _further(proposal: Proposal) -> Iterator[str]:
    if not proposal.further:
        return
    yield "  # Further objects that point at accounts; one becomes a table with partner_id and happened_on:"
    yield from (f"  #   {line.key}: {comment(line.why)}" for line in proposal.further)
    yield ""


def _writes(proposal: Proposal) -> Iterator[str]:
    default = proposal.default
    yield "writes:"
    yield f"  object: {default.object.text}"
    part_before = ""
    for part, line in proposal.written:
        if part != part_before:
            yield f"  {part}:"
            part_before = part
        yield _line("    " if part else "  ", line)
    for name, child in children_of(default):
        yield ""
        yield f"  {name}:" + _beside(f"  {name}:", f"{_SPOTS[name]}; made by `crmsync deploy`")
        yield from _child(child)
    if default.plan_record is not None:
        yield ""
        said = "a blocked plan waits here for sales operations to decide; made by `crmsync deploy`"
        yield "  plan_record:" + _beside("  plan_record:", said)
        yield from _plan_record(default.plan_record)


def _plan_record(plan: RecordMap) -> Iterator[str]:
    yield f"    object: {plan.object.text}"
    yield f"    key: {plan.key.text}"
    yield "    fields:"
    yield from (f"      {key}: {place.text}" for key, place in plan.fields.items())


def _child(child: ChildMap) -> Iterator[str]:
    yield f"    object: {child.object.text}"
    yield f"    partner: {child.partner.text}"
    yield f"    key: {child.key.text}"
    yield "    fields:"
    yield from (f"      {key}: {place.text}" for key, place in child.fields.items())


def _single_blank(lines: Iterable[str]) -> Iterator[str]:
    before = "."
    for line in lines:
        if line or before:
            yield line
        before = line
