"""Falling: the standings whose tier will be lost until the horizon, numbered, and what is told of each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crmsync.levelling import sql
from crmsync.levelling.engine import Engine

FALLING, FALLING_TIERS = "falling", "falling_tiers"
AT_RISK = pa.array(["high", "medium"])
"""The risk of those who will lose a tier."""


def read_falling(engine: Engine) -> pa.Table:
    """(partner_id, category, granted) in order; the row is the place of a standing. Reads the table `standing`."""
    granted = sql.named(sql.col("granted_position"), "granted")
    wanted = [sql.col("partner_id"), sql.col("category"), granted]
    rows = engine.read(sql.distinct(wanted, sql.table("standing"), sql.col("lost_ahead")))
    return rows.sort_by([("partner_id", "ascending"), ("category", "ascending")]).combine_chunks()


def register_falling(engine: Engine, falling: pa.Table) -> None:
    """Make the tables `falling` (number, partner_id), a row per account, and `falling_tiers` (number, place, category,
    granted)."""
    partners = falling.column("partner_id").combine_chunks()
    accounts = pc.unique(partners)
    engine.register(FALLING, pa.table({"number": np.arange(len(accounts)), "partner_id": accounts}))
    tiers = falling.select(["category", "granted"])
    tiers = tiers.append_column("number", pc.cast(pc.index_in(partners, value_set=accounts), pa.int64()))
    engine.register(FALLING_TIERS, tiers.append_column("place", pa.array(np.arange(falling.num_rows))))


def place_of(falling: pa.Table, rows: pa.Table) -> pa.Array:
    """The place of each row (partner_id, category); null where its tier is not lost."""
    return pc.index_in(_keys(rows), value_set=_keys(falling))


def _keys(rows: pa.Table) -> pa.Array:
    both = [rows.column(name).combine_chunks().cast(pa.string()) for name in ("partner_id", "category")]
    return pc.binary_join_element_wise(*both, "\n")


@dataclass(frozen=True)
class Told:
    """What is told of the standings at each place: the day of loss (null: not found), and what lapses until then."""

    falling: pa.Table
    lost_on: pa.Array
    lapses: pa.ListArray

    def into(self, standings: pa.Table) -> pa.Table:
        """Standings with their days of loss in `risk_on` and what lapses behind the reasons of their risk."""
        row, place = self._found(standings)
        if not len(row):
            return standings
        at = np.full(standings.num_rows, -1, dtype=np.int64)
        at[row] = place
        days = self.lost_on.take(pa.array(at, mask=at < 0))
        standings = _with(standings, "risk_on", pc.coalesce(standings.column("risk_on"), pa.chunked_array([days])))
        reasons = standings.column("risk_reasons").combine_chunks()
        return _with(standings, "risk_reasons", _side_by_side(reasons, self.lapses, at))

    def _found(self, standings: pa.Table) -> tuple[np.ndarray, np.ndarray]:
        """The rows whose tier will be lost, with their places."""
        at_risk = pc.is_in(standings.column("risk"), value_set=AT_RISK)
        rows = pc.indices_nonzero(at_risk)
        if not len(rows):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        asked = standings.select(["partner_id", "category"]).take(rows)
        here = pc.min_max(asked.column("partner_id")).as_py()
        partners = self.falling.column("partner_id")
        within = pc.and_(pc.greater_equal(partners, here["min"]), pc.less_equal(partners, here["max"]))
        mine = pc.indices_nonzero(within)
        found = place_of(self.falling.take(mine), asked)
        known = pc.is_valid(found).to_numpy(zero_copy_only=False)
        row = rows.to_numpy()[known].astype(np.int64)
        return row, mine.take(found.drop_null()).to_numpy().astype(np.int64)


def lists_by_place(texts: pa.Table, places: int) -> pa.ListArray:
    """The texts of each place, from (place, text) in order."""
    counts = np.bincount(texts.column("place").to_numpy(), minlength=places)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), texts.column("text").combine_chunks())


def _with(standings: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return standings.set_column(standings.column_names.index(name), name, values)


def _side_by_side(left: pa.ListArray, right: pa.ListArray, at: np.ndarray) -> pa.ListArray:
    """Each list of `left` with the list of `right` at its place behind it; nothing at place -1."""
    offsets, starts = left.offsets.to_numpy().astype(np.int64), right.offsets.to_numpy().astype(np.int64)
    place = np.where(at >= 0, at, 0)
    start = starts[place]
    count = np.where(at >= 0, starts[place + 1] - start, 0)
    lengths = np.diff(offsets)
    ends = np.cumsum(lengths + count)
    begins = ends - (lengths + count)
    taken = np.empty(int(ends[-1]) if len(ends) else 0, dtype=np.int64)
    taken[np.repeat(begins, lengths) + _from_zero(lengths)] = np.repeat(offsets[:-1], lengths) + _from_zero(lengths)
    behind = np.repeat(begins + lengths, count) + _from_zero(count)
    taken[behind] = len(left.values) + np.repeat(start, count) + _from_zero(count)
    values = pa.concat_arrays([left.values, right.values.cast(left.values.type)]).take(pa.array(taken))
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]).astype(np.int32)), values)


def _from_zero(lengths: np.ndarray) -> np.ndarray:
    """0, 1, 2 … for each length, one after the other."""
    whole: np.ndarray = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return whole
