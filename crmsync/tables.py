"""The canonical tables: columns, types, keys and main dates. The one place that names them.

Source: program-language, section 1. Connectors deliver these tables, typed; extra columns and extra tables are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import pyarrow as pa


class ColumnType(StrEnum):
    """What a column holds. `MEASURE` is a number that is money where its row has a currency (activities.value)."""

    TEXT = "text"
    LIST = "list"  # list of text
    DATE = "date"
    NUMBER = "number"
    MONEY = "money"  # cents, in the currency of the record
    MEASURE = "measure"
    YES_NO = "yes_no"


ARROW_TYPES: Mapping[ColumnType, pa.DataType] = MappingProxyType(
    {
        ColumnType.TEXT: pa.string(),
        ColumnType.LIST: pa.list_(pa.string()),
        ColumnType.DATE: pa.date32(),
        ColumnType.NUMBER: pa.float64(),
        ColumnType.MONEY: pa.decimal128(19, 2),
        ColumnType.MEASURE: pa.decimal128(28, 9),
        ColumnType.YES_NO: pa.bool_(),
    }
)


@dataclass(frozen=True)
class Table:
    """One canonical table. `key`: columns that identify a row; `main_date`: the date windows ask for by default."""

    name: str
    columns: Mapping[str, ColumnType]
    key: tuple[str, ...]
    main_date: str | None
    id_column: str | None

    @property
    def has_validity(self) -> bool:
        """Whether rows are valid from issued_on until before expires_on."""
        return "issued_on" in self.columns and "expires_on" in self.columns


def _table(name: str, key: str, main_date: str | None, id_column: str | None, /, **columns: str) -> Table:
    typed = MappingProxyType({column: ColumnType(kind) for column, kind in columns.items()})
    return Table(name, typed, tuple(key.split()), main_date, id_column)


CANONICAL: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (
            _table(
                "partners", "partner_id", "joined_on", "partner_id",
                partner_id="text", name="text", parent_id="text", status="text", region="text", country="text",
                declared_categories="list", joined_on="date", owner_id="text", currency="text",
            ),
            _table(
                "opportunities", "opportunity_id partner_id role", "closed_on", "opportunity_id",
                opportunity_id="text", partner_id="text", role="text", share="number", customer_id="text", name="text",
                stage="text", type="text", is_closed="yes_no", is_won="yes_no", amount="money", credited_amount="money",
                currency="text", product_line="text", registered_on="date", created_on="date", closed_on="date",
            ),
            _table(
                "certifications", "certification_id", "issued_on", "certification_id",
                certification_id="text", partner_id="text", person_id="text", credential="text", level="text",
                product_line="text", issued_on="date", expires_on="date",
            ),
            _table(
                "activities", "activity_id", "happened_on", "activity_id",
                activity_id="text", partner_id="text", person_id="text", kind="text", value="measure", currency="text",
                verified="yes_no", happened_on="date",
            ),
            _table(
                "rates", "currency effective_from", "effective_from", None,
                currency="text", effective_from="date", rate="number",
            ),
            _table(
                "overrides", "", "starts_on", None,
                partner_id="text", category="text", kind="text", tier="text", metric="text", value="text",
                starts_on="date", ends_on="date", reason="text", approved_by="text",
            ),
        )
    }
)  # fmt: skip

ROW_NAMES: Mapping[str, str] = MappingProxyType(
    {"certifications": "certificate", "opportunities": "opportunity", "activities": "activity"}
)
"""What a text calls one row of these tables."""

OVERRIDE_KINDS = ("pin", "floor", "ceiling", "approve", "decline", "exempt", "credit", "grace", "category")
"""What `overrides.kind` may hold."""

EXTRA_MAIN_DATE = "happened_on"
"""Main date of a further table that no mapping describes."""
