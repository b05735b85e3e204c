"""Objects of the Tooling API in the form of `standard_objects.py`; their rows are made from the org's own schema."""

from __future__ import annotations

from dataclasses import replace

from crmsync.sandbox.schema import Schema, SObject
from crmsync.sandbox.standard import read_objects

_AUDIT = """
ManageableState picklist(40) | Manageable State
NamespacePrefix string(15) | Namespace Prefix
CreatedDate datetime | Created Date
LastModifiedDate datetime | Last Modified Date
CreatedById ref(User) | Created By ID
LastModifiedById ref(User) | Last Modified By ID"""

_TOOLING = f"""
= CustomObject 01I fixed bare | Custom Object | Custom Objects
DeveloperName string(80) name | Developer Name
FullName string(255) | Full Name
Metadata textarea(131072) | Metadata
Description textarea(1000) | Description
ExternalName string(255) | External Name
SharingModel picklist(40) | Sharing Model
Language picklist(40) | Language{_AUDIT}

= CustomField 00N fixed bare | Custom Field | Custom Fields
DeveloperName string(80) name | Developer Name
TableEnumOrId string(40) | Entity
EntityDefinitionId ref(EntityDefinition) | Entity Definition ID
FullName string(255) | Full Name
Metadata textarea(131072) | Metadata
Description textarea(1000) | Description
InlineHelpText textarea(510) | Help Text
Length int(8) | Length
Precision int(8) | Precision
Scale int(8) | Scale
RelationshipLabel string(80) | Relationship Label
SummaryOperation picklist(40) | Summary Operation{_AUDIT}

= ValidationRule 03d fixed bare | Validation Rule | Validation Rules
ValidationName string(80) name | Rule Name
EntityDefinitionId ref(EntityDefinition) | Entity Definition ID
Active boolean | Active
Description textarea(1000) | Description
ErrorDisplayField string(255) | Error Display Field
ErrorMessage textarea(255) | Error Message
FullName string(255) | Full Name
Metadata textarea(131072) | Metadata{_AUDIT}

= RecordType 012 fixed bare | Record Type | Record Types
Name string(80) name | Name
FullName string(255) | Full Name
SobjectType string(40) | SObject Type
IsActive boolean | Is Active
Description string(255) | Description{_AUDIT}

= EntityDefinition 4ie fixed bare | Entity Definition | Entity Definitions
DurableId string(255) | Durable ID
QualifiedApiName string(70) name | API Name
DeveloperName string(40) | Developer Name
MasterLabel string(40) | Master Label
Label string(40) | Label
PluralLabel string(40) | Plural Label
KeyPrefix string(3) | Key Prefix
NamespacePrefix string(15) | Namespace Prefix
InternalSharingModel picklist(40) | Internal Sharing Model
DeploymentStatus picklist(40) | Deployment Status
IsCustomizable boolean | Is Customizable
IsCustomSetting boolean | Is Custom Setting
IsDeprecatedAndHidden boolean | Is Deprecated And Hidden
IsEverCreatable boolean | Is Ever Creatable
IsEverUpdatable boolean | Is Ever Updatable
IsEverDeletable boolean | Is Ever Deletable
IsLayoutable boolean | Is Layoutable
IsQueryable boolean | Is Queryable
IsReplicateable boolean | Is Replicateable
IsRetrieveable boolean | Is Retrieveable
IsSearchable boolean | Is Searchable
IsTriggerable boolean | Is Triggerable
LastModifiedDate datetime | Last Modified Date

= FieldDefinition 4fe fixed bare | Field Definition | Field Definitions
DurableId string(255) | Durable ID
EntityDefinitionId ref(EntityDefinition) children=Fields | Entity Definition ID
QualifiedApiName string(70) name | API Name
DeveloperName string(40) | Developer Name
MasterLabel string(40) | Master Label
Label string(40) | Label
DataType string(255) | Data Type
ValueTypeId string(40) | Value Type ID
Length int(8) | Length
Precision int(8) | Precision
Scale int(8) | Scale
Description textarea(1000) | Description
ExtraTypeInfo string(40) | Extra Type Info
RelationshipName string(80) | Relationship Name
ReferenceTo textarea(1000) | Reference To
NamespacePrefix string(15) | Namespace Prefix
IsCalculated boolean | Is Calculated
IsCompound boolean | Is Compound
IsNillable boolean | Is Nillable
IsIndexed boolean | Is Indexed
IsNameField boolean | Is Name Field
IsFieldHistoryTracked boolean | Is Field History Tracked
IsApiFilterable boolean | Is API Filterable
IsApiGroupable boolean | Is API Groupable
IsApiSortable boolean | Is API Sortable
IsPolymorphicForeignKey boolean | Is Polymorphic Foreign Key
LastModifiedDate datetime | Last Modified Date

= User 005 fixed bare | User | Users
Username string(80) | Username
Name string(121) name | Full Name
Email email(128) | Email
IsActive boolean | Active

= Organization 00D fixed bare | Organization | Organizations
Name string(80) name | Name
OrganizationType picklist(40) | Edition
InstanceName string(5) | Instance Name
IsSandbox boolean | Is Sandbox
TrialExpirationDate datetime | Trial Expiration Date
NamespacePrefix string(15) | Namespace Prefix
"""
_BY_NAME = ("EntityDefinitionId",)
"""References whose value is the durable id of an object: its name, or the id of a custom one."""


def tooling_schema() -> Schema:
    """The objects of the Tooling API."""
    return Schema([_with_names(sobject) for sobject in read_objects(_TOOLING)], multi_currency=False)


def _with_names(sobject: SObject) -> SObject:
    fields = tuple(
        replace(field, type="string", length=255)
        if field.name in _BY_NAME or (field.name == "Id" and sobject.name in ("EntityDefinition", "FieldDefinition"))
        else field
        for field in sobject.fields
    )
    return replace(sobject, fields=fields, createable=sobject.name in ("CustomField", "CustomObject", "ValidationRule"))
