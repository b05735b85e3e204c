"""Progress of long stages: bars on a terminal, nothing otherwise (the logs say when a stage ended)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from crmsync.connectors.base import Progress, no_progress


@contextlib.contextmanager
def progress_bars() -> Iterator[Progress]:
    """A progress callback that draws bars on stderr while the block runs, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show
