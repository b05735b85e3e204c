"""Programs as text, and what the tables of the tests hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crmsync.programs.loading import load_program
from crmsync.programs.names import Scope, Tables
from crmsync.programs.program import Program, Unit
from crmsync.tables import CANONICAL, ColumnType

GOOD = Path(__file__).parent / "good.yaml"

COLUMNS: Mapping[str, Mapping[str, ColumnType]] = {
    **{table.name: table.columns for table in CANONICAL.values()},
    "partners": {
        **CANONICAL["partners"].columns,
        "current_tier": ColumnType.TEXT,
        "segment": ColumnType.TEXT,
        "churn_pct": ColumnType.NUMBER,
        "has_plan": ColumnType.YES_NO,
    },
    "lines": {
        "partner_id": ColumnType.TEXT,
        "mrr": ColumnType.NUMBER,
        "plan": ColumnType.TEXT,
        "happened_on": ColumnType.DATE,
    },
}

HEAD = """\
program: resellers
currency: EUR
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months}
  people: {unit: people, count_distinct: certifications.person_id}
  rate: {unit: percent, formula: revenue / 1000}
  plan: {unit: yes_no, field: partners.has_plan}
  level: {unit: text, field: partners.segment}
"""
LADDER = """\
ladders:
  main:
    tiers:
      - registered
      - {key: gold, requires: {revenue: 500000}}
"""


def loaded(folder: Path, text: str, columns: Mapping[str, Mapping[str, ColumnType]] | None = COLUMNS) -> Program:
    """The program of this text, written to a file of the folder."""
    file = folder / "program.yaml"
    file.write_text(text, encoding="utf-8")
    return load_program(file, columns)


def asking(folder: Path, requires: str) -> Program:
    """A program whose gold tier requires this (YAML in flow style, or indented by ten)."""
    return loaded(
        folder,
        f"{HEAD}ladders:\n  main:\n    tiers:\n      - registered\n      - key: gold\n        requires: {requires}\n",
    )


def row_scope(table: str = "opportunities") -> Scope:
    """What an expression over the rows of a table sees."""
    return Scope(Tables(COLUMNS), table, {}, {"won": Unit.NUMBER})


def partner_scope() -> Scope:
    """What an expression over metrics and partner columns sees."""
    units = {"won": Unit.NUMBER, "lost": Unit.NUMBER, "rate": Unit.PERCENT, "plan": Unit.YES_NO, "level": Unit.TEXT}
    return Scope(Tables(COLUMNS), None, {}, units)
