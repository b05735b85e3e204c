"""A SOQL tree to SQL over the store: columns, joins, conditions, order; never a value inside the SQL text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crmsync.sandbox.schema import Child, Kind, SObject
from crmsync.sandbox.soql.conditions import Conditions, Parameter
from crmsync.sandbox.soql.parser import parse
from crmsync.sandbox.soql.refusals import SoqlError, malformed, no_type, refuse_at
from crmsync.sandbox.soql.scope import AGGREGATES, Scope, Term, World, folded
from crmsync.sandbox.soql.tree import Function, Item, Operand, Order, Path, Select, Within

MOST_OFFSET = 2_000
MOST_FIELDS_ROWS = 200


@dataclass(frozen=True)
class Column:
    """One column of the answer. `scale` -1: the SQL gives the final number."""

    names: tuple[str, ...]
    sql: str
    kind: Kind
    scale: int
    label: str = ""
    custom: bool = False
    aggregate: bool = False


@dataclass(frozen=True)
class Parent:
    """A parent whose fields are selected: its path, object, and the SQL of its id."""

    names: tuple[str, ...]
    sobject: SObject
    id_sql: str


@dataclass(frozen=True)
class Plan:
    """A query ready to run. `count`: the answer is the number of rows only."""

    sobject: SObject
    columns: tuple[Column, ...]
    source: str
    where: str
    parameters: tuple[Parameter, ...]
    order: str
    limit: int | None
    offset: int
    count: bool = False
    aggregate: bool = False
    group: str = ""
    having: str = ""
    parents: tuple[Parent, ...] = ()
    children: tuple[ChildPlan, ...] = ()

    def cut(self) -> str:
        """The LIMIT and OFFSET clauses."""
        if self.limit is None and not self.offset:
            return ""
        return f" LIMIT {-1 if self.limit is None else self.limit} OFFSET {self.offset}"

    def select(self, columns: str) -> str:
        """The whole statement with these columns."""
        return (
            f"SELECT {columns} FROM {self.source} WHERE {self.where}{self.group}{self.having}{self.order}{self.cut()}"
        )


@dataclass(frozen=True)
class ChildPlan:
    """A child sub-select: its name in the answer, the reference field to the parent, and its own plan."""

    name: str
    child: Child
    plan: Plan


def compile_soql(soql: str, world: World, deleted_too: bool = False) -> Plan:
    """The plan of one SOQL statement. Errors: SoqlError with the org's own code and text."""
    return _Compiler(soql, world, deleted_too).top(parse(soql))


@dataclass
class _Compiler:
    soql: str
    world: World
    deleted_too: bool
    stems: int = 0
    found_aliases: set[str] = field(default_factory=set)

    def top(self, select: Select) -> Plan:
        self.deleted_too = self.deleted_too or select.all_rows
        sobject = self.world.schema.find(select.source)
        if sobject is None:
            raise no_type(self.soql, select.source_at, select.source)
        return self.plan(select, sobject)

    def scope(self, select: Select, sobject: SObject) -> Scope:
        stem = "t" if self.stems == 0 else f"s{self.stems}_"
        self.stems += 1
        return Scope(self.world, self.soql, sobject, select.alias, stem)

    def plan(self, select: Select, sobject: SObject) -> Plan:
        scope = self.scope(select, sobject)
        self.check_cut(select)
        if self.is_count(select):
            return self.counted(select, scope)
        if select.group_by or any(_is_aggregate(item.what) for item in select.items):
            return self.aggregated(select, scope)
        columns, parents, children = self.columns(select, scope)
        where, parameters = self.where(select, scope)
        order = self.order(select, scope)
        return Plan(
            sobject, tuple(columns), self.source(scope), where, tuple(parameters), order, select.limit, select.offset,
            parents=tuple(parents), children=tuple(children),
        )  # fmt: skip

    def source(self, scope: Scope) -> str:
        return " ".join([f'"{scope.base.name}" {scope.root}', *scope.join_sql])

    def check_cut(self, select: Select) -> None:
        if select.offset > MOST_OFFSET:
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MOST_OFFSET}")

    def is_count(self, select: Select) -> bool:
        bare = [
            item for item in select.items if isinstance(item.what, Function) and item.what == _bare_count(item.what)
        ]
        if not bare:
            return False
        if len(select.items) > 1 or select.group_by or bare[0].alias or select.order_by:
            raise malformed(
                self.soql, bare[0].at, "COUNT() must stand alone: no other field, no alias, GROUP BY or ORDER BY"
            )
        return True

    def counted(self, select: Select, scope: Scope) -> Plan:
        where, parameters = self.where(select, scope)
        return Plan(
            scope.base, (), self.source(scope), where, tuple(parameters), "", select.limit, select.offset, count=True
        )

    def where(self, select: Select, scope: Scope) -> tuple[str, list[Parameter]]:
        conditions = Conditions(scope, self.sub_select)
        parts = [conditions.sql(select.where)] if select.where is not None else []
        if not self.deleted_too and scope.base.field("IsDeleted") is not None:
            parts.append(f'{scope.root}."IsDeleted" = 0')
        return " AND ".join(parts) or "1", conditions.parameters

    def sub_select(self, select: Select, outer: Within) -> tuple[str, list[Parameter]]:
        """The sub-select of a semi-join: one id or reference field, no order or limit."""
        sobject = self.world.schema.find(select.source)
        if sobject is None:
            raise no_type(self.soql, select.source_at, select.source)
        item = select.items[0]
        if len(select.items) != 1 or not isinstance(item.what, Path) or item.alias:
            raise malformed(self.soql, select.at, "a sub-select of IN must select exactly one field")
        if select.order_by or select.limit is not None or select.offset or select.group_by:
            raise malformed(self.soql, select.at, "a sub-select of IN takes no GROUP BY, ORDER BY, LIMIT or OFFSET")
        scope = self.scope(select, sobject)
        term = scope.path(item.what)
        if term.kind != "id":
            raise malformed(
                self.soql, item.at, f"a sub-select of IN must select an id or reference field, not {item.what}"
            )
        where, parameters = self.where(select, scope)
        del outer
        return f"SELECT {term.sql} FROM {self.source(scope)} WHERE {term.sql} IS NOT NULL AND {where}", parameters

    def columns(self, select: Select, scope: Scope) -> tuple[list[Column], list[Parent], list[ChildPlan]]:
        columns: list[Column] = []
        children: list[ChildPlan] = []
        for item in select.items:
            if item.alias is not None and not isinstance(item.what, Function):
                raise malformed(self.soql, item.at, "only aggregate expressions use field aliasing")
            if isinstance(item.what, Select):
                children.append(self.child(item.what, scope.base))
            elif isinstance(item.what, Function) and item.what.name == "FIELDS":
                columns += self.all_fields(item.what, select, scope)
            else:
                names = (item.alias,) if item.alias is not None else _plain_names(item.what, scope)
                columns.append(_column(scope.term(item.what), names))
        self.refuse_twice(select, [column.names for column in columns])
        selected = {column.names[:size] for column in columns for size in range(1, len(column.names))}
        parents = [
            Parent(names, joined.sobject, f'{joined.alias}."Id"')
            for names, joined in scope.joins.items()
            if names in selected
        ]
        return columns, parents, children

    def refuse_twice(self, select: Select, names: list[tuple[str, ...]]) -> None:
        seen: set[str] = set()
        for name in names:
            key = ".".join(name).lower()
            if key in seen:
                raise malformed(self.soql, select.at, f"duplicate field selected: {'.'.join(name)}")
            seen.add(key)

    def all_fields(self, function: Function, select: Select, scope: Scope) -> list[Column]:
        if function.word not in ("all", "standard", "custom"):
            raise malformed(self.soql, function.at, "FIELDS takes ALL, STANDARD or CUSTOM")
        unbounded = function.word != "standard"
        if unbounded and (select.limit is None or select.limit > MOST_FIELDS_ROWS):
            raise malformed(
                self.soql, function.at, f"The SOQL FIELDS function must have a LIMIT of at most {MOST_FIELDS_ROWS}"
            )
        wanted = {"all": (True, False), "standard": (False,), "custom": (True,)}[function.word]
        names = [known.name for known in scope.base.fields if known.custom in wanted and not known.hidden]
        return [_column(scope.path(Path((name,), function.at)), (name,)) for name in names]

    def child(self, select: Select, parent: SObject) -> ChildPlan:
        wanted = select.source.lower()
        children = self.world.schema.children_of(parent)
        child = next((found for found in children if (found.field.children or "").lower() == wanted), None)
        if child is None:
            raise refuse_at("INVALID_TYPE", self.soql, select.source_at,
                            f"Didn't understand relationship '{select.source}' in FROM part of query call. If you are "
                            "attempting to use a custom relationship, be sure to append the '__r' after the custom "
                            "relationship name.")  # fmt: skip
        plan = self.plan(select, child.sobject)
        if plan.count or plan.aggregate or plan.children or plan.offset:
            raise malformed(self.soql, select.at, "a child sub-select selects plain fields, without OFFSET")
        return ChildPlan(str(child.field.children), child, plan)

    def aggregated(self, select: Select, scope: Scope) -> Plan:
        groups = [self.group(operand, scope) for operand in select.group_by]
        known = {term.sql: term for term in groups}
        columns = self.aggregate_columns(select, scope, known)
        where, parameters = self.where(select, scope)
        having, more = self.having(select, scope, known)
        order = self.order(select, scope, known)
        listed = ", ".join(term.sql + _collation(term) for term in groups)
        return Plan(
            scope.base, tuple(columns), self.source(scope), where, (*parameters, *more), order, select.limit,
            select.offset,
            aggregate=True, group=f" GROUP BY {listed}" if groups else "", having=having,
        )  # fmt: skip

    def group(self, operand: Operand, scope: Scope) -> Term:
        term = scope.term(operand)
        if term.aggregate:
            raise malformed(self.soql, operand.at, "an aggregate function cannot be grouped by")
        if term.field is not None and not term.field.groupable:
            raise refuse_at(
                "INVALID_FIELD", self.soql, operand.at, f"field '{term.names[-1]}' can not be grouped in a query call"
            )
        return term

    def aggregate_columns(self, select: Select, scope: Scope, known: dict[str, Term]) -> list[Column]:
        columns: list[Column] = []
        unnamed = 0
        for item in select.items:
            if isinstance(item.what, Select) or (isinstance(item.what, Function) and item.what.name == "FIELDS"):
                raise malformed(self.soql, item.at, "an aggregate query selects fields and aggregate functions only")
            term = self.grouped_term(item.what, scope, known)
            name = item.alias or (term.names[-1] if term.names and not term.aggregate else "")
            if not name:
                name, unnamed = f"expr{unnamed}", unnamed + 1
            columns.append(_column(term, (name,)))
        self.refuse_alias_twice(select.items, columns)
        return columns

    def refuse_alias_twice(self, items: tuple[Item, ...], columns: list[Column]) -> None:
        seen: set[str] = set()
        for item, column in zip(items, columns, strict=True):
            if column.names[0].lower() in seen:
                raise malformed(self.soql, item.at, f"duplicate alias: {column.names[0]}")
            seen.add(column.names[0].lower())

    def grouped_term(self, operand: Operand, scope: Scope, known: dict[str, Term]) -> Term:
        term = scope.term(operand)
        if not term.aggregate and term.sql not in known:
            raise malformed(self.soql, operand.at, f"Field must be grouped or aggregated: {_shown(operand)}")
        return term

    def having(self, select: Select, scope: Scope, known: dict[str, Term]) -> tuple[str, list[Parameter]]:
        if select.having is None:
            return "", []
        conditions = Conditions(scope, self.sub_select, lambda operand: self.grouped_term(operand, scope, known))
        return f" HAVING {conditions.sql(select.having)}", conditions.parameters

    def order(self, select: Select, scope: Scope, known: dict[str, Term] | None = None) -> str:
        parts = []
        for order in select.order_by:
            term = scope.term(order.operand) if known is None else self.grouped_term(order.operand, scope, known)
            self.check_sortable(order, term, known is not None)
            parts.append(f"{term.sql}{_collation(term)} {'DESC' if order.descending else 'ASC'} "
                         f"NULLS {'LAST' if order.nulls_last else 'FIRST'}")  # fmt: skip
        if known is None:
            parts.append(f"{scope.root}.rowid")
        elif not parts:
            parts = [f"{term.sql}{_collation(term)}" for term in known.values()]
        return f" ORDER BY {', '.join(parts)}" if parts else ""

    def check_sortable(self, order: Order, term: Term, grouped: bool) -> None:
        if term.aggregate and not grouped:
            raise malformed(self.soql, order.operand.at, "Aggregate functions need GROUP BY here")
        if term.field is not None and (not term.field.filterable or term.kind == "list"):
            raise refuse_at(
                "INVALID_FIELD",
                self.soql,
                order.operand.at,
                f"field '{term.names[-1]}' can not be sorted in a query call",
            )


def _bare_count(function: Function) -> Function | None:
    return function if function.name == "COUNT" and function.argument is None else None


def _is_aggregate(what: Any) -> bool:
    return isinstance(what, Function) and what.name in AGGREGATES


def _plain_names(operand: Operand, scope: Scope) -> tuple[str, ...]:
    term = scope.term(operand)
    if not term.names:
        raise malformed(scope.soql, operand.at, f"{_shown(operand)} needs GROUP BY")
    return term.names


def _shown(operand: Operand) -> str:
    return operand.name if isinstance(operand, Function) else str(operand)


def _collation(term: Term) -> str:
    return " COLLATE NOCASE" if folded(term) else ""


def _column(term: Term, names: tuple[str, ...]) -> Column:
    label = term.field.label if term.field else names[-1]
    custom = term.field.custom if term.field else False
    return Column(names, term.sql, term.kind, term.scale, label, custom, term.aggregate)
