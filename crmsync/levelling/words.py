"""The word that names what happened to a standing: the first that applies. Source: program-language, section 7."""

from __future__ import annotations

from collections.abc import Iterable

from crmsync.levelling import sql
from crmsync.levelling.before import BEFORE, first
from crmsync.levelling.rules import EVENTS as EVENTS
from crmsync.levelling.rules import Rules
from crmsync.levelling.sql import Sql

LASTING = ("pin", "floor", "ceiling", "exempt", "credit", "category")
"""Overrides that hold for a while, so that their end is told; a decision or a moved date has no end."""


def had_column(kind: str) -> str:
    """Name of the column that says whether an override of a kind was in force before."""
    return f"had:{kind}"


def has_column(kind: str) -> str:
    """Name of the column that says whether an override of a kind is in force."""
    return f"has:{kind}"


def events(rules: Rules) -> dict[str, Sql]:
    """The columns of EVENTS: what stopped or ended a demotion today, or on a review day before."""
    if rules.is_plain:
        return {}
    below = sql.coalesce(sql.lt(sql.col("bottom"), sql.col("start")), sql.false())
    running = sql.not_null(sql.col(BEFORE.grace)) if rules.has_grace else sql.false()
    stopped = sql.and_(below, sql.or_(sql.col("due"), running))
    cured: Sql = sql.false()
    if rules.has_grace:
        recovered = sql.coalesce(sql.ge(sql.col("calculated"), sql.col("start")), sql.false())
        cured = sql.and_(running, sql.is_null(sql.col("grace")), recovered)
    found = {
        "was_frozen": sql.and_(stopped, sql.col("frozen")),
        "was_held": sql.and_(stopped, sql.col("kept_back")),
        "was_cured": cured,
    }
    return {name: _or_before(rules, name, value) for name, value in found.items()}


def _or_before(rules: Rules, name: str, today: Sql) -> Sql:
    if name not in rules.filled:
        return today
    return sql.or_(today, sql.coalesce(sql.col(f"before_{name}"), sql.false()))


def movement_word(rules: Rules, stands: Sql) -> Sql:
    """The first word that applies; NULL where there is no standing and was none."""
    word = sql.text
    origin, earned = first(rules, BEFORE.earned), sql.col("earned")
    stood = sql.or_(*dict.fromkeys((first(rules, BEFORE.stood), sql.col(BEFORE.stood))))
    branches = [
        (sql.not_(stands), sql.case([(stood, word("left"))], sql.null(sql.TEXT))),
        (sql.is_null(origin), word("entered")),
        *_of_overrides(rules),
        (sql.gt(earned, origin), word("promoted")),
        (sql.lt(earned, origin), word("demoted")),
    ]
    if "renamed" in rules.filled:
        branches.append((sql.coalesce(sql.col("before_renamed"), sql.false()), word("program_changed")))
    return sql.case([*branches, *_of_waiting(rules)], word("unchanged"))


def _of_overrides(rules: Rules) -> Iterable[tuple[Sql, Sql]]:
    granted, earned = sql.col("granted"), sql.col("earned")
    if "pin" in rules.filled:
        yield sql.not_null(sql.col("pinned")), sql.text("pinned")
    if "floor" in rules.filled:
        acts = sql.and_(sql.gt(granted, earned), sql.eq(granted, sql.col("floored")))
        yield sql.coalesce(acts, sql.false()), sql.text("floored")
    if "ceiling" in rules.filled:
        acts = sql.and_(sql.eq(granted, sql.col("capped")), sql.gt(sql.col("uncapped"), granted))
        yield sql.coalesce(acts, sql.false()), sql.text("capped")
    if rules.program.family_of(rules.ladder) is not None:
        yield sql.gt(granted, earned), sql.text("inherited")
    ended = [
        sql.and_(
            sql.coalesce(sql.col(f"before_{had_column(kind)}"), sql.false()),
            sql.not_(sql.coalesce(sql.col(has_column(kind)), sql.false()))
            if has_column(kind) in rules.filled
            else sql.true(),
        )
        for kind in LASTING
        if had_column(kind) in rules.filled
    ]
    if ended:
        yield sql.or_(*ended), sql.text("override_ended")


def _of_waiting(rules: Rules) -> Iterable[tuple[Sql, Sql]]:
    if rules.is_plain:
        return
    if rules.has_lag:
        yield sql.not_null(sql.col("pending_on")), sql.text("pending")
    if rules.has_approval:
        yield sql.not_null(sql.col("pending")), sql.text("awaiting_approval")
    if rules.has_freeze or "was_frozen" in rules.filled:
        yield sql.col("was_frozen"), sql.text("frozen")
    if rules.has_hold or "was_held" in rules.filled:
        yield sql.col("was_held"), sql.text("held")
    if rules.has_grace:
        yield sql.and_(sql.col("was_cured"), sql.is_null(sql.col("grace"))), sql.text("cured")
        yield sql.not_null(sql.col("grace")), sql.text("in_grace")
    elif "was_cured" in rules.filled:
        yield sql.col("was_cured"), sql.text("cured")
