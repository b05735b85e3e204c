"""Standings of one category: who belongs, which tier they hold, what is missing, what is at risk.

One query in layers, each reading the columns of the one below by name. Source: program-language, sections 5, 6 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crmsync.levelling import gap, movement, overrides, previous, risk, sql, tiers
from crmsync.levelling.atoms import Days
from crmsync.levelling.conditions import condition_of
from crmsync.levelling.criteria import LIMITS, Criteria, Limits, Slots
from crmsync.levelling.measures import Measures, partner_column, text_column, with_alias, with_shown
from crmsync.levelling.movement import BEFORE
from crmsync.levelling.spots import HORIZON, NOW, PACE
from crmsync.levelling.sql import Sql
from crmsync.levelling.values import show
from crmsync.programs.program import Category, Group, Ladder, Program, Unit

ENTRY_OF_OVERRIDE = "STRUCT<kind TEXT, value TEXT, ends_on TEXT, reason TEXT, tier_without TEXT>"


@dataclass(frozen=True)
class Standing:
    """Builds the standings of one category from the table of measures."""

    program: Program
    category: Category
    order: int
    measures: Mapping[str, Measures]  # by view
    limits: Limits
    days: Days
    file: str
    partner_columns: frozenset[str]
    remembers: Mapping[str, bool]  # which of the tables of pins and previous standings hold anything
    slots: Slots = field(default_factory=Slots)

    @property
    def ladder(self) -> Ladder:
        return self.program.ladders[self.category.ladder]

    def criteria(self, view: str, spare: bool = False) -> Criteria:
        """The criteria as seen in one view."""
        near = self.program.risk.near if spare else None
        names = with_shown(self.measures[view], view == NOW)
        return Criteria(self.program, names, self.limits, near, self.slots)

    def query(self, measures: str) -> Sql:
        """All rows of the category with the columns of the standings table and a few for the headline."""
        held, ahead, reasons = self._held(), self._ahead(), self._reasons()
        texts = {
            text_column(key): show(with_shown(self.measures[NOW], False).metric(key)) for key in self._shown_metrics()
        }
        gaps, gap_layers = self._gap()
        query = self._who(measures)
        # all criteria were compiled above: what they share is computed once, below them
        query = self._layer(query, "required", self.slots.required_columns | texts)
        query = self._layer(query, "met", self.slots.met_columns)
        query = self._layer(query, "held", held)
        query = self._layer(query, "calculated", self._calculated())
        query = self._layer(query, "earned", {"earned": movement.earned_position()})
        query = self._layer(query, "granted", self._granted())
        query = self._layer(query, "ahead", ahead)
        query = self._layer(query, "risk", {"risk": risk.risk_word()})
        query = self._layer(query, "why", risk.why_at_risk())
        query = self._layer(query, "seen", reasons.values)
        query = self._layer(query, "reasons", reasons.lines)
        for depth, layer in enumerate(gap_layers):
            query = self._layer(query, f"gap{depth}", layer)
        return sql.select(sql.columns(self._final(gaps, reasons.chosen)), sql.subquery(query, "standing"))

    def _layer(self, query: Sql, alias: str, columns: Mapping[str, Sql]) -> Sql:
        if not columns:
            return query
        return sql.select([sql.star(), *sql.columns(columns)], sql.subquery(query, alias))

    # --- who belongs

    def _who(self, measures: str) -> Sql:
        key = sql.text(self.category.key)
        joins: list[tuple[str, Sql, Sql]] = [("cross", sql.table(LIMITS), sql.true())]
        for name, alias in ((previous.PREVIOUS, "pr"), (overrides.PINS, "pn")):
            match = sql.and_(
                sql.eq(sql.col("partner_id", alias), sql.col("partner_id", "m")),
                sql.eq(sql.col("category", alias), key),
            )
            joins.append(("left" if self.remembers[name] else "cross", sql.table(name, alias), match))
        before = movement.before_columns(
            self.ladder, self.category.starts_from or self.program.starts_from, self.days.as_of
        )
        stood = before[BEFORE.stood]
        pinned = {
            "pinned": sql.case(
                [(sql.not_null(sql.col("tier", "pn")), tiers.position_of_key(self.ladder, sql.col("tier", "pn")))],
                sql.null(sql.INT),
            ),
            "pin_ends_on": sql.col("ends_on", "pn"),
            "pin_reason": sql.col("reason", "pn"),
        }
        belonging = self._belonging(stood)
        shown = sql.or_(sql.col("belongs"), sql.col(BEFORE.stood), sql.coalesce(sql.col("declared"), sql.false()),
                        sql.coalesce(sql.col("observed"), sql.false()))  # fmt: skip
        inner = sql.select(
            [sql.star("m"), sql.star(LIMITS), *sql.columns({**before, **pinned, **belonging})],
            sql.table(measures, "m"),
            joins,
        )
        return sql.select([sql.star()], sql.subquery(inner, "who"), where=shown)

    def _belonging(self, stood: Sql) -> dict[str, Sql]:
        names = self.measures[NOW]
        named = with_alias(names, "m")
        takes_part = condition_of(self.program.takes_part, named, self.file) if self.program.takes_part else sql.true()
        member = condition_of(self.category.member, named, self.file) if self.category.member else sql.true()
        observed = (
            condition_of(self.category.observed, named, self.file) if self.category.observed else sql.null(sql.BOOLEAN)
        )
        taking = sql.coalesce(takes_part, stood)
        return {
            # unknown membership keeps the standing, where there is one
            "belongs": sql.and_(taking, sql.coalesce(member, stood)),
            "declared": sql.case([(taking, self._declared())], sql.false()),
            "observed": sql.case([(taking, observed)], sql.false()) if self.category.observed else observed,
        }

    def _declared(self) -> Sql:
        column = self.program.declared or "declared_categories"
        if not self.program.has_categories or column not in self.partner_columns:
            return sql.null(sql.BOOLEAN)
        cell = sql.col(partner_column(column), "m")
        names = (self.category.key, self.category.label)
        kind = self.measures[NOW].kinds[column]
        if kind == "list":
            hits = [sql.list_contains(cell, sql.text(name)) for name in dict.fromkeys(names)]
        else:
            hits = [sql.eq(cell, sql.text(name)) for name in dict.fromkeys(names)]
        return sql.or_(*hits)

    # --- tiers

    def _held(self) -> dict[str, Sql]:
        criteria = self.criteria(NOW)
        columns = {}
        for position, tier in enumerate(self.ladder.tiers, 1):
            requires = criteria.tier_holds(tier.requires)
            columns[f"requires_{position}"] = requires
            if tier.keeps is not None:
                keeps = criteria.tier_holds(tier.keeps)
                columns[f"holds_{position}"] = sql.case([(movement.keeps_from(position), keeps)], requires)
        return columns

    def _holds(self) -> list[Sql]:
        return [
            sql.col(f"holds_{position}" if tier.keeps is not None else f"requires_{position}")
            for position, tier in enumerate(self.ladder.tiers, 1)
        ]

    def _calculated(self) -> dict[str, Sql]:
        return {
            "calculated": tiers.highest_position(self.ladder, self._holds()),
            "possible": tiers.highest_position(self.ladder, self._holds(), undecided_holds=True),
        }

    def _granted(self) -> dict[str, Sql]:
        return {"granted": sql.coalesce(sql.col("pinned"), sql.col("earned"))}

    def _ahead(self) -> dict[str, Sql]:
        return {
            "kept": risk.position_by_keeps(self.ladder, self.criteria(NOW)),
            "projected": risk.position_by_keeps(self.ladder, self.criteria(HORIZON)),
            "paced": risk.position_by_keeps(self.ladder, self.criteria(PACE)),
            "thin": risk.spare_is_thin(self.ladder, self.criteria(NOW, spare=True)),
        }

    # --- gap

    def _gap(self) -> tuple[dict[str, Sql], list[dict[str, Sql]]]:
        """The columns that choose the gap of the next tier, and the layers they read."""
        chosen: dict[str, list[tuple[Sql, Sql]]] = {name: [] for name in ("gap", "summary", "blocker", "progress")}
        queries: list[gap.GapQuery] = []
        for position, tier in enumerate(self.ladder.tiers, 1):
            is_next = sql.eq(sql.col("calculated"), sql.number(position - 1))
            # in the way back up to the earned tier `keeps` decides
            way_back = sql.ge(sql.col("earned"), sql.number(position))
            variants: list[tuple[str, Group | None, Sql]] = [(f"r{position}", tier.requires, is_next)]
            if tier.keeps is not None:
                variants.insert(0, (f"k{position}", tier.keeps, sql.and_(is_next, way_back)))
            for tag, requirement, condition in variants:
                if requirement is not None:
                    columns = self._gap_of(tag, requirement, condition, queries)
                    for name, value in columns.items():
                        chosen[name].append((condition, value))
        depths = range(max((len(one.layers) for one in queries), default=0))
        layers = [
            {name: value for one in queries for name, value in (one.layers[depth : depth + 1] or [{}])[0].items()}
            for depth in depths
        ]
        kinds = {"gap": sql.empty_array(gap.ENTRY), "summary": sql.null(sql.TEXT), "blocker": sql.null(sql.TEXT),
                 "progress": sql.null("DECIMAL(4, 1)")}  # fmt: skip
        return {name: sql.case(chosen[name], kinds[name]) for name in chosen}, layers

    def _gap_of(self, tag: str, requirement: Group, applies: Sql, queries: list[gap.GapQuery]) -> dict[str, Sql]:
        one = gap.GapQuery(self.criteria(NOW), tag, self.program.effort, applies)
        queries.append(one)
        tree = gap.paths_of(requirement)
        on_path = one.on_path(tree)
        leaves = gap.leaves_of(tree)
        measured = [(leaf, one.leaf(leaf)) for leaf in leaves]
        lines, blockers = [], []
        lowest = one.lowest([_share_on_path(columns, on_path[leaf.path]) for leaf, columns in measured])
        for leaf, columns in measured:
            metric = self.program.metrics[leaf.criterion.metric]
            open_ = sql.and_(on_path[leaf.path], sql.not_(columns.met))
            line = gap.sentence(leaf, metric, self.program.currency, columns)
            lines.append(sql.case([(open_, line)], sql.null(sql.TEXT)))
            blockers.append((sql.and_(open_, sql.le(columns.share, lowest)), sql.text(metric.key)))
        return {
            "gap": sql.array([gap.entry(leaf, columns) for leaf, columns in measured]),
            "summary": sql.joined(lines, "; "),
            "blocker": sql.case(blockers, sql.null(sql.TEXT)),
            "progress": gap.progress([c.share for _, c in measured], [on_path[leaf.path] for leaf, _ in measured]),
        }

    # --- the row

    def _final(self, gaps: Mapping[str, Sql], reasons: Sql) -> dict[str, Sql]:
        belongs = sql.col("belongs")

        def mine(value: Sql, otherwise: Sql | None = None) -> Sql:
            return sql.case([(belongs, value)], otherwise)

        def key(column: str) -> Sql:
            return mine(tiers.key_at(self.ladder, sql.col(column)))

        above = sql.add(sql.col("calculated"), sql.number(1))
        stopped = sql.and_(belongs, sql.gt(sql.col("earned"), sql.col("calculated")))
        cyclic = sql.col("cyclic")
        return {
            "partner_id": sql.col("partner_id"),
            "category": sql.text(self.category.key),
            "calculated_tier": key("calculated"),
            "earned_tier": key("earned"),
            "granted_tier": key("granted"),
            "previous_tier": sql.case(
                [(sql.or_(belongs, sql.col(BEFORE.stood)), tiers.key_at(self.ladder, sql.col(BEFORE.granted)))],
                sql.null(sql.TEXT),
            ),
            "projected_tier": key("projected"),
            "pace_tier": key("paced"),
            "movement": movement.movement_word(),
            "category_check": self._check(),
            "overrides": self._overrides(),
            "tier_since": mine(
                sql.case([(sql.gt(sql.col("granted"), sql.number(0)), movement.tier_since(self.days.as_of))])
            ),
            "next_tier": mine(tiers.key_at(self.ladder, above)),
            "progress": mine(gaps["progress"]),
            "gap": mine(gaps["gap"], sql.empty_array(gap.ENTRY)),
            "gap_summary": mine(gaps["summary"]),
            "main_blocker": mine(gaps["blocker"]),
            "risk": mine(sql.col("risk")),
            "risk_reasons": mine(reasons, sql.empty_array(sql.TEXT)),
            "provisional": sql.and_(belongs, sql.or_(stopped, cyclic)),
            "provisional_reasons": self._provisional(stopped, cyclic),
            "metrics": metrics_struct(self.program, with_shown(self.measures[NOW], True)),
            "granted_rank": mine(tiers.rank_at(self.ladder, sql.col("granted"))),
            "yardstick": self._yardstick(belongs),
            "category_order": sql.number(self.order),
            "lost_ahead": mine(
                sql.and_(
                    sql.gt(sql.col("granted"), sql.number(1)),
                    sql.ge(sql.col("kept"), sql.col("granted")),
                    sql.lt(sql.col("projected"), sql.col("granted")),
                ),
                sql.false(),
            ),
            "granted_position": sql.col("granted"),
            "kept_position": sql.col("kept"),
        }

    def _reasons(self) -> risk.Reasons:
        looks = risk.Looks(
            self.criteria(NOW), self.criteria(PACE), self.criteria(HORIZON), self.criteria(NOW, spare=True)
        )
        return risk.Reasons(self.ladder, looks)

    def _shown_metrics(self) -> list[str]:
        return [key for key, metric in self.program.metrics.items() if metric.unit is not Unit.YES_NO]

    def _check(self) -> Sql:
        if self.category.observed is None:
            return sql.null(sql.TEXT)
        declared, observed = sql.coalesce(sql.col("declared"), sql.false()), sql.col("observed")
        return sql.case(
            [
                (sql.is_null(observed), sql.text("unknown")),
                (sql.and_(declared, observed), sql.text("confirmed")),
                (declared, sql.text("over_declared")),
                (observed, sql.text("undeclared")),
            ],
            sql.null(sql.TEXT),
        )

    def _overrides(self) -> Sql:
        pin = sql.struct(
            {
                "kind": sql.text("pin"),
                "value": tiers.key_at(self.ladder, sql.col("pinned")),
                "ends_on": sql.cast(sql.col("pin_ends_on"), sql.TEXT),
                "reason": sql.col("pin_reason"),
                "tier_without": tiers.key_at(self.ladder, sql.col("earned")),
            }
        )
        in_force = sql.and_(sql.col("belongs"), sql.not_null(sql.col("pinned")))
        return sql.case([(in_force, sql.array([pin]))], sql.empty_array(ENTRY_OF_OVERRIDE))

    def _provisional(self, stopped: Sql, cyclic: Sql) -> Sql:
        undecided = [
            sql.case(
                [(stopped, sql.text("a demotion waits: unknown values could still hold the tier"))], sql.null(sql.TEXT)
            ),
            sql.case(
                [(cyclic, sql.text("parent_id runs in a circle or is deeper than 64 levels"))], sql.null(sql.TEXT)
            ),
        ]
        return sql.without_nulls(sql.array(undecided))

    def _yardstick(self, belongs: Sql) -> Sql:
        metric = self.program.primary.get(self.category.key)
        if metric is None:
            return sql.null(sql.DOUBLE)
        return sql.case([(belongs, sql.cast(self.measures[NOW].metric(metric).sql, sql.DOUBLE))], sql.null(sql.DOUBLE))


def _share_on_path(columns: gap.LeafColumns, on_path: Sql) -> Sql:
    open_ = sql.and_(on_path, sql.not_(columns.met))
    return sql.case([(open_, columns.share)], sql.double(2))


def metrics_struct(program: Program, names: Measures) -> Sql:
    """Every metric's value: exact decimal text, true or false, text, or null."""
    fields: dict[str, Sql] = {}
    for key, metric in program.metrics.items():
        value = names.metric(key)
        fields[key] = value.sql if metric.unit is Unit.YES_NO else show(value)
    return sql.struct(fields)
