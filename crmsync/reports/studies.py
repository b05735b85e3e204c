"""What `test`, `lint`, `guide` and `init` print: what came out differently, what is hardly meant, what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from crmsync.logs import safe_text
from crmsync.reports.text import command, json_text, table

if TYPE_CHECKING:
    from crmsync.programs.lint import Finding
    from crmsync.studies.cases import CaseResult
    from crmsync.studies.guides import WrittenGuide
    from crmsync.studies.templates import Template


def cases_report(results: Sequence[CaseResult], as_json: bool) -> str:
    """Every failed case with what differs, then how many passed."""
    failed = [result for result in results if not result.passed]
    if as_json:
        cases = [
            {"program": one.program, "name": one.name, "file": one.file, "line": one.line, "passed": one.passed,
             "differences": list(one.differences)}
            for one in results
        ]  # fmt: skip
        return json_text({"passed": len(results) - len(failed), "failed": len(failed), "cases": cases})
    lines = [
        line
        for result in failed
        for line in (f"FAILED {result.file}:{result.line}: {result.name}", *(f"  {one}" for one in result.differences))
    ]
    programs = len({result.program for result in results})
    told = f"{len(results) - len(failed)} of {len(results)} cases passed, in {programs} programs"
    return "\n".join(
        map(safe_text, [*lines, told if results else "no cases: write some under `cases:` of the program"])
    )


def lint_report(findings: Sequence[Finding], as_json: bool) -> str:
    """One line for each finding, with file and line."""
    if as_json:
        found = [{"kind": one.kind, "file": one.file, "line": one.line, "message": one.message} for one in findings]
        return json_text({"findings": found})
    told = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}" if findings else "nothing to remark"
    return "\n".join(safe_text(line) for line in [*(one.text for one in findings), told])


def guide_report(guide: WrittenGuide, as_json: bool) -> str:
    """The guide itself, or where it was written."""
    if as_json:
        out = str(guide.out) if guide.out else None
        return json_text(
            {"program": guide.program, "version": guide.version, "out": out, "guide": asdict(guide.content)}
        )
    return guide.text if guide.out is None else f"guide of {guide.program}, version {guide.version}, in {guide.out}"


def templates_report(templates: Mapping[str, Template], as_json: bool) -> str:
    """The templates that `init` knows."""
    if as_json:
        return json_text(
            {"templates": [{"name": t.name, "label": t.label, "means": t.means} for t in templates.values()]}
        )
    rows = [(one.name, one.means) for one in templates.values()]
    return "\n".join(
        [*table(("template", "for whom"), rows), "", f"write one: {command('init', '--template', 'NAME')}"]
    )


def init_report(paths: Sequence[Path], as_json: bool) -> str:
    """What was written, and what to do with it."""
    if as_json:
        return json_text({"written": [str(path) for path in paths]})
    program = str(paths[0])
    next_steps = [f"its cases: {command('test', program)}", f"as its partners read it: {command('guide', program)}"]
    return "\n".join([*(f"written: {path}" for path in paths), *next_steps])
