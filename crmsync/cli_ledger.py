"""The commands of the ledger: `unlock`, `adopt`, `history`, `audit verify`, `diff`, `revert`."""

from __future__ import annotations

from typing import Annotated

import typer

from crmsync.cli_options import Config, Json
from crmsync.exits import DONE, ends_with


def add_ledger(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(unlock)
    app.command()(adopt)


def unlock(
    lease: Annotated[
        int | None, typer.Option("--id", min=1, metavar="N", help="Break the lease of this number.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Show which process holds the ledger; with --id take it away from one that hangs."""
    from crmsync import past, reports

    ends_with(DONE, reports.unlock_report(past.show_lease() if lease is None else past.unlock(lease), json))


def adopt(config: Config = None, json: Json = False) -> None:
    """Take what stands in the CRM as last written by this ledger, after the ledger was lost."""
    from crmsync import pipeline, reports

    with pipeline.opened(config) as belt:
        adopted = pipeline.adopt(belt)
    ends_with(DONE, reports.adopt_report(adopted, json))
