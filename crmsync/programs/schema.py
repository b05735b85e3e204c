"""The JSON Schema (draft 2020-12) of a program file, for completion and hover texts in an editor.

It knows the shape: keys, words and forms. Names of metrics, columns and tiers, and what fits what, are checked by
`loading.py` alone. Tests compare its keys with those that the reader asks for.
"""

from __future__ import annotations

import json
from pathlib import Path

from crmsync.errors import ConfigError, StoreError
from crmsync.programs.program import Headline
from crmsync.programs.schema_metrics import metrics_schema, points_schema
from crmsync.programs.schema_movement import every_schema, fiscal_year_schema, movement_schema
from crmsync.programs.schema_shapes import (
    METRIC,
    Schema,
    day,
    described,
    either,
    keys,
    named,
    number,
    pattern,
    ref,
    some,
    stretch,
    text,
    words,
)
from crmsync.programs.schema_tiers import (
    benefit_schema,
    categories_schema,
    commission_schema,
    costs_schema,
    criteria_schema,
    family_schema,
    ladders_schema,
    migration_schema,
    rate_schema,
    requirement_schema,
    starts_from_schema,
    threshold_schema,
    thresholds_schema,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def program_schema() -> Schema:
    """The schema of a whole program file."""
    return {
        "$schema": DIALECT,
        "title": "Partner program",
        **keys({**_head(), **_rules(), **_people(), **_change(), **_money()}, ("program", "metrics", "ladders")),
        "$defs": {
            "benefit": benefit_schema(),
            "criteria": criteria_schema(),
            "family": family_schema(),
            "movement": movement_schema(),
            "points": points_schema(),
            "rate": rate_schema(),
            "requirement": requirement_schema(),
            "starts_from": starts_from_schema(),
            "threshold": threshold_schema(),
        },
    }


def schema_text() -> str:
    """The schema as JSON text, the same on every call."""
    return json.dumps(program_schema(), indent=2, ensure_ascii=False)


def save_schema(file: Path) -> None:
    """Write the schema to a file. Errors: ConfigError for a folder that is not there, StoreError for the disk."""
    if not file.parent.is_dir():
        raise ConfigError(f"--out {file}: the folder {file.parent} does not exist")
    try:
        file.write_text(schema_text() + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{file}: the schema cannot be written ({error.strerror})") from error


def _head() -> dict[str, Schema]:
    return {
        "program": described(pattern("[A-Za-z][A-Za-z0-9_-]*"), "The stable name of the program."),
        "label": described(text(), "The name that people see. Default: the key."),
        "means": described(text(), "What the program is for; text of the guide."),
        "effective_from": described(day(), "From which day on this version holds."),
        "fiscal_year": described(fiscal_year_schema(), "Where fiscal years start. Default: 01-01."),
        "references": described(_references(), "CSV files beside the program, looked up by key columns."),
        "cases": described(_cases(), "The program's own unit tests, or the file with them; `crmsync test` runs them."),
    }


def _rules() -> dict[str, Schema]:
    return {
        "metrics": described(metrics_schema(), "Numbers, yes/no and texts per partner, each with one source."),
        "ladders": described(ladders_schema(), "Tiers, lowest first, and what each asks for."),
        "thresholds": described(thresholds_schema(), "Values of criteria in a table, by tier and attributes."),
        "family": described(ref("family"), "What standings of other accounts of the tree give."),
        "effort": described(
            named(either(number(), pattern(r"\S+ per \S+", "1 per 1000")), METRIC, 0),
            "What one unit of a metric costs a partner; decides the shortest path to the next tier.",
        ),
        "risk": described(
            keys(
                {
                    "horizon": described(stretch(), "How far ahead risk looks. Default: 90 days."),
                    "pace": described(stretch(), "The past that the current pace is taken from. Default: 6 months."),
                    "near": described(number(), "What counts as close to a threshold. Default: 10%."),
                }
            ),
            "How the risk of losing a tier is judged.",
        ),
    }


def _people() -> dict[str, Schema]:
    return {
        "takes_part": described(text(), "Who is assessed: a condition over columns of partners. Default: everybody."),
        "categories": described(categories_schema(), "Segments; a partner may be in several, each with a tier."),
        "declared": described(text(), "The column with the declared categories: partners.column."),
        "headline": described(words(*Headline), "Which category's tier is the account's. Default: highest."),
        "primary": described(named(text()), "Category: the metric that is its yardstick. The largest is primary."),
    }


def _change() -> dict[str, Schema]:
    return {
        "movement": described(ref("movement"), "When tiers change. Default: on any day, at once."),
        "starts_from": described(ref("starts_from"), "Hand-kept tiers that count as earned on the first run."),
        "reassess": described(every_schema(), "How often somebody looks at the categories of a partner again."),
        "migration": described(migration_schema(), "What the change from the version before leaves as it was."),
    }


def _money() -> dict[str, Schema]:
    return {
        "currency": described(pattern("[A-Z]{3}", "EUR", "USD"), "The currency that money is counted in."),
        "rates": described(
            {"type": "string", "examples": ["crm", "ecb"]},
            "Exchange rates: crm (the table rates), ecb (the European Central Bank's), or a CSV beside the program.",
        ),
        "money": described(some(text(), 0), "Further columns that hold money: table.column."),
        "commission": described(commission_schema(), "A rate in bands of a metric; joins the benefits."),
        "costs": described(costs_schema(), "What the program costs: formulas over benefits and metrics."),
    }


def _references() -> Schema:
    key = either(text(), some(text()), named(text(), ".+"))
    reference = keys(
        {
            "file": described(text(), "The CSV file, relative to the program."),
            "key": described(key, "Key columns; {column of the file: column of the record}."),
            "dated_by": described(text(), "The date of the record that picks the row in force (effective_from)."),
        },
        ("file", "key"),
    )
    return named(reference, least=0)


def _cases() -> Schema:
    given = {
        "metrics": described({"type": "object"}, "Values of metrics; those not named are unknown."),
        "partner": described({"type": "object"}, "Columns of the partner."),
    }
    expect = described(either({"type": "object"}, some({"type": "object"})), "What must come out.")
    step = keys({"date": described(day(), "The day."), **given, "expect": expect}, ("date",))
    case = keys(
        {
            "name": described(text(), "What the case shows."),
            **given,
            "tables": described(
                {"type": "object", "additionalProperties": some({"type": "object"}, 0)},
                "Rows of tables, instead of values.",
            ),
            "as_of": described(day(), "The day of the case."),
            "category": described(text(), "The category that is looked at, where there are several."),
            "previous": described(
                either({"type": "object"}, some({"type": "object"})),
                "The standing before, like {tier: gold, since: 2026-01-01}.",
            ),
            "expect": expect,
            "on": described(some(step), "A timeline: what is given and expected day after day."),
        }
    )
    return either({"type": "string"}, some(case, 0))
