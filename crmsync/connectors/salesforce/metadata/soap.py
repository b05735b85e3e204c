"""The two SOAP calls that the Metadata API has no REST form of: retrieve what is there, and ask how far that is.

Source: Metadata API, `/services/Soap/m/<version>`, operations retrieve and checkRetrieveStatus.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from lxml import etree

from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.metadata.retrieved import Present, present_of
from crmsync.connectors.salesforce.org import Org
from crmsync.errors import DataError, Retriable
from crmsync.metadata_schema import NAMESPACE, MetadataFileError, fill, parsed

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
POLLS = 200
FIRST_POLL_S, LONGEST_POLL_S = 0.5, 10.0


def retrieve(org: Org, members: Mapping[str, Sequence[str]]) -> Present:
    """The components of these names, by metadata type; what does not exist is simply absent.

    Errors: AccessError, Transient, DataError, Retriable when the org does not come to an end.
    """
    started = _call(org, "retrieve", "RetrieveRequest", "retrieveRequest", _request(org, members))
    retrieval = started.get("id", "")
    if not retrieval.isalnum():
        raise DataError("Salesforce began to retrieve metadata without saying under which id")
    result = _ended(org, retrieval)
    if result.get("success") == "false" or result.get("status") == "Failed":
        code, words = result.get("errorStatusCode", ""), result.get("errorMessage", "no reason given")
        raise Refused("to retrieve metadata", 200, code, words)
    try:
        return present_of(base64.b64decode(result.get("zipFile", ""), validate=False))
    except (ValueError, binascii.Error):
        raise DataError("Salesforce gave the retrieved metadata in a form that is not base64") from None


def _request(org: Org, members: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    types = [{"members": list(names), "name": kind} for kind, names in members.items() if names]
    unpackaged = {"types": types, "version": version_of(org)}
    return {"apiVersion": version_of(org), "singlePackage": True, "unpackaged": unpackaged}


def version_of(org: Org) -> str:
    """The API version in use, `67.0`."""
    org.client()
    return org.version


def _ended(org: Org, retrieval: str) -> Mapping[str, str]:
    wait_s = FIRST_POLL_S
    for _ in range(POLLS):
        result = _call(org, "checkRetrieveStatus", "", "", {"asyncProcessId": retrieval, "includeZip": "true"})
        if result.get("done") == "true":
            return result
        org.retries.sleep(wait_s)
        wait_s = min(wait_s * 1.5, LONGEST_POLL_S)
    raise Retriable(f"retrieving metadata ({retrieval}) has not ended after {POLLS} looks; try again later")


def _call(org: Org, operation: str, kind: str, name: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The texts directly below `result` of the answer. A retrieve may be repeated: it changes nothing."""
    url = org.url_of(f"/services/Soap/m/{version_of(org)}")
    headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""', "Accept": "text/xml"}
    answer = org.call(
        lambda _: org.session.post(
            url, data=_envelope(org.session.token.value, operation, kind, name, values), headers=headers
        )
    )
    try:
        root = parsed(answer.content)
    except MetadataFileError as error:
        raise Transient(f"{operation}: the answer is not complete XML ({error})") from None
    result = root.find(f".//{{{NAMESPACE}}}result")
    if result is None:
        raise DataError(f"Salesforce answered {operation} without a result")
    return {etree.QName(child).localname: child.text or "" for child in result}


def _envelope(session_id: str, operation: str, kind: str, name: str, values: Mapping[str, Any]) -> bytes:
    root = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap={"soapenv": ENVELOPE, None: NAMESPACE})
    header = etree.SubElement(root, f"{{{ENVELOPE}}}Header")
    session = etree.SubElement(header, f"{{{NAMESPACE}}}SessionHeader")
    etree.SubElement(session, f"{{{NAMESPACE}}}sessionId").text = session_id
    body = etree.SubElement(etree.SubElement(root, f"{{{ENVELOPE}}}Body"), f"{{{NAMESPACE}}}{operation}")
    if kind:
        fill(etree.SubElement(body, f"{{{NAMESPACE}}}{name}"), kind, values)
    else:
        for key, text in values.items():
            etree.SubElement(body, f"{{{NAMESPACE}}}{key}").text = text
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))
