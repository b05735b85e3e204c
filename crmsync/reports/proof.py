"""What `history`, `audit verify` and `diff` print."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from crmsync.logs import safe_text
from crmsync.reports.text import json_text, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crmsync.ledger.history import Happened
    from crmsync.proving import Proof, RunDiff

SHOWN_TIERS = 40
CAUSES = {
    "data": "data",
    "override": "override",
    "program": "program",
    "calendar": "calendar",
    "before": "the standings before",
    "wait": "the end of a wait for a second snapshot",
}


def history_report(happened: Sequence[Happened], as_json: bool) -> str:
    """What happened to a partner, oldest first, each with its run."""
    if as_json:
        return json_text({"history": [asdict(one) for one in happened]})
    rows = [(one.at[:19].replace("T", " "), one.what, one.run_id or "", safe_text(one.said)) for one in happened]
    return "\n".join(table(("at (UTC)", "what", "run", "said"), rows))


def verify_report(proof: Proof, as_json: bool) -> str:
    """Whether the audit holds, and which runs were computed again."""
    audit = proof.audit
    if as_json:
        head = str(audit.head) if audit.head else None
        runs = [{**asdict(one), "as_of": one.as_of.isoformat()} for one in proof.recomputed]
        content = {"events": audit.events, "head": head, "anchors": audit.anchors, "faults": list(audit.faults)}
        return json_text({"holds": proof.holds, **content, "recomputed": runs})
    lines = [f"audit: {audit.events:,} events, {audit.anchors} anchors"]
    lines += [f"FAULT: {safe_text(fault)}" for fault in audit.faults] or ["chain, triggers and anchors hold"]
    if audit.head is not None:
        lines.append(f"newest event (compare it with a log line or a notice): {audit.head}")
    for one in proof.recomputed:
        if one.same:
            lines.append(f"run {one.run_id}, as of {one.as_of}: {one.partners:,} standings computed again, bit-equal")
        else:
            lines.append(f"FAULT: run {one.run_id}, as of {one.as_of}: {safe_text(one.told)}")
    if not proof.recomputed:
        lines.append("no run could be computed again: no accepted run has its snapshot any more")
    return "\n".join(lines)


def diff_report(found: RunDiff, as_json: bool) -> str:
    """Every tier that differs, and what causes it."""
    if as_json:
        return json_text(asdict(found))
    if not found.tiers:
        return f"runs {found.first} and {found.second}: every tier is the same"
    counted = Counter(cause for one in found.tiers for cause in one.causes or ("together",))
    said = ", ".join(f"{CAUSES.get(cause, 'only several together')} {count}" for cause, count in counted.most_common())
    rows = [
        (one.partner_id, one.category, one.first or "no tier", one.second or "no tier", _causes(one.causes))
        for one in found.tiers[:SHOWN_TIERS]
    ]
    lines = [
        f"{len(found.tiers)} tiers differ between run {found.first} and run {found.second}; because of: {said}",
        "",
        *table(("partner", "category", "first", "second", "because of"), rows),
    ]
    more = len(found.tiers) - SHOWN_TIERS
    lines += [f"… and {more} more (--json shows all)"] if more > 0 else []
    if found.same:
        lines += ["", "the same in both: " + ", ".join(CAUSES[cause] for cause in found.same)]
    lines += [""] if found.untried else []
    lines += [
        f"{CAUSES[cause]} of the second run alone cannot be tried on the first: {safe_text(why)}"
        for cause, why in found.untried.items()
    ]
    return "\n".join(lines)


def _causes(causes: Sequence[str]) -> str:
    return ", ".join(CAUSES[cause] for cause in causes) or "only several together"
