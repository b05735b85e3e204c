"""Exchange rates: the org's own dated ones, where it keeps them."""

from __future__ import annotations

from crmsync.connectors.salesforce.discover.choosing import Line
from crmsync.connectors.salesforce.discover.facts import OrgFacts

DATED = "DatedConversionRate"
COLUMNS = {"currency": "IsoCode", "effective_from": "StartDate", "rate": "ConversionRate"}


def rates_line(org: OrgFacts) -> Line:
    """The object that rates come from. In an org with one currency it is simply not read."""
    if not org.currencies:
        only = f" ({org.one_currency})" if org.one_currency else ""
        return Line("object", DATED, True, f"the org has one currency{only}, so nothing is read; kept for later ones")
    named = ", ".join(org.currencies)
    facts = org.find(DATED)
    if facts is None:
        why = f"currencies {named}, and dated rates are not switched on or not visible; without them amounts of other"
        return Line("object", None, False, f"{why} currencies have no rate", ("`rates: ecb` in the program",))
    counted = f"{facts.rows:,} rates" if facts.rows is not None else "not counted"
    return Line("object", DATED, facts.rows != 0, f"currencies {named} (the first is the corporate one); {counted}")
