"""What sending is done with: the target, the ledger, and when a run must stop sending.

Between two batches the run looks at the org's API allowance, at faults in a row, and at the share of refused records.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from crmsync.configuration_writing import USUAL, WriteLimits
from crmsync.connectors.base import CountsCalls, Into, ManyObjects, Progress, Target, Unwritable, no_progress
from crmsync.errors import ConfigError, Deferred, Retriable, TooManyRefused
from crmsync.ledger.intents import Intent, Settled
from crmsync.ledger.ledger import Ledger

FAULTS_IN_A_ROW = 20
"""So many writes without an answer, one after the other, stop the run: the CRM is not there."""


class Pace:
    """Counts what a run has sent, and stops it where it must not go on."""

    def __init__(self, limits: WriteLimits = USUAL, calls: CountsCalls | None = None) -> None:
        self._limits = limits
        self._calls = calls
        self._faults = 0
        self._ended: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._sample = ""

    @classmethod
    def of(cls, target: Target, limits: WriteLimits) -> Pace:
        """The pace of writing to that target."""
        return cls(limits, target if isinstance(target, CountsCalls) else None)

    def check_allowance(self, planned: int = 0) -> None:
        """Return when so many more calls may be made. Errors: Deferred with the figures and what to do."""
        said = self._calls.api_usage if self._calls is not None else None
        if said is None or self._calls is None or not said[1]:
            return
        used, most = said
        own = self._calls.calls_used
        for who, count, share, key in (
            ("all clients together", used, self._limits.org_share, "org"),
            ("this run", own, self._limits.own_share, "own"),
        ):
            if count + planned > share * most:
                more = f" and {planned:,} more are planned" if planned else ""
                raise Deferred(
                    f"{who} used {count:,} of the org's {most:,} API calls of a day{more}; the limit is {share:.0%} "
                    f"(`writing: {{allowance: {{{key}: …}}}}`). Nothing after this point was sent: run again when the "
                    "allowance has been renewed, what is left is then written"
                )

    def saw_no_answer(self, said: str) -> None:
        """Count a write without an answer. Errors: Retriable after too many in a row."""
        self._faults += 1
        if self._faults >= FAULTS_IN_A_ROW:
            raise Retriable(
                f"{self._faults} writes in a row got no answer (the last: {said}); sending has stopped. Run again when "
                "the CRM answers: what became of them is then read back"
            )

    def saw_answer(self) -> None:
        """The CRM is there."""
        self._faults = 0

    def ended(self, settled: Iterable[Settled]) -> None:
        """Count how records ended. Errors: TooManyRefused."""
        for each in settled:
            if each.state == "pending":
                continue
            self._ended[each.state] += 1
            if each.state == "parked":
                self._refusals[f"{each.code}: {each.message}"] += 1
                self._sample = self._sample or f"{each.intent.object or 'account'} {each.intent.record_id}"
        refused, all_ended = self._ended["parked"], self._ended.total()
        limits = self._limits
        if refused > limits.refused_at_least and refused > limits.refused_share * all_ended:
            words, count = self._refusals.most_common(1)[0]
            raise TooManyRefused(
                f"the CRM refused {refused:,} of {all_ended:,} records (limit {limits.refused_at_least} and "
                f"{limits.refused_share:.0%}: `writing: {{refused: …}}`), {count:,} times with `{words[:300]}`, first "
                f"{self._sample}; sending has stopped. `crmsync status` lists them; mend the cause and run again"
            )


@dataclass(frozen=True)
class Sending:
    """Where intents are sent and recorded. `stamps`: fields that say when and by which run, not what; `keyed`: records
    are named by a key of ours, and a missing one is made; `left_out`: fields that turned out not to be writable."""

    ledger: Ledger
    target: Target
    stamps: frozenset[str] = frozenset()
    progress: Progress = no_progress
    pause: Callable[[float], None] = time.sleep
    keyed: bool = False
    pace: Pace = field(default_factory=Pace)
    left_out: dict[str, Unwritable] = field(default_factory=dict)

    def of(self, intents: Sequence[Intent]) -> Sending:
        """The same for the object of these intents, which is one and the same.

        Errors: ConfigError when the target writes accounts only.
        """
        first = intents[0]
        if not first.sink:
            return self
        if not isinstance(self.target, ManyObjects):
            raise ConfigError(f"{first.object}: only accounts are written here; take `{first.sink}:` out of `writes:`")
        into = self.target.into(Into(first.object, first.key_field))
        return replace(self, target=into, keyed=first.key_field is not None, left_out={})

    def values(self, intent: Intent) -> Mapping[str, str | None]:
        """What is sent of an intent."""
        if not self.left_out:
            return intent.wanted
        return {name: value for name, value in intent.wanted.items() if name not in self.left_out}


def by_object(intents: Iterable[Intent]) -> Iterator[list[Intent]]:
    """The intents of each object, in the order of the sinks as they come."""
    for _, some in groupby(intents, key=lambda one: (one.sink, one.object, one.key_field)):
        yield list(some)


def parts(intents: Sequence[Intent], size: int) -> Iterator[Sequence[Intent]]:
    """So many at a time."""
    for start in range(0, len(intents), size):
        yield intents[start : start + size]


def by_parent(intents: Iterable[Intent]) -> list[Intent]:
    """Records of one account beside each other: those are the ones that lock each other out."""
    return sorted(intents, key=lambda one: (one.partner_id, one.record_id))
