"""Whole programs: the head, the digest, several files, what is not built."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path

import pytest

from crmsync.errors import ConfigError
from crmsync.programs.loading import load_program, load_programs
from tests.programs.texts import COLUMNS, GOOD, HEAD, LADDER, loaded

SMALLEST = """\
program: resellers
currency: EUR
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months}
  certified: {unit: people, count_distinct: certifications.person_id}
ladders:
  main:
    tiers:
      - registered
      - {key: silver, requires: {revenue: 100000, certified: 2}}
      - {key: gold, requires: {revenue: 500000, certified: 5}}
"""


def test_the_smallest_useful_program(tmp_path: Path) -> None:
    program = loaded(tmp_path, SMALLEST, None)
    assert (program.key, program.label, program.currency) == ("resellers", "resellers", "EUR")
    assert [tier.key for tier in program.ladders["main"].tiers] == ["registered", "silver", "gold"]
    assert program.version == program.digest[:12]


@pytest.mark.parametrize("columns", [COLUMNS, None], ids=["known", "open"])
def test_nearly_every_word_of_the_language(columns: dict[str, dict[str, object]] | None) -> None:
    program = load_program(GOOD, columns)  # type: ignore[arg-type]
    assert list(program.metrics)[:3] == ["resale_revenue", "weighted", "won"]
    assert program.effective_from == date(2026, 2, 1)
    assert program.version == "2026-02-01"
    assert program.money == {("lines", "mrr")}
    assert set(program.references) == {"markets", "zones"}
    assert program.categories["reseller"].starts_from is not None


def test_the_programs_of_the_configuration_load(project: Path) -> None:
    assert load_programs(project / "config" / "programs")


def test_loading_is_fast() -> None:
    load_program(GOOD, COLUMNS)
    started = time.process_time()
    load_program(GOOD, COLUMNS)
    assert time.process_time() - started < 0.25, "about 20 ms on an idle core"


def test_a_column_of_the_language_that_is_not_delivered_is_known(tmp_path: Path) -> None:
    columns = {"partners": {"partner_id": COLUMNS["partners"]["partner_id"]}}
    loaded(tmp_path, SMALLEST, columns)
    with pytest.raises(ConfigError, match="unknown table `lines`"):
        loaded(tmp_path, SMALLEST + "money: [lines.mrr]\n", columns)


def test_the_digest_changes_with_the_file_and_with_what_it_reads(tmp_path: Path) -> None:
    text = SMALLEST + "references: {markets: {file: markets.csv, key: {country: partners.country}}}\nrates: rates.csv\n"
    files = {"markets.csv": "country,factor\nDE,1\n", "rates.csv": "currency,rate\nEUR,1\n"}
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    digests = {loaded(tmp_path, text).digest, loaded(tmp_path, text).digest}
    assert len(digests) == 1
    digests.add(loaded(tmp_path, text + "# a comment\n").digest)
    for name in files:
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        digests.add(loaded(tmp_path, text).digest)
    assert len(digests) == 4


def test_a_folder_holds_several_programs(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(SMALLEST.replace("resellers", "second"), encoding="utf-8")
    (tmp_path / "a.yml").write_text(SMALLEST, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no program", encoding="utf-8")
    assert [program.key for program in load_programs(tmp_path)] == ["resellers", "second"]
    assert [program.key for program in load_programs(tmp_path / "a.yml")] == ["resellers"]


def test_an_empty_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no program"):
        load_programs(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_programs(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "program.yaml:1: a mapping"),
        ("program: p\n", "program.yaml:1: `metrics:` is missing here"),
        (HEAD, "program.yaml:1: `ladders:` is missing here"),
        (HEAD + "ladders: {}\n", "program.yaml:9: `ladders:` names no ladder"),
        (HEAD + LADDER + "program_: x\n", "program.yaml:14: unknown key `program_`; did you mean `program`?"),
        (HEAD.replace("resellers", "1st") + LADDER, "program.yaml:1: `1st` cannot be a program's key"),
        (HEAD.replace("EUR", "euro") + LADDER, "program.yaml:2: `euro` is not a currency"),
        (HEAD + LADDER + "effective_from: 1.2.2026\n", "program.yaml:14: `1.2.2026` is not a date"),
        (HEAD + LADDER + "cases: {name: x}\n", "program.yaml:14: a list is needed"),
        (HEAD + LADDER + "cases: [{expects: x}]\n", "program.yaml:14: unknown key `expects`; did you mean `expect`?"),
    ],
)
def test_mistakes_in_the_head(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    assert message in str(caught.value)


def test_cases_are_left_to_the_command_that_runs_them(tmp_path: Path) -> None:
    loaded(tmp_path, SMALLEST + "cases:\n  - {name: one, metrics: {revenue: 1}, expect: {tier: registered}}\n")
