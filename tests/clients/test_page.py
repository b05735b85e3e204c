"""The sandbox org's page in headless Chromium: by keyboard, at 360 pixels, without scripts; and its pictures.

`make clients` runs this; `make pictures` runs it too and keeps the pictures in docs/pictures/.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from crmsync.sandbox.process import Org, start_org
from tests.clients.page import Step, browse
from tests.conftest import PROJECT
from tests.connectors.salesforce.test_copy import config_of, crmsync

pytestmark = [
    pytest.mark.xdist_group("page"),
    pytest.mark.timeout(300),
    pytest.mark.skipif("BROWSER_HOME" not in os.environ, reason="needs Chromium and playwright-core: `make clients`"),
]
DAY = "2026-07-01"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go: docs/pictures when they are asked for."""
    return PROJECT / "docs/pictures" if "PICTURES" in os.environ else tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    """An org after a deploy and a run, and a person's override."""
    folder = tmp_path_factory.mktemp("page")
    config = str(config_of(folder / "config"))
    with start_org(["--sample", "60", "--seed", "7", "--today", DAY]) as running:
        for command in (["deploy", "apply"], ["run", "--as-of", DAY]):
            code, _, err = crmsync(running, folder / "state", *command, "--config", config)
            assert code in (0, 2, 3), err
        yield running


@pytest.fixture(scope="module")
def partner(org: Org) -> str:
    """The id of a partner that is at risk."""
    return str(rows(org, "SELECT Id FROM Account WHERE Tier_Risk__c = 'high' ORDER BY Name LIMIT 1")[0]["Id"])


def rows(org: Org, soql: str) -> list[dict[str, object]]:
    answer = requests.get(
        f"{org.instance_url}/services/data/v67.0/query", params={"q": soql}, timeout=30,
        headers={"Authorization": f"Bearer {org.access_token}"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return list(answer.json()["records"])


def test_pages_are_sound_and_fit_a_phone(org: Org, partner: str, pictures: Path) -> None:
    steps: list[Step] = [
        {"go": "/", "width": 1200, "picture": str(pictures / "org-home.png"), "whole": False},
        {"go": "/lightning/o/Account/list?filterName=Partners_At_Risk", "see": ["h1", "tbody tr"]},
        {
            "go": f"/lightning/r/Account/{partner}/view",
            "picture": str(pictures / "org-account.png"),
            "whole": False,
            "see": ["h2"],
        },
        {"go": f"/lightning/r/Account/{partner}/edit?group=dispute"},
        {"go": "/changes"},
        {"go": "/api-use"},
        {"go": "/search?q=a"},
    ]
    views = re.findall(r"filterName=(\w+)", requests.get(org.instance_url, timeout=30).text)
    risk = next(view for view in views if "risk" in view.lower())
    steps[1] |= {"go": f"/lightning/o/Account/list?filterName={risk}", "picture": str(pictures / "org-list.png")}
    narrow = [{key: value for key, value in step.items() if key != "picture"} | {"width": 360} for step in steps]
    narrow[2]["picture"] = str(pictures / "org-account-phone.png")
    narrow[2]["whole"] = False
    told = browse(org.instance_url, steps + narrow)
    assert told["complaints"] == []  # nothing that the content policy refused either
    assert set(told["hosts"]) == {urlsplit(org.instance_url).netloc}
    assert [step["url"] for step in told["steps"] if step["wide"] > 0] == []
    assert [text for step in told["steps"] for text in step["contrast"]] == []
    assert told["steps"][1]["texts"]["tbody tr"]
    titles = told["steps"][2]["texts"]["h2"]
    assert titles[:2] == ["Tier", "Gap to the next tier"]
    assert any(re.fullmatch(r"Partner Standings \([1-9]\d*\)", title) for title in titles)
    assert all(step["title"].endswith("Sandbox org") for step in told["steps"])


@pytest.mark.parametrize("javascript", [True, False])
def test_a_person_disputes_a_tier_and_grants_an_override(
    org: Org, partner: str, pictures: Path, javascript: bool
) -> None:
    comment = f"We closed three deals in June that are missing. {javascript}"
    told = browse(
        org.instance_url,
        [
            {"go": f"/lightning/r/Account/{partner}/view", "click": {"role": "link", "name": "Raise a dispute"}},
            {"check": ["Partner Tier Disputed"], "fill": {"Partner Tier Dispute Comment": comment},
             "click": {"role": "button", "name": "Save"}, "see": [".saved"]},
            {"click": {"role": "link", "name": "Edit Gap to the next tier"}},
            {"fill": {"Tier Progress": "much"}, "click": {"role": "button", "name": "Save"},
             "see": [".input .error"],
             **({"picture": str(pictures / "org-refusal.png"), "whole": False} if javascript else {})},
            {"go": "/", "choose": {"Seen by": "Sam Sales-Ops, Sales Ops"},
             "click": {"role": "button", "name": "Switch"}},
            {"see": ["main strong"]},
        ],
        javascript,
    )  # fmt: skip
    steps = told["steps"]
    assert steps[1]["texts"][".saved"] == ["Saved."]
    assert "not of required type: much" in steps[3]["texts"][".input .error"][0]
    assert steps[5]["texts"]["main strong"] == ["Sam Sales-Ops, Sales Ops"]
    found = rows(org, f"SELECT Partner_Tier_Dispute_Comment__c FROM Account WHERE Id = '{partner}'")
    assert found[0]["Partner_Tier_Dispute_Comment__c"] == comment


def test_the_keyboard_alone_reaches_the_content_and_a_record(org: Org) -> None:
    told = browse(
        org.instance_url,
        [
            {"go": "/lightning/o/Account/list", "press": ["Tab"]},
            {"press": ["Enter"]},
            {"press": ["Tab", "Tab", "Tab"]},
        ],
    )
    assert told["steps"][0]["focus"] == "skip"
    assert told["steps"][1]["focus"] == "main"
    assert told["steps"][1]["url"].endswith("#main")


def test_without_the_browser_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    with pytest.raises(AssertionError, match="apt-get install"):
        browse("http://127.0.0.1:1", [])
