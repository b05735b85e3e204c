"""A report type of accounts with their standings, a folder, three reports and a dashboard over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crmsync.connectors.mapping import WriteMap
from crmsync.connectors.salesforce.metadata.components import (
    DASHBOARD,
    DASHBOARD_FOLDER,
    FOLDER,
    PREFIX,
    REPORT,
    REPORT_FOLDER,
    REPORT_TYPE,
    Body,
    Component,
    described,
)

TYPE = f"{PREFIX}Partners"
FOLDER_LABEL = "Partner program"
BY_TIER, AT_RISK, MOVEMENTS = "Partners_by_Tier", "Partners_at_Risk", "Partners_Moved"
LATELY = "LAST_N_DAYS:90"
RISKY = "high,medium"
ROW_COUNT = "RowCount"
WIDE, HIGH = 6, 8
WHITE, BLACK = "#FFFFFF", "#000000"


@dataclass(frozen=True)
class _Fields:
    """Columns of the report type, by key of the field map. `standings`: the child relationship, or nothing."""

    account: Mapping[str, str]
    child: Mapping[str, str]
    object: str
    standings: str

    def column(self, key: str) -> str | None:
        """`Account$Partner_Tier__c`, of the account where it has the value, else of its standings."""
        if key in self.account:
            return f"{self.object}${self.account[key]}"
        return f"{self.object}.{self.standings}${self.child[key]}" if key in self.child else None

    def columns(self, keys: Sequence[str]) -> list[str]:
        """Those that are mapped."""
        return [column for key in keys if (column := self.column(key)) is not None]


def report_components(writes: WriteMap, account: str, relationship: str) -> Iterator[Component]:
    """Report type, folders, reports and dashboard. `relationship`: from the account to its standings, as
    `Partner_Standings__r`; empty where there are none."""
    fields = _fields(writes, account, relationship)
    if fields.column("granted_tier") is None:
        return
    yield Component(REPORT_TYPE, TYPE, _report_type(fields))
    yield Component(REPORT_FOLDER, FOLDER, {"name": FOLDER_LABEL})
    reports = list(_reports(fields))
    yield from reports
    yield Component(DASHBOARD_FOLDER, FOLDER, {"name": FOLDER_LABEL})
    yield Component(DASHBOARD, f"{FOLDER}/Partner_Program", _dashboard([one.own_name for one in reports], fields))


def _fields(writes: WriteMap, account: str, relationship: str) -> _Fields:
    own = {key: place.text for key, place in writes.fields.items()}
    child = writes.standings.fields if writes.standings is not None and relationship else {}
    return _Fields(own, {key: place.text for key, place in child.items()}, account, relationship)


def _report_type(fields: _Fields) -> Body:
    tables = [(fields.object, ["Name", "Owner", *fields.account.values()])]
    if fields.child:
        tables.append((f"{fields.object}.{fields.standings}", list(fields.child.values())))
    sections = [
        {
            "columns": [{"checkedByDefault": False, "field": name, "table": table} for name in names],
            "masterLabel": "Partners" if table == fields.object else "Standings by category",
        }
        for table, names in tables
    ]
    body: dict[str, Any] = {
        "baseObject": fields.object,
        "category": "accounts",
        "deployed": True,
        "description": described("Partners with their standing in each category of the partner program."),
        "label": "Partners with standings" if fields.child else "Partners",
        "sections": sections,
    }
    join = {"outerJoin": True, "relationship": fields.standings}
    return body | ({"join": join} if fields.child else {})


def _reports(fields: _Fields) -> Iterator[Component]:
    tier, risk, since = (fields.column(key) for key in ("granted_tier", "risk", "tier_since"))
    yield _report(fields, BY_TIER, "Partners by tier", "Partners by the tier that they have.", str(tier), (),
                  ("progress", "next_tier", "risk", "category", "movement"))  # fmt: skip
    if risk is not None:
        yield _report(fields, AT_RISK, "Partners at risk", "Partners who may lose their tier, by how soon.", risk,
                      ((risk, "equals", RISKY),),
                      ("granted_tier", "risk_on", "risk_reason", "main_blocker"))  # fmt: skip
    if since is not None:
        moved = fields.column("movement") or str(tier)
        yield _report(fields, MOVEMENTS, "Partners whose tier changed", "Tiers that changed in the last 90 days.",
                      moved, ((since, "greaterOrEqual", LATELY),),
                      ("granted_tier", "previous_tier", "tier_since", "category"))  # fmt: skip


def _report(
    fields: _Fields, name: str, label: str, text: str, group: str, tests: Sequence[tuple[str, str, str]],
    keys: Sequence[str],
) -> Component:  # fmt: skip
    columns = [f"{fields.object}$Name", f"{fields.object}$Owner", *fields.columns(keys)]
    shown = [column for column in dict.fromkeys(columns) if column != group]
    # Accounts that are no partners have no tier; without this they would all be in the first group.
    partners = (str(fields.column("granted_tier")), "notEqual", "")
    body: Body = {
        "columns": [{"field": column} for column in shown],
        "description": described(text),
        "filter": {"criteriaItems": [_criterion(*test) for test in (partners, *tests)]},
        "format": "Summary",
        "groupingsDown": [{"dateGranularity": "Day", "field": group, "sortOrder": "Asc"}],
        "name": label,
        "reportType": f"{TYPE}__c",
        "scope": "organization",
        "showDetails": True,
        "showGrandTotal": True,
        "showSubTotals": True,
        "timeFrameFilter": {"dateColumn": f"{fields.object}$CreatedDate", "interval": "INTERVAL_CUSTOM"},
    }
    return Component(REPORT, f"{FOLDER}/{name}", body)


def _criterion(column: str, operator: str, value: str) -> Body:
    return {"column": column, "columnToColumn": False, "isUnlocked": True, "operator": operator, "value": value}


def _dashboard(reports: Sequence[str], fields: _Fields) -> Body:
    shown = {
        BY_TIER: ("Donut", "Partners by tier", fields.column("granted_tier")),
        AT_RISK: ("Bar", "Partners at risk", fields.column("risk")),
        MOVEMENTS: ("Column", "Tiers changed in the last 90 days", fields.column("movement")),
    }
    places = [(number, name) for number, name in enumerate(reports) if name in shown]
    return {
        "backgroundEndColor": WHITE,
        "backgroundFadeDirection": "Diagonal",
        "backgroundStartColor": WHITE,
        "dashboardGridLayout": {
            "dashboardGridComponents": [_placed(number, name, *shown[name]) for number, name in places],
            "numberOfColumns": 12,
            "rowHeight": 36,
        },
        "dashboardType": "LoggedInUser",  # everybody sees their own records; no running user has to be named
        "description": described("The partner program at a glance."),
        "isGridLayout": True,
        "textColor": BLACK,
        "title": "Partner program",
        "titleColor": BLACK,
        "titleSize": 12,
    }


def _placed(number: int, name: str, kind: str, header: str, group: str | None) -> Body:
    component: dict[str, Any] = {
        "autoselectColumnsFromReport": group is None,
        "chartSummary": [{"axisBinding": "y", "column": ROW_COUNT}],
        "componentType": kind,
        "displayUnits": "Integer",
        "groupingColumn": [group] if group else [],
        "header": header,
        "legendPosition": "Right" if kind == "Donut" else "Bottom",
        "report": f"{FOLDER}/{name}",
        "showValues": True,
        "sortBy": "RowLabelAscending",
        "useReportChart": False,
    }
    at = {"columnIndex": number % 2 * WIDE, "rowIndex": number // 2 * HIGH}
    return {"colSpan": WIDE, "dashboardComponent": component, "rowSpan": HIGH, **at}
