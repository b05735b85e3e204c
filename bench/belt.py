"""The whole belt over a sandbox org: two runs, seconds and peak memory per stage, the org in a process of its own."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base import AS_OF, Size, cache_folder, digest_of
from bench.children import high_water_mb, peak_mb
from crmsync.sandbox.company import company
from crmsync.sandbox.process import Org, start_org

CONFIG = Path(__file__).parent.parent / "config"
OWN_CONFIG = Path(__file__).parent / "program" / "crmsync.yaml"


@dataclass(frozen=True)
class Run:
    """One `crmsync run`: its own figures per stage, and the process as a whole as seen from outside."""

    stages: list[dict[str, Any]]
    seconds: float
    peak_mb: float
    writes: int


@dataclass(frozen=True)
class Measured:
    """Both runs, and the most memory the org took."""

    first: Run
    second: Run
    org_peak_mb: float | None


def measure_belt(size: Size) -> Measured:
    """Run the belt twice over an org with a company of this size."""
    arguments = ["--data", str(company_folder(size)), "--today", AS_OF.isoformat()]
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as scratch, start_org(arguments) as org:
        folder = Path(scratch)
        config = belt_config(folder)
        environment = environment_of(folder, org)
        first = _run(config, environment, org)
        second = _run(config, environment, org)
        return Measured(first, second, high_water_mb(org.process.pid))


def company_folder(size: Size) -> Path:
    """The sample company as a folder of records, made when it is not in the cache."""
    made_by = sorted(Path(company.__file__).parent.glob("*.py"))
    name = f"org-{digest_of(*made_by)}-{size.partners}-{size.opportunities}-{size.certifications}"
    folder = cache_folder() / name
    if not folder.is_dir():
        made = company.make_company(size.partners, 7, AS_OF, size.opportunities, size.certifications)
        making = folder.with_name(f".{name}")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        # JSON is YAML
        (making / "schema.yaml").write_text(json.dumps(made.schema, indent=1), encoding="utf-8")
        for object_name, (columns, rows) in made.objects.items():
            with (making / f"{object_name}.csv").open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(columns)
                writer.writerows(rows)
        making.rename(folder)
    return folder


def belt_config(folder: Path) -> Path:
    """The shipped programs and field maps under the configuration of the measurement."""
    config = folder / "config"
    shutil.copytree(CONFIG, config)
    shutil.copy(OWN_CONFIG, config / "crmsync.yaml")
    return config


def environment_of(folder: Path, org: Org) -> dict[str, str]:
    """The environment of a run over that org, with its state below `folder`."""
    own = {
        "CRMSYNC_STATE_DIR": str(folder / "state"),
        "CRMSYNC_SALESFORCE__INSTANCE_URL": org.instance_url,
        "CRMSYNC_SALESFORCE__ACCESS_TOKEN": org.access_token,
    }
    outside = {name: value for name, value in os.environ.items() if not name.startswith("CRMSYNC_")}
    return outside | own


def _run(config: Path, environment: dict[str, str], org: Org) -> Run:
    _reset_effects(org)
    command = [sys.executable, "-m", "crmsync", "run", "--json", "--config", str(config), "--as-of", AS_OF.isoformat()]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=log, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        log.seek(0)
        if process.returncode not in (0, 3):  # 3: done with rejected records, of which the sample company has some
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{log.read()[-2000:]}")
        report = json.load(out)
    # a stage resets the high-water mark of its process, so the whole is the highest of all; what the system says of a
    # process that has ended begins with the memory of the one that started it
    whole = usage.ru_maxrss / 1024
    peak = max([stage["peak_mb"] for stage in report["stages"]] + ([whole] if whole > peak_mb() else []))
    return Run(report["stages"], seconds, peak, _writes(org))


def _reset_effects(org: Org) -> None:
    import requests

    requests.delete(f"{org.instance_url}/__sandbox/effects", timeout=30).raise_for_status()


def _writes(org: Org) -> int:
    """Write calls since the last reset, by the org's own count."""
    import requests

    answer = requests.get(f"{org.instance_url}/__sandbox/effects", timeout=30)
    return int(answer.json()["calls"]["write"])
