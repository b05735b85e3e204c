"""Checking: whether a run could succeed, and what may not be meant. Reads only; every finding has a way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crmsync.belt import FIELD_MAP, FILES_MAP, Files, program_of, programs_of, read_files
from crmsync.configuration import Configuration, config_folder, load_configuration
from crmsync.connectors.files import read_files_mapping
from crmsync.connectors.mapping import SalesforceMapping, read_mapping
from crmsync.connectors.salesforce.checks.findings import Finding, Severity, cannot, look, told
from crmsync.deploying import dictionary_for
from crmsync.discovering import salesforce_of
from crmsync.errors import AccessError, ConfigError
from crmsync.exits import DONE, USAGE
from crmsync.logs import configure_logs
from crmsync.programs.lint import Delivered
from crmsync.programs.lint_tables import beside_tables
from crmsync.programs.program import Program
from crmsync.settings import SalesforceSettings, Settings, exposed_files, load_settings
from crmsync.tables import CANONICAL, ColumnType

if TYPE_CHECKING:
    from crmsync.connectors.salesforce.checks.cost import Cost
    from crmsync.connectors.salesforce.checks.identity import Identity
    from crmsync.connectors.salesforce.checks.reads import TableCheck
    from crmsync.connectors.salesforce.describe import Describe
    from crmsync.connectors.salesforce.org import Org

_STOPS = frozenset({"unknown-column"})
_TEXTS = frozenset({"unknown-text", "declared"})
_WAY = "correct the file"


@dataclass(frozen=True)
class Seen:
    """What this login may do with one object. `fields`: that the field map reads and it sees; `missing`: and does not;
    `rows`: records that would be read, None where they were not counted."""

    name: str
    rows: int | None
    read: bool
    edit: bool
    create: bool
    fields: int
    missing: int


@dataclass
class Checked:
    """What a check found. `identity`: None where the org was not reached; `calls`: what the check itself cost."""

    folder: Path
    asked: Path | None = None  # what `--config` named
    findings: list[Finding] = field(default_factory=list)
    identity: Identity | None = None
    objects: list[Seen] = field(default_factory=list)
    cost: Cost | None = None
    program: str = ""
    calls: int = 0

    @property
    def exit_code(self) -> int:
        """4 when a run could not succeed, else 0."""
        return USAGE if any(one.severity is Severity.CANNOT for one in self.findings) else DONE

    def add(self, findings: Iterator[Finding] | Sequence[Finding]) -> None:
        """Keep findings, each place and text once."""
        known = {(one.about, one.what, one.line) for one in self.findings}
        self.findings += [one for one in findings if (one.about, one.what, one.line) not in known]


@dataclass(frozen=True)
class _Read:
    """What could be read of the configuration; None: it is wrong, and told so."""

    settings: Settings
    configuration: Configuration
    mapping: SalesforceMapping | None
    programs: list[Program] | None
    files: Files | None


def check(config: Path | None) -> Checked:
    """Everything that can be told before a run. Errors: Retriable, Deferred, DataError of the org's own."""
    checked = Checked(config or Path(), config)
    try:
        settings = load_settings(config)
        configure_logs(settings.log_level, settings.secrets())
        checked.folder = config_folder(settings.config_dir)
        configuration = load_configuration(checked.folder)
    except ConfigError as error:
        checked.add([_wrong("configuration", error)])
        return checked
    checked.add(_exposed(settings))
    read = _read(checked, settings, configuration)
    checked.add(_files(configuration))
    checked.add(_notices(read))
    if read.configuration.org == "files":
        checked.add([told("org", "`org: files` has no Salesforce org to look at")])
        return checked
    try:
        with salesforce_of(configuration, settings) as salesforce:
            _org(checked, read, salesforce)
    except AccessError as error:
        way = "set the login as docs/setup.md says, or give its user the permission"
        checked.add([cannot("login", str(error), way)])
    return checked


def _wrong(about: str, error: ConfigError, way: str = _WAY) -> Finding:
    return cannot(about, error.message, way, error.file, error.line)


def _exposed(settings: Settings) -> Iterator[Finding]:
    for variable, path in exposed_files(settings):
        yield look(variable, f"{path} may be read by others on this machine", f"chmod 600 {path}")


def _files(configuration: Configuration) -> Iterator[Finding]:
    """Tables from files whose file is not there. An export may come later, so it is no fault of the configuration."""
    path = configuration.folder / FILES_MAP
    try:
        mapping = read_files_mapping(path)
    except ConfigError as error:
        yield _wrong("files map", error)
        return
    for name, source in configuration.tables.items():
        folder = source.folder or configuration.files_folder
        if source.connector != "files" or folder is None:
            continue
        names = [mapping.of(name).file] if mapping.of(name).file else [f"{name}.csv", f"{name}.parquet"]
        if not any((folder / str(one)).exists() for one in names):
            what = f"{' or '.join(map(str, names))} is not in {folder}; the table is empty"
            yield look(f"table {name}", what, "put the file there", str(configuration.file), source.line)


def _notices(read: _Read) -> Iterator[Finding]:
    """Texts, places and columns of who is told, where notices are on."""
    rules = read.configuration.notices
    if rules is None:
        return
    from crmsync.notices.people import check_columns
    from crmsync.telling import open_rules

    partners = read.mapping.tables.get("partners") if read.mapping is not None else None
    try:
        open_rules(rules, read.settings, read.files.fields if read.files is not None else None)
        if partners is not None and read.configuration.tables["partners"].connector == "salesforce":
            check_columns(rules, tuple(partners.columns))
    except ConfigError as error:
        yield _wrong("notices", error)


def _read(checked: Checked, settings: Settings, configuration: Configuration) -> _Read:
    """The field map and the program, each with its first fault; then both together."""
    mapping, programs, files = None, None, None
    before = len(checked.findings)
    if configuration.org != "files":
        try:
            mapping = read_mapping(configuration.folder / FIELD_MAP)
        except ConfigError as error:
            checked.add([_wrong("field map", error)])
    try:
        programs = programs_of(configuration)
        checked.program = program_of(configuration).label
    except ConfigError as error:
        checked.add([_wrong("program", error)])
    if len(checked.findings) == before:
        try:
            files = read_files(settings.config_dir)
        except ConfigError as error:
            way = "make the files agree: map what is asked for, or take its line out"
            checked.add([_wrong("configuration", error, way)])
    return _Read(settings, configuration, mapping, programs, files)


# --- the org


def _org(checked: Checked, read: _Read, salesforce: SalesforceSettings) -> None:
    from crmsync.connectors.salesforce.checks.identity import clock_findings, identify, zone_findings
    from crmsync.connectors.salesforce.checks.rights import rights_findings
    from crmsync.connectors.salesforce.describe import Describe
    from crmsync.connectors.salesforce.org import Org

    org = Org(salesforce)
    describe = Describe(org)
    try:
        checked.identity = identify(org, describe)
        checked.add(clock_findings(checked.identity, salesforce))
        checked.add(rights_findings(org, describe))
        if read.mapping is not None:
            zone, map_zone = read.configuration.time_zone, read.mapping.time_zone
            checked.add(zone_findings(checked.identity, zone, map_zone, str(read.configuration.file)))
            _mapped(checked, read, org, describe, read.mapping)
    finally:
        checked.calls = org.session.usage.calls


def _mapped(checked: Checked, read: _Read, org: Org, describe: Describe, mapping: SalesforceMapping) -> None:
    from crmsync.connectors.salesforce.checks.reads import check_table

    made = _made(mapping)
    names = [
        name
        for name, one in read.configuration.tables.items()
        if one.connector == "salesforce" and name in mapping.tables
    ]
    tables = [check_table(mapping, name, describe, made) for name in names]
    for one in tables:
        checked.add(one.findings)
    if read.files is not None and read.configuration.write_to == "salesforce":
        _written(checked, read.files, org, describe, mapping)
    if read.programs is not None:
        checked.add(_program(read, tables, mapping))
        _money(checked, read, org, describe, mapping)
    _costs(checked, org, describe, mapping, tables)


def _made(mapping: SalesforceMapping) -> tuple[str, ...]:
    """Objects that a deploy makes: those of exceptions, in small letters."""
    table = mapping.tables.get("overrides")
    return (table.object.text.lower(),) if table is not None and table.object.text.lower().endswith("__c") else ()


def _written(checked: Checked, files: Files, org: Org, describe: Describe, mapping: SalesforceMapping) -> None:
    from crmsync.connectors.salesforce.checks.rules import record_type_findings, validation_findings
    from crmsync.connectors.salesforce.checks.sinks import sink_findings
    from crmsync.connectors.salesforce.checks.writes import check_writes, written_objects
    from crmsync.connectors.salesforce.metadata.needs import needs_of

    try:
        dictionary = dictionary_for(files, None)
        checked.add(check_writes(mapping, dictionary, describe))
        needs = needs_of(mapping, dictionary)
        checked.add(record_type_findings(org, mapping, needs, describe))
        checked.add(sink_findings(mapping, needs, dictionary, describe, org))
    except ConfigError as error:
        checked.add([_wrong("writes", error)])
    checked.add(validation_findings(org, written_objects(mapping)))


def _program(read: _Read, tables: Sequence[TableCheck], mapping: SalesforceMapping) -> Iterator[Finding]:
    """The program beside the columns that it would get, and its texts beside the values of the picklists."""
    from crmsync.connectors.salesforce.checks.reads import texts_of

    columns = _columns(read, tables, mapping)
    programs = read.programs or []
    if all(one.plan is not None or not one.findings for one in tables):  # else types are not known, and are no fault
        try:
            programs = programs_of(read.configuration, columns)
        except ConfigError as error:
            yield _wrong("program", error)
    for program in programs:
        for one in beside_tables(program, Delivered(columns, texts_of(tables))):
            kind = cannot if one.kind in _STOPS else look
            way = (
                "correct the text of the program"
                if one.kind in _TEXTS
                else "map it in the field map, or change the program"
            )
            yield kind(f"program {program.key}", one.message, way, one.file, one.line)


def _columns(
    read: _Read, tables: Sequence[TableCheck], mapping: SalesforceMapping
) -> dict[str, Mapping[str, ColumnType]]:
    """What each table has; where the org does not tell, or files hold it, what the field map and the language say."""
    found: dict[str, Mapping[str, ColumnType]] = {}
    for one in tables:
        found[one.name] = one.columns or {
            name: _canonical(one.name).get(name, ColumnType.TEXT) for name in mapping.tables[one.name].columns
        }
    for name, source in read.configuration.tables.items():
        if source.connector == "files":
            found[name] = _canonical(name)
    return found


def _canonical(table: str) -> Mapping[str, ColumnType]:
    return CANONICAL[table].columns if table in CANONICAL else {}


def _money(checked: Checked, read: _Read, org: Org, describe: Describe, mapping: SalesforceMapping) -> None:
    from crmsync.connectors.salesforce.checks.money import currencies_of, money_findings

    source = read.configuration.tables.get("rates")
    from_crm = source is not None and source.connector == "salesforce"
    found = currencies_of(org, describe)
    for program in read.programs or ():
        checked.add(money_findings(found, program.currency, str(program.rates or "") == "crm", mapping, from_crm))


def _costs(
    checked: Checked, org: Org, describe: Describe, mapping: SalesforceMapping, tables: Sequence[TableCheck]
) -> None:
    from crmsync.connectors.mapping_writes import children_of
    from crmsync.connectors.salesforce.checks.cost import allowance_findings, estimate
    from crmsync.connectors.salesforce.connector import BULK_FROM
    from crmsync.connectors.salesforce.together import ask_together

    plans = {one.name: one.plan for one in tables if one.plan is not None}
    answers = ask_together(org, [plan.count_soql for plan in plans.values()])
    rows = {name: one.total for name, one in zip(plans, answers, strict=True)}
    counted = {name: total for name, total in rows.items() if total is not None}
    children = sum(1 for _ in children_of(mapping.writes)) if mapping.writes is not None else 0
    checked.cost = estimate(counted, describe.looked_at, BULK_FROM, children)
    checked.add(allowance_findings(checked.cost, checked.identity.allowance if checked.identity else None))
    checked.add(_empty(rows, mapping))
    checked.objects = list(_seen(describe, mapping, tables, rows))


def _empty(rows: Mapping[str, int | None], mapping: SalesforceMapping) -> Iterator[Finding]:
    table = mapping.tables.get("partners")
    if table is not None and rows.get("partners") == 0:
        what = "no record is a partner: the filter finds none, or this login sees none"
        way = "correct `filter:`, or let the login see all records (View All)"
        yield cannot(table.object.text, what, way, mapping.file, (table.filter or table.object).line)


def _seen(
    describe: Describe, mapping: SalesforceMapping, tables: Sequence[TableCheck], rows: Mapping[str, int | None]
) -> Iterator[Seen]:
    from crmsync.connectors.salesforce.checks.writes import written_objects

    names: dict[str, TableCheck | None] = {
        mapping.tables[one.name].object.text: one for one in tables if one.plan is not None or one.findings
    }
    for name in written_objects(mapping):
        names.setdefault(name, None)
    for name, one in names.items():
        sobject = describe.find(name)
        yield Seen(
            name, rows.get(one.name) if one else None, sobject is not None,
            sobject is not None and sobject.updateable, sobject is not None and sobject.createable,
            one.seen if one else 0, one.missing if one else 0,
        )  # fmt: skip
