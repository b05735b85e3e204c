"""Every refusal that a real org is known for, by its error code: what `{error: NAME}` of a fault fills in.

Source: error table of the wire contract, 3.5; job errors of its 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """HTTP status, code and message of a refusal; `html` where a front end answers instead of the API."""

    status: int
    code: str
    message: str
    fields: tuple[str, ...] | None = None
    html: bool = False


_SECURITY = (
    "Unable to create/update fields: Name. Please check the security settings of this field and verify that it is "
    "read/write for your profile or permission set."
)
_ERROR_ID = "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-12345"
_POLICY = (
    "We can't complete the action because enabled transaction security policies took too long to complete. "
    "Contact your Salesforce admin."
)

_ROWS: tuple[Refusal, ...] = (
    Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid"),
    Refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    Refusal(403, "API_DISABLED_FOR_ORG", "API is not enabled for this Organization or Partner"),
    Refusal(403, "INSUFFICIENT_ACCESS", "insufficient access rights on cross-reference id"),
    Refusal(400, "MALFORMED_QUERY", "\nSELECT Id FRM Account\n          ^\nERROR at Row:1:Column:11\n"
            "unexpected token: FRM"),
    Refusal(400, "INVALID_FIELD", "No such column 'X__c' on entity 'Account'. If you are attempting to use a custom "
            "field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the "
            "describe call for the appropriate names."),
    Refusal(400, "INVALID_FIELD_FOR_INSERT_UPDATE", _SECURITY, ("Name",)),
    Refusal(400, "INVALID_TYPE", "sObject type 'X__c' is not supported."),
    Refusal(400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", ("Name",)),
    Refusal(400, "STRING_TOO_LONG", "Billing City: data value too large: x (max length=40)", ("BillingCity",)),
    Refusal(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "Tier: bad value for restricted picklist field: x", ()),
    Refusal(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "The record breaks a validation rule.", ()),
    Refusal(400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "Trigger: execution of BeforeUpdate caused by: "
            "System.LimitException: Apex CPU time limit exceeded: ", ()),
    Refusal(400, "DUPLICATES_DETECTED", "Use one of these records?", ()),
    Refusal(400, "DUPLICATE_VALUE", "duplicate value found: Key__c duplicates value on record with id: 0017Q0000000001",
            ()),
    Refusal(404, "ENTITY_IS_DELETED", "entity is deleted", ()),
    Refusal(400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records", ()),
    Refusal(403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id", ()),
    Refusal(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ()),
    Refusal(400, "MALFORMED_ID", "Account ID: id value of incorrect type: x", ("Id",)),
    Refusal(400, "NUMBER_OUTSIDE_VALID_RANGE", "Score: value outside of valid range on numeric field: 1000000", ()),
    Refusal(400, "JSON_PARSER_ERROR", "Unexpected character ('x' (code 120)) at [line:1, column:2]"),
    Refusal(400, "QUERY_TIMEOUT", "Your query request was running for too long."),
    Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator"),
    Refusal(403, "TXN_SECURITY_METERING_ERROR", _POLICY),
    Refusal(404, "NOT_FOUND", "The requested resource does not exist"),
    Refusal(405, "METHOD_NOT_ALLOWED", "HTTP Method 'POST' not allowed. Allowed are HEAD,GET"),
    Refusal(415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"),
    Refusal(409, "INVALIDVERSION", "the job was made with another API version; ask for its results with that"),
    Refusal(410, "UNSUPPORTED_API_VERSION", "The requested API version is no longer supported"),
    Refusal(410, "GONE", "The requested API version is no longer supported"),
    Refusal(500, "UNKNOWN_EXCEPTION", _ERROR_ID),
    Refusal(503, "SERVER_UNAVAILABLE", "Too many requests in an hour or the server is down for maintenance"),
    Refusal(400, "EXCEEDED_ID_LIMIT", "EXCEEDED_ID_LIMIT: too many ids"),
    Refusal(400, "LIMIT_EXCEEDED", "LIMIT_EXCEEDED: the daily allowance of query jobs is used up"),
    Refusal(400, "INVALIDJOBSTATE", "the job is in another state"),
    Refusal(400, "API_ERROR", "Implementation restriction: the query cannot be run"),
    Refusal(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", "Record rolled back because not all records were valid and the "
            "request was using AllOrNone header", ()),
    Refusal(400, "PROCESSING_HALTED", "The transaction was rolled back since another operation in the same transaction "
            "failed."),
    Refusal(412, "PRECONDITION_FAILED", "The request was not executed because one or more of its preconditions were "
            "not satisfied."),
)  # fmt: skip
_ALSO: dict[str, Refusal] = {
    "ConcurrentRequests": Refusal(
        403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    ),
    "ConcurrentPerOrgLongTxn": Refusal(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
    "InvalidSessionId": Refusal(400, "InvalidSessionId", "Invalid session id"),
    "URI_TOO_LONG": Refusal(414, "Bad Message 414", "URI Too Long", html=True),
    "EDGE_406": Refusal(406, "Not Acceptable", "Not Acceptable", html=True),
    "EDGE_420": Refusal(420, "Enhance Your Calm", "Too many requests", html=True),
    "EDGE_503": Refusal(503, "Service Unavailable", "The server is down for maintenance", html=True),
    "TOO_MANY_REQUESTS": Refusal(429, "Too Many Requests", "Too many requests", html=True),
}
ERRORS: dict[str, Refusal] = {row.code: row for row in _ROWS} | _ALSO

LOGIN_ERRORS: dict[str, str] = {
    "invalid_grant": "authentication failure",
    "invalid_client_id": "client identifier invalid",
    "invalid_client": "invalid client credentials",
    "inactive_user": "user is inactive",
    "invalid_app_access": "user is not admin approved to access this app",
    "unsupported_grant_type": "grant type not supported",
    "server_error": "unexpected error",
}
"""Errors of the token door, whose answers have a shape of their own."""

JOB_ERRORS: dict[str, str] = {
    "TooManyLockFailure": "TooManyLockFailure : Too many lock failures while processing the current batch.",
    "ExceededQuota": "ExceededQuota : ExceededQuota",
    "InvalidBatch": "InvalidBatch : Field name not found : X__c",
    "ClientInputError": "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF",
    "Timeout": "Timeout : the batch was not processed in time",
    "Unknown": "Unknown : An unexpected error occurred.",
    "QUERY_TIMEOUT": "QUERY_TIMEOUT: Your query request was running for too long.",
}


def page(title: str, text: str) -> str:
    """The HTML page of a front end."""
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>"
