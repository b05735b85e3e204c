"""The commands of setting up: `init`, `discover`, `check`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from crmsync.cli_options import Config, Json
from crmsync.errors import ConfigError
from crmsync.exits import DONE, ends_with


def add_setup(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command()(init)
    app.command()(discover)
    app.command()(check)


def init(
    template: Annotated[
        str | None, typer.Option(metavar="NAME", help="The program to start from. Without any flag: list them, or ask.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write to. Default: config, of a program alone this folder."),
    ] = None,
    org: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Write a whole configuration: sandbox (embedded), salesforce, or files."),
    ] = None,
    instance_url: Annotated[
        str | None, typer.Option("--instance-url", metavar="URL", help="Address of the Salesforce org.")
    ] = None,
    login: Annotated[
        str | None, typer.Option(metavar="KIND", help="client_credentials or jwt. Default: client_credentials.")
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option("--time-zone", metavar="ZONE", help="Whose day is today. Default: UTC.")
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Keep this category of the template; may be repeated.")
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FROM", help="A table from salesforce, files:FOLDER or nowhere; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a configuration to start from, asking on a terminal; or one program; or list the programs there are."""
    from crmsync import reports

    flags = (org, instance_url, login, time_zone, category, table)
    if template is None and not any(flags) and not _on_terminal():
        from crmsync.studies.templates import templates

        ends_with(DONE, reports.templates_report(templates(), json))
    if template is not None and not any(flags):
        from crmsync.studies.templates import write_template

        ends_with(DONE, reports.init_report(write_template(template, to or Path()), json))
    from crmsync import setting_up

    default = setting_up.Answers()
    answers = setting_up.Answers(
        org=org or default.org,
        template=template or default.template,
        login=login or default.login,
        instance_url=instance_url or default.instance_url,
        time_zone=time_zone or default.time_zone,
        categories=tuple(category or ()),
        tables=_pairs(table or ()),
    )
    if template is None and not any(flags):
        answers = setting_up.interview(_Terminal(), answers)
    ends_with(DONE, reports.set_up_report(setting_up.set_up(answers, to or DEFAULT_DIR), json))


DEFAULT_DIR = Path("config")


def _pairs(given: Sequence[str]) -> dict[str, str]:
    """`certifications=files:lms` as table and source."""
    pairs = {}
    for one in given:
        name, equals, source = one.partition("=")
        if not equals or not source:
            raise ConfigError(f"--table {one}: write NAME=FROM, such as certifications=files:lms")
        pairs[name] = source
    return pairs


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


class _Terminal:
    """Asks on the terminal."""

    def __call__(self, question: str) -> str:
        """The answer as it was typed. Errors: EOFError."""
        return input(question)

    def tell(self, line: str) -> None:
        """Say something between two questions."""
        print(line)


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
