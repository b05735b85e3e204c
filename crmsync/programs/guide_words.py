"""Numbers, windows, dates and thresholds in the words of a partner guide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from crmsync.programs.lint_findings import Leaf
from crmsync.programs.program import (
    CalendarPeriod,
    Comparison,
    Effective,
    Ever,
    FirstMonths,
    FromRank,
    FromTier,
    Horizon,
    InForce,
    Lag,
    Last,
    LastComplete,
    Metric,
    MoneyValue,
    OtherMetric,
    Period,
    Program,
    ReviewDates,
    Shift,
    SinceJoining,
    ThisAndBefore,
    Unit,
    Window,
)

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
NOTHING = "–"


def sentence_case(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def words_of(key: str) -> str:
    """A key or column as words: `resale_revenue` is resale revenue."""
    return key.replace("_", " ").strip()


def title_of(label: str, key: str) -> str:
    """What a person calls it: its label, or its key as words where it has none."""
    return sentence_case(words_of(key.rpartition(".")[2])) if label == key else label


def joined(parts: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def grouped(value: Decimal) -> str:
    """A number with thousands separators and without trailing zeros."""
    whole, _, rest = f"{value:,f}".partition(".")
    rest = rest.rstrip("0")
    return f"{whole}.{rest}" if rest else whole


def percent(value: Decimal) -> str:
    """A fraction as a percent."""
    return f"{grouped(value * 100)}%"


def money(value: Decimal, currency: str | None) -> str:
    """An amount with its currency."""
    return f"{currency} {grouped(value)}" if currency else grouped(value)


def day(value: date) -> str:
    """`1 January 2026`."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def stretch(horizon: Horizon) -> str:
    """`90 days`, `1 month`."""
    return counted(horizon.count, horizon.period)


def counted(count: int, period: Period) -> str:
    """A number of days, months and the like."""
    name = period.value if count != 1 else period.value.removesuffix("s")
    return f"{count} {name}"


# --- values


@dataclass(frozen=True)
class Words:
    """Names and values of one program as its partners read them."""

    program: Program

    def metric(self, key: str) -> str:
        """The label of a metric; of a part of a score with the name of the score."""
        metric = self.program.metrics.get(key)
        if metric is None:
            return words_of(key)
        name = title_of(metric.label, key)
        if "." in key and key.partition(".")[0] in self.program.metrics and metric.label == key:
            return f"{self.metric(key.partition('.')[0])}: {name[:1].lower()}{name[1:]}"
        return name

    def tier(self, key: str) -> str:
        """The label of a tier."""
        for ladder in self.program.ladders.values():
            for tier in ladder.tiers:
                if tier.key == key:
                    return title_of(tier.label, tier.key)
        return words_of(key)

    def category(self, key: str) -> str:
        """The label of a category."""
        category = self.program.categories.get(key)
        return title_of(category.label, key) if category else words_of(key)

    def value(self, leaf: Leaf | None, unit: Unit) -> str:
        """A value of a metric or benefit."""
        if leaf is None:
            return NOTHING
        if isinstance(leaf, bool):
            return "yes" if leaf else "no"
        if isinstance(leaf, OtherMetric):
            return self.metric(leaf.key)
        if isinstance(leaf, MoneyValue):
            return money(leaf.amount, leaf.currency)
        if isinstance(leaf, str):
            return leaf
        if unit is Unit.MONEY:
            return money(leaf, self.program.currency)
        return percent(leaf) if unit is Unit.PERCENT else grouped(leaf)

    def threshold(self, metric: Metric, leaf: Leaf | None) -> str:
        """A value that a metric is compared with; a position on a ladder is the tier of that position."""
        ladder = self._ladder_of(metric)
        if ladder and isinstance(leaf, Decimal) and leaf == int(leaf) and 1 <= leaf <= len(ladder):
            return ladder[int(leaf) - 1]
        return self.value(leaf, metric.unit)

    def _ladder_of(self, metric: Metric) -> list[str]:
        source = metric.source
        if not isinstance(source, FromTier) or source.program is not None:
            return []
        key = source.ladder
        if source.category is not None and source.category in self.program.categories:
            key = self.program.categories[source.category].ladder
        return [title_of(tier.label, tier.key) for tier in self.program.ladders[key].tiers] if key else []

    def criterion(self, metric: Metric, comparison: Comparison, leaf: Leaf | None) -> str:
        """`Resale revenue: at least EUR 100,000`."""
        name, value = self.metric(metric.key), self.threshold(metric, leaf)
        if isinstance(leaf, bool):
            return name if leaf else f"{name}: no"
        if isinstance(metric.source, FromRank):
            return f"{name}: {_place(metric.source, comparison, value)}"
        if comparison is Comparison.EQ:
            return f"{name}: {value}" if isinstance(leaf, str) else f"{name}: exactly {value}"
        if isinstance(leaf, OtherMetric):
            return f"{name}: {COMPARED[comparison]} {value}"
        return f"{name}: {COMPARED_WITH[comparison]} {value}"


COMPARED_WITH = {
    Comparison.GE: "at least", Comparison.GT: "more than", Comparison.LE: "at most", Comparison.LT: "less than",
    Comparison.EQ: "exactly",
}  # fmt: skip
COMPARED = {
    Comparison.GE: "at least as much as", Comparison.GT: "more than", Comparison.LE: "at most as much as",
    Comparison.LT: "less than", Comparison.EQ: "exactly as much as",
}  # fmt: skip


def _place(source: FromRank, comparison: Comparison, value: str) -> str:
    if comparison in (Comparison.LE, Comparison.LT):
        among = f"among the {'best' if source.percentile else 'first'} {value}"
        return among if comparison is Comparison.LE else f"{among}, that place excluded"
    return (
        f"{COMPARED_WITH[comparison]} place {value}"
        if not source.percentile
        else f"{COMPARED_WITH[comparison]} {value}"
    )


# --- windows and dates


def window_words(window: Window | None) -> str:
    """`in the last 12 months`; nothing where everything counts."""
    if window is None:
        return ""
    until = window.until
    text = _window(window)
    shift = getattr(window, "shift", None)
    if isinstance(shift, Shift):
        text = f"{text}, seen {counted(shift.count, shift.period)} earlier"
    return f"{text}, up to the date “{words_of(until)}”".lstrip(", ") if until else text


def _window(window: Window) -> str:
    match window:
        case Last(count=1, period=period):
            return f"in the last {period.value.removesuffix('s')}"
        case Last(count=count, period=period):
            return f"in the last {counted(count, period)}"
        case LastComplete(count=count, period=period):
            return f"in the last {'' if count == 1 else f'{count} '}complete {counted(count, period).split()[1]}"
        case ThisAndBefore(count=count, period=period):
            name = period.value.removesuffix("s")
            return f"in this {name} and the {counted(count, period) if count > 1 else name} before"
        case CalendarPeriod(previous=previous, period=period, fiscal=fiscal):
            name = ("fiscal " if fiscal else "") + period.value.removesuffix("s")
            return f"in the previous {name}" if previous else f"in this {name} so far"
        case SinceJoining():
            return "since joining the program"
        case FirstMonths(count=count):
            return f"in the first {counted(count, Period.MONTHS)} after joining"
        case InForce(tail=tail):
            return f"valid on the day, or expired less than {stretch(tail)} ago" if tail else "valid on the day"
        case Ever():
            return ""
    return ""


def dates_words(dates: ReviewDates | None) -> str:
    """`on 15 January and 15 July of each year`."""
    if dates is None or dates.any_day:
        return "on any day"
    if dates.anniversary:
        named = "joining" if dates.anniversary == "joined_on" else f"the date “{words_of(dates.anniversary)}”"
        return f"once a year, on the anniversary of {named}"
    days = list(dates.days)
    if len(days) == 12 and len({d for _, d in days}) == 1:
        return f"each month, on day {days[0][1]}" if days[0][1] != 1 else "on the first day of each month"
    named = joined([f"{d} {MONTHS[m - 1]}" for m, d in days])
    if len(days) == 4 and {d for _, d in days} == {1}:
        return f"at the start of each quarter ({named})"
    return f"on {named} of each year"


def effective_words(effective: Effective | None) -> str:
    """When a decided change comes into force."""
    if effective is None or effective.lag is Lag.IMMEDIATELY:
        return "takes effect at once"
    if effective.lag is Lag.NEXT_MONTH:
        return "takes effect on the first day of the month after"
    return f"takes effect {stretch(effective.after)} later" if effective.after else "takes effect at once"
