"""A made-up partner base as a sealed snapshot: seeded, straight to Parquet, in a cache outside the repository."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
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
    ids = _ids("001", size.partners)
    _add(staging, "partners", _partners(draw, ids), "partner_id")
    _add(staging, "opportunities", _opportunities(draw, ids, size.opportunities), "opportunity_id")
    _add(staging, "certifications", _certifications(draw, ids, size.certifications), "certification_id")
    return staging.seal()


def _add(staging: Staging, name: str, columns: dict[str, pa.Array], unique: str) -> None:
    table = pa.table(columns)
    kinds = {column: CANONICAL[name].columns[column] for column in table.column_names}
    pq.write_table(table, staging.path(name), compression="zstd")
    main_date = CANONICAL[name].main_date
    staging.add(TableFile(name, staging.path(name), len(table), kinds, main_date, unique=frozenset({unique})))


def _partners(draw: np.random.Generator, ids: np.ndarray) -> dict[str, pa.Array]:
    """Four in ten have a parent; a parent stands before its children, so there is no cycle and families stay flat."""
    count = len(ids)
    level = draw.choice(4, count, p=[0.6, 0.25, 0.1, 0.05])
    order = np.argsort(level, kind="stable")
    first = np.searchsorted(level[order], [0, 1, 2, 3, 4])
    parent = np.full(count, -1)
    for depth in (1, 2, 3):
        above = order[first[depth - 1] : first[depth]]
        here = order[first[depth] : first[depth + 1]]
        if len(above):
            parent[here] = draw.choice(above, len(here))
    regions = REGIONS[draw.choice(len(REGIONS), count, p=[0.35, 0.35, 0.2, 0.1])]
    return {
        "partner_id": pa.array(ids),
        "name": pa.array([f"Partner {number}" for number in range(count)]),
        "parent_id": pa.array(ids[parent], mask=parent < 0),
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


def _opportunities(draw: np.random.Generator, ids: np.ndarray, count: int) -> dict[str, pa.Array]:
    """Three years of deals; few partners bring most of them; one in a hundred won deals lacks its amount."""
    closed_on = TODAY - draw.integers(-20, 1095, count) * DAY
    closed = draw.random(count) < 0.85
    won = closed & (draw.random(count) < 0.6)
    cents = np.exp(draw.normal(9.0, 1.1, count) + np.log(100)).astype("int64")
    kind = np.array(["new", "upsell", "renewal"])[draw.choice(3, count, p=[0.5, 0.3, 0.2])]
    return {
        "opportunity_id": pa.array(_ids("006", count)),
        "partner_id": pa.array(ids[_skewed(draw, len(ids), count)]),
        "type": pa.array(kind, mask=draw.random(count) < 0.05),
        "is_closed": pa.array(closed),
        "is_won": pa.array(won),
        "amount": _money(cents, missing=draw.random(count) < 0.01),
        "currency": pa.array(
            CURRENCIES[draw.choice(len(CURRENCIES), count, p=[0.3, 0.3, 0.1, 0.06, 0.06, 0.06, 0.06, 0.06])]
        ),
        "product_line": pa.array(LINES[draw.choice(len(LINES), count)]),
        "created_on": _dates(closed_on - draw.integers(20, 200, count) * DAY),
        "closed_on": _dates(closed_on),
    }


def _certifications(draw: np.random.Generator, ids: np.ndarray, count: int) -> dict[str, pa.Array]:
    """About two certificates per person; most run two years, one in ten never ends."""
    issued = TODAY - draw.integers(-10, 1095, count) * DAY
    partner = _skewed(draw, len(ids), count)
    people = _ids("003", count // 2 + 1)
    return {
        "certification_id": pa.array(_ids("a01", count)),
        "partner_id": pa.array(ids[partner]),
        "person_id": pa.array(people[(partner * 7919 + draw.integers(0, 9, count)) % len(people)]),
        "level": pa.array(np.array(["associate", "professional", "expert"])[draw.choice(3, count)]),
        "product_line": pa.array(LINES[draw.choice(len(LINES), count)]),
        "issued_on": _dates(issued),
        "expires_on": pa.array(
            (issued + 730 * DAY).astype("datetime64[D]"), pa.date32(), mask=draw.random(count) < 0.1
        ),
    }


def _ids(prefix: str, count: int) -> np.ndarray:
    """Ids as long as those of a CRM: 18 characters."""
    return np.array([f"{prefix}{number:012d}AAA" for number in range(count)])


def _skewed(draw: np.random.Generator, among: int, count: int) -> np.ndarray:
    """Numbers below `among`, of which a fifth takes four fifths: log-normal weights with sigma 1.68 give that."""
    weights = np.cumsum(np.random.default_rng(1).lognormal(0, 1.68, among))
    found: np.ndarray = np.searchsorted(weights, draw.random(count) * weights[-1])
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
