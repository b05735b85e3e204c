"""Standings beside independently computed rows: which cells differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.programs.program import Program
from crmsync.snapshots import Snapshot
from tests.acceptance.sources import Row, read_rows

SHOWN = 5


def standings_by_key(standings: pa.Table, snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Standings by the partner's own key: column `number` where the snapshot has it, else the partner id."""
    partners = snapshot.tables["partners"]
    columns = partners.columns
    keys = {}
    if "number" in columns:
        rows = pq.read_table(partners.path, columns=["partner_id", "number"]).to_pylist()
        keys = {row["partner_id"]: row["number"] for row in rows}
    return {keys.get(row["partner_id"], row["partner_id"]): _plain(row) for row in standings.to_pylist()}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """JSON columns as Python values, however the table holds them."""
    for column in ("metrics", "gap"):
        if isinstance(row[column], str):
            row[column] = json.loads(row[column])
    row["metrics"] = dict(row["metrics"])
    return row


def expected_rows(path: Path, **where: str) -> list[dict[str, str]]:
    """The rows of an expected/ file that have these cells."""
    return [row for row in read_rows(path) if all(row[column] == cell for column, cell in where.items())]


def number_text(value: str | None, places: int) -> str | None:
    """A decimal text rounded half away from zero to so many places; None stays None."""
    if value is None:
        return None
    return f"{Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"


def metric(standing: Mapping[str, Any], key: str, places: int = 2) -> str | None:
    """A metric of a standing as rounded text; None when it is unknown."""
    return number_text(standing["metrics"][key], places)


def missing(standing: Mapping[str, Any], key: str, places: int = 0) -> str | None:
    """What is missing of a metric towards the next tier; 0 where that tier asks nothing of it, None at the top."""
    if standing["next_tier"] is None:
        return None
    amounts = [entry["missing"] for entry in standing["gap"] if entry["metric"] == key]
    return number_text(amounts[0] if amounts else "0", places)


def label(program: Program, tier: str | None) -> str | None:
    """The label of a tier key of the program's only ladder; None for no tier."""
    ladder = next(iter(program.ladders.values()))
    return next((step.label for step in ladder.tiers if step.key == tier), None)


def cell(text: str, places: int | None = None) -> str | None:
    """An expected cell: empty is None, a number is written with so many places."""
    if text == "":
        return None
    return text if places is None else number_text(text, places)


def differences(pairs: Iterable[tuple[str, str, Any, Any]]) -> str:
    """A short text about the (key, column, ours, theirs) that differ, empty when none does."""
    found = [f"{key} {column}: {ours!r} instead of {theirs!r}" for key, column, ours, theirs in pairs if ours != theirs]
    return "\n".join([f"{len(found)} cells differ", *found[:SHOWN]]) if found else ""


def keyed(rows: Iterable[Row], column: str) -> dict[str, Row]:
    """Rows by one column."""
    return {row[column]: row for row in rows}
