"""What `backtest` prints: the movement matrix of each period, words of movement, and costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crmsync.logs import safe_text
from crmsync.reports.text import NO_TIER, json_text, table

if TYPE_CHECKING:
    from crmsync.studies.backtest import Backtest, Moves, PeriodMoves

NEW, GONE = "(new)", "(gone)"
_SHOWN_REJECTED = 12


def backtest_report(result: Backtest, as_json: bool) -> str:
    """Each period with a matrix per category: from the tier of the row to the tier of the column."""
    if as_json:
        return json_text(_content(result))
    lines: list[str] = []
    for period in result.periods:
        lines += [*_period(period), ""]
    lines += [f"left out: {one.file}{f':{one.line}' if one.line else ''}: {one.column} {one.value}: {one.reason}"
              for one in result.rejected[:_SHOWN_REJECTED]]  # fmt: skip
    if len(result.rejected) > _SHOWN_REJECTED:
        lines.append(f"… and {len(result.rejected) - _SHOWN_REJECTED} more rows left out")
    lines += [f"note: {note}" for note in result.notes]
    if result.out is not None:
        lines.append(f"{result.rows} standings of {len(result.periods)} dates in {result.out}")
    return "\n".join(map(safe_text, lines))


def _period(period: PeriodMoves) -> Iterator[str]:
    since = f"{period.since} to " if period.since else ""
    several = len(period.categories) > 1
    for moves in period.categories:
        words = ", ".join(f"{word} {count:,}" for word, count in sorted(moves.words.items(), key=lambda one: -one[1]))
        name = f" {moves.program} {moves.category}" if several else ""
        yield f"{since}{period.on}{name}: {words}"
        yield from _matrix(moves)
        if moves.costs:
            yield "costs: " + ", ".join(f"{key} {total:,.2f}" for key, total in moves.costs.items())
    if not period.categories:
        yield f"{since}{period.on}: no standings"


def _matrix(moves: Moves) -> list[str]:
    """Rows: tiers before, columns: tiers after, the highest first; only those that somebody had."""
    befores = {one for one, _ in moves.matrix}
    afters = {one for _, one in moves.matrix}
    keys = [key for key, _ in moves.tiers]
    labels = dict(moves.tiers)
    known = [*keys, *sorted((befores | afters) - set(keys) - {""})]
    rows_of = [key for key in known if key in befores]
    columns = [key for key in known if key in afters]
    nothing_before, nothing_after = "" in befores, "" in afters
    headings = ["from \\ to", *(labels.get(key, key) for key in columns), *([_gone(moves)] if nothing_after else [])]
    found = []
    for key in [*rows_of, *([""] if nothing_before else [])]:
        cells = [moves.matrix.get((key, to), 0) for to in [*columns, *([""] if nothing_after else [])]]
        found.append([labels.get(key, key) or NEW, *cells])
    return table(headings, found)


def _gone(moves: Moves) -> str:
    """What an empty tier after is called: gone, where standings ended, else no tier."""
    return GONE if moves.words.get("left") else NO_TIER


def _content(result: Backtest) -> dict[str, Any]:
    return {
        "dates": [period.on.isoformat() for period in result.periods],
        "periods": [_period_content(period) for period in result.periods],
        "out": str(result.out) if result.out else None,
        "standings": result.rows if result.out else None,
        "rejected": [vars(one) for one in result.rejected],
        "notes": list(result.notes),
    }


def _period_content(period: PeriodMoves) -> dict[str, Any]:
    return {
        "since": period.since.isoformat() if period.since else None,
        "as_of": period.on.isoformat(),
        "categories": [
            {
                "program": moves.program,
                "version": moves.version,
                "category": moves.category,
                "standings": moves.standings,
                "movement": dict(moves.words),
                "matrix": [
                    {"from": before or None, "to": after or None, "count": count}
                    for (before, after), count in sorted(moves.matrix.items())
                ],
                "costs": {key: f"{total:f}" for key, total in moves.costs.items()},
            }
            for moves in period.categories
        ],
    }
