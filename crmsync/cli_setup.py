"""The commands of setting up: `init`, `discover`, `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crmsync.cli_options import Config, Json
from crmsync.exits import DONE, ends_with


def add_setup(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(init)
    app.command()(discover)
    app.command()(check)


def init(
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="The program to start from. Default: list them.")
    ] = None,
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write to.")] = Path(),
    json: Json = False,
) -> None:
    """Write a commented program file to start from, or list what there is."""
    from crmsync import reports
    from crmsync.studies.templates import templates, write_template

    if template is None:
        ends_with(DONE, reports.templates_report(templates(), json))
    ends_with(DONE, reports.init_report(write_template(template, to), json))


def discover(
    config: Config = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Write connectors/salesforce.yaml below it. Default: print it."),
    ] = None,
    json: Json = False,
) -> None:
    """Read the org's objects, fields and fill rates, and propose a field map with a reason per line; reads only."""
    from crmsync import discovering, reports

    ends_with(DONE, reports.discovery_report(discovering.discover(config, to), json))


def check(config: Config = None, json: Json = False) -> None:
    """Tell whether a run could succeed: login, permissions, fields, values, API allowance; ends with 4 if not."""
    from crmsync import checking, reports

    result = checking.check(config)
    ends_with(result.exit_code, reports.check_report(result, json))
