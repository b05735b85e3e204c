"""The JSON Schema of ladders, tiers, threshold tables, categories, benefits and what they cost."""

from __future__ import annotations

from crmsync.programs.schema_shapes import (
    KEY,
    METRIC,
    Schema,
    by_attribute,
    day,
    described,
    either,
    keys,
    named,
    number,
    ref,
    some,
    stretch,
    text,
    whole,
    words,
)

_JUNCTIONS = {
    "all": "Every one of these must be met.",
    "any": "One of these must be met.",
    "none": "None of these may be met.",
}
_COUNTED = ("at_least", "of", "including")
_LABEL = described(text(), "The name that people see. Default: the key.")


def ladders_schema() -> Schema:
    """`ladders:`."""
    take = either(
        words("best", "all", "each"),
        keys({"at_least": described(whole(1), "The highest tier that so many values reach.")}, ("at_least",)),
    )
    ladder = keys(
        {
            "label": _LABEL,
            "means": described(text(), "What the ladder is for; text of the guide."),
            "climb": described(
                words("highest", "steps"), "The highest tier that is met, or stop before the first unmet."
            ),
            "per": described(text(), "Evaluate the ladder for each value of this column, by metrics with split_by."),
            "take": described(take, "Which tier counts of those per value. Default: best."),
            "family": described(ref("family"), "What the family of accounts gives; replaces that of the program."),
            "tiers": described(some(either(text(), _tier())), "The tiers, lowest first."),
        },
        ("tiers",),
        dependentRequired={"take": ["per"]},
    )
    return named(ladder)


def _tier() -> Schema:
    return keys(
        {
            "key": described(text(), "The stable name: letters, digits and _, first a letter."),
            "label": _LABEL,
            "means": described(text(), "Whom the tier is for; text of the guide."),
            "requires": described(ref("requirement"), "What the tier asks for."),
            "keeps": described(ref("requirement"), "What holds the tier. Default: the same as requires."),
            "sustained": described(stretch(), "To enter, `requires` must have held that long."),
            "rank": described(whole(), "Compares tiers of several ladders. Default: the position from the bottom."),
            "benefits": described(
                named(ref("benefit"), least=0), "What the tier gives; more comes from the tier below."
            ),
            "movement": described(ref("movement"), "Movement of this tier; each key replaces the one above."),
        },
        ("key",),
        dependentRequired={"keeps": ["requires"], "sustained": ["requires"]},
    )


def requirement_schema() -> Schema:
    """`requires`, `keeps`, and what stands in their groups."""
    return either(some(ref("criteria")), ref("criteria"))


def criteria_schema() -> Schema:
    """Criteria and groups by key; a plain mapping means all of them."""
    reserved = "|".join((*_JUNCTIONS, *_COUNTED))
    return {
        "type": "object",
        "properties": {
            **{key: described(ref("requirement"), means) for key, means in _JUNCTIONS.items()},
            "at_least": described(whole(1), "So many of the parts under `of` must be met."),
            "of": described(ref("requirement"), "The parts that `at_least` counts."),
            "including": described(
                either(some(either(text(), ref("criteria"))), ref("criteria")),
                "Those of the parts that must be met and count.",
            ),
        },
        "patternProperties": {f"^(?!({reserved})$){METRIC}$": ref("threshold")},
        "additionalProperties": False,
        "minProperties": 1,
        "dependentRequired": {"at_least": ["of"], "of": ["at_least"], "including": ["at_least"]},
    }


def threshold_schema() -> Schema:
    """The value of a criterion."""
    found = either(text(), by_attribute(ref("threshold")))
    return described(found, 'A value (at least), "> v", "<= v", "= v", yes, another metric, or `from thresholds`.')


def family_schema() -> Schema:
    """`family:`."""
    return keys(
        {
            "tier": described(words("floor"), "The granted tier is at least that of the other account."),
            "from": described(words("parent", "top"), "Which account gives the tier. Default: parent."),
            "where": described(text(), "For whom: a condition, like `region = parent.region`."),
        },
        ("tier",),
    )


def thresholds_schema() -> Schema:
    """`thresholds:`, a file or rows."""
    row = {
        "type": "object",
        "properties": {
            "ladder": described(text(), "The key of the ladder."),
            "tier": described(text(), "The key of the tier."),
            "metric": described(text(), "The metric of the criterion."),
            "value": described(text(), "What is asked for."),
            "rule": described(words("requires", "keeps"), "Default: requires."),
            "currency": described(text(), "The currency of the value, where it is another than the program's."),
        },
        "required": ["ladder", "tier", "metric", "value"],
        "additionalProperties": described(text(), "A column of the partner, with the value it must have."),
    }
    return either(described({"type": "string"}, "A CSV or YAML file beside the program."), some(row))


def categories_schema() -> Schema:
    """`categories:`."""
    category = keys(
        {
            "label": _LABEL,
            "means": described(text(), "Who belongs here, in a sentence; also the help text in the CRM."),
            "member": described(text(), "Who belongs: a condition over metrics and columns. Default: everybody."),
            "observed": described(text(), "The evidence, which is compared with the declaration."),
            "ladder": described(text(), "The ladder that is climbed; may be left out where there is one."),
            "starts_from": described(ref("starts_from"), "Hand-kept tiers of this category on the first run."),
            "movement": described(ref("movement"), "Movement in this category; each key replaces the program's."),
        }
    )
    return named(category)


def starts_from_schema() -> Schema:
    """`starts_from:`."""
    return keys(
        {
            "field": described(text(), "The column with the hand-kept tier: partners.column."),
            "values": described(named(text(), ".+", 0), "Text in the column: key of the tier."),
        },
        ("field",),
    )


def benefit_schema() -> Schema:
    """A benefit of a tier."""
    found = either(text(), by_attribute(ref("benefit")))
    return described(found, "A percent, money (`500 EUR`), a number, a text, or `none`.")


def commission_schema() -> Schema:
    """`commission:`."""
    return keys(
        {
            "of": described(text(), "The metric that the rate depends on."),
            "bands": described(
                named(number(), r"-?[0-9]+(\.[0-9]+)?%?"),
                "From which value on which rate holds, rising: {0%: 3%, 50%: 10%}.",
            ),
            "max": described(ref("rate"), "No higher rate than this; a table by tier, category or column."),
        },
        ("of", "bands"),
    )


def rate_schema() -> Schema:
    """A commission rate, or a table of them."""
    return either(number(), by_attribute(ref("rate")))


def costs_schema() -> Schema:
    """`costs:`."""
    return named(described(text(), "A formula over benefits and metrics, like `discount * revenue`."))


def migration_schema() -> Schema:
    """`migration:`."""
    return keys(
        {
            "keep_until": described(day(), "Until this day nobody falls below what the version before would give."),
            "becomes": described(named(text(), KEY, 0), "Tier of the version before: tier of this version."),
        },
        ("keep_until",),
    )
