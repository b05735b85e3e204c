"""The commands of notices: `notices list`, `preview`, `approve`, `send`."""

from __future__ import annotations

from typing import Annotated

import typer

from crmsync.cli_options import Config, Json
from crmsync.exits import DONE, PARKED, ends_with

notices = typer.Typer(
    help="Shows what people are told, lets it go, and sends what waits.",
    rich_markup_mode=None,
)


def add_notices(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.add_typer(notices, name="notices")


@notices.command("list")
def list_(
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Only these; default: all that is open.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List the notices that wait, are held for approval, or went wrong."""
    from crmsync import notified, reports

    ends_with(DONE, reports.notices_report(notified.list_notices(config, state or ()), json))


@notices.command()
def preview(
    what: Annotated[
        str, typer.Argument(metavar="WHAT", help="The first digits of a notice's key, or an event such as promoted.")
    ],
    audience: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of an event: for whom. Default: partner.")
    ] = None,
    locale: Annotated[str | None, typer.Option(metavar="LOCALE", help="Of an event: in which language.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show a notice as it will go out, or what the templates of an event say with made-up values."""
    from crmsync import notified, reports

    ends_with(DONE, reports.preview_report(notified.preview_notice(config, what, audience, locale), json))


@notices.command()
def approve(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="The first digits of the keys of notices.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every notice that is held.")] = False,
    event: Annotated[str | None, typer.Option(metavar="EVENT", help="With --all: only of this event.")] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who approves. Default: who is logged in.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Let notices to partners go, or send one again whose outcome nobody knows; they leave with the next run."""
    from crmsync import notified, reports

    approved = notified.approve_notices(config, keys or (), every, event, by)
    ends_with(DONE, reports.notices_approved_report(approved, json))


@notices.command()
def send(config: Config = None, json: Json = False) -> None:
    """Send now what may go: approved, after the quiet hours, weekly summaries; ends with 3 where one did not go out."""
    from crmsync import notified, pipeline, reports

    with pipeline.opened(config) as belt:
        told = notified.send_now(belt)
    ends_with(DONE if told.sent.clean else PARKED, reports.told_report(told, json))
