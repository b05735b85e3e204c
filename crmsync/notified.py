"""The outbox of notices, for people: what is in it, what a notice says, who lets it go, and sending without a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from crmsync.approver import named
from crmsync.configuration import config_folder, load_configuration
from crmsync.configuration_notices import EVENTS
from crmsync.errors import ConfigError
from crmsync.logs import configure_logs
from crmsync.notices.outbox import HELD, STATES, Notice, approve, notice_of, notices_in
from crmsync.notices.variables import TEAM_ONLY, audience_kind, texts, variables_of
from crmsync.settings import Settings, load_settings
from crmsync.state import open_ledger

if TYPE_CHECKING:
    from crmsync.belt import Belt
    from crmsync.notices.templates import Message
    from crmsync.telling import Told


@dataclass(frozen=True)
class Shown:
    """One text: of a notice in the outbox, or of a template with made-up values."""

    message: Message
    notice: Notice | None = None
    what: str = ""


@dataclass(frozen=True)
class Approved:
    """Notices that a person lets go."""

    notices: tuple[Notice, ...]
    person: str
    config: Path | None = None  # the configuration folder that was asked for


def list_notices(config: Path | None, states: Sequence[str]) -> list[Notice]:
    """Notices in these states (none given: all but what has ended), oldest first. Errors: ConfigError."""
    for state in states:
        if state not in STATES:
            raise ConfigError(f"--state {state}: there is no such state; known: {', '.join(STATES)}")
    with open_ledger(_settings(config), exclusive=False) as ledger:
        found = notices_in(ledger, *states)
    ended = ("sent", "bundled", "suppressed")
    return found if states else [one for one in found if one.state not in ended]


def preview_notice(config: Path | None, what: str, audience: str | None, locale: str | None) -> Shown:
    """What a notice says (`what`: its key), or what a template does (`what`: its event). Errors: ConfigError."""
    if what in TEAM_ONLY:
        return _made_up(config, what, audience, locale)
    if audience is not None or locale is not None:
        raise ConfigError(f"{what}: --audience and --locale go with an event; known: {', '.join(TEAM_ONLY)}")
    from crmsync.notices.templates import Message

    with open_ledger(_settings(config), exclusive=False) as ledger:
        notice = notice_of(ledger, what)
    return Shown(Message(notice.subject, notice.body, notice.html), notice)


def _made_up(config: Path | None, event: str, audience: str | None, locale: str | None) -> Shown:
    from crmsync.notices.templates import open_notice_templates, sample_values

    configuration = load_configuration(config_folder(_settings(config).config_dir))
    own = configuration.notices.templates if configuration.notices else configuration.folder / "notices"
    templates = open_notice_templates(own)
    reader = audience or next(name for name, events in EVENTS.items() if event in events or name == "owner")
    kind = audience_kind(reader)
    if reader not in EVENTS or (event, kind) not in texts():
        raise ConfigError(f"--audience {reader}: {event} is not told to it")
    wanted = locale or (configuration.notices.locale if configuration.notices else "en")
    if wanted not in templates.speeches:
        raise ConfigError(f"--locale {wanted}: there are templates for {', '.join(sorted(templates.speeches))}")
    values = sample_values(variables_of(event, kind))
    return Shown(templates.render(wanted, event, reader, kind, values), what=f"{event} for {reader} in {wanted}")


def approve_notices(
    config: Path | None, keys: Sequence[str], every: bool, event: str | None, by: str | None
) -> Approved:
    """Let notices go: those of these keys, or all that are held (of one event). Errors: ConfigError."""
    if bool(keys) == every:
        raise ConfigError("name the notices by their keys, or give --all for every one that is held")
    with open_ledger(_settings(config), exclusive=False) as ledger:
        chosen = [notice_of(ledger, key) for key in keys] if keys else notices_in(ledger, HELD, event=event)
        for one in chosen:
            if one.state not in ("held", "unknown", "failed"):
                raise ConfigError(
                    f"{one.reference}: is {one.state}; only held, unknown and failed notices are approved"
                )
        person = named(by) if chosen else ""  # nothing is held: nobody needs to be named
        approve(ledger, chosen, person)
    return Approved(tuple(chosen), person, config)


def send_now(belt: Belt) -> Told:
    """Send what may go now, without a run. Errors: ConfigError where notices are off."""
    from crmsync.telling import open_teller

    teller = open_teller(belt)
    if teller is None:
        raise ConfigError("notices are off: there is no `notices:` here", file=str(belt.configuration.file))
    return teller.tell_due(f"{datetime.now(UTC):%Y%m%d-%H%M%S}-send")


def _settings(config: Path | None) -> Settings:
    settings = load_settings(config)
    configure_logs(settings.log_level, settings.secrets())
    return settings
