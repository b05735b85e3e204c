"""The overrides of the standings: what is in force for each row, with the tier that there would be without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.levelling.overrides import BOUNDS, MEASURED, Entry, Overrides

FIELDS = ("kind", "value", "ends_on", "reason", "tier_without")
ENTRIES = pa.list_(pa.struct([(name, pa.string()) for name in FIELDS]))


def with_entries(overrides: Overrides, without: pa.Table | None) -> Callable[[pa.Table], pa.Table]:
    """Gives standings with their overrides. `without`: calculated tiers without those that change them, by place."""
    mine: dict[tuple[str, str], list[Entry]] = {}
    for entry in overrides.entries:
        mine.setdefault((entry.partner_id, entry.category), []).append(entry)
    bare = _bare_tiers(without)
    return lambda standings: _into(standings, mine, bare)


Bare = Mapping[tuple[str, str], str | None]


def _into(standings: pa.Table, mine: Mapping[tuple[str, str], list[Entry]], bare: Bare) -> pa.Table:
    partners = pc.is_in(standings.column("partner_id"), value_set=pa.array({one for one, _ in mine}, pa.string()))
    lengths = np.zeros(len(standings), dtype=np.int32)
    listed: list[dict[str, Any]] = []
    columns = ("partner_id", "category", "earned_tier", "calculated_tier", "movement")
    for at in np.flatnonzero(partners.to_numpy()):
        row = {name: standings.column(name)[int(at)].as_py() for name in columns}
        found = mine.get((row["partner_id"], row["category"].split("/", 1)[0]), [])
        if row["movement"] in (None, "left"):
            continue
        listed += [_entry(one, row, bare) for one in found]
        lengths[at] = len(found)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32))).astype(np.int32)
    values = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(listed, ENTRIES.value_type))
    at = standings.column_names.index("overrides")
    return standings.set_column(at, "overrides", values)


def _entry(one: Entry, row: Mapping[str, Any], bare: Bare) -> dict[str, Any]:
    """What there would be without it: the earned tier for those that bound it, else the calculated tier."""
    if one.kind in MEASURED:
        without = bare.get((row["partner_id"], row["category"]))
    else:
        without = row["earned_tier"] if one.kind in BOUNDS else None
    return {
        "kind": one.kind,
        "value": one.value,
        "ends_on": one.ends_on.isoformat() if one.ends_on else None,
        "reason": one.reason,
        "tier_without": without,
    }


def without_measured(rows: pa.Table) -> pa.Table:
    """Of the rows of a day that was turned without overrides, what `with_entries` reads."""
    return rows.select(["partner_id", "category", "calculated_tier"])


def _bare_tiers(rows: pa.Table | None) -> dict[tuple[str, str], str | None]:
    if rows is None:
        return {}
    columns = (rows.column(name).to_pylist() for name in ("partner_id", "category", "calculated_tier"))
    return {(partner, category): tier for partner, category, tier in zip(*columns, strict=True)}
