"""Copying a real org's schema and data into a folder that a sandbox org starts from. The org is only read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crmsync.belt import reached_org, read_files
from crmsync.errors import ConfigError
from crmsync.progress import progress_bars

if TYPE_CHECKING:
    from crmsync.connectors.salesforce.copying.copy import Copied

MASKED = "masked"


def copy_to_folder(config: Path | None, to: Path, names: str | None = None, limit: int | None = None) -> Copied:
    """Copy what the field map reads and writes. `names`: `masked` for made-up names, addresses and texts.

    Errors: ConfigError for a folder that holds something, or a configuration without an org; AccessError, DataError.
    """
    from crmsync.connectors.salesforce.copying.copy import copy_org
    from crmsync.connectors.salesforce.org import Org
    from crmsync.sandbox.standard import Features, standard_objects
    from crmsync.sandbox.users import INTEGRATION, PEOPLE

    if names not in (None, MASKED):
        raise ConfigError(f"--names {names} is not known; write --names {MASKED}, or leave it out to keep names")
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(f"{to} holds something already; a copy goes into a new or empty folder")
    files = read_files(config)
    if files.mapping is None:
        raise ConfigError("`org: files` has no Salesforce org to copy", file=str(files.configuration.file))
    known = {one.name: frozenset(field.name for field in one.fields) for one in standard_objects(Features(True, True))}
    there = frozenset({INTEGRATION, *(person.id for person in PEOPLE)})
    with reached_org(files) as reached, progress_bars() as progress:
        org = Org(reached.settings)
        return copy_org(org, files.mapping, known, there, to, masked=names == MASKED, limit=limit, progress=progress)
