"""`crmsync.yaml`: which org, which program, where each table comes from, where tiers are written, and the guards.

Secrets and addresses never stand here; they are settings (settings.py).
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmsync.configuration_conflicts import Conflicts, read_conflicts
from crmsync.configuration_guards import GuardLimits, read_guards
from crmsync.configuration_notices import NoticeRules, read_notices
from crmsync.configuration_schedule import DEFAULT, Schedule, read_schedules
from crmsync.configuration_writing import USUAL, WriteLimits, read_writing
from crmsync.errors import ConfigError
from crmsync.strict_yaml import Node, nearest, read_yaml

FILE = "crmsync.yaml"
DEFAULT_DIR = Path("config")
ORGS = ("sandbox", "salesforce", "files")
CONNECTORS = ("salesforce", "files")


@dataclass(frozen=True)
class SampleOrg:
    """The embedded org: how many partners its company has, and the seed of everything in it."""

    sample: int = 2000
    seed: int = 7


@dataclass(frozen=True)
class TableSource:
    """Where one table comes from. `match`: the partners column that its partner_id holds; None: partner_id itself."""

    table: str
    connector: str
    line: int
    folder: Path | None = None
    match: str | None = None


@dataclass(frozen=True)
class Reading:
    """How often all is read anew, and how far before the last read changes are looked for again."""

    full_every_days: int = 7
    overlap_s: int = 600


@dataclass(frozen=True)
class Configuration:
    """A whole crmsync.yaml. Paths are resolved against its folder."""

    folder: Path
    file: Path
    org: str
    program: Path
    tables: Mapping[str, TableSource]
    write_to: str
    files_folder: Path | None = None
    time_zone: str = "UTC"
    sandbox: SampleOrg = SampleOrg()
    guards: GuardLimits = field(default_factory=GuardLimits)
    writing: WriteLimits = USUAL
    conflicts: Conflicts = field(default_factory=Conflicts)
    reading: Reading = Reading()
    notices: NoticeRules | None = None
    schedules: tuple[Schedule, ...] = DEFAULT

    @property
    def zone(self) -> ZoneInfo:
        """The zone whose calendar day is today, and in which date-times become dates."""
        return ZoneInfo(self.time_zone)


def config_folder(asked: Path | None) -> Path:
    """The folder to read: the one asked for, else `./config`, else the copy that comes with the package."""
    if asked is not None:
        if not asked.is_dir():
            raise ConfigError(
                "this folder does not exist; --config names a folder with a crmsync.yaml", file=str(asked)
            )
        return asked
    return DEFAULT_DIR if (DEFAULT_DIR / FILE).is_file() else packaged_folder()


def packaged_folder() -> Path:
    """The default configuration: beside the package in a source tree, inside it in a wheel."""
    package = Path(str(importlib.resources.files("crmsync")))
    inside = package / "config"
    return inside if inside.is_dir() else package.parent / "config"


def load_configuration(folder: Path) -> Configuration:
    """The checked crmsync.yaml of a folder. Errors: ConfigError with file and line."""
    top = read_yaml(folder / FILE)
    keys = top.mapping(
        required=("org", "program", "tables"),
        optional=(
            "sandbox",
            "files",
            "time_zone",
            "write_to",
            "guards",
            "conflicts",
            "reading",
            "notices",
            "schedule",
            "writing",
        ),
    )
    tables = _tables(keys["tables"], folder)
    configuration = Configuration(
        folder=folder,
        file=folder / FILE,
        org=_one_of(keys["org"], ORGS, "an org"),
        program=_existing(keys["program"], folder),
        tables=tables,
        write_to=_write_to(keys.get("write_to"), tables),
        files_folder=_files_folder(keys.get("files"), folder),
        time_zone=_time_zone(keys.get("time_zone")),
        sandbox=_sandbox(keys.get("sandbox")),
        guards=read_guards(keys.get("guards"), tables),
        writing=read_writing(keys.get("writing")),
        conflicts=read_conflicts(keys.get("conflicts")),
        reading=_reading(keys.get("reading")),
        notices=read_notices(keys.get("notices"), folder, _time_zone(keys.get("time_zone"))),
        schedules=read_schedules(keys.get("schedule")),
    )
    _check_whole(configuration, keys)
    return configuration


def _check_whole(configuration: Configuration, keys: Mapping[str, Node]) -> None:
    """What only the whole file can tell: an org of files has no Salesforce, and every table of files has a folder."""
    if configuration.notices is None and any(schedule.do == "notices" for schedule in configuration.schedules):
        raise keys["schedule"].fail("`do: notices` has nothing to send, because `notices:` is not there")
    for name, source in configuration.tables.items():
        entry = keys["tables"].mapping()[name]
        if source.connector == "salesforce" and configuration.org == "files":
            raise entry.fail(f"table {name} comes from salesforce, but `org: files` has none")
        if source.connector == "files" and source.folder is None and configuration.files_folder is None:
            raise entry.fail(
                f"table {name} comes from files: name its `folder:`, or one for all as `files: {{folder: …}}`"
            )
    if configuration.write_to == "salesforce" and configuration.org == "files":
        raise keys["write_to"].fail("`salesforce` cannot be written to, because `org: files` has none")
    if configuration.write_to == "files" and configuration.files_folder is None:
        node = keys.get("write_to", keys["org"])
        raise node.fail("writing to files needs a folder; add `files: {folder: …}`")


def _one_of(node: Node, known: tuple[str, ...], what: str) -> str:
    if node.text() not in known:
        raise node.fail(f"`{node.text()}` is not {what}{nearest(node.text(), known)}")
    return node.text()


def _existing(node: Node, folder: Path) -> Path:
    path = folder / node.text()
    if not path.exists():
        raise node.fail(f"`{node.text()}` does not exist in {folder}")
    return path


def _time_zone(node: Node | None) -> str:
    if node is None:
        return "UTC"
    try:
        ZoneInfo(node.text())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise node.fail(f"`{node.text()}` is not a time zone; write an IANA name such as Europe/Berlin") from None
    return node.text()


def _sandbox(node: Node | None) -> SampleOrg:
    if node is None:
        return SampleOrg()
    keys = node.mapping(optional=("sample", "seed"))
    sample = keys["sample"].integer() if "sample" in keys else SampleOrg.sample
    if not 1 <= sample <= 1_000_000:
        raise keys["sample"].fail(f"`{sample}` partners; the sample company has 1 to 1000000")
    return SampleOrg(sample, keys["seed"].integer() if "seed" in keys else SampleOrg.seed)


def _files_folder(node: Node | None, folder: Path) -> Path | None:
    if node is None:
        return None
    return _existing(node.mapping(required=("folder",))["folder"], folder)


def _tables(node: Node, folder: Path) -> Mapping[str, TableSource]:
    entries = node.mapping()
    if "partners" not in entries:
        raise node.fail("`partners:` is missing here; without partners there is nobody to level")
    tables = {name: _table(name, entry, folder) for name, entry in entries.items()}
    if tables["partners"].match:
        raise entries["partners"].fail("`match` has no meaning on partners: it is the table that others are matched to")
    return MappingProxyType(tables)


def _table(name: str, node: Node, folder: Path) -> TableSource:
    if node.is_text:
        return TableSource(name, _one_of(node, CONNECTORS, "a connector"), node.line)
    keys = node.mapping(required=("connector",), optional=("folder", "match"))
    connector = _one_of(keys["connector"], CONNECTORS, "a connector")
    if connector != "files" and "folder" in keys:
        raise keys["folder"].fail(f"`folder` belongs to the connector files, not to {connector}")
    return TableSource(
        name,
        connector,
        node.line,
        _existing(keys["folder"], folder) if "folder" in keys else None,
        _partner_column(keys["match"]) if "match" in keys else None,
    )


def _partner_column(node: Node) -> str:
    table, dot, column = node.text().partition(".")
    if table != "partners" or not dot or not column:
        raise node.fail(f"`{node.text()}` is not a partner column; write partners.account_number, for example")
    return column


def _write_to(node: Node | None, tables: Mapping[str, TableSource]) -> str:
    return tables["partners"].connector if node is None else _one_of(node, CONNECTORS, "a connector")


BIN_DAYS = 14
"""Salesforce lets go of deleted records after 15 days; a read that far apart would not see them go."""


def _reading(node: Node | None) -> Reading:
    if node is None:
        return Reading()
    keys = node.mapping(optional=("full_every", "overlap"))
    days = _counted(keys["full_every"], "day", BIN_DAYS) if "full_every" in keys else Reading.full_every_days
    minutes = _counted(keys["overlap"], "minute", 24 * 60) if "overlap" in keys else Reading.overlap_s // 60
    return Reading(days, minutes * 60)


def _counted(node: Node, unit: str, most: int) -> int:
    found = re.fullmatch(rf"(\d{{1,4}}) {unit}s?", node.text())
    if found is None or int(found[1]) > most:
        raise node.fail(f"`{node.text()}` is not a number of {unit}s from 0 to {most}; write `7 {unit}s`, for example")
    return int(found[1])
