"""What a run works with: configuration, ledger, the connectors that are open, and today.

Everything that can be wrong in a file is found before anything is opened or made.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from crmsync.configuration import FILE, Configuration, TableSource, config_folder, load_configuration
from crmsync.connectors.base import Progress, Source
from crmsync.connectors.catalogue import OPENERS, Connector
from crmsync.connectors.files import FilesConnector, FilesMapping, read_files_mapping
from crmsync.connectors.files_writeback import BESIDE, KEY, PARTNER
from crmsync.connectors.mapping import MANAGED, SalesforceMapping, WriteMap, read_mapping
from crmsync.connectors.mapping_sinks import ChildMap, SinkMap
from crmsync.connectors.mapping_writes import HISTORY, STANDING, children_of
from crmsync.errors import ConfigError, CrmsyncError
from crmsync.ledger.accepted import newest_standings
from crmsync.ledger.ledger import Ledger
from crmsync.logs import configure_logs
from crmsync.offline import only_program
from crmsync.programs.loading import load_programs, money_columns
from crmsync.programs.program import Program
from crmsync.progress import progress_bars
from crmsync.settings import SalesforceSettings, Settings, load_settings, secrets_of
from crmsync.state import open_ledger
from crmsync.telling_opened import tell_unreached
from crmsync.writeback.fields import FieldMap, Sink

FIELD_MAP = Path("connectors/salesforce.yaml")
FILES_MAP = Path("connectors/files.yaml")


@dataclass(frozen=True)
class Calls:
    """API calls of this process. `allowance`: what the org says of its day, used and maximum; `counted`: reads and
    writes by the embedded org's own count."""

    read: int = 0
    write: int = 0
    allowance: tuple[int, int] | None = None
    counted: tuple[int, int] | None = None


@dataclass(frozen=True)
class Belt:
    """One opened belt. `calls` counts the API calls so far; `today` is the org's or the calendar's day."""

    settings: Settings
    configuration: Configuration
    config_digest: str
    mapping: SalesforceMapping | None
    fields: FieldMap
    ledger: Ledger
    target: Connector
    source: Callable[[TableSource], Source]
    calls: Callable[[], Calls]
    today: date
    progress: Progress

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.settings.state_dir


@dataclass(frozen=True)
class Files:
    """Everything that was read from configuration files before anything was opened."""

    settings: Settings
    configuration: Configuration
    digest: str
    text: str
    mapping: SalesforceMapping | None
    files_mapping: FilesMapping
    money: frozenset[tuple[str, str]]
    fields: FieldMap


def read_files(config: Path | None) -> Files:
    """The settings and configuration files, checked together with the program. Errors: ConfigError."""
    settings = load_settings(config)
    configure_logs(_level(settings), settings.secrets())
    configuration = load_configuration(config_folder(settings.config_dir))
    mapping = _field_map(configuration)
    fields = _fields(configuration, mapping)
    check_starts_from(program_of(configuration), configuration, mapping)
    digest, text = _digest(configuration.folder)
    return Files(
        settings,
        configuration,
        digest,
        text,
        mapping,
        _files_map(configuration),
        money_columns(configuration.program),
        fields,
    )


def program_of(
    configuration: Configuration,
    columns: Mapping[str, Mapping[str, object]] | None = None,
    as_of: date | None = None,
) -> Program:
    """The program that the configuration names, in its version of that day (None: the last).

    `columns`: what the tables really hold, where that is known.
    """
    return only_program(configuration.program, programs_of(configuration, columns), as_of)


def programs_of(
    configuration: Configuration, columns: Mapping[str, Mapping[str, object]] | None = None
) -> list[Program]:
    """The program that the configuration names in all its versions, and those that it reads."""
    return load_programs(configuration.program, columns=columns)  # type: ignore[arg-type]


@contextlib.contextmanager
def opened(config: Path | None) -> Iterator[Belt]:
    """A belt with its org reached and its ledger locked; closed at the end of the block."""
    files = read_files(config)
    with open_ledger(files.settings) as ledger, opened_on(files, ledger) as belt:
        yield belt


@contextlib.contextmanager
def opened_on(files: Files, ledger: Ledger) -> Iterator[Belt]:
    """The same over a ledger that is locked already, and stays so."""
    ledger.record_config(files.digest, files.text)
    with reached_org(files) as org, progress_bars() as progress:
        try:
            belt = _belt(files, ledger, org, progress)
        except CrmsyncError as error:
            tell_unreached(ledger, files.configuration, files.settings, error)
            raise
        yield belt


@dataclass(frozen=True)
class ReachedOrg:
    """How the org is reached. `today`, `counted`, `username`: the day, the count of calls and the user of an embedded
    one."""

    settings: SalesforceSettings
    today: date | None = None
    counted: Callable[[], tuple[int, int]] | None = None
    username: str | None = None


@contextlib.contextmanager
def reached_org(files: Files) -> Iterator[ReachedOrg]:
    """The Salesforce org of the run: the configured one, or the embedded one for as long as the block lasts."""
    if files.configuration.org != "sandbox":
        yield ReachedOrg(files.settings.salesforce)
        return
    from crmsync.embedded import embedded_org

    with embedded_org(files.configuration, files.settings) as org:
        configure_logs(_level(files.settings), [*files.settings.secrets(), *secrets_of(org.settings)])
        yield ReachedOrg(org.settings, org.today, org.counted, org.username)


def _belt(files: Files, ledger: Ledger, org: ReachedOrg, progress: Progress) -> Belt:
    configuration = files.configuration
    salesforce = _salesforce(files, org)
    target = salesforce if configuration.write_to == "salesforce" else _files(files, configuration.files_folder)
    assert target is not None, "configuration.py refuses an org of files that writes to Salesforce"
    ledger.bind_org(target.identity())

    def source(table: TableSource) -> Source:
        if table.connector == "files":
            return _files(files, table.folder or configuration.files_folder)
        assert salesforce is not None, "configuration.py refuses tables of Salesforce in an org of files"
        return salesforce

    return Belt(
        settings=files.settings,
        configuration=configuration,
        config_digest=files.digest,
        mapping=files.mapping,
        fields=files.fields,
        ledger=ledger,
        target=target,
        source=source,
        calls=lambda: _calls(salesforce, org),
        today=_today(files, ledger, org),
        progress=progress,
    )


def _today(files: Files, ledger: Ledger, org: ReachedOrg) -> date:
    """Today in the configured zone; with the embedded org its own day, or the newest that was rehearsed on it."""
    if org.today is None:
        return datetime.now(files.configuration.zone).date()
    newest = newest_standings(ledger)
    return max(org.today, newest.as_of) if newest else org.today


@runtime_checkable
class Metered(Protocol):
    """A connector that knows what it cost."""

    @property
    def calls_used(self) -> int:
        """Calls so far."""
        ...

    @property
    def writes_used(self) -> int:
        """Those of them that write."""
        ...

    @property
    def api_usage(self) -> tuple[int, int] | None:
        """What the org says about its daily allowance: used and maximum."""
        ...


def _calls(connector: Connector | None, org: ReachedOrg) -> Calls:
    if not isinstance(connector, Metered):
        return Calls()
    writes = connector.writes_used
    counted = org.counted() if org.counted else None
    return Calls(connector.calls_used - writes, writes, connector.api_usage, counted)


def _salesforce(files: Files, org: ReachedOrg) -> Connector | None:
    if files.configuration.org == "files":
        return None
    settings = files.settings.model_copy(update={"salesforce": org.settings})
    return OPENERS["salesforce"](settings, files.configuration.folder)


def _files(files: Files, folder: Path | None) -> FilesConnector:
    assert folder is not None, "configuration.py refuses tables of files without a folder"
    return FilesConnector(folder, files.files_mapping, files.money)


def _files_map(configuration: Configuration) -> FilesMapping:
    path = configuration.folder / FILES_MAP
    return read_files_mapping(path) if path.is_file() else FilesMapping()


def _field_map(configuration: Configuration) -> SalesforceMapping | None:
    if configuration.org == "files":
        return None
    mapping = read_mapping(configuration.folder / FIELD_MAP)
    for table in configuration.tables.values():
        if table.connector == "salesforce" and table.table not in mapping.tables:
            known = ", ".join(sorted(mapping.tables))
            raise ConfigError(
                f"table {table.table} comes from salesforce, but {mapping.file} maps only {known}",
                file=str(configuration.file), line=table.line,
            )  # fmt: skip
    return mapping


def _fields(configuration: Configuration, mapping: SalesforceMapping | None) -> FieldMap:
    if configuration.write_to == "files":
        return FieldMap("partners", MappingProxyType({name: name for name in MANAGED}), None, tuple(_file_sinks()))
    if mapping is None or mapping.writes is None:
        raise ConfigError(
            "`writes:` is missing; it says onto which fields tiers go", file=str(configuration.folder / FIELD_MAP)
        )
    writes = mapping.writes
    fields = {name: place.text for name, place in writes.fields.items()}
    fields |= {f"partner_safe.{name}": place.text for name, place in writes.partner_safe.items()}
    error = writes.last_error.text if writes.last_error else None
    return FieldMap(writes.object.text, MappingProxyType(fields), writes.token.text, tuple(sinks_of(writes)), error)


def _file_sinks() -> Iterator[Sink]:
    """What stands beside the partners in a folder: a file of standings, and one of changes of tier."""
    for name, keys in (("standings", STANDING), ("history", HISTORY)):
        yield Sink(name, BESIDE[name], KEY, PARTNER, MappingProxyType({key: key for key in keys}))


def sinks_of(writes: WriteMap) -> Iterator[Sink]:
    """The records beside the account, in the order in which they are written."""
    beside = dict(children_of(writes))
    history = beside.pop("history", None)
    yield from (_sink(name, child) for name, child in beside.items())
    yield from _optional_sinks(writes.sinks)
    if history is not None:
        yield _sink("history", history)


def _optional_sinks(sinks: SinkMap) -> Iterator[Sink]:
    for name, child in sinks.written():
        sink = _sink(name, child)
        if sinks.risk_task is not None and child is sinks.risk_task.child:
            sink = replace(sink, every=sinks.risk_task.every)
        if sinks.members is not None and child is sinks.members.child:
            levels = {label: level.text for label, level in sinks.members.levels.items()}
            category = sinks.members.category.text if sinks.members.category else ""
            sink = replace(sink, program=sinks.members.program.text, category=category, levels=MappingProxyType(levels))
        yield sink


def _sink(name: str, child: ChildMap) -> Sink:
    """Records that are there and never made (contacts, members) are named by their own id."""
    fields = MappingProxyType({what: place.text for what, place in child.fields.items()})
    key, partner = (child.key.text, child.partner.text) if child.made else (None, None)
    return Sink(name, child.object.text, key, partner, fields)


def check_starts_from(program: Program, configuration: Configuration, mapping: SalesforceMapping | None) -> None:
    """Refuse a hand-kept tier that is read from a field which is written: the second run would read its own result."""
    if mapping is None or mapping.writes is None or configuration.write_to != "salesforce":
        return
    partners = mapping.tables.get("partners")
    if partners is None:
        return
    written = {place.text.lower(): name for name, place in mapping.writes.fields.items()}
    starts = [program.starts_from, *(category.starts_from for category in program.categories.values())]
    for start in starts:
        place = partners.columns.get(start.column) if start else None
        if place is not None and place.text.lower() in written:
            raise ConfigError(
                f"`{place.text}` is where starts_from reads hand-kept tiers, and `{written[place.text.lower()]}` is "
                "written onto it; keep the hand-kept tiers in a field of their own",
                file=mapping.file, line=place.line,
            )  # fmt: skip


def _digest(folder: Path) -> tuple[str, str]:
    """Digest and text of the files that say what is read and written (the program has a digest of its own)."""
    texts = [
        f"# {path.relative_to(folder)}\n{path.read_text(encoding='utf-8')}"
        for path in (folder / FILE, folder / FIELD_MAP, folder / FILES_MAP)
        if path.is_file()
    ]
    text = "\n".join(texts)
    return hashlib.sha256(text.encode()).hexdigest(), text


def _level(settings: Settings) -> str:
    # On a terminal the bars and the final table speak; single events would tear them apart.
    return "warning" if settings.log_level == "info" and sys.stderr.isatty() else settings.log_level
