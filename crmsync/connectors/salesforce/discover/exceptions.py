"""Exceptions from the rules (pins, floors, graces): an object of the org, or the one that `crmsync deploy` makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crmsync.connectors.mapping import TableMap
from crmsync.connectors.salesforce.discover.children import Found, Kind, partner_path
from crmsync.connectors.salesforce.discover.choosing import DATES, TEXTS, Line, Wanted, choose
from crmsync.connectors.salesforce.discover.facts import OrgFacts
from crmsync.connectors.salesforce.discover.words import says

KIND = Kind("overrides", ("partner override", "tier override", "override", "partner exception", "exception", "ausnahme",
                          "exemption", "excepcion"))  # fmt: skip
_LONG = TEXTS | {"textarea"}
COLUMNS: Mapping[str, Wanted] = {
    "category": Wanted("category", TEXTS, ("category", "segment", "kategorie"), rare=True),
    "kind": Wanted("kind", TEXTS, ("kind", "override type", "type", "art", "typ"), rare=True),
    "tier": Wanted("tier", TEXTS, ("tier", "level", "stufe"), rare=True),
    "metric": Wanted("metric", TEXTS, ("metric", "requirement", "criterion", "kriterium"), rare=True),
    "value": Wanted("value", TEXTS, ("value", "wert"), rare=True),
    "starts_on": Wanted("starts_on", DATES, ("starts", "start", "valid from", "from", "begin", "ab"), rare=True),
    "ends_on": Wanted(
        "ends_on", DATES, ("ends", "end", "valid until", "until", "expires", "to", "ende", "bis"), rare=True
    ),
    "reason": Wanted("reason", _LONG, ("reason", "justification", "comment", "grund", "begrundung"), rare=True),
}
_APPROVER = ("approved", "approver", "freigabe", "genehmigt")


def exception_lines(org: OrgFacts, found: Found) -> Iterator[Line]:
    """One line per column of an object that the org has."""
    facts = found.facts
    partner = partner_path(org, facts)
    assert partner is not None, "find_object takes none that names no partner"
    yield partner
    yield from (choose(wanted, facts) for wanted in COLUMNS.values())
    for one in facts.lookups("user"):
        if says(one.name, _APPROVER) and one.relationship:
            yield Line("approved_by", f"{one.relationship}.Username", True, f"lookup “{one.label}” to a user")


def made_lines(default: TableMap) -> Iterator[Line]:
    """The columns of the object that a deploy makes."""
    yield from (Line(column, place.text, True, "made by `crmsync deploy`") for column, place in default.columns.items())
