"""The belt over the embedded org: the default that ships, and an org of its own whose counters can be read."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from crmsync.sandbox.process import Org, start_org
from tests.belt.conftest import Crmsync, use_own_org

TODAY = "2026-11-22"
PROGRAM = """\
program: small
currency: EUR
rates: crm
metrics:
  revenue: {unit: money, sum: opportunities.amount, where: is_won, during: last 12 months, rolls_up: sum}
  certified: {unit: people, count_distinct: certifications.person_id}
ladders:
  main:
    tiers:
      - {key: registered, label: Registered}
      - {key: silver, label: Silver, requires: {revenue: 90000, certified: 1}}
      - {key: gold, label: Gold, requires: {revenue: 350000, certified: 3}}
      - {key: platinum, label: Platinum, requires: {revenue: 1000000, certified: 5}}
starts_from: {field: partners.current_tier, values: {Gold Partner: gold, Strategic: platinum}}
"""
AS_OF = ("--as-of", TODAY)


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    state = tmp_path / "org.sqlite"
    with start_org(["--sample", "60", "--seed", "7", "--today", TODAY, "--state", str(state)]) as started:
        yield started


@pytest.fixture
def own(org: Org, embedded: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration for an org that this test started, with a program of few words."""
    use_own_org(embedded)
    (embedded / "programs" / "channel.yaml").write_text(PROGRAM, encoding="utf-8")
    monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", org.instance_url)
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", org.access_token)
    return embedded


def effects(org: Org) -> dict[str, Any]:
    with urllib.request.urlopen(f"{org.instance_url}/__sandbox/effects") as answer:
        counted: dict[str, Any] = json.load(answer)
    return counted


def reset(org: Org) -> None:
    request = urllib.request.Request(f"{org.instance_url}/__sandbox/effects", method="DELETE")
    urllib.request.urlopen(request).close()


SLOW_WRITES = ({"method": "PATCH", "do": {"delay_ms": 250}},)


def use_faults(org: Org, faults: Sequence[Mapping[str, Any]]) -> None:
    """Switch these faults on, and all others off."""
    url, body = f"{org.instance_url}/__sandbox/faults", json.dumps(list(faults)).encode()
    urllib.request.urlopen(urllib.request.Request(url, body, method="PUT")).close()


def test_the_default_needs_no_configuration_and_its_second_run_writes_nothing(
    crmsync: Crmsync, embedded: Path, tmp_path: Path
) -> None:
    embedded.rename(tmp_path / "config")
    first = crmsync("run", "--json")
    assert first.code == 0, first.err
    assert first.json["outcomes"]["applied"] > 40
    second = crmsync("run")
    assert second.code == 0
    assert "nothing to write" in second.out
    assert "0 writes (the org itself counted" in second.out
    assert " and 0)" in second.out
    for wanted in ("category", "tier", "movers", "at risk", "rejected rows", "API calls used", "seconds"):
        assert wanted in second.out
    partner, run_id = second.out.splitlines()[-1].split()[-3::2]
    shown = crmsync("explain", partner, "--run", run_id)
    assert shown.code == 0
    assert "Partner_Tier__c" in shown.out


def test_a_second_run_makes_no_write_call_by_the_orgs_own_count(crmsync: Crmsync, org: Org, own: Path) -> None:
    assert crmsync("run", "--config", str(own), *AS_OF).code == 0
    assert effects(org)["calls"]["write"] > 0
    reset(org)
    second = crmsync("run", "--config", str(own), *AS_OF, "--json")
    assert second.code == 0
    assert effects(org)["calls"]["write"] == 0
    assert effects(org)["records"] == {}
    assert second.json["api_calls"]["write"] == 0


def test_each_account_is_written_once(crmsync: Crmsync, org: Org, own: Path) -> None:
    applied = crmsync("run", "--config", str(own), *AS_OF, "--json").json["outcomes"]["applied"]
    accounts = effects(org)["records"]["Account"]
    assert len(accounts) == applied
    assert set(accounts.values()) == {1}


def test_a_plan_writes_nothing(crmsync: Crmsync, org: Org, own: Path) -> None:
    planned = crmsync("plan", "--config", str(own), *AS_OF)
    assert planned.code == 2
    assert effects(org)["calls"]["write"] == 0


def test_shadow_writes_nothing_and_compares_with_the_hand_kept_tiers(
    crmsync: Crmsync, org: Org, own: Path, tmp_path: Path
) -> None:
    shadow = crmsync("plan", "--shadow", "--config", str(own), *AS_OF, "--out", "shadow.csv")
    assert shadow.code == 0
    assert effects(org)["calls"]["write"] == 0
    assert "kept by hand" in shadow.out
    with (tmp_path / "shadow.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    assert all(row["decided_by"] for row in rows)
    assert f"{len(rows)} differ" in shadow.out


def test_a_wrong_token_is_refused_and_shown_nowhere(
    crmsync: Crmsync, own: Path, org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", "canary!token.that.is.wrong")
    refused = crmsync("run", "--config", str(own), *AS_OF)
    assert refused.code == 4
    assert "canary" not in refused.out + refused.err
    assert effects(org)["calls"]["write"] == 0


def test_an_org_that_does_not_answer_is_told(crmsync: Crmsync, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", "https://crm.example.com")
    refused = crmsync("run", "--config", str(own), *AS_OF)
    assert refused.code == 4
    assert "crm.example.com" in refused.err


def test_a_field_that_the_org_does_not_have_is_named_with_its_line(crmsync: Crmsync, own: Path, org: Org) -> None:
    file = own / "connectors" / "salesforce.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace("region: Region__c", "region: Regoin__c"), encoding="utf-8"
    )
    refused = crmsync("run", "--config", str(own), *AS_OF)
    assert refused.code == 4
    assert "salesforce.yaml:" in refused.err
    assert "Regoin__c" in refused.err
    assert effects(org)["calls"]["write"] == 0


def test_certifications_from_another_system_are_matched_and_sealed_with_the_rest(
    crmsync: Crmsync, own: Path, org: Org, tmp_path: Path
) -> None:
    query = "SELECT+AccountNumber+FROM+Account+WHERE+Type='Partner'+AND+AccountNumber!=null+ORDER+BY+Id+LIMIT+2"
    address = f"{org.instance_url}/services/data/v67.0/query?q={query}"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {org.access_token}"})
    with urllib.request.urlopen(request) as answer:
        numbers = [record["AccountNumber"] for record in json.load(answer)["records"]]
    (own / "lms").mkdir()
    (own / "lms" / "certifications.csv").write_bytes(
        "\ufeffcertification_id;partner_id;person_id;issued_on;expires_on\r\n"
        f"C1;{numbers[0]};H1;2026-01-01;2027-01-01\r\nC2;{numbers[1]};H2;2026-01-01;\r\n"
        "C3;nobody-knows;H3;2026-01-01;\r\nC4;;H4;2026-01-01;\r\n".encode()
    )
    file = own / "crmsync.yaml"
    long_form = "certifications: {connector: files, folder: lms, match: partners.account_number}"
    text = file.read_text(encoding="utf-8").replace("\n  certifications: salesforce", f"\n  {long_form}")
    file.write_text(text, encoding="utf-8")
    ran = crmsync("run", "--config", str(own), *AS_OF, "--json")
    assert ran.code == 3, ran.err
    assert ran.json["rejected"] == 1
    assert ran.json["direct"]["certifications"] == 1
    assert "nobody-knows" in Path(ran.json["rejected_file"]).read_text(encoding="utf-8")
    manifest = next((tmp_path / "state" / "snapshots").iterdir()) / "snapshot.json"
    tables = json.loads(manifest.read_text(encoding="utf-8"))["tables"]
    assert tables["certifications"]["rows"] == 2
    assert tables["partners"]["rows"] == 60


def started(
    own: Path, tmp_path: Path, before: Callable[[], None] | None = None, **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "crmsync", "run", "--config", str(own), *AS_OF],
        cwd=tmp_path,
        env=os.environ | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=before,
    )


def _heeds_ctrl_c() -> None:
    """Where the tests themselves run in the background, their children would ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("failpoint", ["intents_recorded:1", "one_written:5", "standings_accepted:1"])
def test_a_run_that_is_killed_is_finished_by_the_next_one(
    failpoint: str, crmsync: Crmsync, own: Path, org: Org, tmp_path: Path
) -> None:
    killed = started(own, tmp_path, CRMSYNC_FAILPOINT=failpoint)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert crmsync("run", "--config", str(own), *AS_OF).code == 0
    assert set(effects(org)["records"]["Account"].values()) == {1}
    reset(org)
    assert crmsync("run", "--config", str(own), *AS_OF, "--json").json["state"] == "unchanged"
    assert effects(org)["calls"]["write"] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_says_so_and_loses_nothing(
    number: int, code: int, crmsync: Crmsync, own: Path, org: Org, tmp_path: Path
) -> None:
    use_faults(org, SLOW_WRITES)  # so that the signal comes before the last of them
    running = started(own, tmp_path, _heeds_ctrl_c)
    assert running.stderr is not None
    for line in running.stderr:  # the first write has been sent, or is about to be
        if "plan_drafted" in line:
            break
    running.send_signal(number)
    _, told = running.communicate(timeout=30)
    use_faults(org, [])
    assert running.returncode == code, told
    assert "Traceback" not in told
    assert crmsync("run", "--config", str(own), *AS_OF).code == 0
    assert set(effects(org)["records"]["Account"].values()) == {1}
    states = [run["state"] for run in crmsync("status", "--json").json["runs"]]
    assert states == ["done"], "the stopped run was taken up and ended"


@pytest.mark.usefixtures("cold")
def test_the_sandbox_command_serves_an_org_and_ends_on_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crmsync", "sandbox", "salesforce", "--sample", "5", "--today", TODAY]
    serving = subprocess.Popen(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert serving.stdout is not None
        said = json.loads(serving.stdout.readline())
        assert {"instance_url", "access_token", "org_id", "username"} <= said.keys()
        with urllib.request.urlopen(f"{said['instance_url']}/services/data") as answer:
            assert answer.status == 200
    finally:
        serving.terminate()
        _, told = serving.communicate(timeout=20)
    assert "Traceback" not in told
    assert serving.returncode in (0, 143)


@pytest.mark.usefixtures("cold")
def test_a_sandbox_that_cannot_start_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crmsync", "sandbox", "salesforce", "--data", str(tmp_path / "nowhere")]
    refused = subprocess.run(command, text=True, capture_output=True, check=False)
    assert refused.returncode == 4
    assert "nowhere" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.usefixtures("cold")  # it looks for the command
def test_no_org_is_left_behind(crmsync: Crmsync, embedded: Path) -> None:
    assert crmsync("plan", "--config", str(embedded)).code == 2
    deadline = time.monotonic() + 20
    while _orgs_of(os.getpid()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _orgs_of(os.getpid()) == []


def _orgs_of(parent: int) -> list[str]:
    if not shutil.which("ps"):
        pytest.skip("needs ps")
    listed = subprocess.run(["ps", "--ppid", str(parent), "-o", "args="], capture_output=True, text=True, check=False)
    return [line for line in listed.stdout.splitlines() if "crmsync.sandbox" in line]
