"""Made-up names, addresses and texts in place of real ones: the same text gives the same mask within one copy.

The mask is drawn from a keyed hash whose key lives as long as the process, so nobody can go back from it by trying.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any

_SYLLABLES = re.findall(
    "..", "babebibodadedidofafegagokakekikolalelilomamemimonanenopaperarerirosasesisotatetitovavevivozazolurutunu"
)
_PARTS = {"Street": "street", "City": "city", "State": "text", "PostalCode": "postal"}
_BY_TYPE = {"email": "email", "phone": "phone", "url": "url", "encryptedstring": "text"}
_PERSON = {"FirstName": "word", "LastName": "word", "MiddleName": "word"}
_SETTINGS = frozenset({"OpportunityStage", "RecordType", "CurrencyType", "DatedConversionRate"})
KEEP, EMPTY = "", "empty"


class Masks:
    """One copy's masks."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)

    def mask(self, kind: str, text: str, length: int) -> str:
        """The made-up text of a kind, no longer than the field (0: no limit)."""
        if not text or kind == EMPTY:
            return ""
        drawn = hmac.digest(self._key, f"{kind}\0{text}".encode(), hashlib.sha256)
        made = _made(kind, drawn)
        return made[:length] if length else made


def _word(drawn: bytes) -> str:
    return "".join(_SYLLABLES[byte % len(_SYLLABLES)] for byte in drawn).capitalize()


def _made(kind: str, drawn: bytes) -> str:
    digits = str(int.from_bytes(drawn[20:28], "big")).rjust(20, "0")
    if kind == "name":
        return f"{_word(drawn[:3])} {_word(drawn[3:7])}"
    if kind in ("word", "city"):
        return _word(drawn[:4])
    if kind == "email":
        return f"{drawn[:8].hex()}@masked.invalid"
    if kind == "phone":
        return f"+1 555 {digits[-7:]}"
    if kind == "url":
        return f"https://{drawn[:8].hex()}.invalid"
    if kind == "street":
        return f"{_word(drawn[:4])} {1 + drawn[9]}"
    return digits[-5:] if kind == "postal" else f"masked {drawn[:6].hex()}"


def kind_of(sobject: str, field: Mapping[str, Any], used: frozenset[str]) -> str:
    """The kind of mask for a described field; `KEEP` for what is no name, address or free text.

    `used`: fields, as `object.field` (or `*.field`) in lower case, whose very text a program or a write depends on.
    """
    name, kind = str(field["name"]), str(field["type"])
    if sobject in _SETTINGS:
        return KEEP
    if name == "Birthdate":
        return EMPTY
    if kind in _BY_TYPE or (sobject == "User" and name == "Username"):
        return _BY_TYPE.get(kind, "email")
    compound = str(field.get("compoundFieldName") or "")
    if compound.endswith("Address") and name != compound:
        part = name.removeprefix(compound.removesuffix("Address"))
        return EMPTY if part in ("Latitude", "Longitude") else _PARTS.get(part, KEEP) if kind != "picklist" else KEEP
    if kind == "textarea":
        return "text"
    if kind != "string" or field.get("autoNumber"):
        return KEEP
    if {f"{sobject}.{name}".lower(), f"*.{name}".lower()} & used or field.get("externalId") or field.get("unique"):
        return KEEP
    if name in _PERSON:
        return _PERSON[name]
    return "name" if field.get("nameField") else "text"
