"""Groups on each day ahead: how many values begin or cease to meet all conditions on a day.

The number of each condition is followed per account and value from what moves; where that changes whether all
conditions are met, the account has one value more or less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from crmsync.levelling import sql
from crmsync.levelling.atoms import Atom, GroupsAtom
from crmsync.levelling.calendar import Moves
from crmsync.levelling.groups import GROUP, has_group, within_limit
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.running import Changes, Rowset, by_thing, things_name
from crmsync.levelling.scans import in_window
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate


def group_events(
    levelling: Levelling, moves: Moves, sources: Mapping[str, Rowset], atom: GroupsAtom, tag: str, made: list[str]
) -> Sql:
    """(scope, day, change): each value that begins (1) or ceases (-1) to meet all conditions on a day ahead.

    `sources`: the rows of each table that a condition asks; `made` gets the tables made on the way.
    """
    kinds = {one.column: one.kind for one in atom.conditions}
    by = {GROUP: sql.col(f"group:{atom.source.of}", "f")}
    changes = Changes(levelling, moves, kinds, by, made)
    parts: list[Sql] = []
    for table in atom.tables:
        mine = [one for one in atom.conditions if one.source.table == table]
        inner = f"{tag}_{table}"
        parts += changes.of(sources[table], mine, inner)
        parts += _today(changes, sources[table], mine, inner)
    keys = [sql.col("scope"), sql.col(GROUP), sql.col("day")]
    totals = {column: sql.cast(sql.sum_(sql.col(column)), kind) for column, kind in kinds.items()}
    moved = sql.select(
        [*keys, *sql.columns(totals)], sql.subquery(sql.union_all(parts), "p"), where=has_group(sql.col(GROUP)),
        group=keys,
    )  # fmt: skip
    return _of_values(levelling, atom, moved)


def _today(changes: Changes, source: Rowset, atoms: Sequence[Atom], tag: str) -> list[Sql]:
    """What each value has today, as a change on as_of; reads the tables of things that were made for what moves."""
    queries: list[Sql] = []
    as_of = changes.levelling.days.as_of
    for atom in atoms:
        if atom.source.aggregate is not Aggregate.COUNT_DISTINCT:
            known, today = source.columns[atom.column], changes.calendar.today()
            counts = in_window(atom, known, today, source.last_day, as_of)
            inside = replace(source, columns={atom.column: replace(known, condition=counts)})
            queries.append(changes.of_rows(inside, [atom], sql.day(as_of)))
    for place, alike in enumerate(by_thing(source, atoms)):
        last = {atom.column: sql.col(f"last_{at}", "f") for at, atom in enumerate(alike)}
        counts_of = {
            column: sql.case([(sql.not_null(day), sql.number(1))], sql.number(0)) for column, day in last.items()
        }
        things = sql.table(things_name(f"{tag}_{place}"), "f")
        queries.append(changes.listed(things, sql.day(as_of), counts_of, kept=True))
    return queries


def _of_values(levelling: Levelling, atom: GroupsAtom, moved: Sql) -> Sql:
    """Which values begin or cease to meet all conditions, from the changes of each value's numbers."""
    value = [sql.col("scope"), sql.col(GROUP)]
    so_far = {f"{one.column}+": sql.running_sum(sql.col(one.column), value, sql.col("day")) for one in atom.conditions}
    numbers = sql.select([sql.star(), *sql.columns(so_far)], sql.subquery(moved, "moved"))
    both = {}
    for one in atom.conditions:
        total = sql.col(f"{one.column}+")
        both[f"{one.column}>"] = sql.cast(total, one.kind)
        both[f"{one.column}<"] = sql.cast(sql.sub(total, sql.col(one.column)), one.kind)
    numbers = sql.select([sql.star(), *sql.columns(both)], sql.subquery(numbers, "so_far"))
    change = sql.sub(_all_met(atom, ">"), _all_met(atom, "<"))
    ahead = sql.gt(sql.col("day"), sql.day(levelling.days.as_of))
    each = sql.select(
        [sql.col("scope"), sql.col("day"), sql.named(change, "change")], sql.subquery(numbers, "numbers"), where=ahead
    )
    return sql.select([sql.star()], sql.subquery(each, "each"), where=sql.ne(sql.col("change"), sql.number(0)))


def _all_met(atom: GroupsAtom, side: str) -> Sql:
    """1 where a value meets all conditions after (`>`) or before (`<`) the day, else 0; what runs loses no records."""
    met = [
        within_limit(condition, one, sql.col(f"{one.column}{side}"))
        for condition, one in zip(atom.source.having, atom.conditions, strict=True)
    ]
    return sql.case([(sql.and_(*met), sql.number(1))], sql.number(0))
