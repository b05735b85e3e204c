"""Flags that several commands have."""

from __future__ import annotations

from datetime import datetime
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
AsOf = Annotated[
    datetime | None,
    typer.Option("--as-of", metavar="DATE", formats=["%Y-%m-%d"], help="The day to level for. Default: today."),
]
