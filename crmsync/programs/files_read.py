"""Which files a program is made of: its own, those of the programs it reads, and what each of them reads beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crmsync.programs.ecb import FROM_ECB
from crmsync.programs.loading import program_files
from crmsync.programs.names import Tables
from crmsync.programs.rates import FROM_CRM
from crmsync.programs.references import read_references
from crmsync.programs.threshold_table import file_of
from crmsync.strict_yaml import read_yaml


def files_read(path: Path) -> list[Path]:
    """Every file that loading the program at `path` reads, the program files first. Errors: ConfigError."""
    programs = program_files(path)
    beside = {beside for program in programs for beside in _beside(program)}
    return [*programs, *sorted(beside - set(programs))]


def _beside(program: Path) -> Iterator[Path]:
    parts = read_yaml(program).mapping()
    yield from (reference.file for reference in read_references(parts.get("references"), Tables(None)).values())
    thresholds = file_of(parts.get("thresholds"))
    if thresholds is not None:
        yield thresholds
    if "rates" in parts and parts["rates"].text() not in (FROM_CRM, FROM_ECB):
        yield program.parent / parts["rates"].text()
    if "cases" in parts and parts["cases"].is_text:
        yield program.parent / parts["cases"].text()
