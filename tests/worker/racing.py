"""Two to eight workers that begin at once, again and again. Run as a program by the test: ROOT ROUNDS SEED.

Eight processes are forked; in each round some of them are let go in the same instant on a new day of one ledger. A
worker that begins opens everything anew, so the forks stand for as many starts.
"""

from __future__ import annotations

import json
import os
import random
import sys
import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from crmsync.errors import AlreadyRunning
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.slots import SlotRow
from crmsync.worker import Done, Worker
from tests.worker.facts import MONDAY, MarkedWork, SetClock, states

MOST = 8
END = "end"
FIELD = (2, 2, 2, 2, 3, 3, 4, 5, 6, 7, 8)  # how many begin at once


@dataclass(frozen=True)
class Racer:
    """One process: what it is told goes into `ear`, how its turn ended comes out of `mouth`."""

    pid: int
    ear: int
    mouth: int


def racer(state: Path, marks: Path) -> Racer:
    """Fork one."""
    (ear, told), (mouth, said) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid:
        os.close(ear)
        os.close(said)
        return Racer(pid, told, mouth)
    os.close(told)
    try:
        while (day := os.read(ear, 100).decode()) != END:
            os.write(said, bytes([turn(state, marks, datetime.fromisoformat(day))]))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def turn(state: Path, marks: Path, now: datetime) -> int:
    """Run what is due, unless another one does; the exit code."""

    def leave_mark(slot: SlotRow) -> Done:
        with marks.open("a") as file:
            file.write(f"{slot.period}\n")
        return Done(0)

    try:
        Worker(MarkedWork(state, end=leave_mark), SetClock(now)).once()
    except AlreadyRunning:
        return 7
    return 0


def main(root: str, rounds: str, seed: str) -> None:
    """Run the races and print what was seen as one JSON line."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    chance = random.Random(int(seed))
    state, marks, now = Path(root) / "state", Path(root) / "marks", MONDAY
    Ledger.open(state).close()
    marks.touch()
    racers = [racer(state, marks) for _ in range(MOST)]
    seen = {"workers": 0, "refused": 0, "rounds_without_a_run": 0}
    for _ in range(int(rounds)):
        before, field = marks.stat().st_size, chance.sample(racers, chance.choice(FIELD))
        for one in field:
            os.write(one.ear, now.isoformat().encode())
        codes = [os.read(one.mouth, 1)[0] for one in field]
        assert set(codes) <= {0, 7}, codes
        seen["workers"] += len(codes)
        seen["refused"] += codes.count(7)
        seen["rounds_without_a_run"] += marks.stat().st_size == before
        now += timedelta(days=1)
    for one in racers:
        os.write(one.ear, END.encode())
        os.waitpid(one.pid, 0)
    runs = marks.read_text().splitlines()
    print(json.dumps({**seen, "runs": len(runs), "twice": len(runs) - len(set(runs)), "done": len(states(state))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
