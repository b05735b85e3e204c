"""What people are told of. Pure: standings, what changed and what is about to end become events.

An event that lasts (a grace, a tier that will fall, a certificate that lapses) is found anew by every run; its period
makes it the same event, so that it is told once, however often a run dies between finding and telling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any

from crmsync.ledger.conflicts import ConflictRow
from crmsync.programs.program import Program, criteria_of
from crmsync.writeback.fields import day
from crmsync.writeback.tasks import DECIDES
from crmsync.writeback.wording import (
    Standing,
    label_of_category,
    label_of_tier,
    said_all,
    tier_of,
)

PROMOTED, DEMOTED, GRACE, WILL_FALL = "promoted", "demoted", "grace", "will_fall"
CERTIFICATE_LAPSING, OVERRIDE_ENDING, CONFLICT = "certificate_lapsing", "override_ending", "conflict"
GUARD_TRIPPED, RUN_FAILED, NOTICE_UNKNOWN, DIGEST = "guard_tripped", "run_failed", "notice_unknown", "digest"


@dataclass(frozen=True)
class Event:
    """One thing to tell. `period`: with name and partner it says whether two events are the same one.

    `facts`: values by the names that templates use; `standing`: the row that it speaks of, where it speaks of one.
    """

    name: str
    period: str
    partner_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    standing: Standing | None = None


@dataclass(frozen=True)
class TierMove:
    """A change of a granted tier as the ledger recorded it; tiers are keys."""

    partner_id: str
    category: str
    as_of: date
    from_tier: str | None
    to_tier: str | None
    movement: str


NEW = "entered"
"""Movement of a partner who is assessed for the first time: nothing has changed for it."""

# --- tiers


def written_only(events: Iterable[Event], unwritten: frozenset[str]) -> Iterator[Event]:
    """Without what speaks of a tier that the account does not hold yet. `unwritten`: partners of such accounts."""
    return (event for event in events if event.standing is None or event.partner_id not in unwritten)


def tier_events(
    program: Program, moves: Iterable[TierMove], standings: Mapping[tuple[str, str], Standing]
) -> Iterator[Event]:
    """Promotions and demotions. `moves`: oldest first; of several in a category the newest is told, if the partner
    still holds what it led to."""
    newest = {(move.partner_id, move.category): move for move in moves}
    for (partner, category), move in newest.items():
        row = standings.get((partner, category))
        held = row.get("granted_tier") if row else None
        if row is None or held != move.to_tier or move.movement == NEW:
            continue
        name = _direction(program, move)
        if name is not None:
            yield _moved(program, name, move, row)


def _direction(program: Program, move: TierMove) -> str | None:
    """Up or down the ladder; None where one of the two is not known to the program."""
    places = (_place(program, move.category, move.from_tier), _place(program, move.category, move.to_tier))
    if None in places or places[0] == places[1]:
        return None
    return PROMOTED if (places[1] or 0) > (places[0] or 0) else DEMOTED


def _place(program: Program, category: str, key: str | None) -> int | None:
    if key is None:
        return -1
    tier = tier_of(program, category, key)
    return None if tier is None else program.ladder_of(category.partition("/")[0]).tiers.index(tier)


def _moved(program: Program, name: str, move: TierMove, row: Standing) -> Event:
    facts = {
        **_of_row(program, row),
        "from_tier": label_of_tier(program, move.category, move.from_tier) or "",
        "to_tier": label_of_tier(program, move.category, move.to_tier) or "",
        "since": _date(row.get("tier_since")) if move.to_tier else move.as_of,
        "movement": move.movement.replace("_", " "),
    }
    facts["since"] = facts["since"] or move.as_of
    period = f"{move.category}|{move.as_of}|{move.from_tier or ''}>{move.to_tier or ''}"
    return Event(name, period, move.partner_id, facts, row)


# --- what is about to end


def falling_events(program: Program, rows: Iterable[Standing], as_of: date, leads: Sequence[int]) -> Iterator[Event]:
    """Who is in grace, and whose tier will fall within the lead days; a tier held by an exception does neither."""
    for row in rows:
        if row.get("granted_tier") is None or row["granted_tier"] != row.get("earned_tier"):
            continue
        until = _date(row.get("grace_until"))
        falls_on = until or _date(row.get("risk_on"))
        if until is not None and until > as_of:
            yield _grace(program, row, as_of, until)
        if falls_on is not None and (lead := lead_of(falls_on, as_of, leads)):
            yield _will_fall(program, row, as_of, falls_on, lead, in_grace=until is not None)


def lead_of(day_of: date, as_of: date, leads: Sequence[int]) -> int | None:
    """The smallest lead that the days until then fit into; None when it is further away, or over."""
    left = (day_of - as_of).days
    return min((lead for lead in leads if 0 < left <= lead), default=None)


def _grace(program: Program, row: Standing, as_of: date, until: date) -> Event:
    facts = {
        **_of_row(program, row),
        "until": until,
        "days": (until - as_of).days,
        "to_tier": _next_below(program, row),
    }
    return Event(GRACE, f"{row['category']}|{until}", row["partner_id"], facts, row)


def _will_fall(program: Program, row: Standing, as_of: date, on: date, lead: int, *, in_grace: bool) -> Event:
    facts = {
        **_of_row(program, row),
        "falls_on": on,
        "days": (on - as_of).days,
        "lead": lead,
        "to_tier": _next_below(program, row),
        "in_grace": in_grace,
        "reasons": said_all(row.get("risk_reasons")),
        "asked": [] if in_grace else asked_at_risk(program, row),
    }
    # The end of a grace stands; the day on which numbers will fail moves a little with every deal.
    when = f"{on}" if in_grace else f"{on:%Y-%m}"
    return Event(WILL_FALL, f"{row['category']}|{when}|{lead}", row["partner_id"], facts, row)


def asked_at_risk(program: Program, row: Standing) -> list[str]:
    """Metrics of the tier's own criteria that the risk reasons name: what the partner must look after."""
    tier = tier_of(program, row["category"], row.get("granted_tier"))
    said = [str(reason) for reason in row.get("risk_reasons") or () if DECIDES in str(reason)]
    keys = dict.fromkeys(criterion.metric for criterion in criteria_of(tier.keeps or tier.requires)) if tier else {}
    return [
        key for key in keys if key in program.metrics and any(s.startswith(program.metrics[key].label) for s in said)
    ]


def _next_below(program: Program, row: Standing) -> str:
    """What would be held after the fall, as far as it is known; empty where nothing would."""
    category = row["category"]
    held = _place(program, category, row.get("granted_tier")) or 0
    for column in ("calculated_tier", "projected_tier", "pace_tier"):
        place = _place(program, category, row.get(column))
        if place is not None and place < held:
            return label_of_tier(program, category, row.get(column)) or ""
    return ""


def override_events(program: Program, rows: Iterable[Standing], as_of: date, leads: Sequence[int]) -> Iterator[Event]:
    """Overrides that end within the lead days, with the tier that there would be without them."""
    for row in rows:
        for override in row.get("overrides") or ():
            ends_on = _date(override.get("ends_on")) if isinstance(override, Mapping) else None
            if ends_on is None or (lead := lead_of(ends_on, as_of, leads)) is None:
                continue
            kind, value = override.get("kind") or "", override.get("value") or ""
            facts = {
                **_of_row(program, row),
                "kind": kind,
                "value": label_of_tier(program, row["category"], value) or "",
                "ends_on": ends_on,
                "days": (ends_on - as_of).days,
                "reason": override.get("reason") or "",
                "tier_without": label_of_tier(program, row["category"], override.get("tier_without")) or "",
            }
            yield Event(
                OVERRIDE_ENDING, f"{row['category']}|{kind}|{value}|{ends_on}|{lead}", row["partner_id"], facts, row
            )


def _of_row(program: Program, row: Standing) -> dict[str, Any]:
    category = row["category"]
    return {
        "tier": label_of_tier(program, category, row.get("granted_tier")) or "",
        "category": label_of_category(program, category) if program.has_categories else "",
    }


def _date(value: Any) -> date | None:
    text = day(value)
    return date.fromisoformat(text) if text else None


# --- certificates


@dataclass(frozen=True)
class Lapsing:
    """A certificate of one person that ends and is not renewed. `last_day`: the last day on which it is in force."""

    partner_id: str
    person_id: str
    credential: str
    last_day: date


def certificate_events(lapsing: Iterable[Lapsing], as_of: date, leads: Sequence[int]) -> Iterator[Event]:
    """One event per partner, month of the end and lead, so that many certificates make few notices."""
    grouped: dict[tuple[str, date], list[Lapsing]] = {}
    for one in lapsing:
        if lead_of(one.last_day, as_of, leads) is not None:
            grouped.setdefault((one.partner_id, one.last_day.replace(day=1)), []).append(one)
    for (partner, month), some in sorted(grouped.items()):
        first = min(one.last_day for one in some)
        lead = lead_of(first, as_of, leads)
        counted: dict[tuple[date, str], set[str]] = {}
        for one in some:
            counted.setdefault((one.last_day, one.credential), set()).add(one.person_id)
        certificates = [
            MappingProxyType({"credential": credential, "people": len(people), "last_day": last_day})
            for (last_day, credential), people in sorted(counted.items())
        ]
        facts = {"certificates": certificates, "days": (first - as_of).days, "first_day": first}
        yield Event(CERTIFICATE_LAPSING, f"{month:%Y-%m}|{lead}", partner, facts)


# --- runs


def conflict_event(conflict: ConflictRow) -> Event:
    """A person's edit of a computed field."""
    facts = {key: getattr(conflict, key) or "" for key in ("object", "record_id", "field", "ours", "found", "policy")}
    return Event(CONFLICT, conflict.conflict_id, conflict.partner_id, facts)


def guard_event(plan: str, changes: int, movers: int, guards: Iterable[Mapping[str, Any]]) -> Event:
    """A plan that waits for a person. `guards`: those that tripped, each with guard, value, limit and way_out."""
    facts = {"plan": plan[:12], "changes": changes, "movers": movers, "guards": list(guards)}
    return Event(GUARD_TRIPPED, plan, None, facts)


def failure_event(kind: str, error: str, exit_code: int, on: date) -> Event:
    """A run that failed; the same kind of failure is told once a day."""
    return Event(RUN_FAILED, f"{on}|{kind}", None, {"kind": kind, "error": error, "exit_code": exit_code})


def unknown_event(notices: Sequence[Mapping[str, Any]]) -> Event:
    """Notices of which nobody can say whether they were sent. Each has key, event, audience, channel, reference and
    place (see `place_of`)."""
    told = [{name: value for name, value in one.items() if name != "place"} for one in notices]
    return Event(NOTICE_UNKNOWN, "|".join(sorted(one["place"] for one in notices)), None, {"notices": told})


def place_of(reference: str, tries: int) -> str:
    """One try of one notice, as the period of `unknown_event` names it: each is told once."""
    return f"{reference}#{tries}"


def places_of(period: str) -> frozenset[str]:
    """The tries that were told of together. Before there were any in it, a period held references alone."""
    return frozenset(period.split("|"))
