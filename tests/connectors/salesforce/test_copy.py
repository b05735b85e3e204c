"""Copying an org into a folder: the copy levels as the org does, names are made up, and nothing is written."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from crmsync.configuration import packaged_folder
from crmsync.connectors.salesforce.copying.masking import EMPTY, KEEP, Masks, kind_of
from crmsync.connectors.salesforce.copying.schema import schema_of
from crmsync.sandbox.process import Org, start_org

DAY = "2026-07-01"


def config_of(folder: Path) -> Path:
    """The packaged configuration, for an org that the environment names."""
    shutil.copytree(packaged_folder(), folder, ignore=shutil.ignore_patterns("gallery", "__pycache__"))
    file = folder / "crmsync.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("sandbox:")]
    file.write_text("\n".join("org: salesforce" if line.startswith("org:") else line for line in lines))
    return folder


def crmsync(org: Org, state: Path, *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command on this org."""
    env = dict(os.environ) | {
        "CRMSYNC_SALESFORCE__INSTANCE_URL": org.instance_url, "CRMSYNC_SALESFORCE__ACCESS_TOKEN": org.access_token,
        "CRMSYNC_STATE_DIR": str(state),
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "crmsync", *arguments], capture_output=True, text=True, env=env, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


def levelled(org: Org, state: Path, config: Path) -> dict[str, Any]:
    code, out, err = crmsync(org, state, "plan", "--config", str(config), "--as-of", DAY, "--json")
    assert code == 2, err
    found: dict[str, Any] = json.loads(out)
    for mover in found["plan"]["movers"]:
        del mover["name"], mover["why"]  # both may name people
    return {name: found[name] for name in ("standings", "outside", "at_risk")} | {
        name: found["plan"][name] for name in ("changes", "movers")
    }


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.timeout(180)
def test_a_masked_copy_levels_like_the_org(tmp_path: Path) -> None:
    config, to = config_of(tmp_path / "config"), tmp_path / "copy"
    few = tmp_path / "few"
    with start_org(["--sample", "25", "--seed", "7", "--today", DAY]) as org:
        first = levelled(org, tmp_path / "one", config)
        before = requests.get(f"{org.instance_url}/__sandbox/effects", timeout=30).json()
        copy = ("sandbox", "copy", "--config", str(config), "--names", "masked")
        code, out, err = crmsync(org, tmp_path / "one", *copy, "--to", str(to), "--json")
        assert code == 0, err
        after = requests.get(f"{org.instance_url}/__sandbox/effects", timeout=30).json()
        assert after["calls"]["write"] == before["calls"]["write"]
        told = json.loads(out)
        assert told["calls"] == after["calls"]["read"] - before["calls"]["read"]
        headers = {"Authorization": f"Bearer {org.access_token}"}
        query = "SELECT Id, Name, Phone FROM Account"
        real = requests.get(
            f"{org.instance_url}/services/data/v67.0/query", params={"q": query}, headers=headers, timeout=30
        ).json()["records"]
        assert crmsync(org, tmp_path / "one", *copy, "--to", str(to))[0] == 4  # it holds something already
        code, _, err = crmsync(org, tmp_path / "one", *copy, "--to", str(few), "--limit", "3")
        assert code == 0, err
    names = {row["Id"]: row["Name"] for row in rows_of(to / "Account.csv")}
    assert names.keys() == {record["Id"] for record in real}
    texts = "".join(path.read_text(encoding="utf-8") for path in to.iterdir())
    assert not [record["Name"] for record in real if record["Name"] in texts]
    with start_org(["--data", str(to), "--today", DAY]) as org:
        assert levelled(org, tmp_path / "two", config) == first
    accounts = rows_of(few / "Account.csv")
    assert sum(row["Type"] == "Partner" for row in accounts) < 25
    ids = {row["Id"] for row in accounts}
    deals = rows_of(few / "Opportunity.csv")
    assert deals
    assert {row["AccountId"] for row in deals} <= ids | {""}
    with start_org(["--data", str(few), "--today", DAY]) as org:
        assert org.instance_url


def test_a_mask_is_the_same_for_the_same_text_and_fits_the_field() -> None:
    masks, other = Masks(b"k" * 32), Masks()
    assert masks.mask("name", "Müller AG", 255) == masks.mask("name", "Müller AG", 255)
    assert masks.mask("name", "Müller AG", 255) != other.mask("name", "Müller AG", 255)
    assert masks.mask("name", "a", 255) != masks.mask("name", "b", 255)
    assert len(masks.mask("text", "x" * 900, 8)) == 8
    assert masks.mask("email", "ann@example.org", 80).endswith("@masked.invalid")
    assert masks.mask("name", "", 80) == ""
    assert masks.mask(EMPTY, "51.5", 80) == ""


@pytest.mark.parametrize(
    ("sobject", "field", "kind"),
    [
        ("Account", {"name": "Name", "type": "string", "nameField": True}, "name"),
        ("Account", {"name": "Key__c", "type": "string", "externalId": True}, KEEP),
        ("Account", {"name": "AccountNumber", "type": "string"}, KEEP),
        ("Account", {"name": "Free__c", "type": "string"}, "text"),
        ("Account", {"name": "Note__c", "type": "textarea"}, "text"),
        ("Account", {"name": "Tier__c", "type": "picklist"}, KEEP),
        ("Account", {"name": "BillingStreet", "type": "textarea", "compoundFieldName": "BillingAddress"}, "street"),
        ("Account", {"name": "BillingLatitude", "type": "double", "compoundFieldName": "BillingAddress"}, EMPTY),
        ("Contact", {"name": "Email", "type": "email"}, "email"),
        ("Contact", {"name": "LastName", "type": "string"}, "word"),
        ("Contact", {"name": "Birthdate", "type": "date"}, EMPTY),
        ("User", {"name": "Username", "type": "string"}, "email"),
        ("Credential__c", {"name": "Level__c", "type": "string"}, KEEP),
        ("OpportunityStage", {"name": "MasterLabel", "type": "string", "nameField": True}, KEEP),
        ("Account", {"name": "Amount__c", "type": "currency"}, KEEP),
    ],
)
def test_names_addresses_and_free_texts_are_masked_keys_and_mapped_texts_are_not(
    sobject: str, field: dict[str, Any], kind: str
) -> None:
    assert kind_of(sobject, field, frozenset({"account.accountnumber", "*.level__c"})) == kind


def test_formulas_become_plain_fields_and_unknown_parents_are_left_out() -> None:
    fields = [
        {"name": "Name", "type": "string", "nameField": True, "autoNumber": True, "label": "No"},
        {"name": "Twice__c", "type": "double", "calculated": True, "precision": 9, "scale": 2},
        {"name": "To__c", "type": "reference", "referenceTo": ["Elsewhere__c"]},
        {"name": "Up__c", "type": "reference", "referenceTo": ["Account"], "relationshipOrder": 0, "label": "Up"},
        {"name": "Pick__c", "type": "picklist", "restrictedPicklist": True, "picklistValues": [
            {"value": "A", "label": "Aa", "active": True}, {"value": "B", "label": "B", "active": False}]},
    ]  # fmt: skip
    objects = {
        "Account": {"fields": [], "childRelationships": [
            {"childSObject": "Own__c", "field": "Up__c", "relationshipName": "Owns__r"}]},
        "Own__c": {"fields": fields, "label": "Own", "labelPlural": "Owns", "keyPrefix": "a07"},
    }  # fmt: skip
    made = schema_of(objects, frozenset({"Own__c.Pick__c"}))["objects"]["Own__c"]
    assert made["nameField"]["type"] == "AutoNumber"
    assert made["keyPrefix"] == "a07"
    assert made["fields"]["Twice__c"] == {"label": "Twice__c", "type": "Number", "precision": 9, "scale": 2}
    assert "To__c" not in made["fields"]
    up = made["fields"]["Up__c"]
    assert (up["type"], up["referenceTo"], up["relationshipName"]) == ("MasterDetail", "Account", "Owns")
    assert made["fields"]["Pick__c"]["valueSet"]["restricted"] is False  # the data hold a value that is inactive
    assert made["fields"]["Pick__c"]["valueSet"]["valueSetDefinition"]["value"][1]["isActive"] is False
