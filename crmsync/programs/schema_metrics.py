"""The JSON Schema of `metrics:`: every source with the keys that may stand beside it."""

from __future__ import annotations

from collections.abc import Mapping

from crmsync.programs.metrics import SOURCES
from crmsync.programs.program import Aggregate, RollsUp, Unit, WhenMissing
from crmsync.programs.schema_shapes import (
    METRIC,
    Schema,
    by_attribute,
    described,
    either,
    keys,
    named,
    number,
    pattern,
    ref,
    shift,
    some,
    text,
    window,
    words,
    yes_no,
)

_COMMON: Mapping[str, Schema] = {
    "label": described(text(), "The name that people see. Default: the key."),
    "means": described(text(), "What the metric says, in a sentence; also the help text in the CRM."),
    "unit": described(words(*Unit), "What is counted. Default: number. A percent is kept as a fraction: 30% is 0.3."),
    "kind": described(words("leading", "lagging"), "Whether it looks ahead (leading) or back (lagging)."),
    "rolls_up": described(words(*RollsUp), "What a parent account gets from those below it. Default: own."),
    "rolls_up_where": described(
        text(), "Which accounts take part in the roll-up: a condition, like `region = parent.region`."
    ),
    "when_missing": described(words(*WhenMissing), "What an unknown value becomes. Default: unknown, never zero."),
    "better": described(words("higher", "lower"), "Whether more or less is better. Default: higher."),
}

_ROWS: Mapping[str, Schema] = {
    "where": described(text(), "Which rows count: a condition, like `is_won and role = 'reseller'`."),
    "during": described(window(), "From when to when rows count. Default: ever, or `in force` where rows expire."),
    "dated_by": described(text(), "The date that the window looks at, instead of the table's main date."),
}

_AGGREGATES: Mapping[Aggregate, str] = {
    Aggregate.SUM: "Adds up table.column, or an expression over it: `opportunities.amount * 0.5`.",
    Aggregate.COUNT: "How many rows of the table; an opportunity counts once.",
    Aggregate.COUNT_DISTINCT: "How many different values, like `certifications.person_id`.",
    Aggregate.AVERAGE: "The average of table.column; without rows it is unknown.",
    Aggregate.MEDIAN: "The middle value of table.column.",
    Aggregate.MINIMUM: "The smallest value of table.column.",
    Aggregate.MAXIMUM: "The largest value of table.column.",
    Aggregate.FIRST: "The value of the first row, by date.",
    Aggregate.LAST: "The value of the last row, by date.",
}

_VERSUS = described(shift(), "What it is compared with: the same metric that long ago.")
_WITHIN = described(
    either(text(), some(text())), "Ranks among partners alike: columns of partners, or the word category."
)


def _aggregates() -> dict[str, Schema]:
    return {str(one): described(text(), _AGGREGATES.get(one, f"The {one} of table.column.")) for one in Aggregate}


def _sources() -> dict[str, Schema]:
    """Every source word with its value."""
    return {
        **_aggregates(),
        "field": described(text(), "A value on the account itself: partners.column."),
        "formula": described(text(), "An expression over other metrics and partners.column."),
        "growth_of": described(text(), "The growth of another metric: (now - then) / then. Needs `versus`."),
        "change_of": described(text(), "The change of another metric: now - then. Needs `versus`."),
        "groups": described(_groups(), "How many values of a column meet conditions, like customers with two orders."),
        "score": described(_score(), "Points, added up from parts."),
        "rank_of": described(text(), "The place among the partners by another metric: 1 is the largest."),
        "percentile_of": described(text(), "The place divided by the number ranked: the best 3 % are `<= 3%`."),
        "tier_of": described(_tier_of(), "The position of a tier on a ladder, in a category or in another program."),
        "held_for": described(_held_for(), "For how many days a tier or a criterion holds: {tier: gold}."),
    }


def _options() -> dict[str, Mapping[str, Schema]]:
    """Source word -> the keys that only stand beside it."""
    split = described(text(), "Also compute the metric for each value of this column, like region.")
    zero = described(either(words("unknown"), number()), "The growth where the base is zero. Default: unknown.")
    who = described(text(), "Who is ranked: a condition over metrics and columns of partners.")
    hundred = described(yes_no(), "Say yes where the column holds 70 for 70 %.")
    rows = {**_ROWS, "split_by": split}
    return {
        **{str(one): rows for one in Aggregate},
        "field": {"of_hundred": hundred},
        "growth_of": {"versus": _VERSUS, "when_base_is_zero": zero},
        "change_of": {"versus": _VERSUS},
        "rank_of": {"within": _WITHIN, "where": who},
        "percentile_of": {"within": _WITHIN, "where": who},
    }


def metrics_schema() -> Schema:
    """`metrics:`."""
    return named(_metric())


def _metric() -> Schema:
    # A source that this module does not know yet takes anything, and is described by what it gives.
    unknown = {word: described({}, f"Gives {source.gives or word}.") for word, source in SOURCES.items()}
    sources = {**unknown, **_sources()}
    more = {
        word: dict.fromkeys(source.options, described({}, f"Belongs to {word}.")) for word, source in SOURCES.items()
    }
    options = {**more, **_options()}
    every = {key: one for keys_of_source in options.values() for key, one in keys_of_source.items()}
    return keys(
        {**_COMMON, **sources, **every},
        oneOf=[{"required": [source]} for source in sources],
        allOf=[
            {
                "if": {"required": [source]},
                "then": {"propertyNames": {"enum": [source, *_COMMON, *options.get(source, ())]}},
            }
            for source in sources
        ],
        dependentRequired={"growth_of": ["versus"], "change_of": ["versus"]},
    )


def _groups() -> Schema:
    limits = {
        "at_least": described(number(), "Met by this value or more."),
        "at_most": described(number(), "Met by this value or less."),
    }
    aggregates = _aggregates()
    condition = keys(
        {**aggregates, **_ROWS, **limits},
        allOf=[{"oneOf": [{"required": [one]} for one in known]} for known in (aggregates, limits)],
    )
    return keys(
        {
            "of": described(text(), "The column whose values are counted, like customer_id."),
            "having": described(either(condition, some(condition)), "What a value must meet, every condition."),
            "share": described(yes_no(), "The fraction of those meeting the first condition that meet all."),
        },
        ("of", "having"),
    )


def _score() -> Schema:
    points = ref("points")
    part = keys(
        {
            "of": described(text(), "The metric that the part looks at."),
            "worth": described(points, "Points for a yes, or for reaching `full_at` (below it in proportion)."),
            "full_at": described(points, "The value that gives all of `worth`; more gives no more."),
            "each": described(
                either(points, pattern(r"\S+ per \S+", "1 per 1000", "1 per 1%")),
                "Points for each one, or `1 per 1000`.",
            ),
            "whole_units": described(yes_no(), "Only whole units count: 19.99 gives 1 of `1 per 10`."),
            "bands": described(named(points, r"-?[0-9]+(\.[0-9]+)?%?"), "Points of the highest band reached."),
            "best": described(some(text(), 2), "The best of several parts or metrics."),
            "max": described(points, "No more points than this."),
            "needs": described(text(), "A condition over metrics; unmet, the part gives 0."),
            "allow_negative": described(yes_no(), "Let the part take points away."),
            "label": _COMMON["label"],
        },
        oneOf=[{"required": [way]} for way in ("worth", "each", "bands", "best")],
        dependentRequired={"full_at": ["worth"], "whole_units": ["each"]},
    )
    group = keys(
        {
            "parts": described(some(text()), "The parts that count together; each part in one group at most."),
            "max": described(points, "No more points than this."),
            "label": _COMMON["label"],
        },
        ("parts",),
    )
    return keys(
        {
            "parts": described(named(part), "What gives points. Each is a metric of its own: score.part."),
            "groups": described(named(group, least=0), "Parts that share a cap. Each is a metric: score.group."),
            "max": described(points, "No more points than this."),
        },
        ("parts",),
    )


def _tier_of() -> Schema:
    return keys(
        {
            "ladder": described(text(), "A ladder of this program."),
            "category": described(text(), "A category of this program, or of the program named."),
            "program": described(text(), "The key of another program in the same folder."),
        },
        minProperties=1,
    )


def _held_for() -> Schema:
    return {**named(ref("threshold"), METRIC), "maxProperties": 1}


def points_schema() -> Schema:
    """A number of points: a number, a metric, or a table by attribute."""
    return either(text(), by_attribute(ref("points")))
