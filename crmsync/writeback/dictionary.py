"""The dictionary of what is written: one plain sentence per field for the people who read it in the CRM.

Sizes and choices come from the program: tier labels of all its ladders, the labels of its categories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from crmsync.connectors.base_needs import Choice, Dictionary, Said, Shape
from crmsync.errors import ConfigError
from crmsync.programs.program import Program, Take, Tier
from crmsync.tables import OVERRIDE_KINDS
from crmsync.writeback.fields import CHECKS, COMPUTED

NAME_LENGTH = 80
"""Characters of a field for a tier, where no label is longer."""
CATEGORY_LENGTH = 120
KEY_LENGTH = 255
RUN_ID_LENGTH = 40
TOKEN_LENGTH = 64
LAST_ERROR_LENGTH = 255
LAST_ERROR_HELP = (
    "Why crmsync could not write this account, or a record beside it, last time. Empty when all is written. It tries "
    "again with every run."
)
REASON_LENGTH = 4000
CHOICE_MAX = 255

RISKS = ("none", "low", "medium", "high")

ACCOUNT_HELP: Mapping[str, str] = {
    "calculated_tier": "What the numbers say today, before any rule of movement and any exception.",
    "granted_tier": "The tier that the partner has; benefits follow it.",
    "previous_tier": "The tier before the present one; it stays until the tier changes again.",
    "next_tier": "The tier above the calculated one; empty at the top.",
    "tier_since": "The day on which the present tier began.",
    "categories": "The categories that the partner belongs to.",
    "progress": "How far the partner is on its way to the next tier; 100 only when it is reached.",
    "gap_summary": "What is missing for the next tier, along the cheapest way.",
    "main_blocker": "The one requirement that is furthest away.",
    "risk": "High: below the tier already, or soon at the present pace. Medium: only if nothing more happens. "
    "Low: little to spare.",
    "risk_reason": "Which requirements will be missed, and what is about to lapse.",
    "risk_on": "The first day on which the tier would be lost.",
    "points": "The partner's points in the program.",
    "why": "The numbers behind the tier, in one text.",
    "provisional": "A number that decides is not known yet; the standing is kept until it is.",
    "grace_until": "The last day of a grace: the tier is kept until then, and lost unless the gap is closed.",
    "next_review": "The next day on which the tier can be lost. A day that has passed means that no run has come.",
    "pending_tier": "A change that is decided and not yet in force. Without a date it waits for approval.",
    "pending_on": "The day on which the pending tier comes into force.",
    "override_ends_on": "The first day on which an exception for this partner ends.",
    "category_check": "Whether the declared categories are borne out by what the partner does; the worst of them.",
    "changed_on": "The day of the last run that changed anything here.",
    "run_id": "The run that last changed anything here. For support.",
}

PEOPLE_HELP: Mapping[str, str] = {
    "dispute": "Tick this when the partner or you do not agree with the tier. Sales operations will look at it.",
    "dispute_comment": "What is wrong with the tier, in your words.",
}

PARTNER_SAFE_HELP: Mapping[str, str] = {
    "tier": "The partner's tier. May be shown to the partner.",
    "next_tier": "The partner's next tier. May be shown to the partner.",
    "gap": "What is missing for the next tier, without internal reasons. May be shown to the partner.",
}

STANDING_HELP: Mapping[str, str] = {
    "program": "The partner program that this standing belongs to.",
    "category": "The category that this standing belongs to.",
    "calculated_tier": "What the numbers say in this category, before any rule of movement and any exception.",
    "granted_tier": "The tier that the partner has in this category.",
    "previous_tier": "The tier in this category before the last change.",
    "movement": "What happened when this standing last moved: promoted, in grace, demoted, left, and so on.",
    "overrides": "The exceptions that are in force in this category.",
    "as_of": "The day that the last changed standing was computed for.",
}

HISTORY_HELP: Mapping[str, str] = {
    "program": "The partner program in which the tier changed.",
    "category": "The category in which the tier changed.",
    "from_tier": "The tier before the change.",
    "to_tier": "The tier after the change; empty where the partner left.",
    "movement": "What happened: promoted, demoted, entered, left, and so on.",
    "effective_on": "The day on which the change came into force.",
    "why": "The requirement or the decision that made the difference.",
    "run_id": "The run that made the change. For support.",
    "program_version": "The version of the program's rules that was in force.",
}

OVERRIDE_HELP: Mapping[str, str] = {
    "partner_id": "The partner that the exception is for.",
    "category": "The category that it is for; empty for all of them.",
    "kind": "Pin a tier, set a floor or a ceiling, approve or decline a change, exempt from a requirement, add a "
    "credit, move the end of a grace, or put into a category.",
    "tier": "The tier that a pin, a floor, a ceiling, an approval or a refusal speaks of.",
    "metric": "The requirement that an exemption or a credit speaks of.",
    "value": "The number of a credit, the new end of a grace, or yes or no for a category.",
    "starts_on": "The first day of the exception.",
    "ends_on": "The last day of the exception. Without an end and without a reason it is not applied.",
    "reason": "Why this partner is treated differently. Needed, or the exception is not applied.",
    "approved_by": "Who approved it. Needed, or the exception is not applied.",
}

BADGES_HELP = "The certificates that this person holds today. Computed; do not edit."

OBJECT_HELP: Mapping[str, str] = {
    "standings": "One partner's standing in one category of the partner program. Computed; do not edit.",
    "history": "One change of a partner's tier in one category. Computed; do not edit.",
    "overrides": "An exception from the rules of the partner program: from a day to a day, with a reason.",
    "plan_record": "A plan of changes that waits for a decision of sales operations. Only the decision is yours.",
    "run_record": "One run of crmsync that has written here, with the anchor of its audit. For auditors; do not edit.",
}

PLAN_HELP: Mapping[str, str] = {
    "decision": "Approved: the next run writes exactly this plan. Declined: it is not written. It holds for 24 hours.",
    "state": "Where the plan stands: it waits, was applied, was declined, or another plan has taken its place.",
    "answer": "What became of your decision, and why.",
    "summary": "What the plan would write.",
    "guards": "Why the plan waits: what was found, what is allowed, and what to do.",
    "who_moves": "Whose tier would change, from which to which, and why.",
    "movers": "How many changes of a tier the plan holds.",
    "changes": "How many accounts the plan would change.",
    "as_of": "The day that the plan was computed for.",
    "run_id": "The run that drafted the plan. For support.",
}
DECISIONS = ("Waiting", "Approved", "Declined")
PLAN_STATES = ("Waiting", "Applied", "Not applied", "Declined", "Superseded")
PLAN_LIST_LENGTH = 30_000
"""Characters for the guards and the movers of a plan."""

RUN_HELP: Mapping[str, str] = {
    "anchor": "Number and hash of the newest event of the audit when the run ended; `crmsync audit verify` takes it.",
    "as_of": "The day that the run was computed for.",
    "state": "How the run ended: applied, or partial where records are left open.",
    "changes": "How many accounts its plan changed.",
    "movers": "How many changes of a tier its plan held.",
}
ANCHOR_LENGTH = 100

MOVEMENT_LENGTH = 40
VERSION_LENGTH = 40
CHECK_LABELS: Mapping[str, str] = {
    "confirmed": "Confirmed",
    "over_declared": "Declared, not borne out",
    "undeclared": "Not declared",
    "unknown": "Unknown",
}


def dictionary_of(programs: Sequence[Program]) -> Dictionary:
    """What write-back of these versions of a program needs to store. Errors: ConfigError for labels that collide."""
    tiers = _tiers(programs)
    account = _account(programs, tiers)
    standings = _shared(account) | _standing(programs, tiers)
    return Dictionary(
        account=account,
        token=_text("Changes with every write of crmsync. For support.", TOKEN_LENGTH),
        last_error=_text(LAST_ERROR_HELP, LAST_ERROR_LENGTH),
        people={
            "dispute": Said(Shape.YES_NO, PEOPLE_HELP["dispute"]),
            "dispute_comment": _long(PEOPLE_HELP["dispute_comment"], REASON_LENGTH),
        },
        partner_safe={
            "tier": _name(PARTNER_SAFE_HELP["tier"], tiers),
            "next_tier": _name(PARTNER_SAFE_HELP["next_tier"], tiers),
            "gap": _long(PARTNER_SAFE_HELP["gap"], REASON_LENGTH),
        },
        standings=standings,
        history=_history(programs, tiers),
        overrides=_overrides(programs, tiers),
        partner=Said(Shape.PARTNER, "The partner account that this record belongs to."),
        key=Said(Shape.KEY, "Names this record, so that it is written once only. For support.", KEY_LENGTH, 100),
        badges=Said(Shape.CHOICES, BADGES_HELP, restricted=False),
        plan_record=_plan_record(),
        run_record=_run_record(),
        objects=OBJECT_HELP,
    )


def _account(programs: Sequence[Program], tiers: Sequence[Choice]) -> dict[str, Said]:
    said = ACCOUNT_HELP
    risks = tuple(Choice(risk, risk.capitalize()) for risk in RISKS)
    checks = tuple(Choice(check, CHECK_LABELS[check]) for check in reversed(CHECKS))
    known: dict[str, Said] = {
        **{key: _choice(said[key], tiers) for key in ("calculated_tier", "granted_tier", "pending_tier")},
        **{key: _name(said[key], tiers) for key in ("previous_tier", "next_tier")},
        **{key: Said(Shape.DATE, said[key]) for key in _DATES},
        **{key: _long(said[key], COMPUTED[key].length or 0) for key in ("gap_summary", "risk_reason", "why")},
        "categories": _categories(programs),
        "progress": Said(Shape.PERCENT, said["progress"], whole=3),
        "main_blocker": _text(said["main_blocker"], COMPUTED["main_blocker"].length or 0),
        "risk": _choice(said["risk"], risks),
        "category_check": _choice(said["category_check"], checks),
        "points": Said(Shape.NUMBER, said["points"], whole=14, decimals=2),
        "provisional": Said(Shape.YES_NO, said["provisional"]),
        "run_id": _text(said["run_id"], RUN_ID_LENGTH),
    }
    return {key: known[key] for key in said}


_DATES = (
    "tier_since", "risk_on", "grace_until", "next_review", "pending_on", "override_ends_on", "changed_on",
)  # fmt: skip


def _shared(account: Mapping[str, Said]) -> dict[str, Said]:
    """What a standing has in common with the account that shows the highest of them."""
    keys = (
        "next_tier", "pending_tier", "pending_on", "progress", "gap_summary", "main_blocker", "risk", "risk_on",
        "tier_since", "grace_until", "next_review", "category_check", "provisional", "run_id",
    )  # fmt: skip
    return {key: account[key] for key in keys}


def _standing(programs: Sequence[Program], tiers: Sequence[Choice]) -> dict[str, Said]:
    said = STANDING_HELP
    return {
        "program": _text(said["program"], NAME_LENGTH),
        "category": _category(said["category"], programs),
        "calculated_tier": _choice(said["calculated_tier"], tiers),
        "granted_tier": _choice(said["granted_tier"], tiers),
        "previous_tier": _name(said["previous_tier"], tiers),
        "movement": _text(said["movement"], MOVEMENT_LENGTH),
        "overrides": _long(said["overrides"], REASON_LENGTH),
        "as_of": Said(Shape.DATE, said["as_of"]),
    }


def _history(programs: Sequence[Program], tiers: Sequence[Choice]) -> dict[str, Said]:
    said = HISTORY_HELP
    return {
        "program": _text(said["program"], NAME_LENGTH),
        "category": _category(said["category"], programs),
        "from_tier": _name(said["from_tier"], tiers),
        "to_tier": _name(said["to_tier"], tiers),
        "movement": _text(said["movement"], MOVEMENT_LENGTH),
        "effective_on": Said(Shape.DATE, said["effective_on"]),
        "why": _long(said["why"], REASON_LENGTH),
        "run_id": _text(said["run_id"], RUN_ID_LENGTH),
        "program_version": _text(said["program_version"], VERSION_LENGTH),
    }


def _overrides(programs: Sequence[Program], tiers: Sequence[Choice]) -> dict[str, Said]:
    said = OVERRIDE_HELP
    kinds = tuple(Choice(kind, kind.capitalize()) for kind in OVERRIDE_KINDS)
    return {
        "partner_id": Said(Shape.ACCOUNT, said["partner_id"]),
        "category": _category(said["category"], programs),
        "kind": _choice(said["kind"], kinds),
        "tier": _name(said["tier"], tiers),
        "metric": _text(said["metric"], NAME_LENGTH),
        "value": _text(said["value"], NAME_LENGTH),
        "starts_on": Said(Shape.DATE, said["starts_on"]),
        "ends_on": Said(Shape.DATE, said["ends_on"]),
        "reason": _long(said["reason"], REASON_LENGTH),
        "approved_by": Said(Shape.USER, said["approved_by"]),
    }


def _plan_record() -> dict[str, Said]:
    said = PLAN_HELP
    return {
        "decision": _choice(said["decision"], (Choice(one, one) for one in DECISIONS)),
        "state": _choice(said["state"], (Choice(one, one) for one in PLAN_STATES)),
        "answer": _long(said["answer"], REASON_LENGTH),
        "summary": _text(said["summary"], CHOICE_MAX),
        "guards": _long(said["guards"], PLAN_LIST_LENGTH),
        "who_moves": _long(said["who_moves"], PLAN_LIST_LENGTH),
        "movers": Said(Shape.NUMBER, said["movers"], whole=9),
        "changes": Said(Shape.NUMBER, said["changes"], whole=9),
        "as_of": Said(Shape.DATE, said["as_of"]),
        "run_id": _text(said["run_id"], RUN_ID_LENGTH),
    }


def _run_record() -> dict[str, Said]:
    said = RUN_HELP
    return {
        "anchor": _text(said["anchor"], ANCHOR_LENGTH),
        "as_of": Said(Shape.DATE, said["as_of"]),
        "state": _text(said["state"], NAME_LENGTH),
        "changes": Said(Shape.NUMBER, said["changes"], whole=9),
        "movers": Said(Shape.NUMBER, said["movers"], whole=9),
    }


# --- shapes


def _text(help_text: str, length: int, least: int | None = None) -> Said:
    return Said(Shape.TEXT, help_text, length, length if least is None else least)


def _long(help_text: str, length: int) -> Said:
    return Said(Shape.LONG_TEXT, help_text, length, length)


def _choice(help_text: str, choices: Iterable[Choice]) -> Said:
    choices = tuple(choices)
    return Said(Shape.CHOICE, help_text, CHOICE_MAX, _longest(choices), choices=choices)


def _name(help_text: str, tiers: Sequence[Choice]) -> Said:
    """A tier as text: of the tiers before, and of other versions, too."""
    longest = _longest(tiers)
    return _text(help_text, max(NAME_LENGTH, longest), longest)


def _category(help_text: str, programs: Sequence[Program]) -> Said:
    longest = max((len(choice.label) for choice in _category_labels(programs)), default=1)
    return _text(help_text, max(CATEGORY_LENGTH, longest), longest)


def _categories(programs: Sequence[Program]) -> Said:
    """The categories; where a ladder stands once per value, its values come with the data and any text may come."""
    choices = _category_labels(programs)
    each = any(
        ladder.per is not None and ladder.per.take is Take.EACH
        for program in programs
        for ladder in program.ladders.values()
    )
    return Said(Shape.CHOICES, ACCOUNT_HELP["categories"], choices=choices, restricted=not each)


def _longest(choices: Sequence[Choice]) -> int:
    return max((len(choice.value) for choice in choices), default=1)


# --- labels


def _tiers(programs: Sequence[Program]) -> tuple[Choice, ...]:
    """The labels of all tiers of all ladders, from the top of each ladder down, once each."""
    found = ((tier.label, program, tier.line) for program, tier in _every_tier(programs))
    return _distinct(found, "tiers")


def _every_tier(programs: Sequence[Program]) -> Iterator[tuple[Program, Tier]]:
    for program in programs:
        for ladder in program.ladders.values():
            yield from ((program, tier) for tier in reversed(ladder.tiers))


def _category_labels(programs: Sequence[Program]) -> tuple[Choice, ...]:
    found = (
        (category.label, program, category.line)
        for program in programs
        if program.has_categories
        for category in program.categories.values()
    )
    choices = _distinct(found, "categories")
    for choice in choices:
        if ";" in choice.value:
            raise ConfigError(f"category label `{choice.value}` holds `;`, which parts the values of a multi-select")
    return choices


def _distinct(labels: Iterable[tuple[str, Program, int]], what: str) -> tuple[Choice, ...]:
    """Each label once. Errors: ConfigError where two differ in case only, which a CRM takes for one value."""
    seen: dict[str, str] = {}
    for label, program, line in labels:
        first = seen.setdefault(label.casefold(), label)
        if first != label:
            raise ConfigError(
                f"the labels `{first}` and `{label}` of {what} differ only in case, and a picklist holds one of them; "
                "write both alike",
                file=str(program.file), line=line,
            )  # fmt: skip
        if len(label) > CHOICE_MAX:
            raise ConfigError(
                f"label `{label[:40]}…` has {len(label)} letters, a picklist value {CHOICE_MAX} at most",
                file=str(program.file), line=line,
            )  # fmt: skip
    return tuple(Choice(label, label) for label in seen.values())
