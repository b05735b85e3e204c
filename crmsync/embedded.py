"""The embedded default: a Salesforce org with a made-up company, on loopback for as long as a run lasts.

The org keeps its records in the state folder and stays on the day it was made, so that a run repeated any number of
times finds the same world. `--as-of` rehearses later days on it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from pydantic import SecretStr

from crmsync.configuration import Configuration, SampleOrg
from crmsync.connectors.salesforce.describe import ABSENT
from crmsync.errors import AccessError, ConfigError, CrmsyncError, StoreError
from crmsync.sandbox.process import OrgStartError, start_org
from crmsync.settings import SalesforceSettings, Settings


@dataclass(frozen=True)
class EmbeddedOrg:
    """A running org: how to reach it, and its day."""

    settings: SalesforceSettings
    today: date
    username: str

    def counted(self) -> tuple[int, int]:
        """Calls that the org itself counted since this run began: reads and writes."""
        with urllib.request.urlopen(f"{self.settings.instance_url}/__sandbox/effects", timeout=10) as answer:
            calls = json.load(answer)["calls"]
        return int(calls["read"]), int(calls["write"])


@contextlib.contextmanager
def embedded_org(configuration: Configuration, settings: Settings) -> Iterator[EmbeddedOrg]:
    """The embedded org, made on the first start. Its token is passed in memory and never stored.

    Errors: StoreError when its records in the state folder cannot be used. An error of the block that names what this
    org lacks says what to do about an org that was kept from before.
    """
    sample = configuration.sandbox
    folder = settings.state_dir / "sandbox"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"org-{sample.sample}-{sample.seed}"
    kept = (folder / f"{name}.sqlite").exists()
    today = _day(folder / f"{name}.json", configuration)
    try:
        with start_org(_arguments(sample, folder / f"{name}.sqlite", today)) as org:
            yield EmbeddedOrg(_reached(settings, org.instance_url, org.access_token), today, org.username)
    except AccessError as error:
        raise AccessError(f"{error}{_way_out(error, folder, today, kept)}") from error
    except ConfigError as error:
        message = f"{error.message}{_way_out(error, folder, today, kept)}"
        raise ConfigError(message, file=error.file, line=error.line) from error
    except OrgStartError as error:
        raise StoreError(f"{folder}: the embedded org cannot be started: {error}") from error


def _way_out(error: CrmsyncError, folder: Path, today: date, kept: bool) -> str:
    """What to do about an org of an earlier version, or of another field map, that lacks a field."""
    if not kept or ABSENT not in str(error):
        return ""
    return (
        f". The embedded org was made on {today} and has the fields of that time: `crmsync deploy apply` adds those "
        f"that are written; for those that are read, remove {folder}, and the next run makes a new org"
    )


def _arguments(sample: SampleOrg, state: Path, today: date) -> list[str]:
    size = ["--sample", str(sample.sample), "--seed", str(sample.seed)]
    if not state.exists() and sys.stderr.isatty():
        print(f"making a company of {sample.sample} partners, once …", file=sys.stderr, flush=True)
    return [*size, "--state", str(state), "--today", today.isoformat()]


def _reached(settings: Settings, instance_url: str, token: str) -> SalesforceSettings:
    """The limits of the user's own settings, with the address and token of this org."""
    limits = {
        "timeout_s": settings.salesforce.timeout_s,
        "connect_timeout_s": settings.salesforce.connect_timeout_s,
        "api_version": settings.salesforce.api_version,
    }
    return SalesforceSettings(instance_url=instance_url, access_token=SecretStr(token), **limits)  # type: ignore[arg-type]


def _day(path: Path, configuration: Configuration) -> date:
    """The day the org was made; today, and noted, at the first start."""
    try:
        if not path.exists():
            today = datetime.now(configuration.zone).date()
            path.write_text(json.dumps({"today": today.isoformat()}), encoding="utf-8")
        return date.fromisoformat(json.loads(path.read_text(encoding="utf-8"))["today"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: says no day ({error}); remove the folder {path.parent} to make a new org") from error
