"""One apply of a saved plan onto a sandbox org, as a program that may be killed: STATE URL TOKEN PLAN BULK_FROM."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.ledger.ledger import Ledger
from crmsync.settings import SalesforceSettings
from crmsync.writeback.apply import apply_plan, settle_open_intents
from crmsync.writeback.planfile import load_plan

FIELD_MAP = Path(__file__).parent.parent.parent / "config" / "connectors" / "salesforce.yaml"


def connector(url: str, token: str, state: Path, bulk_from: int) -> SalesforceConnector:
    """The real connector on that org."""
    opened = SalesforceConnector(
        SalesforceSettings(instance_url=url, access_token=token),  # type: ignore[arg-type]
        read_mapping(FIELD_MAP),
        state / "tmp",
    )
    opened.bulk_from = opened.beside_bulk_from = bulk_from
    return opened


def main(state: str, url: str, token: str, plan: str, bulk_from: str) -> None:
    """Settle, apply, print the figures."""
    with Ledger.open(Path(state)) as ledger:
        target = connector(url, token, Path(state), int(bulk_from))
        settle_open_intents(ledger, target)
        outcomes = apply_plan(load_plan(plan, ledger.state_dir), target, ledger)
        beside = [f"{one.applied} {one.parked} {one.conflicts} {one.waiting}" for one in outcomes.beside.values()]
        print(outcomes.applied, outcomes.parked, outcomes.conflicts, *beside, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
