"""The commands of the ledger: `unlock`, `adopt`, `history`, `audit verify`, `diff`, `revert`."""

from __future__ import annotations

from typing import Annotated

import typer

from crmsync.cli_options import Config, Json
from crmsync.exits import DONE, FAILED, ends_with


def add_ledger(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(unlock)
    app.command()(adopt)
    app.command()(revert)
    app.command()(history)
    app.command()(diff)
    audit = typer.Typer(help="Proves that the history was not changed.", rich_markup_mode=None)
    audit.command("verify")(verify)
    app.add_typer(audit, name="audit")


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


def revert(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run to undo, or `last`.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Save a plan that gives back what a run has overwritten, where nobody has changed it since; `apply` writes it."""
    from crmsync import pipeline, reports, reverting

    run = reverting.check_run(config, run)
    with pipeline.opened(config) as belt:
        reverted = pipeline.revert(belt, run)
    ends_with(reverted.exit_code, reports.revert_report(reverted, json))


def history(
    partner: Annotated[str, typer.Argument(metavar="PARTNER", help="A partner id, or the id of its account.")],
    json: Json = False,
) -> None:
    """Tell what was decided about a partner and done to it: tiers, writes, approvals, hand edits, notices."""
    from crmsync import proving, reports

    ends_with(DONE, reports.history_report(proving.history(partner), json))


def diff(
    first: Annotated[str, typer.Argument(metavar="RUN", help="An accepted run.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="A later one, or `last`.")],
    json: Json = False,
) -> None:
    """Tell for every tier that differs between two runs whether data, program, calendar or override caused it."""
    from crmsync import proving, reports

    ends_with(DONE, reports.diff_report(proving.diff(first, second), json))


def verify(
    anchor: Annotated[
        list[str] | None, typer.Option(metavar="N:HASH", help="An anchor from a log line or a notice; may be repeated.")
    ] = None,
    runs: Annotated[int, typer.Option(min=0, metavar="N", help="How many of the newest runs to compute again.")] = 2,
    every: Annotated[bool, typer.Option("--all", help="Compute every run again whose snapshot is kept.")] = False,
    json: Json = False,
) -> None:
    """Verify the chain of the audit, and compute runs again from what is stored; ends with 1 where anything differs."""
    from crmsync import proving, reports

    proof = proving.verify(anchor or (), None if every else runs)
    ends_with(DONE if proof.holds else FAILED, reports.verify_report(proof, json))
