"""Whole runs that tell: partners after an approval, owners in a summary, sales ops and the operator at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.belt.conftest import AS_OF, Crmsync, Folder
from tests.belt.test_hand_edits import edit, held
from tests.notices.servers import Hook, Hooks, Mailbox, Post

NOTICES = """\
notices:
  quiet_hours: no
  weekend: no
  partner: {address: contact_email, name: contact_name, locale: contact_locale}
  owner: {address: owner_email, digest: run}
  sales_ops: {}
  operator: {}
"""
PARTNERS = """\
partner_id,name,contact_email,contact_name,contact_locale,owner_email
P1,Nordlicht GmbH,anna@nordlicht.example,Anna,de_AT,owen@vendor.example
P2,Southwind <b>Ltd</b>,bob@southwind.example,Bob,,owen@vendor.example
P3,Partner 3,not an address,,,owen@vendor.example
P4,Partner 4,,,,owen@vendor.example
P5,Partner 5,,,,owen@vendor.example
P6,Partner 6,,,,owen@vendor.example
"""
DAY_1, DAY_2, DAY_3 = AS_OF, "2026-11-23", "2026-11-24"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Post() as opened:
        yield opened


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hooks() as opened:
        yield opened


@pytest.fixture
def telling(folder: Folder, mailbox: Mailbox, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder whose first assessment is done, then with notices on, and P1 up and P2 down on the second day."""
    folder.write("data/partners.csv", PARTNERS)
    monkeypatch.setenv("CRMSYNC_NOTICES__MAIL", mailbox.url)
    monkeypatch.setenv("CRMSYNC_NOTICES__SALES_OPS", hook.url("ops"))
    monkeypatch.setenv("CRMSYNC_NOTICES__OPERATOR", hook.url("operator"))
    return folder


def notices_on(folder: Folder) -> None:
    folder.change("crmsync.yaml", "guards:", f"{NOTICES}guards:")


def told(hook: Hook, path: str = "/ops") -> list[str]:
    return [json.loads(body)["title"] for body, at in zip(hook.bodies, hook.paths, strict=True) if at == path]


def test_a_promotion_is_told_once_to_each_after_the_account_is_written(
    crmsync: Crmsync, telling: Folder, mailbox: Mailbox, hook: Hook
) -> None:
    telling.deals({"P2": 1500})
    assert crmsync("run", "--as-of", DAY_1).code == 0  # notices are off: nobody hears of the first fill
    notices_on(telling)
    telling.deals({"P1": 6000, "P2": 100})
    ran = crmsync("run", "--as-of", DAY_2, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["notices"]["sent"], ran.json["notices"]["open"]) == (3, {"held": 2})
    assert sorted(told(hook)) == ["Nordlicht GmbH is now Gold", "Southwind <b>Ltd</b> is now Basic (was Silver)"]
    (summary,) = mailbox.mails
    assert (summary["To"], summary["Subject"]) == ("owen@vendor.example", "Your partners in resellers: 2 news")

    again = crmsync("run", "--as-of", DAY_2, "--json")
    assert (again.json["notices"]["new"], again.json["notices"]["sent"]) == (0, 0)
    listed = sorted(crmsync("notices", "list", "--json").json["notices"], key=lambda one: str(one["recipient"]))
    assert [(one["state"], one["recipient"]) for one in listed] == [
        ("held", "anna@nordlicht.example"), ("held", "bob@southwind.example"),
    ]  # fmt: skip
    shown = crmsync("notices", "preview", listed[0]["notice_key"][:8])
    assert "Glückwunsch: Gold in resellers" in shown.out  # de_AT is told in German
    approved = crmsync("notices", "approve", listed[0]["notice_key"][:12], "--by", "Ada")
    assert "1 notices approved by Ada" in approved.out
    assert crmsync("notices", "send", "--json").json["sent"] == 1
    assert mailbox.mails[-1]["To"] == "anna@nordlicht.example"
    assert "Nordlicht GmbH hat am 23. November 2026 die Stufe Gold in resellers erreicht" in mailbox.text()
    assert crmsync("notices", "approve", "--all", "--event", "promoted").out.strip() == "no notice is held"
    assert len(mailbox.mails) == 2


def test_what_is_not_so_any_more_is_not_told(crmsync: Crmsync, telling: Folder, mailbox: Mailbox) -> None:
    notices_on(telling)
    telling.deals({})
    assert crmsync("run", "--as-of", DAY_1).code == 0
    telling.deals({"P1": 6000})
    assert crmsync("run", "--as-of", DAY_2, "--json").json["notices"]["open"] == {"held": 1}
    telling.deals({"P1": 10})
    assert crmsync("run", "--as-of", DAY_3, "--json").code == 0
    listed = crmsync("notices", "list", "--state", "suppressed", "--state", "held", "--json").json["notices"]
    assert [(one["event"], one["state"], one["error"]) for one in listed] == [
        ("promoted", "suppressed", "it is no longer so"), ("demoted", "held", None),
    ]  # fmt: skip
    assert "anna@nordlicht.example" not in mailbox.recipients


def test_a_tier_is_told_by_the_run_that_takes_back_an_edit_by_hand_and_not_before(
    crmsync: Crmsync, telling: Folder, hook: Hook
) -> None:
    notices_on(telling)
    telling.deals({})
    assert crmsync("run", "--as-of", DAY_1).code == 0
    edit(telling, "P2", "granted_tier", "Silver")
    telling.deals({"P2": 7000})
    assert crmsync("run", "--as-of", DAY_2).code == 3
    assert held(telling, "P2") == "Silver"  # left alone, though the other fields of the account are written
    assert told(hook) == ["Edited by hand: granted_tier of Southwind <b>Ltd</b>"]
    assert crmsync("run", "--as-of", DAY_3).code == 0
    assert told(hook)[1:] == ["Southwind <b>Ltd</b> is now Gold"]


def test_what_a_run_did_not_come_to_tell_is_told_by_the_next_one(
    crmsync: Crmsync, telling: Folder, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling.deals({})
    assert crmsync("run", "--as-of", DAY_1).code == 0
    notices_on(telling)  # the first run that tells is the one that dies
    telling.deals({"P1": 6000})

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("crmsync.telling.Teller.tell", dies)
        assert crmsync("run", "--as-of", DAY_2).code == 130
    assert "Gold" in telling.written  # the account is written, the standings are accepted, nobody was told
    assert told(hook) == []
    again = crmsync("run", "--as-of", DAY_3, "--json")
    assert (again.code, again.json["state"]) == (0, "unchanged"), again.err
    assert told(hook) == ["Nordlicht GmbH is now Gold"]


def test_a_blocked_plan_is_told_to_sales_ops_and_operator_once(
    crmsync: Crmsync, telling: Folder, hook: Hook, mailbox: Mailbox
) -> None:
    notices_on(telling)
    telling.deals({})
    assert crmsync("run", "--as-of", DAY_1).code == 0
    telling.deals({"P1": 6000, "P2": 6000, "P3": 6000, "P4": 6000})
    for _ in range(2):
        assert crmsync("run", "--as-of", DAY_2).code == 8
    digest = crmsync("status", "--json").json["plan"]["digest"]
    assert told(hook) == told(hook, "/operator") == [f"crmsync waits for approval: plan {digest[:12]}"]
    assert mailbox.mails == []


def test_a_run_that_fails_is_told_to_the_operator_once_a_day(crmsync: Crmsync, telling: Folder, hook: Hook) -> None:
    notices_on(telling)
    (telling.data / "opportunities.csv").unlink()
    codes = {crmsync("run", "--as-of", DAY_1).code for _ in range(2)}
    assert 0 not in codes
    assert told(hook, "/operator") == ["crmsync run failed: ConfigError"]


MISTAKES = {
    "column": ("contact_email,", "mail,", "data/partners.csv", "`contact_email` is no column of partners"),
    "setting": ("", "", "", "CRMSYNC_NOTICES__MAIL is not set"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_before_anything_is_written(
    crmsync: Crmsync, telling: Folder, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    old, new, file, words = MISTAKES[mistake]
    notices_on(telling)
    if file:
        telling.change(file, old, new)
    else:
        monkeypatch.delenv("CRMSYNC_NOTICES__MAIL")
    ran = crmsync("run", "--as-of", DAY_1)
    assert ran.code == 4
    assert words in ran.err
    assert "crmsync.yaml:" in ran.err
    assert telling.written == ""


def test_a_template_with_a_mistake_stops_the_run_before_anything_is_written(crmsync: Crmsync, telling: Folder) -> None:
    notices_on(telling)
    (telling.config / "notices" / "en").mkdir(parents=True)
    telling.write("notices/en/promoted.partner.txt.j2", "Dear {{ recipient }},\n{{ partner_nam }}\n")
    ran = crmsync("run", "--as-of", DAY_1)
    assert (ran.code, telling.written) == (4, "")
    assert "promoted.partner.txt.j2:2: `partner_nam` is no variable" in ran.err


def test_an_event_is_previewed_with_made_up_values(crmsync: Crmsync, telling: Folder) -> None:
    notices_on(telling)
    shown = crmsync("notices", "preview", "grace", "--audience", "partner", "--locale", "de", "--config", "config")
    assert (shown.code, "Guten Tag [recipient]," in shown.out) == (0, True)
    wrong = crmsync("notices", "preview", "guard_tripped", "--audience", "partner")
    assert (wrong.code, "guard_tripped is not told to it" in wrong.err) == (4, True)


def test_sending_with_notices_off_says_so(crmsync: Crmsync, folder: Folder) -> None:
    assert Path("config").is_dir()
    ended = crmsync("notices", "send")
    assert (ended.code, "notices are off" in ended.err) == (4, True)
    assert folder.written == ""


def test_an_org_that_cannot_be_reached_is_told_to_the_operator(
    crmsync: Crmsync, telling: Folder, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = telling.config
    (folder / "connectors").mkdir()
    telling.write(
        "connectors/salesforce.yaml",
        "tables:\n  partners: {object: Account, columns: {partner_id: Id, contact_email: Fax, contact_name: Name,"
        " contact_locale: Site, owner_email: Owner.Email}}\n"
        "writes: {object: Account, token: Token__c, fields: {granted_tier: Tier__c}}\n",
    )
    telling.change("crmsync.yaml", "org: files", "org: salesforce")
    telling.change("crmsync.yaml", "partners: files", "partners: salesforce")
    notices_on(telling)
    monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", "http://127.0.0.1:9")
    assert {crmsync("run").code for _ in range(2)} == {4}  # there is no login
    assert told(hook, "/operator") == ["crmsync run failed: AccessError"]


def test_a_check_tells_what_notices_lack(crmsync: Crmsync, telling: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    notices_on(telling)
    assert crmsync("check").code == 0
    monkeypatch.delenv("CRMSYNC_NOTICES__OPERATOR")
    checked = crmsync("check")
    assert (checked.code, "CRMSYNC_NOTICES__OPERATOR is not set" in checked.out) == (4, True)


def test_notices_are_let_go_in_the_name_of_a_person(
    crmsync: Crmsync, telling: Folder, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    notices_on(telling)
    telling.deals({})
    assert crmsync("run", "--as-of", DAY_1).code == 0
    telling.deals({"P1": 6000})
    assert crmsync("run", "--as-of", DAY_2).code == 0
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    refused = crmsync("notices", "approve", "--all")
    assert (refused.code, "names no person; give the name of who approves with --by" in refused.err) == (4, True)
    assert crmsync("notices", "approve", "--all", "--by", " ").code == 4
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    assert "approved by ada" in crmsync("notices", "approve", "--all").out
    assert not mailbox.mails or mailbox.mails[-1]["To"] != "anna@nordlicht.example"
