"""Doors of the Partner and Enterprise SOAP APIs, as far as clients still use them: login, queries, records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from crmsync.sandbox import soap
from crmsync.sandbox.answers import Answer, Call
from crmsync.sandbox.describe import describe_global
from crmsync.sandbox.org import Org
from crmsync.sandbox.passwords import user_with_password
from crmsync.sandbox.queries import first_page, next_page
from crmsync.sandbox.soap import SoapCall, SoapFaultError
from crmsync.sandbox.soap_rows import (
    create,
    delete,
    deleted,
    describe,
    retrieved,
    tags,
    undelete,
    update,
    updated,
    upsert,
)

PARTNER, ENTERPRISE = "urn:partner.soap.sforce.com", "urn:enterprise.soap.sforce.com"
LAST_LOGIN = 64  # SOAP login() is not part of later versions
_OBJECTS = {PARTNER: "urn:sobject.partner.soap.sforce.com", ENTERPRISE: "urn:sobject.enterprise.soap.sforce.com"}
_FAULTS = {PARTNER: "urn:fault.partner.soap.sforce.com", ENTERPRISE: "urn:fault.enterprise.soap.sforce.com"}
SESSION_S = 7_200


def partner(org: Org, call: Call) -> Answer:
    """POST `/services/Soap/u/{version}`."""
    return _door(org, call, PARTNER)


def enterprise(org: Org, call: Call) -> Answer:
    """POST `/services/Soap/c/{version}`."""
    return _door(org, call, ENTERPRISE)


def _door(org: Org, call: Call, namespace: str) -> Answer:
    return soap.guarded(lambda: _answered(org, call, namespace), _FAULTS[namespace], _detail)


def _answered(org: Org, call: Call, namespace: str) -> Answer:
    found = soap.read_call(call)
    if found.operation == "login":
        return soap.answer("login", namespace, _login(org, found, call))
    act = _OPERATIONS.get(found.operation)
    if act is None:
        raise SoapFaultError("UNKNOWN_EXCEPTION", f"The operation {found.operation[:60]} is not offered by this org")
    soap.check_session(org, found)
    return soap.answer(found.operation, namespace, act(org, found), f' xmlns:sf="{_OBJECTS[namespace]}"')


def _detail(error: SoapFaultError) -> str:
    kind = "LoginFault" if error.code == "INVALID_LOGIN" else "UnexpectedErrorFault"
    return (
        f'<sf:{kind} xsi:type="sf:{kind}"><sf:exceptionCode>{error.code}</sf:exceptionCode>'
        f"<sf:exceptionMessage>{escape(error.message)}</sf:exceptionMessage></sf:{kind}>"
    )


def _login(org: Org, found: SoapCall, call: Call) -> str:
    if found.version > LAST_LOGIN:
        raise SoapFaultError("UNSUPPORTED_API_VERSION", f"SOAP API login() is not available in version "
                             f"{found.version}.0; the last one is {LAST_LOGIN}.0: log in with OAuth")  # fmt: skip
    user_id = user_with_password(org, found.text("username"), found.text("password")) if org.logins.soap else None
    if user_id is None:
        raise SoapFaultError("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    session = org.numbered_token(user_id)
    api = call.path.rstrip("/").split("/")[3]
    rest = f"{org.url}/services/Soap/{{}}/{found.version}.0/{org.org_id[:15]}"
    return tags("result", {
        "metadataServerUrl": rest.format("m"), "passwordExpired": "false", "sandbox": "true",
        "serverUrl": rest.format(api), "sessionId": session, "userId": user_id, "userInfo": _user_info(org, user_id),
    })  # fmt: skip


def _user_info(org: Org, user_id: str) -> dict[str, Any]:
    reader = org.store.reader()
    name, username, email, language, locale, zone, profile = reader.execute(
        'SELECT "Name", "Username", "Email", "LanguageLocaleKey", "LocaleSidKey", "TimeZoneSidKey", "ProfileId" '
        'FROM "User" WHERE "Id" = ?', [user_id]).fetchone()  # fmt: skip
    company = reader.execute('SELECT "Name" FROM "Organization"').fetchone()[0]
    money = org.corporate or "USD"
    return {
        "accessibilityMode": "false", "chatterExternal": "false", "currencySymbol": money,
        "orgAttachmentFileSizeLimit": "26214400", "orgDefaultCurrencyIsoCode": money,
        "orgDefaultCurrencyLocale": "en_US", "orgDisallowHtmlAttachments": "false", "orgHasPersonAccounts": "false",
        "organizationId": org.org_id, "organizationMultiCurrency": str(org.features.multi_currency).lower(),
        "organizationName": company, "profileId": profile, "roleId": None, "sessionSecondsValid": str(SESSION_S),
        "userDefaultCurrencyIsoCode": None, "userEmail": email, "userFullName": name, "userId": user_id,
        "userLanguage": language, "userLocale": locale, "userName": username, "userTimeZone": zone,
        "userType": "Standard", "userUiSkin": "Theme3",
    }  # fmt: skip


def _me(org: Org, found: SoapCall) -> str:
    return tags("result", _user_info(org, org.tokens[found.session]))


def _logout(org: Org, found: SoapCall) -> str:
    org.tokens.pop(found.session, None)
    return ""


def _clock(org: Org, found: SoapCall) -> str:
    del found
    return tags("result", {"timestamp": f"{org.clock.now()}Z"})


def _describe_global(org: Org, found: SoapCall) -> str:
    described = describe_global(org.visible, f"/services/data/v{found.version}.0")
    head = f"<encoding>UTF-8</encoding><maxBatchSize>{described['maxBatchSize']}</maxBatchSize>"
    rows = [tags("sobjects", {name: value for name, value in sorted(entry.items()) if name != "urls"})
            for entry in described["sobjects"]]  # fmt: skip
    return f"<result>{head}{''.join(rows)}</result>"


def _query(org: Org, found: SoapCall, deleted_too: bool = False) -> str:
    return _page(first_page(org, found.text("queryString"), "", deleted_too=deleted_too))


def _query_more(org: Org, found: SoapCall) -> str:
    return _page(next_page(org, found.text("queryLocator"), ""))


def _page(page: Mapping[str, Any]) -> str:
    locator = str(page["nextRecordsUrl"]).rpartition("/")[2] if page.get("nextRecordsUrl") else None
    rows = "".join(_record("records", record) for record in page["records"])
    return (
        f'<result xsi:type="QueryResult"><done>{str(page["done"]).lower()}</done>{tags("queryLocator", locator)}{rows}'
        f"<size>{page['totalSize']}</size></result>"
    )


def _record(name: str, record: Mapping[str, Any]) -> str:
    """One row; its id comes twice, as from a real org, and empty where it was not selected."""
    kind = record.get("attributes", {}).get("type", "AggregateResult")
    parts = [f"<sf:type>{kind}</sf:type>", tags("sf:Id", record.get("Id"))]
    for field, value in record.items():
        if field == "attributes":
            continue
        if isinstance(value, Mapping) and "records" in value:
            parts.append(f'<sf:{field} xsi:type="QueryResult">{_page(value).partition(">")[2][:-9]}</sf:{field}>')
        elif isinstance(value, Mapping) and "attributes" in value:
            parts.append(_record(f"sf:{field}", value))
        else:
            parts.append(tags(f"sf:{field}", value))
    return f'<{name} xsi:type="sf:sObject">{"".join(parts)}</{name}>'


def _retrieve(org: Org, found: SoapCall) -> str:
    records = retrieved(org, found)
    return "".join(tags("result", None) if record is None else _record("result", record) for record in records)


_OPERATIONS: dict[str, Callable[[Org, SoapCall], str]] = {
    "getUserInfo": _me, "logout": _logout, "getServerTimestamp": _clock, "describeGlobal": _describe_global,
    "create": create, "update": update, "upsert": upsert, "delete": delete, "undelete": undelete,
    "retrieve": _retrieve, "describeSObject": describe, "describeSObjects": describe, "getUpdated": updated,
    "getDeleted": deleted, "query": _query, "queryAll": lambda org, found: _query(org, found, True),
    "queryMore": _query_more,
}  # fmt: skip
