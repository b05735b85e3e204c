"""The templates of notices: found, checked and rendered.

Everything that can be wrong in a template is found when they are opened, before anything is written or sent: syntax,
names that its event and audience do not have, attributes that are not there. Rendering then only puts values in.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    pass_context,
)
from jinja2.meta import find_undeclared_variables
from jinja2.nodes import Name
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from crmsync.configuration import packaged_folder
from crmsync.errors import ConfigError
from crmsync.notices.speech import (
    LONGEST_SUBJECT,
    WORDS_FILE,
    Speech,
    checked_locale,
    harmless,
    harmless_values,
    read_speech,
)
from crmsync.notices.variables import PARTNER, texts, variables_of

LONGEST_BODY = 20_000
SUBJECT, TEXT, HTML = "subject", "txt", "html"
LAYOUT = "layout.html.j2"


@dataclass(frozen=True)
class Message:
    """One text that is ready to go: a subject of one line, plain text, and HTML where there is a template for it."""

    subject: str
    body: str
    html: str | None = None


class Templates:
    """The templates of all languages. Make it with `open_templates`."""

    def __init__(self, speeches: Mapping[str, Speech], environment: Environment) -> None:
        self.speeches = speeches
        self._environment = environment

    def render(self, locale: str, event: str, audience: str, kind: str, values: Mapping[str, Any]) -> Message:
        """The message; values are made harmless first. Errors: ConfigError with file and line of the template."""
        speech = self.speeches[locale]
        safe = {**harmless_values(values), "locale": locale}
        subject, body, html = (self._part(speech, event, audience, kind, part, safe) for part in (SUBJECT, TEXT, HTML))
        return Message(harmless(subject or "", LONGEST_SUBJECT), _shortened(body or ""), html)

    def _part(
        self, speech: Speech, event: str, audience: str, kind: str, part: str, values: Mapping[str, Any]
    ) -> str | None:
        name = self.name_of(speech.locale, event, audience, kind, part)
        if name is None:
            return None
        try:
            template = self._environment.get_template(name)
            return template.render(**values, speech=speech).strip()
        except TemplateError as error:
            raise _told(error, name) from error
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise _told(error, name) from error

    def name_of(self, locale: str, event: str, audience: str, kind: str, part: str) -> str | None:
        """The template of one part: of the audience itself, else of all in the team. HTML may be left out."""
        names = [f"{locale}/{event}.{one}.{part}.j2" for one in dict.fromkeys((audience, kind))]
        found = next((name for name in names if self.has(name)), None)
        if found is None and part != HTML:
            raise ConfigError("this template is missing", file=names[-1])
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a template."""
        try:
            self._environment.get_template(name)
        except TemplateNotFound as error:
            if error.name == name:
                return False
            raise ConfigError(f"includes `{error.name}`, which is not there", file=name) from error
        except TemplateSyntaxError as error:
            raise _told(error, name) from error
        return True

    def check(self) -> None:
        """Look at every template and render each with made-up values, with much and with little in them.

        Errors: ConfigError with file and line.
        """
        for locale, speech in self.speeches.items():
            for event, kind in texts():
                allowed = variables_of(event, kind)
                for audience in dict.fromkeys((kind, *_audiences(kind))):
                    for name in filter(None, (self._own(locale, event, audience, part) for part in PARTS)):
                        self._check_names(name, allowed)
                    for values in (sample_values(allowed), least_values(allowed)):
                        self.render(speech.locale, event, audience, kind, values)

    def _own(self, locale: str, event: str, audience: str, part: str) -> str | None:
        name = f"{locale}/{event}.{audience}.{part}.j2"
        return name if self.has(name) else None

    def _check_names(self, name: str, allowed: frozenset[str]) -> None:
        """Refuse a variable that the event does not have, also in a branch that is not taken."""
        assert self._environment.loader is not None
        source, path, _ = self._environment.loader.get_source(self._environment, name)
        tree = self._environment.parse(source, name, path)
        known = allowed | GIVEN
        for wrong in sorted(find_undeclared_variables(tree) - known):
            lines = [node.lineno for node in tree.find_all(Name) if node.name == wrong]
            near = get_close_matches(wrong, sorted(known), 1, 0.6)
            hint = f"; did you mean `{near[0]}`?" if near else f"; known: {', '.join(sorted(allowed))}"
            raise ConfigError(
                f"`{wrong}` is no variable of this event and audience{hint}", file=path or name, line=min(lines)
            )


PARTS = (SUBJECT, TEXT, HTML)
GIVEN = frozenset({"speech", "locale"})


def _audiences(kind: str) -> Sequence[str]:
    return (PARTNER,) if kind == PARTNER else ("owner", "sales_ops", "operator")


def open_notice_templates(own: Path) -> Templates:
    """The templates of a configuration, over those that come with the package. Errors: ConfigError."""
    return open_templates(own, packaged_folder() / "notices")


def open_templates(own: Path, packaged: Path) -> Templates:
    """Every template: an own file goes before the one that comes with the package. Errors: ConfigError."""
    folders = [folder for folder in (own, packaged) if folder.is_dir()]
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader([str(folder) for folder in folders]),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(f".{HTML}.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.clear()  # no range, no lipsum: a template puts values in and nothing else
    _give_filters(environment)
    found = Templates(MappingProxyType(dict(_speeches(folders))), environment)
    if not found.speeches:
        raise ConfigError("holds no folder of templates such as en", file=str(own))
    found.check()
    return found


def _speeches(folders: Sequence[Path]) -> Iterator[tuple[str, Speech]]:
    names = sorted({each.name for folder in folders for each in folder.iterdir() if each.is_dir()})
    for name in names:
        at = next((folder / name for folder in folders if (folder / name / WORDS_FILE).is_file()), None)
        if at is None:
            raise ConfigError(f"{WORDS_FILE} is missing", file=str(folders[0] / name))
        yield name, read_speech(at, checked_locale(at))


def _give_filters(environment: Environment) -> None:
    """`{{ since | day }}`: the few things that a language says in its own way."""
    environment.filters |= {"day": _day, "month": _month, "number": _number}


@pass_context
def _day(context: Context, value: date) -> str:
    return _speech(context).day(value)


@pass_context
def _month(context: Context, value: date) -> str:
    return _speech(context).month(value)


@pass_context
def _number(context: Context, value: object) -> str:
    return _speech(context).number(value)


def _speech(context: Context) -> Speech:
    speech = context["speech"]
    assert isinstance(speech, Speech)
    return speech


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_BODY else text[:LONGEST_BODY].rstrip() + "\n…"


def _told(error: Exception, name: str) -> ConfigError:
    """The fault with the file and the line of the template in which it happened."""
    if isinstance(error, TemplateSyntaxError):
        return ConfigError(error.message or "is not a template", file=error.filename or name, line=error.lineno)
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename.endswith(".j2")]
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else (name, None)
    said = str(error) or type(error).__name__
    return ConfigError(f"cannot be rendered: {said}", file=file, line=line)


# --- made-up values

A_DAY = date(2027, 1, 31)
SAMPLE: Mapping[str, Any] = MappingProxyType(
    {
        "as_of": A_DAY,
        "since": A_DAY,
        "until": A_DAY,
        "falls_on": A_DAY,
        "ends_on": A_DAY,
        "first_day": A_DAY,
        "days": 30,
        "lead": 30,
        "in_grace": False,
        "asked": ["Certified people"],
        "changes": 12,
        "movers": 8,
        "exit_code": 1,
        "certificates": [{"credential": "Sales", "people": 2, "last_day": A_DAY}],
        "guards": [{"guard": "tier_changes", "value": "12 of 100", "limit": "10", "way_out": "look at the plan"}],
        "notices": [{"key": "0f", "event": "promoted", "audience": "partner", "channel": "mail", "reference": "0f"}],
        "items": [{"partner": "Nordlicht GmbH", "event": "promoted", "subject": "Gold", "text": "Nordlicht is Gold."}],
    }
)


def sample_values(names: frozenset[str]) -> dict[str, Any]:
    """A value for every variable, of the kind that it will have."""
    return {name: SAMPLE.get(name, f"[{name}]") for name in sorted(names)}


def least_values(names: frozenset[str]) -> dict[str, Any]:
    """The same with as little in them as there can be: empty texts and lists."""
    empty = {str: "", list: [], bool: True}
    return {name: empty.get(type(value), value) for name, value in sample_values(names).items()}
