"""The one place that repeats calls: full jitter, the server's own Retry-After, and one budget for the whole run.

Only reads and idempotent writes come here; whether a call may be repeated is decided where it is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from crmsync.errors import Retriable

Answer = TypeVar("Answer")

ATTEMPTS = 7
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
BUDGET_S = 300.0  # waiting in one run, over all calls


class Transient(Retriable):
    """A fault that passes by itself.

    `applied`: False when the server certainly did nothing (it refused before it looked), None when nobody knows.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, applied: bool | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.applied = applied


MayRepeat = Callable[[Transient], bool]


@dataclass
class Retries:
    """Repeats calls that failed with `Transient` until attempts or the run's budget of waiting are used up."""

    attempts: int = ATTEMPTS
    budget_s: float = BUDGET_S
    sleep: Callable[[float], None] = time.sleep
    waited_s: float = field(default=0.0, init=False)

    def call(self, send: Callable[[], Answer], may_repeat: MayRepeat | None = None) -> Answer:
        """The answer of `send`, repeated on faults that pass and that `may_repeat` accepts.

        Errors: Transient (a Retriable) with the last fault once attempts or budget are used up; any other as it comes.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(Transient),
            stop=lambda state: self._must_stop(state, may_repeat),
            wait=_wait_s,
            sleep=self._wait,
            reraise=True,
        )
        return retrying(send)

    def _must_stop(self, state: RetryCallState, may_repeat: MayRepeat | None) -> bool:
        fault = state.outcome.exception() if state.outcome else None
        if isinstance(fault, Transient) and may_repeat is not None and not may_repeat(fault):
            return True
        return state.attempt_number >= self.attempts or self.waited_s + state.upcoming_sleep > self.budget_s

    def _wait(self, seconds: float) -> None:
        self.waited_s += seconds
        self.sleep(seconds)


_full_jitter = wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)


def _wait_s(state: RetryCallState) -> float:
    """Seconds until the next attempt: never less than the server asked for."""
    fault = state.outcome.exception() if state.outcome else None
    asked = fault.retry_after_s if isinstance(fault, Transient) else None
    return max(asked or 0.0, _full_jitter(state))
