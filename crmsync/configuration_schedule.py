"""`schedule:` of crmsync.yaml: what the worker does, and when.

Each entry is one schedule: a name, what to do, a cron text in the wall clock of `time_zone`, and what becomes of slots
that were missed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from cronsim import CronSim, CronSimError

from crmsync.errors import ConfigError
from crmsync.strict_yaml import Node, nearest

TASKS = ("sync", "full", "review", "notices")
CATCH_UPS = ("latest", "all", "none")
LONGEST_NAME = 40

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_SOME_MONDAY = datetime(2024, 1, 1)


@dataclass(frozen=True)
class Schedule:
    """One schedule. `do`: sync, full (reads all anew), review (full, on the program's review dates only), notices.
    `catch_up`: of slots missed while no worker ran, the latest one is run, all are, or none is."""

    name: str
    do: str
    cron: str
    catch_up: str = "latest"

    @property
    def repeats(self) -> bool:
        """Whether minutes or hours begin with `*`: it goes by intervals, not by times of the day (as in Debian)."""
        minutes, hours, *_ = self.cron.split()
        return minutes.startswith("*") or hours.startswith("*")


DEFAULT = (Schedule("sync", "sync", "0 5 * * *"),)
"""What a worker does whose crmsync.yaml says nothing: one run a day."""


def read_schedules(node: Node | None) -> tuple[Schedule, ...]:
    """The schedules in file order; the default where there is no `schedule:`. Errors: ConfigError with its line."""
    if node is None:
        return DEFAULT
    found: dict[str, Schedule] = {}
    for item in node.sequence():
        one = _schedule(item)
        if one.name in found:
            raise item.fail(f"a second schedule `{one.name}`; give each a `name:` of its own")
        found[one.name] = one
    if not found:
        raise node.fail("no schedule stands here; leave `schedule:` out for one run a day")
    return tuple(found.values())


def _schedule(node: Node) -> Schedule:
    keys = node.mapping(required=("do", "cron"), optional=("name", "catch_up"))
    do = _word(keys["do"], TASKS, "something a worker does")
    name = _name(keys["name"]) if "name" in keys else do
    catch_up = _word(keys["catch_up"], CATCH_UPS, "a way to catch up") if "catch_up" in keys else Schedule.catch_up
    return Schedule(name, do, _cron(keys["cron"]), catch_up)


def _word(node: Node, known: tuple[str, ...], what: str) -> str:
    if node.text() not in known:
        raise node.fail(f"`{node.text()}` is not {what}{nearest(node.text(), known)}")
    return node.text()


def _name(node: Node) -> str:
    if len(node.text()) > LONGEST_NAME or not _NAME.fullmatch(node.text()):
        raise node.fail(f"`{node.text()}` is not a name; write small letters, digits, - and _, at most {LONGEST_NAME}")
    return node.text()


def _cron(node: Node) -> str:
    """A cron text of five fields that is due at least once."""
    text = " ".join(node.text().split())
    if len(text.split()) != 5:
        raise _no_cron(node, "it needs five fields")
    try:
        next(CronSim(text, _SOME_MONDAY))
    except CronSimError as error:
        raise _no_cron(node, str(error)) from None
    except StopIteration:
        raise _no_cron(node, "it is never due") from None
    return text


def _no_cron(node: Node, why: str) -> ConfigError:
    return node.fail(
        f"`{node.text()}` is not a cron text ({why}): minute, hour, day of month, month, day of week, "
        "such as `30 5 * * *` or `0 4 * * SUN`"
    )
