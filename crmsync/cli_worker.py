"""The commands of running unattended: `worker`, `health`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crmsync.cli_options import Config, Json
from crmsync.exits import DONE, FAILED, ends_with

if TYPE_CHECKING:
    from crmsync.health import Health
    from crmsync.ledger.ledger import Ledger
    from crmsync.settings import Settings
    from crmsync.tasks import BeltWork
    from crmsync.worker import Clock, Pulse


def add_worker(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(worker)
    app.command()(health)


def worker(
    config: Config = None,
    once: Annotated[bool, typer.Option("--once", help="Run what is due now, then end.")] = False,
    json: Json = False,
) -> None:
    """Run what is due by the schedule, until it is told to stop (SIGTERM); serves health and metrics on loopback."""
    from crmsync import reports
    from crmsync.tasks import BeltWork
    from crmsync.worker import Pulse, WallClock, Worker

    settings, work, pulse = _settings(config), BeltWork(config), Pulse()
    runs = Worker(work, pulse=pulse, after=lambda ledger: _export(settings, ledger))
    if once:
        ended = runs.once()
        ends_with(_worst([one.exit_code for one in ended]), reports.worker_report(ended, json))
    work.check()  # a mistake in a file ends a worker that starts; one that runs goes on when it is mended
    work.ledger(exclusive=False).close()  # so does a ledger that cannot be used; a new one is made
    with answering(work, settings, pulse, WallClock()):
        runs.forever()


def _export(settings: Settings, ledger: Ledger) -> None:
    """Once more when the slot has ended: a run cannot know how its slot will end."""
    from crmsync.metrics import export_metrics

    export_metrics(settings.metrics_file, ledger)


def health(
    config: Config = None,
    live: Annotated[
        bool, typer.Option("--live", help="Only whether it lives, not whether all that is due was run.")
    ] = False,
    json: Json = False,
) -> None:
    """Tell whether the worker of this state folder lives and does what is due; ends with 1 if not.

    Where none runs, the ledger alone is judged: whether one-shot runs did what was due.
    """
    from crmsync import reports

    found = _health(config)
    fine = found.alive if live else found.ready
    ends_with(DONE if fine else FAILED, reports.health_report(found, json))


def _health(config: Path | None) -> Health:
    from crmsync.health import Health, address_of_worker, health_of_worker
    from crmsync.tasks import BeltWork
    from crmsync.worker import WallClock

    address = address_of_worker(_settings(config).state_dir)
    if address is not None:
        return health_of_worker(address)
    return Health(True, tuple(_overdue(BeltWork(config), WallClock())))


def _overdue(work: BeltWork, clock: Clock) -> list[str]:
    from crmsync.health import overdue

    with work.ledger(exclusive=False) as ledger:
        return overdue(ledger, work.duties(), clock.now())


@contextlib.contextmanager
def answering(work: BeltWork, settings: Settings, pulse: Pulse, clock: Clock) -> Iterator[None]:
    """Serve what is said about this worker, unless that is switched off."""
    import time

    import structlog

    from crmsync.health import is_alive, known_address
    from crmsync.metrics import metrics_text
    from crmsync.serving import Answer, metrics_page, said, served

    def healthz() -> Answer:
        alive = is_alive(pulse, time.monotonic())
        return said(200, "ok") if alive else said(503, "the loop of the worker has stopped turning, or a run hangs")

    def readyz() -> Answer:
        reasons = [pulse.fault] if pulse.fault else _overdue(work, clock)
        return said(503, *reasons) if reasons else said(200, "ready")

    def metrics() -> bytes:
        with work.ledger(exclusive=False) as ledger:
            return metrics_text(ledger)

    if settings.listen == "off":
        yield
        return
    pages = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics_page(metrics)}
    with served(settings.listen, pages) as url, known_address(settings.state_dir, url):
        structlog.get_logger().info("worker_listens", url=url)
        yield


def _settings(config: Path | None) -> Settings:
    from crmsync.logs import configure_logs
    from crmsync.settings import load_settings
    from crmsync.state import make_state

    settings = load_settings(config)
    configure_logs(settings.log_level, settings.secrets())
    make_state(settings.state_dir)
    return settings


def _worst(codes: list[int]) -> int:
    """What the whole of several runs ends with: a failure before a blocked plan before parked records."""
    failed = [code for code in codes if code not in (DONE, *MILD)]
    mild = [code for code in MILD if code in codes]
    return (failed or mild or [DONE])[0]


MILD = (8, 3, 2)
