"""What safety costs: a run beside the same run without its verification reads, and a start after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base import AS_OF, Size
from bench.belt import belt_config, company_folder, environment_of
from bench.tables import Cell, Table
from crmsync.failpoints import ENVIRONMENT
from crmsync.sandbox.process import start_org

BELT = Size(1_000, 20_000, 5_000)
ROUNDS = 2
MOST_RATIO, MOST_RESUME_S = 1.3, 2.0
KILLED_AT = ("job_claimed:1", "job_started:1", "results_read:1", "outcomes_recorded:2")


@dataclass(frozen=True)
class Ended:
    """One process: how it ended, seconds by the clock and of the processor, and what it reported."""

    code: int
    seconds: float
    cpu: float
    report: dict[str, Any]

    def stage(self, name: str) -> float:
        """Seconds of one stage."""
        return float(sum(one["seconds"] for one in self.report["stages"] if one["stage"] == name))


def safety_tables(_sizes: Sequence[int]) -> Iterator[Table]:
    """The best of some runs with and without, then starts after kills."""
    with tempfile.TemporaryDirectory(prefix="crmsync-bench-") as scratch:
        yield _cost(Path(scratch))
        yield _resumes(Path(scratch))


def _cost(folder: Path) -> Table:
    rows: list[list[Cell]] = []
    found: dict[str, list[Ended]] = {"crmsync": [], "bench.unverified": []}
    for number in range(ROUNDS):
        for module, ended in found.items():
            with start_org(["--data", str(company_folder(BELT)), "--today", AS_OF.isoformat()]) as org:
                own = folder / f"{module}-{number}"
                own.mkdir()
                ended.append(_run(module, belt_config(own), environment_of(own, org)))
    with_reads, without = (min(ended, key=lambda one: one.cpu) for ended in found.values())
    for name, one in (("as it is", with_reads), ("without verification reads", without)):
        rows.append([name, one.seconds, one.cpu, one.stage("apply") + one.stage("verify")])
    fastest = [min(one.seconds for one in ended) for ended in found.values()]
    rows.append(["ratio", fastest[0] / fastest[1], with_reads.cpu / without.cpu, None])
    note = (
        f"First `crmsync run` over the sandbox, which writes every account: {BELT.partners:,} partners, "
        f"{BELT.opportunities:,} opportunities; best of {ROUNDS}. Aim: at most {MOST_RATIO}."
    )
    return Table("Cost of safety", ("run", "s", "CPU s", "apply and verify s"), rows, note)


def _resumes(folder: Path) -> Table:
    rows: list[list[Cell]] = []
    for death in KILLED_AT:
        with start_org(["--data", str(company_folder(BELT)), "--today", AS_OF.isoformat()]) as org:
            own = folder / death.replace(":", "-")
            own.mkdir()
            config, environment = belt_config(own), environment_of(own, org)
            killed = _run("crmsync", config, environment | {ENVIRONMENT: death})
            if killed.code != -signal.SIGKILL:
                rows.append([death, None, None, None])
                continue
            again = _run("crmsync", config, environment)
            rows.append([death, again.stage("settle"), again.stage("apply"), again.seconds])
    note = f"A run killed at that place, then started again. Aim: settled in {MOST_RESUME_S} s."
    return Table("Start after a kill", ("killed at", "settle s", "apply s", "whole run s"), rows, note)


def _run(module: str, config: Path, environment: dict[str, str]) -> Ended:
    command = [sys.executable, "-m", module, "run", "--json", "--config", str(config), "--as-of", AS_OF.isoformat()]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=log, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = code = os.waitstatus_to_exitcode(status)
        out.seek(0)
        log.seek(0)
        if code not in (0, 3, -signal.SIGKILL):
            raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{log.read()[-2000:]}")
        report = {"stages": []} if code == -signal.SIGKILL else json.load(out)
    return Ended(code, seconds, usage.ru_utime + usage.ru_stime, report)
