"""Searching by words, SOSL: which records hold the words, then what SOQL tells of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.org import Org
from crmsync.sandbox.queries import first_page
from crmsync.sandbox.schema import Field, SObject

MOST_FOUND = 2_000
_FIND = re.compile(r"\s*FIND\s*\{((?:\\.|[^}])*)\}\s*", re.IGNORECASE | re.DOTALL)
_SCOPE = re.compile(r"IN\s+(ALL|NAME|EMAIL|PHONE|SIDEBAR)\s+FIELDS\s*", re.IGNORECASE)
_LIMIT = re.compile(r"LIMIT\s+(\d+)\s*\Z", re.IGNORECASE)
_RETURNED = re.compile(r"\s*(\w+)\s*")
_ENDING = re.compile(r"\s+(WHERE|ORDER\s+BY|LIMIT|OFFSET)\s", re.IGNORECASE)
_PART = re.compile(r'"((?:\\.|[^"])*)"|(\S+)')
_TYPES = {"ALL": ("string", "email", "phone", "url", "textarea"), "SIDEBAR": ("string", "email", "phone"),
          "EMAIL": ("email",), "PHONE": ("phone",)}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """One object of RETURNING: its fields, and the rest of its SOQL (WHERE, ORDER BY, LIMIT)."""

    name: str
    fields: str = "Id"
    rest: str = ""


def search(org: Org, call: Call) -> Answer:
    """GET `/search?q=FIND {…}`: the records found, object by object. Errors: ApiError MALFORMED_SEARCH."""
    text = call.query.get("q", "")
    found = _FIND.match(text)
    if found is None or not found[1].strip():
        raise _malformed("No search term found. The search term must be enclosed in braces.")
    tail = text[found.end() :]
    scope = _SCOPE.match(tail)
    tail = tail[scope.end() :] if scope else tail
    limit = _LIMIT.search(tail)
    tail = tail[: limit.start()] if limit and not _inside(tail, limit.start()) else tail
    most = min(int(limit[1]), MOST_FOUND) if limit else MOST_FOUND
    wanted = _returned(tail) if tail.strip() else [Wanted(one.name) for one in org.visible if one.name_field]
    records: list[dict[str, Any]] = []
    for one in wanted:
        records += _found(org, call, one, (scope[1] if scope else "ALL").upper(), _pattern(found[1]))
    return Answer({"searchRecords": records[:most]})


def _malformed(text: str) -> ApiError:
    return ApiError(400, "MALFORMED_SEARCH", text)


def _inside(text: str, place: int) -> bool:
    """The place stands within brackets."""
    return text.count("(", 0, place) > text.count(")", 0, place)


def _returned(tail: str) -> list[Wanted]:
    if not re.match(r"RETURNING\s", tail, re.IGNORECASE):
        raise _malformed(f"unexpected token: '{tail.split()[0][:60]}'")
    return list(_entries(tail[len("RETURNING") :]))


def _entries(text: str) -> Iterator[Wanted]:
    place = 0
    while True:
        name = _RETURNED.match(text, place)
        if name is None:
            raise _malformed("RETURNING needs the name of an object")
        place = name.end()
        if text[place : place + 1] == "(":
            end = _closing(text, place)
            inner = text[place + 1 : end]
            cut = _ENDING.search(f"{inner} ")
            yield Wanted(name[1], inner[: cut.start()] if cut else inner, inner[cut.start() :] if cut else "")
            place = end + 1
        else:
            yield Wanted(name[1])
        rest = text[place:].strip()
        if not rest:
            return
        if not rest.startswith(","):
            raise _malformed(f"unexpected token: '{rest.split()[0][:60]}'")
        place = text.index(",", place) + 1


def _closing(text: str, start: int) -> int:
    depth = 0
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise _malformed("a bracket of RETURNING is not closed")


Pattern = tuple[tuple[re.Pattern[str], ...], ...]
"""Words that a record must hold: all of one of these groups."""


def _pattern(term: str) -> Pattern:
    groups: list[list[re.Pattern[str]]] = [[]]
    for phrase, word in _PART.findall(term):
        if word.upper() == "NOT":
            raise _malformed("NOT is not offered by this org")
        if word.upper() == "OR" and groups[-1]:
            groups.append([])
        elif word.upper() != "AND":
            groups[-1].append(_word(phrase or word))
    return tuple(tuple(group) for group in groups if group)


def _word(text: str) -> re.Pattern[str]:
    """Whole words without regard to case; `*` stands for any signs, `?` for one."""
    plain = re.sub(r"\\(.)", r"\1", text)
    inner = "".join({"*": r"\w*", "?": r"\w"}.get(sign, re.escape(sign)) for sign in plain)
    return re.compile(rf"(?<!\w){inner}(?!\w)", re.IGNORECASE)


def _found(org: Org, call: Call, wanted: Wanted, scope: str, pattern: Pattern) -> list[dict[str, Any]]:
    sobject = org.visible.find(wanted.name)
    if sobject is None:
        raise ApiError(400, "INVALID_TYPE", f"sObject type '{wanted.name[:80]}' is not supported.")
    fields = _searched(sobject, scope)
    ids = list(_ids(org, sobject, fields, pattern)) if fields else []
    if not ids:
        return []
    listed = ", ".join(f"'{one}'" for one in ids)
    where = re.match(r"\s+WHERE\s", wanted.rest, re.IGNORECASE)
    cut = re.search(r"\s+(ORDER\s+BY|LIMIT|OFFSET)\s", wanted.rest, re.IGNORECASE)
    condition = wanted.rest[where.end() : cut.start() if cut else None] if where else ""
    both = f"Id IN ({listed})" + (f" AND ({condition})" if condition.strip() else "")
    ending = wanted.rest[cut.start() :] if cut else ""
    page = first_page(org, f"SELECT {wanted.fields} FROM {sobject.name} WHERE {both}{ending}", call.root)
    records: list[dict[str, Any]] = page["records"]
    return records


def _searched(sobject: SObject, scope: str) -> list[Field]:
    seen = [known for known in sobject.stored() if not known.hidden and known.filterable]
    if scope == "NAME":
        return [known for known in seen if known.name_field or known.name in ("FirstName", "LastName")]
    return [known for known in seen if known.type in _TYPES[scope]]


def _ids(org: Org, sobject: SObject, fields: list[Field], pattern: Pattern) -> Iterator[str]:
    names = ", ".join(f'"{known.name}"' for known in fields)
    alive = ' WHERE "IsDeleted" = 0' if sobject.field("IsDeleted") else ""
    left = MOST_FOUND
    for record_id, *values in org.store.reader().execute(f'SELECT "Id", {names} FROM "{sobject.name}"{alive}'):
        text = "\n".join(str(value) for value in values if value is not None)
        if left and any(all(word.search(text) for word in group) for group in pattern):
            left -= 1
            yield record_id
