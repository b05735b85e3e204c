"""What `unlock`, `adopt` and `revert` print: who holds the ledger, what was taken over, what would be given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.reports.text import command, json_text, table

if TYPE_CHECKING:
    from crmsync.adopting import Adopted
    from crmsync.past import Lock
    from crmsync.reverting import Reverted

SHOWN_MOVERS = 40


def unlock_report(lock: Lock, as_json: bool) -> str:
    """Owner, host, since when, and number of the lease; what to do next."""
    lease = lock.lease
    if as_json:
        return json_text(
            {"locked": lock.locked, "broken": lock.broken, "ended": lock.ended, "lease": vars(lease) if lease else None}
        )
    if lease is None:
        return f"{lock.place}: no run has held it yet"
    who = f"process {lease.pid} on {lease.host}, lease {lease.fencing}, since {lease.acquired_at}"
    if lock.broken:
        told = f"{lock.place}: lease {lease.fencing} was broken; {lease.owner} cannot commit any more"
        still = f"\nThat process still holds the lock: end it (kill {lease.pid} on {lease.host}), then a run may start"
        return told if lock.ended or not lock.locked else told + still
    if lock.locked:
        seen = f"{lock.place}: held by {who}, last heard of {lease.renewed_at}"
        return f"{seen}\nIf it hangs: {command('unlock', '--id', str(lease.fencing))}"
    if lease.released_at is None:
        return f"{lock.place}: free; {who} died while it held it, the next run goes on from there"
    return f"{lock.place}: free; last held by {who}, until {lease.released_at}"


def adopt_report(adopted: Adopted, as_json: bool) -> str:
    """How many accounts are known again, and what movement starts from."""
    if as_json:
        return json_text(vars(adopted))
    lines = [
        f"{adopted.accounts} accounts carry our write token, {adopted.unknown} of them unknown before; what stands on "
        f"them counts as last written by this ledger now ({adopted.fields} fields, run {adopted.run_id})"
    ]
    if adopted.tiers is not None:
        lines.append(
            f"{adopted.tiers} standings were taken from the CRM as of {adopted.as_of}: movement starts from them; what "
            "only the lost ledger knew (grace periods, waiting promotions, history) starts anew"
        )
    return "\n".join([*lines, f"Next: {command('plan')}"])


def revert_report(reverted: Reverted, as_json: bool) -> str:
    """What the plan gives back, what it cannot, the guards that ask for a person, and how to go on."""
    plan = reverted.plan
    if as_json:
        guards = [vars(guard) for guard in plan.guards]
        return json_text(
            {"run_id": reverted.run_id, "of_run": reverted.of_run, "digest": plan.digest, "accounts": len(plan.changes),
             "beside": len(plan.beside), "movers": [vars(one) for one in plan.movers], "guards": guards,
             "blocked": plan.blocked, "left": dict(reverted.left), "exit_code": reverted.exit_code}
        )  # fmt: skip
    digest = plan.digest[:12]
    lines = [
        f"run {reverted.of_run}: {len(plan.changes)} accounts and {len(plan.beside)} records beside them would get "
        f"back what stood there before, {len(plan.movers)} tiers change (plan {digest})"
    ]
    lines += [f"left as it is: {count} {why}" for why, count in sorted(reverted.left.items())]
    rows = [(one.partner_id, one.category, one.from_tier or "no tier", one.to_tier or "no tier") for one in plan.movers]
    lines += ["", *table(("partner", "category", "now", "then"), rows[:SHOWN_MOVERS])] if rows else []
    lines += [f"guard {g.guard}: {g.value}, limit {g.limit}; {g.way_out}" for g in plan.guards if g.tripped]
    if plan.blocked:
        lines.append(f"Next: {command('approve', digest)}, then {command('apply', digest)}")
    elif plan.writes:
        lines.append(f"Next: {command('apply', digest)}")
    lines.append("The next run levels anew: mend first what made that run wrong (program, data, configuration)")
    return "\n".join(lines)
