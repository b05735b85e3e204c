"""Who belongs to a category, with what stood before and what people decided, as the rows that a standing starts from.

Source: program-language, section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crmsync.levelling import sql
from crmsync.levelling.before import BEFORE, before_columns, first
from crmsync.levelling.conditions import condition_of
from crmsync.levelling.criteria import LIMITS
from crmsync.levelling.measures import Measures, partner_column, with_alias
from crmsync.levelling.overrides import BOUNDS, OVERRIDES
from crmsync.levelling.per_values import PER_HAS, PerValues
from crmsync.levelling.previous import PREVIOUS
from crmsync.levelling.rules import Rules, next_column, today_column
from crmsync.levelling.sql import Sql
from crmsync.levelling.tiers import position_of_key
from crmsync.levelling.words import EVENTS, LASTING, had_column
from crmsync.programs.program import Category

VERSION_BEFORE = "version_before"
"""Table of what the version before would give: partner_id, category, tier."""

REASSESSMENTS = "reassessments"
"""Table of when a membership is looked at again, by the day it began: day, reassessed_on."""

COPIED = ("approve:", "decline:", "exempt:", "has:", "grace_to")
"""Columns of the overrides in force that stand in the row as they are."""


REASSESSED = "reassessed_on"
"""Column with the day on which a membership that stood before is looked at again."""


def anniversary_table(column: str) -> str:
    """Name of the table with the yearly return of a partner's date."""
    return f"anniversaries_{column}"


@dataclass(frozen=True)
class Belonging:
    """The rows of one category: measures, what stood before, overrides, and whether the partner belongs."""

    rules: Rules
    category: Category
    names: Measures  # of today
    file: str
    partner_columns: frozenset[str]
    remembers: Mapping[str, bool]  # which of the tables that are joined hold anything
    values: PerValues | None = None  # where the ladder is climbed once per value

    def query(self, measures: Sql) -> Sql:
        """Everybody who belongs, stood, or is declared or observed. `measures`: the relation m."""
        inner = sql.select([sql.star("m"), sql.star(LIMITS), *sql.columns(self._columns())], measures, self._joins())
        stood = dict.fromkeys((sql.col(BEFORE.stood), first(self.rules, BEFORE.stood)))
        checked: Sql = sql.or_(*(sql.coalesce(sql.col(name), sql.false()) for name in ("declared", "observed")))
        if self.values is not None and self.values.is_each:
            checked = sql.and_(checked, sql.col(PER_HAS))  # a value that only others have had says nothing of this one
        shown = sql.or_(sql.col("belongs"), *stood, checked)
        return sql.select([sql.star()], sql.subquery(inner, "who"), where=shown)

    @property
    def _key(self) -> Sql:
        """The category of the row, as the tables of the past name it."""
        key = self.category.key
        return sql.text(key) if self.values is None else self.values.category(key, "m")

    def _joins(self) -> list[tuple[str, Sql, Sql]]:
        joins: list[tuple[str, Sql, Sql]] = [("cross", sql.table(LIMITS), sql.true())]
        wanted = [(PREVIOUS, "pr")]
        wanted += [(OVERRIDES, "ov")] if self.remembers.get(OVERRIDES) else []
        wanted += [(VERSION_BEFORE, "vb")] if "keep_from" in self.rules.filled else []
        for name, alias in wanted:
            match = sql.and_(
                sql.eq(sql.col("partner_id", alias), sql.col("partner_id", "m")),
                sql.eq(sql.col("category", alias), sql.text(self.category.key) if alias == "ov" else self._key),
            )
            joins.append(("left" if self.remembers.get(name, True) else "cross", sql.table(name, alias), match))
        for column in self.rules.anniversaries:
            match = sql.eq(sql.col("day", f"an_{column}"), sql.col(partner_column(column), "m"))
            joins.append(("left", sql.table(anniversary_table(column), f"an_{column}"), match))
        if self._reassesses:
            match = sql.eq(sql.col("day", "ra"), sql.col("member_since", "pr"))
            joins.append(("left", sql.table(REASSESSMENTS, "ra"), match))
        return joins

    @property
    def _reassesses(self) -> bool:
        return self.rules.program.reassess is not None and "member_since" in self.rules.filled

    def _columns(self) -> dict[str, Sql]:
        before = before_columns(self.rules, self.category.starts_from or self.rules.program.starts_from)
        columns = {**before, **self._overrides(), **self._belonging(before[BEFORE.stood])}
        for name in (*EVENTS, *(had_column(kind) for kind in LASTING), "renamed"):
            if name in self.rules.filled:
                columns[f"before_{name}"] = sql.col(name, "pr")
        for column in self.rules.anniversaries:
            columns[today_column(column)] = sql.col("today", f"an_{column}")
            columns[next_column(column)] = sql.col("next_on", f"an_{column}")
        if self._reassesses:
            columns[REASSESSED] = sql.col("reassessed_on", "ra")
        if "keep_from" in self.rules.filled:
            there = sql.not_null(sql.col("partner_id", "vb"))
            tier = position_of_key(self.rules.ladder, sql.col("tier", "vb"))
            columns["keep_from"] = sql.case([(there, tier)], sql.null(sql.INT))
        return columns

    def _overrides(self) -> dict[str, Sql]:
        columns: dict[str, Sql] = {}
        for name, kind in zip(("pinned", "floored", "capped"), BOUNDS, strict=True):
            if kind in self.rules.filled:
                tier = sql.col(kind, "ov")
                there = (sql.not_null(tier), position_of_key(self.rules.ladder, tier))
                columns[name] = sql.case([there], sql.null(sql.INT))
        for name in sorted(self.rules.filled):
            if name.startswith(COPIED):
                columns[name] = sql.col(name, "ov")
        return columns

    def _belonging(self, stood: Sql) -> dict[str, Sql]:
        named = with_alias(self.names, "m")
        program, category = self.rules.program, self.category
        takes_part = condition_of(program.takes_part, named, self.file) if program.takes_part else sql.true()
        member = condition_of(category.member, named, self.file) if category.member else sql.true()
        if "category_in" in self.rules.filled:
            member = sql.coalesce(sql.col("category_in", "ov"), member)
        observed = condition_of(category.observed, named, self.file) if category.observed else sql.null(sql.BOOLEAN)
        taking = sql.coalesce(takes_part, stood)
        if self.values is not None and self.values.is_each:
            # a standing of a value ends as if the partner no longer belonged when it has the value no more
            member = sql.and_(sql.col(PER_HAS, "m"), sql.coalesce(member, stood))
        return {
            "takes_part": taking,
            # unknown membership keeps the standing, where there is one
            "belongs": sql.and_(taking, sql.coalesce(member, stood)),
            "declared": sql.case([(taking, self._declared())], sql.false()),
            "observed": sql.case([(taking, observed)], sql.false()) if category.observed else observed,
        }

    def _declared(self) -> Sql:
        program = self.rules.program
        column = program.declared or "declared_categories"
        if not program.has_categories or column not in self.partner_columns:
            return sql.null(sql.BOOLEAN)
        cell = sql.col(partner_column(column), "m")
        names = (self.category.key, self.category.label)
        kind = self.names.kinds[column]
        if kind == "list":
            hits = [sql.list_contains(cell, sql.text(name)) for name in dict.fromkeys(names)]
        else:
            hits = [sql.eq(cell, sql.text(name)) for name in dict.fromkeys(names)]
        return sql.or_(*hits)
