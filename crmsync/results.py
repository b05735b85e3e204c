"""What a command of the belt gives back: who stands where, and what became of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from crmsync.belt import Calls
from crmsync.errors import Rejected
from crmsync.exits import BLOCKED, DONE, PARKED, PLAN_WAITS
from crmsync.programs.program import Program
from crmsync.stages import StageFigures
from crmsync.writeback.apply import Outcomes
from crmsync.writeback.plan import Plan
from crmsync.writeback.shadow import Comparison

if TYPE_CHECKING:
    from crmsync.telling import Told


@dataclass(frozen=True)
class Assessed:
    """The standings of one day and what is worth knowing about the rows they came from."""

    as_of: date
    program: Program
    standings: pa.Table
    rejected: tuple[Rejected, ...] = ()
    rejected_file: Path | None = None
    direct: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a command did. `state`: applied, unchanged, partial, planned, blocked, compared."""

    run_id: str
    state: str
    assessed: Assessed
    stages: tuple[StageFigures, ...]
    calls: Calls
    plan: Plan | None = None
    outcomes: Outcomes | None = None
    comparison: Comparison | None = None
    comparison_file: Path | None = None
    config: Path | None = None  # the configuration folder that was asked for
    settled: int = 0  # writes of an interrupted run whose outcome was read back first
    example: tuple[str, str] | None = None  # a partner whose account was written, and the run that did it
    told: Told | None = None  # None where notices are off
    decided: str = ""  # what sales operations decided in the CRM on the plan before, and what became of it
    laid: str = ""  # where a blocked plan waits in the CRM

    @property
    def exit_code(self) -> int:
        """The exit code of the command, as the commands page lists them."""
        if self.state == "blocked":
            return BLOCKED
        if self.state == "compared":
            return DONE
        if self.state == "planned" and self.plan and self.plan.writes:
            return PLAN_WAITS
        return PARKED if self.assessed.rejected or self.state == "partial" or self.waits else DONE

    @property
    def waits(self) -> bool:
        """Whether a field that somebody edited by hand was left alone for now."""
        return self.plan is not None and any(edit.outcome == "waits" for edit in self.plan.hand_edits)
