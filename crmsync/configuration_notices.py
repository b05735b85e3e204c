"""`notices:` of crmsync.yaml: who is told of what, when, in which language. Absent: nobody is told anything.

Addresses of servers and channels are settings; addresses of people are columns of the partners table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crmsync.strict_yaml import Node, nearest

PARTNER, OWNER, SALES_OPS, OPERATOR = "partner", "owner", "sales_ops", "operator"
EVENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        PARTNER: ("promoted", "demoted", "grace", "will_fall", "certificate_lapsing"),
        OWNER: (
            "promoted", "demoted", "grace", "will_fall", "certificate_lapsing", "override_ending", "conflict",
        ),
        SALES_OPS: (
            "promoted", "demoted", "grace", "will_fall", "certificate_lapsing", "override_ending", "conflict",
            "guard_tripped",
        ),
        OPERATOR: ("conflict", "guard_tripped", "run_failed", "notice_unknown"),
    }
)  # fmt: skip
"""What each audience can be told; all of it, unless `events:` names some."""

DIGESTS = ("no", "run", "weekly")
MAIL, TASK = "mail", "task"
WAYS = (MAIL, TASK)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LOCALE = re.compile(r"[a-z]{2,3}(_[A-Z][A-Za-z]{1,3})?")
COLUMNS = ("address", "name", "locale", "time_zone", "opted_out")


@dataclass(frozen=True)
class Audience:
    """One audience. `columns`: of the partners table, by what they tell of the person: address, name, locale, …;
    `lines`: where each stands in the file."""

    name: str
    events: tuple[str, ...]
    digest: str = "no"
    by: str = MAIL
    columns: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    locale: str | None = None


@dataclass(frozen=True)
class NoticeRules:
    """All of `notices:`. `quiet`: from and until, in the zone of who is told; `weekend`: days from Monday as 0."""

    file: str
    line: int
    audiences: Mapping[str, Audience]
    templates: Path
    locale: str = "en"
    time_zone: str = "UTC"
    quiet: tuple[time, time] | None = (time(20), time(7))
    weekend: tuple[int, ...] = (5, 6)
    lead_days: tuple[int, ...] = (60, 30, 7)
    approve: bool = True
    hold_days: int = 14
    keep_days: int = 365
    per_recipient: int = 5
    per_run: int = 500
    suppressed: Path | None = None


KEYS = (
    "locale", "time_zone", "templates", "quiet_hours", "weekend", "lead_days", "approve", "hold_days", "keep_days",
    "caps", "suppress",
)  # fmt: skip


def read_notices(node: Node | None, folder: Path, time_zone: str) -> NoticeRules | None:
    """The rules; None where the key is absent. Errors: ConfigError with file and line."""
    if node is None:
        return None
    keys = node.mapping(optional=(*KEYS, *EVENTS))
    audiences = {name: _audience(name, keys[name]) for name in EVENTS if name in keys}
    if not audiences:
        raise node.fail(f"nobody is told anything: name at least one of {', '.join(EVENTS)}")
    caps = keys["caps"].mapping(optional=("per_recipient", "per_run")) if "caps" in keys else {}
    default = NoticeRules("", 0, {}, folder)
    return NoticeRules(
        file=node.file,
        line=node.line,
        audiences=MappingProxyType(audiences),
        templates=_templates(keys.get("templates"), folder),
        locale=_locale(keys["locale"]) if "locale" in keys else default.locale,
        time_zone=_zone(keys["time_zone"]) if "time_zone" in keys else time_zone,
        quiet=_quiet(keys["quiet_hours"]) if "quiet_hours" in keys else default.quiet,
        weekend=_weekend(keys["weekend"]) if "weekend" in keys else default.weekend,
        lead_days=_lead_days(keys["lead_days"]) if "lead_days" in keys else default.lead_days,
        approve=keys["approve"].yes_no() if "approve" in keys else default.approve,
        hold_days=_count(keys.get("hold_days"), default.hold_days, 365),
        keep_days=_count(keys.get("keep_days"), default.keep_days, 3650),
        per_recipient=_count(caps.get("per_recipient"), default.per_recipient, 1000),
        per_run=_count(caps.get("per_run"), default.per_run, 100_000),
        suppressed=_existing(keys["suppress"], folder) if "suppress" in keys else None,
    )


def _audience(name: str, node: Node) -> Audience:
    of_person = name in (PARTNER, OWNER)
    digests = ("digest",) if name != PARTNER else ()
    optional = ("events", *digests, *(COLUMNS if of_person else ("locale",)), *(("by",) if name == OWNER else ()))
    keys = node.mapping(optional=optional)
    by = _one_of(keys["by"], WAYS, "a way to tell an owner") if "by" in keys else MAIL
    if of_person and by == MAIL and "address" not in keys:
        raise node.fail(f"`address:` is missing here: the column of partners that holds the mail address of the {name}")
    columns = {what: keys[what].text() for what in COLUMNS if of_person and what in keys}
    return Audience(
        name,
        _events(keys["events"], name) if "events" in keys else EVENTS[name],
        _one_of(keys["digest"], DIGESTS, "a digest") if "digest" in keys else "no",
        by,
        MappingProxyType(columns),
        MappingProxyType({what: keys[what].line for what in columns}),
        None if of_person or "locale" not in keys else _locale(keys["locale"]),
    )


def _events(node: Node, audience: str) -> tuple[str, ...]:
    return tuple(_one_of(each, EVENTS[audience], f"an event of {audience}") for each in node.sequence())


def _one_of(node: Node, known: tuple[str, ...], what: str) -> str:
    if node.text() not in known:
        raise node.fail(f"`{node.text()}` is not {what}{nearest(node.text(), known)}")
    return node.text()


def _locale(node: Node) -> str:
    from babel import Locale, UnknownLocaleError

    text = node.text()
    try:
        Locale.parse(text if LOCALE.fullmatch(text) else "")
    except (UnknownLocaleError, ValueError):
        raise node.fail(f"`{text}` is not a locale; write en, de or pt_BR, for example") from None
    return text


def _zone(node: Node) -> str:
    try:
        ZoneInfo(node.text())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise node.fail(f"`{node.text()}` is not a time zone; write an IANA name such as Europe/Berlin") from None
    return node.text()


def _templates(node: Node | None, folder: Path) -> Path:
    return folder / "notices" if node is None else _existing(node, folder)


def _existing(node: Node, folder: Path) -> Path:
    path = folder / node.text()
    if not path.exists():
        raise node.fail(f"`{node.text()}` does not exist in {folder}")
    return path


QUIET = re.compile(r"([01]?\d|2[0-3]):([0-5]\d) ?- ?([01]?\d|2[0-3]):([0-5]\d)")


def _quiet(node: Node) -> tuple[time, time] | None:
    if node.text() == "no":
        return None
    found = QUIET.fullmatch(node.text())
    hours = [int(part) for part in found.groups()] if found else []
    if not hours or hours[:2] == hours[2:]:
        raise node.fail(f"`{node.text()}` are no quiet hours; write 20:00-07:00, or no")
    return time(hours[0], hours[1]), time(hours[2], hours[3])


def _weekend(node: Node) -> tuple[int, ...]:
    if node.is_text and node.text() == "no":
        return ()
    found = tuple(DAYS.index(_one_of(each, DAYS, "a day of the week")) for each in node.sequence())
    if len(set(found)) == len(DAYS):
        raise node.fail("every day of the week is a weekend: nobody would ever be told")
    return found


def _lead_days(node: Node) -> tuple[int, ...]:
    found = [each.integer() for each in node.sequence()]
    if not found or any(not 1 <= days <= 365 for days in found) or len(set(found)) != len(found):
        raise node.fail("lead days are different numbers of days from 1 to 365, such as [60, 30, 7]")
    return tuple(sorted(found, reverse=True))


def _count(node: Node | None, default: int, most: int) -> int:
    if node is None:
        return default
    if not 1 <= node.integer() <= most:
        raise node.fail(f"`{node.text()}` is not a number from 1 to {most}")
    return node.integer()
