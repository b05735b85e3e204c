"""Certificates: which object, whose, of what, from when until when."""

from __future__ import annotations

from collections.abc import Iterator

from crmsync.connectors.salesforce.discover.children import (
    Found,
    Kind,
    behind,
    key_of,
    lines_of,
    partner_path,
    person_line,
)
from crmsync.connectors.salesforce.discover.choosing import DATES, TEXTS, Line, Wanted, choose
from crmsync.connectors.salesforce.discover.facts import ObjectFacts, OrgFacts
from crmsync.connectors.salesforce.discover.words import says

KIND = Kind(
    "certifications",
    ("certification", "certificate", "partner certification", "accreditation", "credential", "zertifikat",
     "zertifizierung", "qualification", "nachweis", "badge", "abzeichen", "certificacion", "certificat", "exam",
     "training", "schulung", "skill", "course"),
    avoid=("request", "template", "history", "log"),
)  # fmt: skip
CREDENTIAL = Wanted(
    "credential", TEXTS,
    ("credential", "certification code", "certification", "certificate", "exam", "course", "kurs", "zertifikat", "code",
     "title", "badge"),
    avoid=("status", "level", "account", "number"),
)  # fmt: skip
CATALOGUE = (
    "credential",
    "certification",
    "course",
    "exam",
    "kurs",
    "training",
    "zertifikat",
    "badge",
    "product",
    "skill",
)
LEVEL = Wanted("level", TEXTS, ("level", "grade", "stufe", "nivel", "niveau", "degree", "tier"), avoid=("account",))
PRODUCT_LINE = Wanted(
    "product_line", TEXTS,
    ("product line", "product family", "product", "technology", "practice", "produktlinie", "sparte"),
)  # fmt: skip
ISSUED = Wanted(
    "issued_on", DATES,
    ("issued", "issue date", "certified on", "completed", "completion date", "earned", "passed", "granted", "awarded",
     "valid from", "gultig ab", "ausgestellt", "erworben", "bestanden", "start", "obtenido", "delivre"),
    avoid=("expire", "end", "until", "ablauf", "created", "modified"),
)  # fmt: skip
EXPIRES = Wanted(
    "expires_on", DATES,
    ("expire", "expires", "expiry", "expiration", "valid until", "valid to", "gultig bis", "ablauf", "endet",
     "lauft ab", "end", "renewal", "vence", "caduca"),
)  # fmt: skip
_LAST_DAY = ("last day", "valid until", "valid through", "gultig bis", "letzter tag", "expires on")


def certification_lines(org: OrgFacts, found: Found) -> Iterator[Line]:
    """One line per column, then how the end of the validity is meant."""
    facts = found.facts
    through = tuple(behind(org, facts))
    yield Line("certification_id", "Id", True, "key of the record")
    partner = partner_path(org, facts)
    assert partner is not None, "find_object takes none that names no partner"
    yield partner
    yield from person_line(facts)
    yield _credential(facts, through)
    yield from lines_of((LEVEL, PRODUCT_LINE), facts, through)
    issued = choose(ISSUED, facts)
    yield issued if issued.value is not None else Line(
        "issued_on", "CreatedDate", False, "no field says when it was issued; the day the record was made",
        issued.others,
    )  # fmt: skip
    yield choose(EXPIRES, facts)


def _credential(facts: ObjectFacts, through: tuple[tuple[str, ObjectFacts], ...]) -> Line:
    """A catalogue behind a lookup knows best what was earned; else a text of the record."""
    for relation, catalogue in through:
        if max(says(relation, CATALOGUE), says(catalogue.described.label, CATALOGUE)) > 0:
            key = key_of(catalogue)
            if key is not None:
                what = "its external id" if key.unique_key else "its name"
                why = f"{what} in “{catalogue.described.label}”"
                return Line("credential", f"{relation}.{key.name}", True, why)
    own = choose(CREDENTIAL, facts)
    name = facts.described.field("Name")
    if own.value is None and name is not None and name.updateable:  # one that the org numbers says nothing
        return Line("credential", name.name, False, "the name of the record", own.others)
    return own


def validity_line(facts: ObjectFacts, lines: list[Line]) -> Line | None:
    """`expires_on: last day`, where the certificate ends at all. What the date means, only its help text can tell."""
    by_key = {line.key: line for line in lines}
    ends = by_key["expires_on"].value
    if ends is None:
        return None
    field = facts.described.field(ends)
    told = field is not None and (says_last_day(field.help) or says_last_day(field.label))
    why = f"help text “{field.help}”" if field is not None and told and field.help else "the date as people write it"
    others = () if told else ("first day after, where a certificate is no longer in force on that date",)
    return Line("expires_on", "last day", told, why, others)


def says_last_day(text: str) -> bool:
    """Whether a label or help text says that the date is the last valid day."""
    return any(says(text, (phrase,)) > 0 for phrase in _LAST_DAY)
