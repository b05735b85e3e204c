"""A made-up partner base as a sealed snapshot: seeded, straight to Parquet, in a cache outside the repository."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.snapshots import Snapshot, Staging, TableFile, open_snapshot
from crmsync.tables import ARROW_TYPES, CANONICAL, ColumnType

AS_OF = date(2026, 6, 30)
REGIONS = np.array(["AMER", "EMEA", "APAC", "LATAM"])
CURRENCIES = np.array(["EUR", "USD", "GBP", "CHF", "SEK", "JPY", "BRL", "INR"])
LINES = np.array(["network", "cloud", "security", "storage"])
CATEGORIES = np.array(["reseller", "msp", "referral"])
DAY = np.timedelta64(1, "D")
TODAY = np.datetime64(AS_OF)
PIECE = 1_000_000
"""Rows made at a time, so that a large base takes no more memory than a small one; also the rows of a row group."""


@dataclass(frozen=True)
class Size:
    """How many rows the tables have."""

    partners: int
    opportunities: int
    certifications: int


def cache_folder() -> Path:
    """Where made-up data is kept between measurements."""
    return Path(tempfile.gettempdir()) / "crmsync-bench"


def digest_of(*sources: Path) -> str:
    """Twelve digits that change with the code that makes the rows, so that no outdated cache is taken."""
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def partner_base(size: Size, cache: Path | None = None, seed: int = 7) -> Snapshot:
    """The sealed snapshot of this size, made when it is not in the cache."""
    name = f"base-{digest_of(Path(__file__))}-{seed}-{size.partners}-{size.opportunities}-{size.certifications}"
    folder = (cache or cache_folder()) / name
    if folder.is_dir():
        return open_snapshot(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    staging = Staging(folder)
    ids = account_ids(size.partners)
    shares = _shares(size.partners)
    opportunities = (_opportunities(draw, ids, shares, numbers) for numbers in _pieces(size.opportunities))
    people = size.certifications // 2 + 1
    certifications = (_certifications(draw, ids, shares, numbers, people) for numbers in _pieces(size.certifications))
    _add(staging, "partners", iter([_partners(draw, ids)]), "partner_id")
    _add(staging, "opportunities", opportunities, "opportunity_id")
    _add(staging, "certifications", certifications, "certification_id")
    return staging.seal()


def _pieces(count: int) -> Iterator[np.ndarray]:
    """The numbers from 0 to `count`, so many at a time."""
    for first in range(0, count, PIECE):
        yield np.arange(first, min(first + PIECE, count))


def _add(staging: Staging, name: str, pieces: Iterator[dict[str, pa.Array]], unique: str) -> None:
    tables = (pa.table(columns) for columns in pieces)
    first = next(tables)
    kinds = {column: CANONICAL[name].columns[column] for column in first.column_names}
    rows = len(first)
    with pq.ParquetWriter(staging.path(name), first.schema, compression="zstd") as writer:
        writer.write_table(first, row_group_size=PIECE)
        for table in tables:
            writer.write_table(table, row_group_size=PIECE)
            rows += len(table)
    main_date = CANONICAL[name].main_date
    staging.add(TableFile(name, staging.path(name), rows, kinds, main_date, unique=frozenset({unique})))


def account_ids(count: int) -> pa.Array:
    """The ids of so many accounts."""
    return _ids("001", np.arange(count))


def parents_of(draw: np.random.Generator, count: int) -> np.ndarray:
    """Positions of parents, -1 for none: four in ten have one; families stay flat, and there is no cycle."""
    level = draw.choice(4, count, p=[0.6, 0.25, 0.1, 0.05])
    order = np.argsort(level, kind="stable")
    first = np.searchsorted(level[order], [0, 1, 2, 3, 4])
    parent = np.full(count, -1)
    for depth in (1, 2, 3):
        above = order[first[depth - 1] : first[depth]]
        here = order[first[depth] : first[depth + 1]]
        if len(above):
            parent[here] = draw.choice(above, len(here))
    return parent


def _partners(draw: np.random.Generator, ids: pa.Array) -> dict[str, pa.Array]:
    """Eight currencies, four regions of which some are empty, families."""
    count = len(ids)
    parent = parents_of(draw, count)
    regions = REGIONS[draw.choice(len(REGIONS), count, p=[0.35, 0.35, 0.2, 0.1])]
    return {
        "partner_id": ids,
        "name": pc.binary_join_element_wise("Partner", pa.array(np.arange(count)).cast(pa.string()), " "),
        "parent_id": ids.take(pa.array(parent, mask=parent < 0)),
        "region": pa.array(regions, mask=draw.random(count) < 0.02),
        "joined_on": _dates(TODAY - draw.integers(400, 4000, count) * DAY),
        "currency": pa.array(CURRENCIES[draw.choice(len(CURRENCIES), count)]),
        "declared_categories": _declared(draw, count),
    }


def _declared(draw: np.random.Generator, count: int) -> pa.Array:
    """One to three categories each, as a list."""
    belongs = draw.random((count, len(CATEGORIES))) < 0.55
    belongs[~belongs.any(axis=1), 0] = True
    offsets = np.concatenate([[0], np.cumsum(belongs.sum(axis=1))]).astype("int32")
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(CATEGORIES[np.nonzero(belongs)[1]]))


def _opportunities(
    draw: np.random.Generator, ids: pa.Array, shares: np.ndarray, numbers: np.ndarray
) -> dict[str, pa.Array]:
    """Three years of deals; few partners bring most of them; one in a hundred won deals lacks its amount."""
    count = len(numbers)
    closed_on = TODAY - draw.integers(-20, 1095, count) * DAY
    closed = draw.random(count) < 0.85
    won = closed & (draw.random(count) < 0.6)
    cents = np.exp(draw.normal(9.0, 1.1, count) + np.log(100)).astype("int64")
    kinds = np.array(["new", "upsell", "renewal"])
    return {
        "opportunity_id": _ids("006", numbers),
        "partner_id": ids.take(pa.array(_skewed(draw, shares, count))),
        "type": _words(kinds, draw.choice(3, count, p=[0.5, 0.3, 0.2]), missing=draw.random(count) < 0.05),
        "is_closed": pa.array(closed),
        "is_won": pa.array(won),
        "amount": _money(cents, missing=draw.random(count) < 0.01),
        "currency": _words(
            CURRENCIES, draw.choice(len(CURRENCIES), count, p=[0.3, 0.3, 0.1, 0.06, 0.06, 0.06, 0.06, 0.06])
        ),
        "product_line": _words(LINES, draw.integers(0, len(LINES), count)),
        "created_on": _dates(closed_on - draw.integers(20, 200, count) * DAY),
        "closed_on": _dates(closed_on),
    }


def _certifications(
    draw: np.random.Generator, ids: pa.Array, shares: np.ndarray, numbers: np.ndarray, people: int
) -> dict[str, pa.Array]:
    """About two certificates per person; most run two years, one in ten never ends."""
    count = len(numbers)
    issued = TODAY - draw.integers(-10, 1095, count) * DAY
    partner = _skewed(draw, shares, count)
    return {
        "certification_id": _ids("a01", numbers),
        "partner_id": ids.take(pa.array(partner)),
        "person_id": _ids("003", (partner * 7919 + draw.integers(0, 9, count)) % people),
        "level": _words(np.array(["associate", "professional", "expert"]), draw.integers(0, 3, count)),
        "product_line": _words(LINES, draw.integers(0, len(LINES), count)),
        "issued_on": _dates(issued),
        "expires_on": pa.array(
            (issued + 730 * DAY).astype("datetime64[D]"), pa.date32(), mask=draw.random(count) < 0.1
        ),
    }


def _ids(prefix: str, numbers: np.ndarray) -> pa.Array:
    """Ids as long as those of a CRM: 18 characters."""
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 12, "0")
    return pc.binary_join_element_wise(prefix, digits, "AAA", "")


def _words(words: np.ndarray, chosen: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    return pa.array(words).take(pa.array(chosen, mask=missing))


def _shares(among: int) -> np.ndarray:
    """Running weights of which a fifth has four fifths: log-normal with sigma 1.68 gives that."""
    weights: np.ndarray = np.cumsum(np.random.default_rng(1).lognormal(0, 1.68, among))
    return weights


def _skewed(draw: np.random.Generator, shares: np.ndarray, count: int) -> np.ndarray:
    """Positions of partners, chosen by their shares."""
    found: np.ndarray = np.searchsorted(shares, draw.random(count) * shares[-1])
    return found


def _dates(days: np.ndarray) -> pa.Array:
    return pa.array(days.astype("datetime64[D]"), pa.date32())


def _money(cents: np.ndarray, missing: np.ndarray) -> pa.Array:
    """Cents as DECIMAL(19,2), built from their bytes: a decimal is a 128-bit integer with a scale."""
    wide = np.zeros((len(cents), 2), dtype="int64")
    wide[:, 0] = cents
    bits = np.packbits(~missing, bitorder="little")
    kind = ARROW_TYPES[ColumnType.MONEY]
    return pa.Array.from_buffers(kind, len(cents), [pa.py_buffer(bits.tobytes()), pa.py_buffer(wide.tobytes())])
