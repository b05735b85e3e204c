"""When tiers change, in the words of a partner guide: calendars, time to recover, holds, freezes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crmsync.programs.guide_expressions import condition_words
from crmsync.programs.guide_tiers import Line
from crmsync.programs.guide_words import Words, dates_words, day, effective_words, joined, stretch, window_words
from crmsync.programs.program import Change, Freeze, Horizon, Movement, Program, Window


@dataclass(frozen=True)
class ReviewText:
    """When tiers change, for one category or for a tier of it."""

    title: str
    lines: tuple[Line, ...]


def review_texts(words: Words, program: Program) -> list[ReviewText]:
    """When tiers change: once where all categories share the rules, else for each; then what tiers do differently."""
    by_lines: dict[tuple[Line, ...], list[str]] = {}
    for key in program.categories:
        lines = tuple(_movement_lines(words, program.movement_of(key)))
        by_lines.setdefault(lines, []).append(key)
    found = []
    for lines, keys in by_lines.items():
        title = "" if len(by_lines) == 1 else joined([words.category(key) for key in keys])
        found.append(ReviewText(title, lines))
    for ladder in program.ladders.values():
        for tier in ladder.tiers:
            own = tuple(_own_lines(words, tier.movement))
            if own:
                found.append(ReviewText(f"For {words.tier(tier.key)}", own))
    return found


def _movement_lines(words: Words, movement: Movement) -> Iterator[Line]:
    up, down = movement.promote, movement.demote
    approval = " after the program team has approved it" if up.approval else ""
    yield Line(f"You move up {dates_words(up.on)} on which you meet what a higher tier asks for{approval}; "
               f"the new tier {effective_words(up.effective)}.") if up.on and up.on.any_day else Line(
        f"You move up {dates_words(up.on)}, if you then meet what a higher tier asks for{approval}; "
        f"the new tier {effective_words(up.effective)}.")  # fmt: skip
    yield Line(_down(down))
    if down.steps:
        yield Line(f"You move down by at most {down.steps} {'tier' if down.steps == 1 else 'tiers'} at a time.")
    if _lasts(movement.newcomers) and movement.newcomers is not None:
        yield Line(f"New partners are not moved down in their first {stretch(movement.newcomers)}.")
    if _lasts(movement.after_promotion) and movement.after_promotion is not None:
        yield Line(f"Nobody is moved down in the {stretch(movement.after_promotion)} after moving up.")
    if movement.qualifies is not None:
        yield Line(f"What a tier asks for counts as met if it was met on any day {_any_day(movement.qualifies)}.")
    for freeze in movement.freeze or ():
        yield Line(_freeze(words, freeze))


def _lasts(horizon: Horizon | None) -> bool:
    return horizon is not None and horizon.count > 0


def _any_day(window: Window) -> str:
    return window_words(window).removeprefix("in ").join(("of ", ""))


def _down(change: Change) -> str:
    when = dates_words(change.on)
    text = "If you no longer meet what your tier asks for"
    approval = ", after the program team has approved it" if change.approval else ""
    if change.grace is not None and change.grace.count:
        start = "" if change.on is None or change.on.any_day else f" {when}"
        return (
            f"{text}{start}, you have {stretch(change.grace)} to recover. If you meet it again by then, you keep your "
            f"tier; otherwise you move down at the end of that time{approval}; the lower tier "
            f"{effective_words(change.effective)}."
        )
    if change.on is None or change.on.any_day:
        return f"{text}, you move down{approval}; the lower tier {effective_words(change.effective)}."
    return f"{text} {when}, you move down{approval}; the lower tier {effective_words(change.effective)}."


def _freeze(words: Words, freeze: Freeze) -> str:
    start = f" from {day(freeze.start)}" if freeze.start else ""
    until = f" until {day(freeze.until)}" if freeze.until else " until further notice"
    whom = f" where {condition_words(words, freeze.where)}" if freeze.where else ""
    reason = f" ({freeze.reason})" if freeze.reason else ""
    return f"No partner{whom} is moved down{start}{until}{reason}."


def _own_lines(words: Words, movement: Movement) -> Iterator[Line]:
    """What one tier does differently."""
    up, down = movement.promote, movement.demote
    if up.on is not None:
        yield Line(f"Partners move up into it {dates_words(up.on)}.")
    if up.approval:
        yield Line("Moving up into it needs the approval of the program team.")
    if up.effective is not None:
        yield Line(f"Moving up into it {effective_words(up.effective)}.")
    if down.on is not None:
        yield Line(f"Partners are moved down from it {dates_words(down.on)}.")
    if down.grace is not None:
        yield Line(f"There are {stretch(down.grace)} to recover before moving down." if down.grace.count
                   else "There is no time to recover before moving down.")  # fmt: skip
    if down.approval:
        yield Line("Moving down from it needs the approval of the program team.")
    if down.steps:
        yield Line(
            f"From it partners move down by at most {down.steps} {'tier' if down.steps == 1 else 'tiers'} at a time."
        )
    if movement.after_promotion is not None and movement.after_promotion.count:
        yield Line(f"Nobody is moved down in the {stretch(movement.after_promotion)} after moving up.")
    for freeze in movement.freeze or ():
        yield Line(_freeze(words, freeze))
