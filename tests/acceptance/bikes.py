"""AdventureWorks resellers as a folder of tables and as the records of an org.

Source: adventureworks/ of the shared data (accounts, opportunities: one per order, opportunity_categories).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.acceptance.sources import Row, read_rows, write_rows

HERE = Path(__file__).parent
ACCOUNT_COLUMNS = ("account_id", "name", "business_type", "product_line", "country", "region", "region_group")


def write_tables(shared: Path, folder: Path) -> None:
    """Write partners, opportunities and order_categories as a folder of tables."""
    data = shared / "data" / "adventureworks"
    partners = ("partner_id", *ACCOUNT_COLUMNS[1:])
    write_rows(folder / "partners.csv", partners, _accounts(data))
    columns = ("opportunity_id", "partner_id", "is_closed", "is_won", "stage", "amount", "currency", "closed_on")
    orders = read_rows(data / "opportunities.csv")
    won = ("true", "true", "Closed Won")
    rows = ([o["opp_id"], o["account_id"], *won, o["amount"], "USD", o["close_date"]] for o in orders)
    write_rows(folder / "opportunities.csv", columns, rows)
    categories = ("partner_id", "happened_on", "order_id", "category")
    write_rows(folder / "order_categories.csv", categories, _order_categories(data, orders))


def write_org(shared: Path, folder: Path) -> None:
    """Write the same as records of an org: Account, Opportunity and Order_Category__c, joined by Account's Key__c."""
    data = shared / "data" / "adventureworks"
    columns = ("Key__c", "Name", "Type", "Business_Type__c", "Product_Line__c", "BillingCountryCode", "Region__c",
               "Region_Group__c")  # fmt: skip
    accounts = ([row[0], row[1], "Partner", *row[2:]] for row in _accounts(data))
    write_rows(folder / "Account.csv", columns, accounts)
    orders = read_rows(data / "opportunities.csv")
    columns = ("Key__c", "Name", "Account.Key__c", "StageName", "Amount", "CloseDate")
    rows = ([o["opp_id"], f"Order {o['opp_id']}", o["account_id"], "Closed Won", o["amount"], o["close_date"]]
            for o in orders)  # fmt: skip
    write_rows(folder / "Opportunity.csv", columns, rows)
    columns = ("Account__r.Key__c", "Ordered_On__c", "Order__c", "Category__c")
    write_rows(folder / "Order_Category__c.csv", columns, _order_categories(data, orders))
    shutil.copy(HERE / "org" / "bikes.yaml", folder / "schema.yaml")


def _accounts(data: Path) -> list[list[str]]:
    return [[row[column] for column in ACCOUNT_COLUMNS] for row in read_rows(data / "accounts.csv")]


def _order_categories(data: Path, orders: list[dict[str, str]]) -> list[list[str]]:
    """Partner, day, order and category; the day and the partner are those of the order."""
    by_order: dict[str, Row] = {order["opp_id"]: order for order in orders}
    rows = []
    for row in read_rows(data / "opportunity_categories.csv"):
        order = by_order[row["opp_id"]]
        rows.append([order["account_id"], order["close_date"], row["opp_id"], row["category"]])
    return rows
