"""What `unlock` and `adopt` print: who holds the ledger, and what was taken over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crmsync.reports.text import command, json_text

if TYPE_CHECKING:
    from crmsync.adopting import Adopted
    from crmsync.past import Lock


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
