"""How days, amounts and what is missing are said in a language; and how text out of the CRM is made harmless."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_decimal, format_percent

from crmsync.errors import ConfigError
from crmsync.programs.program import Program, Unit
from crmsync.strict_yaml import read_yaml
from crmsync.writeback.partner_safe import INTERNAL
from crmsync.writeback.wording import Joins, Standing, label_of_metric, number_entry, unmet

WORDS = ("needs", "and", "or", "of", "yes", "no", "unknown", "again")
WORDS_FILE = "words.yaml"
LONGEST_VALUE = 500
LONGEST_SUBJECT = 200

UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
"""Breaks of lines, controls, and characters that turn or hide text."""

CALLS = re.compile(r"@(?=everyone|here|channel|all\b)|<(?=[@!#&])|\](?=\()", re.IGNORECASE)
"""What calls a whole channel (`@everyone`, `<!channel>`) or hides an address behind a word (`[word](address)`): not
every chat escapes them."""


def harmless(text: str, longest: int = LONGEST_VALUE) -> str:
    """One line of text without control characters, cut to its length; what chats would act on is broken."""
    flat = " ".join(UNSEEN.sub(" ", text).split())
    flat = CALLS.sub(lambda found: f"{found[0]}\u2060", flat)
    return flat if len(flat) <= longest else flat[: longest - 1].rstrip() + "…"


def harmless_values(value: Any) -> Any:
    """The same for every text in a value, at any depth."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, Mapping):
        return {harmless(str(key)): harmless_values(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [harmless_values(inner) for inner in value]
    return value


@dataclass(frozen=True)
class Speech:
    """One language. `words`: the few that stand between values."""

    locale: str
    words: Mapping[str, str]

    def day(self, value: date) -> str:
        """`31 January 2027`, `31. Januar 2027`."""
        return str(format_date(value, format="long", locale=self.locale))

    def month(self, value: date) -> str:
        """`January 2027`."""
        return str(format_date(value, format="MMMM y", locale=self.locale))

    def number(self, value: Any) -> str:
        """A number with the separators of the language, at most two decimals, cut and not rounded."""
        number = _decimal(value)
        return str(value) if number is None else str(format_decimal(_cut(number), locale=self.locale))

    def shown(self, program: Program, metric: str, value: object) -> str:
        """A metric's value: `512.000 EUR`, `30 %`, `ja`, `unbekannt`."""
        if value is None:
            return self.words["unknown"]
        if isinstance(value, bool) or value in ("true", "false"):
            return self.words["yes"] if value in (True, "true") else self.words["no"]
        found = program.metrics.get(metric.partition("[")[0])
        unit, number = found.unit if found else Unit.NUMBER, _decimal(value)
        if number is None or unit is Unit.TEXT:
            return str(value)
        if unit is Unit.PERCENT:
            exact = (number * 100).quantize(Decimal("0.01"), ROUND_DOWN) / 100
            return str(format_percent(exact, locale=self.locale, decimal_quantization=False))
        if unit is Unit.MONEY:
            return f"{format_decimal(_cut(number), locale=self.locale)} {program.currency or ''}".rstrip()
        return self.number(number)

    def missing(self, program: Program, row: Standing, *, for_partner: bool) -> str:
        """What is missing towards the next tier. For a partner: without internal metrics, and without values that may
        be names."""

        def tell(_program: Program, entry: Mapping[str, Any]) -> str:
            key = str(entry["metric"])
            metric = program.metrics.get(key.partition("[")[0].partition(".")[0])
            if for_partner and (metric is None or INTERNAL.search(f"{metric.label} {metric.key}")):
                return ""
            label = label_of_metric(program, key) if not for_partner or metric is None else metric.label
            plain = number_entry(entry) and (metric is None or metric.unit is not Unit.TEXT)
            if for_partner and not plain:
                return label
            has, needs = (self.shown(program, key, entry.get(which)) for which in ("value", "required"))
            return f"{label} {has} ({self.words['needs']} {needs})"

        return unmet(program, row, tell, Joins(self.words["and"], self.words["or"], self.words["of"]))


def _decimal(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _cut(number: Decimal) -> Decimal:
    if number == number.to_integral_value():
        return number.to_integral_value()
    return number.quantize(Decimal("0.01"), ROUND_DOWN)


def read_speech(folder: Path, locale: str) -> Speech:
    """The language of one folder of templates. Errors: ConfigError for a word that is missing or unknown."""
    top = read_yaml(folder / WORDS_FILE)
    return Speech(locale, {word: node.text() for word, node in top.mapping(required=WORDS).items()})


def nearest_locale(asked: str | None, known: Mapping[str, Any], default: str) -> str:
    """The folder for a person's locale: `de_AT` is told in `de` where there is no folder of its own, `zh-hant-TW` in
    `zh_Hant`."""
    folders = {name.casefold(): name for name in known}
    parts = re.split(r"[-_.]", (asked or "").strip().casefold())
    wanted = ("_".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((folders[one] for one in wanted if one in folders), default)


def checked_locale(folder: Path) -> str:
    """The name of a folder of templates as a locale. Errors: ConfigError."""
    try:
        Locale.parse(folder.name)
    except (ValueError, LookupError) as error:
        raise ConfigError(
            "this folder is not named after a locale; write en, de or pt_BR, for example", file=str(folder)
        ) from error
    return folder.name
