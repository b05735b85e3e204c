"""Work in a process of its own, so that start-up and peak memory are that work's alone."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any


class OvertimeError(RuntimeError):
    """Work that took longer than it may."""


def figures_of(module: str, *arguments: str | Path, limit: float | None = None) -> dict[str, Any]:
    """What `python -m MODULE …` prints as its last line, JSON.

    Errors: RuntimeError with what it said when it fails; OvertimeError when it takes longer than `limit` seconds.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired as error:
        raise OvertimeError(f"{' '.join(command)} was stopped after {limit:g} seconds") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def peak_mb() -> float:
    """The most resident memory of this process so far."""
    known = high_water_mb("self")
    if known is not None:
        return known
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def high_water_mb(pid: int | str) -> float | None:
    """The most resident memory of a process, as Linux keeps it; None elsewhere.

    What `getrusage` says begins with the memory of the process that started it, which may have been larger.
    """
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
