"""The rows of all categories put together: the account's headline and primary category, and the columns in order."""

from __future__ import annotations

from datetime import date

from sqlglot import exp

from crmsync.levelling import previous, sql
from crmsync.levelling.atoms import Days
from crmsync.levelling.benefits import benefits_type
from crmsync.levelling.gap import ENTRY
from crmsync.levelling.sql import Sql
from crmsync.levelling.standings import COLUMNS, DATES
from crmsync.levelling.state import shape_of, struct_of
from crmsync.programs.program import Headline, Program, Take

FORMAT = 1
ONE = "one"
"""Name of a table of one row."""
UNREAD = "the partner's row was rejected"
"""Why a standing that is carried on is provisional."""

ENTRY_OF_OVERRIDE = "STRUCT<kind TEXT, value TEXT, ends_on TEXT, reason TEXT, tier_without TEXT>"

LIGHT = frozenset(
    {
        "partner_id", "category", "calculated_tier", "earned_tier", "granted_tier", "previous_tier", "pending_tier",
        "pending_on", "headline_tier", "primary_category", "movement", "tier_since", "grace_until", "next_review",
        "state",
    }
)  # fmt: skip
"""Columns that a light assessment computes; the others are empty."""


def rows_query(program: Program, days: Days) -> Sql:
    """All rows with the columns that differ from row to row; `risk_on` only where the tier is lost already."""
    same = _values(program, days.as_of)
    below = sql.lt(sql.col("kept_position", "s"), sql.col("granted_position", "s"))
    risky = sql.in_(sql.col("risk", "s"), [sql.text("high"), sql.text("medium")])
    values = {name: sql.col(name, "s") for name in COLUMNS if name not in same}
    values["risk_on"] = sql.case([(sql.and_(risky, below), sql.day(days.as_of))], sql.null(sql.DATE))
    return sql.select(sql.columns(values), _with_account(program))


def light_query(program: Program) -> Sql:
    """All rows of a light assessment with the columns that it computes; those without a movement are not shown.

    They are left out afterwards: with a condition here DuckDB would join the other way round, out of order.
    """
    return sql.select(
        [sql.named(sql.col(name, "s"), name) for name in COLUMNS if name in LIGHT], _with_account(program)
    )


def same_columns(program: Program, days: Days, light: bool = False) -> Sql:
    """One row of the columns that are the same in all rows. Reads a table `one` of one row."""
    values = _values(program, days.as_of)
    if light:
        values = {**{name: value for name, value in _nothing().items() if name not in LIGHT}, **values}
    return sql.select(sql.columns(values), sql.table(ONE))


def _with_account(program: Program) -> Sql:
    """The rows of all categories (alias s) with what they come to for the account.

    What several rows of an account come to is found from a few columns and joined to the wide rows: these stay in the
    order in which they were made, and need not be held while others are still to come.
    """
    account, rows = _account(program), sql.table("standing", "w")
    if not any(value.find(exp.Window) for value in account.values()):
        return sql.subquery(sql.select([sql.star("w"), *sql.columns(account)], rows), "s")
    each = sql.distinct([sql.col("partner_id"), *sql.columns(account)], sql.table("standing"))
    same = sql.eq(sql.col("partner_id", "h"), sql.col("partner_id", "w"))
    joined = [sql.star("w"), *(sql.col(name, "h") for name in account)]
    return sql.subquery(sql.select(joined, rows, [("left", sql.subquery(each, "h"), same)]), "s")


def _nothing() -> dict[str, Sql]:
    """Every column empty, with its type."""
    dates = {name: sql.null(sql.DATE) for name in DATES}
    lists = {name: sql.empty_array(sql.TEXT) for name in ("risk_reasons", "provisional_reasons")}
    return {
        **{name: sql.null(sql.TEXT) for name in COLUMNS},
        **dates,
        **lists,
        "gap": sql.empty_array(ENTRY),
        "progress": sql.null("DECIMAL(4, 1)"),
        "provisional": sql.false(),
        "overrides": sql.empty_array(ENTRY_OF_OVERRIDE),
    }


def _values(program: Program, as_of: date) -> dict[str, Sql]:
    return {
        "program": sql.text(program.key),
        "program_version": sql.text(program.version),
        "as_of": sql.day(as_of),
        "format": sql.cast(sql.number(FORMAT), sql.INT),
        "overrides": sql.empty_array(ENTRY_OF_OVERRIDE),  # filled in afterwards, for the few who have one
    }


def _account(program: Program) -> dict[str, Sql]:
    partner = [sql.col("partner_id")]
    order = (sql.col("category_order"), False)
    has_tier = (sql.is_null(sql.col("granted_tier")), False)
    rank = sql.col("granted_rank")
    primary: Sql = sql.null(sql.TEXT)
    if program.primary:
        known = sql.case([(sql.not_null(sql.col("yardstick")), sql.col("category"))], sql.null(sql.TEXT))
        primary = sql.first_of(
            known, partner, [(sql.is_null(sql.col("yardstick")), False), (sql.col("yardstick"), True), order]
        )
    match program.headline:
        case Headline.NONE:
            headline: Sql = sql.null(sql.TEXT)
        case Headline.LOWEST:
            headline = sql.first_of(sql.col("granted_tier"), partner, [has_tier, (rank, False), order])
        case Headline.PRIMARY:
            by = [(sql.is_null(sql.col("yardstick")), False), (sql.col("yardstick"), True), order]
            known = sql.case([(sql.not_null(sql.col("yardstick")), sql.col("granted_tier"))], sql.null(sql.TEXT))
            headline = sql.first_of(known, partner, by)
        case _ if len(program.categories) == 1 and not _stands_by_value(program):
            headline = sql.col("granted_tier")
        case _:
            headline = sql.first_of(sql.col("granted_tier"), partner, [has_tier, (rank, True), order])
    return {"headline_tier": headline, "primary_category": primary}


def _stands_by_value(program: Program) -> bool:
    """Whether some category has a standing per value: then one category is several rows of an account."""
    pers = [program.ladder_of(key).per for key in program.categories]
    return any(per is not None and per.take is Take.EACH for per in pers)


KEPT = ("earned_tier", "granted_tier", "tier_since", "pending_tier", "pending_on", "grace_until", *previous.CARRIED)


def vanished_query(program: Program, days: Days, metrics: Sql, reviewed: bool = False) -> Sql:
    """One last row for standings of partners that are no longer in the table of partners, and for those of categories
    that this version no longer has.

    A partner whose row was rejected is not gone: its standing is carried on, so that a typing error moves nobody.
    `metrics` reads the measures (alias m), whose values are all null here; `reviewed`: review days lie on the way.
    """
    unread = sql.col("unread", "pr")
    stood = sql.col("granted_tier", "pr")
    if reviewed:
        stood = sql.case([(sql.col("first_known", "pr"), sql.col("first_granted_tier", "pr"))])
    shape = shape_of(program)
    state = struct_of(shape, {name: sql.col(name, "pr") for name in shape.columns})
    same = _values(program, days.as_of)
    values = {
        **_nothing(),
        **{name: sql.case([(unread, sql.col(name, "pr"))]) for name in KEPT},
        "state": sql.case([(unread, state)]),
        "partner_id": sql.col("partner_id", "pr"),
        "category": sql.col("category", "pr"),
        "previous_tier": stood,
        "movement": sql.case([(unread, sql.text("unchanged"))], sql.text("left")),
        "provisional_reasons": sql.case([(unread, sql.array([sql.text(UNREAD)]))], sql.empty_array(sql.TEXT)),
        "provisional": unread,
        "benefits": sql.null(benefits_type(program)),
        "metrics": metrics,  # the join finds no measures, so every value is null
    }
    match = sql.and_(sql.eq(sql.col("partner_id", "m"), sql.col("partner_id", "pr")), _is_known(program))
    return sql.select(
        sql.columns({name: values[name] for name in COLUMNS if name not in same}),
        sql.table(previous.PREVIOUS, "pr"),
        [("left", sql.table("measures", "m"), match)],
        sql.is_null(sql.col("partner_id", "m")),
    )


def _is_known(program: Program) -> Sql:
    """Whether this version has the category of a standing."""
    category = sql.col("category", "pr")
    ways: list[Sql] = [sql.in_(category, [sql.text(key) for key in program.categories])]
    for key in program.categories:
        per = program.ladder_of(key).per
        if per is not None and per.take is Take.EACH:
            ways.append(sql.like(category, sql.text(f"{key}/%")))
    return sql.or_(*ways)
