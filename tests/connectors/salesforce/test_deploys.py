"""Deploys and retrievals on the wire: what failed is named by file and line, and nothing waits for ever."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests
import responses

from crmsync.connectors.retries import Retries
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.metadata import deploys, soap
from crmsync.connectors.salesforce.metadata.components import FIELD, OBJECT
from crmsync.connectors.salesforce.metadata.packages import zipped
from crmsync.connectors.salesforce.org import Org
from crmsync.errors import AccessError, DataError, Retriable
from crmsync.settings import SalesforceSettings
from tests.connectors.salesforce.wire import BASE, DATA, TOKEN, Answer, Wire, fault, html, ok

SOAP = "/services/Soap/m/67.0"
ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns="http://soap.sforce.com/2006/04/metadata" xmlns:sf="http://soap.sforce.com/2006/04/metadata">'
    "<soapenv:Body>{}</soapenv:Body></soapenv:Envelope>"
)


@pytest.fixture
def wire() -> Iterator[Wire]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Wire(mock)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def org(wire: Wire, slept: list[float]) -> Org:
    del wire
    settings = SalesforceSettings.model_validate({"instance_url": BASE, "access_token": TOKEN})
    return Org(settings, Retries(sleep=slept.append))


def status(**result: Any) -> Answer:
    """An answer of the status resource."""
    return ok({"id": "0Af000000000001AAA", "deployResult": {"done": True, "success": True} | result})


def xml(text: str, status_code: int = 200) -> Answer:
    """A SOAP answer."""
    return status_code, {"Content-Type": "text/xml;charset=UTF-8"}, ENVELOPE.format(text)


def result_of(operation: str, **values: str) -> Answer:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in values.items())
    return xml(f"<{operation}Response><result>{inner}</result></{operation}Response>")


def soap_fault(code: str, words: str) -> Answer:
    return xml(
        f"<soapenv:Fault><faultcode>sf:{code}</faultcode><faultstring>{words}</faultstring></soapenv:Fault>", 500
    )


# --- deploy


def test_a_deploy_is_sent_as_json_and_zip_and_waited_for(
    wire: Wire, org: Org, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.on("POST", f"{DATA}/metadata/deployRequest", ok({"id": "0Af000000000001AAA"}, 201))
    wire.on("GET", rf"{DATA}/metadata/deployRequest/0Af000000000001AAA\?includeDetails=true",
            status(done=False, numberComponentsTotal=7), status(numberComponentsTotal=7))  # fmt: skip
    told: list[tuple[str, int, int | None]] = []
    sent: list[bytes] = []
    send = org.send

    def noting(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> requests.Response:
        sent.append(body)
        return send(method, path, body, headers)

    monkeypatch.setattr(org, "send", noting)
    archive = zipped({"package.xml": b"<Package/>"})
    done = deploys.deploy(org, archive, check_only=True, progress=lambda *given: told.append(given))
    assert (done.id, done.components) == ("0Af000000000001AAA", 7)
    assert slept == [deploys.FIRST_POLL_S]
    assert told == [("check", 0, 7), ("check", 0, 7)]
    body = sent[0]
    options = json.loads(re.search(rb"\r\n\r\n(\{.*\})\r\n", body)[1])["deployOptions"]  # type: ignore[index]
    assert (options["checkOnly"], options["rollbackOnError"], options["purgeOnDelete"]) == (True, True, False)
    assert b'name="entity_content"' in body
    with zipfile.ZipFile(io.BytesIO(body[body.index(b"PK") : body.rindex(b"\r\n--")])) as files:
        assert files.namelist() == ["package.xml"]


def test_each_component_that_failed_is_named_with_file_and_line(wire: Wire, org: Org) -> None:
    failures = [
        {"fileName": "objects/Account.object", "lineNumber": 12, "componentType": "CustomField",
         "fullName": "Account.Tier__c", "problem": "There is already a field named Tier"},
        {"fileName": "package.xml", "componentType": "", "fullName": "X__c", "problem": "Not in zip"},
    ]  # fmt: skip
    wire.on("POST", f"{DATA}/metadata/deployRequest", ok({"id": "0Af000000000001AAA"}, 201))
    wire.on(
        "GET", ".*deployRequest/.*", status(success=False, status="Failed", details={"componentFailures": failures})
    )
    with pytest.raises(deploys.DeployFailed) as caught:
        deploys.deploy(org, b"zip", check_only=False)
    assert str(caught.value).splitlines() == [
        "Salesforce refused the deploy 0Af000000000001AAA (Failed, 2 components); nothing was changed",
        "  objects/Account.object:12: CustomField Account.Tier__c: There is already a field named Tier",
        "  package.xml: X__c: Not in zip",
    ]


def test_one_failure_that_is_no_list_and_many_failures_are_told(wire: Wire, org: Org) -> None:
    one = {"fileName": "a", "fullName": "A", "problem": "no"}
    wire.on("POST", f"{DATA}/metadata/deployRequest", ok({"id": "0Af000000000001AAA"}, 201))
    wire.on("GET", ".*deployRequest/.*", status(success=False, details={"componentFailures": one}),
            status(success=False, details={"componentFailures": [one] * 30}))  # fmt: skip
    with pytest.raises(deploys.DeployFailed, match="a: A: no"):
        deploys.deploy(org, b"zip", check_only=False)
    with pytest.raises(deploys.DeployFailed, match="and 10 more"):
        deploys.deploy(org, b"zip", check_only=False)


def test_a_deploy_whose_answer_is_lost_is_not_sent_again(wire: Wire, org: Org) -> None:
    wire.on("POST", f"{DATA}/metadata/deployRequest", html(502))
    with pytest.raises(Retriable, match="Nobody knows whether the deploy began"):
        deploys.deploy(org, b"zip", check_only=False)
    assert len(wire.made("POST", ".*deployRequest")) == 1


def test_a_deploy_that_never_ends_is_left_alone_after_half_an_hour(wire: Wire, org: Org, slept: list[float]) -> None:
    wire.on("POST", f"{DATA}/metadata/deployRequest", ok({"id": "0Af000000000001AAA"}, 201))
    wire.on("GET", ".*deployRequest/.*", status(done=False))
    with pytest.raises(Retriable, match="has not ended after 30 minutes"):
        deploys.deploy(org, b"zip", check_only=False)
    assert deploys.POLL_MAX_S <= sum(slept) < deploys.POLL_MAX_S + 2 * deploys.LONGEST_POLL_S


def test_a_user_without_the_permission_is_told(wire: Wire, org: Org) -> None:
    wire.on("POST", f"{DATA}/metadata/deployRequest", fault(403, "INSUFFICIENT_ACCESS", "modify metadata"))
    with pytest.raises(AccessError, match="the integration user lacks a permission"):
        deploys.deploy(org, b"zip", check_only=False)


@pytest.mark.parametrize("answer", [ok({}), ok({"id": "../x"}), ok([])])
def test_a_deploy_without_a_usable_id_is_an_error(wire: Wire, org: Org, answer: Answer) -> None:
    wire.on("POST", f"{DATA}/metadata/deployRequest", answer)
    with pytest.raises(DataError, match="without saying under which id"):
        deploys.deploy(org, b"zip", check_only=False)


# --- retrieve

ACCOUNT = (
    b'<CustomObject xmlns="http://soap.sforce.com/2006/04/metadata"><fields><fullName>Tier__c</fullName>'
    b"<length>80</length><type>Text</type></fields></CustomObject>"
)


def retrieved(files: dict[str, bytes]) -> Answer:
    return result_of("checkRetrieveStatus", done="true", success="true",
                     zipFile=base64.b64encode(zipped(files)).decode())  # fmt: skip


def test_what_is_there_is_retrieved_by_name(wire: Wire, org: Org, slept: list[float]) -> None:
    wire.on("POST", SOAP, result_of("retrieve", done="false", id="09S000000000001AAA"),
            result_of("checkRetrieveStatus", done="false"),
            retrieved({"unpackaged/objects/Account.object": ACCOUNT}))  # fmt: skip
    present = soap.retrieve(org, {OBJECT: ["Account", "A&B__c"], "Report": []})
    field = present.find(FIELD, "account.tier__c")
    assert field is not None
    assert field.body == {"fullName": "Tier__c", "length": 80, "type": "Text"}
    assert slept == [soap.FIRST_POLL_S]
    first, second = wire.made("POST", SOAP)[:2]
    assert "<members>Account</members><members>A&amp;B__c</members><name>CustomObject</name>" in first.body
    assert f"<sessionId>{TOKEN}</sessionId>" in first.body
    assert "<name>Report</name>" not in first.body
    assert "<asyncProcessId>09S000000000001AAA</asyncProcessId>" in second.body


def test_a_session_that_has_expired_is_said_and_not_repeated(wire: Wire, org: Org, slept: list[float]) -> None:
    wire.on("POST", SOAP, soap_fault("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader"))
    with pytest.raises(AccessError, match="access token has expired"):
        soap.retrieve(org, {OBJECT: ["Account"]})
    assert slept == []


def test_a_refusal_in_soap_is_not_repeated_and_named(wire: Wire, org: Org, slept: list[float]) -> None:
    wire.on("POST", SOAP, soap_fault("INSUFFICIENT_ACCESS", "use of the Metadata API requires a user with …"))
    with pytest.raises(AccessError, match="INSUFFICIENT_ACCESS"):
        soap.retrieve(org, {OBJECT: ["Account"]})
    wire.on("POST", SOAP, soap_fault("INVALID_TYPE", "no such type"))
    with pytest.raises(Refused, match="INVALID_TYPE: no such type"):
        soap.retrieve(org, {OBJECT: ["Account"]})
    assert slept == []


def test_an_outage_is_repeated(wire: Wire, org: Org, slept: list[float]) -> None:
    wire.on("POST", SOAP, html(503), soap_fault("UNKNOWN_EXCEPTION", "again"),
            result_of("retrieve", id="09S000000000001AAA"),
            retrieved({"objects/Account.object": ACCOUNT}))  # fmt: skip
    assert soap.retrieve(org, {OBJECT: ["Account"]}).find(OBJECT, "Account") is not None
    assert len(slept) == 2


def test_a_retrieval_that_failed_says_why(wire: Wire, org: Org) -> None:
    wire.on("POST", SOAP, result_of("retrieve", id="09S000000000001AAA"),
            result_of("checkRetrieveStatus", done="true", success="false", errorStatusCode="LIMIT_EXCEEDED",
                      errorMessage="too many files"))  # fmt: skip
    with pytest.raises(Refused, match="LIMIT_EXCEEDED: too many files"):
        soap.retrieve(org, {OBJECT: ["Account"]})


def test_a_retrieval_that_never_ends_is_given_up(wire: Wire, org: Org, slept: list[float]) -> None:
    wire.on(
        "POST", SOAP, result_of("retrieve", id="09S000000000001AAA"), result_of("checkRetrieveStatus", done="false")
    )
    with pytest.raises(Retriable, match="has not ended after 200 looks"):
        soap.retrieve(org, {OBJECT: ["Account"]})
    assert len(slept) == soap.POLLS


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([xml("<nothing/>")], "answered retrieve without a result"),
        ([result_of("retrieve", id="")], "without saying under which id"),
        ([result_of("retrieve", id="09S1"), result_of("checkRetrieveStatus", done="true", zipFile="AA==")], "a zip"),
        ([(200, {"Content-Type": "text/xml"}, "<cut")] * 7, "not complete XML"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error(wire: Wire, org: Org, answers: list[Answer], words: str) -> None:
    wire.on("POST", SOAP, *answers)
    with pytest.raises((DataError, Retriable), match=words):
        soap.retrieve(org, {OBJECT: ["Account"]})
