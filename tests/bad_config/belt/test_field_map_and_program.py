"""Mistakes that only show when the files of a configuration are read together; found before anything is opened."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from crmsync.belt import read_files
from crmsync.configuration import packaged_folder
from crmsync.errors import ConfigError

FIELD_MAP = "connectors/salesforce.yaml"
PROGRAM = "programs/channel.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(packaged_folder(), tmp_path / "config"))


def test_the_packaged_files_fit_together(folder: Path) -> None:
    files = read_files(folder)
    assert files.fields.object == "Account"
    assert files.fields.token


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            FIELD_MAP,
            "current_tier: Partner_Tier_Manual__c",
            "current_tier: Partner_Tier__c",
            f"{FIELD_MAP}:27: `Partner_Tier__c` is where starts_from reads hand-kept tiers, and `granted_tier`",
        ),
        (
            FIELD_MAP,
            "granted_tier: Partner_Tier__c",
            "granted_tier: msp_tier_manual__c",
            "`MSP_Tier_Manual__c` is where starts_from reads hand-kept tiers",
        ),
        (FIELD_MAP, "  activities:\n", "  actions:\n", "table activities comes from salesforce, but"),
        (FIELD_MAP, "writes:", "write:", "unknown key `write`; did you mean `writes`?"),
        (FIELD_MAP, "granted_tier: Partner_Tier__c", "granted_tier: Next_Tier__c", "already written by"),
        (FIELD_MAP, "time_zone: org", "time_zone: orgs", "`orgs` is not a time zone"),
        (PROGRAM, "requires: {referrals: 5}", "requires: {referals: 5}", "did you mean `referrals`?"),
        (PROGRAM, "ladder: services", "ladder: service", "did you mean `services`?"),
        (PROGRAM, "unit: money", "unit: monney", "`monney` is not one of money"),
    ],
)
def test_a_mistake_is_named_before_anything_is_opened(folder: Path, file: str, old: str, new: str, told: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text, "the good file no longer holds this token"
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_files(folder)
    assert told in str(caught.value)
    assert file in str(caught.value) or "crmsync.yaml" in str(caught.value)
    assert not Path(".crmsync").exists()


def test_a_field_map_without_writes_is_refused(folder: Path) -> None:
    file = folder / FIELD_MAP
    file.write_text(file.read_text(encoding="utf-8").partition("\nwrites:")[0] + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="`writes:` is missing"):
        read_files(folder)


def test_a_folder_with_several_programs_is_not_written_back(folder: Path) -> None:
    file = folder / "crmsync.yaml"
    text = file.read_text(encoding="utf-8").replace("programs/channel.yaml", "programs")
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="name the file of one"):
        read_files(folder)


def test_a_config_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this folder does not exist"):
        read_files(tmp_path / "nowhere")
