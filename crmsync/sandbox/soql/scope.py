"""Names of one SELECT to columns of the store: fields, parent paths with their joins, functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from crmsync.sandbox.formula_sql import Calculation
from crmsync.sandbox.schema import Field, Kind, Schema, SObject
from crmsync.sandbox.soql.refusals import malformed, no_column, no_relationship, no_type, refuse_at
from crmsync.sandbox.soql.tree import Function, Operand, Path

MOST_PARENTS = 5
AGGREGATES = ("COUNT", "COUNT_DISTINCT", "SUM", "MIN", "MAX", "AVG")
_POLYMORPHIC = ("Id", "Name", "Type")


@dataclass(frozen=True)
class World:
    """What a query may need to know of the org."""

    schema: Schema
    today: date
    start_of: Callable[[date], str]
    fiscal_month: int = 1
    fiscal_by_start: bool = False
    dated_rates: bool = False
    whole: Schema | None = None  # with what the user may not see
    now: str = "2026-01-01T00:00:00.000"


@dataclass(frozen=True)
class Term:
    """One value as SQL. Decimals are whole numbers scaled by 10^scale; `field` is None for computed values."""

    sql: str
    kind: Kind
    names: tuple[str, ...]
    field: Field | None = None
    scale: int = 0
    parent: str = ""  # alias of the joined table that the value comes from
    aggregate: bool = False


@dataclass
class Joined:
    """A parent that the query joins: its alias in SQL and its object."""

    alias: str
    sobject: SObject
    names: tuple[str, ...]


@dataclass
class Scope:
    """The names of one SELECT. Aliases are `t0`, `t1`, … below `stem`."""

    world: World
    soql: str
    base: SObject
    alias: str | None
    stem: str = "t"
    joins: dict[tuple[str, ...], Joined] = field(default_factory=dict)
    join_sql: list[str] = field(default_factory=list)

    @property
    def root(self) -> str:
        """The SQL alias of the object in FROM."""
        return f"{self.stem}0"

    def term(self, operand: Operand) -> Term:
        """The value of a path or function. Errors: SoqlError INVALID_FIELD, MALFORMED_QUERY."""
        return self.path(operand) if isinstance(operand, Path) else self.function(operand)

    def path(self, path: Path) -> Term:
        """The value of a field path."""
        names = self._without_alias(path.names)
        if len(names) - 1 > MOST_PARENTS:
            raise malformed(self.soql, path.at, f"a parent path may have at most {MOST_PARENTS} steps: {path}")
        sobject, alias = self.base, self.root
        done: tuple[str, ...] = ()
        for place, name in enumerate(names[:-1]):
            link = sobject.by_relationship.get(name.lower())
            if link is None:
                raise no_relationship(self.soql, path.at, name)
            if len(link.reference_to) > 1:
                return self._polymorphic(path, names, place, alias, link, done)
            joined = self._join(alias, link, done)
            sobject, alias, done = joined.sobject, joined.alias, joined.names
        return self._field(path, sobject, alias, done, names[-1])

    def _without_alias(self, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(names) < 2:
            return names
        first = names[0].lower()
        known = {(self.alias or "").lower(), self.base.name.lower()} - {""}
        is_parent = first in self.base.by_relationship and first != (self.alias or "").lower()
        return names[1:] if first in known and not is_parent else names

    def _field(self, path: Path, sobject: SObject, alias: str, done: tuple[str, ...], name: str) -> Term:
        found = sobject.field(name)
        if found is None or found.hidden:
            raise no_column(self.soql, path.at, name, sobject.name)
        if found.calculated:
            sql = self._calculated(sobject, found, alias)
        else:
            sql = compound_sql(sobject, found, alias) if found.kind == "compound" else f'{alias}."{found.name}"'
        return Term(sql, found.kind, (*done, found.name), found, found.scale, alias)

    def _calculated(self, sobject: SObject, found: Field, alias: str) -> str:
        """SQL of a formula or roll-up, which reads fields that the user may not see."""
        world = self.world
        whole = world.whole or world.schema
        calculation = Calculation(whole, world.today.isoformat(), world.now)
        return calculation.field_sql(whole.find(sobject.name) or sobject, found, alias)

    def _join(self, alias: str, link: Field, done: tuple[str, ...]) -> Joined:
        names = (*done, str(link.relationship))
        if names not in self.joins:
            parent = self.world.schema.find(link.reference_to[0])
            if parent is None:
                raise no_type(self.soql, 0, link.reference_to[0])
            joined = Joined(f"{self.stem}{len(self.joins) + 1}", parent, names)
            self.join_sql.append(
                f'LEFT JOIN "{parent.name}" {joined.alias} ON {joined.alias}."Id" = {alias}."{link.name}"'
            )
            self.joins[names] = joined
        return self.joins[names]

    def _polymorphic(
        self, path: Path, names: tuple[str, ...], place: int, alias: str, link: Field, done: tuple[str, ...]
    ) -> Term:
        wanted = next((name for name in _POLYMORPHIC if name.lower() == names[-1].lower()), None)
        if place != len(names) - 2 or wanted is None:
            raise no_column(self.soql, path.at, names[-1], "Name")
        column = f'{alias}."{link.name}"'
        out = (*done, str(link.relationship), wanted)
        if wanted == "Id":
            return Term(column, "id", out, None, 0, alias)
        targets = [found for name in link.reference_to if (found := self.world.schema.find(name)) and found.name_field]
        if wanted == "Type":
            cases = " ".join(f"WHEN '{found.prefix}' THEN '{found.name}'" for found in targets)
            return Term(f"(CASE substr({column}, 1, 3) {cases} END)", "text", out, None, 0, alias)
        picks = ", ".join(
            f'(SELECT p."{found.name_field.name}" FROM "{found.name}" p WHERE p."Id" = {column})'
            for found in targets
            if found.name_field
        )
        return Term(f"coalesce({picks}, NULL)", "text", out, None, 0, alias)

    def function(self, function: Function) -> Term:
        """The value of a function call."""
        if function.name in AGGREGATES:
            return self._aggregate(function)
        if function.argument is None:
            raise malformed(self.soql, function.at, f"{function.name} cannot be used here")
        inner = self.term(function.argument)
        if function.name in ("TOLABEL", "FORMAT"):
            return self._labelled(function, inner)
        if function.name == "CONVERTCURRENCY":
            return self._converted(function, inner)
        return self._part_of_date(function, inner)

    def _aggregate(self, function: Function) -> Term:
        if function.argument is None:
            raise malformed(self.soql, function.at, "COUNT() must be the only entry of the SELECT list")
        inner = self.term(function.argument)
        numeric = inner.kind in ("whole", "decimal")
        refused = inner.field is not None and not inner.field.aggregatable
        if inner.aggregate or refused or (function.name in ("SUM", "AVG") and not numeric):
            raise malformed(
                self.soql, function.at, f"field {inner.names[-1]} does not support aggregate operator {function.name}"
            )
        nocase = " COLLATE NOCASE" if folded(inner) else ""
        if function.name == "COUNT":
            return Term(f"count({inner.sql})", "whole", (), None, 0, inner.parent, True)
        if function.name == "COUNT_DISTINCT":
            return Term(f"count(DISTINCT {inner.sql}{nocase})", "whole", (), None, 0, inner.parent, True)
        if function.name == "AVG":
            return Term(f"(avg({inner.sql}) / 1e{max(inner.scale, 0)})", "decimal", (), None, -1, inner.parent, True)
        return Term(
            f"{function.name.lower()}({inner.sql}{nocase})",
            inner.kind,
            (),
            inner.field,
            inner.scale,
            inner.parent,
            True,
        )

    def _labelled(self, function: Function, inner: Term) -> Term:
        if function.name == "FORMAT":
            return Term(
                f"soql_format({inner.sql}, '{inner.kind}', {inner.scale}, {self._iso(inner)})",
                "text",
                inner.names,
                None,
            )
        if inner.field is None or not inner.field.choices:
            return inner
        cases = " ".join("WHEN " + quoted(c.value) + " THEN " + quoted(c.label) for c in inner.field.choices)
        return Term(f"(CASE {inner.sql} {cases} ELSE {inner.sql} END)", "text", inner.names, None)

    def _iso(self, inner: Term) -> str:
        money = inner.field is not None and inner.field.type == "currency"
        if not money or not self.world.schema.multi_currency:
            return "'USD'" if money else "NULL"
        return f'{inner.parent}."CurrencyIsoCode"'

    def _converted(self, function: Function, inner: Term) -> Term:
        if inner.field is None or inner.field.type != "currency":
            raise refuse_at("INVALID_FIELD", self.soql, function.at, f"{inner.names[-1]} is not a currency field")
        if not self.world.schema.multi_currency:
            return inner
        return Term(f"({self.corporate(inner)} * 1.0)", "decimal", inner.names, None, -1, inner.parent)

    def corporate(self, inner: Term) -> str:
        """SQL of a money value in corporate currency: the value divided by the record's rate."""
        sobject = self.base if inner.parent == self.root else next(
            joined.sobject for joined in self.joins.values() if joined.alias == inner.parent
        )  # fmt: skip
        iso = f'{inner.parent}."CurrencyIsoCode"'
        rate = f'(SELECT r."ConversionRate" FROM "CurrencyType" r WHERE r."IsoCode" = {iso})'
        if self.world.dated_rates and sobject.name == "Opportunity":
            rate = (
                f'coalesce((SELECT d."ConversionRate" FROM "DatedConversionRate" d WHERE d."IsoCode" = {iso} '
                f'AND d."StartDate" <= {inner.parent}."CloseDate" ORDER BY d."StartDate" DESC LIMIT 1), {rate})'
            )
        return f"({inner.sql} * {10 ** (6 - inner.scale) if inner.scale <= 6 else 1}.0 / {rate})"

    def _part_of_date(self, function: Function, inner: Term) -> Term:
        only_time = function.name in ("DAY_ONLY", "HOUR_IN_DAY")
        if inner.kind not in ("date", "datetime") or (only_time and inner.kind == "date"):
            raise malformed(self.soql, function.at, f"{function.name} cannot be used with the field {inner.names[-1]}")
        kind: Kind = "date" if function.name == "DAY_ONLY" else "whole"
        return Term(self._date_sql(function.name, inner.sql), kind, (), None, 0, inner.parent)

    def _date_sql(self, name: str, sql: str) -> str:
        year, month = f"CAST(substr({sql}, 1, 4) AS INTEGER)", f"CAST(substr({sql}, 6, 2) AS INTEGER)"
        first = self.world.fiscal_month
        fiscal_month = f"(({month} - {first} + 12) % 12 + 1)"
        fiscal_year = f"({year} + ({month} >= {first})" + (" - 1)" if self.world.fiscal_by_start else ")")
        return {
            "CALENDAR_YEAR": year,
            "CALENDAR_MONTH": month,
            "CALENDAR_QUARTER": f"(({month} + 2) / 3)",
            "DAY_IN_MONTH": f"CAST(substr({sql}, 9, 2) AS INTEGER)",
            "DAY_IN_WEEK": f"(CAST(strftime('%w', substr({sql}, 1, 10)) AS INTEGER) + 1)",
            "DAY_IN_YEAR": f"CAST(strftime('%j', substr({sql}, 1, 10)) AS INTEGER)",
            "DAY_ONLY": f"substr({sql}, 1, 10)",
            "HOUR_IN_DAY": f"CAST(substr({sql}, 12, 2) AS INTEGER)",
            "FISCAL_MONTH": fiscal_month,
            "FISCAL_QUARTER": f"(({fiscal_month} + 2) / 3)",
            "FISCAL_YEAR": year if first == 1 else fiscal_year,
        }[name]


def folded(term: Term) -> bool:
    """Text is compared without regard to case, except ids and case-sensitive fields."""
    return term.kind in ("text", "list") and not (term.field is not None and term.field.case_sensitive)


def quoted(text: str) -> str:
    """An SQL text literal, for values of the schema only."""
    return "'" + text.replace("'", "''") + "'"


def compound_sql(sobject: SObject, compound: Field, alias: str) -> str:
    """SQL of an address as a JSON object, or null when every part is empty."""
    parts = sobject.parts_of(compound)
    stem = compound.name.removesuffix("Address")
    pairs, columns = [], []
    for part in sorted(parts, key=lambda part: part.name):
        key = part.name.removeprefix(stem)
        column = f'{alias}."{part.name}"'
        columns.append(column)
        value = f"{column} / 1e{part.scale}" if part.kind == "decimal" else column
        pairs.append(f"'{key[:1].lower()}{key[1:]}', {value}")
    return f"(CASE WHEN coalesce({', '.join(columns)}) IS NULL THEN NULL ELSE json_object({', '.join(pairs)}) END)"
