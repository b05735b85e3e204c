"""`movement:` of the program, a category or a tier: when a standing may change, and what delays it.

Source: program-language, section 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from crmsync.errors import ConfigError
from crmsync.programs.durings import read_window
from crmsync.programs.expressions import parse_formula
from crmsync.programs.names import Kind
from crmsync.programs.program import (
    DEFAULT_MOVEMENT,
    NO_TIME,
    CalendarPeriod,
    Category,
    Change,
    Effective,
    Ever,
    Freeze,
    Horizon,
    Ladder,
    Last,
    LastComplete,
    Movement,
    ThisAndBefore,
    Window,
    layered,
)
from crmsync.programs.review_dates import NOTHING, read_dates, read_effective, read_stretch
from crmsync.programs.vocabulary import Vocabulary
from crmsync.strict_yaml import Node

MOVEMENT_KEYS = ("promote", "demote", "effective", "hold", "freeze", "qualifies")
PROMOTE_KEYS = ("on", "effective", "approval")
DEMOTE_KEYS = (*PROMOTE_KEYS, "grace", "steps")
HOLD_KEYS = ("newcomers", "after_promotion")
FREEZE_KEYS = ("where", "from", "until", "reason")

_ANY_DAY_OF = "any day of "
_SAME_FOR_ALL = Last | LastComplete | ThisAndBefore | CalendarPeriod | Ever


@dataclass(frozen=True)
class Calendar:
    """What the dates of a movement hang on."""

    words: Vocabulary
    fiscal_start: tuple[int, int] = (1, 1)


def read_movement(node: Node | None, calendar: Calendar) -> Movement:
    """One `movement:`, as far as it says anything. Errors: ConfigError."""
    if node is None:
        return Movement()
    parts = node.mapping(optional=MOVEMENT_KEYS)
    effective = read_effective(parts["effective"]) if "effective" in parts else None
    newcomers, after_promotion = _hold(parts.get("hold"))
    window, today = _qualifies(parts.get("qualifies"))
    return Movement(
        promote=_change(parts.get("promote"), PROMOTE_KEYS, effective, calendar),
        demote=_change(parts.get("demote"), DEMOTE_KEYS, effective, calendar),
        newcomers=newcomers,
        after_promotion=after_promotion,
        freeze=_freezes(parts["freeze"], calendar.words) if "freeze" in parts else None,
        qualifies=window,
        qualifies_today=today,
    )


def _change(node: Node | None, known: Sequence[str], effective: Effective | None, calendar: Calendar) -> Change:
    """`promote:` or `demote:`; dates alone are short for `on:`."""
    if node is None:
        return Change(effective=effective)
    if not node.is_mapping:
        return Change(on=read_dates(node, calendar.fiscal_start, calendar.words.tables), effective=effective)
    for key in ("grace", "steps"):
        if key in node.mapping() and key not in known:
            raise node.fail_at_key(key, f"`{key}:` belongs to `demote:`; a promotion has none")
    parts = node.mapping(optional=known)
    return Change(
        on=read_dates(parts["on"], calendar.fiscal_start, calendar.words.tables) if "on" in parts else None,
        effective=read_effective(parts["effective"]) if "effective" in parts else effective,
        approval=parts["approval"].yes_no() if "approval" in parts else None,
        grace=read_stretch(parts["grace"]) if "grace" in parts else None,
        steps=_steps(parts["steps"]) if "steps" in parts else None,
    )


def _steps(node: Node) -> int:
    if node.text() == NOTHING:
        return 0
    steps = node.integer()
    if steps < 1:
        raise node.fail(f"`steps: {steps}`: write 1 or more, or `none` for no limit")
    return steps


def _hold(node: Node | None) -> tuple[Horizon | None, Horizon | None]:
    """How long newcomers, and the newly promoted, cannot fall."""
    if node is None:
        return None, None
    if node.is_text and node.text() == NOTHING:
        return NO_TIME, NO_TIME
    parts = node.mapping(optional=HOLD_KEYS)
    found = {key: read_stretch(value) for key, value in parts.items()}
    return found.get("newcomers"), found.get("after_promotion")


def _freezes(node: Node, words: Vocabulary) -> tuple[Freeze, ...]:
    if node.is_text and node.text() == NOTHING:
        return ()
    return tuple(_freeze(item, words) for item in node.sequence())


def _freeze(node: Node, words: Vocabulary) -> Freeze:
    parts = node.mapping(optional=FREEZE_KEYS)
    start, until = _day(parts.get("from")), _day(parts.get("until"))
    if not {"where", "from", "until"} & set(parts):
        raise node.fail("a freeze needs `where:`, `from:` or `until:`; else nobody would ever fall")
    if start and until and until < start:
        raise parts["until"].fail(f"`until: {until}` lies before `from: {start}`")
    where = parts.get("where")
    return Freeze(
        node.line,
        parse_formula(where.text(), where.line, where.file, words.partner(), Kind.CONDITION) if where else None,
        start,
        until,
        parts["reason"].text() if "reason" in parts else "",
    )


def _day(node: Node | None) -> date | None:
    return None if node is None else node.date()


def _qualifies(node: Node | None) -> tuple[Window | None, bool]:
    """The window of `any day of …`, and whether `today` is said."""
    if node is None:
        return None, False
    text = " ".join(node.text().split())
    if text == "today":
        return None, True
    if not text.startswith(_ANY_DAY_OF):
        raise node.fail(f"`{text}` is not `today` or `{_ANY_DAY_OF}…`, like `{_ANY_DAY_OF}last 6 months`")
    window = read_window(Node(node.file, node.line, text.removeprefix(_ANY_DAY_OF)))
    if not isinstance(window, _SAME_FOR_ALL) or window.shift is not None or window.until is not None:
        raise node.fail(
            f"`{text}`: a window up to today is needed, like `last 6 months` or `this and the 5 months before`"
        )
    return window, False


# --- what is wrong only in one layer upon another


@dataclass(frozen=True)
class Layer:
    """A movement with the place where it is written (None: not written) and whose it is."""

    movement: Movement
    node: Node | None
    owner: str


def check_steps(program: Layer, categories: Mapping[str, Category], ladders: Mapping[str, Ladder], top: Node) -> None:
    """Errors: ConfigError for `steps` without a calendar or a grace, in some category for some tier."""
    for category in categories.values():
        own = _at(top, "categories", category.key, "movement")
        layers = (program, Layer(category.movement, own, f"category `{category.key}`"))
        _check_pace(layers)
        tiers = _at(top, "ladders", category.ladder, "tiers")
        for place, tier in enumerate(ladders[category.ladder].tiers):
            item = tiers.sequence()[place] if tiers else None
            _check_pace((*layers, Layer(tier.movement, _at(item, "movement"), f"tier `{tier.key}`")))


def _at(node: Node | None, *path: str) -> Node | None:
    for key in path:
        node = node.mapping().get(key) if node is not None and node.is_mapping else None
    return node


def _check_pace(layers: Sequence[Layer]) -> None:
    found = DEFAULT_MOVEMENT
    for layer in layers:
        found = layered(found, layer.movement)
    steps, on, grace = found.demote.steps, found.demote.on, found.demote.grace
    if steps and on and on.any_day and not (grace and grace.count):
        raise _steps_error(next(one for one in reversed(layers) if _paces(one.movement.demote)), steps)


def _paces(change: Change) -> bool:
    return (change.on, change.grace, change.steps) != (None, None, None)


def _steps_error(layer: Layer, steps: int) -> ConfigError:
    assert layer.node is not None
    demote = layer.node.mapping()["demote"]
    problem = (
        f"`steps: {steps}` needs a calendar (`on: yearly`) or a grace (`grace: 90 days`), "
        f"and demotions of {layer.owner} come on any day without grace"
    )
    return demote.fail_at_key("steps", problem) if demote.is_mapping else demote.fail(problem)
