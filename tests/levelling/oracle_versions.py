"""Versions of a program: which one counts on a day, what its tiers were called before. Shares no code with the engine.

Source: program-language, section 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from crmsync.programs.program import Program
from tests.levelling.oracle_places import Stood

Standings = Mapping[tuple[str, str], Stood]


def on_day(program: Program, day: date) -> Program:
    """The version of a day: the last that has begun; the oldest where none has."""
    found = program
    while found.before is not None and (found.effective_from or date.min) > day:
        found = found.before
    return found


def in_version(stood: Standings, old: Program, new: Program) -> dict[tuple[str, str], Stood]:
    """Standings of one version in the tiers of a later one."""
    names = _names(old, new)
    return {key: _moved(one, key[1].split("/")[0], old, new, names) for key, one in stood.items()}


def _names(old: Program, new: Program) -> dict[str, str]:
    """What each tier of an older version is called in a later one."""
    if new is old:
        return {tier.key: tier.key for ladder in old.ladders.values() for tier in ladder.tiers}
    assert new.before is not None
    becomes = new.migration.becomes if new.migration is not None else {}
    return {key: becomes.get(name, name) for key, name in _names(old, new.before).items()}


def _moved(one: Stood, category: str, old: Program, new: Program, names: Mapping[str, str]) -> Stood:
    if category not in old.categories:
        return one  # it had ended in that version already
    keys = [None, *(tier.key for tier in old.ladder_of(category).tiers)]
    if category not in new.categories:
        last = keys[(one.granted if one.first is None else one.first[1]) or 0]
        return replace(one, was_called=None if last is None else names[last])
    places = {tier.key: at for at, tier in enumerate(new.ladder_of(category).tiers, 1)}

    def place(position: int | None) -> int | None:
        if position is None or position <= 0:
            return position
        return places.get(names[str(keys[position])])

    def called(position: int | None) -> bool:
        return bool(position) and names[str(keys[position or 0])] != keys[position or 0]

    first = one.first if one.first is not None else (one.earned, one.granted)
    return replace(
        one,
        earned=place(one.earned), granted=place(one.granted), pending=place(one.pending), declined=place(one.declined),
        held={_renamed(key, "requires:", names): day for key, day in one.held.items()},
        met={_renamed(key, "", names): day for key, day in one.met.items()},
        first=None if one.first is None else (place(one.first[0]), place(one.first[1])),
        renamed=one.renamed or called(first[0]),
    )  # fmt: skip


def _renamed(key: str, start: str, names: Mapping[str, str]) -> str:
    tier = key.removeprefix(start)
    return start + names[tier] if key.startswith(start) and tier in names else key


def written_back(stood: Standings, new: Program) -> dict[tuple[str, str], Stood]:
    """Standings in the tiers of the version before: of several that became one the highest."""
    old = new.before
    assert old is not None
    found = {}
    names = _names(old, new)
    for key, one in stood.items():
        category = key[1].split("/")[0]
        if category not in old.categories or category not in new.categories:
            continue
        keys = [None, *(tier.key for tier in new.ladder_of(category).tiers)]
        places = {str(names[tier.key]): at for at, tier in enumerate(old.ladder_of(category).tiers, 1)}

        def place(position: int | None, keys: list[str | None] = keys, places: dict[str, int] = places) -> int | None:
            return position if position is None or position <= 0 else places.get(str(keys[position]), 0)

        found[key] = replace(one, earned=place(one.earned), granted=place(one.granted), pending=place(one.pending),
                             declined=place(one.declined), first=None)  # fmt: skip
    return found
