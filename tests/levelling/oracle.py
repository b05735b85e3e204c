"""A slow and plain reading of the program language: every decided column of the standings, one partner at a time.

It shares no code with the engine. Risk dates are found by assessing every day up to the horizon, what lies between two
assessments by assessing every review day in between. Source: program-language, sections 0 to 9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from crmsync.programs.program import Headline, Program
from tests.levelling.facts import Facts
from tests.levelling.oracle_cells import Lower
from tests.levelling.oracle_day import Day
from tests.levelling.oracle_movement import on as day_of_year
from tests.levelling.oracle_movement import returns_on
from tests.levelling.oracle_places import Stood
from tests.levelling.oracle_remembered import stood_from
from tests.levelling.oracle_told import Row
from tests.levelling.oracle_versions import in_version, on_day
from tests.levelling.oracle_world import Seen, View

COLUMNS = (
    "calculated_tier", "earned_tier", "granted_tier", "previous_tier", "pending_tier", "pending_on", "projected_tier",
    "pace_tier", "movement", "metrics", "next_tier", "gap", "progress", "risk", "risk_on", "headline_tier",
    "primary_category", "category_check", "provisional", "tier_since", "grace_until", "next_review", "reassess_on",
    "overrides", "state", "per_value", "main_blocker", "benefits",
)  # fmt: skip


def standings(
    program: Program, facts: Facts, as_of: date, previous: Sequence[Mapping[str, Any]] = (), last: date | None = None
) -> dict[tuple[str, str], Row]:
    """The decided columns of every row, by (partner, category). `last`: the day of the previous standings."""
    written_in = on_day(program, last or as_of)
    stood = stood_from(written_in, previous)
    if last is not None and stood:
        stood, written_in = _walked(program, facts, stood, written_in, last, as_of)
    program = on_day(program, as_of)
    stood = in_version(stood, written_in, program)
    day = Day(program, facts, as_of, stood)
    found: dict[tuple[str, str], Row] = {}
    bare = _bare(day, facts, as_of, stood)
    for partner in sorted(day.world.partners):
        shown = [row for one in day.of_partner(partner) if (row := one.row(bare)) is not None]
        for row in _with_headline(day, partner, shown):
            found[partner, row.pop("category")] = row
    for key, one in stood.items():
        if key[0] not in day.world.partners or key[1].split("/")[0] not in program.categories:
            found[key] = _vanished(program, key[1], one)
    return found


def _bare(day: Day, facts: Facts, as_of: date, stood: Mapping[tuple[str, str], Stood]) -> Day | None:
    """The same day without the overrides that change what is calculated."""
    return Day(day.program, facts, as_of, stood, without=True) if day.places.exceptions.measured else None


def _vanished(program: Program, category: str, stood: Stood) -> Row:
    known = category.split("/")[0] in program.categories
    tiers = program.ladder_of(category.split("/")[0]).tiers if known else ()
    granted = stood.granted if stood.first is None else stood.first[1]
    return {
        **dict.fromkeys(COLUMNS), "movement": "left", "gap": [], "overrides": [], "provisional": False,
        "previous_tier": tiers[granted - 1].key if granted and known else stood.was_called,
        "metrics": dict.fromkeys(program.metrics),
    }  # fmt: skip


# --- the days on the way


def _walked(
    newest: Program, facts: Facts, stood: dict[tuple[str, str], Stood], program: Program, last: date, as_of: date
) -> tuple[dict[tuple[str, str], Stood], Program]:
    """What stands after every review day between two assessments, each as of its day, in order; and in which version.

    `program`: the version in which the standings are written.
    """
    day = last + timedelta(days=1)
    while day < as_of:
        version = on_day(newest, day)
        if _is_review_day(version, facts, stood, day):
            stood, program = _reviewed(version, facts, in_version(stood, program, version), day), version
        day += timedelta(days=1)
    return stood, program


def _dates(program: Program, category: str) -> list[Any]:
    movements = [program.movement_of(category)]
    movements += [program.movement_of(category, tier) for tier in program.ladder_of(category).tiers]
    return [change.on for one in movements for change in (one.promote, one.demote) if change.on is not None]


def _is_calendar_date(program: Program, category: str, day: date) -> bool:
    return any(
        day_of_year(month, number, day.year) == day
        for dates in _dates(program, category)
        for month, number in dates.days
    )


def _own_date(program: Program, partner: Mapping[str, Any] | None, category: str, stood: Stood, day: date) -> bool:
    """Whether a day is one of the partner's own: its anniversary, the end of its grace, what it waits for."""
    if day in (stood.grace_until, stood.pending_on):
        return True
    columns = {one.anniversary for one in _dates(program, category) if one.anniversary}
    return partner is not None and any(returns_on(partner.get(column), day) for column in columns)


def _is_review_day(program: Program, facts: Facts, stood: Mapping[tuple[str, str], Stood], day: date) -> bool:
    if any(_is_calendar_date(program, one, day) for one in program.categories):
        return True
    partners = {row["partner_id"]: row for row in facts.rows["partners"]}
    return any(
        _own_date(program, partners.get(key[0]), key[1].split("/")[0], one, day)
        for key, one in stood.items()
        if not one.gone and key[1].split("/")[0] in program.categories
    )


def _reviewed(
    program: Program, facts: Facts, stood: dict[tuple[str, str], Stood], day: date
) -> dict[tuple[str, str], Stood]:
    found = dict(stood)
    today = Day(program, facts, day, stood)
    for partner in sorted(today.world.partners):
        for one in today.of_partner(partner):
            before = stood.get((partner, one.key))
            mine = before is not None and not before.gone
            acts = _is_calendar_date(program, one.category.key, day)
            acts = acts or (
                mine
                and before is not None
                and _own_date(program, today.world.partners[partner], one.category.key, before, day)
            )
            if acts and (left := one.left()) is not None:
                found[partner, one.key] = left
    return found


# --- the account


def _with_headline(day: Day, partner: str, rows: list[Row]) -> list[Row]:
    program = day.program
    order = {key: at for at, key in enumerate(program.categories)}
    known = []
    for row in rows:
        category = row["category"].split("/")[0]
        metric = program.primary.get(category)
        value = None
        if metric and row["stands"]:
            value = day.world.metric(partner, metric, Seen(View(day.as_of), category=category))
        value = value.value if isinstance(value, Lower) else value
        known += [(-value, order[category], row)] if value is not None else []
    first = min(known, key=lambda one: one[:2])[2] if known else None
    tiered = [
        (row["rank"], order[row["category"].split("/")[0]], row["granted_tier"]) for row in rows if row["granted_tier"]
    ]
    headline = None
    match program.headline:
        case Headline.HIGHEST if tiered:
            headline = min(tiered, key=lambda one: (-one[0], one[1]))[2]
        case Headline.LOWEST if tiered:
            headline = min(tiered)[2]
        case Headline.PRIMARY if first is not None:
            headline = first["granted_tier"]
    account = {"headline_tier": headline, "primary_category": first["category"] if first is not None else None}
    return [{name: value for name, value in (row | account).items() if name not in ("stands", "rank")} for row in rows]
