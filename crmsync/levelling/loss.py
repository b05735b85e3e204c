"""The first day on which a tier will be lost if nothing more happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crmsync.levelling.assess import Levelling
    from crmsync.levelling.measures import Measures


def first_days_of_loss(levelling: Levelling, names: Mapping[str, Measures]) -> bool:
    """Make the table `losses` (partner_id, category, lost_on); returns whether there is any row."""
    return False
