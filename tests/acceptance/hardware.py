"""Maven CRM opportunities as a folder of tables and as the records of an org, with the data's own faults left in.

Source: maven_crm/ of the shared data (accounts with subsidiary_of, sales_pipeline). An account's name is its key.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.acceptance.sources import read_rows, write_rows

HERE = Path(__file__).parent
STAGES = {"Won": "Closed Won", "Lost": "Closed Lost", "Engaging": "Qualification", "Prospecting": "Prospecting"}


def write_tables(shared: Path, folder: Path) -> None:
    """Write partners and opportunities as a folder of tables; deals without an account have an empty partner_id."""
    data = shared / "data" / "maven_crm"
    columns = ("partner_id", "name", "parent_id", "country", "sector")
    accounts = ([a["account"], a["account"], a["subsidiary_of"], a["office_location"], a["sector"]]
                for a in read_rows(data / "accounts.csv"))  # fmt: skip
    write_rows(folder / "partners.csv", columns, accounts)
    columns = ("opportunity_id", "partner_id", "stage", "is_closed", "is_won", "amount", "product", "engaged_on",
               "closed_on")  # fmt: skip
    write_rows(folder / "opportunities.csv", columns, (_opportunity(deal) for deal in _pipeline(data)))


def write_org(shared: Path, folder: Path) -> None:
    """Write the same as Account (parent by Parent.Key__c) and Opportunity records of an org."""
    data = shared / "data" / "maven_crm"
    columns = ("Key__c", "Name", "Type", "Parent.Key__c", "BillingCountry", "Industry")
    accounts = ([a["account"], a["account"], "Partner", a["subsidiary_of"], a["office_location"], a["sector"]]
                for a in read_rows(data / "accounts.csv"))  # fmt: skip
    write_rows(folder / "Account.csv", columns, accounts)
    columns = ("Key__c", "Name", "Account.Key__c", "StageName", "Amount", "Product__c", "Engaged_On__c", "CloseDate")
    write_rows(folder / "Opportunity.csv", columns, (_record(deal) for deal in _pipeline(data)))
    shutil.copy(HERE / "org" / "hardware.yaml", folder / "schema.yaml")


def _pipeline(data: Path) -> list[dict[str, str]]:
    return read_rows(data / "sales_pipeline.csv")


def _opportunity(deal: dict[str, str]) -> list[str]:
    stage = deal["deal_stage"]
    closed = "true" if stage in ("Won", "Lost") else "false"
    won = "true" if stage == "Won" else "false"
    return [deal["opportunity_id"], deal["account"], stage, closed, won, deal["close_value"], deal["product"],
            deal["engage_date"], deal["close_date"]]  # fmt: skip


def _record(deal: dict[str, str]) -> list[str]:
    """An org wants a close date on every opportunity: an open one is expected at the end of 2018."""
    return [deal["opportunity_id"], f"{deal['product']} {deal['opportunity_id']}", deal["account"],
            STAGES[deal["deal_stage"]], deal["close_value"], deal["product"], deal["engage_date"],
            deal["close_date"] or "2018-12-31"]  # fmt: skip
