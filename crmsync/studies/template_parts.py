"""A template with some of its categories only: the others go, with their ladders and the cases that speak of them."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from crmsync.errors import ConfigError
from crmsync.strict_yaml import nearest, parse_yaml

_KEY = re.compile(r"  ([A-Za-z_][\w-]*):")
_CASE = re.compile(r"  - ")
_EMPTY = re.compile(r"^\n*^cases:\n+(?=\Z|\S)", re.MULTILINE)


def categories_of(text: str) -> Mapping[str, tuple[str, str]]:
    """Category -> (label, ladder) of a program; empty where it has none."""
    top = parse_yaml(text, "template").mapping()
    if "categories" not in top:
        return {}
    found = {}
    for key, node in top["categories"].mapping().items():
        parts = node.mapping()
        label, ladder = (parts[name].text() if name in parts else key for name in ("label", "ladder"))
        found[key] = (label, ladder)
    return found


def with_categories(files: Mapping[str, str], keep: Sequence[str]) -> dict[str, str]:
    """The files of a template (file name -> text, the program first) with these categories, in its own words.

    Errors: ConfigError for a category that it does not have.
    """
    first, *sheets = files
    text = files[first]
    known = categories_of(text)
    for key in keep:
        if key not in known:
            there = f"it has {', '.join(known)}" if known else "it has no categories"
            raise ConfigError(f"--category {key}: the template has no such category{nearest(key, known)}; {there}")
    gone = [key for key in known if key not in keep]
    if not keep or not gone:
        return dict(files)
    ladders = {known[key][1] for key in gone} - {known[key][1] for key in keep}
    words = [re.escape(word) for key in gone for word in (key, known[key][0])]
    spoken = re.compile(rf"\b(?:{'|'.join(words)})\b")
    text = _EMPTY.sub("", "".join(_parts(text, {"categories": set(gone), "ladders": ladders}, spoken)))
    kept = {name: sheet for name in sheets if (sheet := _without_ladders(files[name], ladders))}
    for name in sheets:
        if name not in kept:
            text = re.sub(rf"^\w+: {re.escape(name)}\n", "", text, flags=re.MULTILINE)
    return {first: text, **kept}


def _without_ladders(sheet: str, ladders: Collection[str]) -> str:
    """A sheet of thresholds without the rows of these ladders; empty where none is left."""
    rows = list(csv.reader(io.StringIO(sheet)))
    if not rows or "ladder" not in rows[0]:
        return sheet
    at = rows[0].index("ladder")
    kept = [row for row in rows[1:] if len(row) <= at or row[at] not in ladders]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([rows[0], *kept])
    return out.getvalue() if any(kept) else ""


def _parts(text: str, gone: Mapping[str, Collection[str]], spoken: re.Pattern[str]) -> Iterator[str]:
    """The lines that stay; a top-level part is looked at entry by entry."""
    part, entry = "", ""
    for line in [*text.splitlines(keepends=True), ""]:
        starts = (part in gone and _KEY.match(line)) or (part == "cases" and _CASE.match(line))
        if line[:1] not in (" ", "\n") or starts:
            yield from _kept(part, entry, gone, spoken)
            entry = ""
        if line[:1] not in (" ", "\n", "#", ""):
            part = line.partition(":")[0]
        entry += line
    yield from _kept(part, entry, gone, spoken)


def _kept(part: str, entry: str, gone: Mapping[str, Collection[str]], spoken: re.Pattern[str]) -> Iterator[str]:
    key = _KEY.match(entry)
    if part in gone and key is not None and key[1] in gone[part]:
        return
    if part == "cases" and _CASE.match(entry) and spoken.search(entry):
        return
    yield entry
