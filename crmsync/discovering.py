"""Discovering: what a Salesforce org has, as a proposed field map with a reason beside every line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crmsync.belt import FIELD_MAP
from crmsync.configuration import FILE, Configuration, config_folder, load_configuration, packaged_folder
from crmsync.connectors.mapping import read_mapping
from crmsync.errors import ConfigError, CrmsyncError, StoreError
from crmsync.logs import configure_logs
from crmsync.progress import progress_bars
from crmsync.settings import SalesforceSettings, Settings, load_settings
from crmsync.tables import ColumnType

if TYPE_CHECKING:
    from crmsync.connectors.salesforce.discover.facts import OrgFacts
    from crmsync.connectors.salesforce.discover.proposal import Proposal

PROPOSED = Path("connectors/salesforce.proposed.yaml")


@dataclass(frozen=True)
class Discovery:
    """What was found. `text`: the field map; `file`: where it was written, None for nowhere; `kept`: a field map of
    people's own that was left as it is; `program`: whose columns were looked for, None where none could be read."""

    org: str
    login: str
    facts: OrgFacts
    proposal: Proposal
    text: str
    program: Path | None
    file: Path | None = None
    kept: Path | None = None

    @property
    def marked(self) -> tuple[tuple[int, str], ...]:
        """(line, text) of every line that people must look at."""
        lines = enumerate(self.text.splitlines(), 1)
        return tuple((number, line.strip()) for number, line in lines if "# ?" in line and line.startswith(" "))


def discover(config: Path | None, to: Path | None = None) -> Discovery:
    """Read the org and propose a field map; with `to`, written below that folder.

    Errors: ConfigError for a configuration without an org, or a proposal that is there already; AccessError.
    """
    settings = load_settings(config)
    configure_logs(settings.log_level, settings.secrets())
    configuration = configuration_of(settings)
    if to is not None:
        _free(to)
    with salesforce_of(configuration, settings) as salesforce:
        found = read_and_propose(salesforce, configuration.program if configuration else None)
    return found if to is None else written(found, to)


def read_and_propose(salesforce: SalesforceSettings, program: Path | None) -> Discovery:
    """Read one org. `program`: looked into for the columns that it reads. Errors: AccessError, Deferred, Transient."""
    from crmsync.connectors.salesforce.discover.drawing import drawn
    from crmsync.connectors.salesforce.discover.proposal import propose
    from crmsync.connectors.salesforce.discover.reading import read_org
    from crmsync.connectors.salesforce.org import Org

    read = read_by(program)
    org = Org(salesforce)
    with progress_bars() as progress:
        facts = read_org(org, progress)
    proposal = propose(facts, read_mapping(packaged_folder() / FIELD_MAP), read)
    text = drawn(proposal, facts)
    return Discovery(org.organization["id"], org.base_url, facts, proposal, text, program if read is not None else None)


def configuration_of(settings: Settings) -> Configuration | None:
    """The configuration, or None where there is none beside a login that the settings name."""
    folder = config_folder(settings.config_dir)
    own = settings.salesforce.instance_url or settings.salesforce.login_url
    if own and (folder == packaged_folder() or not (folder / FILE).is_file()):
        return None
    return load_configuration(folder)


@contextlib.contextmanager
def salesforce_of(configuration: Configuration | None, settings: Settings) -> Iterator[SalesforceSettings]:
    """How the org is reached: the settings' login, or the embedded org of the configuration while the block lasts."""
    if configuration is None or configuration.org == "salesforce":
        yield settings.salesforce
        return
    if configuration.org == "files":
        raise ConfigError("`org: files` has no Salesforce org to look at", file=str(configuration.file))
    from crmsync.embedded import embedded_org
    from crmsync.state import make_state

    make_state(settings.state_dir)
    with embedded_org(configuration, settings) as org:
        yield org.settings


def read_by(program: Path | None) -> Mapping[str, Mapping[str, ColumnType | None]] | None:
    """Table -> column -> type of everything that the versions of a program read; None where it cannot be read."""
    from crmsync.programs.loading import load_programs
    from crmsync.programs.reads import columns_read

    if program is None:
        return None
    try:
        programs = load_programs(program)
    except CrmsyncError:
        return None  # `check` tells what is wrong with it
    found: dict[str, dict[str, ColumnType | None]] = {}
    for one in programs:
        for (table, column), kind in columns_read(one).items():
            columns = found.setdefault(table, {})
            columns[column] = columns.get(column) or kind
    return found


def written(found: Discovery, to: Path) -> Discovery:
    """The same, written below a folder: as its field map, or beside one that people have made their own.

    Errors: ConfigError where a proposal is there already; StoreError.
    """
    path, kept = _free(to)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found.text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
    return Discovery(**{**vars(found), "file": path, "kept": kept})


def _free(to: Path) -> tuple[Path, Path | None]:
    """Where to write, and the file that is left alone for it. The map that ships, untouched, is nobody's own."""
    path = to / FIELD_MAP
    if not path.exists() or path.read_text(encoding="utf-8") == shipped_map():
        return path, None
    beside = to / PROPOSED
    if beside.exists():
        raise ConfigError(f"{path} and {beside} are there already; nothing is overwritten. Move one of them away")
    return beside, path


def shipped_map() -> str:
    """The text of the field map that comes with the package."""
    return (packaged_folder() / FIELD_MAP).read_text(encoding="utf-8")
