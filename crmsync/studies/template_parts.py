"""A template with some of its categories only: the others go, with their ladders and the cases that speak of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from crmsync.errors import ConfigError
from crmsync.strict_yaml import nearest, parse_yaml

_KEY = re.compile(r"  ([A-Za-z_][\w-]*):")
_CASE = re.compile(r"  - ")


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


def with_categories(text: str, keep: Sequence[str]) -> str:
    """The program with these categories, in its own words. Errors: ConfigError for one that it does not have."""
    known = categories_of(text)
    for key in keep:
        if key not in known:
            there = f"it has {', '.join(known)}" if known else "it has no categories"
            raise ConfigError(f"--category {key}: the template has no such category{nearest(key, known)}; {there}")
    gone = [key for key in known if key not in keep]
    if not keep or not gone:
        return text
    ladders = {known[key][1] for key in gone} - {known[key][1] for key in keep}
    words = [re.escape(word) for key in gone for word in (key, known[key][0])]
    spoken = re.compile(rf"\b(?:{'|'.join(words)})\b")
    return "".join(_parts(text, {"categories": set(gone), "ladders": ladders}, spoken))


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
