"""Rules, channels and notices for the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from crmsync.configuration_notices import EVENTS, Audience, NoticeRules
from crmsync.ledger.ledger import Ledger
from crmsync.notices.channels import Channels, open_channels
from crmsync.notices.drafting import Drafting
from crmsync.notices.outbox import WAITING, Notice, key_of
from crmsync.notices.people import People, Person
from crmsync.notices.sending import Sending
from crmsync.notices.templates import Templates
from crmsync.settings import NoticeSettings
from tests.writeback.facts import a_program

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday noon
ANNA = Person("anna@nordlicht.example", "mail", "Anna", "de", "Europe/Berlin")
OWEN = Person("owen@vendor.example", "mail", "Owen")


def rules(*audiences: str, digest: str = "no", **given: Any) -> NoticeRules:
    """Rules that tell these audiences everything, at once unless a digest is given."""
    named = {
        name: Audience(name, EVENTS[name], digest if name in ("owner", "sales_ops") else "no")
        for name in audiences or EVENTS
    }
    base = NoticeRules("crmsync.yaml", 1, MappingProxyType(named), Path("notices"))
    return replace(base, **{"quiet": None, "weekend": (), "approve": False, **given})


def channels(**urls: str) -> Channels:
    return open_channels(NoticeSettings.model_validate(urls))


def drafting(templates: Templates, given: NoticeRules | None = None, **changed: Any) -> Drafting:
    people = People({"A": "Nordlicht GmbH"}, {"partner": {"A": ANNA}, "owner": {"A": OWEN}}, {})
    base = Drafting(
        given or rules(), templates, Channels(None), a_program(), "Channel", TODAY, "run-1", "17:abcdef", people
    )
    return replace(base, **changed)


def a_notice(recipient: str = ANNA.recipient, **given: Any) -> Notice:
    """A notice that waits to be sent by mail."""
    values: Mapping[str, Any] = {
        "event": "promoted", "audience": "partner", "partner_id": "A", "period": "1", "channel": "mail", "locale": "en",
        "zone": "Europe/Berlin", "subject": "Gold", "body": "You are Gold.", "html": None, "state": WAITING,
        "needs_approval": 0, "run_id": "run-1", **given,
    }  # fmt: skip
    key = key_of(values["partner_id"], values["event"], values["audience"], recipient, values["period"])
    return Notice(notice_key=key, recipient=recipient, **values)


def sending(ledger: Ledger, templates: Templates, given: NoticeRules | None = None, **urls: str) -> Sending:
    """Sending over these addresses."""
    return Sending(ledger, given or rules(), channels(**urls), templates.speeches, timeout_s=5)
