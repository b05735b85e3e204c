"""Fields that the org works out by itself: full names, what a stage means, fiscal periods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
"""Stored values by field name."""


@dataclass(frozen=True)
class Stage:
    """What an opportunity stage means."""

    label: str
    closed: bool
    won: bool
    probability: int
    forecast: str


STAGES = (
    Stage("Prospecting", False, False, 10, "Pipeline"),
    Stage("Qualification", False, False, 10, "Pipeline"),
    Stage("Needs Analysis", False, False, 20, "Pipeline"),
    Stage("Value Proposition", False, False, 50, "Pipeline"),
    Stage("Id. Decision Makers", False, False, 60, "Pipeline"),
    Stage("Perception Analysis", False, False, 70, "Pipeline"),
    Stage("Proposal/Price Quote", False, False, 75, "Pipeline"),
    Stage("Negotiation/Review", False, False, 90, "Pipeline"),
    Stage("Closed Won", True, True, 100, "Closed"),
    Stage("Closed Lost", True, False, 0, "Omitted"),
)
_FORECASTS = {"Best Case": "BestCase", "Commit": "Forecast"}
_PARTS: Mapping[str, frozenset[str]] = {
    "Opportunity": frozenset({"StageName", "CloseDate", "Amount", "Probability"}),
    "Contact": frozenset({"FirstName", "LastName"}),
    "Lead": frozenset({"FirstName", "LastName"}),
    "User": frozenset({"FirstName", "LastName"}),
    "Task": frozenset({"Status"}),
}


@dataclass
class Deriving:
    """Works out the derived fields of one org. `stages` by label; `fiscal_month` is where the fiscal year starts."""

    stages: dict[str, Stage]
    fiscal_month: int = 1
    fiscal_by_start: bool = False

    def needs(self, name: str, changed: frozenset[str]) -> bool:
        """A change of these fields moves derived ones."""
        return bool(_PARTS.get(name, frozenset()) & changed)

    def parts(self, name: str) -> tuple[str, ...]:
        """The fields that the derived ones of this object are worked out from."""
        return tuple(sorted(_PARTS.get(name, ())))

    def derived(self, name: str, row: Row, given: frozenset[str]) -> Row:
        """Values of derived fields for a row; what is in `given` stays as it was given."""
        rule = _RULES.get(name)
        if rule is None:
            return {}
        return {field: value for field, value in rule(self, row, given).items() if field not in given}

    def learn(self, label: str, closed: object, won: object) -> None:
        """Take a stage that data used; its name tells what it means (`Closed Lost`) where the data does not."""
        if label not in self.stages:
            words = label.casefold().split() if closed is None and won is None else []
            won = bool(won) or "won" in words
            closed = bool(closed) or won or "lost" in words
            probability = 100 if won else 0 if closed else 50
            forecast = "Closed" if won else "Omitted" if closed else "Pipeline"
            self.stages[label] = Stage(label, closed, won, probability, forecast)

    def fiscal(self, day: str) -> tuple[int, int]:
        """Fiscal year and quarter of an ISO day."""
        year, month = int(day[:4]), int(day[5:7])
        first = self.fiscal_month
        if first > 1 and month >= first and not self.fiscal_by_start:
            year += 1
        elif first > 1 and month < first and self.fiscal_by_start:
            year -= 1
        return year, ((month - first) % 12) // 3 + 1


def _person(_: Deriving, row: Row, __: frozenset[str]) -> Row:
    return {"Name": " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part) or None}


def _task(_: Deriving, row: Row, __: frozenset[str]) -> Row:
    return {"IsClosed": int(row.get("Status") == "Completed")}


def _opportunity(deriving: Deriving, row: Row, given: frozenset[str]) -> Row:
    made: Row = {}
    stage = deriving.stages.get(str(row.get("StageName")))
    if "StageName" in given or "IsWon" not in given:
        stage = stage or Stage("", False, False, 0, "Pipeline")
        made = {
            "IsClosed": int(stage.closed), "IsWon": int(stage.won), "Probability": stage.probability,
            "ForecastCategoryName": stage.forecast, "ForecastCategory": _FORECASTS.get(stage.forecast, stage.forecast),
        }  # fmt: skip
    if row.get("CloseDate"):
        year, quarter = deriving.fiscal(row["CloseDate"])
        made |= {"FiscalYear": year, "FiscalQuarter": quarter, "Fiscal": f"{year} {quarter}"}
    probability = (
        row.get("Probability") if "Probability" in given or not made.get("ForecastCategory") else made["Probability"]
    )
    amount = row.get("Amount")
    made["ExpectedRevenue"] = None if amount is None or probability is None else (amount * probability + 50) // 100
    return made


_RULES: Mapping[str, Callable[[Deriving, Row, frozenset[str]], Row]] = {
    "Opportunity": _opportunity, "Contact": _person, "Lead": _person, "User": _person, "Task": _task,
}  # fmt: skip
