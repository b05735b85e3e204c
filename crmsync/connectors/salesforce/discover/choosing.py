"""Which field a column of ours is: by type, name, label and how often it is filled. Nothing is chosen silently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crmsync.connectors.salesforce.describe import NUMBERS, Field
from crmsync.connectors.salesforce.discover.facts import ObjectFacts
from crmsync.connectors.salesforce.discover.words import names_any, says

TEXTS = frozenset({"string", "picklist", "combobox"})
DATES = frozenset({"date", "datetime"})
CHOICES = frozenset({"multipicklist"})
NUMERIC = frozenset(NUMBERS)
YES_NO = frozenset({"boolean"})
MONEY = frozenset({"currency"})

SURE_WORD, SURE_GAP = 0.55, 0.25
OTHERS_SHOWN = 3
_LABEL = 0.95  # an API name outlives a label
_EMPTY = -1.0


@dataclass(frozen=True)
class Line:
    """One line of the proposal. `value`: as it stands in the field map, None where there is none; `sure`: no question
    is open (without a value: it is known to be nothing); `others`: what else it may be; `why`: the reason in words."""

    key: str
    value: str | None
    sure: bool
    why: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """A column to find a field for. `standard`: fields of every org, the first that is there and filled is taken;
    `words`: phrases in the order of preference; `avoid`: words that speak against a field; `rare`: empty in most
    records, so that an empty field may be it."""

    column: str
    types: frozenset[str]
    words: tuple[str, ...] = ()
    standard: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    rare: bool = False


@dataclass(frozen=True)
class Candidate:
    """A field that may be it. `path`: from the object that is read."""

    path: str
    field: Field
    score: float
    word: float
    share: float | None = None


def choose(
    wanted: Wanted,
    facts: ObjectFacts,
    through: Sequence[tuple[str, ObjectFacts]] = (),
    taken: Iterable[str] = (),
) -> Line:
    """The field of a column, or an open question. `through`: relationship -> object behind a lookup that may hold it;
    `taken`: fields that are something else."""
    standard = _standard(wanted, facts)
    if standard is not None:
        return standard
    used = {name.lower() for name in taken}
    found = [one for one in candidates(wanted, facts) if one.path.lower() not in used]
    for relation, behind in through:
        found += candidates(wanted, behind, relation)
    found.sort(key=lambda one: (-one.score, one.path))
    return _decided(wanted, found)


def _standard(wanted: Wanted, facts: ObjectFacts) -> Line | None:
    there = [one for name in wanted.standard if (one := facts.described.field(name)) is not None]
    for one in there:
        if facts.share(one.name) != 0:
            return Line(wanted.column, one.name, True, f"standard field{filled(facts.share(one.name))}")
    if there and not wanted.words:
        return Line(wanted.column, there[0].name, True, "standard field, empty so far")
    return None


def candidates(wanted: Wanted, facts: ObjectFacts, relation: str = "") -> list[Candidate]:
    """Every field of a fitting type whose name or label says it."""
    found = []
    for one in facts.described.fields.values():
        if one.type not in wanted.types or names_any(one.name, wanted.avoid):
            continue
        word = max(says(one.name, wanted.words), _LABEL * says(one.label, wanted.words))
        if word <= 0:
            continue
        share = facts.share(one.name)
        score = word + (0.0 if wanted.rare else _EMPTY if share == 0 else 0.3 * (share or 0.0))
        found.append(Candidate(f"{relation}.{one.name}" if relation else one.name, one, score, word, share))
    return found


def _decided(wanted: Wanted, found: Sequence[Candidate]) -> Line:
    column = wanted.column
    if not found:
        return Line(column, None, False, "no field of a fitting type has a name like it")
    best, others = found[0], tuple(shown(one) for one in found[1 : 1 + OTHERS_SHOWN])
    if best.share == 0 and not wanted.rare:
        return Line(column, None, False, "fields of that name are empty", (shown(best), *others)[:OTHERS_SHOWN])
    near = len(found) > 1 and (wanted.rare or found[1].share != 0) and best.score - found[1].score < SURE_GAP
    sure = best.word >= SURE_WORD and not near
    reason = f"{_typed(best.field)}{filled(best.share)}"
    return Line(column, best.path, sure, reason, () if sure else others)


def shown(one: Candidate) -> str:
    """`Region__c (picklist, filled 80 %)`"""
    return f"{one.path} ({_typed(one.field)}{filled(one.share)})"


def _typed(one: Field) -> str:
    return f"{one.type} “{one.label}”" if one.label and one.label != one.name else one.type


def filled(share: float | None) -> str:
    """`, filled 80 %`, or nothing where it was not counted."""
    return "" if share is None else f", filled {percent(share)}"


def percent(share: float) -> str:
    """A share in whole percent; never 0 or 100 for what is not all or nothing."""
    whole = round(share * 100)
    if 0 < share < 1:
        whole = min(max(whole, 1), 99)
    return f"{whole} %"
