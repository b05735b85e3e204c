"""Standings brought into order, piece by piece: wide rows stand in memory once, not twice."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PIECE = 65_536
"""Rows that are brought into order at a time."""


def in_order(standings: pa.Table, filled: str | None = None) -> pa.Table:
    """Ordered by partner_id and category. Batches of the given table are let go as soon as their last row is taken, so
    the caller should not keep it. `filled`: a column whose empty rows are left out.

    Sorting keys alone is much cheaper than wide nested rows in the engine; measures are made in order, so that with
    one category nothing is left to sort, and with several each batch is soon used up.
    """
    order = pc.sort_indices(standings, [("partner_id", "ascending"), ("category", "ascending")]).to_numpy()
    if filled is not None:
        order = order[pc.is_valid(standings.column(filled)).to_numpy()[order]]
    if len(order) == len(standings) and np.array_equal(order, np.arange(len(order), dtype=order.dtype)):
        return standings
    schema, batches = standings.schema, dict(enumerate(standings.to_batches()))
    del standings
    starts = np.cumsum([0, *(len(batch) for batch in batches.values())])
    of = np.searchsorted(starts, order, side="right") - 1  # the batch of each row
    last = np.zeros(len(batches), dtype=np.int64)
    last[of] = np.arange(len(order)) // PIECE  # the last piece that takes a row of it
    pieces: list[pa.RecordBatch] = []
    for number, first in enumerate(range(0, len(order), PIECE)):
        mine = of[first : first + PIECE]
        used = np.unique(mine)
        begins = np.cumsum([0, *(len(batches[one]) for one in used.tolist())])
        places = order[first : first + PIECE].astype(np.int64) - starts[mine] + begins[np.searchsorted(used, mine)]
        some = pa.Table.from_batches([batches[one] for one in used.tolist()], schema)
        pieces += some.take(pa.array(places)).combine_chunks().to_batches()
        for one in used[last[used] == number].tolist():
            del batches[one]
    return pa.Table.from_batches(pieces, schema)
