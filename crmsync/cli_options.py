"""Flags that several commands have."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="DIR", help="Folder with crmsync.yaml. Default: config, else the embedded default."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
FIRST_DAY = date(1990, 1, 1)
DAYS_AHEAD = 5 * 366


def a_day(text: str | datetime) -> datetime:
    """The day that a text names. Errors: BadParameter saying how a day is written."""
    if isinstance(text, datetime):
        return text
    try:
        return datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date; write it like 2026-01-31") from None


def _believable(moment: datetime | None) -> datetime | None:
    """The day, unless it can only be a slip: movement goes forward only, so one run in 2206 would be the last."""
    last = date.today() + timedelta(days=DAYS_AHEAD)
    if moment is not None and not FIRST_DAY <= moment.date() <= last:
        raise typer.BadParameter(f"{moment.date()} is not a day to level for; write one from {FIRST_DAY} to {last}")
    return moment


AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        parser=a_day,
        help="The day to level for. Default: today.",
        callback=_believable,
    ),
]
