"""A whole telling over a ledger and a snapshot: who hears of what, once its account is written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from crmsync.configuration import Configuration
from crmsync.configuration_notices import EVENTS, Audience
from crmsync.errors import ConfigError
from crmsync.ledger.intents import Settled, record_intents, record_outcomes
from crmsync.ledger.ledger import Ledger
from crmsync.notices.outbox import SENT, SUPPRESSED, notices_in
from crmsync.notices.people import Suppressed, check_columns, read_people
from crmsync.notices.templates import Templates
from crmsync.settings import Settings
from crmsync.snapshots import Snapshot
from crmsync.telling import Teller, Told
from tests.notices.facts import NOW, TODAY, channels, rules
from tests.notices.servers import Mailbox
from tests.notices.test_events import PROGRAM
from tests.notices.test_facts import intent, remember
from tests.writeback.facts import a_snapshot, standing, standings

COLUMNS = {"address": "mail", "name": "person", "time_zone": "zone", "opted_out": "out"}
PEOPLE = [
    {
        "partner_id": "A",
        "name": "Nordlicht",
        "mail": "Anna@Nordlicht.example ",
        "person": "Anna",
        "zone": "Nowhere/Known",
    },
    {"partner_id": "B", "name": "Southwind", "mail": "bob@south.example", "out": "true"},
    {"partner_id": "C", "name": "Nobody", "mail": "see the card"},
]


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    return a_snapshot(tmp_path / "snapshot", partners=PEOPLE)


@pytest.fixture
def teller(ledger: Ledger, templates: Templates, mailbox: Mailbox) -> Teller:
    audience = Audience("partner", EVENTS["partner"], columns=COLUMNS, lines={"address": 4})
    given = rules("partner", audiences={"partner": audience})
    return Teller(
        ledger, cast(Configuration, None), Settings(), given, templates, channels(mail=mailbox.url), Suppressed(), None,
        lambda: NOW,
    )  # fmt: skip


def tell(teller: Teller, snapshot: Snapshot | None, tier: str = "gold") -> Told:
    rows = standings([standing(partner, tier) for partner in "ABC"])
    return teller.tell("run-2", TODAY, PROGRAM, rows, snapshot)


def test_a_tier_is_told_when_its_account_is_written_and_to_who_can_be_told(
    ledger: Ledger, teller: Teller, snapshot: Snapshot, mailbox: Mailbox
) -> None:
    record_intents(ledger, "d", "run-1", [intent("A", "parked")])
    remember(ledger, "run-2", *((partner, "silver", "gold", "promoted") for partner in "ABC"))
    assert (tell(teller, snapshot).new, len(mailbox.mails)) == (1, 0)  # B does not want it, C has no address
    record_outcomes(ledger, [Settled(intent("A", "parked"), "applied")])
    told = tell(teller, snapshot)
    assert (told.new, told.sent.sent, told.nobody) == (1, 1, {"partner": 1})
    (mail,) = mailbox.mails
    assert mail["To"] == "anna@nordlicht.example"
    (sent,) = notices_in(ledger, SENT)
    assert (sent.partner_id, sent.intent_id, sent.zone) == ("A", "i-A-parked-", "Nowhere/Known")
    assert [one.partner_id for one in notices_in(ledger, SUPPRESSED)] == ["B"]
    assert tell(teller, snapshot).new == 0


def test_without_its_snapshot_a_run_tells_nobody_and_the_next_one_does(
    ledger: Ledger, teller: Teller, snapshot: Snapshot, mailbox: Mailbox
) -> None:
    remember(ledger, "run-2", ("A", "silver", "gold", "promoted"))
    assert tell(teller, None).new == 0
    assert tell(teller, snapshot).new == 1
    assert len(mailbox.mails) == 1


def test_a_tier_that_has_changed_again_is_not_told_as_it_was(
    ledger: Ledger, teller: Teller, snapshot: Snapshot, mailbox: Mailbox
) -> None:
    remember(ledger, "run-2", ("A", "silver", "gold", "promoted"))
    remember(ledger, "run-2", ("A", "gold", "silver", "demoted"), on=TODAY + timedelta(days=1))
    assert tell(teller, snapshot, "silver").new == 1
    assert [mail["Subject"] for mail in mailbox.mails] == ["Your tier in Channel: Silver"]


def test_a_column_that_partners_do_not_have_is_told_with_its_line(teller: Teller, tmp_path: Path) -> None:
    people = [{"partner_id": "A", "name": "Nordlicht", "e_mail": "a@b.example"}]
    with pytest.raises(ConfigError, match=r"crmsync\.yaml:4: `mail` is no column of partners \(address of partner\)"):
        teller.ready(a_snapshot(tmp_path / "other", partners=people))
    check_columns(teller.rules, list(COLUMNS.values()))


@pytest.mark.parametrize(
    ("said", "wants"),
    [("", True), ("No", True), ("false", True), ("0", True), ("yes", False), ("True", False), ("Y", False),
     ("opted out", False)],
)  # fmt: skip
def test_what_is_not_plainly_a_no_counts_as_opted_out(teller: Teller, tmp_path: Path, said: str, wants: bool) -> None:
    snapshot = a_snapshot(tmp_path / "said", partners=[{**PEOPLE[0], "out": said}])
    person = read_people(teller.rules, snapshot, ["A"]).persons["partner"]["A"]
    assert person.opted_out is not wants
