"""The process: greeting line, exit codes, clean ends, state between starts, the same bytes for the same seed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from crmsync.sandbox.process import OrgStartError, start_org
from tests.sandbox.orgs import TODAY, Client, running, write_files

pytestmark = pytest.mark.usefixtures("cold")


def test_the_greeting_says_where_and_how() -> None:
    with start_org(["--today", TODAY]) as org:
        assert org.instance_url.startswith("http://127.0.0.1:")
        assert org.access_token.startswith(org.org_id[:15] + "!")
        assert org.username.count("@") == 1
        assert requests.get(f"{org.instance_url}/services/data", timeout=10).status_code == 200
    assert org.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with start_org() as org:
        org.process.send_signal(number)
        assert org.process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "/nowhere"], "is no folder"),
        (["--today", "tomorrow"], "is no date"),
        (["--port", "99999"], "whole number"),
        (["--jwt-public-key", "/nowhere"], "cannot start"),
        (["--nope"], "unrecognized"),
    ],
)
def test_what_cannot_start_ends_with_4_and_a_message(arguments: list[str], message: str) -> None:
    with pytest.raises(OrgStartError) as refusal, start_org(arguments):
        pass
    assert refusal.value.exit_code == 4
    assert message in str(refusal.value)
    assert "Traceback" not in str(refusal.value)


def test_a_file_that_is_no_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"no database" * 500)
    with (
        pytest.raises(OrgStartError, match="cannot be used as the org's state"),
        start_org(["--state", str(tmp_path / "state")]),
    ):
        pass
    assert (tmp_path / "state").read_bytes() == b"no database" * 500


def test_state_keeps_the_org_between_starts(tmp_path: Path) -> None:
    state = str(tmp_path / "deep" / "org.sqlite")
    data = str(write_files(tmp_path / "data", {"Account.csv": "Name\nA\n"}))
    with running("--state", state, "--data", data) as org:
        made, before = org.create("Account", Name="B"), org.org
        stamp = org.names(f"SELECT SystemModstamp FROM Account WHERE Id = '{made}'")[0]
    with running("--state", state, "--data", data) as org:
        assert org.names("SELECT Name FROM Account") == ["A", "B"]
        assert (org.org.org_id, org.org.access_token) == (before.org_id, before.access_token)
        later = org.create("Account", Name="C")
        assert org.names(f"SELECT SystemModstamp FROM Account WHERE Id = '{later}'")[0] > stamp
        assert later > made


def everything(org: Client) -> list[str]:
    first = org.query("SELECT FIELDS(ALL) FROM Account LIMIT 200").text
    org.create("Account", Name="new")
    deals = org.query("SELECT Id, Name, Amount, CreatedDate, Account.Name FROM Opportunity").text
    made = org.call(
        "POST", "/jobs/query", json={"operation": "query", "query": "SELECT Id, SystemModstamp FROM Account"}
    ).json()
    return [
        first,
        deals,
        str(made),
        org.get(f"/jobs/query/{made['id']}/results").text,
        org.get("/sobjects/Account/describe").text,
    ]


def test_the_same_seed_and_day_give_the_same_bytes() -> None:
    runs = []
    for seed in ("3", "3", "4"):
        with running("--sample", "5", "--seed", seed) as org:
            runs.append([*everything(org), org.org.access_token])
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[2][0]
    assert runs[0][-1] != runs[2][-1]


def test_the_sample_company_has_partners_deals_and_certificates() -> None:
    with running("--sample", "20") as org:
        counts = {
            name: org.query(f"SELECT COUNT() FROM {name}").json()["totalSize"]
            for name in ("Account", "Opportunity", "Contact", "Partner_Certification__c")
        }
        assert all(counts.values())
        rows = org.rows("SELECT Type, COUNT(Id) n FROM Account WHERE Type = 'Partner' GROUP BY Type")
        assert rows == [{"Type": "Partner", "n": 20}]


def test_it_ends_when_the_process_that_started_it_is_gone() -> None:
    code = (
        "import subprocess, sys, os\n"
        "org = subprocess.Popen([sys.executable, '-m', 'crmsync.sandbox', 'salesforce', '--parent', str(os.getpid())],"
        " stdout=subprocess.PIPE)\n"
        "org.stdout.readline()\nprint(org.pid, flush=True)\nos._exit(9)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=30, check=False)
    pid = int(told.stdout)
    for _ in range(100):
        if not running_process(pid):
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the org outlived its parent")


def running_process(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_latency_delays_every_answer() -> None:
    with running("--latency", "200") as org:
        begun = time.monotonic()
        org.get("/limits")
        assert time.monotonic() - begun >= 0.2


def test_the_api_allowance_runs_out() -> None:
    with running("--daily-requests", "2") as org:
        answers = [org.get("/limits") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 403]
        assert answers[2].json()[0] == {
            "message": "TotalRequests Limit exceeded.",
            "errorCode": "REQUEST_LIMIT_EXCEEDED",
        }
        assert answers[1].json()["DailyApiRequests"] == {"Max": 2, "Remaining": 0}
