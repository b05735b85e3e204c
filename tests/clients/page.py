"""Chromium on the sandbox org's page: a plan of steps goes in, what was seen comes out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import PROJECT

Step = dict[str, Any]
_DRIVE = Path(__file__).parent / "browser" / "drive.mjs"
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The installed browser. Errors: AssertionError with how to install it."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    assert found is not None, "the page's tests need Chromium; on Debian: apt-get install chromium"
    return found


def browse(base: str, steps: list[Step], javascript: bool = True) -> dict[str, Any]:
    """What Chromium saw: per step the address, title and texts; complaints of its console; hosts it asked.

    Errors: AssertionError when the browser, node or playwright-core is missing, or a step cannot be done.
    """
    node = shutil.which("node")
    assert node is not None, "the page's tests need Node 18 or newer; on Debian: apt-get install nodejs npm"
    home = PROJECT / os.environ.get("BROWSER_HOME", ".venv/browser")
    assert (home / "node_modules/playwright-core").is_dir(), f"{home} has no playwright-core: run `make clients`"
    plan = {"base": base, "chromium": chromium(), "javascript": javascript, "steps": steps}
    ended = subprocess.run(
        [node, str(_DRIVE)], input=json.dumps(plan), capture_output=True, text=True, timeout=240, check=False,
        env=dict(os.environ) | {"BROWSER_HOME": str(home)}, cwd=PROJECT,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    return told
