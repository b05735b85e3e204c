"""`categories`, `declared`, `headline`, `primary`, `starts_from`: who stands where.

Source: program-language, sections 6 and 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from crmsync.programs.expressions import parse_formula
from crmsync.programs.keys import read_key
from crmsync.programs.movement import Calendar, read_movement
from crmsync.programs.names import PARTNERS, Kind, Scope, kind_of_unit, read_label
from crmsync.programs.program import Category, Formula, FromTier, Headline, Ladder, Metric, StartsFrom
from crmsync.programs.tier_names import ALONE, usual_ladder
from crmsync.programs.vocabulary import Vocabulary, column_kind
from crmsync.strict_yaml import Node, nearest

DECLARED = "declared_categories"
CATEGORY_KEYS = ("label", "means", "member", "observed", "ladder", "starts_from", "movement")


def read_categories(
    node: Node | None,
    top: Node,
    metrics: Mapping[str, Metric],
    ladders: Mapping[str, Ladder],
    calendar: Calendar,
) -> dict[str, Category]:
    """The categories in file order; the one category `all` where the file names none. Errors: ConfigError."""
    usual = usual_ladder(list(ladders), _read_ladders(metrics))
    if node is None:
        found = {ALONE: Category(ALONE, ALONE, top.line, usual or next(iter(ladders)))}
        if usual is None:
            raise top.mapping()["ladders"].fail_at_key(
                list(ladders)[1],
                "several ladders need `categories:` that say who climbs which, or a `tier_of` that reads all but one",
            )
    else:
        found = {}
        for key, entry in node.mapping().items():
            found[read_key(node, key)] = _category(key, node.key_lines[key], entry, usual, ladders, calendar)
        if not found:
            raise node.fail("`categories:` names no category")
        _check_names(node, found)
    _check_climbed(top.mapping()["ladders"], found, metrics, ladders)
    return found


def _read_ladders(metrics: Mapping[str, Metric]) -> set[str]:
    sources = (metric.source for metric in metrics.values())
    return {one.ladder for one in sources if isinstance(one, FromTier) and one.ladder is not None}


def _check_climbed(
    node: Node, categories: Mapping[str, Category], metrics: Mapping[str, Metric], ladders: Mapping[str, Ladder]
) -> None:
    """Errors: ConfigError for a ladder that no category climbs and no `tier_of` reads."""
    used = {category.ladder for category in categories.values()} | _read_ladders(metrics)
    for key in ladders:
        if key not in used:
            raise node.fail_at_key(key, f"ladder `{key}` is climbed by no category and read by no `tier_of`")


def _check_names(node: Node, categories: Mapping[str, Category]) -> None:
    """Errors: ConfigError for two categories with one name: a declaration names them by key or label."""
    names: dict[str, str] = {}
    for key, category in categories.items():
        for name in {key, category.label}:
            if names.setdefault(name, key) != key:
                raise node.fail_at_key(key, f"two categories are called `{name}`: `{names[name]}` and `{key}`")


def _category(
    key: str, line: int, entry: Node, usual: str | None, ladders: Mapping[str, Ladder], calendar: Calendar
) -> Category:
    parts, words = entry.mapping(optional=CATEGORY_KEYS), calendar.words
    ladder = _ladder(entry, parts.get("ladder"), usual, ladders)
    return Category(
        key,
        read_label(parts, key),
        line,
        ladder,
        parts["means"].text() if "means" in parts else "",
        _condition(parts.get("member"), words.partner()),
        _condition(parts.get("observed"), words.partner()),
        read_starts_from(parts.get("starts_from"), words, [ladders[ladder]]),
        read_movement(parts.get("movement"), calendar),
    )


def _ladder(entry: Node, node: Node | None, usual: str | None, ladders: Mapping[str, Ladder]) -> str:
    if node is None:
        if usual is None:
            raise entry.fail(f"`ladder:` is missing; one of {', '.join(ladders)}")
        return usual
    if node.text() not in ladders:
        raise node.fail(f"unknown ladder `{node.text()}`{nearest(node.text(), ladders)}")
    return node.text()


def _condition(node: Node | None, scope: Scope) -> Formula | None:
    return None if node is None else parse_formula(node.text(), node.line, node.file, scope, Kind.CONDITION)


def read_takes_part(node: Node | None, words: Vocabulary) -> Formula | None:
    """Who is assessed: a condition over the columns of the partner alone. Errors: ConfigError."""
    return _condition(node, Scope(words.tables, PARTNERS, {}, words.units))


def read_declared(node: Node | None, words: Vocabulary) -> str | None:
    """The column of partners that holds the declaration; by default the canonical one, if it is delivered."""
    if node is None:
        return DECLARED if words.tables.is_delivered(PARTNERS, DECLARED) else None
    column = _partner_column(node)
    if column_kind(node, column, words.tables) not in (Kind.LIST, Kind.TEXT, None):
        raise node.fail(f"`{node.text()}` is neither a list nor a text of categories")
    return column


def _partner_column(node: Node) -> str:
    prefix, _, column = node.text().partition(".")
    if prefix != PARTNERS or not (column.isascii() and column.isidentifier()):
        raise node.fail(f"`{node.text()}` is not a column of the partner; write partners.column")
    return column


def read_headline(node: Node | None, primary: Mapping[str, str]) -> Headline:
    """Which standing gives the account its tier. Errors: ConfigError."""
    if node is None:
        return Headline.HIGHEST
    known = [str(one) for one in Headline]
    if node.text() not in known:
        raise node.fail(f"`{node.text()}` is not a headline; write one of {', '.join(known)}")
    if node.text() == Headline.PRIMARY and not primary:
        raise node.fail("`headline: primary` needs `primary:` with each category's yardstick")
    return Headline(node.text())


def read_primary(node: Node | None, words: Vocabulary, categories: Mapping[str, Category]) -> dict[str, str]:
    """Category -> the metric that is its yardstick. Errors: ConfigError."""
    found = {}
    for key, value in node.mapping().items() if node else ():
        if key not in categories:
            assert node is not None
            raise node.fail_at_key(key, f"unknown category `{key}`{nearest(key, categories)}")
        if kind_of_unit(words.unit_of(value)) is not Kind.NUMBER:
            raise value.fail(f"`{value.text()}` is no number; a yardstick must be one")
        found[key] = value.text()
    return found


def read_starts_from(node: Node | None, words: Vocabulary, ladders: Iterable[Ladder]) -> StartsFrom | None:
    """Where the hand-kept tiers are and which texts mean which tier. Errors: ConfigError."""
    if node is None:
        return None
    parts = node.mapping(required=("field",), optional=("values",))
    column = _partner_column(parts["field"])
    if column_kind(parts["field"], column, words.tables) not in (Kind.TEXT, None):
        raise parts["field"].fail(f"`{parts['field'].text()}` is not a text")
    given = parts["values"].mapping() if "values" in parts else {}
    return StartsFrom(column, {text: _tier_key(value, list(ladders)) for text, value in given.items()})


def _tier_key(node: Node, ladders: Sequence[Ladder]) -> str:
    """The key of the tier that a text means: a key, or a label that only one key has."""
    text = node.text()
    tiers = [tier for ladder in ladders for tier in ladder.tiers]
    keys = {tier.key for tier in tiers if tier.key == text} or {tier.key for tier in tiers if tier.label == text}
    if not keys:
        known = {name for tier in tiers for name in (tier.key, tier.label)}
        raise node.fail(f"unknown tier `{text}`{nearest(text, known)}")
    if len(keys) > 1:
        raise node.fail(f"`{text}` is the label of several tiers; write one of their keys: {', '.join(sorted(keys))}")
    return keys.pop()
