"""Templates and the style sheet, which are data of the package, and the headers that every page carries."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2

from crmsync.sandbox.answers import Answer
from crmsync.sandbox.page.shown import label

HTML = "text/html;charset=UTF-8"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@cache
def _templates() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("crmsync.sandbox.page"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters["label"] = label
    return found


def page(template: str, status: int, context: dict[str, Any]) -> Answer:
    """One page as HTML."""
    text = _templates().get_template(template).render(context)
    return Answer(text, status, dict(HEADERS), HTML)


def style_sheet() -> Answer:
    """The one style sheet."""
    text = files("crmsync.sandbox.page").joinpath("templates/style.css").read_text(encoding="utf-8")
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Answer(text, 200, headers, "text/css;charset=UTF-8")
