"""The command line: one small function per command.

What a command does stands in pipeline.py (over a CRM) and offline.py (over a folder), what it prints in reports.py.
Heavy modules are imported inside the commands, so that `crmsync --help` answers at once.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from crmsync.cli_ledger import add_ledger
from crmsync.cli_notices import add_notices
from crmsync.cli_options import AsOf, Config, Json, a_day
from crmsync.cli_setup import add_setup
from crmsync.cli_worker import add_worker
from crmsync.errors import ConfigError
from crmsync.exits import DONE, FAILED, PARKED, ends_with, guarded
from crmsync.without_pandas import keep_pandas_out

app = typer.Typer(
    name="crmsync",
    help="Pulls a partner base out of a CRM, levels it by the rules of a program, and writes the tiers back.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
sandbox = typer.Typer(
    help="CRMs on loopback with a sample company, to rehearse a program on.",
    rich_markup_mode=None,
)
app.add_typer(sandbox, name="sandbox")
deploy = typer.Typer(
    help="Makes, checks and removes the fields, views and permission sets that write-back needs in the CRM.",
    rich_markup_mode=None,
)
app.add_typer(deploy, name="deploy")
add_setup(app)
add_ledger(app)
add_notices(app)
add_worker(app)

Project = Annotated[
    Path | None,
    typer.Option("--to", metavar="DIR", help="Write it there as an SFDX project instead, and change nothing."),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"crmsync {version('crmsync')}")  # our own words: nothing to hide or to escape
        raise SystemExit(DONE)


@app.callback()
def _whole(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@app.command()
def run(config: Config = None, as_of: AsOf = None, json: Json = False) -> None:
    """Extract, assess, plan and apply, unless a guard blocks the plan."""
    from crmsync import pipeline, reports

    with pipeline.opened(config) as belt:
        result = pipeline.run(belt, _day(as_of))
    ends_with(result.exit_code, reports.run_report(result, json))


@app.command()
def plan(
    config: Config = None,
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also save the plan to this file.")] = None,
    shadow: Annotated[bool, typer.Option(help="Compare with the hand-kept tiers; write nothing, end with 0.")] = False,
    json: Json = False,
) -> None:
    """Extract, assess and save what would be written, without writing it."""
    from crmsync import pipeline, reports

    with pipeline.opened(config) as belt:
        result = (pipeline.shadow if shadow else pipeline.plan)(belt, _day(as_of), out)
    ends_with(result.exit_code, reports.plan_report(result, json))


@app.command()
def apply(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A plan file, or the first digits of a plan's digest.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Write exactly what a saved plan says."""
    from crmsync import past, pipeline, reports

    past.check_plan(config, plan)
    with pipeline.opened(config) as belt:
        result = pipeline.apply(belt, plan)
    ends_with(result.exit_code, reports.apply_report(result, json))


@app.command()
def approve(
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="The first digits of a blocked plan's digest.")],
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who approves. Default: who is logged in.")] = None,
    json: Json = False,
) -> None:
    """Open a plan that a guard has blocked, after somebody has looked at it."""
    from crmsync import past, reports

    ends_with(DONE, reports.approval_report(past.approve_plan(digest, by), json))


@app.command()
def status(json: Json = False) -> None:
    """Tell when the last run was, what it did, and what is open."""
    from crmsync import past, reports

    ends_with(DONE, reports.status_report(past.read_status(), json))


@app.command()
def assess(
    program: Annotated[Path, typer.Argument(metavar="PROGRAM", help="A program file, or a folder of them.")],
    tables: Annotated[Path, typer.Option(metavar="DIR", help="Folder with one CSV or Parquet file per table.")],
    as_of: Annotated[datetime, typer.Option("--as-of", metavar="DATE", parser=a_day, help="The day to level for.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Standings, as .csv, .jsonl or .parquet.")],
    previous: Annotated[Path | None, typer.Option(metavar="FILE", help="The standings before these.")] = None,
    engine: Annotated[str, typer.Option(metavar="NAME", help="duckdb or spark.")] = "duckdb",
    json: Json = False,
) -> None:
    """Compute the standings of every partner from a folder of tables."""
    from crmsync import offline, reports

    result = offline.assess_folder(program, tables, as_of.date(), out, previous, engine)
    ends_with(result.exit_code, reports.assess_report(result, json), to_stderr=not json)


@app.command()
def explain(
    partner: Annotated[str, typer.Argument(metavar="PARTNER", help="A partner_id, or the CRM's id of the account.")],
    category: Annotated[str | None, typer.Option(metavar="KEY", help="Only this category.")] = None,
    program: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A program file; needs --tables, --as-of.")
    ] = None,
    tables: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder with one file per table.")] = None,
    as_of: AsOf = None,
    previous: Annotated[Path | None, typer.Option(metavar="FILE", help="The standings before, if any.")] = None,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="A run of the ledger: id, or `last`.")] = None,
    why_not: Annotated[
        str | None, typer.Option("--why-not", metavar="TIER", help="What is missing on every path to this tier.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show how one partner's tier follows from the records that count, and what a run wrote."""
    from crmsync import offline, past, reports

    if run is not None:
        _refuse_beside("--run", {"--program": program, "--tables": tables, "--as-of": as_of, "--previous": previous})
        ends_with(DONE, reports.explained_run_report(past.explain_run(config, run, partner, category, why_not), json))
    if program is None or tables is None or as_of is None:
        raise ConfigError("explain needs either --run RUN, or all of --program, --tables and --as-of")
    explained = offline.explain_folder(program, tables, as_of.date(), partner, category, previous, why_not)
    ends_with(DONE, reports.explain_report(explained, json))


@app.command("test")
def run_tests(
    programs: Annotated[
        list[Path], typer.Argument(metavar="PROGRAM", help="Program files, or folders of them.", show_default=False)
    ],
    json: Json = False,
) -> None:
    """Run the cases that programs carry as their own tests; ends with 1 where one fails."""
    from crmsync import reports
    from crmsync.studies.cases import run_cases

    _quiet_logs()
    results = [result for path in programs for result in run_cases(path)]
    ends_with(DONE if all(result.passed for result in results) else FAILED, reports.cases_report(results, json))


@app.command()
def backtest(
    program: Annotated[Path, typer.Argument(metavar="PROGRAM", help="A program file, or a folder of them.")],
    tables: Annotated[Path, typer.Option(metavar="DIR", help="Folder with one CSV or Parquet file per table.")],
    start: Annotated[
        datetime, typer.Option("--from", metavar="DATE", parser=a_day, help="The first day to level for.")
    ],
    end: Annotated[datetime, typer.Option("--to", metavar="DATE", parser=a_day, help="The last day to level for.")],
    every: Annotated[
        str, typer.Option(metavar="PERIOD", help="day, week, month, quarter, year, or a stretch like `30 days`.")
    ] = "month",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also keep all standings, as .csv, .jsonl or .parquet.")
    ] = None,
    json: Json = False,
) -> None:
    """Level one date after the other over the same tables, and show who moved between them."""
    from crmsync import reports
    from crmsync.progress import progress_bars
    from crmsync.studies.backtest import dates_of, run_backtest

    _quiet_logs()
    with progress_bars() as progress:
        result = run_backtest(program, tables, dates_of(start.date(), end.date(), every), out, progress)
    ends_with(PARKED if result.rejected else DONE, reports.backtest_report(result, json))


@app.command()
def lint(
    programs: Annotated[
        list[Path], typer.Argument(metavar="PROGRAM", help="Program files, or folders of them.", show_default=False)
    ],
    tables: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Look for its columns and texts in this folder of tables, too.")
    ] = None,
    json: Json = False,
) -> None:
    """Tell what a program allows but hardly means: tiers nobody reaches, dead criteria, cliffs; ends with 0."""
    from crmsync import reports
    from crmsync.studies.linting import lint_programs

    _quiet_logs()
    findings = [finding for path in programs for finding in lint_programs(path, tables)]
    ends_with(DONE, reports.lint_report(findings, json))


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to this file instead.")] = None,
) -> None:
    """Print the JSON Schema of a program file, for completion and help texts in an editor."""
    from crmsync.programs.schema import save_schema, schema_text

    if out is None:
        ends_with(DONE, schema_text())
    save_schema(out)
    ends_with(DONE, f"schema of program files: {out}", to_stderr=True)


@app.command()
def guide(
    program: Annotated[Path, typer.Argument(metavar="PROGRAM", help="A program file, or a folder of its versions.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it here, as .md or .html. Default: Markdown on stdout.")
    ] = None,
    json: Json = False,
) -> None:
    """Write the program as its partners read it: tiers, requirements by region, calendars, benefits."""
    from crmsync import reports
    from crmsync.studies.guides import write_guide

    _quiet_logs()
    ends_with(DONE, reports.guide_report(write_guide(program, out), json))


@deploy.command("plan")
def deploy_plan(config: Config = None, to: Project = None, json: Json = False) -> None:
    """Show what the CRM lacks or has otherwise; ends with 2 where a deploy would change something."""
    from crmsync import deploying, reports

    result = deploying.plan(config, to)
    ends_with(result.exit_code, reports.deploy_report(result, json))


@deploy.command("apply")
def deploy_apply(
    config: Config = None,
    to: Project = None,
    assign: Annotated[
        str | None, typer.Option(metavar="USERNAME", help="Also give this user the permission set of the run user.")
    ] = None,
    json: Json = False,
) -> None:
    """Make what is missing and widen what is too small; never shortens, removes or overwrites anything."""
    from crmsync import deploying, reports

    result = deploying.apply(config, to, assign)
    ends_with(result.exit_code, reports.deploy_report(result, json))


@deploy.command("verify")
def deploy_verify(config: Config = None, json: Json = False) -> None:
    """Tell whether the CRM has everything and this login sees it; ends with 3 where something differs."""
    from crmsync import deploying, reports

    result = deploying.verify(config)
    ends_with(result.exit_code, reports.deploy_report(result, json))


@deploy.command("remove")
def deploy_remove(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Account.Field__c, Object__c, a permission set, …")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that a deploy has made.")] = False,
    digest: Annotated[
        str | None, typer.Option(metavar="DIGEST", help="Remove it: the digest that was shown without this.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Remove what a deploy has made, with what is stored in it; without --digest only shown."""
    from crmsync import deploying, reports

    result = deploying.remove(config, names or (), every, digest)
    ends_with(result.exit_code, reports.removal_report(result, json))


@sandbox.command("salesforce")
def sandbox_salesforce(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on loopback; 0: any free one.")] = 0,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="One CSV per object, and schema.yaml.")] = None,
    sample: Annotated[int | None, typer.Option(min=1, metavar="N", help="A made-up company of N partners.")] = None,
    opportunities: Annotated[int | None, typer.Option(min=0, metavar="N", help="How many the sample has.")] = None,
    certifications: Annotated[int | None, typer.Option(min=0, metavar="N", help="How many the sample has.")] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="S", help="Seed of the sample company.")] = 1,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the org here. Default: nowhere.")] = None,
    today: Annotated[
        datetime | None, typer.Option(metavar="DATE", parser=a_day, help="The org's clock. Default: today.")
    ] = None,
    latency: Annotated[int, typer.Option(min=0, metavar="MS", help="Delay every answer by so many ms.")] = 0,
    jwt_public_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM certificate or public key for the JWT login.")
    ] = None,
    daily_requests: Annotated[int, typer.Option(min=0, metavar="N", help="API allowance of a day.")] = 115_000,
    least_privilege: Annotated[
        bool, typer.Option("--least-privilege", help="The integration user has only what permission sets grant.")
    ] = False,
) -> None:
    """Serve a Salesforce org on loopback; its first line on stdout says how to log in, as JSON."""
    from crmsync.sandbox.server import SandboxError, serve

    try:
        serve(
            port=port, data=data, sample=sample, seed=seed, state=state, today=_day(today), latency_ms=latency,
            jwt_public_key=jwt_public_key, daily_requests=daily_requests, least_privilege=least_privilege,
            opportunities=opportunities, certifications=certifications,
        )  # fmt: skip
    except SandboxError as error:
        raise ConfigError(f"the sandbox org cannot be started: {error}") from error


@sandbox.command("copy")
def sandbox_copy(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A new or empty folder.")],
    config: Config = None,
    names: Annotated[
        str | None,
        typer.Option(metavar="masked", help="Made-up names, addresses and texts. Default: as in the org."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most N partners, and what belongs to them.")
    ] = None,
    json: Json = False,
) -> None:
    """Copy schema and data of the configured org, read only, for `sandbox salesforce --data DIR`."""
    from crmsync import copying, reports

    ends_with(DONE, reports.copy_report(copying.copy_to_folder(config, to, names, limit), json))


def _quiet_logs() -> None:
    """Logs as the settings ask for, of commands that belong to no run."""
    from crmsync.logs import configure_logs
    from crmsync.settings import load_settings

    configure_logs(load_settings().log_level)


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _refuse_beside(flag: str, others: dict[str, object]) -> None:
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise ConfigError(f"{flag} takes program, tables and date from the ledger; leave out {', '.join(given)}")


def main() -> None:
    """Run the command line and leave with its exit code."""
    keep_pandas_out()
    guarded(app)
