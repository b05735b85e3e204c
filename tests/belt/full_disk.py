"""`crmsync run` on a disk that is full, then on one with a little more room, until it gets through. ROOT, as a program
in a mount namespace of its own: ROOT/config is the configuration, ROOT/state becomes a small file system in memory.

One process imports everything and forks one child per run. Prints what became of each as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from crmsync import pipeline, proving, reports
from tests.belt.forked import begin, end

LOADED = (pipeline, proving, reports)  # once, for all children
SIZE, STEP = 4 << 20, 96 << 10  # bytes
FOLDERS = ("snapshots", "standings", "plans")
BALLAST = "ballast"


def crmsync(*arguments: str) -> tuple[int, str]:
    """Exit code and the last line on stderr of one command, in a child."""
    read, write = os.pipe()
    pid = begin(arguments, lambda: (os.close(read), os.dup2(write, 2)))
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    return end(pid), lines[-1] if lines else ""


def run(day: int) -> tuple[int, str]:
    """One run as of a day of November."""
    return crmsync("run", "--config", "config", "--as-of", f"2026-11-{day:02}")


def mount(folder: Path, size: int) -> None:
    """A file system in memory, of so many bytes."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)


def leave(folder: Path, room: int) -> None:
    """Fill the file system of a folder, but for so many bytes."""
    (folder / BALLAST).unlink(missing_ok=True)
    found = os.statvfs(folder)
    (folder / BALLAST).write_bytes(b"x" * max(0, found.f_bavail * found.f_frsize - room))


def written() -> str:
    """What stands in the files that are written back."""
    return "".join(path.read_text(encoding="utf-8") for path in sorted(Path("config/data").glob("writeback*.csv")))


def whole_state() -> dict[str, object]:
    """The state folder has a little more room from run to run."""
    mount(Path("state"), SIZE)
    tried: list[tuple[int, str, bool]] = []
    while not tried or (tried[-1][0] and len(tried) < 20):
        leave(Path("state"), len(tried) * STEP)
        code, told = run(1)
        tried.append((code, told, bool(written())))
    (Path("state") / BALLAST).unlink()
    return {"tried": tried, "again": run(1), "verified": crmsync("audit", "verify"), "written": written()}


def one_folder(name: str, day: int) -> dict[str, object]:
    """One folder of the state folder is full, the ledger is not."""
    before = written()
    deals = Path("config/data/opportunities.csv")
    deals.write_text(deals.read_text(encoding="utf-8").replace(",2000,", ",6000,"), encoding="utf-8")
    folder = Path("state") / name
    kept = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    mount(folder, 4096 + sum(-(-len(content) // 4096) * 4096 for content in kept.values()))
    for file, content in kept.items():
        (folder / file).write_bytes(content)
    leave(folder, 0)
    code, told = run(day)
    subprocess.run(["umount", f"state/{name}"], check=True)
    return {"code": code, "told": told, "changed": written() != before}


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    os.environ["CRMSYNC_STATE_DIR"] = "state"
    found: dict[str, object] = {"state": whole_state()}
    found |= {name: one_folder(name, day=2) for name in FOLDERS}
    found["then"] = {"run": run(2), "written": written()}
    print(json.dumps(found))
