"""Named places at which a test may kill the process, to prove that every step can be interrupted.

They do nothing unless the environment variable `CRMSYNC_FAILPOINT` is set to `name:n` (the n-th time `name` is
reached) or `any:n` (the n-th time any of them is). The process then sends SIGKILL to itself: no handler, no clean-up.
"""

from __future__ import annotations

import os
import signal

ENVIRONMENT = "CRMSYNC_FAILPOINT"
ANY = "any"

OF_WRITES = (
    "plan_saved",
    "intents_recorded",
    "job_opening",
    "job_created",
    "job_claimed",
    "job_uploaded",
    "upload_recorded",
    "start_recorded",
    "job_started",
    "started_recorded",
    "job_done",
    "results_read",
    "outcomes_recorded",
    "one_claimed",
    "one_written",
    "one_recorded",
    "settle_read",
    "settled",
    "orphans_ended",
    "verify_read",
    "last_error_read",
    "last_error_written",
    "last_error_kept",
    "standings_accepted",
)
OF_NOTICES = ("notices_drafted", "notice_claimed", "notice_left", "notice_recorded")
NAMES = (*OF_WRITES, *OF_NOTICES)
"""Every failpoint there is; tests assert that each is reached."""

_reached: dict[str, int] = {}


def hit(name: str) -> None:
    """Die here if the environment asks for it."""
    wanted = os.environ.get(ENVIRONMENT)
    if wanted is None:
        return
    assert name in NAMES, f"unknown failpoint {name}"
    asked, _, nth = wanted.partition(":")
    if asked not in (name, ANY):
        return
    _reached[asked] = _reached.get(asked, 0) + 1
    if _reached[asked] == int(nth or "1"):
        os.kill(os.getpid(), signal.SIGKILL)
