"""`init`, `discover` and `check` as commands, over orgs on loopback and folders of files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crmsync.configuration import packaged_folder
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.salesforce.discover import reading
from crmsync.programs.loading import load_program
from crmsync.sandbox.company.schema import company_schema
from crmsync.setting_up import Answers, interview
from crmsync.studies.cases import run_cases
from crmsync.studies.template_parts import with_categories
from crmsync.studies.templates import templates
from tests.belt.conftest import Crmsync, Ended
from tests.sandbox.orgs import Client, running, write_files

pytestmark = pytest.mark.xdist_group("setup-org")
with_org = pytest.mark.usefixtures("org")
SIDE = "//__sandbox"


@pytest.fixture(scope="module")
def company() -> Iterator[Client]:
    """An org with the sample company."""
    with running("--sample", "60", "--seed", "7") as client:
        yield client


@pytest.fixture
def org(company: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """That org, in the settings; its side doors are closed again afterwards."""
    monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", company.org.instance_url)
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", company.org.access_token)
    company.call("DELETE", f"{SIDE}/effects")
    yield company
    company.call("DELETE", f"{SIDE}/faults")
    company.call("PUT", f"{SIDE}/limits", json={"DailyApiRequests": {"Max": 115_000, "Used": 0}})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The configuration that ships, for an org of one's own."""
    folder = Path(shutil.copytree(packaged_folder(), tmp_path / "own"))
    change(folder / "crmsync.yaml", "org: sandbox", "org: salesforce")
    return folder


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, old
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def writes(org: Client) -> int:
    found: int = org.effects()["calls"]["write"]
    return found


def findings(ended: Ended, severity: str = "cannot") -> list[dict[str, Any]]:
    return [one for one in ended.json["findings"] if one["severity"] == severity]


# --- discover


@with_org
def test_the_sample_company_is_found_as_the_shipped_map_has_it(crmsync: Crmsync) -> None:
    done = crmsync("discover", "--to", "made", "--json")
    assert done.code == 0, done.err
    found = read_mapping(Path("made/connectors/salesforce.yaml"))
    shipped = read_mapping(packaged_folder() / "connectors" / "salesforce.yaml")
    for name, table in shipped.tables.items():
        assert found.tables[name].object.text == table.object.text
        columns = {column: place.text for column, place in table.columns.items()}
        made = {column: place.text for column, place in found.tables[name].columns.items()}
        differ = {column for column, field in columns.items() if made.get(column) != field}
        assert differ <= {"csat", "business_plan", "current_msp_tier", "person_name"}, (name, differ)
        assert set(made) <= set(columns)
    filters = [found.tables["partners"].filter, shipped.tables["partners"].filter]
    assert [place.text for place in filters if place] == ["Type = 'Partner'"] * 2
    roles = [(one.partner.text, one.role and one.role.text) for one in found.tables["opportunities"].partners]
    assert roles == [("Reseller__c", "reseller"), ("Distributor__c", "distributor")]
    assert found.tables["certifications"].expires_on_is_last_day
    assert found.writes is not None
    assert shipped.writes is not None
    assert {key: place.text for key, place in found.writes.fields.items()} == {
        key: place.text for key, place in shipped.writes.fields.items()
    }


def test_discovery_reads_only_and_says_what_it_cost(org: Client, crmsync: Crmsync) -> None:
    done = crmsync("discover", "--json")
    assert done.code == 0, done.err
    assert writes(org) == 0
    calls = org.effects()["calls"]
    assert done.json["calls"] == calls["read"] <= 60


@with_org
def test_discovery_looks_for_what_the_program_reads(config: Path, crmsync: Crmsync) -> None:
    done = crmsync("discover", "--config", str(config), "--json")
    assert done.code == 0, done.err
    columns = {line["key"]: line for line in done.json["tables"]["partners"]}
    assert columns["business_plan"]["value"] == "Business_Plan_Signed__c"
    assert columns["csat"]["value"] is None
    assert "the program reads it" in columns["csat"]["why"]


def test_a_count_that_is_refused_leaves_the_rest(org: Client, crmsync: Crmsync) -> None:
    org.call(
        "PUT", f"{SIDE}/faults", json=[{"path": "/composite", "do": {"json": {"compositeResponse": []}}, "at": "after"}]
    )
    done = crmsync("discover", "--json")
    assert done.code == 0, done.err
    assert any("no answer" in note for note in done.json["notes"])
    partners = {line["key"]: line for line in done.json["tables"]["partners"]}
    assert (partners["filter"]["value"], partners["filter"]["sure"]) == (None, False)
    assert partners["region"]["value"] == "Region__c"


def test_a_large_org_costs_no_more_than_the_calls_that_are_allowed(
    org: Client, crmsync: Crmsync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CALLS_MAX", 9)
    done = crmsync("discover", "--to", "made", "--json")
    assert done.code == 0, done.err
    assert org.effects()["calls"]["read"] <= 9 + 1  # the organization is asked for its id afterwards
    assert any("left out after 9 calls" in note for note in done.json["notes"])
    assert "# Not read: " in done.json["text"]
    assert "partners" in read_mapping(Path("made/connectors/salesforce.yaml")).tables


@with_org
def test_a_field_map_of_people_is_left_alone(crmsync: Crmsync) -> None:
    own = Path("made/connectors/salesforce.yaml")
    own.parent.mkdir(parents=True)
    own.write_text("tables: {}\n", encoding="utf-8")
    first = crmsync("discover", "--to", "made")
    assert first.code == 0, first.err
    assert own.read_text(encoding="utf-8") == "tables: {}\n"
    assert Path("made/connectors/salesforce.proposed.yaml").is_file()
    assert "is left as it is" in first.out
    second = crmsync("discover", "--to", "made")
    assert (second.code, "nothing is overwritten" in second.err) == (4, True)


@with_org
def test_a_login_that_is_refused_says_so(crmsync: Crmsync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", "00D!wrong")
    refused = crmsync("discover")
    assert (refused.code, "expired or is not valid" in refused.err) == (4, True)


# --- check


def test_the_shipped_configuration_passes_and_nothing_is_written(org: Client, config: Path, crmsync: Crmsync) -> None:
    done = crmsync("check", "--config", str(config), "--json")
    assert (done.code, findings(done)) == (0, []), done.out
    assert writes(org) == 0
    assert done.json["org"]["kind"] == "sandbox (Enterprise Edition)"
    assert done.json["org"]["user"] == "integration@crmsync.example"
    assert abs(done.json["org"]["clock_skew_s"]) < 30
    assert done.json["cost"]["rows"]["partners"] == 60
    text = crmsync("check", "--config", str(config)).out
    assert "a run can succeed; next: " in text
    assert f"plan --shadow --config {config}" in text


def test_the_estimate_is_near_what_a_run_costs(org: Client, config: Path, crmsync: Crmsync) -> None:
    estimated = crmsync("check", "--config", str(config), "--json").json["cost"]
    org.call("DELETE", f"{SIDE}/effects")
    planned = crmsync("plan", "--config", str(config))
    assert planned.code in (2, 8), planned.err
    assert abs(org.effects()["calls"]["read"] - estimated["read_calls"]) <= 8


@with_org
def test_every_mistake_is_told_at_once_with_its_line(config: Path, crmsync: Crmsync) -> None:
    field_map, program = config / "connectors/salesforce.yaml", config / "programs/channel.yaml"
    change(field_map, "region: Region__c", "region: Regoin__c")
    change(field_map, "issued_on: Issued_On__c", "issued_on: Key__c")
    change(field_map, "granted_tier: Partner_Tier__c", "granted_tier: Partner_Teir__c")
    change(field_map, "object: Partner_Activity__c", "object: Partner_Aktivity__c")
    change(program, "role = 'reseller'", "role = 'reseler'")
    done = crmsync("check", "--config", str(config), "--json")
    assert done.code == 4
    told = {(one["about"], one["line"]) for one in findings(done)}
    lines = field_map.read_text(encoding="utf-8").splitlines()
    at = {token: next(number for number, line in enumerate(lines, 1) if token in line)
          for token in ("Regoin", "issued_on: Key", "Teir", "Aktivity")}  # fmt: skip
    assert told >= {
        ("Account.Regoin__c", at["Regoin"]),
        ("table certifications", at["issued_on: Key"]),
        ("Account.Partner_Teir__c", at["Teir"]),
        ("Partner_Aktivity__c", at["Aktivity"]),
    }
    assert all(one["way_out"] for one in findings(done))
    assert any("did you mean Region__c?" in one["what"] for one in findings(done))
    assert any("has role 'reseler'" in one["what"] for one in findings(done, "look"))


@with_org
def test_a_program_that_is_wrong_does_not_hide_what_is_wrong_in_the_org(config: Path, crmsync: Crmsync) -> None:
    change(config / "programs/channel.yaml", "\nprogram:", "\nprogramm:")
    change(config / "connectors/salesforce.yaml", "region: Region__c", "region: Regoin__c")
    done = crmsync("check", "--config", str(config), "--json")
    assert {one["about"] for one in findings(done)} == {"program", "Account.Regoin__c"}


def test_an_allowance_that_does_not_last_stops(org: Client, config: Path, crmsync: Crmsync) -> None:
    org.call("PUT", f"{SIDE}/limits", json={"DailyApiRequests": {"Max": 60, "Used": 1}})
    done = crmsync("check", "--config", str(config), "--json")
    assert done.code == 4
    (found,) = findings(done)
    assert found["about"] == "API allowance"


@with_org
def test_a_filter_that_finds_nobody_stops(config: Path, crmsync: Crmsync) -> None:
    change(config / "connectors/salesforce.yaml", "Type = 'Partner'", "Type = 'Nobody'")
    done = crmsync("check", "--config", str(config), "--json")
    (found,) = findings(done)
    assert "no record is a partner" in found["what"]


def test_a_login_without_rights_is_told_object_by_object(
    config: Path, crmsync: Crmsync, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("--sample", "20", "--least-privilege") as bare:
        monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", bare.org.instance_url)
        monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", bare.org.access_token)
        hidden = crmsync("discover")
        assert (hidden.code, "object Account is hidden from this login" in hidden.err) == (4, True)
        done = crmsync("check", "--config", str(config), "--json")
        assert done.code == 4
        assert {one["about"] for one in findings(done)} >= {"Account", "Opportunity", "Partner_Certification__c"}
        assert {one["read"] for one in done.json["objects"] if one["name"] == "Account"} == {False}


RULES = {
    "Account": {
        "validationRules": {
            "Gold_Needs_A_Site": {
                "active": True,
                "errorConditionFormula": 'ISPICKVAL(Partner_Tier__c, "Gold") && ISBLANK(Site)',
                "errorMessage": "A gold partner needs a site.",
            },
            "Old_Rule": {"active": False, "errorConditionFormula": "ISBLANK(Site)", "errorMessage": "No more."},
        },
        "recordTypes": {"Small": {"label": "Small partner", "picklistValues": {"Partner_Tier__c": ["Silver"]}}},
    },
    "Partner_Standing__c": {"fields": {"Cost_Centre__c": {"label": "Cost Centre", "type": "Text", "length": 9,
                                                          "required": True}}},
    "Opportunity": {"fields": {"Half__c": {"label": "Half", "type": "Currency", "precision": 16, "scale": 2,
                                           "formula": "Amount / 2"}}},
}  # fmt: skip


def strict_org(folder: Path) -> Path:
    """An org with the fields of the sample company, and rules and record types that stand in the way."""
    schema = company_schema()
    for name, more in RULES.items():
        for part, content in more.items():
            schema["objects"][name].setdefault(part, {}).update(content)
    accounts = "Name,Type\nNordlicht GmbH,Partner\nAcme,Customer\n"
    return write_files(folder, {"schema.yaml": json.dumps(schema), "Account.csv": accounts})


def test_rules_of_the_org_that_stand_in_the_way_are_told(
    config: Path, crmsync: Crmsync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(config / "connectors/salesforce.yaml", "amount: Amount", "amount: Half__c")
    with running("--data", str(strict_org(tmp_path / "org"))) as strict:
        monkeypatch.setenv("CRMSYNC_SALESFORCE__INSTANCE_URL", strict.org.instance_url)
        monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN", strict.org.access_token)
        done = crmsync("check", "--config", str(config), "--json")
        assert writes(strict) == 0
    assert [one["about"] for one in findings(done)] == ["Partner_Standing__c.Cost_Centre__c"]
    told = {one["about"]: one["what"] for one in findings(done, "look")}
    assert "A gold partner needs a site." in told["Account validation rule Gold_Needs_A_Site"]
    assert not [about for about in told if "Old_Rule" in about]
    narrowed = told["Account record type Small partner"]
    assert "in Partner_Tier__c: its records refuse these values" in narrowed
    assert "Gold" in narrowed
    assert "Silver" not in narrowed
    assert "SystemModstamp" in told["Opportunity.Half__c"]


def test_without_a_login_the_files_are_checked_all_the_same(config: Path, crmsync: Crmsync) -> None:
    change(config / "programs/channel.yaml", "\nprogram:", "\nprogramm:")
    done = crmsync("check", "--config", str(config), "--json")
    assert done.code == 4
    assert [one["about"] for one in findings(done)] == ["program", "login"]


def test_a_key_that_others_may_read_is_told(
    org: Client, config: Path, crmsync: Crmsync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "token"
    secret.write_text(org.org.access_token, encoding="utf-8")
    secret.chmod(0o644)
    monkeypatch.delenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN")
    monkeypatch.setenv("CRMSYNC_SALESFORCE__ACCESS_TOKEN_FILE", str(secret))
    told = findings(crmsync("check", "--config", str(config), "--json"), "look")
    assert [one["way_out"] for one in told if "may be read by others" in one["what"]] == [f"chmod 600 {secret}"]
    secret.chmod(0o600)
    told = findings(crmsync("check", "--config", str(config), "--json"), "look")
    assert [one for one in told if "may be read by others" in one["what"]] == []


# --- init


def test_init_writes_a_configuration_that_passes(crmsync: Crmsync) -> None:
    done = crmsync("init", "--org", "sandbox", "--template", "reseller", "--to", "new", "--time-zone", "Europe/Berlin")
    assert done.code == 0, done.err
    checked = crmsync("check", "--config", "new", "--json")
    assert (checked.code, findings(checked)) == (0, []), checked.out


def test_init_reads_the_org_where_it_answers(org: Client, crmsync: Crmsync) -> None:
    done = crmsync("init", "--org", "salesforce", "--template", "reseller", "--to", "new", "--json")
    assert done.code == 0, done.err
    assert done.json["discovered"]
    assert "proposes it" in Path("new/connectors/salesforce.yaml").read_text(encoding="utf-8")
    checked = crmsync("check", "--config", "new", "--json")
    assert (checked.code, findings(checked)) == (0, []), checked.out
    assert org.org.access_token not in "".join(path.read_text(encoding="utf-8") for path in Path("new").rglob("*.*"))


def test_init_without_a_login_names_what_is_missing(crmsync: Crmsync) -> None:
    done = crmsync("init", "--org", "salesforce", "--login", "jwt", "--instance-url", "https://a.my.salesforce.com",
                   "--to", "new", "--table", "certifications=files:lms", "--table", "activities=nowhere")  # fmt: skip
    assert done.code == 0, done.err
    environment = Path("new/crmsync.env.example").read_text(encoding="utf-8")
    names = [line.partition("=")[0] for line in environment.splitlines() if line.startswith("CRMSYNC_")]
    assert names == [f"CRMSYNC_SALESFORCE__{one}" for one in ("INSTANCE_URL", "CLIENT_ID", "USERNAME", "JWT_KEY_FILE")]
    text = Path("new/crmsync.yaml").read_text(encoding="utf-8")
    assert "  certifications: {connector: files, folder: lms}" in text
    assert "activities" not in text
    assert crmsync("check", "--config", "new", "--json").json["findings"][-1]["about"] == "login"


def test_init_never_overwrites_and_says_which(crmsync: Crmsync) -> None:
    mine = Path("new/programs/reseller.yaml")
    mine.parent.mkdir(parents=True)
    mine.write_text("mine", encoding="utf-8")
    done = crmsync("init", "--org", "files", "--to", "new")
    assert (done.code, "new/programs/reseller.yaml is there already; nothing was written" in done.err) == (4, True)
    assert [str(path) for path in Path("new").rglob("*.*")] == ["new/programs/reseller.yaml"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--org", "sandbx"), "did you mean `sandbox`?"),
        (("--org", "salesforce", "--login", "password"), "client_credentials, jwt"),
        (("--org", "sandbox", "--template", "resseller"), "did you mean `reseller`?"),
        (("--org", "sandbox", "--time-zone", "Berlin"), "IANA name"),
        (("--org", "sandbox", "--category", "msp"), "it has no categories"),
        (("--org", "sandbox", "--template", "multi-category-global", "--category", "mps"), "did you mean `msp`?"),
        (("--org", "sandbox", "--table", "certs=files:x"), "--table certs"),
        (("--org", "sandbox", "--table", "certifications"), "NAME=FROM"),
        (("--org", "salesforce", "--instance-url", "acme.my.salesforce.com"), "must look like https://"),
        (("--org", "salesforce", "--instance-url", "http://acme.my.salesforce.com"), "only https is allowed"),
        (
            ("--org", "salesforce", "--instance-url", "https://acme.lightning.force.com"),
            "the API is at https://NAME.my.",
        ),
    ],
)
def test_an_answer_that_is_none_says_what_would_be(crmsync: Crmsync, flags: tuple[str, ...], says: str) -> None:
    done = crmsync("init", *flags, "--to", "new")
    assert (done.code, says in done.err) == (4, True), done.err
    assert not Path("new").exists()


class Typed:
    """A person who types these answers."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.told: list[str] = []

    def __call__(self, question: str) -> str:
        self.told.append(question)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    def tell(self, line: str) -> None:
        self.told.append(line)


def test_on_a_terminal_everything_is_asked_and_a_wrong_answer_again() -> None:
    typed = Typed("salesforse", "salesforce", "jwt", "https://a.my.salesforce.com", "multi-category-global",
                  "reseller, mps", "reseller, msp", "Europe/Berlin", "files", "")  # fmt: skip
    answers = interview(typed, Answers())
    assert answers == Answers(
        "salesforce", "multi-category-global", "jwt", "https://a.my.salesforce.com", "Europe/Berlin",
        ("reseller", "msp"), {"certifications": "files:certifications"},
    )  # fmt: skip
    assert any("did you mean `salesforce`?" in line for line in typed.told)
    assert any("did you mean `msp`?" in line for line in typed.told)


def test_an_empty_answer_is_the_default() -> None:
    assert interview(Typed(*[""] * 9), Answers()) == Answers()


@pytest.mark.parametrize(
    "keep", [("reseller",), ("msp", "referral"), ("distributor",), ("reseller", "msp", "referral")]
)
def test_a_template_with_some_of_its_categories_is_a_program(keep: tuple[str, ...], tmp_path: Path) -> None:
    for name, text in with_categories(templates()["multi-category-global"].files, keep).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    program = tmp_path / "multi-category-global.yaml"
    assert tuple(load_program(program).categories) == keep
    assert [one.name for one in run_cases(program) if not one.passed] == []
