"""Why an account, or what stands beside it, could not be written: told on the account itself.

Only what differs from what was told last is written; the text goes once nothing is refused any more. The field is told
after the records, and never instead of them: a fault here ends in the log, the ledger and `status` have the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import structlog

from crmsync.connectors.base import Into, ManyObjects, Target, Write, WritesSeveral, Written
from crmsync.errors import CrmsyncError, StoreError
from crmsync.failpoints import hit
from crmsync.ledger.field_states import held_values, keep_value
from crmsync.ledger.intents import Intent, intents_of
from crmsync.ledger.ledger import Ledger
from crmsync.writeback.fields import same
from crmsync.writeback.plan import Plan

log = structlog.get_logger()

MOST = 255  # characters of the field that `crmsync deploy` makes
APART = "; "


def tell_last_errors(plan: Plan, target: Target, ledger: Ledger) -> int:
    """Bring the last-error field of the accounts to what this plan has come to; returns how many were written.

    Errors: StoreError only.
    """
    field = plan.fields.last_error
    if field is None:
        return 0
    wanted = _errors(intents_of(ledger, plan.digest, plan.run_id, "parked"), plan)
    told = {record: value for record, value in held_values(ledger, field).items() if value}
    differing = {one: wanted.get(one) for one in {*wanted, *told} if wanted.get(one) != told.get(one)}
    if not differing:
        return 0
    try:
        return _write(plan, field, differing, target, ledger)
    except StoreError:
        raise
    except CrmsyncError as error:
        log.warning("last_errors_not_told", accounts=len(differing), reason=str(error))
        return 0


def _errors(intents: Iterable[Intent], plan: Plan) -> dict[str, str]:
    """By account, why it or something beside it was refused; the same text as long as the reason is the same."""
    of_partner = {change.partner_id: change.record_id for change in plan.changes}
    beside = {(change.sink, change.record_id): change.account for change in plan.beside}
    said: dict[str, list[str]] = {}
    for intent in intents:
        if intent.state != "parked":
            continue
        named = beside.get((intent.sink, intent.record_id)) or of_partner.get(intent.partner_id)
        account = named if intent.sink else intent.record_id
        if account:
            what = f"{intent.sink}: " if intent.sink else ""
            said.setdefault(account, []).append(" ".join(f"{what}{intent.code}: {intent.message}".split()))
    return {account: _cut(APART.join(dict.fromkeys(texts))) for account, texts in said.items()}


def _cut(text: str) -> str:
    return text if len(text) <= MOST else text[: MOST - 1].rstrip() + "…"


def _write(plan: Plan, field: str, wanted: Mapping[str, str | None], target: Target, ledger: Ledger) -> int:
    into = target.into(Into(plan.fields.object)) if isinstance(target, ManyObjects) else target
    held = into.read(sorted(wanted), [field])
    hit("last_error_read")
    writes = [
        Write(record, {field: text}, {field: held[record][field]})
        for record, text in sorted(wanted.items())
        if record in held and not same(held[record][field], text)
    ]
    refused: set[str] = set()
    for some in _parts(writes, into.several if isinstance(into, WritesSeveral) else 1):
        for written in _written(into, some):
            if written.state != "applied":
                refused.add(written.record_id)
                log.info("last_error_refused", record=written.record_id, code=written.code, reason=written.message)
        hit("last_error_written")
    # An account that is gone has nothing left to be told; what was refused is tried again by the next run.
    with ledger.writing() as connection:
        for record, text in wanted.items():
            if record not in refused:
                keep_value(connection, record, field, text)
    hit("last_error_kept")
    return len(writes) - len(refused)


def _written(target: Target, writes: Sequence[Write]) -> list[Written]:
    if isinstance(target, WritesSeveral):
        return target.write_several(writes)
    return [target.write_one(write) for write in writes]


def _parts(writes: Sequence[Write], size: int) -> Iterable[Sequence[Write]]:
    for start in range(0, len(writes), size):
        yield writes[start : start + size]
