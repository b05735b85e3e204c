"""Tables, JSON and commands as text for people and machines."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crmsync.logs import CONTROL, safe_text

NO_TIER = "(no tier)"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows under headings, padded; numbers to the right."""
    cells = [[safe_text(_cell(value)) for value in row] for row in rows]
    right = [all(isinstance(row[at], int | float) for row in rows) and bool(rows) for at in range(len(headings))]
    widths = [max(len(line[at]) for line in [list(headings), *cells]) for at in range(len(headings))]

    def padded(line: Sequence[str]) -> str:
        parts = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return [padded(headings), *(padded(line) for line in cells)]


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def json_text(content: Mapping[str, Any]) -> str:
    """One JSON object on one line. Signs that steer a terminal or end a line are escaped, as JSON may write them."""
    text = json.dumps(content, ensure_ascii=False, default=str)
    return CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def command(*arguments: str, config: Path | None = None) -> str:
    """A command that works as it is printed, from where the user is now."""
    state = os.environ.get("CRMSYNC_STATE_DIR")
    prefix = f"CRMSYNC_STATE_DIR={shlex.quote(state)} " if state else ""
    given = ("--config", str(config)) if config else ()
    return f"{prefix}{_program()} {shlex.join([*arguments, *given])}"


def _program() -> str:
    """How this process was called, so that it is found again."""
    if shutil.which("crmsync"):
        return "crmsync"
    return sys.argv[0] if Path(sys.argv[0]).name == "crmsync" else "python -m crmsync"
