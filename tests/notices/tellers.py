"""A teller of partners over a real mail server, without a folder of configuration."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import cast

from crmsync.configuration import Configuration
from crmsync.configuration_notices import EVENTS, Audience
from crmsync.ledger.ledger import Ledger
from crmsync.notices.people import Suppressed
from crmsync.notices.templates import Templates
from crmsync.settings import Settings
from crmsync.telling import Teller, now_in_utc
from tests.notices.facts import channels, rules
from tests.notices.servers import Mailbox


class PartnersTeller(Teller):
    """The real one; only the name of the program is not looked up."""

    def _label(self) -> str:
        return "Channel"


def a_teller(
    ledger: Ledger,
    templates: Templates,
    mailbox: Mailbox,
    clock: Callable[[], datetime] = now_in_utc,
    tier_field: str | None = None,
) -> Teller:
    """Partners hear of everything at once, without approval, under the address in their column `mail`."""
    audience = Audience("partner", EVENTS["partner"], columns={"address": "mail"}, lines={"address": 1})
    given = rules("partner", audiences={"partner": audience}, per_recipient=10_000, per_run=10_000)
    return PartnersTeller(
        ledger, cast(Configuration, None), Settings(), given, templates, channels(mail=mailbox.url), Suppressed(), None,
        clock, tier_field,
    )  # fmt: skip
