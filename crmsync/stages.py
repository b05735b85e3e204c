"""Seconds and peak memory of each stage of a run."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()


@dataclass(frozen=True)
class StageFigures:
    """What one stage took. `peak_mb`: the most resident memory of this process while the stage ran."""

    stage: str
    seconds: float
    peak_mb: float


class StageClock:
    """Measures stages in the order they run."""

    def __init__(self) -> None:
        self.figures: list[StageFigures] = []

    @property
    def last(self) -> float:
        """Seconds of the stage that ended last."""
        return self.figures[-1].seconds

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what happens inside; a stage that fails is measured too."""
        _reset_peak()
        started = time.perf_counter()
        try:
            yield
        finally:
            release_memory()
            figures = StageFigures(name, round(time.perf_counter() - started, 3), round(_peak_mb(), 1))
            self.figures.append(figures)
            log.info("stage_ended", stage=name, seconds=figures.seconds, peak_mb=figures.peak_mb)


def release_memory() -> None:
    """Give back what the stage freed: Arrow's pool and glibc keep it otherwise, and the next stage comes on top."""
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _reset_peak() -> None:
    # Linux forgets the high-water mark when asked; elsewhere a stage shows the peak since the start.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_mb() -> float:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        status = Path("/proc/self/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024) if sys.platform == "darwin" else peak / 1024
