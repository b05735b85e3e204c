"""What `deploy` prints: what the org lacks, what was deployed, what differs and stays, what would be removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from crmsync.logs import safe_text
from crmsync.reports.text import command, json_text

if TYPE_CHECKING:
    from crmsync.connectors.salesforce.metadata.components import Component
    from crmsync.connectors.salesforce.metadata.plan import DeployPlan, Finding
    from crmsync.deploying import DeployResult, RemoveResult

ADDED, WIDENED = "+", "~"
HEADINGS = {
    "cannot": "cannot be deployed",
    "drift": "differs, and is left as it is",
    "told": "worth knowing",
}
HIDDEN_SHOWN = 6


def deploy_report(result: DeployResult, as_json: bool) -> str:
    """What waits or was done, one line per component, then what stays and what to do next."""
    if as_json:
        return json_text(_json(result))
    lines = [f"org {result.org} at {result.login}", ""]
    lines += _done(result)
    lines += _steps(result.plan, result.applied)
    lines += _findings(result)
    lines += _seen(result)
    lines += _next(result)
    single = (line for at, line in enumerate(lines) if line or (at and lines[at - 1]))
    return "\n".join(safe_text(line) for line in single).rstrip()


def _done(result: DeployResult) -> Iterator[str]:
    if result.project is not None:
        yield f"{result.written} files written to {result.project}; its README.md says how to deploy them"
    elif result.applied:
        there = _counted(result.plan.kept)
        yield f"deployed {result.applied} components (deploy {result.deploy_id}); there are now {there}"
    if result.assigned is not None:
        user, given = result.assigned
        yield f"permission set Crmsync_Run: {'given to' if given else 'was already given to'} {user}"


def _steps(plan: DeployPlan, applied: int) -> Iterator[str]:
    if not plan.steps:
        if plan.kept and not applied:
            yield f"nothing to deploy: the org has all it needs ({_counted(plan.kept)})"
        return
    yield f"to deploy: {_counted(plan.components)}"
    for step in plan.steps:
        sign = ADDED if step.action.value == "add" else WIDENED
        what = f": {'; '.join(step.what)}" if step.what else _of_what(step.component)
        yield f"  {sign} {step.component.said}{what}"


def _of_what(component: Component) -> str:
    body = component.body
    kind = body.get("type")
    if kind is None:
        return ""
    values = ((body.get("valueSet") or {}).get("valueSetDefinition") or {}).get("value")
    if values:
        return f" ({kind}: {', '.join(str(value['fullName']) for value in values)})"
    if "precision" in body:
        return f" ({kind} {body['precision'] - body['scale']}, {body['scale']})"
    return f" ({kind} {body['length']})" if "length" in body else f" ({kind})"


def _counted(components: tuple[Component, ...]) -> str:
    from crmsync.connectors.salesforce.metadata.components import ORDER, WORDS

    counts = Counter(one.kind for one in components)
    named = [f"{counts[kind]} {WORDS[kind]}{'s' if counts[kind] > 1 else ''}" for kind in ORDER if counts[kind]]
    return ", ".join(named) or "nothing"


def _findings(result: DeployResult) -> Iterator[str]:
    for weight, heading in HEADINGS.items():
        found = [one for one in result.plan.findings if one.weight.value == weight]
        if found:
            yield ""
            yield f"{heading}:"
            yield from (f"  {_finding(result, one)}" for one in found)


def _finding(result: DeployResult, finding: Finding) -> str:
    where = f"{result.field_map}:{finding.line}: " if finding.line else ""
    return f"{where}{finding.about}: {finding.text}"


def _seen(result: DeployResult) -> Iterator[str]:
    if result.project is not None or result.plan.steps:
        return
    yield ""
    hidden = result.seen.hidden
    yield f"described again: this login sees {result.seen.visible} of {result.seen.visible + len(hidden)} fields"
    if hidden:
        more = f" and {len(hidden) - HIDDEN_SHOWN} more" if len(hidden) > HIDDEN_SHOWN else ""
        yield f"  hidden by field-level security: {', '.join(hidden[:HIDDEN_SHOWN])}{more}"


def _next(result: DeployResult) -> Iterator[str]:
    if result.project is not None or any(one.weight.value == "cannot" for one in result.plan.findings):
        return
    if result.plan.steps:
        yield ""
        yield f"next: {command('deploy', 'apply', config=result.config)}"
    elif result.seen.hidden and result.assigned is None:
        yield ""
        given = command("deploy", "apply", "--assign", "USERNAME", config=result.config)
        yield f"next: {given} gives the run user its permission set"


def _json(result: DeployResult) -> dict[str, Any]:
    return {
        "command": result.command,
        "org": result.org,
        "digest": result.plan.digest,
        "applied": result.applied,
        "deploy_id": result.deploy_id,
        "assigned": result.assigned[0] if result.assigned else None,
        "project": str(result.project) if result.project else None,
        "steps": [
            {"action": step.action.value, "kind": step.component.kind, "name": step.component.name,
             "what": list(step.what)}
            for step in result.plan.steps
        ],
        "findings": [
            {"weight": one.weight.value, "about": one.about, "text": one.text, "file": result.field_map,
             "line": one.line}
            for one in result.plan.findings
        ],
        "kept": [{"kind": one.kind, "name": one.name} for one in result.plan.kept],
        "hidden": list(result.seen.hidden),
        "exit_code": result.exit_code,
    }  # fmt: skip


def removal_report(result: RemoveResult, as_json: bool) -> str:
    """What goes, what does not because people made it, and the digest that removes it."""
    removal = result.removal
    if as_json:
        return json_text(
            {
                "org": result.org,
                "digest": removal.digest,
                "removed": result.removed,
                "components": [{"kind": one.kind, "name": one.name} for one in removal.components],
                "not_ours": [{"kind": one.kind, "name": one.name} for one in removal.not_ours],
                "unknown": list(removal.unknown),
                "stored": dict(result.stored),
                "exit_code": result.exit_code,
            }
        )
    return "\n".join(safe_text(line) for line in _removal(result))


def _removal(result: RemoveResult) -> Iterator[str]:
    removal = result.removal
    yield from (f"not removed: {one.said} was made by people, or holds fields of theirs" for one in removal.not_ours)
    yield from (f"not removed: {name} is not in this org" for name in removal.unknown)
    if result.removed is not None:
        yield f"removed {result.removed} components from org {result.org}; fields stay in Deleted Fields for 15 days"
        return
    if not removal.components:
        yield "nothing to remove"
        return
    yield f"to remove from org {result.org}, with everything that is stored in them:"
    for one in removal.components:
        records = result.stored.get(one.name) if one.kind == "CustomObject" else None
        yield f"  - {one.said}" + (f" with {records:,} records" if records is not None else "")
    yield ""
    if result.refused:
        yield "nothing is removed while other names stand beside these; leave them out"
        return
    yield f"to remove exactly this, give the same command again with --digest {removal.digest[:12]}"
