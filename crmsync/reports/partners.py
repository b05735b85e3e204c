"""What `assess` and `explain` print: standings of a folder, and one partner in full."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crmsync.logs import safe_text
from crmsync.reports.text import NO_TIER, json_text, table

if TYPE_CHECKING:
    from crmsync.levelling.explain import Explanation
    from crmsync.offline import AssessedFolder
    from crmsync.past import ExplainedRun


def assess_report(assessed: AssessedFolder, as_json: bool) -> str:
    """One line: how many standings, where, and what was left out."""
    rows, partners = assessed.standings, assessed.partners
    if as_json:
        content = {
            "out": str(assessed.out), "standings": rows, "partners": partners, "rejected": len(assessed.rejected),
            "rejected_file": assessed.rejected_file, "direct": dict(assessed.direct), "notes": list(assessed.notes),
        }  # fmt: skip
        return json_text(content)
    rejected = f"; {len(assessed.rejected)} rejected rows in {assessed.rejected_file}" if assessed.rejected else ""
    direct = sum(assessed.direct.values())
    nobody = f"; {direct} rows of nobody" if direct else ""
    notes = [f"note: {safe_text(note)}" for note in assessed.notes]
    return "\n".join([*notes, f"{rows} standings of {partners} partners in {assessed.out}{rejected}{nobody}"])


def explain_report(explanation: Explanation, as_json: bool) -> str:
    """How one partner's tier follows from the records that count."""
    return json_text(explanation.as_json()) if as_json else "\n".join(map(safe_text, explanation.lines))


def explained_run_report(explained: ExplainedRun, as_json: bool) -> str:
    """The same for a run, with its account before and after."""
    if as_json:
        return json_text(_explained_content(explained))
    return "\n".join(
        [*map(safe_text, explained.explanation.lines), "", *_before_and_after(explained), *_history(explained)]
    )


def _before_and_after(explained: ExplainedRun) -> Iterator[str]:
    if explained.program_changed:
        yield "note: the program was changed since this run; the numbers above follow the program as it is now"
    intent = explained.intent
    if intent is None:
        yield "nothing was ever written onto this account"
        return
    if intent.run_id != explained.run.run_id:
        yield f"run {explained.run.run_id} changed nothing on this account; what was written last:"
    yield f"account {intent.record_id} in run {intent.run_id} ({intent.state})"
    rows = [(name, intent.pre_image.get(name) or "", value or "") for name, value in intent.wanted.items()]
    yield from table(("field", "before", "after"), rows)


def _history(explained: ExplainedRun) -> Iterator[str]:
    if explained.history:
        yield ""
        rows = [
            (c.as_of, c.category, c.from_tier or NO_TIER, c.to_tier or NO_TIER, c.movement) for c in explained.history
        ]
        yield from table(("as of", "category", "from", "to", "movement"), rows)


def _explained_content(explained: ExplainedRun) -> dict[str, Any]:
    intent = explained.intent
    fields = {} if intent is None else {
        name: {"before": intent.pre_image.get(name), "after": value} for name, value in intent.wanted.items()
    }  # fmt: skip
    return {
        "run_id": explained.run.run_id,
        "explanation": explained.explanation.as_json(),
        "record_id": intent.record_id if intent else None,
        "written_by": intent.run_id if intent else None,
        "state": intent.state if intent else None,
        "fields": fields,
        "history": [vars(change) for change in explained.history],
        "program_changed": explained.program_changed,
    }
