"""Units of metrics, and expressions as the admin wrote them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sqlglot.expressions import Expression


class Unit(StrEnum):
    """Unit of a metric."""

    MONEY = "money"
    NUMBER = "number"
    PEOPLE = "people"
    PERCENT = "percent"
    POINTS = "points"
    DAYS = "days"
    YES_NO = "yes_no"
    TEXT = "text"


@dataclass(frozen=True)
class Formula:
    """A checked SQL scalar expression as the admin wrote it. `tree` is what SQLGlot parsed; never rebuilt from text."""

    text: str
    line: int
    tree: Expression = field(compare=False)
    columns: frozenset[tuple[str, str]] = frozenset()  # (table or reference, column) it reads
    metrics: frozenset[str] = frozenset()  # metric keys it reads
