"""What is told of standings that will fall reaches their rows, whatever chunk of the table they are in."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from crmsync.levelling.falling import Told, lists_by_place
from crmsync.levelling.loss_rows import united

ROWS = [
    ("A", "msp", "high", None, ["one"]),
    ("A", "reseller", "none", None, []),
    ("B", "msp", "medium", None, []),
    ("C", "msp", "high", date(2026, 11, 21), ["two", "three"]),
    ("D", "reseller", "medium", None, ["four"]),
]
SCHEMA = pa.schema(
    [
        ("partner_id", pa.string()), ("category", pa.string()), ("risk", pa.string()), ("risk_on", pa.date32()),
        ("risk_reasons", pa.list_(pa.string())),
    ]
)  # fmt: skip


def table() -> pa.Table:
    """Standings: C has lost its tier already."""
    return pa.table(
        {name: list(cells) for name, cells in zip(SCHEMA.names, zip(*ROWS, strict=True), strict=True)}, SCHEMA
    )


def told() -> Told:
    """A, B and D fall; of B nothing is named, and no day was found for D."""
    falling = pa.table({"partner_id": ["A", "B", "D"], "category": ["msp", "msp", "reseller"]})
    days = pa.array([date(2026, 12, 1), date(2026, 12, 2), None], pa.date32())
    texts = pa.table({"place": pa.array([0, 0, 2], pa.int64()), "text": ["first", "second", "last"]})
    return Told(falling, days, lists_by_place(texts, 3))


def expected() -> tuple[list[date | None], list[list[str]]]:
    """The two columns that change."""
    days = [date(2026, 12, 1), None, date(2026, 12, 2), date(2026, 11, 21), None]
    return days, [["one", "first", "second"], [], [], ["two", "three"], ["four", "last"]]


def test_days_and_reasons_are_told_to_those_that_fall() -> None:
    """The others keep what they had."""
    found = told().into(table())
    assert (found["risk_on"].to_pylist(), found["risk_reasons"].to_pylist()) == expected()
    assert found.schema == SCHEMA


def test_every_chunk_is_told_its_own() -> None:
    """A slice shares the memory of the whole, where lists begin elsewhere."""
    for at in range(1, len(ROWS)):
        found = [told().into(one) for one in (table().slice(0, at), table().slice(at))]
        days = [day for one in found for day in one["risk_on"].to_pylist()]
        reasons = [lines for one in found for lines in one["risk_reasons"].to_pylist()]
        assert (days, reasons) == expected()


def test_stretches_that_touch_are_one() -> None:
    """No day is asked for twice."""
    first, second = (date(2026, 1, 1), date(2026, 1, 10)), (date(2026, 1, 11), date(2026, 1, 20))
    within, later = (date(2026, 1, 3), date(2026, 1, 4)), (date(2026, 1, 22), date(2026, 1, 22))
    assert united([later, second, within, first]) == [(date(2026, 1, 1), date(2026, 1, 20)), later]
