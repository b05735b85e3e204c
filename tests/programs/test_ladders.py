"""What a ladder says beside its tiers' requirements: per, take, family, sustained; and which ladder is climbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.program import Criterion, Family, Horizon, Ladder, Per, Period, Take
from tests.programs.texts import COLUMNS, HEAD, LADDER, loaded

SPLIT = HEAD.replace("during: last 12 months}", "during: last 12 months, split_by: partners.region}")


def ladder(folder: Path, entry: str, head: str = SPLIT) -> Ladder:
    return loaded(folder, head + LADDER + f"    {entry}\n").ladders["main"]


@pytest.mark.parametrize(
    ("entry", "per"),
    [
        ("per: region", Per("region")),
        ("per: partners.region", Per("region")),
        ("per: region\n    take: best", Per("region", Take.BEST)),
        ("per: region\n    take: all", Per("region", Take.ALL)),
        ("per: region\n    take: each", Per("region", Take.EACH)),
        ("per: region\n    take: {at_least: 2}", Per("region", Take.AT_LEAST, 2)),
    ],
)
def test_a_ladder_per_value_of_a_column(tmp_path: Path, entry: str, per: Per) -> None:
    assert ladder(tmp_path, entry).per == per


def test_a_metric_built_on_a_split_one_splits_the_ladder(tmp_path: Path) -> None:
    found = loaded(tmp_path, SPLIT + LADDER.replace("revenue: 500000", "rate: 10%") + "    per: region\n")
    assert found.ladders["main"].per == Per("region")


def test_a_family_gives_a_floor(tmp_path: Path) -> None:
    own = ladder(tmp_path, "family: {tier: floor, from: top, where: region = parent.region}").family
    assert own is not None
    assert (own.line, own.from_top) == (14, True)
    assert own.where is not None
    assert own.where.columns == {("partners", "region"), ("parent", "region")}
    found = loaded(tmp_path, HEAD + LADDER + "family: {tier: floor}\n")
    assert found.family_of(found.ladders["main"]) == Family(14)


def test_sustained_and_means(tmp_path: Path) -> None:
    text = LADDER.replace("500000}", "500000}, sustained: 6 months, means: For the best")
    found = loaded(tmp_path, HEAD + text + "    means: One for all\nmeans: Resellers of the house\n")
    tier = found.ladders["main"].tiers[1]
    assert (tier.sustained, tier.means) == (Horizon(6, Period.MONTHS), "For the best")
    assert (found.ladders["main"].means, found.means) == ("One for all", "Resellers of the house")


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("take: best", "`take:` belongs to `per:`"),
        ("per: region\n    take: worst", "`worst` is not one of best, all, each or {at_least: n}"),
        ("per: region\n    take: {at_least: 0}", "`at_least: 0`: write 1 or more"),
        ("per: country", "no metric that ladder `main` reads is split by `country`; known: `region`"),
        ("per: regio", "did you mean `region`?"),
        ("family: {from: parent}", "`tier:` is missing"),
        ("family: {tier: ceiling}", "write `tier: floor`"),
        ("family: {tier: floor, from: mother}", "`from: mother` is neither parent nor top"),
        ("family: {tier: floor, where: region = parent.regio}", "did you mean `region`?"),
        ("family: {tier: floor, where: revenue > 1}", "`revenue` is a metric"),
        ("movement: {promote: monthly}", "unknown key `movement`"),
    ],
)
def test_mistakes_in_ladders(tmp_path: Path, entry: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ladder(tmp_path, entry)
    assert problem in caught.value.message
    assert caught.value.line == 14 + entry.count("\n")


@pytest.mark.parametrize("entry", ["{key: low, sustained: 6 months}", "{key: low, sustained: half a year}"])
def test_mistakes_in_sustained(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, HEAD + LADDER.replace("- registered", f"- {entry}"))
    assert caught.value.line == 12


READ = HEAD + "  special: {tier_of: {ladder: extra}}\n"
EXTRA = "  extra:\n    tiers:\n      - {key: one, requires: {people: 1}}\n"


def test_a_ladder_that_is_only_read_needs_no_category(tmp_path: Path) -> None:
    for text in (LADDER + EXTRA, LADDER.replace("  main", EXTRA + "  main")):
        found = loaded(tmp_path, READ + text)
        assert {key: one.ladder for key, one in found.categories.items()} == {"all": "main"}
    assert loaded(tmp_path, READ + LADDER + EXTRA + "categories: {a: {}}\n").categories["a"].ladder == "main"


def test_the_tiers_of_a_category_that_names_no_ladder_are_known(tmp_path: Path) -> None:
    text = READ + "  own: {tier_of: {category: a}}\n" + LADDER + EXTRA.replace("{people: 1}", "{own: gold}")
    found = loaded(tmp_path, text + "categories: {a: {}}\n", COLUMNS)
    requires = found.ladders["extra"].tiers[0].requires
    assert requires is not None
    assert isinstance(requires.parts[0], Criterion)
    assert requires.parts[0].value == 2


def test_a_ladder_that_nobody_climbs_or_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`extra` is climbed by no category and read by no `tier_of`") as caught:
        loaded(tmp_path, HEAD + LADDER + EXTRA + "categories: {a: {ladder: main}}\n")
    assert caught.value.line == 14
