"""Where events are found: standings, the ledger's changes of tier, certificates, edits by hand."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import insert, select, update

from crmsync.ledger import tables as t
from crmsync.ledger.audit import record_event
from crmsync.ledger.chain import verify_chain
from crmsync.ledger.conflicts import record_told, untold_conflicts
from crmsync.ledger.intents import Intent, Settled, record_intents, record_outcomes
from crmsync.ledger.ledger import Ledger
from crmsync.notices.drafting import draft_notices
from crmsync.notices.events import Lapsing, conflict_event, falling_events, guard_event, override_events
from crmsync.notices.facts import (
    lapsing_certificates,
    newest_link,
    rows_that_end,
    tier_moves,
    unwritten_partners,
    written_by,
)
from crmsync.notices.people import People
from crmsync.notices.templates import Templates
from crmsync.snapshots import Staging, TableFile, write_table
from crmsync.tables import CANONICAL
from tests.databases import Place
from tests.notices.facts import ANNA, OWEN, TODAY, channels, drafting, rules
from tests.notices.test_events import LEADS, PROGRAM
from tests.writeback.facts import standing, standings

# --- changes of tier


def remember(ledger: Ledger, run_id: str, *steps: tuple[str, str | None, str | None, str], on: date = TODAY) -> None:
    rows = [
        {"program": "channel", "partner_id": partner, "category": "all", "as_of": on.isoformat(), "run_id": run_id,
         "from_tier": before, "to_tier": after, "movement": movement}
        for partner, before, after, movement in steps
    ]  # fmt: skip
    with ledger.writing() as connection:
        connection.execute(insert(t.tier_history), rows)


def test_what_changed_before_notices_were_on_is_not_told_and_what_came_later_is_found_by_every_run(
    place: Place,
) -> None:
    with place.open() as ledger:
        remember(ledger, "run-1", ("A", "silver", "gold", "promoted"))
        remember(ledger, "run-2", ("B", "silver", "gold", "promoted"))
        assert [move.partner_id for move in tier_moves(ledger, "channel", TODAY, "run-2")] == ["B"]
        remember(ledger, "run-3", ("C", "gold", "silver", "demoted"))
        for run in ("run-3", "run-4"):  # a run that died before it told is told by the next one
            assert [move.partner_id for move in tier_moves(ledger, "channel", TODAY, run)] == ["B", "C"]
        assert tier_moves(ledger, "other", TODAY, "run-4") == []
        assert tier_moves(ledger, "channel", TODAY + timedelta(days=40), "run-4") == []


def intent(partner: str, state: str, sink: str = "") -> Intent:
    return Intent(
        f"i-{partner}-{state}-{sink}", "run-1", "d", f"rec-{partner}", partner, {"Tier": "Gold"}, {}, "token", state,
        sink=sink, object="Standing" if sink else "",
    )  # fmt: skip


@pytest.mark.parametrize("left", ["pending", "claimed", "parked", "conflict"])
def test_a_partner_whose_account_is_not_written_is_not_told(ledger: Ledger, left: str) -> None:
    record_intents(ledger, "d", "run-1", [intent("A", left), intent("B", "applied"), intent("C", left, "standings")])
    assert unwritten_partners(ledger) == {"A"}
    record_outcomes(ledger, [Settled(intent("A", left), "applied")])
    assert unwritten_partners(ledger) == frozenset()
    assert written_by(ledger, ["A", "B", "C"]) == {"A": f"i-A-{left}-", "B": "i-B-applied-"}


# --- standings


def test_rows_that_end_are_those_in_grace_at_risk_or_with_an_override() -> None:
    override = {"kind": "pin", "value": "gold", "ends_on": "2026-12-01", "reason": "deal", "tier_without": "silver"}
    table = standings(
        [
            standing("A"),
            standing("B", grace_until=date(2026, 12, 24)),
            standing("C", risk_on=date(2026, 12, 24)),
            standing("D", overrides=[override]),
            {**standing("E", grace_until=date(2026, 12, 24)), "program": "another"},
        ]
    )
    rows = rows_that_end(table, "channel")
    assert [row["partner_id"] for row in rows] == ["B", "C", "D"]
    assert rows[0]["projected_tier"] == "silver"
    assert len(list(falling_events(PROGRAM, rows, TODAY, LEADS))) == 3  # the grace, its end, the risk
    assert len(list(override_events(PROGRAM, rows, TODAY, LEADS))) == 1


# --- certificates


def lapsing(folder: Path, *rows: tuple[str, str, str, date | None], last_day: bool = False) -> list[Lapsing]:
    staging = Staging(folder)
    names = ("partner_id", "person_id", "credential", "expires_on")
    typed = {name: CANONICAL["certifications"].columns[name] for name in names}
    content = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    table = pa.table(content, schema=pa.schema([*((name, pa.string()) for name in names[:3]), (names[3], pa.date32())]))
    path = staging.path("certifications")
    written = write_table(path, table, typed)
    staging.add(TableFile("certifications", path, written, typed, expires_on_is_last_day=last_day))
    return sorted(lapsing_certificates(staging.seal(), TODAY, 60), key=lambda one: one.person_id)


def test_a_certificate_lapses_when_the_same_person_has_no_later_one(tmp_path: Path) -> None:
    soon, later, gone = TODAY + timedelta(days=10), TODAY + timedelta(days=400), TODAY - timedelta(days=1)
    found = lapsing(
        tmp_path,
        ("A", "c1", "Sales", soon),
        ("A", "c2", "Sales", soon),
        ("A", "c2", "Sales", later),  # renewed
        ("A", "c3", "Sales", soon),
        ("A", "c3", "Sales", None),  # for good
        ("A", "c4", "Sales", gone),
        ("", "c5", "Sales", soon),
        ("A", "c6", "Sales", later),
    )
    assert [(one.person_id, one.last_day) for one in found] == [("c1", soon - timedelta(days=1))]


def test_the_last_day_is_told_whichever_way_the_org_keeps_it(tmp_path: Path) -> None:
    (found,) = lapsing(tmp_path, ("A", "c1", "Sales", TODAY + timedelta(days=10)), last_day=True)
    assert found.last_day == TODAY + timedelta(days=10)


# --- people's edits, and the footer


def test_an_edit_by_hand_is_told_once(place: Place, templates: Templates) -> None:
    row = {
        "conflict_id": "c1", "record_id": "001A", "partner_id": "A", "object": "Account", "field": "Tier__c",
        "ours": "Gold", "found": "Silver", "policy": "restore", "state": "open", "run_id": "run-1",
        "found_at": "2026", "changed_at": "2026", "since": "2026",
    }  # fmt: skip
    with place.open() as ledger:
        with ledger.writing() as connection:
            connection.execute(insert(t.conflict).values(row))
        (found,) = untold_conflicts(ledger)
        (notice,) = draft_notices(drafting(templates, rules("owner")), [conflict_event(found)], lambda _: set())
        assert (notice.recipient, notice.subject) == (OWEN.recipient, "Edited by hand: Tier__c of Nordlicht GmbH")
        assert "was `Gold` when crmsync wrote it last, and somebody made it `Silver`" in notice.body
        record_told(ledger, ["c1"])
        assert untold_conflicts(ledger) == []
        with ledger.writing() as connection:
            assert connection.scalar(select(t.conflict.c.state)) == "told"
            connection.execute(update(t.conflict).values(state="restored"))
        record_told(ledger, ["c1"])
        with ledger.reading() as connection:
            assert connection.scalar(select(t.conflict.c.state)) == "restored"


def test_a_footer_of_the_house_anchors_the_audit_chain(ledger: Ledger, templates: Templates) -> None:
    assert newest_link(ledger) == ""
    with ledger.writing() as connection:
        record_event(connection, "run_started", {"run": "run-1"})
    link = newest_link(ledger)
    assert verify_chain(ledger, (link,)).faults == ()
    assert verify_chain(ledger, (link[:-1] + "x",)).faults != ()
    told = channels(sales_ops="json://127.0.0.1/x")
    anchored = drafting(templates, rules("sales_ops"), channels=told, audit=link)
    (notice,) = draft_notices(anchored, [guard_event("f" * 64, 3, 2, [])], lambda _: set())
    assert f"audit {link}" in notice.body


# --- drafting


def test_a_grace_and_the_fall_at_its_end_are_one_notice_when_both_begin(templates: Templates) -> None:
    row = standing("A", "gold", grace_until=TODAY + timedelta(days=20), calculated_tier="silver")
    events = list(falling_events(PROGRAM, [row], TODAY, LEADS))
    notices = draft_notices(drafting(templates, rules("partner")), events, lambda _: set())
    assert [(one.event, one.state) for one in notices] == [("grace", "waiting"), ("will_fall", "suppressed")]
    later = draft_notices(drafting(templates, rules("partner")), events[1:], lambda _: set())
    assert [one.state for one in later] == ["waiting"]


def test_who_opted_out_is_kept_and_not_told(templates: Templates) -> None:
    out = ANNA.__class__(**{**vars(ANNA), "opted_out": True})
    people = People({"A": "Nordlicht GmbH"}, {"partner": {"A": out}}, {})
    row = standing("A", "gold", grace_until=TODAY + timedelta(days=20))
    events = list(falling_events(PROGRAM, [row], TODAY, (7,)))
    (notice,) = draft_notices(drafting(templates, rules("partner"), people=people), events, lambda _: set())
    assert (notice.state, notice.error) == ("suppressed", "the person does not want to be told")


def test_amounts_and_days_are_said_in_the_language_of_the_person(templates: Templates) -> None:
    entry = {
        **standing("A")["gap"][0],
        "metric": "revenue",
        "value": "412000.50",
        "required": "500000",
        "path": "all/1",
    }
    row = standing("A", "gold", grace_until=date(2027, 1, 31), calculated_tier="silver", next_tier="gold", gap=[entry])
    (event,) = falling_events(PROGRAM, [row], TODAY, (7,))
    texts = {
        locale: draft_notices(
            drafting(templates, rules("partner"), people=People(
                {"A": "N"}, {"partner": {"A": ANNA.__class__(**{**vars(ANNA), "locale": locale})}}, {})),
            [event], lambda _: set(),
        )[0].body
        for locale in ("de", "en")
    }  # fmt: skip
    assert "Revenue 412.000,5 EUR (nötig: 500.000 EUR)" in texts["de"]
    assert "31. Januar 2027" in texts["de"]
    assert "Revenue 412,000.5 EUR (needs 500,000 EUR)" in texts["en"]
