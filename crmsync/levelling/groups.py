"""Groups: how many values of a column meet every condition, per partner. Source: program-language, section 3.

Each condition is aggregated per (partner, value) in a pass over its own table; the answers of all tables are put side
by side per value, and the values that meet them are counted. A condition that lost a record is unknown where the rest
does not decide it; one of averages or extremes without any row is not met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from crmsync.levelling import sql
from crmsync.levelling.aggregates import Made, TablePass
from crmsync.levelling.atoms import HAVING, Atom, GroupsAtom
from crmsync.levelling.engine import Engine
from crmsync.levelling.rows import Rows
from crmsync.levelling.scans import BoundsOf, as_words
from crmsync.levelling.spans import Span, Spans
from crmsync.levelling.sql import Sql
from crmsync.programs.program import Aggregate, Ever, FromRows, GroupCondition, Metric, Unit

GROUP = "group"
_ZERO_WITHOUT_ROWS = frozenset({Aggregate.SUM, Aggregate.COUNT, Aggregate.COUNT_DISTINCT})


@dataclass(frozen=True)
class _Answers:
    """Where the answers of one condition stand: a table keyed by partner and value, its column and flag."""

    table: str
    column: str
    lost: str | None


PassOf = Callable[[str, str, Sequence[Atom]], TablePass | None]
"""The pass over a table, by its name, the column of the groups and the atoms to ask; None where there is no table."""


@dataclass(frozen=True)
class Groups:
    """What groups of one moment are computed with. `spans`: windows that depend on the partner, None where there are
    none; `tag`: what the names of tables end with."""

    engine: Engine
    pass_of: PassOf
    limits: BoundsOf
    spans: Spans | None = None
    tag: str = ""

    def compute(self, atoms: Sequence[GroupsAtom]) -> tuple[Made, list[str], dict[str, tuple[int, str]]]:
        """One table per atom with its column and flag; the columns that can lose records; what was lost today."""
        made: Made = []
        lossy: list[str] = []
        lost: dict[str, tuple[int, str]] = {}
        for of in dict.fromkeys(atom.source.of for atom in atoms):
            mine = [atom for atom in atoms if atom.source.of == of]
            answers = self._asked(of, mine, lost)
            for number, atom in enumerate(mine):
                spans = [span for one in atom.conditions if (span := self._span(one)) is not None]
                name = self.engine.run(f"groups_{of}_{number}{self.tag}", _counted(atom, answers, spans))
                made.append((name, [atom.column]))
                if any(answers[one.column].lost is not None for one in atom.conditions if one.column in answers):
                    lossy.append(atom.column)
            self.engine.drop(dict.fromkeys(one.table for one in answers.values()))
        return made, lossy, lost

    def _span(self, atom: Atom) -> Span | None:
        return self.spans.of(atom) if self.spans is not None else None

    def _asked(self, of: str, atoms: Sequence[GroupsAtom], lost: dict[str, tuple[int, str]]) -> dict[str, _Answers]:
        """The answers of every condition by its column, one pass per table."""
        conditions = [one for atom in atoms for one in asked_of(atom)]
        answers: dict[str, _Answers] = {}
        for table in dict.fromkeys(one.source.table for one in conditions):
            mine = list({one.column: one for one in conditions if one.source.table == table}.values())
            one = self.pass_of(table, of, mine)
            if one is None:
                continue
            present = {presence.column for atom in atoms for presence in _presences(atom)}
            for name, columns in one.compute(self.limits, every_row=any(atom.column in present for atom in mine)):
                for column in columns:
                    can_lose = one.columns[column].lost is not None
                    answers[column] = _Answers(name, column, f"{column}!" if can_lose else None)
            for key, found in one.lost_records(self.limits).items():
                lost.setdefault(key.partition(HAVING)[0], found)
        return answers


def asked_of(atom: GroupsAtom) -> list[Atom]:
    """All that is asked of the rows for one metric of groups."""
    return [*atom.conditions, *_presences(atom)]


def group_words(rows: Rows, table: str, of: str) -> tuple[Sql, Sql]:
    """The text of a row's group, and whether it has one."""
    value = as_words(rows.value(table, of))
    return value, has_group(value)


def has_group(value: Sql) -> Sql:
    """Whether a value is a group: empty ones are none."""
    return sql.and_(sql.not_null(value), sql.ne(value, sql.text("")))


def _presences(atom: GroupsAtom) -> list[Atom]:
    """Counts of all rows of each value, where a value without rows in the windows could meet the conditions."""
    asked = atom.source.having[:1] if atom.source.share else atom.source.having
    if not all(_met_without_rows(condition) for condition in asked):
        return []
    found = []
    for number, table in enumerate(dict.fromkeys(one.source.table for one in atom.conditions)):
        source = FromRows(Aggregate.COUNT, table, None)
        one = Metric(f"{atom.metric.key}.there{number}", atom.metric.line, Unit.NUMBER, source, label="")
        found.append(Atom(one, source, Ever(), replace(atom.spot, shifts=())))
    return found


def _met_without_rows(condition: GroupCondition) -> bool:
    if condition.source.aggregate not in _ZERO_WITHOUT_ROWS:
        return False
    return condition.limit >= 0 if condition.at_most else condition.limit <= 0


# --- conditions side by side


def _counted(atom: GroupsAtom, answers: Mapping[str, _Answers], spans: Sequence[Span]) -> Sql:
    """(partner_id, the number or share of values that meet all, whether it is a lower bound)."""
    met = {f"met{i}": _met(*pair) for i, pair in enumerate(zip(atom.source.having, atom.conditions, strict=True))}
    everything = sql.and_(*(sql.col(name) for name in met))
    values = sql.select([sql.col("partner_id"), *sql.columns(met)], sql.subquery(_side_by_side(atom, answers), "g"))
    unknown = sql.any_true(sql.is_null(everything))
    all_of_them = sql.cast(sql.count(everything), sql.DOUBLE)
    if not atom.source.share:
        number, lost = all_of_them, unknown
    else:
        lost = sql.or_(unknown, sql.any_true(sql.is_null(sql.col("met0"))))
        first = sql.nullif(sql.cast(sql.count(sql.col("met0")), sql.DOUBLE), sql.double(0))
        number = sql.case([(sql.coalesce(lost, sql.false()), sql.null(sql.DOUBLE))], sql.div(all_of_them, first))
    shown = {atom.column: number, atom.lost: sql.coalesce(lost, sql.false())}
    query = sql.select(
        [sql.col("partner_id"), *sql.columns(shown)], sql.subquery(values, "v"), group=[sql.col("partner_id")]
    )
    return _unknown_without_span(atom, query, spans)


def _side_by_side(atom: GroupsAtom, answers: Mapping[str, _Answers]) -> Sql:
    """One row per partner and value with the column and flag of each condition, from whichever table has them."""
    wanted = [one.column for one in asked_of(atom) if one.column in answers]
    columns = {column: sql.null(_kind(atom, column)) for column in (one.column for one in atom.conditions)}
    columns |= {f"{column}!": sql.null(sql.BOOLEAN) for column in columns}
    parts: list[Sql] = []
    for table in dict.fromkeys(answers[column].table for column in wanted):
        own = {column: sql.col(column) for column in wanted if answers[column].table == table and column in columns}
        own |= {f"{column}!": sql.col(f"{column}!") for column in own if answers[column].lost is not None}
        keys = [sql.col("partner_id"), sql.col(GROUP)]
        parts.append(sql.select([*keys, *sql.columns({**columns, **own})], sql.table(table)))
    if not parts:
        nothing = {"partner_id": sql.null(sql.TEXT), GROUP: sql.null(sql.TEXT), **columns}
        return sql.select(sql.columns(nothing), sql.table("t_partners"), where=sql.false())
    together = {
        name: sql.any_true(sql.col(name)) if name.endswith("!") else sql.max_(sql.col(name)) for name in columns
    }
    if len(parts) == 1:  # one row per partner and value already
        return parts[0]
    keys = [sql.col("partner_id"), sql.col(GROUP)]
    return sql.select([*keys, *sql.columns(together)], sql.subquery(sql.union_all(parts), "u"), group=keys)


def _kind(atom: GroupsAtom, column: str) -> str:
    return next(one.kind for one in atom.conditions if one.column == column)


def _met(condition: GroupCondition, atom: Atom) -> Sql:
    """Whether a value meets a condition; unknown where a lost record could decide it."""
    value, lost = sql.col(atom.column), sql.coalesce(sql.col(atom.lost), sql.false())
    if atom.counts_from_zero:
        value = sql.case([(sql.not_(lost), sql.coalesce(value, atom.without_rows()))], value)
    reached = within_limit(condition, atom, value)
    undecided = lost if condition.at_most else sql.and_(lost, sql.not_(reached))
    return sql.case([(undecided, sql.null(sql.BOOLEAN))], reached)


def within_limit(condition: GroupCondition, atom: Atom, value: Sql) -> Sql:
    """Whether a number meets a condition; an unknown one does not."""
    if atom.metric.unit is Unit.MONEY:
        left, right = value, sql.decimal(condition.limit)
    else:
        left, right = sql.nine_digits(sql.cast(value, sql.DOUBLE)), sql.double(condition.limit)
    compare = sql.le if condition.at_most else sql.ge
    return sql.coalesce(compare(left, right), sql.false())


def _unknown_without_span(atom: GroupsAtom, query: Sql, spans: Sequence[Span]) -> Sql:
    """Where a condition's window depends on a date that the partner lacks, nothing is known."""
    tables = {span.table: span for span in spans}
    if not tables:
        return query
    nothing = sql.is_null(sql.col("partner_id", "d"))
    value = sql.case([(nothing, atom.without_rows())], sql.col(atom.column, "d"))
    missing = sql.or_(*(sql.is_null(span.last) for span in tables.values()))
    values = {
        "partner_id": sql.col("partner_id", "sp"),
        atom.column: sql.case([(missing, sql.null(sql.DOUBLE))], value),
        atom.lost: sql.and_(sql.not_(missing), sql.coalesce(sql.col(atom.lost, "d"), sql.false())),
    }
    match = sql.eq(sql.col("partner_id", "d"), sql.col("partner_id", "sp"))
    joins = [("left", sql.subquery(query, "d"), match), *(span.join("sp") for span in tables.values())]
    return sql.select(sql.columns(values), sql.table("t_partners", "sp"), joins)
