"""The canary: a few accounts are written and read back before the rest of a large plan is.

What a first fill or a period end would do wrong to all accounts (a trigger that overwrites, a field that cuts values, a
validation that refuses) is seen on a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crmsync.errors import UnsafePlan
from crmsync.ledger.intents import Intent, begun_accounts, chosen_intents, record_outcomes
from crmsync.writeback.outbox import send
from crmsync.writeback.plan import Plan
from crmsync.writeback.sending import Sending
from crmsync.writeback.settling import NOT_AS_WRITTEN, not_as_written

SHOWN = 3


def send_canary(sending: Sending, plan: Plan, waiting: Sequence[Intent]) -> Sequence[Intent]:
    """Write the first accounts of a plan that asks for it and read them back; returns those that are left.

    Errors: UnsafePlan when one of them does not hold what was written, or half of them were refused; the rest waits,
    however often this plan is tried: the next one reads anew what the accounts hold.
    """
    if not plan.canary:
        return waiting
    done = begun_accounts(sending.ledger, plan.digest, plan.run_id, plan.canary + 1)
    if len(done) > plan.canary:  # the rest had begun when this plan was interrupted
        return waiting
    ordered = sorted(waiting, key=lambda intent: intent.intent_id)  # a hash: a few of everywhere
    first = ordered[: plan.canary - len(done)]
    if first:
        send(sending, first)
    chosen = {one.intent_id for one in first}
    _check(sending, plan, {*done, *chosen})
    return [one for one in waiting if one.intent_id not in chosen]


def _check(sending: Sending, plan: Plan, chosen: set[str]) -> None:
    intents = chosen_intents(sending.ledger, chosen)
    written = [one for one in intents if one.state == "applied"]
    differing = not_as_written(sending, written) if written else []
    record_outcomes(sending.ledger, differing)
    found = {one.intent.intent_id: replace(one.intent, code=one.code, message=one.message) for one in differing}
    found |= {one.intent_id: one for one in intents if one.code == NOT_AS_WRITTEN}  # by an earlier try of this plan
    refused = [one for one in intents if one.state in ("parked", "conflict") and one.intent_id not in found]
    if not found and len(refused) * 2 < max(len(intents), 1):
        return
    said = [f"{one.record_id}: {one.message}" for one in list(found.values())[:SHOWN]]
    said += [f"{one.record_id}: {one.code}: {one.message}" for one in refused[: SHOWN - len(said)]]
    left = len(plan.changes) - len(intents)
    raise UnsafePlan(
        f"plan {plan.digest[:12]}: of the {len(intents)} accounts that were written first, {len(found)} do not "
        f"hold what was written and {len(refused)} were refused ({'; '.join(said)}). The other {left} "
        "were not written. Mend the cause in the CRM, then run again"
    )
