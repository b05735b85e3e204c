"""`crmsync worker --once`, told to stop at the beginning of each stage in turn, then left alone. CONFIG, as a program.

One process imports everything and forks one child per stage. Prints exit code and seconds of each as a JSON line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crmsync import pipeline, reports, tasks
from crmsync.belt import read_files
from crmsync.stages import StageClock
from tests.belt.forked import begin, end

LOADED = (pipeline, reports, tasks)  # once, for all children
STAGES = ("settle", "extract", "assess", "draft", "apply", "verify", "record")


def child(config: str, stage: str | None) -> tuple[int, float]:
    """Exit code and seconds of one worker that gets SIGTERM when this stage begins."""
    started = time.monotonic()

    def prepare() -> None:
        if stage is not None:
            StageClock.stage = signalling(stage)  # type: ignore[method-assign, assignment]

    code = end(begin(("worker", "--once", "--config", config), prepare))
    return code, round(time.monotonic() - started, 2)


def signalling(at: str) -> object:
    """`StageClock.stage` that sends SIGTERM to its own process inside one stage."""
    whole = StageClock.stage

    @contextmanager
    def stage(clock: StageClock, name: str) -> Iterator[None]:
        with whole(clock, name):
            if name == at:
                os.kill(os.getpid(), signal.SIGTERM)
            yield

    return stage


if __name__ == "__main__":
    read_files(Path(sys.argv[1]))  # what every child would have to load
    print(json.dumps({str(stage): child(sys.argv[1], stage) for stage in (*STAGES, None)}))
