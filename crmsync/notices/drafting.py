"""From events to notices: for each audience and person the text in their language, ready for the outbox.

Everything is rendered before anything is put into the outbox, and everything is in the outbox before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from crmsync.configuration_notices import OWNER, PARTNER, Audience, NoticeRules
from crmsync.notices import events as e
from crmsync.notices import outbox as o
from crmsync.notices.channels import Channels
from crmsync.notices.events import Event
from crmsync.notices.outbox import Happened, Notice, key_of, reference_of
from crmsync.notices.people import People, Person, Suppressed
from crmsync.notices.speech import Speech, nearest_locale
from crmsync.notices.templates import Templates
from crmsync.notices.variables import OF_NOBODY, audience_kind, variables_of
from crmsync.notices.variables import PARTNER as FOR_PARTNER
from crmsync.programs.program import Program
from crmsync.writeback.partner_safe import INTERNAL, partner_texts
from crmsync.writeback.wording import Attributes, deciding, label_of_metric, label_of_tier

AT_ONCE = OF_NOBODY | {e.CONFLICT}
"""Events that never wait for a digest."""

LASTING = (e.GRACE, e.WILL_FALL, e.CERTIFICATE_LAPSING, e.OVERRIDE_ENDING)
"""Events whose texts say how many days are left."""

ONCE = (e.PROMOTED, e.DEMOTED)
"""Events that are over when they are told: who takes the place of the one who was told does not hear of them."""


@dataclass(frozen=True)
class Drafting:
    """What notices are drafted from. `audit`: the newest link of the audit chain, for the footer."""

    rules: NoticeRules
    templates: Templates
    channels: Channels
    program: Program | None  # None: of events that speak of no standing
    label: str
    as_of: date
    run_id: str
    audit: str = ""
    people: People = field(default_factory=lambda: People({}, {}, {}))
    suppressed: Suppressed = field(default_factory=Suppressed)
    attributes: Mapping[str, Attributes] = field(default_factory=dict)
    intents: Mapping[str, str] = field(default_factory=dict)  # partner -> the intent that wrote its account


@dataclass(frozen=True)
class _Wanted:
    key: str
    event: Event
    audience: Audience
    person: Person


def draft_notices(
    drafting: Drafting,
    events: Iterable[Event],
    known: Callable[[Sequence[str]], set[str]],
    told: Callable[[Collection[str]], set[Happened]] = lambda _partners: set(),
) -> list[Notice]:
    """A notice per event, audience and person that the outbox does not have. `known`: those of the keys that it has;
    `told`: what of these partners was told to anybody, of events that are told once."""
    wanted = list(_wanted(drafting, events))
    present = known([one.key for one in wanted])
    new = {one.key: one for one in wanted if one.key not in present}
    over = told({one.event.partner_id or "" for one in new.values() if one.event.name in ONCE})
    new = {key: one for key, one in new.items() if one.event.name not in ONCE or _happened(one) not in over}
    graces = {_same(one) for one in new.values() if one.event.name == e.GRACE}
    return [_notice(drafting, one, graces) for one in new.values()]


def redraft_notices(
    drafting: Drafting, events: Iterable[Event], changeable: Callable[[Sequence[str]], set[str]]
) -> list[Notice]:
    """The notices of lasting events anew, with the days and figures of today. `changeable`: those of the keys that wait
    and that nobody has approved as they are."""
    wanted = {one.key: one for one in _wanted(drafting, events) if one.event.name in LASTING}
    found = changeable(list(wanted))
    return [_notice(drafting, one, set()) for key, one in wanted.items() if key in found]


def _happened(one: _Wanted) -> Happened:
    return one.audience.name, one.event.partner_id, one.event.name, one.event.period


def _wanted(drafting: Drafting, events: Iterable[Event]) -> Iterator[_Wanted]:
    for event in events:
        for audience in drafting.rules.audiences.values():
            if event.name in audience.events:
                for person in _persons(drafting, audience, event):
                    key = key_of(event.partner_id, event.name, audience.name, person.recipient, event.period)
                    yield _Wanted(key, event, audience, person)


def _persons(drafting: Drafting, audience: Audience, event: Event) -> Iterator[Person]:
    if audience.name in (PARTNER, OWNER):
        person = drafting.people.persons.get(audience.name, {}).get(event.partner_id or "")
        if person is not None:
            yield person
        return
    for channel in drafting.channels.of(audience.name):
        yield Person(channel.name, "mail" if channel.is_mail else "chat", locale=audience.locale or "")


def _same(one: _Wanted) -> tuple[str, str, str | None, str]:
    """What a grace and the fall at its end have in common."""
    return one.audience.name, one.person.recipient, one.event.partner_id, one.event.period.rpartition("|")[0]


def _notice(drafting: Drafting, one: _Wanted, graces: set[tuple[str, str, str | None, str]]) -> Notice:
    event, audience, person, rules = one.event, one.audience, one.person, drafting.rules
    locale = nearest_locale(person.locale, drafting.templates.speeches, rules.locale)
    kind = audience_kind(audience.name)
    values = values_of(drafting, event, kind, person, drafting.templates.speeches[locale], one.key)
    message = drafting.templates.render(locale, event.name, audience.name, kind, values)
    state, why = _state(drafting, one, graces)
    return Notice(
        one.key, event.name, audience.name, person.recipient, event.partner_id, event.period, person.channel, locale,
        person.zone or rules.time_zone, message.subject, message.body, message.html, state,
        int(audience.name == PARTNER and rules.approve), drafting.run_id,
        intent_id=drafting.intents.get(event.partner_id or ""), error=why,
    )  # fmt: skip


def _state(drafting: Drafting, one: _Wanted, graces: set[tuple[str, str, str | None, str]]) -> tuple[str, str | None]:
    event, audience = one.event, one.audience
    if one.person.opted_out:
        return o.SUPPRESSED, o.OPTED_OUT
    if entry := drafting.suppressed.why(one.person.recipient, event.partner_id):
        return o.SUPPRESSED, f"the suppression list holds {'the partner' if entry.startswith('partner:') else entry}"
    if event.name == e.WILL_FALL and event.facts["in_grace"] and _grace_of(one) in graces:
        return o.SUPPRESSED, "told together with the grace that begins"
    if audience.digest != "no" and event.name not in AT_ONCE:
        return o.COLLECTED, None
    if audience.name == PARTNER and drafting.rules.approve:
        return o.HELD, None
    return o.WAITING, None


def _grace_of(one: _Wanted) -> tuple[str, str, str | None, str]:
    """The grace that ends in this fall: the period of a fall has a lead behind that of the grace."""
    category = one.event.period.rpartition("|")[0].rpartition("|")[0]
    return one.audience.name, one.person.recipient, one.event.partner_id, category


# --- values


def values_of(drafting: Drafting, event: Event, kind: str, person: Person, speech: Speech, key: str) -> dict[str, Any]:
    """The variables of a template, and no others: those that are listed for this event and these readers."""
    everything = {
        "program": drafting.label,
        "as_of": drafting.as_of,
        "recipient": person.name,
        "reference": reference_of(key),
        "run_id": drafting.run_id,
        "audit": drafting.audit,
        "partner": drafting.people.names.get(event.partner_id or "", event.partner_id or ""),
        "partner_id": event.partner_id or "",
        **event.facts,
        **_of_standing(drafting, event, kind, speech),
    }
    return {name: everything[name] for name in variables_of(event.name, kind)}


def _of_standing(drafting: Drafting, event: Event, kind: str, speech: Speech) -> dict[str, Any]:
    program, row = drafting.program, event.standing
    if row is None or program is None:
        return {}
    for_partner = kind == FOR_PARTNER
    following = label_of_tier(program, row["category"], row.get("next_tier"))
    if for_partner:
        following = partner_texts(program, row)["partner_safe.next_tier"]
    falling = event.name in (e.GRACE, e.WILL_FALL)
    values: dict[str, Any] = {
        "next_tier": following or "",
        "missing": speech.missing(program, row, for_partner=for_partner) if following or falling else "",
    }
    if "asked" in event.facts:
        labels = [label_of_metric(program, key) for key in event.facts["asked"]]
        values["asked"] = [label for label in labels if not (for_partner and INTERNAL.search(label))]
    if not for_partner:
        values["why"] = deciding(program, row, drafting.attributes.get(event.partner_id or "", {}))
    return values
