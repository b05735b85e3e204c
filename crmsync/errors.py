"""The errors of crmsync, one tree, sorted by what the operator does next.

A fault of one record is a value (`Rejected`) that travels beside the good rows to the report.
A fault of the system is an exception of this module. Each class names the exit code of the command line.
"""

from __future__ import annotations

from dataclasses import dataclass


class CrmsyncError(Exception):
    """Anything that stops a run; subclasses say what the operator does next."""

    exit_code = 1


class ConfigError(CrmsyncError):
    """Fix the file: the message names file and line, the value, and what would be right."""

    exit_code = 4

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None) -> None:
        where = "" if file is None else f"{file}:{line}: " if line else f"{file}: "
        super().__init__(where + message)
        self.message = message
        self.file = file
        self.line = line


class AccessError(CrmsyncError):
    """Fix the login or the permission: the message names the org, object or field."""

    exit_code = 4


class DataError(CrmsyncError):
    """The CRM or a file gave an answer that cannot be used as a whole: nothing was sealed, nothing written."""

    exit_code = 1


class Retriable(CrmsyncError):
    """Wait and run again: the retries of this run are used up."""

    exit_code = 1


class Deferred(CrmsyncError):
    """The API allowance does not suffice; run again when it has been renewed."""

    exit_code = 5


class StoreError(CrmsyncError):
    """The ledger, the disk or the state folder cannot be used."""

    exit_code = 6


class AlreadyRunning(CrmsyncError):
    """Another run holds the lock of this state folder."""

    exit_code = 7


class UnsafePlan(CrmsyncError):
    """A guard tripped: look at the plan, then approve its digest."""

    exit_code = 8


class TooManyRefused(CrmsyncError):
    """The CRM refuses so many records that sending has stopped: mend the cause it names, then run again."""

    exit_code = 1


class UnknownWrites(CrmsyncError):
    """The CRM carries writes that this ledger does not know: restore the ledger, or `crmsync adopt`."""

    exit_code = 4


class Conflict(CrmsyncError):
    """The plan no longer fits the CRM or the configuration: plan again."""

    exit_code = 1


@dataclass(frozen=True)
class Rejected:
    """One bad row or cell that was left out. `line` counts from 1 as an editor shows it (None for a CRM record)."""

    file: str  # file name, or CRM object and record id such as `Opportunity 006...`
    line: int | None
    column: str
    value: str
    reason: str
