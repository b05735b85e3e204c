"""What `crmsync worker --once` and `crmsync health` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crmsync.logs import shown
from crmsync.reports.text import json_text

if TYPE_CHECKING:
    from crmsync.health import Health
    from crmsync.worker import Ended


def worker_report(ended: Sequence[Ended], as_json: bool) -> str:
    """One line per slot that was run."""
    if as_json:
        return json_text({"slots": [_slot(one) for one in ended]})
    lines = [_line(one) for one in ended]
    return shown("\n".join(lines or ["nothing is due"]))


def _slot(one: Ended) -> dict[str, object]:
    return {
        "schedule": one.slot.schedule, "period": one.slot.period, "state": one.state, "exit_code": one.exit_code,
        "run_id": one.run_id, "told": one.told,
    }  # fmt: skip


def _line(one: Ended) -> str:
    run = f", run {one.run_id}" if one.run_id else ""
    told = f": {one.told}" if one.told else ""
    return f"{one.slot.schedule} {one.slot.period}: {one.state} ({one.exit_code}){run}{told}"


def health_report(health: Health, as_json: bool) -> str:
    """Alive, ready, and why not."""
    if as_json:
        return json_text({"alive": health.alive, "ready": health.ready, "reasons": list(health.reasons)})
    state = "ready" if health.ready else "alive, not ready" if health.alive else "not alive"
    return shown("\n".join([state, *health.reasons]))
