"""The sample company, small and at the size of the embedded default, made once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest

from crmsync.sandbox.company import make_company

TODAY = date(2026, 11, 22)
Record = dict[str, str | None]
Objects = Mapping[str, list[Record]]


def all_rows(partners: int, seed: int = 7, today: date = TODAY) -> Objects:
    """Every row of a company as a mapping, by object."""
    company = make_company(partners, seed, today)
    return {
        name: [dict(zip(rows.columns, row, strict=True)) for row in rows.rows] for name, rows in company.objects.items()
    }


@pytest.fixture(scope="session")
def small() -> Objects:
    """60 partners: the dirt of the large one is here too."""
    return all_rows(60)


@pytest.fixture(scope="session")
def company() -> Objects:
    """The 2,000 partners of the embedded default."""
    return all_rows(2000)
