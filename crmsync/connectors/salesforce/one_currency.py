"""The one currency of an org that has no others: its records do not name it, and no object lists it.

Source: SOAP API, partner, getUserInfo (`organizationMultiCurrency`, `orgDefaultCurrencyIsoCode`).
"""

from __future__ import annotations

import re

from lxml import etree

from crmsync.connectors.retries import Transient
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.faults import Refused
from crmsync.connectors.salesforce.org import Org
from crmsync.metadata_schema import MetadataFileError, parsed

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
PARTNER = "urn:partner.soap.sforce.com"
_CODE = re.compile(r"[A-Z]{3}")


def has_several(describe: Describe) -> bool:
    """Whether the org has several currencies: CurrencyType is there only then (otherwise 404 or INVALID_TYPE)."""
    return describe.find("CurrencyType") is not None


def one_currency(org: Org) -> str | None:
    """`EUR`, or None where the org does not tell it to this login. Errors: those of a call, other than a refusal."""
    org.client()
    url = org.url_of(f"/services/Soap/u/{org.version}")
    headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": '""', "Accept": "text/xml"}
    try:
        answer = org.call(lambda _: org.session.post(url, data=_envelope(org.session.token.value), headers=headers))
        told = parsed(answer.content).findtext(".//{*}result/{*}orgDefaultCurrencyIsoCode") or ""
    except (Refused, Transient, MetadataFileError):
        return None
    return told if _CODE.fullmatch(told) else None


def _envelope(session_id: str) -> bytes:
    root = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap={"soapenv": ENVELOPE, None: PARTNER})
    header = etree.SubElement(etree.SubElement(root, f"{{{ENVELOPE}}}Header"), f"{{{PARTNER}}}SessionHeader")
    etree.SubElement(header, f"{{{PARTNER}}}sessionId").text = session_id
    etree.SubElement(etree.SubElement(root, f"{{{ENVELOPE}}}Body"), f"{{{PARTNER}}}getUserInfo")
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))
