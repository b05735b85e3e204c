"""The org's web pages: what each user sees, edits with the org's own refusals, and who may ask for them at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import requests

from tests.sandbox.orgs import SCHEMA, Client, csv_text, running, write_files
from tests.sandbox.test_listviews import NS, PACKAGE, deploy, list_view

ODD = "Bad <script>alert(1)</script> & \"Co\" 'x'"
NAMES = ["Alpha", "Beta", "שלום עליכם בע״מ", "Émoji 🚲 GmbH", "Long" * 60, ODD, "100% off_"]
RULES = """
    validationRules:
      Gold_Needs_Site:
        active: true
        errorConditionFormula: ISPICKVAL(Tier__c, "Gold") && ISBLANK(Site)
        errorMessage: A gold partner needs a site.
        errorDisplayField: Site
    recordTypes:
      Small: {label: Small, picklistValues: {Tier__c: [Silver]}}
"""
OVERRIDES = """
  Partner_Override__c:
    label: Partner Override
    pluralLabel: Partner Overrides
    nameField: {type: AutoNumber, label: Number, displayFormat: "O-{0000}"}
    fields:
      Account__c: {type: Lookup, referenceTo: Account, relationshipName: Overrides}
      Ends_On__c: {type: Date, label: Ends on}
      Reason__c: {type: Text, length: 100, label: Reason}
"""


class Browser:
    """A person's browser: cookies are kept, forms bring back what the page gave them."""

    def __init__(self, org: Client) -> None:
        self.base = org.org.instance_url
        self.session = requests.Session()

    def get(self, path: str, **more: object) -> str:
        answer = self.session.get(self.base + path, timeout=30, **more)  # type: ignore[arg-type]
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.text

    def post(self, path: str, values: dict[str, object], **more: object) -> requests.Response:
        page = self.get("/")
        token = re.search(r'name="csrf" value="(\w+)"', page)
        assert token is not None
        data = {"csrf": token[1]} | values
        return self.session.post(self.base + path, data=data, timeout=30, **more)  # type: ignore[arg-type]

    def be(self, name: str) -> None:
        """Look as another user."""
        user = re.search(rf'<option value="(\w+)"[^>]*>{name}', self.get("/"))
        assert user is not None
        assert self.post("/user", {"user": user[1]}).status_code == 200

    def stamp(self, record_id: str) -> str:
        found = re.search(r'name="stamp" value="([^"]*)"', self.get(f"/lightning/r/Account/{record_id}/edit"))
        assert found is not None
        return found[1]

    def save(self, record_id: str, stamp: str | None = None, **values: str) -> requests.Response:
        """Send the form of an account with these fields."""
        given: dict[str, object] = {f"field.{name}": value for name, value in values.items()}
        given |= {"shown": list(values), "stamp": self.stamp(record_id) if stamp is None else stamp}
        return self.post(f"/lightning/r/Account/{record_id}/edit", given)


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    schema = SCHEMA.replace("\n  Cert__c:", RULES + "\n  Cert__c:", 1) + OVERRIDES
    rows: list[tuple[str, ...]] = [
        ("Name", "Tier__c", "Score__c", "Joined__c", "Site"),
        *((n, "", "", "", "") for n in NAMES),
    ]
    rows[1] = ("Alpha", "Silver", "12.5", "2026-05-01", "")
    files: dict[str, str | bytes] = {"schema.yaml": schema, "Account.csv": csv_text(rows)}
    with running("--data", str(write_files(tmp_path_factory.mktemp("org"), files))) as client:
        view = list_view("Silver_Ones", "", [("Tier__c", "equals", "Silver")], "")
        result = deploy(client, {
            "package.xml": PACKAGE.format("CustomObject").replace("*", "Account"),
            "objects/Account.object": f"<CustomObject {NS}>{view}</CustomObject>",
        })  # fmt: skip
        assert result["success"], result
        yield client


@pytest.fixture
def browser(org: Client) -> Browser:
    return Browser(org)


@pytest.fixture
def alpha(org: Client) -> str:
    """The id of an account of a name of its own."""
    return org.create("Account", Name="Gamma", Tier__c="Silver", Score__c=1)


def test_home_tells_who_i_am_and_counts_each_list_view(browser: Browser, org: Client) -> None:
    text = browser.get("/")
    assert "<strong>Max Manager, Account Manager</strong>" in text
    silver = org.query("SELECT COUNT() FROM Account WHERE Tier__c = 'Silver'").json()["totalSize"]
    assert re.search(rf'filterName=Silver_Ones"><span class="count">{silver}</span> Silver Ones', text)
    browser.be("Sam Sales-Ops")
    assert "<strong>Sam Sales-Ops, Sales Ops</strong>" in browser.get("/")


def test_every_name_is_shown_as_text(browser: Browser) -> None:
    text = browser.get("/lightning/o/Account/list")
    assert "<script" not in text
    for name in NAMES:
        assert name in unescape(text)


def test_a_list_is_sorted_both_ways_and_keeps_its_view(browser: Browser) -> None:
    def names(query: str) -> list[str]:
        text = browser.get(f"/lightning/o/Account/list?{query}")
        return [unescape(name) for name in re.findall(r'<th scope="row"><a [^>]*>([^<]*)</a>', text)]

    up, down = names("sort=Name"), names("sort=Name&dir=desc")
    assert up == list(reversed(down))
    assert set(NAMES) <= set(up)
    assert set(names("filterName=Silver_Ones&sort=Score__c")) <= {"Alpha", "Gamma"}
    assert names("sort=No_Such__c';--") == up


def test_search_finds_names_by_their_parts_and_takes_signs_as_they_are(browser: Browser) -> None:
    assert "1 record has a name" in browser.get("/search?q=100%25")
    assert "0 records have a name" in browser.get("/search?q=100_")
    assert "1 record has a name" in browser.get("/search", params={"q": "'x'"})
    assert "1 record has a name" in browser.get("/search", params={"q": "שלום"})


def test_an_account_page_groups_the_partner_fields(browser: Browser, alpha: str) -> None:
    text = browser.get(f"/{alpha[:15]}")
    assert re.search(r'<h2 id="g-tier">Tier</h2>.*?<dd class="">.*?Silver', text, re.DOTALL)
    assert "Partner Overrides (0)" in text


def test_a_refusal_stands_beside_its_field_in_the_words_of_the_org(browser: Browser, org: Client, alpha: str) -> None:
    answer = browser.save(alpha, Tier__c="Gold", Score__c="12")
    assert answer.status_code == 400
    rule = browser.save(alpha, Site="", Tier__c="Gold")
    beside = (
        r'aria-describedby="f-Site-error" aria-invalid="true".*?id="f-Site-error"[^>]*>A gold partner needs a site.'
    )
    assert re.search(beside, rule.text, re.DOTALL)
    bad = browser.save(alpha, Tier__c="Bronze")
    assert "Tier: bad value for restricted picklist field: Bronze" in unescape(bad.text)
    number = browser.save(alpha, Score__c="many")
    assert 'id="f-Score__c-error"' in number.text
    assert "value not of required type: many" in number.text
    assert 'value="many"' in number.text  # what was typed is still there
    assert org.rows(f"SELECT Tier__c, Score__c FROM Account WHERE Id = '{alpha}'") == [
        {"Tier__c": "Silver", "Score__c": 1}
    ]


def test_values_of_a_record_type_are_refused_as_the_org_does(browser: Browser, org: Client) -> None:
    kind = org.names("SELECT Id FROM RecordType WHERE DeveloperName = 'Small'")[0]
    small = org.create("Account", Name="Small one", RecordTypeId=kind)
    refused = browser.save(small, Tier__c="Gold", Site="here")
    assert refused.status_code == 400
    assert "bad value for restricted picklist field: Gold" in unescape(refused.text)


def test_an_edit_by_hand_is_signed_noted_and_costs_no_call(browser: Browser, org: Client, alpha: str) -> None:
    before = org.effects()
    assert browser.save(alpha, Note__c="line 1\r\nline 2", Flag__c="true", Segments__c="MSP").status_code == 200
    after = org.effects()
    assert after == before
    row = org.rows(f"SELECT Note__c, Flag__c, Segments__c, LastModifiedBy.Username FROM Account WHERE Id = '{alpha}'")[
        0
    ]
    assert row == {"Note__c": "line 1\nline 2", "Flag__c": True, "Segments__c": "MSP",
                   "LastModifiedBy": {"Username": "manager@crmsync.example"}}  # fmt: skip
    told = browser.get("/changes")
    assert "Max Manager, Account Manager" in told
    assert re.search(r'Segments: <span class="before" dir="auto">.*?</span>.*?<span dir="auto">MSP</span>', told)


def test_changes_are_told_from_what_to_what_and_after_a_restart(tmp_path: Path) -> None:
    started = ("--data", str(write_files(tmp_path / "org", {"schema.yaml": SCHEMA})), "--state", str(tmp_path / "s"))
    with running(*started) as org:
        one = org.create("Account", Name="One", Tier__c="Silver", Score__c=1, Note__c="as it was")
        other = org.create("Account", Name="Other")
        org.call(
            "PATCH", f"/sobjects/Account/{one}", json={"Tier__c": "Gold", "Note__c": "as it was", "ParentId": other}
        )
        before = unescape(Browser(org).get("/changes"))
        own = Browser(org).get(f"/{one}")
    with running(*started) as org:
        after = unescape(Browser(org).get("/changes"))
        org.create("Account", Name="Third")
        assert Browser(org).get("/changes").count('class="when"') == 4
    for told in (before, after):
        changes = re.findall(r"(?s)<td>changed: (.*?)</td>", told)
        said = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", one)).strip() for one in changes]
        assert said == ["Tier: Silver → changed to GoldParent Account: – → changed to Other"]
        assert told.count("created") == 2
    assert own.count('class="when"') == 2
    assert "changed to" in own


def test_only_what_was_changed_is_written(browser: Browser, org: Client, alpha: str) -> None:
    org.call("PATCH", f"/sobjects/Account/{alpha}", json={"Score__c": 2})
    stamp = org.names(f"SELECT SystemModstamp FROM Account WHERE Id = '{alpha}'")
    assert browser.save(alpha, Score__c="2.00", Tier__c="Silver", Flag__c="").status_code == 200
    assert org.names(f"SELECT SystemModstamp FROM Account WHERE Id = '{alpha}'") == stamp


def test_a_record_that_somebody_else_changed_is_not_overwritten_unseen(
    browser: Browser, org: Client, alpha: str
) -> None:
    stamp = browser.stamp(alpha)
    org.call("PATCH", f"/sobjects/Account/{alpha}", json={"Score__c": 3})
    refused = browser.save(alpha, stamp, Score__c="4")
    assert refused.status_code == 400
    assert "changed by somebody else" in refused.text
    assert browser.save(alpha, Score__c="4").status_code == 200


def test_an_override_is_added_and_ended(browser: Browser, org: Client, alpha: str) -> None:
    path = f"/lightning/o/Partner_Override__c/new?link=Account__c&of={alpha}"
    assert f'value="{alpha}"' in browser.get(path)
    values = {"field.Account__c": "Gamma's own", "field.Reason__c": "why", "shown": ["Account__c", "Reason__c"]}
    assert "no record has this name" in browser.post(path, dict(values)).text
    made = browser.post(path, values | {"field.Account__c": alpha})
    assert "Partner Overrides (1)" in made.text
    found = org.names(f"SELECT Id FROM Partner_Override__c WHERE Account__c = '{alpha}'")[0]
    assert "End today" in browser.get(f"/{found}")
    assert browser.post(f"/lightning/r/Partner_Override__c/{found}/end", {}).status_code == 200
    assert org.names(f"SELECT Ends_On__c FROM Partner_Override__c WHERE Id = '{found}'") == ["2026-07-01"]


def test_field_permissions_hold_on_the_page(browser: Browser, org: Client, alpha: str) -> None:
    fields = "<fields><fullName>{}</fullName><label>{}</label><length>40</length><type>Text</type></fields>"
    made = "".join(fields.format(name, name[:-3]) for name in ("Secret__c", "Shown__c"))
    grant = (
        "<fieldPermissions><editable>false</editable><field>Account.Shown__c</field>"
        "<readable>true</readable></fieldPermissions>"
    )
    result = deploy(org, {
        "package.xml": f"<Package {NS}><types><members>Account.Secret__c</members><members>Account.Shown__c</members>"
        "<name>CustomField</name></types><types><members>Readers</members><name>PermissionSet</name></types>"
        "<version>67.0</version></Package>",
        "objects/Account.object": f"<CustomObject {NS}>{made}</CustomObject>",
        "permissionsets/Readers.permissionset": f"<PermissionSet {NS}>{grant}<label>Readers</label></PermissionSet>",
    })  # fmt: skip
    assert result["success"], result["details"]["componentFailures"]
    readers = org.names("SELECT Id FROM PermissionSet WHERE Name = 'Readers'")[0]
    manager = org.names("SELECT Id FROM User WHERE Username = 'manager@crmsync.example'")[0]
    org.create("PermissionSetAssignment", AssigneeId=manager, PermissionSetId=readers)
    page, form = browser.get(f"/{alpha}"), browser.get(f"/lightning/r/Account/{alpha}/edit")
    assert "Secret" not in page + form
    assert "<dt>Shown</dt>" in page
    assert 'id="f-Shown__c"' not in form
    for name in ("Secret__c", "Shown__c"):
        refused = browser.save(alpha, **{name: "x"})
        assert refused.status_code == 400
        assert f"Unable to create/update fields: {name}" in unescape(refused.text)


def test_forms_without_the_token_or_of_another_site_are_refused(browser: Browser, org: Client, alpha: str) -> None:
    path = f"{browser.base}/lightning/r/Account/{alpha}/edit"
    data = {"shown": "Name", "field.Name": "taken", "csrf": "0" * 64}
    assert browser.session.post(path, data=data, timeout=30).status_code == 403
    stolen = browser.post(f"/lightning/r/Account/{alpha}/edit", data | {"csrf": Browser(org).get("/")[:64]})
    assert stolen.status_code == 403
    other = browser.post("/user", {"user": "x"}, headers={"Origin": "http://evil.example"})
    assert (other.status_code, "not by this page" in other.text) == (403, True)
    assert browser.post("/user", {"user": "0057Q000FqOCHQHXX"}).status_code == 400
    assert org.names(f"SELECT Name FROM Account WHERE Id = '{alpha}'") == ["Gamma"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "[", "localhost.evil"])
def test_another_host_is_refused(org: Client, host: str) -> None:
    answer = requests.get(org.org.instance_url + "/", headers={"Host": host}, timeout=30)
    assert answer.status_code in (400, 421)
    assert "Sandbox org" not in answer.text


def test_pages_carry_a_strict_policy_and_nothing_from_elsewhere(browser: Browser, alpha: str) -> None:
    answer = browser.session.get(f"{browser.base}/{alpha}", timeout=30)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "HttpOnly; SameSite=Strict" in browser.session.get(browser.base, timeout=30).headers["Set-Cookie"]
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.text)
    assert " style=" not in answer.text
    assert "@import" not in browser.get("/style.css")
    assert "url(" not in browser.get("/style.css")


@pytest.mark.parametrize(
    "path", ["/001000000000000", "/lightning/r/Account/nothing/view", "/lightning/o/User/list",
             "/lightning/o/No__c/list",
             "/lightning/o/Account/list?link=Name&of=1", "/lightning/o/Account/list?filterName=No"],
)  # fmt: skip
def test_what_is_not_there_is_said_as_a_page(browser: Browser, path: str) -> None:
    answer = browser.session.get(browser.base + path, timeout=30)
    assert answer.status_code == 404
    assert "Not possible" in answer.text


def test_every_input_has_a_label(browser: Browser, alpha: str) -> None:
    text = browser.get(f"/lightning/r/Account/{alpha}/edit")
    named = set(re.findall(r'<label[^>]* for="([^"]+)"', text))
    inputs = re.findall(r'<(?:input|select|textarea)(?=[^>]*\bid="([^"]+)")', text)
    assert len(inputs) > 20
    assert set(inputs) <= named
    assert text.count("<h1") == 1


def test_an_empty_org_and_ten_thousand_accounts() -> None:
    with running() as org:
        browser = Browser(org)
        assert "No records." in browser.get("/lightning/o/Account/list")
        org.ingest(
            "Name\n" + "".join(f"Partner {n:05d}\n" for n in range(10_000)), object="Account", operation="insert"
        )
        text = browser.get("/lightning/o/Account/list?start=9950&sort=Name")
        assert "9951 to 10000 of 10,000" in text
        assert "Partner 09999" in text
        assert "1 to 50 of 10,000" in browser.get("/lightning/o/Account/list?start=99999999")
