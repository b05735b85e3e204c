"""The machine and the versions that figures were taken on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("crmsync", "duckdb", "pyarrow", "sqlglot", "numpy", "starlette", "uvicorn", "simple-salesforce")


def machine_line() -> str:
    """Date, processor, cores in use, memory, system and Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = (
        datetime.now(UTC).strftime("%Y-%m-%d"),
        _processor(),
        f"{cores} cores",
        f"{_memory_gib():.0f} GiB",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
    )
    return ", ".join(parts)


def versions_line() -> str:
    """The packages that the figures depend on."""
    return ", ".join(f"{package} {version(package)}" for package in PACKAGES)


def load_line() -> str:
    """How busy the machine is; on a busy one ratios say more than seconds."""
    return "load " + " ".join(f"{value:.1f}" for value in os.getloadavg())


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
