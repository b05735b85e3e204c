"""Findings of a check: how grave, where, what, and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """`cannot`: a run could not succeed; `look`: it runs, and something may not be meant; `told`: worth knowing."""

    CANNOT = "cannot"
    LOOK = "look"
    TOLD = "told"


@dataclass(frozen=True)
class Finding:
    """One finding. `about`: `Account.Region__c`, `login`, …; `file`, `line`: what asks for it; `way_out`: help."""

    severity: Severity
    about: str
    what: str
    way_out: str = ""
    file: str | None = None
    line: int | None = None


def cannot(about: str, what: str, way_out: str, file: str | None = None, line: int | None = None) -> Finding:
    """A run could not succeed."""
    return Finding(Severity.CANNOT, about, what, way_out, file, line)


def look(about: str, what: str, way_out: str = "", file: str | None = None, line: int | None = None) -> Finding:
    """Somebody should look at it."""
    return Finding(Severity.LOOK, about, what, way_out, file, line)


def told(about: str, what: str, file: str | None = None, line: int | None = None) -> Finding:
    """Worth knowing."""
    return Finding(Severity.TOLD, about, what, "", file, line)
