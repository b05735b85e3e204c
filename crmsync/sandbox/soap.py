"""SOAP envelopes: the call inside one, the answer around a result, and faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from crmsync import metadata_schema
from crmsync.metadata_schema import MetadataFileError
from crmsync.sandbox.answers import Answer, ApiError, Call
from crmsync.sandbox.org import Org
from crmsync.sandbox.users import act_as

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
MEDIA = "text/xml;charset=UTF-8"
OLDEST, NEWEST = 31, 68


class SoapFaultError(Exception):
    """A refusal of the whole call: the code without its prefix, and the text."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class SoapCall:
    """The operation of an envelope, its element, and the headers by local name."""

    operation: str
    element: Any
    headers: Mapping[str, Any]
    version: int

    def text(self, name: str) -> str:
        """The text of the operation's own child of that local name; empty without one."""
        found = next((child for child in self.element if local(child) == name), None)
        return (found.text or "").strip() if found is not None else ""

    def texts(self, name: str) -> list[str]:
        """The texts of all children of that name."""
        return [(child.text or "").strip() for child in self.element if local(child) == name]

    def children(self, name: str) -> list[Any]:
        """All children of that name."""
        return [child for child in self.element if local(child) == name]

    def header(self, name: str, part: str) -> str:
        """The text of a part of a header; empty without one."""
        header = self.headers.get(name)
        found = next((child for child in header if local(child) == part), None) if header is not None else None
        return (found.text or "").strip() if found is not None else ""

    @property
    def session(self) -> str:
        """The session id of the SessionHeader."""
        return self.header("SessionHeader", "sessionId")


def local(element: Any) -> str:
    """The name of an element without its namespace."""
    return str(etree.QName(element).localname)


def read_call(call: Call) -> SoapCall:
    """The call of an envelope. Errors: SoapFaultError."""
    version = call.parts["soap"]
    number = int(version.partition(".")[0]) if version.partition(".")[0].isdigit() else 0
    if not OLDEST <= number <= NEWEST:
        raise SoapFaultError("UNSUPPORTED_API_VERSION", f"Invalid Api version specified on URL: {version[:20]}")
    try:
        root = metadata_schema.parsed(call.body)
    except MetadataFileError as error:
        raise SoapFaultError("INVALID_SOAP", f"Error parsing the envelope: {error.problem}") from None
    parts = {local(child): child for child in root}
    body = parts.get("Body")
    if root.tag != f"{{{ENVELOPE}}}Envelope" or body is None or len(body) != 1:
        raise SoapFaultError("INVALID_SOAP", "The envelope must have one Body with one operation")
    header = parts.get("Header")
    headers = {local(child): child for child in header} if header is not None else {}
    return SoapCall(local(body[0]), body[0], headers, number)


def check_session(org: Org, found: SoapCall) -> str:
    """The user of the session, as whom the rest of the call acts. The call counts as one.

    Errors: SoapFaultError; ApiError when the day's allowance is used up.
    """
    user_id = org.tokens.get(found.session)
    if user_id is None:
        raise SoapFaultError("INVALID_SESSION_ID", "Invalid Session ID found in SessionHeader: Illegal Session. "
                             "Session not found, missing session hash")  # fmt: skip
    act_as(user_id)
    org.allowance.take_request()
    return user_id


def answer(operation: str, namespace: str, inner: str, extra: str = "") -> Answer:
    """The envelope around the result of an operation; `inner` is XML in `namespace`."""
    return Answer(
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns="{namespace}" '
        f'xmlns:xsi="{INSTANCE}"{extra}><soapenv:Body><{operation}Response>{inner}</{operation}Response>'
        "</soapenv:Body></soapenv:Envelope>",
        media_type=MEDIA,
    )


def fault(error: SoapFaultError, namespace: str, detail: str = "") -> Answer:
    """The envelope of a fault: status 500."""
    code = error.code if error.code.startswith("soapenv:") else f"sf:{error.code}"
    text = error.message if error.message.startswith(error.code) else f"{error.code}: {error.message}"
    inside = f"<detail>{detail}</detail>" if detail else ""
    return Answer(
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns:sf="{namespace}" '
        f'xmlns:xsi="{INSTANCE}"><soapenv:Body><soapenv:Fault><faultcode>{code}</faultcode>'
        f"<faultstring>{escape(text)}</faultstring>{inside}</soapenv:Fault></soapenv:Body></soapenv:Envelope>",
        500,
        media_type=MEDIA,
    )


def guarded(act: Callable[[], Answer], namespace: str, detail: Callable[[SoapFaultError], str] | None = None) -> Answer:
    """The answer of a call, or the fault that it ended in, with what `detail` tells of it."""
    try:
        return act()
    except SoapFaultError as error:
        found = error
    except ApiError as error:
        found = SoapFaultError(error.code, error.message)
    return fault(found, namespace, detail(found) if detail else "")
