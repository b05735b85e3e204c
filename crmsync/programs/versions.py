"""Versions of one program: files with the same `program:` key, each in force from its `effective_from` on.

Source: program-language, section 11.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from crmsync.errors import ConfigError
from crmsync.programs.program import Ladder, Migration, Program
from crmsync.strict_yaml import Node, nearest, read_yaml


def read_migration(node: Node | None, effective: date | None, ladders: Mapping[str, Ladder]) -> Migration | None:
    """`migration:` as far as this version alone can tell. Errors: ConfigError."""
    if node is None:
        return None
    parts = node.mapping(required=("keep_until",), optional=("becomes",))
    if effective is None:
        raise node.fail("`migration:` needs `effective_from:`, the day from which this version replaces another")
    until = parts["keep_until"].date()
    if until < effective:
        raise parts["keep_until"].fail(f"`keep_until: {until}` lies before `effective_from: {effective}`")
    becomes = {}
    for old, new in parts["becomes"].mapping().items() if "becomes" in parts else ():
        tiers = _tiers(ladders.values())
        if new.text() not in tiers:
            raise new.fail(f"unknown tier `{new.text()}`{nearest(new.text(), tiers)}")
        becomes[old] = new.text()
    return Migration(until, becomes, node.line)


def _tiers(ladders: Iterable[Ladder]) -> list[str]:
    return [tier.key for ladder in ladders for tier in ladder.tiers]


def by_key(programs: Iterable[Program]) -> dict[str, tuple[Program, ...]]:
    """The versions of each program, oldest first, each with the one `before` it.

    Errors: ConfigError for two versions from one day, and for a migration of tiers that the version before lacks.
    """
    found: dict[str, list[Program]] = {}
    for program in programs:
        found.setdefault(program.key, []).append(program)
    return {key: _linked(versions) for key, versions in found.items()}


def _linked(versions: Sequence[Program]) -> tuple[Program, ...]:
    linked: list[Program] = []
    for program in sorted(versions, key=_start):
        if not linked:
            linked.append(program)
            continue
        before = linked[-1]
        if _start(before) == _start(program):
            raise _same_day(before, program)
        _check_becomes(before, program)
        linked.append(replace(program, before=before))
    return tuple(linked)


def _start(program: Program) -> date:
    return program.effective_from or date.min


def _same_day(first: Program, second: Program) -> ConfigError:
    when = f"`effective_from: {second.effective_from}`" if second.effective_from else "no `effective_from:`"
    return ConfigError(
        f"`program: {second.key}` stands in {first.file} too, and both have {when}; versions differ in that day",
        file=str(second.file),
        line=_line(second, "effective_from" if second.effective_from else "program"),
    )


def _check_becomes(before: Program, program: Program) -> None:
    known = _tiers(before.ladders.values())
    for old in program.migration.becomes if program.migration else ():
        if old not in known:
            raise ConfigError(
                f"`becomes: {old}`: the version before ({before.file}) has no tier `{old}`{nearest(old, known)}",
                file=str(program.file),
                line=_line(program, "migration", "becomes", old),
            )


def _line(program: Program, *path: str) -> int | None:
    """The line of a key, read again from the file: the tree keeps no lines of single words."""
    node, line = read_yaml(program.file), None
    for key in path:
        line, node = node.key_lines.get(key), node.mapping()[key]
    return line


def in_force(versions: Sequence[Program], as_of: date) -> Program:
    """The version of a day: the last that has begun; the first where none has."""
    begun = [program for program in versions if _start(program) <= as_of]
    return begun[-1] if begun else versions[0]


def all_in_force(programs: Collection[Program], as_of: date) -> list[Program]:
    """Of each program the version of a day, in the order of the programs."""
    return [in_force(versions, as_of) for versions in by_key(programs).values()]
