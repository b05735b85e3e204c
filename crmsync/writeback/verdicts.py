"""One verdict of a guard, as the plan shows it and a saved plan keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class GuardResult:
    """What was found, what is allowed, and what to do when it tripped."""

    guard: str
    value: str
    limit: str
    tripped: bool
    way_out: str


def percent(share: Decimal) -> str:
    """A fraction in words: 0.05 is `5 %`."""
    text = f"{share * 100:.2f}".rstrip("0").rstrip(".")
    return f"{text} %"
