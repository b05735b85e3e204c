"""Day one without writing: the tiers people keep by hand beside the tiers the numbers give, and what decides each."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crmsync.errors import ConfigError, StoreError
from crmsync.programs.program import Program, StartsFrom, Tier
from crmsync.snapshots import Snapshot
from crmsync.spreadsheets import harmless_cell
from crmsync.writeback.inputs import partner_facts, standing_rows
from crmsync.writeback.wording import Standing, label_of_category, label_of_tier, what_it_meets, what_it_misses

EMPTY = "(empty)"
HEADER = ("partner_id", "name", "category", "hand_kept", "calculated", "direction", "decided_by")


@dataclass(frozen=True)
class Cell:
    """How many partners of a category hold this tier by hand and that one by the numbers (labels)."""

    category: str
    hand_kept: str
    calculated: str
    partners: int


@dataclass(frozen=True)
class Difference:
    """One partner whose hand-kept tier is not the calculated one. `direction`: up, down, or other (not comparable)."""

    partner_id: str
    name: str | None
    category: str
    hand_kept: str
    calculated: str
    direction: str
    decided_by: str


@dataclass(frozen=True)
class Comparison:
    """Hand-kept against calculated tiers. Shape: cells by category and ladder order, differences by partner."""

    compared: int
    cells: tuple[Cell, ...]
    differences: tuple[Difference, ...]

    @property
    def lines(self) -> list[str]:
        """The comparison as text: one line per cell, then one per difference."""
        agreeing = self.compared - len(self.differences)
        shown = [f"{self.compared} standings compared, {agreeing} agree, {len(self.differences)} differ"]
        shown += [f"{c.category}: {c.hand_kept} by hand, {c.calculated} calculated: {c.partners}" for c in self.cells]
        return shown + [
            f"{d.name or d.partner_id} ({d.category}): {d.hand_kept} → {d.calculated}: {d.decided_by}"
            for d in self.differences
        ]


def compare(program: Program, snapshot: Snapshot, standings: pa.Table) -> Comparison:
    """The comparison of this program's `starts_from` with the calculated tiers.

    Errors: ConfigError when the program names no hand-kept tiers, or their column was not delivered.
    """
    starts = {key: c.starts_from or program.starts_from for key, c in program.categories.items()}
    by_hand = _by_hand(snapshot, {start.column: start for start in starts.values() if start}, program)
    facts = partner_facts(snapshot, program)
    cells: Counter[tuple[str, str, str]] = Counter()
    differences = []
    for row in standing_rows(standings, program.key):
        start = starts.get(row["category"].partition("/")[0])
        if row["partner_id"] in snapshot.rejected_partners:
            continue  # nothing was calculated, and the hand-kept tier was not read
        if start is None or not (row.get("granted_tier") or row.get("calculated_tier")):
            continue
        told = _Told(program, row, start, by_hand.get(row["partner_id"], {}).get(_column(start)))
        if told.speaks_of_another_ladder:
            continue
        cells[told.cell] += 1
        if told.differs:
            known = facts.get(row["partner_id"])
            differences.append(told.difference(known.name if known else None, known.attributes if known else {}))
    return Comparison(cells.total(), tuple(_ordered(program, cells)), tuple(differences))


@dataclass(frozen=True)
class _Told:
    """One standing beside the hand-kept text."""

    program: Program
    row: Standing
    start: StartsFrom
    text: str | None

    @property
    def tier(self) -> Tier | None:
        """The tier that the hand-kept text stands for: a mapped text, a key, or a label."""
        key = self.start.values.get(self.text or "", self.text)
        fits = (tier for tier in self._tiers if key in (tier.key, tier.label))
        return next(fits, None)

    @property
    def speaks_of_another_ladder(self) -> bool:
        """Whether the text names a tier of a ladder that this category does not climb: nothing to compare."""
        others = [tier for ladder in self.program.ladders.values() for tier in ladder.tiers]
        key = self.start.values.get(self.text or "", self.text)
        return self.tier is None and any(key in (tier.key, tier.label) for tier in others)

    @property
    def _tiers(self) -> tuple[Tier, ...]:
        return self.program.ladder_of(self.row["category"].partition("/")[0]).tiers

    @property
    def cell(self) -> tuple[str, str, str]:
        """Category, hand-kept and calculated tier, as people call them."""
        category = self.row["category"]
        hand_kept = self.tier.label if self.tier else self.text or EMPTY
        calculated = label_of_tier(self.program, category, self.row.get("calculated_tier")) or EMPTY
        return label_of_category(self.program, category), hand_kept, calculated

    @property
    def differs(self) -> bool:
        """Whether the numbers give another tier than the hand-kept one."""
        return (self.tier.key if self.tier else None) != self.row.get("calculated_tier")

    @property
    def direction(self) -> str:
        """Whether the numbers give more or less; `other` where the hand-kept text is no tier."""
        keys = [tier.key for tier in self._tiers]
        calculated = self.row.get("calculated_tier")
        if self.tier is None:
            return "other"
        return "up" if calculated in keys[keys.index(self.tier.key) + 1 :] else "down"

    def difference(self, name: str | None, attributes: Mapping[str, str | None]) -> Difference:
        """The difference with the criterion that decides it."""
        meets = what_it_meets(self.program, self.row, attributes)
        misses = what_it_misses(self.program, self.row, attributes)
        decided = (misses or meets) if self.direction == "down" else (meets or misses)
        return Difference(self.row["partner_id"], name, *self.cell, self.direction, decided or "asks for nothing")


def _by_hand(snapshot: Snapshot, starts: Mapping[str, StartsFrom], program: Program) -> dict[str, dict[str, Any]]:
    if not starts:
        raise ConfigError(
            "it has no `starts_from:`, so there are no hand-kept tiers to compare with", file=_file(program)
        )
    partners = snapshot.tables.get("partners")
    columns = sorted({_column(start) for start in starts.values()})
    for column in columns:
        if partners is None or column not in partners.columns:
            raise ConfigError(f"starts_from names partners.{column}, which was not delivered", file=_file(program))
    assert partners is not None
    table = pq.read_table(partners.path, columns=["partner_id", *columns])
    return {row["partner_id"]: row for row in table.to_pylist()}


def _column(start: StartsFrom) -> str:
    return start.column.removeprefix("partners.")


def _file(program: Program) -> str:
    return str(program.file)


def _ordered(program: Program, cells: Mapping[tuple[str, str, str], int]) -> Iterator[Cell]:
    labels = [tier.label for ladder in program.ladders.values() for tier in ladder.tiers]
    rank = {label: position for position, label in reversed(list(enumerate(labels)))}

    def order(cell: tuple[str, str, str]) -> tuple[object, ...]:
        return cell[0], rank.get(cell[1], len(rank)), rank.get(cell[2], len(rank)), cell

    yield from (Cell(*cell, cells[cell]) for cell in sorted(cells, key=order))


def save_comparison(comparison: Comparison, path: Path) -> None:
    """Save the differences as CSV for a spreadsheet, with the cells in a second file beside it (`….cells.csv`)."""
    differences = [tuple(vars(difference).values()) for difference in comparison.differences]
    cells = [tuple(vars(cell).values()) for cell in comparison.cells]
    _write(path, HEADER, differences)
    _write(path.with_suffix(".cells.csv"), ("category", "hand_kept", "calculated", "partners"), cells)


def _write(path: Path, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            writer.writerows([harmless_cell(cell) for cell in row] for row in rows)
    except OSError as error:
        raise StoreError(f"{path}: the comparison cannot be saved ({error})") from error
