"""Custom objects and fields of the sample company, in the form of the `schema.yaml` that the sandbox reads.

Property names are those of the Metadata API's CustomField and CustomObject.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Definition = dict[str, Any]
"""One object or field as it would stand in `schema.yaml`: text, numbers, yes/no, lists and mappings only."""

REGIONS = ("EMEA", "NA", "LATAM", "APAC")
CATEGORIES = ("Reseller", "MSP", "Referral", "Distributor")
TIERS = ("Registered", "Silver", "Gold", "Platinum")
ALL_TIERS = (*TIERS, "Referral Partner", "Referral Plus", "Authorized Distributor", "Premier Distributor")
OLD_TIERS = ("Gold Partner", "Strategic")
STATUSES = ("Onboarding", "Active", "Suspended")
PRODUCT_LINES = ("Networking", "Security", "Storage", "Workplace", "Managed Services")
LEVELS = ("Associate", "Professional", "Expert")
ACTIVITY_KINDS = ("Deal registration", "Referral", "Training day", "Joint event", "Customer reference", "MDF claim")
RISKS = ("none", "low", "medium", "high")
CHECKS = ("confirmed", "over_declared", "undeclared", "unknown")
OVERRIDE_KINDS = ("pin", "floor", "ceiling", "approve", "decline", "exempt", "credit", "grace", "category")


LABELS = {
    **{word: word.capitalize() for word in (*RISKS, *OVERRIDE_KINDS, *CHECKS)},
    "over_declared": "Declared, not borne out",
    "undeclared": "Not declared",
}
"""What people read for values that are no words of theirs."""


def company_schema() -> Definition:
    """The schema as one mapping `{objects: {API name: {label, fields}}}`, fresh on every call."""
    return {
        "objects": {
            "User": {"fields": {"Key__c": _key("User Key")}},
            "Account": {"fields": _kept_by_people() | _written_by_crmsync() | _shown_to_partners()},
            "Contact": {"fields": {"Key__c": _key("Contact Key")}},
            "Opportunity": {"fields": _opportunity()},
            "Credential__c": _object("Credential", _credential()),
            "Partner_Certification__c": _object("Partner Certification", _certification()),
            "Partner_Activity__c": _object("Partner Activity", _activity()),
            "Partner_Override__c": _object("Partner Override", _override()),
            "Partner_Standing__c": _detail("Partner Standing", _standing()),
            "Partner_Tier_History__c": _detail("Partner Tier Change", _tier_history()),
            "Partner_Tier_Plan__c": _object("Partner Tier Plan", _tier_plan()),
        }
    }


def _kept_by_people() -> dict[str, Definition]:
    return {
        "Key__c": _key("Account Key"),
        "Region__c": _picklist("Region", REGIONS),
        "Partner_Status__c": _picklist("Partner Status", STATUSES),
        "Partner_Categories__c": _picklist("Partner Categories", CATEGORIES, several=True),
        "Partner_Since__c": _date("Partner Since"),
        "Partner_Tier_Manual__c": _picklist("Partner Tier (kept by hand)", (*TIERS, *OLD_TIERS), restricted=False),
        "MSP_Tier_Manual__c": _picklist("MSP Tier (kept by hand)", TIERS, restricted=False),
        "Business_Plan_Signed__c": _checkbox("Business Plan Signed"),
        "Customer_Satisfaction__c": _number("Customer Satisfaction", 3, 1),
        "Partner_Tier_Dispute__c": _checkbox("Partner Tier Disputed"),
        "Partner_Tier_Dispute_Comment__c": _long_text("Partner Tier Dispute Comment", 4000),
    }


def _written_by_crmsync() -> dict[str, Definition]:
    return {
        "Partner_Tier_Calculated__c": _picklist("Partner Tier (calculated)", ALL_TIERS),
        "Partner_Tier__c": _picklist("Partner Tier", ALL_TIERS),
        "Partner_Tier_Previous__c": _text("Partner Tier (previous)", 80),
        "Next_Tier__c": _text("Next Tier", 80),
        "Partner_Tier_Since__c": _date("Partner Tier Since"),
        "Partner_Segments__c": _picklist("Partner Segments", CATEGORIES, several=True),
        "Tier_Progress__c": _number("Tier Progress", 3, 0),
        "Gap_To_Next_Tier__c": _long_text("Gap to Next Tier", 4000),
        "Tier_Main_Blocker__c": _text("Tier Main Blocker", 255),
        "Tier_Risk__c": _picklist("Tier Risk", RISKS),
        "Tier_Risk_Reason__c": _long_text("Tier Risk Reason", 4000),
        "Tier_Risk_Date__c": _date("Tier Risk Date"),
        "Partner_Points__c": _number("Partner Points", 16, 2),
        "Tier_Explanation__c": _long_text("Tier Explanation", 32000),
        "Tier_Provisional__c": _checkbox("Tier Provisional"),
        "Tier_Grace_Until__c": _date("Tier Grace Until"),
        "Tier_Next_Review__c": _date("Tier Next Review"),
        "Pending_Tier__c": _picklist("Pending Tier", ALL_TIERS),
        "Pending_Tier_On__c": _date("Pending Tier On"),
        "Tier_Override_Ends_On__c": _date("Tier Override Ends On"),
        "Category_Check__c": _picklist("Category Check", CHECKS),
        "Tier_Changed_On__c": _date("Tier Changed On"),
        "Tier_Run_Id__c": _text("Tier Run Id", 40),
        "Partner_Write_Token__c": _text("Partner Write Token", 64),
        "Partner_Write_Error__c": _text("Partner Write Error", 255),
    }


def _shown_to_partners() -> dict[str, Definition]:
    return {
        "Partner_Portal_Tier__c": _text("Partner Portal Tier", 80),
        "Partner_Portal_Next_Tier__c": _text("Partner Portal Next Tier", 80),
        "Partner_Portal_Gap__c": _long_text("Partner Portal Gap", 4000),
    }


def _standing() -> dict[str, Definition]:
    return {
        "Standing_Key__c": _long_key("Standing Key"),
        "Account__c": _master("Partner", "Account", "Partner_Standings"),
        "Program__c": _text("Program", 80),
        "Category__c": _text("Category", 120),
        "Calculated_Tier__c": _picklist("Calculated Tier", ALL_TIERS),
        "Tier__c": _picklist("Tier", ALL_TIERS),
        "Previous_Tier__c": _text("Previous Tier", 80),
        "Pending_Tier__c": _picklist("Pending Tier", ALL_TIERS),
        "Pending_On__c": _date("Pending On"),
        "Next_Tier__c": _text("Next Tier", 80),
        "Progress__c": _number("Progress", 3, 0),
        "Gap__c": _long_text("Gap to Next Tier", 4000),
        "Main_Blocker__c": _text("Main Blocker", 255),
        "Risk__c": _picklist("Risk", RISKS),
        "Risk_On__c": _date("Risk Date"),
        "Movement__c": _text("Movement", 40),
        "Tier_Since__c": _date("Tier Since"),
        "Grace_Until__c": _date("Grace Until"),
        "Next_Review__c": _date("Next Review"),
        "Category_Check__c": _picklist("Category Check", CHECKS),
        "Overrides__c": _long_text("Overrides", 4000),
        "Provisional__c": _checkbox("Provisional"),
        "As_Of__c": _date("As Of"),
        "Run_Id__c": _text("Run Id", 40),
    }


def _tier_history() -> dict[str, Definition]:
    return {
        "History_Key__c": _long_key("History Key"),
        "Account__c": _master("Partner", "Account", "Partner_Tier_Changes"),
        "Program__c": _text("Program", 80),
        "Category__c": _text("Category", 120),
        "From_Tier__c": _text("From Tier", 80),
        "To_Tier__c": _text("To Tier", 80),
        "Movement__c": _text("Movement", 40),
        "Effective_On__c": _date("Effective On"),
        "Why__c": _long_text("Why", 4000),
        "Run_Id__c": _text("Run Id", 40),
        "Program_Version__c": _text("Program Version", 40),
    }


def _tier_plan() -> dict[str, Definition]:
    return {
        "Plan_Digest__c": _long_key("Plan Digest"),
        "Decision__c": _picklist("Decision", ("Waiting", "Approved", "Declined")),
        "State__c": _picklist("State", ("Waiting", "Applied", "Not applied", "Declined", "Superseded")),
        "Answer__c": _long_text("Answer", 4000),
        "Summary__c": _text("Summary", 255),
        "Guards__c": _long_text("Guards", 30000),
        "Who_Moves__c": _long_text("Who Moves", 30000),
        "Movers__c": _number("Movers", 9, 0),
        "Changed_Accounts__c": _number("Changed Accounts", 9, 0),
        "As_Of__c": _date("As Of"),
        "Run_Id__c": _text("Run Id", 40),
    }


def _opportunity() -> dict[str, Definition]:
    return {
        "Key__c": _key("Opportunity Key"),
        "Product_Line__c": _picklist("Product Line", PRODUCT_LINES),
        "Reseller__c": _lookup("Reseller", "Account", "Resold_Opportunities"),
        "Distributor__c": _lookup("Distributor", "Account", "Distributed_Opportunities"),
    }


def _credential() -> dict[str, Definition]:
    return {
        "Key__c": _key("Credential Key"),
        "Title__c": _text("Title", 120),
        "Level__c": _picklist("Level", LEVELS),
        "Product_Line__c": _picklist("Product Line", PRODUCT_LINES),
    }


def _certification() -> dict[str, Definition]:
    return {
        "Key__c": _key("Certification Key"),
        "Account__c": _lookup("Partner", "Account", "Certifications"),
        "Contact__c": _lookup("Person", "Contact", "Certifications"),
        "Credential__c": _lookup("Credential", "Credential__c", "Certifications"),
        "Issued_On__c": _date("Issued On"),
        "Expires_On__c": _date("Expires On") | {"inlineHelpText": "Last day on which the certificate is valid"},
    }


def _activity() -> dict[str, Definition]:
    return {
        "Key__c": _key("Activity Key"),
        "Account__c": _lookup("Partner", "Account", "Partner_Activities"),
        "Contact__c": _lookup("Person", "Contact", "Partner_Activities"),
        "Kind__c": _picklist("Kind", ACTIVITY_KINDS),
        "Value__c": _number("Value", 16, 2),
        "Value_Currency__c": _text("Value Currency", 3) | {"inlineHelpText": "Empty where the value is no money"},
        "Verified__c": _checkbox("Verified"),
        "Happened_On__c": _date("Happened On"),
        "Notes__c": _long_text("Notes", 4000),
    }


def _override() -> dict[str, Definition]:
    return {
        "Key__c": _key("Override Key"),
        "Account__c": _lookup("Partner", "Account", "Partner_Overrides"),
        "Kind__c": _picklist("Kind", OVERRIDE_KINDS),
        "Category__c": _text("Category", 80),
        "Tier__c": _text("Tier", 80),
        "Metric__c": _text("Metric", 80),
        "Value__c": _text("Value", 80),
        "Starts_On__c": _date("Starts On"),
        "Ends_On__c": _date("Ends On"),
        "Reason__c": _long_text("Reason", 4000),
        "Approved_By__c": _lookup("Approved By", "User", "Approved_Partner_Overrides"),
    }


def _object(label: str, fields: Mapping[str, Definition]) -> Definition:
    return {
        "label": label,
        "pluralLabel": f"{label[:-1]}ies" if label.endswith("y") else f"{label}s",
        "nameField": {"label": f"{label} Number", "type": "AutoNumber", "displayFormat": f"{label[0]}-{{000000}}"},
        "deploymentStatus": "Deployed",
        "sharingModel": "ReadWrite",
        "fields": dict(fields),
    }


def _detail(label: str, fields: Mapping[str, Definition]) -> Definition:
    """An object below its master record, which says who may see it."""
    return _object(label, fields) | {"sharingModel": "ControlledByParent"}


def _key(label: str) -> Definition:
    return _text(label, 40) | {"externalId": True, "unique": True, "caseSensitive": True}


def _long_key(label: str) -> Definition:
    return _key(label) | {"length": 255}


def _text(label: str, length: int) -> Definition:
    return {"label": label, "type": "Text", "length": length}


def _long_text(label: str, length: int) -> Definition:
    return {"label": label, "type": "LongTextArea", "length": length, "visibleLines": 5}


def _date(label: str) -> Definition:
    return {"label": label, "type": "Date"}


def _number(label: str, precision: int, scale: int) -> Definition:
    return {"label": label, "type": "Number", "precision": precision, "scale": scale}


def _checkbox(label: str) -> Definition:
    return {"label": label, "type": "Checkbox", "defaultValue": False}


def _picklist(label: str, names: Sequence[str], several: bool = False, restricted: bool = True) -> Definition:
    values = [{"fullName": name, "default": False, "label": LABELS.get(name, name)} for name in names]
    choice: Definition = {
        "label": label,
        "type": "MultiselectPicklist" if several else "Picklist",
        "valueSet": {"restricted": restricted, "valueSetDefinition": {"sorted": False, "value": values}},
    }
    return choice | {"visibleLines": 4} if several else choice


def _lookup(label: str, target: str, back: str) -> Definition:
    return {
        "label": label,
        "type": "Lookup",
        "referenceTo": target,
        "relationshipLabel": back.replace("_", " "),
        "relationshipName": back,
        "deleteConstraint": "SetNull",
    }


def _master(label: str, target: str, back: str) -> Definition:
    return {
        "label": label,
        "type": "MasterDetail",
        "referenceTo": target,
        "relationshipLabel": back.replace("_", " "),
        "relationshipName": back,
        "relationshipOrder": 0,
        "reparentableMasterDetail": False,
        "writeRequiresMasterRead": True,
    }
