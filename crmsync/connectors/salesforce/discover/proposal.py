"""The whole proposal of a field map: every table with its lines, each with a reason, from what was read of an org."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from crmsync.connectors.mapping import CREDIT_COLUMNS, SalesforceMapping, WriteMap
from crmsync.connectors.mapping_writes import children_of
from crmsync.connectors.salesforce.discover import activities, certifications, exceptions
from crmsync.connectors.salesforce.discover.children import Found, find_object
from crmsync.connectors.salesforce.discover.choosing import (
    CHOICES,
    DATES,
    NUMERIC,
    TEXTS,
    YES_NO,
    Line,
    Wanted,
    choose,
)
from crmsync.connectors.salesforce.discover.facts import ACCOUNT, CONTACT, OPPORTUNITY, ObjectFacts, OrgFacts
from crmsync.connectors.salesforce.discover.opportunities import credited_lines, is_junction, opportunity_lines
from crmsync.connectors.salesforce.discover.partner_flag import partner_filter
from crmsync.connectors.salesforce.discover.partners import partner_lines
from crmsync.connectors.salesforce.discover.rates import COLUMNS as RATES
from crmsync.connectors.salesforce.discover.rates import rates_line
from crmsync.connectors.salesforce.discover.written import our_fields, written_lines
from crmsync.tables import ColumnType

ReadByProgram = Mapping[str, Mapping[str, ColumnType | None]]
"""Table -> column -> the type that its use asks for: what a program reads, where one is known."""

_TYPES: Mapping[ColumnType, frozenset[str]] = {
    ColumnType.NUMBER: NUMERIC, ColumnType.MONEY: NUMERIC, ColumnType.MEASURE: NUMERIC, ColumnType.DATE: DATES,
    ColumnType.YES_NO: YES_NO, ColumnType.LIST: CHOICES | TEXTS, ColumnType.TEXT: TEXTS | {"email", "url", "phone"},
}  # fmt: skip
_ANY = frozenset().union(*_TYPES.values())
_NO_ROWS = "the object has no records yet, so nothing was counted"


@dataclass(frozen=True)
class TableProposal:
    """One table. `object`: its line (without a value: the table is not known and left out); `settings`: lines beside
    the columns, such as the filter; `credited`: who is credited with an opportunity."""

    name: str
    object: Line
    columns: tuple[Line, ...] = ()
    settings: tuple[Line, ...] = ()
    credited: tuple[Line, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every line of the table."""
        return (self.object, *self.settings, *self.columns, *self.credited)


@dataclass(frozen=True)
class Proposal:
    """A field map with reasons. `written`: (part of `writes:`, line); `further`: objects that may be tables of their
    own; `default`: where child records go."""

    tables: tuple[TableProposal, ...]
    written: tuple[tuple[str, Line], ...]
    default: WriteMap
    further: tuple[Line, ...] = ()


def propose(org: OrgFacts, default: SalesforceMapping, read: ReadByProgram | None = None) -> Proposal:
    """The field map for an org. `default`: the map that ships, for the names of what is written."""
    writes = default.writes
    assert writes is not None, "the map that ships says what is written"
    account, deals = org.objects[ACCOUNT], org.objects[OPPORTUNITY]
    wanted = read or {}
    ours = our_fields(account, writes)
    certificates = find_object(org, certifications.KIND, _kept(writes))
    taken = (*_kept(writes), *((certificates.facts.name,) if isinstance(certificates, Found) else ()))
    done = find_object(org, activities.KIND, taken)
    tables = [
        TableProposal(
            "partners", _object(account),
            _with_read("partners", tuple(partner_lines(account, ours)), account, wanted, ours),
            (partner_filter(account),),
        ),
        TableProposal(
            "opportunities", _object(deals),
            _with_read("opportunities", tuple(opportunity_lines(deals)), deals, wanted, skip=CREDIT_COLUMNS),
            credited=tuple(credited_lines(org)),
        ),
        _certifications(org, certificates, wanted),
        _activities(org, done, wanted),
        _overrides(org, default, writes),
        _rates(org),
    ]  # fmt: skip
    known = _without_needed(tables)
    fields = frozenset(str(line.value).lower() for line in known[0].columns if line.value is not None)
    return Proposal(tuple(known), tuple(written_lines(writes, account, fields)), writes, tuple(_further(org, known)))


def _kept(writes: WriteMap) -> tuple[str, ...]:
    """Objects that hold our results; they are never read as input."""
    return tuple(child.object.text for _, child in children_of(writes))


def _object(facts: ObjectFacts) -> Line:
    counted = "not counted" if facts.rows is None else f"{facts.rows:,} records"
    return Line("object", facts.name, True, f"standard object, {counted}")


def _certifications(org: OrgFacts, found: Found | Line, wanted: ReadByProgram) -> TableProposal:
    if isinstance(found, Line):
        return _unknown("certifications", found)
    lines = list(certifications.certification_lines(org, found))
    ends = certifications.validity_line(found.facts, lines)
    columns = _with_read("certifications", tuple(lines), found.facts, wanted)
    return TableProposal("certifications", _found(found), columns, (ends,) if ends else ())


def _activities(org: OrgFacts, found: Found | Line, wanted: ReadByProgram) -> TableProposal:
    if isinstance(found, Line):
        return _unknown("activities", found)
    columns = _with_read("activities", tuple(activities.activity_lines(org, found)), found.facts, wanted)
    return TableProposal("activities", _found(found), columns)


def _overrides(org: OrgFacts, default: SalesforceMapping, writes: WriteMap) -> TableProposal:
    found = find_object(org, exceptions.KIND, _kept(writes))
    shipped = default.tables["overrides"]
    if isinstance(found, Line):
        made = Line("object", shipped.object.text, True, f"{found.why}; made by `crmsync deploy`")
        return TableProposal("overrides", made, tuple(exceptions.made_lines(shipped)))
    return TableProposal("overrides", replace(_found(found), sure=True), tuple(exceptions.exception_lines(org, found)))


def _rates(org: OrgFacts) -> TableProposal:
    line = rates_line(org)
    columns = tuple(Line(column, name, True, "standard field") for column, name in RATES.items())
    return TableProposal("rates", line, columns if line.value is not None else ())


def _found(found: Found) -> Line:
    why = found.why if found.facts.rows != 0 else f"{found.why}: {_NO_ROWS}"
    return Line("object", found.facts.name, found.sure, why, () if found.sure else found.others)


def _unknown(table: str, line: Line) -> TableProposal:
    return TableProposal(table, replace(line, key="object"))


def _with_read(
    table: str,
    lines: tuple[Line, ...],
    facts: ObjectFacts,
    wanted: ReadByProgram,
    ours: frozenset[str] = frozenset(),
    skip: tuple[str, ...] = (),
) -> tuple[Line, ...]:
    """What a program reads is looked for too, and what of it is not found is said so."""
    read = wanted.get(table, {})
    told = tuple(
        replace(line, why=f"{line.why}; the program reads it") if line.key in read and line.value is None else line
        for line in lines
    )
    known = {line.key for line in lines}
    more = [
        _further_column(column, kind, facts, ours)
        for column, kind in sorted(read.items(), key=lambda pair: pair[0])
        if column not in known and column not in skip
    ]
    return (*told, *more)


def _further_column(column: str, kind: ColumnType | None, facts: ObjectFacts, ours: frozenset[str]) -> Line:
    wanted = Wanted(column, _TYPES[kind] if kind else _ANY, (column.replace("_", " "),))
    line = choose(wanted, facts, taken=ours)
    return replace(line, why=f"{line.why}; the program reads it", sure=line.sure and line.value is not None)


_NEEDED: Mapping[str, tuple[str, ...]] = {
    "opportunities": ("opportunity_id",),
    "certifications": ("certification_id", "partner_id"),
    "activities": ("activity_id", "partner_id"),
    "overrides": ("partner_id",),
}


def _without_needed(tables: list[TableProposal]) -> list[TableProposal]:
    """A table whose key columns are not known cannot be read; it is left out with its candidates."""
    return [_left_out(table, lacking) if (lacking := _lacking(table)) else table for table in tables]


def _lacking(table: TableProposal) -> list[str]:
    by_key = {line.key: line for line in table.columns}
    lacking = [key for key in _NEEDED.get(table.name, ()) if key in by_key and by_key[key].value is None]
    if table.name == "opportunities" and not any(line.value for line in table.credited):
        lacking.append("who is credited")
    return lacking if table.object.value is not None else []


def _left_out(table: TableProposal, lacking: list[str]) -> TableProposal:
    why = f"{table.object.value} ({table.object.why}) is left out: {', '.join(lacking)} is not known"
    return replace(table, object=replace(table.object, value=None, sure=False, why=why))


def _further(org: OrgFacts, tables: list[TableProposal]) -> Iterator[Line]:
    """Other objects with records that point at accounts, which a program may use as tables of its own."""
    used = {str(table.object.value).lower() for table in tables} | {ACCOUNT, CONTACT, OPPORTUNITY}
    for facts in sorted(org.objects.values(), key=lambda one: one.name):
        below = facts.name.lower().endswith("__c") and any(facts.lookups(ACCOUNT))
        if below and facts.rows and facts.name.lower() not in used and not is_junction(facts):
            why = f"“{facts.described.label}”, {facts.rows:,} records that point at accounts"
            yield Line(facts.name, None, True, why)
