"""Record ids as Salesforce makes them: 15 case-sensitive characters, or 18 with three check characters."""

from __future__ import annotations

import re
from functools import lru_cache

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[A-Z0-5]{3})?\Z")
_POD = "7Q0"

MASTER_RECORD_TYPE = "012000000000000AAA"
JOB_PREFIX = "750"
LOCATOR_PREFIX = "0r8"


@lru_cache(maxsize=65_536)
def _check_character(block: str) -> str:
    return _CHECK[sum(1 << place for place, character in enumerate(block) if "A" <= character <= "Z")]


def with_check(id15: str) -> str:
    """The 18-character form of a 15-character id."""
    return id15 + _check_character(id15[:5]) + _check_character(id15[5:10]) + _check_character(id15[10:15])


def make_id(prefix: str, number: int) -> str:
    """The 18-character id of the `number`-th record of a key prefix; later numbers sort after earlier ones."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _ALPHABET[rest] + digits
    return with_check(prefix + _POD + digits.rjust(15 - len(prefix) - len(_POD), "0"))


def id_number(record_id: str) -> int:
    """The number that `make_id` would give this id for, or 0 for an id of another pod."""
    if record_id[3 : 3 + len(_POD)] != _POD:
        return 0
    number = 0
    for character in record_id[3 + len(_POD) : 15]:
        number = number * 62 + _ALPHABET.index(character)
    return number


def to_18(text: str) -> str | None:
    """The 18-character form of a 15- or 18-character id; None when `text` is no id (wrong length, sign or check)."""
    if _SHAPE.match(text) is None:
        return None
    whole = with_check(text[:15])
    return whole if len(text) == 15 or text == whole else None
