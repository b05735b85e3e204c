"""Names as people give them (`Partner_Since__c`, `partnerSeit`, `Zertifizierungsdatum`), and what they say."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_HUMPS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PART_MIN = 4
"""Letters of a word that is looked for inside a longer one, as German builds them."""
_PART = 0.6
_ORDER_STEP = 0.01


def tokens(name: str) -> tuple[str, ...]:
    """The words of an API name or a label, in small letters, without accents, in the singular."""
    own = re.sub(r"__[a-z]+$", "", name, flags=re.IGNORECASE).rpartition("__")[2]  # a namespace says nothing
    plain = unicodedata.normalize("NFKD", own.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return tuple(_singular(found.lower()) for found in _HUMPS.findall(plain))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def says(text: str, phrases: Sequence[str]) -> float:
    """How well a name says one of the phrases, 0 to 1; the phrases stand in the order of preference."""
    words = tokens(text)
    best = 0.0
    for place, phrase in enumerate(phrases):
        best = max(best, _says(words, tokens(phrase)) - _ORDER_STEP * min(place, 10))
    return max(best, 0.0)


def _says(words: Sequence[str], phrase: Sequence[str]) -> float:
    if not words or not phrase:
        return 0.0
    quality = 1.0
    for wanted in phrase:
        if wanted in words:
            continue
        if not any(len(wanted) >= _PART_MIN and (word.startswith(wanted) or word.endswith(wanted)) for word in words):
            return 0.0
        quality = min(quality, _PART + 0.2)
    spare = max(len(words) - len(phrase), 0)
    return quality * (0.5 + 0.5 * len(phrase) / (len(phrase) + spare))


def names_any(text: str, words: Sequence[str]) -> bool:
    """Whether a text holds one of these single words."""
    return any(says(text, (word,)) > 0 for word in words)
