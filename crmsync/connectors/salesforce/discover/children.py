"""Objects below accounts and people: which of them may hold certificates, activities or exceptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crmsync.connectors.salesforce.describe import Field
from crmsync.connectors.salesforce.discover.choosing import Line, Wanted, choose
from crmsync.connectors.salesforce.discover.facts import ACCOUNT, CONTACT, ObjectFacts, OrgFacts
from crmsync.connectors.salesforce.discover.words import names_any, says

_PARTNER_FIELD = ("partner", "account", "company", "firma", "konto")


@dataclass(frozen=True)
class Kind:
    """A kind of record to look for. `words`: what its objects are called, in the order of preference."""

    table: str
    words: tuple[str, ...]
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """The object of a table and what else it may be."""

    facts: ObjectFacts
    sure: bool
    why: str
    others: tuple[str, ...] = ()


def named_like(names: Mapping[str, str], kind: Kind) -> list[tuple[float, str]]:
    """Objects by how well their name (or label) says the kind. `names`: API name -> label."""
    found = []
    for name, label in names.items():
        if not name.lower().endswith("__c") or names_any(name, kind.avoid):
            continue
        word = max(says(name, kind.words), says(label, kind.words))
        if word > 0:
            found.append((word, name))
    return sorted(found, key=lambda pair: (-pair[0], pair[1]))


def find_object(org: OrgFacts, kind: Kind, taken: Iterable[str] = ()) -> Found | Line:
    """The object that holds records of a kind, or the open question."""
    used = {name.lower() for name in taken}
    names = {one.name: one.described.label for one in org.objects.values() if one.name.lower() not in used}
    scored = []
    for word, name in named_like(names, kind):
        facts = org.find(name)
        if facts is not None and partner_path(org, facts) is not None:
            scored.append((word + (0.3 if facts.rows else -0.5 if facts.rows == 0 else 0.0), facts))
    scored.sort(key=lambda pair: (-pair[0], pair[1].name))
    if not scored:
        return Line(kind.table, None, False, f"no object that points at accounts or contacts is called {kind.words[0]}")
    score, best = scored[0]
    others = tuple(_shown(one) for _, one in scored[1:4])
    counted = "not counted" if best.rows is None else f"{best.rows:,} records"
    near = len(scored) > 1 and score - scored[1][0] < 0.2
    return Found(best, not near and best.rows != 0, f"object “{best.described.label}”, {counted}", others)


def _shown(facts: ObjectFacts) -> str:
    return f"{facts.name} ({'not counted' if facts.rows is None else f'{facts.rows:,} records'})"


def partner_path(org: OrgFacts, facts: ObjectFacts) -> Line | None:
    """How a record names its partner: a lookup to an account, else over the person."""
    accounts = sorted(facts.lookups(ACCOUNT), key=lambda one: -says(one.name, _PARTNER_FIELD))
    filled = [one for one in accounts if facts.share(one.name) != 0] or accounts
    if filled:
        others = tuple(one.name for one in filled[1:])
        return Line("partner_id", filled[0].name, not others, f"lookup “{filled[0].label}” to the account", others)
    person = next(facts.lookups(CONTACT), None)
    if person is None or person.relationship is None or org.find(CONTACT) is None:
        return None
    return Line("partner_id", f"{person.relationship}.AccountId", True, "the account of the person")


def person_line(facts: ObjectFacts) -> Iterator[Line]:
    """The person of a record, where it names one."""
    for one in facts.lookups(CONTACT):
        yield Line("person_id", one.name, True, f"lookup “{one.label}” to the contact")
        return


def behind(org: OrgFacts, facts: ObjectFacts, *targets: str) -> Iterator[tuple[str, ObjectFacts]]:
    """Objects one lookup away (a catalogue of courses, say), without accounts and people."""
    for one in facts.described.fields.values():
        if one.relationship is None or one.type != "reference":
            continue
        for target in one.reference_to:
            found = org.find(target)
            plain = target.lower() not in (ACCOUNT, CONTACT, "user", "group", "opportunity", facts.name.lower())
            if found is not None and plain and (not targets or target in targets):
                yield one.relationship, found


def key_of(facts: ObjectFacts) -> Field | None:
    """The field by which records of a catalogue are known: a unique external id, else the name."""
    fields = facts.described.fields.values()
    return next((one for one in fields if one.unique_key), facts.described.field("Name"))


def lines_of(
    wanted: Sequence[Wanted], facts: ObjectFacts, through: Sequence[tuple[str, ObjectFacts]]
) -> Iterator[Line]:
    """One line per column."""
    for one in wanted:
        yield choose(one, facts, through)
