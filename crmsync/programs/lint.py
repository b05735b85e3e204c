"""Lint: what a program allows, but its author hardly means, in plain words with file and line.

The kinds of findings are listed in docs/lint.md. Nothing here stops a program from running.
"""

from __future__ import annotations

from crmsync.programs.lint_dead import dead
from crmsync.programs.lint_findings import Finding
from crmsync.programs.lint_names import names
from crmsync.programs.lint_ranges import Ranges
from crmsync.programs.lint_reach import unreachable
from crmsync.programs.lint_steps import steps
from crmsync.programs.lint_tables import Delivered, beside_tables
from crmsync.programs.program import Program

__all__ = ["Delivered", "Finding", "lint"]


def lint(program: Program, delivered: Delivered | None = None) -> list[Finding]:
    """Findings in the order of file and line. `delivered`: tables to look at beside the program."""
    ranges = Ranges(program)
    findings = [*unreachable(program, ranges), *steps(program), *dead(program, ranges), *names(program)]
    if delivered is not None:  # the tables themselves say more exactly what is not there
        findings = [one for one in findings if one.kind not in ("unknown-column", "unknown-table")]
        findings += beside_tables(program, delivered)
    once = {(one.file, one.line, one.kind, one.message): one for one in findings}
    return sorted(once.values(), key=lambda one: (one.file != str(program.file), one.file, one.line, one.kind))
