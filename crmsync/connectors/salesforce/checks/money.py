"""Currencies: of the org, of the program, and whether there are rates between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crmsync.connectors.mapping import SalesforceMapping
from crmsync.connectors.salesforce.checks.findings import Finding, cannot, look, told
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.together import ask_together

_TYPES = "SELECT IsoCode, IsCorporate FROM CurrencyType WHERE IsActive = true"
_RATED = "SELECT IsoCode, COUNT(Id) n FROM DatedConversionRate GROUP BY IsoCode"
DATED = "DatedConversionRate"


@dataclass(frozen=True)
class Currencies:
    """`active`: the corporate one first, empty in an org with one; `rated`: those with dated rates, None where the org
    keeps none."""

    active: tuple[str, ...] = ()
    rated: frozenset[str] | None = None


def currencies_of(org: Org, describe: Describe) -> Currencies:
    """Read them. An org with one currency has no object CurrencyType."""
    if describe.find("CurrencyType") is None:
        return Currencies()
    dated = describe.find(DATED) is not None
    types, *rates = ask_together(org, [_TYPES, *([_RATED] if dated else [])])
    ordered = sorted(types.records, key=lambda one: (not one.get("IsCorporate"), str(one.get("IsoCode"))))
    rated = frozenset(str(one.get("IsoCode")) for one in rates[0].records) if rates else None
    return Currencies(tuple(str(one.get("IsoCode")) for one in ordered), rated)


def money_findings(
    found: Currencies, program_currency: str | None, program_rates: bool, mapping: SalesforceMapping, from_crm: bool
) -> Iterator[Finding]:
    """`program_rates`: the program converts at the CRM's rates; `from_crm`: the table rates comes from Salesforce."""
    file = mapping.file
    rates = mapping.tables.get("rates")
    line = rates.line if rates is not None else None
    if not found.active:
        yield told("currencies", "the org has one currency; CurrencyIsoCode and rates do not exist and are not read")
        return
    named = ", ".join(found.active)
    yield told("currencies", f"{named}; the first is the corporate one, which rates are against")
    if not program_rates:
        return
    if rates is None or not from_crm or found.rated is None:
        what = f"the org has {len(found.active)} currencies ({named}), and no rates are read"
        way = "map the table rates (DatedConversionRate), or write `rates: ecb` in the program"
        yield look("currencies", what, way, file, line)
        return
    without = [one for one in found.active[1:] if one not in found.rated]
    if without:
        what = f"{', '.join(without)} have no dated rate; amounts in them cannot be converted"
        yield look(DATED, what, "enter rates in Setup, Manage Currencies", file, line)
    if program_currency and program_currency not in found.active:
        what = f"the program counts in {program_currency}, which is not active in the org ({named})"
        yield cannot("currencies", what, "activate it in Setup, or change `currency:` of the program", file, line)
