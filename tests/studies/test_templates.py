"""`crmsync init`: every template is a whole program, with cases that pass, nothing to remark and a guide."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from crmsync.connectors.checks import check_rows
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.programs.guide import guide_of, guide_text
from crmsync.programs.lint import lint
from crmsync.programs.loading import load_program
from crmsync.sandbox.process import start_org
from crmsync.settings import SalesforceSettings
from crmsync.snapshots import Staging
from crmsync.studies.cases import run_cases
from crmsync.studies.templates import templates, write_template
from tests.studies.command import ended

NAMES = ("isv", "msp", "multi-category-global", "points", "referral", "reseller", "training-first")


@pytest.fixture(params=NAMES)
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A template as `init` writes it."""
    return write_template(request.param, tmp_path)[0]


def test_there_are_these_templates() -> None:
    assert tuple(templates()) == NAMES


def test_the_program_loads_and_says_what_everything_means(program: Path) -> None:
    loaded = load_program(program)
    assert loaded.key == program.stem
    assert loaded.means
    parts = [one for one in loaded.metrics.values() if "." in one.key]
    assert all(one.label != one.key for one in loaded.metrics.values())
    assert all(one.means for one in loaded.metrics.values() if one not in parts)
    assert all(tier.label != tier.key for ladder in loaded.ladders.values() for tier in ladder.tiers)


def test_lint_has_nothing_to_remark(program: Path) -> None:
    assert [finding.text for finding in lint(load_program(program))] == []


def test_its_cases_pass(program: Path) -> None:
    results = run_cases(program)
    assert len(results) >= 5
    assert {one.name: one.differences for one in results if not one.passed} == {}


def test_it_has_a_guide(program: Path) -> None:
    loaded = load_program(program)
    guide = guide_of(loaded)
    assert guide.benefits
    assert all(path.overview or len(path.tiers) <= 3 for path in guide.paths)
    assert guide_text(loaded).startswith(f"# {loaded.label}\n")
    assert f"<title>{loaded.label}</title>" in guide_text(loaded, html=True)


# --- on the sample company


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """The tables of the sample company, read from its org through the shipped field map."""
    folder = tmp_path_factory.mktemp("company") / "snapshot"
    with start_org(["--sample", "120", "--today", "2026-11-22"]) as org:
        settings = SalesforceSettings(instance_url=org.instance_url, access_token=org.access_token)
        mapping = read_mapping(project / "config" / "connectors" / "salesforce.yaml")
        staging = Staging(folder)
        SalesforceConnector(settings, mapping, folder.parent, "UTC").extract(list(mapping.tables), staging)
        check_rows(staging)
        staging.seal()
    return folder


@pytest.mark.xdist_group("sample_company")
def test_it_levels_the_sample_company(program: Path, company: Path, tmp_path: Path) -> None:
    out = tmp_path / "standings.csv"
    told = ended("assess", str(program), "--tables", str(company), "--as-of", "2026-11-22", "--out", str(out))
    assert told.code in (0, 3), told.err  # the company has overrides of tiers that only the shipped program knows
    with out.open(encoding="utf-8", newline="") as stream:
        granted = {row["granted_tier"] for row in csv.DictReader(stream)}
    assert granted - {""}


# --- the command


def test_init_writes_a_program_that_its_own_commands_take(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "programs"
    told = ended("init", "--template", "multi-category-global", "--to", str(folder))
    assert told.code == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        "multi-category-global-thresholds.csv",
        "multi-category-global.yaml",
    ]
    assert f"test {folder}/multi-category-global.yaml" in told.out


def test_init_lists_the_templates_where_none_is_named_or_a_wrong_one(tmp_path: Path) -> None:
    listed = ended("init")
    assert listed.code == 0
    assert all(name in listed.out for name in NAMES)
    wrong = ended("init", "--template", "resseller", "--to", str(tmp_path))
    assert wrong.code == 4
    assert "did you mean `reseller`?" in wrong.err
    assert all(name in wrong.err for name in NAMES)
    assert list(tmp_path.iterdir()) == []


def test_init_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "multi-category-global-thresholds.csv").write_text("mine", encoding="utf-8")
    told = ended("init", "--template", "multi-category-global", "--to", str(tmp_path))
    assert told.code == 4
    assert "multi-category-global-thresholds.csv is there already; nothing was written" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["multi-category-global-thresholds.csv"]
