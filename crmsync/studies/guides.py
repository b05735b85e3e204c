"""The guide of a program file, written where it is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from crmsync.errors import ConfigError, StoreError
from crmsync.programs.guide import Guide, check_ending, guide_of, guide_text
from crmsync.programs.loading import load_programs
from crmsync.programs.program import Program


@dataclass(frozen=True)
class WrittenGuide:
    """A guide: its text (Markdown where it was not written), what it says, and where it is."""

    program: str
    version: str
    text: str
    content: Guide
    out: Path | None


def write_guide(path: Path, out: Path | None = None) -> WrittenGuide:
    """The guide of a program; of a folder of versions, that of the newest. Errors: ConfigError, StoreError."""
    if out is not None:
        check_ending(out)
    program = _program(path)
    text = guide_text(program, html=out is not None and out.suffix == ".html")
    if out is not None:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StoreError(f"{out}: cannot be written: {error.strerror or error}") from error
    return WrittenGuide(program.key, program.version, text, guide_of(program), out)


def _program(path: Path) -> Program:
    programs = [one for one in load_programs(path) if path.is_dir() or one.file == path]
    keys = list(dict.fromkeys(one.key for one in programs))
    if len(keys) > 1:
        raise ConfigError(f"holds {len(keys)} programs ({', '.join(keys)}); name the file of one", file=str(path))
    return programs[-1]
