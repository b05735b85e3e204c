"""Standard objects of the org's set-up and of its channel programs, in the form of `standard_objects.py`.

Key prefixes are those of real orgs, except the channel program's, which no source here names.
"""

from __future__ import annotations

SETUP = """
= PermissionSet 0PS lasting | Permission Set | Permission Sets
Name string(80) name required | Permission Set Name
Label string(80) required | Permission Set Label
LicenseId ref(PermissionSetLicense) fixed | License ID
Description textarea(255) plain | Description
IsOwnedByProfile boolean ro | Is Owned By Profile
ProfileId ref(Profile) ro | Profile ID
IsCustom boolean ro default=true | Is Custom
Type picklist(40) ro default=Regular [Regular; Standard; Session; Profile] | Type
NamespacePrefix string(15) ro | Namespace Prefix
HasActivationRequired boolean | Has Activation Required
PermissionsApiEnabled boolean | API Enabled
PermissionsViewSetup boolean | View Setup and Configuration
PermissionsModifyMetadata boolean | Modify Metadata Through Metadata API Functions
PermissionsCustomizeApplication boolean | Customize Application
PermissionsManageUsers boolean | Manage Users
PermissionsAssignPermissionSets boolean | Assign Permission Sets
PermissionsViewAllData boolean | View All Data
PermissionsModifyAllData boolean | Modify All Data
PermissionsViewAllUsers boolean | View All Users
PermissionsViewRoles boolean | View Roles and Role Hierarchy
PermissionsRunReports boolean | Run Reports
PermissionsExportReport boolean | Export Reports
PermissionsActivitiesAccess boolean | Access Activities
PermissionsEditTask boolean | Edit Tasks
PermissionsEditEvent boolean | Edit Events
PermissionsManageReportsInPubFolders boolean | Manage Reports in Public Folders
PermissionsManageDashbdsInPubFolders boolean | Manage Dashboards in Public Folders
PermissionsLightningExperienceUser boolean | Lightning Experience User
PermissionsUseAnyApiAuth boolean | Use Any API Auth
PermissionsTransactionSecurityExempt boolean | Exempt from Transaction Security
PermissionsApiUserOnly boolean | Api Only User
PermissionsBulkApiHardDelete boolean | Bulk API Hard Delete

= PermissionSetAssignment 0Pa bare | Permission Set Assignment | Permission Set Assignments
PermissionSetId ref(PermissionSet) required fixed children=Assignments cascade | PermissionSet ID
AssigneeId ref(User) required fixed children=PermissionSetAssignments cascade | Assignee ID
PermissionSetGroupId string(18) ro | Permission Set Group ID
ExpirationDate datetime | Expiration Date
IsActive boolean ro default=true | Is Active
IsRevoked boolean ro | Is Revoked
SystemModstamp datetime ro | System Modstamp

= PermissionSetLicense 0PL fixed lasting | Permission Set License | Permission Set Licenses
DeveloperName string(80) required | Permission Set License Name
MasterLabel string(255) name required | Permission Set License Label
Status picklist(40) [Active; Disabled] | Status
TotalLicenses int(8) | Total Licenses
UsedLicenses int(8) | Used Licenses

= PermissionSetLicenseAssign 2LA lasting | Permission Set License Assignment | Permission Set License Assignments
PermissionSetLicenseId ref(PermissionSetLicense) required fixed children=PermissionSetLicenseAssignments cascade | PermissionSetLicense ID
AssigneeId ref(User) required fixed children=PermissionSetLicenseAssignments cascade | Assignee ID

= FieldPermissions 01k bare | Field Permissions | Field Permissions
ParentId ref(PermissionSet) required fixed children=FieldPerms cascade | Parent ID
SobjectType picklist(40) required fixed | Sobject Type Name
Field picklist(40) required fixed | Field Name
PermissionsEdit boolean | Edit Field
PermissionsRead boolean | Read Field
SystemModstamp datetime ro | System Modstamp

= ObjectPermissions 110 lasting | Object Permissions | Object Permissions
ParentId ref(PermissionSet) required fixed children=ObjectPerms cascade | Parent ID
SobjectType picklist(40) required fixed | Sobject Type Name
PermissionsCreate boolean | Create Records
PermissionsRead boolean | Read Records
PermissionsEdit boolean | Edit Records
PermissionsDelete boolean | Delete Records
PermissionsViewAllRecords boolean | Read All Records
PermissionsModifyAllRecords boolean | Edit All Records
PermissionsViewAllFields boolean | View All Fields

= ListView 00B fixed lasting | List View | List Views
Name string(80) name required | Name
DeveloperName string(80) | API Name
NamespacePrefix string(15) | Namespace Prefix
SobjectType picklist(40) | Sobject Type
IsSoqlCompatible boolean | Is Soql Compatible
LastViewedDate datetime | Last Viewed Date
LastReferencedDate datetime | Last Referenced Date

= Folder 00l lasting | Folder | Folders
ParentId ref(Folder) children=SubFolders | Parent Folder ID
Name string(255) name required | Name
DeveloperName string(80) required | Folder Unique Name
AccessType picklist(40) default=Public [Shared; Public; Hidden; PublicInternal] | Access Type
IsReadonly boolean | Read Only
Type picklist(40) required fixed [Dashboard; Document; Email; Report; QuickText] | Type
NamespacePrefix string(15) ro | Namespace Prefix

= Report 00O fixed | Report | Reports
OwnerId ref(Folder,User) rel=Owner children=Reports | Owner ID
FolderName string(256) | Folder Name
Name string(40) name required | Report Name
Description string(255) | Description
DeveloperName string(80) | Report Unique Name
NamespacePrefix string(15) | Namespace Prefix
Format picklist(40) [Tabular; Summary; Matrix; MultiBlock] | Format
LastRunDate datetime | Last Run
LastViewedDate datetime | Last Viewed Date
LastReferencedDate datetime | Last Referenced Date

= Dashboard 01Z fixed | Dashboard | Dashboards
FolderId ref(Folder) children=Dashboards | Folder ID
FolderName string(256) | Folder Name
Title string(80) name required | Title
DeveloperName string(80) | Dashboard Unique Name
NamespacePrefix string(15) | Namespace Prefix
Description string(255) | Description
Type picklist(40) [SpecifiedUser; LoggedInUser; MyTeamUser] | Dashboard Running User Type
RunningUserId ref(User) rel=RunningUser | Running User ID
LastViewedDate datetime | Last Viewed Date
LastReferencedDate datetime | Last Referenced Date

= ChannelProgram 2CP owned | Channel Program | Channel Programs
Name string(255) name required | Channel Program Name
Category string(255) | Category
Description textarea(32000) | Description
IsActive boolean | Active
LastViewedDate datetime ro | Last Viewed Date
LastReferencedDate datetime ro | Last Referenced Date

= ChannelProgramLevel 2CL owned | Channel Program Level | Channel Program Levels
Name string(255) name required | Channel Program Level Name
ProgramId ref(ChannelProgram) required fixed children=Levels cascade | Channel Program ID
Rank int(8) required | Rank
Description textarea(32000) | Description
LastViewedDate datetime ro | Last Viewed Date
LastReferencedDate datetime ro | Last Referenced Date

= ChannelProgramMember 2CM owned | Channel Program Member | Channel Program Members
Name string(255) name auto=CPM-{000000} | Channel Program Member Number
ProgramId ref(ChannelProgram) required fixed children=Members cascade | Channel Program ID
LevelId ref(ChannelProgramLevel) children=LevelMembers | Channel Program Level ID
PartnerId ref(Account) required fixed children=ChannelProgramMembers cascade | Partner Account ID
LastViewedDate datetime ro | Last Viewed Date
LastReferencedDate datetime ro | Last Referenced Date
"""  # noqa: E501
