"""What `status` and `approve` print: what is in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crmsync.logs import safe_text
from crmsync.reports.hand_edits import open_edit_lines
from crmsync.reports.notices import open_lines
from crmsync.reports.text import command, json_text, table

if TYPE_CHECKING:
    from crmsync.ledger.approvals import Approval
    from crmsync.ledger.status import RunRow, Status

SHOWN_RECORDS = 20
DEPLOYED = {
    "deploy_sent": "{n} components were sent to {org}, and nobody knows what became of them; see `crmsync deploy plan`",
    "deploy_applied": "{n} components made or widened in {org}",
    "deploy_removed": "{n} components removed from {org}",
    "deploy_refused": "{n} components were refused by {org}; nothing was changed",
    "deploy_assigned": "the permission set of the run user was given in {org}",
}
NEXT_STEP = {
    "conflict": "; the next plan starts from what stands there now",
    "parked": "; tried again by the next run",
}


def approval_report(approval: Approval, as_json: bool) -> str:
    """Who opened which plan, until when."""
    if as_json:
        return json_text({"digest": approval.digest, "person": approval.person, "until": approval.until.isoformat()})
    until = approval.until.isoformat(timespec="minutes")
    digest = approval.digest[:12]
    person = safe_text(approval.person)
    return f"plan {digest} is open until {until}, approved by {person}; now: {command('apply', digest)}"


def status_report(status: Status | None, as_json: bool) -> str:
    """When the last run was, what it did, and what is open."""
    if status is None:
        return json_text({"runs": []}) if as_json else "no run yet in this state folder"
    if as_json:
        return json_text(_status_content(status))
    lines = [f"org: {status.org or 'none yet'}", f"newest accepted assessment: {status.accepted_as_of or 'none yet'}"]
    if status.last_done:
        lines.append(f"last run that ended well: {status.last_done.run_id}, {status.last_done.ended_at}")
    lines += [
        "",
        *table(("run", "kind", "state", "as of", "exit", "written", "calls"), [_run_line(run) for run in status.runs]),
    ]
    return "\n".join([*lines, "", *_deployed(status), *_open(status)])


def _deployed(status: Status) -> Iterator[str]:
    """The last deploy, and what permission sets it gave."""
    for one in status.deployments[:1]:
        said = DEPLOYED[one.event].format(n=one.components, org=one.org)
        yield f"last deploy: {one.at}: {said}{f' (deploy {one.deploy_id})' if one.deploy_id else ''}"


def _run_line(run: RunRow) -> tuple[object, ...]:
    exit_code = "" if run.exit_code is None else run.exit_code
    return (
        run.run_id,
        run.kind,
        run.state,
        run.as_of or "",
        exit_code,
        run.stats.get("applied", ""),
        sum(run.api_calls.values()),
    )


def _open(status: Status) -> Iterator[str]:
    if status.plan:
        approved = f", approved by {safe_text(status.approval.person)}" if status.approval else ""
        yield f"plan {status.plan.digest[:12]} is {status.plan.state}{approved}: {status.plan.changes} accounts"
        yield from (
            f"  guard {guard.guard}: {guard.value}; {guard.way_out}" for guard in status.guards if guard.tripped
        )
    for intent in status.open_records[:SHOWN_RECORDS]:
        todo = NEXT_STEP.get(intent.state, "")
        since = f" since {intent.first_failed_at[:10]}, tried {intent.attempts} times" if intent.first_failed_at else ""
        of = f" of {intent.sink}" if intent.sink else ""
        yield safe_text(f"{intent.state}{since}: record {intent.record_id}{of}: {intent.code}: {intent.message}{todo}")
    yield from open_edit_lines(status.hand_edits)
    yield from open_lines(status.notices)
    if not status.plan and not status.open_records and not status.hand_edits and not status.notices:
        yield "nothing is open"


def _status_content(status: Status) -> dict[str, Any]:
    return {
        "org": status.org,
        "accepted_as_of": status.accepted_as_of,
        "last_done": None if status.last_done is None else vars(status.last_done),
        "runs": [vars(run) for run in status.runs],
        "plan": None if status.plan is None else vars(status.plan),
        "guards": [vars(guard) for guard in status.guards],
        "approval": None if status.approval is None else vars(status.approval),
        "writes": dict(status.intents),
        "deployments": [vars(one) for one in status.deployments],
        "hand_edits": [vars(one) for one in status.hand_edits],
        "notices": dict(status.notices),
        "open": [
            {
                "record_id": i.record_id,
                "state": i.state,
                "code": i.code,
                "message": i.message,
                "sink": i.sink,
                "since": i.first_failed_at,
                "attempts": i.attempts,
            }
            for i in status.open_records
        ],
    }
