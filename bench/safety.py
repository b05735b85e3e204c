"""What safety costs: a run beside the same run without its verification reads, and a start after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base import AS_OF, Size
from bench.belt import belt_config, company_folder, environment_of
from bench.children import OvertimeError
from bench.tables import Cell, Table
from crmsync.failpoints import ENVIRONMENT
from crmsync.sandbox.process import Org, start_org

BELT = Size(1_000, 20_000, 5_000)
ROUNDS = 2
MOST_RATIO, MOST_RESUME_S = 1.3, 2.0
KILLED_AT = (
    ("standings_accepted:1", "nothing but the notices"),
    ("job_started:1", "the outcome of the first job; all that follows"),
    ("results_read:1", "the outcome of the first job; all that follows"),
    ("outcomes_recorded:2", "all that follows the second record of outcomes"),
)
"""Where a run is killed, and what is left to do then. The first one tells what a start itself takes."""

RUN_S = 900.0
"""A run that takes longer is stopped: something hangs."""

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Ended:
    """One process: how it ended, seconds by the clock and of the processor, the org's as well, and its report."""

    code: int
    seconds: float
    cpu: float
    org_cpu: float
    report: dict[str, Any]

    def stage(self, *names: str) -> float:
        """Seconds of these stages."""
        return float(sum(one["seconds"] for one in self.report["stages"] if one["stage"] in names))


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
            with _an_org() as org:
                own = folder / f"{module}-{number}"
                own.mkdir()
                ended.append(_run(module, belt_config(own), environment_of(own, org), org))
    with_reads, without = (min(ended, key=lambda one: one.cpu) for ended in found.values())
    for name, one in (("as it is", with_reads), ("without verification reads", without)):
        rows.append([name, one.seconds, one.cpu, one.org_cpu, one.stage("apply", "verify")])
    both = (with_reads.cpu + with_reads.org_cpu) / (without.cpu + without.org_cpu)
    fastest = [min(one.seconds for one in ended) for ended in found.values()]
    rows.append(["ratio", fastest[0] / fastest[1], with_reads.cpu / without.cpu, both, None])
    note = (
        f"First `crmsync run` over the sandbox, which writes every account: {BELT.partners:,} partners, "
        f"{BELT.opportunities:,} opportunities; best of {ROUNDS} by CPU. The ratio under the org's seconds is of both "
        f"processes together. Aim: at most {MOST_RATIO}."
    )
    return Table("Cost of safety", ("run", "s", "CPU s", "org CPU s", "apply and verify s"), rows, note)


def _resumes(folder: Path) -> Table:
    rows: list[list[Cell]] = []
    start: float | None = None
    for death, left in KILLED_AT:
        with _an_org() as org:
            own = folder / death.replace(":", "-")
            own.mkdir()
            config, environment = belt_config(own), environment_of(own, org)
            killed = _run("crmsync", config, environment | {ENVIRONMENT: death}, org)
            if killed.code != -signal.SIGKILL:
                rows.append([f"{death} was not reached", left, *[None] * 6])
                continue
            again = _run("crmsync", config, environment, org)
        start = again.cpu if start is None else start
        stages = sum(one["seconds"] for one in again.report["stages"])
        rows.append(
            [death, left, again.cpu, again.cpu - start, again.seconds, again.seconds - stages, again.stage("settle"),
             again.stage("apply", "verify")]
        )  # fmt: skip
    note = (
        "A run killed at that place, then started again until it has ended. What the first row takes, where nothing is "
        f"left to be written, every start takes: its CPU seconds are the figure of the aim, at most {MOST_RESUME_S} s. "
        "Work that was left: CPU seconds beyond those. Start and end: by the clock, outside of the stages."
    )
    head = ("killed at", "left to do", "CPU s", "left: CPU s", "s", "start and end s", "settle s", "apply, verify s")
    return Table("Start after a kill", head, rows, note)


def _an_org() -> Any:
    return start_org(["--data", str(company_folder(BELT)), "--today", AS_OF.isoformat()])


def _run(module: str, config: Path, environment: dict[str, str], org: Org) -> Ended:
    command = [sys.executable, "-m", module, "run", "--json", "--config", str(config), "--as-of", AS_OF.isoformat()]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as log:
        started, org_before = time.perf_counter(), _cpu_of(org.process.pid)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environment)
        ends = threading.Timer(RUN_S, process.kill)
        ends.start()
        _, status, usage = os.wait4(process.pid, 0)
        in_time = ends.is_alive()
        ends.cancel()
        seconds = time.perf_counter() - started
        process.returncode = code = os.waitstatus_to_exitcode(status)
        out.seek(0)
        log.seek(0)
        if not in_time:
            raise OvertimeError(f"{' '.join(command)} was stopped after {RUN_S:g} seconds:\n{log.read()[-2000:]}")
        if code not in (0, 3, -signal.SIGKILL):
            raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{log.read()[-2000:]}")
        report = {"stages": []} if code == -signal.SIGKILL else json.load(out)
    of_org = _cpu_of(org.process.pid) - org_before
    return Ended(code, seconds, usage.ru_utime + usage.ru_stime, of_org, report)


def _cpu_of(pid: int) -> float:
    """Seconds of the processor that a process has taken so far, by Linux; 0 elsewhere."""
    told = Path(f"/proc/{pid}/stat")
    if not told.is_file():
        return 0.0
    cells = told.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(cells[11]) + int(cells[12])) / TICKS
