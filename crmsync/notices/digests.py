"""Summaries: what was collected for one person becomes one notice, per run or once a week, if there is anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby

from crmsync.configuration_notices import NoticeRules
from crmsync.notices import outbox as o
from crmsync.notices.events import DIGEST
from crmsync.notices.outbox import Notice, key_of, reference_of
from crmsync.notices.templates import Templates
from crmsync.notices.timing import week_of
from crmsync.notices.variables import audience_kind, variables_of

MOST_ITEMS = 50


def digests_of(
    collected: Iterable[Notice],
    rules: NoticeRules,
    templates: Templates,
    now: datetime,
    run_id: str,
    program: str,
    audit: str,
) -> Iterator[list[tuple[Notice, list[Notice]]]]:
    """For each person the parts of the summary that is due, each with the notices in it; most have one part.

    A weekly one has the week as its period, so there is one: what is collected later in the week waits for the next.
    """
    ordered = sorted(collected, key=_whose)
    for _, group in groupby(ordered, key=_whose):
        some = sorted(group, key=lambda one: (one.partner_id or "", one.event, one.notice_key))
        audience = rules.audiences.get(some[0].audience)
        if audience is None:
            continue  # nobody asks for it now; it waits until somebody does, or is no longer so
        # per run its own items name it: a run that dies and is repeated makes the same one
        first = min(one.notice_key for one in some)
        period = week_of(now, some[0].zone) if audience.digest == "weekly" else f"{run_id}|{first}"
        parts = [some[start : start + MOST_ITEMS] for start in range(0, len(some), MOST_ITEMS)]
        names = [period if number == 1 else f"{period}|{number}" for number in range(1, len(parts) + 1)]
        yield [
            (_digest(items, name, templates, run_id, program, audit, now.date()), items)
            for name, items in zip(names, parts, strict=True)
        ]


def _whose(one: Notice) -> tuple[str, str, str]:
    """One person gets one summary, also where the rows of its partners name different languages."""
    return one.audience, one.recipient, one.channel


def _digest(
    items: Sequence[Notice], period: str, templates: Templates, run_id: str, program: str, audit: str, today: date
) -> Notice:
    first = items[0]
    locale = Counter(one.locale for one in items).most_common(1)[0][0]
    key = key_of(None, DIGEST, first.audience, first.recipient, period)
    kind = audience_kind(first.audience)
    values: Mapping[str, object] = {
        "program": program, "as_of": today, "recipient": "", "reference": reference_of(key), "run_id": run_id,
        "audit": audit,
        "items": [
            {"partner": one.partner_id or "", "event": one.event, "subject": one.subject, "text": _first(one.body)}
            for one in items
        ],
    }  # fmt: skip
    allowed = variables_of(DIGEST, kind)
    message = templates.render(
        locale, DIGEST, first.audience, kind, {name: value for name, value in values.items() if name in allowed}
    )
    return Notice(
        key, DIGEST, first.audience, first.recipient, None, period, first.channel, locale, first.zone,
        message.subject, message.body, message.html, o.WAITING, 0, run_id,
    )  # fmt: skip


def _first(body: str) -> str:
    """The first paragraph: what happened, without why and footer."""
    return body.strip().partition("\n\n")[0]
