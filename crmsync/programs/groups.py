"""`groups:` how many customers, people or other things meet several conditions. Source: program-language, section 3."""

from __future__ import annotations

from collections.abc import Mapping

from crmsync.programs.aggregates import (
    AGGREGATES,
    KEY,
    ROWS,
    is_count,
    read_dated_by,
    read_during,
    read_rows,
    read_where,
)
from crmsync.programs.names import Kind, UnknownNameError
from crmsync.programs.program import Aggregate, FromGroups, FromRows, GroupCondition, Unit
from crmsync.programs.rates import reads_money
from crmsync.programs.vocabulary import Vocabulary
from crmsync.strict_yaml import Node, nearest

_LIMITS = ("at_least", "at_most")


def read_groups(node: Node, unit: Unit, words: Vocabulary) -> FromGroups:
    """`groups: {of: column, having: [...], share: yes}`. Errors: ConfigError."""
    parts = node.mapping(required=("of", "having"), optional=("share",))
    of = _column(parts["of"])
    having = tuple(_condition(item, parts["of"], of, words) for item in _items(parts["having"]))
    if not having:
        raise parts["having"].fail("`having:` names no condition")
    share = "share" in parts and parts["share"].yes_no()
    if share and len(having) == 1:
        raise parts["share"].fail("`share` is the part of those meeting the first condition; name a second one")
    if share and unit not in (Unit.PERCENT, Unit.NUMBER):
        raise parts["share"].fail(f"`share` gives a fraction, but the unit is {unit}; write `unit: percent`")
    if not share and unit not in (Unit.NUMBER, Unit.PEOPLE, Unit.POINTS):
        hint = "; say `share: yes` for a percent" if unit is Unit.PERCENT else ""
        raise node.fail(f"`groups` gives a number of things, but the unit is {unit}{hint}")
    return FromGroups(of, having, share)


def _items(node: Node) -> list[Node]:
    """A list of conditions, or a single one."""
    return [node] if node.is_mapping else node.sequence()


def _column(node: Node) -> str:
    if not KEY.fullmatch(node.text()):
        raise node.fail(f"`{node.text()}` is not a column; write its name alone, like `of: customer_id`")
    return node.text()


def _condition(item: Node, of_node: Node, of: str, words: Vocabulary) -> GroupCondition:
    parts = item.mapping(optional=(*AGGREGATES, *ROWS, *_LIMITS))
    kind = _one_of(item, parts, AGGREGATES, "source")
    limit = _one_of(item, parts, _LIMITS, "limit")
    source = read_rows(Aggregate(kind), parts[kind], Unit.NUMBER, words)
    _check_column(parts[kind], of_node, of, source, words)
    return GroupCondition(
        source,
        limit == "at_most",
        parts[limit].decimal(),
        item.line,
        read_where(parts, source, words),
        read_during(parts, source, words.tables),
        read_dated_by(parts, source, words.tables),
        _is_money(source, words),
    )


def _one_of(item: Node, parts: Mapping[str, Node], known: tuple[str, ...], what: str) -> str:
    given = [key for key in parts if key in known]
    if len(given) == 1:
        return given[0]
    if given:
        raise item.fail_at_key(given[1], f"two {what}s, `{given[0]}` and `{given[1]}`; a condition has exactly one")
    raise item.fail(f"a condition needs one {what}: {', '.join(known)}")


def _check_column(node: Node, of_node: Node, of: str, source: FromRows, words: Vocabulary) -> None:
    try:
        kind = words.tables.kind(source.table, of)
    except UnknownNameError:
        known = words.tables.columns(source.table)
        raise of_node.fail(
            f"`{source.table}` (read on line {node.line}) has no column `{of}`{nearest(of, known)}"
        ) from None
    if kind is Kind.LIST:
        raise of_node.fail(f"`{of}` of `{source.table}` is a list; groups need one value")


def _is_money(source: FromRows, words: Vocabulary) -> bool:
    if source.value is None or is_count(source.aggregate):
        return False
    return reads_money(source.value.columns, words.money)
