"""Text out of the CRM stays text: in HTML, in headers, in Slack; and partners never read what is internal."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import responses
from hypothesis import given, settings
from hypothesis import strategies as st

from crmsync.notices.channels import Ending, Outgoing, is_address, message_of, send_chat
from crmsync.notices.drafting import draft_notices
from crmsync.notices.events import Event, Lapsing, certificate_events, falling_events, tier_events
from crmsync.notices.outbox import Notice
from crmsync.notices.people import People
from crmsync.notices.speech import harmless
from crmsync.notices.templates import Templates
from crmsync.notices.variables import INTERNAL as INTERNAL_NAMES
from crmsync.notices.variables import TEAM_ONLY, texts, variables_of
from tests.notices.facts import ANNA, OWEN, TODAY, channels, drafting, rules
from tests.notices.test_events import LEADS, PROGRAM, move
from tests.writeback.facts import missing, standing

NASTY = (
    "<b>Öl</b> & <!channel> @everyone <@1> [click](https://evil.example) <https://evil.example|click>"
    "\r\nBcc: all@evil.example\u2028\u202e"
)


def drafted(templates: Templates, *events: Event, name: str = "Nordlicht GmbH", locale: str = "de") -> list[Notice]:
    people = People({"A": name}, {"partner": {"A": replace(ANNA, locale=locale)}, "owner": {"A": OWEN}}, {})
    base = drafting(templates, rules("partner", "owner"), people=people)
    return draft_notices(base, events, lambda _keys: set())


def promoted(**given: Any) -> Event:
    (event,) = tier_events(PROGRAM, [move("silver", "gold")], {("A", "all"): standing("A", "gold", **given)})
    return event


def test_values_of_the_crm_are_escaped_in_html_and_plain_in_text(templates: Templates) -> None:
    for notice in drafted(templates, promoted(), name=NASTY):
        assert "\n" not in notice.subject
        assert "@everyone" not in notice.body
        assert "\u202e" not in notice.body
        if notice.html is not None:
            assert "<b>" not in notice.html
            assert "&lt;b&gt;" in notice.html


@given(st.text(max_size=400))
def test_no_subject_can_begin_a_header_of_its_own(subject: str) -> None:
    mail = message_of(Outgoing("k", subject, "body"), "a@vendor.example", ["b@x.example"], "a@vendor.example")
    names = [
        line.partition(b":")[0].lower() for line in mail.as_bytes().split(b"\n\n")[0].splitlines() if line[:1] > b" "
    ]
    assert len(names) == len(set(names))
    assert b"bcc" not in names
    assert len(str(mail["Subject"])) <= 200


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example\r\nRCPT TO:<c@d.example>", "a@b.example,c@d.example", "a@b.example?cc=c@d.example",
        "A <a@b.example>",
        "a@b.example c@d.example", '"a b"@c.example', "a", "@b.example", "a@", "a@b..example", "ä@b.example", "",
    ],
)  # fmt: skip
def test_what_is_not_one_plain_address_is_nobody(address: str) -> None:
    assert not is_address(address)


def test_one_plain_address_is_somebody() -> None:
    assert is_address("anna.o'neil+crm@nordlicht.example")


@responses.activate
def test_slack_gets_its_three_signs_escaped_once() -> None:
    slack = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general"
    responses.add(responses.POST, re.compile("https://hooks.slack.com/.*"), body="ok")
    place = channels(sales_ops=slack).sales_ops[0]
    sent = send_chat(place, Outgoing("k", harmless(NASTY), harmless(NASTY)))
    assert sent.ending == Ending.SENT
    posted = json.dumps(json.loads(responses.calls[0].request.body or b"{}"), ensure_ascii=False)
    assert "<!channel>" not in posted
    assert "<https" not in posted
    assert "&lt;\u2060!channel&gt;" in posted
    assert "&amp;lt;" not in posted


CHATS = {
    "workflows://host.example:443/WORKFLOWID1234/SIGNATURE12345/": 202,  # Teams
    "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js": 200,
    "mmosts://mattermost.example/abcdefghijklmnopqrstuvwx": 200,
}


@pytest.mark.parametrize("url", CHATS)
@responses.activate
def test_no_chat_gets_a_link_behind_a_word_a_call_to_everybody_or_a_picture_of_others(url: str) -> None:
    responses.add(responses.POST, re.compile("https://.*"), body="ok", status=CHATS[url])
    place = channels(sales_ops=url).sales_ops[0]
    assert send_chat(place, Outgoing("k", harmless(NASTY), harmless(NASTY))).ending == Ending.SENT
    (call,) = responses.calls
    posted = json.dumps(json.loads(call.request.body or b"{}"), ensure_ascii=False)
    assert not re.search(r"\]\(|@everyone|<@1>|<!channel>", posted)
    assert "github" not in posted


# --- what a partner must never read


def test_no_text_for_partners_may_name_what_only_the_team_may_know() -> None:
    for event, kind in texts():
        if kind == "partner":
            assert not variables_of(event, kind) & {*TEAM_ONLY[event], *INTERNAL_NAMES}, event


PERSON, OTHER, REASON = "Carla Ferrari", "Südwind AG", "strategic account of the board"
INTERNAL = re.compile(
    rf"{PERSON}|{OTHER}|{REASON}|\b(risk|risiko|override|ausnahme|grace|schonfrist|provisional|pin|floor|churn)", re.I
)
WORDS = st.sampled_from([PERSON, OTHER, REASON, "at risk of demotion", "override pin", "Certified people 4 (needs 5)"])
TIERS = st.sampled_from(["registered", "silver", "gold"])


@settings(max_examples=40)
@given(
    WORDS, TIERS, TIERS, st.sampled_from(["people", "revenue", f"revenue[{OTHER}]", "risk_score", "nobody"]),
    st.sampled_from(["de", "en"]), st.integers(1, 59),
)  # fmt: skip
def test_no_internal_word_reason_person_or_other_partner_reaches_a_partner(
    templates: Templates, said: str, granted: str, calculated: str, asked: str, locale: str, days: int
) -> None:
    entry = {**missing(asked, "4", "5"), "path": "all/2", "reason": said, "levers": [said]}
    row = standing(
        "A", granted, calculated_tier=calculated, gap=[entry], gap_summary=said, main_blocker=said, risk="high",
        risk_on=TODAY + timedelta(days=days), risk_reasons=[said], provisional=True, provisional_reasons=[said],
        overrides=[{"kind": "pin", "value": "gold", "reason": REASON, "approved_by": PERSON, "ends_on": "2026-12-01"}],
    )  # fmt: skip
    in_grace = {**row, "grace_until": TODAY + timedelta(days=days)}
    events = [
        *tier_events(PROGRAM, [move("silver", granted, said)], {("A", "all"): row}),
        *falling_events(PROGRAM, [row, in_grace], TODAY, LEADS),
        *certificate_events([Lapsing("A", PERSON, "Sales", TODAY + timedelta(days=days))], TODAY, LEADS),
    ]
    notices = [one for one in drafted(templates, *events, locale=locale) if one.audience == "partner"]
    assert notices
    for notice in notices:
        read = f"{notice.subject}\n{notice.body}\n{notice.html}"
        assert not INTERNAL.search(read), read
        assert OWEN.name not in read
        assert "run-1" not in read
