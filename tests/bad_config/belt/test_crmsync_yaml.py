"""One mistake per case in a good crmsync.yaml: a message with file and line that says what would be right."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crmsync.configuration import FILE, load_configuration, packaged_folder
from crmsync.errors import ConfigError

# what stands in the good file, what stands there instead, and what the message must say
MISTAKES = [
    ("\nguards:", "\nreading: {full_every: 15 days}\nguards:", "`15 days` is not a number of days from 0 to 14"),
    ("\nguards:", "\nreading: {full_every: weekly}\nguards:", "`weekly` is not a number of days"),
    ("\nguards:", "\nreading: {overlap: 10}\nguards:", "`10` is not a number of minutes from 0 to 1440"),
    ("\nguards:", "\nreading: {overlaps: 10 minutes}\nguards:", "overlaps"),
    ("org: sandbox", "org: sandbx", "`sandbx` is not an org; did you mean `sandbox`?"),
    ("org: sandbox", "orgs: sandbox", "unknown key `orgs`; did you mean `org`?"),
    ("org: sandbox", "org:", "`org:` has no value"),
    ("org: sandbox", "org: files", "table partners comes from salesforce, but `org: files` has none"),
    ("sample: 2000", "sample: 2,000", "has no value; in {} or [] a value with a comma needs quotes"),
    ("sample: 2000", "sample: many", "`many` is not a whole number"),
    ("sample: 2000", "sample: 0", "the sample company has 1 to 1000000"),
    ("sample: 2000", "sampel: 2000", "unknown key `sampel`; did you mean `sample`?"),
    ("programs/channel.yaml", "programs/chanel.yaml", "`programs/chanel.yaml` does not exist"),
    ("time_zone: UTC", "time_zone: Berlin", "`Berlin` is not a time zone; write an IANA name"),
    ("time_zone: UTC", "time_zone: ../UTC", "`../UTC` is not a time zone"),
    ("  partners: salesforce", "  partner: salesforce", "`partners:` is missing here"),
    ("  opportunities: salesforce", "  opportunities: hubspott", "`hubspott` is not a connector"),
    ("  certifications: salesforce", "  certifications: files", "comes from files: name its `folder:`"),
    ("  certifications: salesforce", "  partners: salesforce", "duplicate key `partners`"),
    ("  certifications: salesforce", "\tcertifications: salesforce", "a tab stands here"),
    (
        "  certifications: salesforce",
        "  certifications: {connector: files, folder: lms}",
        "`lms` does not exist in",
    ),
    (
        "  certifications: salesforce",
        "  certifications: {connector: salesforce, folder: programs}",
        "`folder` belongs to the connector files",
    ),
    (
        "  certifications: salesforce",
        "  certifications: {connector: files, folder: programs, match: account_number}",
        "`account_number` is not a partner column; write partners.account_number",
    ),
    ("  partners: salesforce", "  partners: {connector: salesforce, match: partners.name}", "`match` has no meaning"),
    ("write_to: salesforce", "write_to: files", "writing to files needs a folder"),
    ("at_least: 10", "at_least: -1", "a guard counts from 0"),
    ("share: 5%", "share: 500%", "`500%` is not a share of all partners; write 5%"),
    ("share: 5%", "share: five", "`five` is not a number"),
    ("tier_changes:", "tier_change:", "unknown key `tier_change`; did you mean `tier_changes`?"),
    ("  demotions:", "  canary: on\n  demotions:", "`on` is no canary; write off, or {share: 1%"),
    ("  demotions:", "  canary: {at_least: 9, at_most: 3}\n  demotions:", "`9` to `3` accounts; at_least is 1 or more"),
    ("  demotions:", "  period_end: yes\n  demotions:", "`yes` is not known here; write approve"),
    ("  demotions:", "  demotion_lag: twice\n  demotions:", "`twice` is not yes or no"),
    ("  demotions:", "  small_program: -1\n  demotions:", "`-1` partners; a guard counts from 0"),
    ("  demotions:", "  trends: {row: 2%}\n  demotions:", "unknown key `row`; did you mean `rows`?"),
    ("  demotions:", "  trends: {rows: 3}\n  demotions:", "`3` is not a share of what was there before; write 5%"),
    ("  demotions:", "  trends: {tables: {rates: 200%}}\n  demotions:", "`200%` is not a share of the rows before"),
    (
        "  demotions:",
        "  trends: {tables: {oportunities: off}}\n  demotions:",
        "none of the tables that are read; did you mean `opportunities`?",
    ),
    ("guards:", "guards: &g", "an anchor `&g` is not accepted"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(packaged_folder(), tmp_path / "config"))


def test_the_packaged_file_is_good(folder: Path) -> None:
    configuration = load_configuration(folder)
    assert configuration.org == "sandbox"
    assert configuration.guards.tier_changes.at_least == 10


@pytest.mark.parametrize(("good", "bad", "told"), MISTAKES, ids=[bad.strip()[:40] for _, bad, _ in MISTAKES])
def test_a_mistake_is_named_with_file_and_line(folder: Path, good: str, bad: str, told: str) -> None:
    text = (folder / FILE).read_text(encoding="utf-8")
    assert text.count(good) >= 1, "the good file no longer holds this token"
    (folder / FILE).write_text(text.replace(good, bad, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_configuration(folder)
    message = str(caught.value)
    assert told in message
    assert message.startswith(f"{folder / FILE}:"), message
    assert message.removeprefix(f"{folder / FILE}:").split(":")[0].isdigit(), "no line number"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"- sandbox\n", "a mapping"),
        (b"org: \xff\n", "is not UTF-8 text"),
        (b"org: sandbox\n", "`program:` is missing"),
        (b"# " + b"x" * (1 << 20), "is larger than 1,048,576 bytes"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(folder: Path, content: bytes, told: str) -> None:
    (folder / FILE).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_configuration(folder)
    assert told in str(caught.value)
    assert str(folder / FILE) in str(caught.value)


def test_a_folder_without_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as caught:
        load_configuration(tmp_path)
    assert str(tmp_path / FILE) in str(caught.value)
