"""What `run`, `plan` and `apply` print: tiers, movers, risk, what was left out, calls and seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crmsync.logs import safe_text
from crmsync.reports.beside import beside_content, beside_lines
from crmsync.reports.hand_edits import edit_content, edit_lines
from crmsync.reports.notices import told_content, told_lines
from crmsync.reports.text import NO_TIER, command, json_text, table

if TYPE_CHECKING:
    from crmsync.programs.program import Program
    from crmsync.results import Result
    from crmsync.writeback.plan import Plan

SHOWN_MOVERS = 12
SHOWN_DIFFERENCES = 20
SHOWN_WHY = 70
AT_RISK = ("high", "medium")


def run_report(result: Result, as_json: bool) -> str:
    """What `run` ends with: tiers, movers, risk, what was left out, calls and seconds."""
    if as_json:
        return json_text(_result_content(result))
    lines = [
        _headline(result),
        "",
        *_standings_table(result),
        "",
        *_movers(result),
        *_risk(result),
        *beside_lines(result.plan, result.outcomes),
        *edit_lines(result.plan),
        *_left_out(result),
        *told_lines(result.told),
    ]
    return "\n".join([*lines, "", *_cost(result), *_next_step(result)])


def plan_report(result: Result, as_json: bool) -> str:
    """What `plan` prints: who moves and why, the guards, and how to go on; with --shadow the comparison."""
    if as_json:
        return json_text(_result_content(result))
    if result.comparison is not None:
        return "\n".join([_headline(result), "", *_comparison(result), "", *_cost(result)])
    assert result.plan is not None
    lines = [_headline(result), "", *_movers(result, len(result.plan.movers), 10_000)]
    lines += [*beside_lines(result.plan, None), "", *_looked_at(result.plan)]
    lines += edit_lines(result.plan)
    return "\n".join([*lines, *_left_out(result), "", *_cost(result), *_next_step(result)])


apply_report = run_report
"""What `apply` prints: the same as `run`, of a plan that was drafted before."""


def _headline(result: Result) -> str:
    changes = len(result.plan.changes) if result.plan else 0
    written = result.outcomes.applied if result.outcomes else 0
    before = result.outcomes.before if result.outcomes else 0
    earlier = f", {before} had been written before" if before else ""
    more = f" and {len(result.plan.beside)} records beside them" if result.plan and result.plan.beside else ""
    also = f"; {_beside_written(result)} records beside them" if more and result.outcomes else ""
    said = {
        "applied": f"{written - before} accounts written{earlier}{also}",
        "unchanged": f"nothing to write{earlier}",
        "partial": f"{written - before} accounts written{earlier}, {changes - written} not{also} (see below)",
        "planned": f"{changes} accounts{more} would be written" if changes or more else "nothing to write",
        "blocked": f"blocked by a guard; {changes} accounts{more} would be written, none was",
        "compared": "compared with the tiers kept by hand; nothing was written",
    }
    program, as_of = result.assessed.program, result.assessed.as_of
    told = f"{program.label or program.key}, as of {as_of}: {said[result.state]} (run {result.run_id})"
    settled = (
        f"\n{result.settled} writes of an interrupted run were read back and settled first" if result.settled else ""
    )
    decided = f"\n{safe_text(result.decided)}" if result.decided else ""
    return told + settled + decided


def _beside_written(result: Result) -> int:
    assert result.outcomes is not None
    return sum(one.applied - one.before for one in result.outcomes.beside.values())


def tier_counts(result: Result) -> list[tuple[str, str, int]]:
    """Partners per category and granted tier, highest tier first; labels. Only who belongs to the category."""
    program = result.assessed.program
    counted = Counter((category, tier) for category, tier, movement in _placed(result) if movement)
    return [
        (_category_label(program, category), label, counted[category, key])
        for category in sorted({category for category, _ in counted}, key=lambda found: _category_place(program, found))
        for key, label in _tiers(program, category)
        if counted[category, key]
    ]


def outside_counts(result: Result) -> dict[str, int]:
    """Partners per category label that were observed or declared there without belonging to it."""
    counted = Counter(category for category, _, movement in _placed(result) if not movement)
    return {_category_label(result.assessed.program, category): count for category, count in sorted(counted.items())}


def _placed(result: Result) -> list[tuple[str, str | None, str | None]]:
    standings = result.assessed.standings
    columns = (standings[name].to_pylist() for name in ("category", "granted_tier", "movement"))
    return list(zip(*columns, strict=True))


def _category_place(program: Program, category: str) -> tuple[int, str]:
    keys = list(program.categories)
    key = category.partition("/")[0]
    return (keys.index(key) if key in keys else len(keys), category)


def _category_label(program: Program, category: str) -> str:
    key, _, value = category.partition("/")
    label = program.categories[key].label if key in program.categories else key
    return f"{label} {value}".rstrip()


def _tiers(program: Program, category: str) -> Iterator[tuple[str | None, str]]:
    ladder = program.ladder_of(category.partition("/")[0])
    yield from ((tier.key, tier.label) for tier in reversed(ladder.tiers))
    yield None, NO_TIER


def _standings_table(result: Result) -> list[str]:
    outside = ", ".join(f"{category} {count:,}" for category, count in outside_counts(result).items())
    seen = [f"observed or declared there without belonging: {outside}"] if outside else []
    return [*table(("category", "tier", "partners"), tier_counts(result)), *seen]


def _movers(result: Result, shown: int = SHOWN_MOVERS, why_length: int = SHOWN_WHY) -> list[str]:
    plan = result.plan
    if plan is None or not plan.movers:
        return ["movers: none"]
    rows = [
        (m.name or m.partner_id, m.category, m.from_tier or NO_TIER, m.to_tier or NO_TIER, _short(m.why, why_length))
        for m in plan.movers[:shown]
    ]
    more = [f"… and {len(plan.movers) - shown} more"] if len(plan.movers) > shown else []
    return [f"movers: {len(plan.movers)}", *table(("partner", "category", "from", "to", "why"), rows), *more]


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def risk_counts(result: Result) -> dict[str, int]:
    """Standings at high and medium risk."""
    counted = Counter(result.assessed.standings["risk"].to_pylist())
    return {level: counted[level] for level in AT_RISK}


def _risk(result: Result) -> list[str]:
    return ["at risk: " + ", ".join(f"{count} {level}" for level, count in risk_counts(result).items())]


def _left_out(result: Result) -> list[str]:
    assessed = result.assessed
    lines = [
        f"rejected rows: {len(assessed.rejected)}"
        + (f", listed in {assessed.rejected_file}" if assessed.rejected else "")
    ]
    if direct := {name: count for name, count in assessed.direct.items() if count}:
        lines.append("nobody's rows (no partner): " + ", ".join(f"{name} {count:,}" for name, count in direct.items()))
    lines += [f"note: {safe_text(note)}" for note in assessed.notes]
    if result.outcomes:
        lines += [
            safe_text(f"{problem.state}: record {problem.record_id}: {problem.code}: {problem.message}")
            for problem in result.outcomes.problems[:SHOWN_MOVERS]
        ]
    return lines


def _cost(result: Result) -> list[str]:
    calls = result.calls
    counted = f" (the org itself counted {calls.counted[0]} and {calls.counted[1]})" if calls.counted else ""
    allowance = (
        f"; {calls.allowance[0]:,} of the org's {calls.allowance[1]:,} a day are used" if calls.allowance else ""
    )
    stages = [(figures.stage, figures.seconds, figures.peak_mb) for figures in result.stages]
    return [
        f"API calls used: {calls.read} reads, {calls.write} writes{counted}{allowance}",
        *table(("stage", "seconds", "peak MB"), stages),
    ]


def _next_step(result: Result) -> list[str]:
    plan, config = result.plan, result.config
    if result.state == "blocked" and plan:
        open_it = command("approve", plan.digest[:12], "--by", "NAME")
        laid = [safe_text(f"or {result.laid}")] if result.laid else []
        then = f"then: {command('apply', plan.digest[:12], config=config)}"
        return ["", *_guards(plan), f"open it: {open_it}", then, *laid]
    if result.state == "planned" and plan and plan.writes:
        return ["", f"apply it: {command('apply', plan.digest[:12], config=config)}"]
    if result.example:
        partner, run_id = result.example
        return ["", f"one account before and after: {command('explain', partner, '--run', run_id, config=config)}"]
    return []


def _looked_at(plan: Plan) -> list[str]:
    """Every guard with what it found and what it allows, and how the plan would be written."""
    rows = [
        (
            "STOPS" if guard.tripped else "ok",
            guard.guard,
            _short(guard.value, SHOWN_WHY),
            _short(guard.limit, SHOWN_WHY),
        )
        for guard in plan.guards
    ]
    first = [f"{plan.canary} accounts are written and read back before the rest"] if plan.canary else []
    held = [f"{len(plan.held)} partners would fall and wait for a second snapshot"] if plan.held else []
    return [*table(("", "guard", "found", "allowed"), rows), *first, *held]


def _guards(plan: Plan) -> list[str]:
    return [
        f"guard {guard.guard}: {guard.value}, limit {guard.limit}; {guard.way_out}"
        for guard in plan.guards
        if guard.tripped
    ]


def _comparison(result: Result) -> list[str]:
    comparison = result.comparison
    assert comparison is not None
    cells = [(cell.category, cell.hand_kept, cell.calculated, cell.partners) for cell in comparison.cells]
    shown = comparison.differences[:SHOWN_DIFFERENCES]
    rows = [(d.name or d.partner_id, d.category, d.hand_kept, d.calculated, d.decided_by) for d in shown]
    differing = len(comparison.differences)
    return [
        *table(("category", "kept by hand", "calculated", "partners"), cells),
        "",
        f"{comparison.compared} compared, {comparison.compared - differing} agree, {differing} differ",
        *table(("partner", "category", "kept by hand", "calculated", "decided by"), rows),
        *([f"… and {differing - len(shown)} more"] if differing > len(shown) else []),
        f"all differences: {result.comparison_file}",
    ]


def _result_content(result: Result) -> dict[str, Any]:
    assessed, plan = result.assessed, result.plan
    return {
        "run_id": result.run_id,
        "state": result.state,
        "exit_code": result.exit_code,
        "program": assessed.program.key,
        "as_of": assessed.as_of.isoformat(),
        "standings": [
            {"category": category, "tier": tier, "partners": count} for category, tier, count in tier_counts(result)
        ],
        "outside": outside_counts(result),
        "at_risk": risk_counts(result),
        "plan": None if plan is None else _plan_content(plan),
        "outcomes": None if result.outcomes is None else _outcome_content(result),
        "comparison": None if result.comparison is None else _comparison_content(result),
        "decided_in_crm": result.decided,
        "laid_before": result.laid,
        "rejected": len(assessed.rejected),
        "rejected_file": None if assessed.rejected_file is None else str(assessed.rejected_file),
        "direct": dict(assessed.direct),
        "notes": list(assessed.notes),
        "notices": None if result.told is None else told_content(result.told),
        "api_calls": _call_content(result),
        "stages": [vars(figures) for figures in result.stages],
    }


def _call_content(result: Result) -> dict[str, Any]:
    calls = result.calls
    counted = None if calls.counted is None else {"read": calls.counted[0], "write": calls.counted[1]}
    return {"read": calls.read, "write": calls.write, "counted_by_org": counted}


def _plan_content(plan: Plan) -> dict[str, Any]:
    return {
        "digest": plan.digest,
        "blocked": plan.blocked,
        "changes": len(plan.changes),
        "movers": [vars(mover) for mover in plan.movers],
        "guards": [vars(guard) for guard in plan.guards],
        "canary": plan.canary,
        "held": list(plan.held),
        "beside": beside_content(plan),
        "hand_edits": edit_content(plan),
    }


def _outcome_content(result: Result) -> dict[str, Any]:
    assert result.outcomes is not None
    outcomes = result.outcomes
    beside = {sink: vars(one) for sink, one in outcomes.beside.items()}
    return {**vars(outcomes), "problems": [vars(problem) for problem in outcomes.problems], "beside": beside}


def _comparison_content(result: Result) -> dict[str, Any]:
    assert result.comparison is not None
    return {
        "compared": result.comparison.compared,
        "cells": [vars(cell) for cell in result.comparison.cells],
        "differences": [vars(difference) for difference in result.comparison.differences],
        "file": str(result.comparison_file),
    }
