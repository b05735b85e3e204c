"""The addresses of the pages: each call is checked, then answered as the user that the browser chose.

Addresses are those of a real org where it has one: `/lightning/o/{object}/list`, `/lightning/r/{object}/{id}/view`,
`/{id}`. No login and no API call is spent here, and faults pass by, since people are not clients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.org import Org
from crmsync.sandbox.page import pages
from crmsync.sandbox.page.pages import Visit
from crmsync.sandbox.page.rendering import style_sheet
from crmsync.sandbox.page.session import Session, check_form, check_host, session_of
from crmsync.sandbox.users import acting_as

Page = Callable[[Visit], Answer]
_MOST_PAIRS = 5_000


def _given(call: Call) -> dict[str, list[str]]:
    """The fields of a form. Errors: ApiError when the body is none."""
    media = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/x-www-form-urlencoded":
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", f"a form comes as urlencoded text, not as {media!r:.60}")
    try:
        return parse_qs(call.body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_PAIRS)
    except ValueError as error:
        raise ApiError(400, "UNREADABLE_FORM", f"the form cannot be read: {error}") from None


def _door(build: Page) -> Callable[[Org, Call], Answer]:
    """A handler that answers a call with a page."""

    def handle(org: Org, call: Call) -> Answer:
        try:
            check_host(org, call)
        except ApiError as error:
            return Answer(f"{error.message}\n", error.status, {"Cache-Control": "no-store"}, "text/plain;charset=UTF-8")
        session = session_of(org, call)
        visit = Visit(org, call, session, {})
        with acting_as(session.user_id):
            try:
                if call.method == "POST":
                    visit = Visit(org, call, session, _given(call))
                    check_form(org, call, session, visit.given)
                answer = build(visit)
            except ApiError as error:
                answer = visit.render("error.html", "Not possible", error.status, errors=(error, *error.more))
        answer.headers.setdefault("Set-Cookie", session.cookie(org))
        return answer

    return handle


def _choose_user(visit: Visit) -> Answer:
    """The browser looks at the org as another user from now on, from the start page."""
    chosen = Session(pages.who(visit), visit.session.key)
    answer = pages.to("/")
    answer.headers["Set-Cookie"] = chosen.cookie(visit.org)
    return answer


def _style(org: Org, call: Call) -> Answer:
    del org, call
    return style_sheet()


def _no_icon(org: Org, call: Call) -> Answer:
    """Browsers ask for it unasked."""
    del org, call
    return Answer(None, 204, {"Cache-Control": "max-age=86400"})


PAGE_DOORS: tuple[tuple[Any, ...], ...] = (
    ("GET", "/", _door(pages.home), False, "page"),
    ("GET", "/style.css", _style, False, "page"),
    ("GET", "/favicon.ico", _no_icon, False, "page"),
    ("POST", "/user", _door(_choose_user), False, "page"),
    ("GET", "/search", _door(pages.search), False, "page"),
    ("GET", "/changes", _door(pages.recent), False, "page"),
    ("GET", "/api-use", _door(pages.api_use), False, "page"),
    ("GET", "/lightning/o/{object}/list", _door(pages.listing), False, "page"),
    ("GET", "/lightning/o/{object}/new", _door(pages.new), False, "page"),
    ("POST", "/lightning/o/{object}/new", _door(pages.new), True, "page"),
    ("GET", "/lightning/r/{object}/{id}/view", _door(pages.record), False, "page"),
    ("GET", "/lightning/r/{object}/{id}/edit", _door(pages.edit), False, "page"),
    ("POST", "/lightning/r/{object}/{id}/edit", _door(pages.edit), True, "page"),
    ("POST", "/lightning/r/{object}/{id}/end", _door(pages.end), True, "page"),
    ("GET", "/{record}", _door(pages.by_id), False, "page"),
)
"""Rows of the table of doors; the last one takes 15 or 18 signs only."""
