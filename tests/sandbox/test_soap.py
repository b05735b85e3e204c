"""SOAP: logging in, and the Metadata API's operations."""

from __future__ import annotations

import base64
import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from lxml import etree

from crmsync import metadata_schema
from tests.sandbox.orgs import Client, running
from tests.sandbox.packages import NS, SOAP, custom_object, envelope, fields, manifest, text, xml, zipped

WSDL = metadata_schema.compiled()
PARTNER = "urn:partner.soap.sforce.com"


@pytest.fixture(scope="module")
def org() -> Iterator[Client]:
    with running() as client:
        yield client


def post(org: Client, path: str, body: str) -> requests.Response:
    headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""'}
    return requests.post(org.org.instance_url + path, data=body.encode(), headers=headers, timeout=30)


def metadata(org: Client, body: str, session: str | None = None) -> Any:
    """The Body's only child of an answer."""
    answer = post(org, "/services/Soap/m/66.0", envelope(body, session or org.org.access_token))
    assert answer.headers["Content-Type"].startswith("text/xml")
    root = etree.fromstring(answer.content)
    found = root.find(f"{{{SOAP}}}Body")[0]
    assert (answer.status_code == 200) == found.tag.endswith("Response"), answer.text
    if answer.status_code == 200:
        # what Salesforce's own WSDL says of the answer
        assert WSDL.validate(found), WSDL.error_log
    return found


def value(element: Any, name: str) -> str:
    return str(element.findtext(f".//{{*}}{name}"))


def values(element: Any, name: str) -> list[str]:
    return [found.text for found in element.findall(f".//{{*}}{name}")]


def login(org: Client, username: str, password: str, version: str = "64.0", kind: str = "u") -> requests.Response:
    space = PARTNER if kind == "u" else "urn:enterprise.soap.sforce.com"
    body = (
        f'<s:Envelope xmlns:s="{SOAP}"><s:Body><login xmlns="{space}"><username>{username}</username>'
        f"<password>{password}</password></login></s:Body></s:Envelope>"
    )
    return post(org, f"/services/Soap/{kind}/{version}", body)


@pytest.mark.parametrize("kind", ["u", "c"])
@pytest.mark.parametrize("token", [False, True])
def test_a_password_opens_a_session(org: Client, kind: str, token: bool) -> None:
    password = org.org.password + (org.org.security_token if token else "")
    answer = login(org, org.org.username.upper(), password, kind=kind)
    assert answer.status_code == 200, answer.text
    found = etree.fromstring(answer.content)
    assert value(found, "serverUrl") == f"{org.org.instance_url}/services/Soap/{kind}/64.0/{org.org.org_id[:15]}"
    assert (value(found, "userId"), value(found, "organizationId")) == (org.org.user_id, org.org.org_id)
    headers = {"Authorization": f"Bearer {value(found, 'sessionId')}"}
    assert org.get("/limits", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("username", "password", "version", "code"),
    [
        ("integration@crmsync.example", "wrong", "64.0", "INVALID_LOGIN"),
        ("nobody@example.com", "{password}", "64.0", "INVALID_LOGIN"),
        ("integration@crmsync.example", "{password}", "65.0", "UNSUPPORTED_API_VERSION"),
        ("integration@crmsync.example", "{password}", "30.0", "UNSUPPORTED_API_VERSION"),
        ("integration@crmsync.example", "{password}", "x", "UNSUPPORTED_API_VERSION"),
    ],
)
def test_a_login_that_is_refused_is_a_fault(org: Client, username: str, password: str, version: str, code: str) -> None:
    answer = login(org, username, password.format(password=org.org.password), version)
    assert answer.status_code == 500
    found = etree.fromstring(answer.content)
    assert found.findtext(".//faultcode") == f"sf:{code}"
    assert found.findtext(".//faultstring").startswith(f"{code}: ")
    assert value(found, "exceptionCode") == code


def test_logins_with_passwords_are_opened_and_closed_by_the_admin(org: Client) -> None:
    form = {"grant_type": "password", "client_id": org.org.client_id, "client_secret": org.org.client_secret,
            "username": org.org.username, "password": org.org.password + org.org.security_token}  # fmt: skip
    url = f"{org.org.instance_url}/services/oauth2/token"
    closed = requests.post(url, data=form, timeout=30)
    assert (closed.status_code, closed.json()["error"]) == (400, "invalid_grant")
    try:
        assert org.call("PUT", "//__sandbox/logins", json={"oauth_password": True, "soap": False}).status_code == 200
        opened = requests.post(url, data=form, timeout=30).json()
        assert org.get("/limits", headers={"Authorization": f"Bearer {opened['access_token']}"}).status_code == 200
        wrong = requests.post(url, data=form | {"password": "x"}, timeout=30).json()
        assert wrong == {"error": "invalid_grant", "error_description": "authentication failure"}
        assert login(org, org.org.username, org.org.password).status_code == 500
    finally:
        org.call("PUT", "//__sandbox/logins", json={"oauth_password": False, "soap": True})
    assert org.call("PUT", "//__sandbox/logins", json={"soap": "yes"}).status_code == 400


def partner(org: Client, body: str, session: str) -> requests.Response:
    return post(org, "/services/Soap/u/64.0", (
        f'<s:Envelope xmlns:s="{SOAP}" xmlns="{PARTNER}"><s:Header><SessionHeader><sessionId>{session}</sessionId>'
        f"</SessionHeader></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ))  # fmt: skip


def test_the_partner_api_tells_who_is_there_and_queries(org: Client) -> None:
    session = value(etree.fromstring(login(org, "admin@crmsync.example", org.org.password).content), "sessionId")
    assert (
        value(etree.fromstring(partner(org, "<getUserInfo/>", session).content), "userName") == "admin@crmsync.example"
    )
    org.create("Account", Name="A & B <Ltd>")
    soql = "SELECT Id, Name, Owner.Name FROM Account WHERE Name LIKE 'A &amp; B%'"
    found = etree.fromstring(partner(org, f"<query><queryString>{soql}</queryString></query>", session).content)
    assert (value(found, "size"), value(found, "done")) == ("1", "true")
    assert values(found, "Name") == ["A & B <Ltd>", "Integration User"]
    assert "Account" in values(etree.fromstring(partner(org, "<describeGlobal/>", session).content), "name")
    bad = partner(org, "<query><queryString>SELECT Nope FROM Account</queryString></query>", session)
    assert (bad.status_code, value(etree.fromstring(bad.content), "exceptionCode")) == (500, "INVALID_FIELD")
    assert partner(org, "<logout/>", session).status_code == 200
    again = partner(org, "<getUserInfo/>", session)
    assert etree.fromstring(again.content).findtext(".//faultcode") == "sf:INVALID_SESSION_ID"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<a>", "INVALID_SOAP"),
        ("<a/>", "INVALID_SOAP"),
        ('<!DOCTYPE a [<!ENTITY x "y">]>' + envelope("<a>&x;</a>").partition("?>\n")[2], "INVALID_SOAP"),
        (f'<s:Envelope xmlns:s="{SOAP}"><s:Body/></s:Envelope>', "INVALID_SOAP"),
        (envelope("<describeMetadata/>"), "INVALID_SESSION_ID"),
        (envelope("<describeMetadata/>", "00D!none"), "INVALID_SESSION_ID"),
    ],
)  # fmt: skip
def test_an_envelope_that_is_wrong_is_a_fault(org: Client, body: str, code: str) -> None:
    answer = post(org, "/services/Soap/m/66.0", body)
    assert answer.status_code == 500
    assert etree.fromstring(answer.content).findtext(".//faultcode") == f"sf:{code}"


def test_an_unknown_operation_and_a_user_without_the_right_are_faults(org: Client) -> None:
    assert metadata(org, "<renameMetadata/>").findtext("faultcode") == "sf:UNKNOWN_EXCEPTION"
    session = value(etree.fromstring(login(org, "manager@crmsync.example", org.org.password).content), "sessionId")
    assert metadata(org, "<describeMetadata/>", session).findtext("faultcode") == "sf:INSUFFICIENT_ACCESS"


def test_soap_calls_count_and_end_with_the_allowance(org: Client) -> None:
    def used() -> int:
        return int(org.get("/limits").headers["Sforce-Limit-Info"].removeprefix("api-usage=").split("/")[0])

    before = used()
    metadata(org, "<describeMetadata/>")
    assert used() == before + 2
    limits = {"DailyApiRequests": {"Max": 115_000, "Used": 115_000}}
    try:
        assert org.call("PUT", "//__sandbox/limits", json=limits).status_code == 200
        assert metadata(org, "<describeMetadata/>").findtext("faultcode") == "sf:REQUEST_LIMIT_EXCEEDED"
    finally:
        org.call("PUT", "//__sandbox/limits", json={"DailyApiRequests": {"Max": 115_000, "Used": 0}})


def soap_deploy(org: Client, files: dict[str, str], **options: bool) -> Any:
    packed = base64.b64encode(zipped(files)).decode()
    listed = {"checkOnly": False, "rollbackOnError": True, "singlePackage": True} | options
    given = "".join(f"<{name}>{str(value).lower()}</{name}>" for name, value in listed.items())
    body = f"<deploy><ZipFile>{packed}</ZipFile><DeployOptions>{given}</DeployOptions></deploy>"
    begun = metadata(org, body)
    assert (value(begun, "state"), value(begun, "done")) == ("Queued", "false")
    check = f"<checkDeployStatus><asyncProcessId>{value(begun, 'id')}</asyncProcessId><includeDetails>true</includeDetails></checkDeployStatus>"  # noqa: E501
    for _ in range(20):
        found = metadata(org, check)
        if value(found, "done") == "true":
            return found
    raise AssertionError("the deploy never ended")


def test_a_deploy_by_soap_changes_the_schema_and_tells_its_failures(org: Client) -> None:
    done = soap_deploy(org, fields("Account", text("Soap__c")))
    assert (value(done, "status"), value(done, "success")) == ("Succeeded", "true")
    assert values(done, "fullName") == ["Account.Soap__c", "package.xml"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value(done, "createdDate"))
    failed = soap_deploy(org, fields("Account", text("Bad__c", type="Date")))
    assert (value(failed, "status"), value(failed, "problemType")) == ("Failed", "Error")
    assert value(failed, "problem") == "Can not specify 'length' for a CustomField of type Date"


def test_a_deploy_of_a_large_package_can_be_canceled(org: Client) -> None:
    packed = base64.b64encode(zipped(fields("Account", *(text(f"Big{n}__c") for n in range(60))))).decode()
    begun = metadata(org, f"<deploy><ZipFile>{packed}</ZipFile><DeployOptions/></deploy>")
    canceled = metadata(org, f"<cancelDeploy><String>{value(begun, 'id')}</String></cancelDeploy>")
    assert value(canceled, "id") == value(begun, "id")
    for _ in range(20):
        path = f"/metadata/deployRequest/{value(begun, 'id')}"
        state = org.get(path).json()["deployResult"]["status"]
        if state in ("Canceled", "Succeeded"):
            break
    assert state == "Canceled"
    assert "Account.Big1__c" not in listed(org, "CustomField")


def listed(org: Client, kind: str, folder: str = "") -> list[str]:
    inside = f"<folder>{folder}</folder>" if folder else ""
    return values(
        metadata(org, f"<listMetadata><queries>{inside}<type>{kind}</type></queries></listMetadata>"), "fullName"
    )


def test_types_are_described_and_components_listed(org: Client) -> None:
    described = metadata(org, "<describeMetadata><asOfVersion>66.0</asOfVersion></describeMetadata>")
    assert {"CustomObject", "PermissionSet", "Report"} <= set(values(described, "xmlName"))
    assert "CustomField" in values(described, "childXmlNames")
    folder = {"package.xml": manifest({"Report": ["Ours"]}), "reports/Ours-meta.xml": xml("ReportFolder", name="Ours")}
    assert value(soap_deploy(org, folder), "status") == "Succeeded"
    assert listed(org, "ReportFolder") == ["Ours"]
    assert listed(org, "Report", "Ours") == []
    assert "Account" in listed(org, "CustomObject")
    assert listed(org, "ApexClass") == []
    assert (
        metadata(org, "<listMetadata><queries><type>Nope</type></queries></listMetadata>").findtext("faultcode")
        == "sf:INVALID_TYPE"
    )


def test_the_elements_of_a_type_are_described(org: Client) -> None:
    found = metadata(org, f"<describeValueType><type>{{{NS}}}CustomField</type></describeValueType>")
    assert {"fullName", "label", "precision", "valueSet"} <= set(values(found, "name"))
    assert "MultiselectPicklist" in values(found, "value")
    nothing = metadata(org, "<describeValueType><type>Nope</type></describeValueType>")
    assert nothing.findtext("faultcode") == "sf:INVALID_TYPE"


def component(kind: str, **given: Any) -> str:
    """A `metadata` element of this type."""
    file = xml(kind, **given)
    inner = file[file.index(">", file.index("<" + kind)) + 1 : file.rindex("</")]
    return f'<metadata xsi:type="{kind}">{inner}</metadata>'


def test_components_are_created_read_updated_upserted_and_deleted(org: Client) -> None:
    field = {"fullName": "Account.Crud__c", "label": "Crud", "type": "Text", "length": 20}
    made = metadata(org, f"<createMetadata>{component('CustomField', **field)}</createMetadata>")
    assert (value(made, "success"), value(made, "fullName")) == ("true", "Account.Crud__c")
    again = metadata(org, f"<createMetadata>{component('CustomField', **field)}</createMetadata>")
    assert (value(again, "success"), value(again, "statusCode")) == ("false", "DUPLICATE_DEVELOPER_NAME")
    wider = component("CustomField", **field | {"length": 30})
    assert value(metadata(org, f"<updateMetadata>{wider}</updateMetadata>"), "success") == "true"
    upserted = metadata(org, f"<upsertMetadata>{wider}</upsertMetadata>")
    assert (value(upserted, "success"), value(upserted, "created")) == ("true", "false")
    names = "<fullNames>Account.Crud__c</fullNames><fullNames>Account.None__c</fullNames>"
    read = metadata(org, f"<readMetadata><type>CustomField</type>{names}</readMetadata>")
    assert (values(read, "length"), len(read.findall(".//{*}records"))) == (["30"], 2)
    missing = component("CustomField", **field | {"fullName": "Account.None__c"})
    refused = metadata(org, f"<updateMetadata>{missing}</updateMetadata>")
    assert value(refused, "statusCode") == "INVALID_CROSS_REFERENCE_KEY"
    gone = metadata(org, f"<deleteMetadata><type>CustomField</type>{names}</deleteMetadata>")
    assert values(gone, "success") == ["true", "false"]


def test_an_object_is_created_with_its_fields(org: Client) -> None:
    body = custom_object(fullName="Whole__c", fields=[text("Code__c", externalId=True)])
    made = metadata(org, f"<createMetadata>{component('CustomObject', **body)}</createMetadata>")
    assert value(made, "success") == "true"
    assert "Whole__c.Code__c" in listed(org, "CustomField")


def test_what_was_deployed_is_retrieved(org: Client) -> None:
    soap_deploy(org, fields("Account", text("Kept__c", inlineHelpText="Helps")))
    types = "<types><members>Account.Kept__c</members><members>Account.No__c</members><name>CustomField</name></types>"
    request = f"<apiVersion>66.0</apiVersion><singlePackage>true</singlePackage><unpackaged>{types}<version>66.0</version></unpackaged>"  # noqa: E501
    begun = metadata(org, f"<retrieve><retrieveRequest>{request}</retrieveRequest></retrieve>")
    check = f"<checkRetrieveStatus><asyncProcessId>{value(begun, 'id')}</asyncProcessId></checkRetrieveStatus>"
    done = metadata(org, check)
    assert (value(done, "status"), value(done, "success")) == ("Succeeded", "true")
    assert value(done, "problem") == "Entity of type 'CustomField' named 'Account.No__c' cannot be found"
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(value(done, "zipFile")))) as archive:
        assert sorted(archive.namelist()) == ["unpackaged/objects/Account.object", "unpackaged/package.xml"]
        file = etree.fromstring(archive.read("unpackaged/objects/Account.object"))
    assert file.tag == f"{{{NS}}}CustomObject"
    assert values(file, "inlineHelpText") == ["Helps"]


def records(org: Client, body: str, headers: str = "") -> Any:
    """The answer's Body of a call of the Partner API."""
    whole = (
        f'<s:Envelope xmlns:s="{SOAP}" xmlns="{PARTNER}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<s:Header><SessionHeader><sessionId>{org.org.access_token}</sessionId></SessionHeader>{headers}</s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    )
    answer = post(org, "/services/Soap/u/60.0", whole)
    return etree.fromstring(answer.content).find(f"{{{SOAP}}}Body")[0]


def account(inner: str) -> str:
    return f"<sObjects><type>Account</type>{inner}</sObjects>"


def test_records_are_written_and_retrieved_over_the_partner_api(org: Client) -> None:
    rows = account("<Name>Ångström</Name><Phone>1</Phone>") + account("<Phone>2</Phone>")
    made = records(org, f"<create>{rows}</create>")
    assert (values(made, "success"), value(made, "statusCode")) == (["true", "false"], "REQUIRED_FIELD_MISSING")
    record_id = value(made, "id")
    change = f"<fieldsToNull>Phone</fieldsToNull><Id>{record_id}</Id><NumberOfEmployees>12</NumberOfEmployees>"
    assert values(records(org, f"<update>{account(change)}</update>"), "success") == ["true"]
    body = (
        f"<fieldList>Name, Phone, NumberOfEmployees</fieldList><sObjectType>Account</sObjectType><ids>{record_id}</ids>"
    )
    found = records(org, f"<retrieve>{body}<ids>001000000000000AAA</ids></retrieve>")
    first, second = found.findall(f"{{{PARTNER}}}result")
    assert [value(first, name) for name in ("Name", "Phone", "NumberOfEmployees")] == ["Ångström", "", "12"]
    assert second.get("{http://www.w3.org/2001/XMLSchema-instance}nil") == "true"
    key = "<externalIDFieldName>Id</externalIDFieldName>"
    upserted = records(org, f"<upsert>{key}{account(f'<Id>{record_id}</Id><Site>x</Site>')}</upsert>")
    assert (values(upserted, "created"), values(upserted, "success")) == (["false"], ["true"])
    gone = records(org, f"<delete><ids>{record_id}</ids><ids>bad</ids></delete>")
    assert (values(gone, "success"), value(gone, "statusCode")) == (["true", "false"], "MALFORMED_ID")
    assert values(records(org, f"<undelete><ids>{record_id}</ids></undelete>"), "success") == ["true"]


def test_all_or_none_undoes_every_record_of_a_call(org: Client) -> None:
    header = "<AllOrNoneHeader><allOrNone>true</allOrNone></AllOrNoneHeader>"
    made = records(org, f"<create>{account('<Name>Undone</Name>')}{account('')}</create>", header)
    assert values(made, "statusCode") == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    query = "<query><queryString>SELECT count() FROM Account WHERE Name = 'Undone'</queryString></query>"
    assert value(records(org, query), "size") == "0"


def test_objects_are_described_and_changes_told_over_the_partner_api(org: Client) -> None:
    found = records(org, "<describeSObjects><sObjectType>account</sObjectType></describeSObjects>")
    (result,) = found
    names = [field.findtext(f"{{{PARTNER}}}name") for field in result.findall(f"{{{PARTNER}}}fields")]
    assert {"Id", "Name", "BillingCity"} <= set(names)
    assert value(result, "urlDetail").endswith("/{ID}")
    unknown = records(org, "<describeSObject><sObjectType>Nope</sObjectType></describeSObject>")
    assert value(unknown, "exceptionCode") == "INVALID_SOBJECT_TYPE"
    org.create("Account", Name="Changed")
    span = "<startDate>2026-06-30T00:00:00Z</startDate><endDate>2030-01-01T00:00:00Z</endDate>"
    span = f"<sObjectType>Account</sObjectType>{span}"
    assert values(records(org, f"<getUpdated>{span}</getUpdated>"), "ids")
    assert value(records(org, f"<getDeleted>{span}</getDeleted>"), "latestDateCovered").startswith("2030")
