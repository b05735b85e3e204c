"""The rows of all categories put together: the account's headline and primary category, and the columns in order."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from crmsync.levelling import previous, sql
from crmsync.levelling.atoms import Days
from crmsync.levelling.categories import ENTRY_OF_OVERRIDE
from crmsync.levelling.gap import ENTRY
from crmsync.levelling.sql import Sql
from crmsync.levelling.standings import COLUMNS
from crmsync.programs.program import Headline, Program

FORMAT = 1
UNREAD = "the partner's row was rejected"
"""Why a standing that is carried on is provisional."""


def standings_query(program: Program, days: Days, metrics: Sql, has_previous: bool) -> Sql:
    """All rows with all columns of the standings table; `risk_on` only where the tier is lost already.

    Without a join, so that rows that were made in order stay in order.

    `metrics` reads the measures (alias m); it serves partners that are no longer there, whose values are all null.
    """
    account = sql.select([sql.star(), *sql.columns(_account(program))], sql.table("standing"))
    values = _values(program, days.as_of)
    below = sql.lt(sql.col("kept_position", "s"), sql.col("granted_position", "s"))
    risky = sql.in_(sql.col("risk", "s"), [sql.text("high"), sql.text("medium")])
    values["risk_on"] = sql.case([(sql.and_(risky, below), sql.day(days.as_of))], sql.null(sql.DATE))
    source = sql.subquery(account, "s")
    rows = sql.select(sql.columns({name: values.get(name, sql.col(name, "s")) for name in COLUMNS}), source)
    return sql.union_all([rows, _vanished(program, days.as_of, metrics)]) if has_previous else rows


def _values(program: Program, as_of: date) -> dict[str, Sql]:
    nothing = {name: sql.null(sql.TEXT) for name in ("pending_tier", "per_value", "benefits", "state")}
    no_date = {name: sql.null(sql.DATE) for name in ("pending_on", "reassess_on", "grace_until", "next_review")}
    return {
        "program": sql.text(program.key),
        "program_version": sql.text(program.version),
        "as_of": sql.day(as_of),
        "format": sql.cast(sql.number(FORMAT), sql.INT),
        **nothing,
        **no_date,
    }


def with_losses(standings: pa.Table, losses: pa.Table) -> pa.Table:
    """The standings with `risk_on` filled in from (partner_id, category, lost_on)."""
    found = pc.index_in(_place(standings), value_set=_place(losses))
    days = pc.coalesce(standings.column("risk_on"), losses.column("lost_on").combine_chunks().take(found))
    return standings.set_column(standings.column_names.index("risk_on"), "risk_on", days)


def _place(rows: pa.Table) -> pa.Array:
    texts = pc.binary_join_element_wise(rows.column("category"), rows.column("partner_id"), "/")
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts


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
        case _ if len(program.categories) == 1:
            headline = sql.col("granted_tier")
        case _:
            headline = sql.first_of(sql.col("granted_tier"), partner, [has_tier, (rank, True), order])
    return {"headline_tier": headline, "primary_category": primary}


KEPT = ("earned_tier", "granted_tier", "tier_since", *previous.CARRIED)


def _vanished(program: Program, as_of: date, metrics: Sql) -> Sql:
    """One last row for standings of partners that are no longer in the table of partners.

    A partner whose row was rejected is not gone: its standing is carried on, so that a typing error moves nobody.
    """
    unread = sql.col("unread", "pr")
    nothing = {name: sql.null(sql.TEXT) for name in COLUMNS}
    values = {
        **nothing,
        **_values(program, as_of),
        **{name: sql.case([(unread, sql.col(name, "pr"))]) for name in KEPT},
        "risk_on": sql.null(sql.DATE),
        "partner_id": sql.col("partner_id", "pr"),
        "category": sql.col("category", "pr"),
        "previous_tier": sql.col("granted_tier", "pr"),
        "movement": sql.case([(unread, sql.text("unchanged"))], sql.text("left")),
        "overrides": sql.empty_array(ENTRY_OF_OVERRIDE),
        "gap": sql.empty_array(ENTRY),
        "risk_reasons": sql.empty_array(sql.TEXT),
        "provisional_reasons": sql.case([(unread, sql.array([sql.text(UNREAD)]))], sql.empty_array(sql.TEXT)),
        "provisional": unread,
        "progress": sql.null("DECIMAL(4, 1)"),
        "metrics": metrics,  # the join finds no measures, so every value is null
    }
    match = sql.eq(sql.col("partner_id", "m"), sql.col("partner_id", "pr"))
    return sql.select(
        sql.columns({name: values[name] for name in COLUMNS}),
        sql.table(previous.PREVIOUS, "pr"),
        [("left", sql.table("measures", "m"), match)],
        sql.is_null(sql.col("partner_id", "m")),
    )
