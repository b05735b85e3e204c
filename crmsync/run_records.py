"""A record in the CRM per run that has written there: what it did, and the newest hash of the audit as an anchor.

Who owns the ledger may write all of it anew; the hash that an admin of the CRM can see does not follow. A run that has
written nothing leaves no record.
"""

from __future__ import annotations

from datetime import date

import structlog

from crmsync.belt import Belt
from crmsync.connectors.base import Into, ManyObjects, Write
from crmsync.errors import CrmsyncError
from crmsync.ledger.chain import anchor

log = structlog.get_logger()

PLACE = "crm"


def leave_run_record(belt: Belt, run_id: str, as_of: date, state: str, changes: int, movers: int) -> None:
    """Write the record of a run that has written. One that cannot be written is told and no more: the run is over."""
    writes = belt.mapping.writes if belt.mapping is not None else None
    record = writes.run_record if writes is not None else None
    if record is None or not isinstance(belt.target, ManyObjects):
        return
    told = anchor(belt.ledger, PLACE)
    values = {
        "anchor": str(told), "as_of": as_of.isoformat(), "state": state, "changes": str(changes), "movers": str(movers),
    }  # fmt: skip
    mapped: dict[str, str | None] = {place.text: values[key] for key, place in record.fields.items()}
    try:
        done = belt.target.into(Into(record.object.text, record.key.text)).write_one(Write(run_id, mapped, {}))
    except CrmsyncError as error:
        log.warning("run_record_not_written", object=record.object.text, why=str(error))
        return
    if done.state != "applied":
        why = f"{done.code or done.state}: {done.message or 'no answer'}"
        log.warning("run_record_not_written", object=record.object.text, why=why)
