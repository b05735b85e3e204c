"""The tier history of one partner, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from crmsync.ledger import tables as t
from crmsync.ledger.ledger import Ledger


@dataclass(frozen=True)
class TierChange:
    """One change of a granted tier, as an accepted assessment gave it; tiers are keys."""

    program: str
    partner_id: str
    category: str
    as_of: date
    run_id: str
    from_tier: str | None
    to_tier: str | None
    movement: str


def tier_history(ledger: Ledger, partner_id: str) -> list[TierChange]:
    """Every granted tier a partner has had, oldest first."""
    h = t.tier_history
    query = select(h).where(h.c.partner_id == partner_id).order_by(h.c.sequence)
    with ledger.reading() as connection:
        rows = connection.execute(query).all()
    return [
        TierChange(
            row.program, row.partner_id, row.category, date.fromisoformat(row.as_of), row.run_id, row.from_tier,
            row.to_tier, row.movement,
        )
        for row in rows
    ]  # fmt: skip
