"""What the commands of notices print, and what a run says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crmsync.logs import safe_text
from crmsync.reports.text import command, json_text, table

if TYPE_CHECKING:
    from crmsync.notices.outbox import Notice
    from crmsync.notified import Approved, Shown
    from crmsync.telling import Told

HEADINGS = ("key", "state", "event", "audience", "recipient", "partner", "subject", "why")
SUBJECT_SHOWN = 60
LEFT = {
    "held": "await approval (crmsync notices list)",
    "approved": "are approved and wait",
    "waiting": "wait",
    "collected": "are collected for a summary",
    "unknown": "may have been sent or not (crmsync notices list)",
    "failed": "were refused (crmsync notices list)",
    "sending": "are looked up by the next run",
}


def notices_report(notices: Sequence[Notice], as_json: bool) -> str:
    """One line per notice."""
    if as_json:
        return json_text({"notices": [_content(one) for one in notices]})
    if not notices:
        return "no such notices"
    return "\n".join(table(HEADINGS, [_line(one) for one in notices]))


def _line(one: Notice) -> tuple[str, ...]:
    subject = one.subject if len(one.subject) <= SUBJECT_SHOWN else one.subject[: SUBJECT_SHOWN - 1] + "…"
    why = one.error or (f"not before {one.not_before[:16]}" if one.not_before else "")
    return one.reference, one.state, one.event, one.audience, one.recipient, one.partner_id or "", subject, why


def _content(one: Notice) -> dict[str, Any]:
    names = (
        "notice_key", "state", "event", "audience", "recipient", "partner_id", "period", "channel", "locale", "subject",
        "error", "approved_by", "attempts", "created_at", "not_before", "sent_at", "run_id",
    )  # fmt: skip
    return {name: getattr(one, name) for name in names}


def preview_report(shown: Shown, as_json: bool) -> str:
    """A notice as its reader gets it; HTML only with --json."""
    message, notice = shown.message, shown.notice
    if as_json:
        about = _content(notice) if notice else {"what": shown.what}
        return json_text({**about, "subject": message.subject, "body": message.body, "html": message.html})
    head = [f"notice {notice.reference}, {notice.state}, to {notice.recipient}"] if notice else [shown.what]
    lines = [*head, f"subject: {message.subject}", "", *message.body.splitlines()]
    return "\n".join(safe_text(line) for line in lines)


def notices_approved_report(approved: Approved, as_json: bool) -> str:
    """What was let go, by whom."""
    if as_json:
        return json_text({"approved": [one.notice_key for one in approved.notices], "person": approved.person})
    if not approved.notices:
        return "no notice is held"
    following = command("notices", "send", config=approved.config)
    return f"{len(approved.notices)} notices approved by {safe_text(approved.person)}; now: {following}"


def told_report(told: Told, as_json: bool) -> str:
    """What became of the outbox."""
    if as_json:
        return json_text(told_content(told))
    return "\n".join(told_lines(told)) or "nothing to send"


def told_content(told: Told) -> dict[str, Any]:
    """What telling did, as JSON values."""
    sent = told.sent
    return {
        "new": told.new, "sent": sent.sent, "refused": sent.refused, "unknown": sent.unknown, "not_sent": sent.not_sent,
        "later": sent.later, "open": dict(sent.open), "nobody": dict(told.nobody),
    }  # fmt: skip


def open_lines(states: Mapping[str, int]) -> Iterator[str]:
    """What became of notices that have not ended, in one line; none where there are none."""
    said = [f"{count:,} {LEFT.get(state, state)}" for state, count in sorted(states.items())]
    if said:
        yield f"notices: {'; '.join(said)}"


def told_lines(told: Told | None) -> Iterator[str]:
    """A run's words about notices; none where they are off or there are none."""
    if told is None:
        return
    if told.sent.sent or told.new:
        yield f"notices: {told.sent.sent:,} sent"
    yield from open_lines(told.sent.open)
    for audience, count in sorted(told.nobody.items()):
        if count:
            yield f"notices: {count:,} partners have no {audience} with a mail address"
