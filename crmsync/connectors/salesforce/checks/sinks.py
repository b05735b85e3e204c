"""What the optional sinks need: their objects, the right to write them, and levels for the tiers of the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crmsync.connectors.base_needs import Dictionary
from crmsync.connectors.mapping import SalesforceMapping
from crmsync.connectors.mapping_sinks import MemberMap
from crmsync.connectors.salesforce.checks.findings import Finding, cannot, look, told
from crmsync.connectors.salesforce.checks.writes import EDIT
from crmsync.connectors.salesforce.describe import Describe, SObject
from crmsync.connectors.salesforce.metadata.needs import Needs, SinkNeed
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.soql import quoted
from crmsync.connectors.salesforce.together import ask_together
from crmsync.errors import AccessError

_LEAVE = "take the sink out of the field map, or let this login see it"
_CHANNEL = "switch channel programs on in Setup (they come with a licence for partners), or take the sink out"


def sink_findings(
    mapping: SalesforceMapping, needs: Needs, dictionary: Dictionary, describe: Describe, org: Org
) -> Iterator[Finding]:
    """Every finding about what is written only when the field map asks for it."""
    made = {(need.records.lower(), need.name.lower()) for need in needs.fields}
    for need in needs.sinks:
        sobject = describe.find(need.object)
        if sobject is None:
            way = _CHANNEL if need.object.startswith("ChannelProgram") else _LEAVE
            what = "the object does not exist, or is hidden from this login"
            yield cannot(need.object, what, way, mapping.file, need.line)
        else:
            yield from _object(need, sobject, made, describe, mapping.file)
    members = mapping.writes.sinks.members if mapping.writes is not None else None
    if members is not None and all(describe.find(each.object.text) for each in (members.child, members.rungs)):
        yield from _levels(members, dictionary, org, mapping.file)


def _object(
    need: SinkNeed, sobject: SObject, made: set[tuple[str, str]], describe: Describe, file: str
) -> Iterator[Finding]:
    if need.made and not sobject.createable:
        yield cannot(sobject.name, "this login may not create records", EDIT, file, need.line)
    if need.written and not sobject.updateable:
        yield cannot(sobject.name, "records cannot be edited by this login", EDIT, file, need.line)
    for path in dict.fromkeys((*need.read, *need.written)):
        if (sobject.name.lower(), path.lower()) in made:
            continue  # custom fields are told with those that a deploy makes
        try:
            field = describe.resolve(sobject.name, path).field
        except AccessError as error:
            yield cannot(f"{sobject.name}.{path}", str(error), _LEAVE, file, need.line)
            continue
        if path in need.written and not (field.updateable or (need.made and field.createable)):
            yield cannot(f"{sobject.name}.{path}", "this login may not edit the field", EDIT, file, need.line)


def _levels(members: MemberMap, dictionary: Dictionary, org: Org, file: str) -> Iterator[Finding]:
    """The channel program by its name, and the levels that tiers go to."""
    about, line = f"channel program {members.program.text}", members.program.line
    name = quoted(members.program.text)
    programs, rungs, belong = ask_together(
        org,
        [
            f"SELECT Id FROM ChannelProgram WHERE Name = {name}",
            f"SELECT Name FROM ChannelProgramLevel WHERE Program.Name = {name}",
            f"SELECT COUNT() FROM ChannelProgramMember WHERE Program.Name = {name}",
        ],
    )
    if programs.page is None or rungs.page is None:
        yield told(about, f"not readable by this login ({programs.code or rungs.code}); its levels were not compared")
        return
    if not programs.records:
        way = "write its name as Salesforce shows it, or make it there"
        yield cannot(about, "the org has no channel program of this name", way, file, line)
        return
    if len(programs.records) > 1:
        yield look(about, f"{len(programs.records)} channel programs have this name; all are written", "", file, line)
    levels = {str(one.get("Name")).casefold(): str(one.get("Name")) for one in rungs.records}
    yield from _tiers(members, dictionary, levels, file)
    if belong.total == 0:
        what = "has no members; crmsync writes the level of those that are there and makes none"
        yield look(about, what, "add the partners as members in Salesforce", file, line)


def _tiers(members: MemberMap, dictionary: Dictionary, levels: Mapping[str, str], file: str) -> Iterator[Finding]:
    about, known = f"channel program {members.program.text}", ", ".join(levels.values()) or "none"
    tiers = [choice.value for choice in dictionary.account["granted_tier"].choices]
    for label, level in members.levels.items():
        if label not in tiers:
            what = f"`levels:` names the tier `{label}`; the program has {', '.join(tiers)}"
            yield cannot(about, what, "write the label of a tier", file, level.line)
    for tier in tiers:
        place = members.levels.get(tier)
        wanted = tier if place is None else place.text
        if wanted and wanted.casefold() not in levels:
            line = members.program.line if place is None else place.line
            what = f"has no level `{wanted}` for the tier {tier}; its levels are: {known}"
            way = f"add the level in Salesforce, or name another one: `levels: {{{tier}: …}}`"
            # a ladder of a category that is not meant needs no level
            yield (look if members.category is not None else cannot)(about, what, way, file, line)
