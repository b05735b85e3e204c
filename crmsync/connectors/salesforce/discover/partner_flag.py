"""Which accounts are partners: a type, a record type, the platform's own flag, a checkbox or another picklist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from crmsync.connectors.salesforce.describe import Field
from crmsync.connectors.salesforce.discover.choosing import OTHERS_SHOWN, Line, percent
from crmsync.connectors.salesforce.discover.facts import ObjectFacts
from crmsync.connectors.salesforce.discover.words import names_any
from crmsync.connectors.salesforce.soql import quoted

PARTNER_WORDS = (
    "partner", "reseller", "distributor", "var", "msp", "mssp", "alliance", "integrator", "dealer", "wholesaler",
    "agent", "affiliate", "handler", "haendler", "vertriebspartner", "revendeur", "distribuidor", "socio", "channel",
)  # fmt: skip
NOT_PARTNERS = (
    "customer", "prospect", "competitor", "former", "inactive", "kunde", "client", "cliente", "interessent", "lead",
    "end",
)  # fmt: skip
ABOUT_KIND = (
    "type", "kind", "category", "class", "relationship", "partner", "role", "art", "typ", "kategorie", "beziehung",
    "tipo",
)  # fmt: skip
NOT_KINDS = ("tier", "level", "status", "portal", "program", "stufe", "lead", "score", "nivel", "niveau")
"""Fields that grade partners, and do not tell them from others."""
COUNTED_MAX = 8
"""Fields of the account whose values are counted."""
_PLATFORM = "ispartner"


@dataclass(frozen=True)
class Flag:
    """One way to tell partners. `condition`: as a filter of the field map; `records`: accounts that it finds."""

    condition: str
    records: int
    weight: float
    why: str


def fields_to_count(account: ObjectFacts) -> tuple[Field, ...]:
    """The fields of the account whose values may tell partners, the likeliest first."""
    found = sorted(_telling(account), key=lambda pair: (-pair[0], pair[1].name))
    return tuple(field for _, field in found[:COUNTED_MAX])


def _telling(account: ObjectFacts) -> Iterator[tuple[float, Field]]:
    if any(not one.master and one.active for one in account.described.record_types):
        record_type = account.described.field("RecordTypeId")
        if record_type is not None:
            yield 5.0, record_type
    for one in account.described.fields.values():
        if not one.groupable or not one.filterable or names_any(one.name, NOT_KINDS):
            continue
        if one.name.lower() in ("type", _PLATFORM):
            yield 4.0, one
        elif one.type == "boolean" and _about_partners(one):
            yield 3.5, one
        elif one.type == "picklist" and any(is_partner_value(value) for value in one.values):
            yield (3.0 if _about_partners(one) else 2.0 if names_any(one.name, ABOUT_KIND) else 0.5), one


def _about_partners(one: Field) -> bool:
    return names_any(one.name, PARTNER_WORDS[:4]) or names_any(one.label, PARTNER_WORDS[:4])


def is_partner_value(value: str) -> bool:
    """Whether a picklist value means partners."""
    return names_any(value, PARTNER_WORDS) and not names_any(value, NOT_PARTNERS)


def flags(account: ObjectFacts) -> list[Flag]:
    """Every way to tell partners that finds some accounts and not all, the likeliest first."""
    found = [flag for one in fields_to_count(account) if (flag := _flag(account, one)) is not None]
    return sorted(found, key=lambda flag: (-flag.weight, -flag.records, flag.condition))


def _flag(account: ObjectFacts, one: Field) -> Flag | None:
    values = account.values.get(one.name.lower(), {})
    if one.type == "boolean":
        records, condition = values.get("true", 0), f"{one.name} = true"
        weight = 4.5 if one.name.lower() != _PLATFORM else 4.0
        return _usable(account, Flag(condition, records, weight, f"checkbox “{one.label}”"))
    if one.name.lower() == "recordtypeid":
        return _record_types(account, values)
    chosen = sorted(value for value in values if value.isprintable() and is_partner_value(value))
    weight = 4.2 if one.name.lower() == "type" else 4.4 if _about_partners(one) else 2.0
    flag = Flag(_one_of(one.name, chosen), sum(values[value] for value in chosen), weight, f"picklist “{one.label}”")
    return _usable(account, flag) if chosen else None


def _record_types(account: ObjectFacts, values: Mapping[str, int]) -> Flag | None:
    chosen = [
        one
        for one in account.described.record_types
        if not one.master and (is_partner_value(one.developer_name) or is_partner_value(one.label))
    ]
    if not chosen:
        return None
    records = sum(values.get(one.id, 0) for one in chosen)
    condition = _one_of("RecordType.DeveloperName", sorted(one.developer_name for one in chosen))
    return _usable(account, Flag(condition, records, 5.0, "record type"))


def _usable(account: ObjectFacts, flag: Flag) -> Flag | None:
    return flag if flag.records > 0 and (account.rows is None or flag.records < account.rows) else None


def _one_of(name: str, values: Sequence[str]) -> str:
    if len(values) == 1:
        return f"{name} = {quoted(values[0])}"
    return f"{name} IN ({', '.join(map(quoted, values))})"


def partner_filter(account: ObjectFacts) -> Line:
    """The filter of partners. Two ways that find different numbers of accounts are an open question."""
    found = flags(account)
    if not found:
        return Line("filter", None, False, "nothing on the account tells partners from others; without it all are read")
    best, others = found[0], [flag for flag in found[1:] if flag.records != found[0].records]
    share = f" of {account.rows:,} ({percent(best.records / account.rows)})" if account.rows else ""
    named = tuple(f"{flag.condition} ({flag.records:,} accounts)" for flag in others[:OTHERS_SHOWN])
    return Line("filter", best.condition, not others, f"{best.why}: {best.records:,} accounts{share}", named)
