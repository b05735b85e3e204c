"""Partners of whom a threshold sheet says nothing, or two things: counted for the notes of an assessment.

Source: program-language, section 5: no fitting row is unknown and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.conditions import condition_of
from crmsync.levelling.levelling import Levelling
from crmsync.levelling.measures import partner_column
from crmsync.levelling.sheets import choices, clashes
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Criterion, FromSheet, Group, Program, Requirement


@dataclass(frozen=True)
class _Asked:
    """A sheet's rows for one criterion, and whose criterion it is."""

    sheet: FromSheet
    line: int
    words: str


def sheet_notes(levelling: Levelling) -> Iterable[str]:
    """One note for each criterion for which a sheet has no row, or two equal ones, for some partner who takes part."""
    asked = [one for one in _asked(levelling.program) if _may_fail(one.sheet)]
    if not asked:
        return
    counts: dict[str, Sql] = {}
    for number, one in enumerate(asked):
        for name, condition in zip(_names(number), _faults(one.sheet), strict=True):
            counts[name] = sql.count(condition)
            counts[f"{name}_one"] = sql.min_(sql.col("partner_id", "p"), condition)
    partners = _partners(levelling, [one.sheet for one in asked])
    (found,) = levelling.engine.read(sql.select(sql.columns(counts), sql.subquery(partners, "p"))).to_pylist()
    for number, one in enumerate(asked):
        for name, fault in zip(_names(number), ("has no row", "has two rows that fit equally well"), strict=True):
            if found[name]:
                whom = _partners_named(found[name], found[f"{name}_one"])
                place = f"{levelling.program.file}:{one.line}: {one.sheet.file}"
                yield f"{place} {fault} for {whom}: {one.words} is unknown"


def _names(number: int) -> tuple[str, str]:
    return f"none_{number}", f"two_{number}"


def _partners_named(number: int, example: str) -> str:
    return f"partner {example}" if number == 1 else f"{number} partners ({example} among them)"


def _asked(program: Program) -> Iterator[_Asked]:
    for ladder in program.ladders.values():
        for tier in ladder.tiers:
            for group in (tier.requires, tier.keeps):
                for criterion in _criteria(group):
                    if isinstance(criterion.value, FromSheet):
                        yield _Asked(criterion.value, criterion.line, f"{criterion.metric} of tier {tier.key}")


def _criteria(part: Requirement | None) -> Iterator[Criterion]:
    if isinstance(part, Criterion):
        yield part
    elif isinstance(part, Group):
        for one in part.parts:
            yield from _criteria(one)


def _may_fail(sheet: FromSheet) -> bool:
    """Whether some partner may find no row or two: a row without attributes fits everybody who has no better one."""
    fits_all = any(not row.attributes for row in sheet.rows)
    sizes = {len(row.attributes) for row in sheet.rows}
    same = ([place for place, row in enumerate(sheet.rows) if len(row.attributes) == size] for size in sizes)
    return not fits_all or any(any(clashes(sheet, places)) for places in same)


def _faults(sheet: FromSheet) -> tuple[Sql, Sql]:
    """The conditions that no row fits, and that two fit equally well."""
    found = choices(sheet, "p")
    chosen = sql.case([(fits, sql.number(0 if place is None else 1)) for place, fits in found], sql.number(2))
    return sql.eq(chosen, sql.number(2)), sql.eq(chosen, sql.number(0))


def _partners(levelling: Levelling, sheets: Iterable[FromSheet]) -> Sql:
    """Those who take part, with the columns that the sheets look at."""
    rows = levelling.rows("partners")
    names = {column for sheet in sheets for row in sheet.rows for column in row.attributes}
    cells: Mapping[str, Sql] = {partner_column(name): rows.cell(name) for name in sorted(names)}
    part = levelling.program.takes_part
    where = sql.coalesce(condition_of(part, rows, levelling.file), sql.false()) if part is not None else None
    return sql.select([sql.col("partner_id", "f"), *sql.columns(cells)], rows.source(), rows.joins(), where=where)
