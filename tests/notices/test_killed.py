"""Telling, killed again and again at each of its failpoints: nothing leaves twice, nothing is lost unseen."""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from crmsync import failpoints
from crmsync.ledger import tables as t
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.ledger import Ledger
from crmsync.notices import outbox as o
from crmsync.notices.templates import Templates
from crmsync.snapshots import Snapshot
from tests.databases import Place
from tests.notices.facts import NOW, TODAY, channels
from tests.notices.servers import Mailbox
from tests.notices.tellers import a_teller
from tests.notices.test_events import PROGRAM
from tests.notices.test_facts import remember
from tests.writeback.facts import a_snapshot, standing, standings

AT_ONCE = 16  # kills of one turn, at each failpoint in its turn
KILLS = int(os.environ.get("SOAK_NOTICE_KILLS", AT_ONCE))
PARTNERS = 3 * AT_ONCE + 3  # who dies at the third one has sent three at most


def tell(place: Place, templates: Templates, mailbox: Mailbox, run: str, snapshot: Snapshot, names: list[str]) -> None:
    """What one process does: find, draft, send."""
    table = standings([standing(name, "gold") for name in names])
    with place.open_again() as ledger:
        a_teller(ledger, templates, mailbox, lambda: NOW).tell(run, TODAY, PROGRAM, table, snapshot)


def died(death: str, *told: object) -> bool:
    """Tell in a process of its own that kills itself there; whether it did."""
    with warnings.catch_warnings():  # the server beside us is a thread; the child touches nothing of it
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.environ[failpoints.ENVIRONMENT] = death
        try:
            tell(*told)  # type: ignore[arg-type]
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(7)
    status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def left(ledger: Ledger) -> Counter[str]:
    """The audit's events of notices."""
    with ledger.reading() as connection:
        return Counter(connection.scalars(select(t.audit.c.event).where(t.audit.c.event.startswith("notice"))))


@pytest.mark.timeout(60 + 6 * KILLS)
def test_however_often_telling_is_killed_nothing_is_sent_twice_and_nothing_is_lost_unseen(
    place: Place, templates: Templates, mailbox: Mailbox, tmp_path: Path
) -> None:
    channels(mail=mailbox.url)  # apprise is loaded here once, and not in every process that dies
    chosen, at, wanted = random.Random(7), Counter[str](), set[str]()
    for turn in range(0, KILLS, AT_ONCE):
        names = [f"p{turn}-{number}" for number in range(PARTNERS)]
        people = [{"partner_id": name, "name": name, "mail": f"{name}@x.example"} for name in names]
        snapshot, run = a_snapshot(tmp_path / str(turn), partners=people), f"run-{turn}"
        wanted.update(f"{name}@x.example" for name in names)
        with place.open_again() as ledger:
            remember(ledger, run, *((name, "silver", "gold", "promoted") for name in names))
        for number in range(AT_ONCE):
            name = failpoints.OF_NOTICES[number % len(failpoints.OF_NOTICES)]
            nth = 1 if name == "notices_drafted" else chosen.randint(1, 3)
            assert died(f"{name}:{nth}", place, templates, mailbox, run, snapshot, names), name
            at[name] += 1
        tell(place, templates, mailbox, run, snapshot, names)
    assert set(at) == set(failpoints.OF_NOTICES)
    with place.open_again() as ledger:
        notices = o.notices_in(ledger)
        sent = {one.recipient for one in notices if one.state == o.SENT}
        unknown = {one.recipient for one in notices if one.state == o.UNKNOWN}
        audit = left(ledger)
        assert not verify_chain(ledger).faults
    got = Counter(mailbox.recipients)
    assert sent | unknown == wanted
    assert len(notices) == len(wanted)
    assert max(got.values()) == 1
    assert sent <= set(got)
    assert set(got) - sent <= unknown
    # who died after it noted that it sends, and before it noted that it did, leaves one that nobody knows of
    assert len(unknown) == at["notice_claimed"] + at["notice_left"]
    assert len(set(got) - sent) == at["notice_left"]
    assert audit == {"notice_sent": len(sent), "notice_unknown": len(unknown)}
