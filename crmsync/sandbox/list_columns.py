"""Columns of list views and reports: the names that Salesforce gives to standard fields there, and the field of each.

Custom fields stand by their API name in a list view, and as `Object.Field__c` in a report.
"""

from __future__ import annotations

from crmsync.sandbox.schema import Field, Schema, SObject

_ACCOUNT = {
    "ACCOUNT.NAME": "Name", "ACCOUNT.SITE": "Site", "ACCOUNT.ADDRESS1_CITY": "BillingCity",
    "ACCOUNT.ADDRESS1_STATE": "BillingState", "ACCOUNT.ADDRESS1_STATE_CODE": "BillingStateCode",
    "ACCOUNT.ADDRESS1_ZIP": "BillingPostalCode", "ACCOUNT.ADDRESS1_COUNTRY": "BillingCountry",
    "ACCOUNT.ADDRESS1_COUNTRY_CODE": "BillingCountryCode", "ACCOUNT.ADDRESS1_STREET": "BillingStreet",
    "ACCOUNT.ADDRESS2_CITY": "ShippingCity", "ACCOUNT.ADDRESS2_STATE": "ShippingState",
    "ACCOUNT.ADDRESS2_COUNTRY": "ShippingCountry", "ACCOUNT.ADDRESS2_COUNTRY_CODE": "ShippingCountryCode",
    "ACCOUNT.PHONE1": "Phone", "ACCOUNT.PHONE2": "Fax", "ACCOUNT.TYPE": "Type", "ACCOUNT.INDUSTRY": "Industry",
    "ACCOUNT.RATING": "Rating", "ACCOUNT.URL": "Website", "ACCOUNT.SALES": "AnnualRevenue",
    "ACCOUNT.EMPLOYEES": "NumberOfEmployees", "ACCOUNT.ACCOUNT_NUMBER": "AccountNumber",
    "ACCOUNT.OWNERSHIP": "Ownership", "ACCOUNT.ACCOUNTSOURCE": "AccountSource", "ACCOUNT.SIC": "Sic",
    "ACCOUNT.TICKER": "TickerSymbol", "ACCOUNT.DESCRIPTION": "Description", "ACCOUNT.CREATED_DATE": "CreatedDate",
    "ACCOUNT.LAST_UPDATE": "LastModifiedDate", "ACCOUNT.LAST_ACTIVITY": "LastActivityDate",
    "ACCOUNT.RECORDTYPE": "RecordType.Name", "ACCOUNT.IS_PARTNER": "IsPartner", "PARENT_NAME": "Parent.Name",
    "ACCOUNT.CURRENCY_ISO_CODE": "CurrencyIsoCode", "CORE.USERS.ALIAS": "Owner.Alias",
    "CORE.USERS.FULL_NAME": "Owner.Name", "CORE.USERS.FIRST_NAME": "Owner.FirstName",
    "CORE.USERS.LAST_NAME": "Owner.LastName", "CREATEDBY_USER": "CreatedBy.Name",
    "CREATEDBY_USER.ALIAS": "CreatedBy.Alias", "UPDATEDBY_USER": "LastModifiedBy.Name",
    "UPDATEDBY_USER.ALIAS": "LastModifiedBy.Alias",
}  # fmt: skip
_OPPORTUNITY = {
    "OPPORTUNITY.NAME": "Name", "OPPORTUNITY.AMOUNT": "Amount", "OPPORTUNITY.CLOSE_DATE": "CloseDate",
    "OPPORTUNITY.STAGE_NAME": "StageName", "OPPORTUNITY.PROBABILITY": "Probability",
    "OPPORTUNITY.TYPE": "Type", "OPPORTUNITY.LEAD_SOURCE": "LeadSource", "OPPORTUNITY.NEXT_STEP": "NextStep",
    "OPPORTUNITY.CLOSED": "IsClosed", "OPPORTUNITY.WON": "IsWon", "OPPORTUNITY.CREATED_DATE": "CreatedDate",
    "OPPORTUNITY.LAST_UPDATE": "LastModifiedDate", "OPPORTUNITY.FISCAL_QUARTER": "FiscalQuarter",
    "OPPORTUNITY.FISCAL_YEAR": "FiscalYear", "OPPORTUNITY.EXP_AMOUNT": "ExpectedRevenue",
    "OPPORTUNITY.RECORDTYPE": "RecordType.Name", "ACCOUNT.NAME": "Account.Name", "CORE.USERS.ALIAS": "Owner.Alias",
    "CORE.USERS.FULL_NAME": "Owner.Name",
}  # fmt: skip
_CONTACT = {
    "FULL_NAME": "Name", "ACCOUNT.NAME": "Account.Name", "CONTACT.TITLE": "Title", "CONTACT.EMAIL": "Email",
    "CONTACT.PHONE1": "Phone", "CONTACT.PHONE3": "MobilePhone", "CONTACT.DEPARTMENT": "Department",
    "CONTACT.CREATED_DATE": "CreatedDate", "CONTACT.LAST_UPDATE": "LastModifiedDate",
    "CORE.USERS.ALIAS": "Owner.Alias", "CORE.USERS.FULL_NAME": "Owner.Name",
}  # fmt: skip
_CUSTOM = {
    "NAME": "Name", "OWNER.ALIAS": "Owner.Alias", "OWNER.FULL_NAME": "Owner.Name",
    "OWNER.FIRST_NAME": "Owner.FirstName", "OWNER.LAST_NAME": "Owner.LastName", "CREATED_DATE": "CreatedDate",
    "LAST_UPDATE": "LastModifiedDate", "RECORDTYPE": "RecordType.Name", "CREATEDBY_USER": "CreatedBy.Name",
    "CREATEDBY_USER.ALIAS": "CreatedBy.Alias", "UPDATEDBY_USER": "LastModifiedBy.Name",
    "UPDATEDBY_USER.ALIAS": "LastModifiedBy.Alias", "CURRENCY_ISO_CODE": "CurrencyIsoCode",
    "LAST_ACTIVITY": "LastActivityDate", "SYSTEMMODSTAMP": "SystemModstamp",
}  # fmt: skip
_STANDARD = {"Account": _ACCOUNT, "Opportunity": _OPPORTUNITY, "Contact": _CONTACT}

REPORT_TABLES = {
    "AccountList": ("Account",), "AccountOpportunity": ("Account", "Opportunity"),
    "Opportunity": ("Opportunity", "Account"), "OpportunityPartner": ("Opportunity", "Account", "Partner"),
    "OpportunityContactRole": ("Opportunity", "Account", "Contact"), "ContactList": ("Contact", "Account"),
    "AccountPartner": ("Account", "Partner"), "AccountContactRole": ("Account", "Contact"),
}  # fmt: skip
"""Standard report types, and the objects whose fields they show."""
_REPORT_NAMES = {
    "CREATED_DATE": "CreatedDate", "LAST_UPDATE": "LastModifiedDate", "LAST_ACTIVITY": "LastActivityDate",
    "USERS.NAME": "Owner.Name", "ACCOUNT_OWNER": "Owner.Name", "ACCOUNT_ID": "Id", "TYPE": "Type",
    "INDUSTRY": "Industry", "RATING": "Rating", "SALES": "AnnualRevenue", "EMPLOYEES": "NumberOfEmployees",
    "PHONE1": "Phone", "URL": "Website", "ADDRESS1_CITY": "BillingCity", "ADDRESS1_STATE": "BillingState",
    "ADDRESS1_COUNTRY": "BillingCountry", "ADDRESS1_COUNTRY_CODE": "BillingCountryCode", "DUE_DATE": "LastActivityDate",
    "ACCOUNT_NAME": "Name", "RECORDTYPE": "RecordType.Name", "OPPORTUNITY_NAME": "Name", "AMOUNT": "Amount",
    "CLOSE_DATE": "CloseDate", "STAGE_NAME": "StageName", "PROBABILITY": "Probability", "FULL_NAME": "Owner.Name",
    "CURRENCY_ISO_CODE": "CurrencyIsoCode", "ROLLUP_DESCRIPTION": "Owner.Name", "ACCOUNT_NUMBER": "AccountNumber",
}  # fmt: skip


def column_path(sobject: SObject, column: str) -> str | None:
    """The field path (`Name`, `Owner.Alias`, `Tier__c`) of a list view's column, or None when there is none."""
    found = sobject.field(column)
    if found is not None and (found.custom or sobject.custom):
        return found.name
    names = _CUSTOM if sobject.custom else _STANDARD.get(sobject.name)
    if names is None:
        # objects without a table of their own here: the columns that every object has, and its own fields
        return _CUSTOM.get(column.upper()) or (found.name if found else None)
    path = names.get(column.upper())
    return path if path is not None and (sobject.field(path) or _linked(sobject, path)) else None


def _linked(sobject: SObject, path: str) -> bool:
    return "." in path and path.partition(".")[0].lower() in sobject.by_relationship


def path_field(schema: Schema, sobject: SObject, path: str) -> Field | None:
    """The field at the end of a path through parents."""
    first, dot, rest = path.partition(".")
    if not dot:
        # custom report types name a standard lookup by its relationship: `Owner`, not `OwnerId`
        named = None if first.lower().endswith("__r") else sobject.by_relationship.get(first.lower())
        return sobject.field(first) or named
    link = sobject.by_relationship.get(first.lower())
    for name in link.reference_to if link else ():
        parent = schema.find(name)
        found = path_field(schema, parent, rest) if parent else None
        if found is not None:
            return found
    return None


def report_field(schema: Schema, tables: tuple[str, ...], column: str) -> Field | None:
    """The field of a report's column where the report shows these objects, or None when there is none."""
    for sobject in (shown for name in tables if (shown := schema.find(name))):
        found = _report_field(schema, sobject, column)
        if found is not None:
            return found
    return None


def _report_field(schema: Schema, sobject: SObject, column: str) -> Field | None:
    name, dot, field = column.partition(".")
    if dot and sobject.name.lower() == name.lower() and sobject.field(field.partition(".")[0]):
        return sobject.field(field.partition(".")[0])
    if sobject.custom and column.upper() == "CUST_NAME":
        return sobject.field("Name")
    path = column_path(sobject, column) or _REPORT_NAMES.get(column.upper())
    return path_field(schema, sobject, path) if path else None
