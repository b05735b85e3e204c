"""The standard objects of the org, one line per field; `standard.py` reads them.

A line: name, type, options, `| label`. Types as describe names them, with (length) or (precision.scale),
`ref(Targets)`; `[A; B]` are picklist values. Options: name (the record's name), required, ro (never written),
fixed (not updateable), default=V, children=NAME (child relationship), cascade,
of=COMPOUND, key (external id), plain (multi-line short text).
auto=FORMAT (the org numbers it).
An object's own options: owned, fixed (no create, update, delete by API), bare (no audit fields), lasting (audit
fields, but no recycle bin), types (record types), multi and dated (only with several currencies).
Objects of the set-up (permission sets, list views, reports, …) stand in `setup_objects.py` in the same form.
"""

from __future__ import annotations

_ADDRESS = """
{0}Street textarea(255) plain of={0}Address | {1} Street
{0}City string(40) of={0}Address | {1} City
{0}State string(80) of={0}Address | {1} State/Province
{0}PostalCode string(20) of={0}Address | {1} Zip/Postal Code
{0}Country string(80) of={0}Address | {1} Country
{0}StateCode picklist(10) of={0}Address | {1} State/Province Code
{0}CountryCode picklist(10) of={0}Address | {1} Country Code
{0}Latitude double(18.15) of={0}Address | {1} Latitude
{0}Longitude double(18.15) of={0}Address | {1} Longitude
{0}GeocodeAccuracy picklist(40) of={0}Address [Address; NearAddress; Block; Street; ExtendedZip; Zip; Neighborhood; City; County; State; Unknown] | {1} Geocode Accuracy
{0}Address address ro | {1} Address"""  # noqa: E501

_RATINGS = "[Hot; Warm; Cold]"
_SOURCES = "[Web; Phone Inquiry; Partner Referral; Purchased List; Other]"
_INDUSTRIES = (
    "[Agriculture; Apparel; Banking; Biotechnology; Chemicals; Communications; Construction; Consulting; Education; "
    "Electronics; Energy; Engineering; Entertainment; Environmental; Finance; Food & Beverage; Government; Healthcare; "
    "Hospitality; Insurance; Machinery; Manufacturing; Media; Not For Profit; Recreation; Retail; Shipping; "
    "Technology; Telecommunications; Transportation; Utilities; Other]"
)

STANDARD = f"""
= Account 001 owned types | Account | Accounts
MasterRecordId ref(Account) ro | Master Record ID
Name string(255) name required | Account Name
Type picklist(40) [Partner; Prospect; Customer; Customer - Direct; Customer - Channel; Channel Partner / Reseller; Installation Partner; Technology Partner; Other] | Account Type
ParentId ref(Account) children=ChildAccounts | Parent Account ID
{_ADDRESS.format("Billing", "Billing")}
{_ADDRESS.format("Shipping", "Shipping")}
Phone phone(40) | Account Phone
Fax phone(40) | Account Fax
AccountNumber string(40) | Account Number
Website url(255) | Website
PhotoUrl url(255) ro | Photo URL
Sic string(20) | SIC Code
Industry picklist(40) {_INDUSTRIES} | Industry
AnnualRevenue currency(18.0) | Annual Revenue
NumberOfEmployees int(8) | Employees
Ownership picklist(40) [Public; Private; Subsidiary; Other] | Ownership
TickerSymbol string(20) | Ticker Symbol
Description textarea(32000) | Account Description
Rating picklist(40) {_RATINGS} | Account Rating
Site string(80) | Account Site
LastActivityDate date ro | Last Activity
LastViewedDate datetime ro | Last Viewed Date
LastReferencedDate datetime ro | Last Referenced Date
IsPartner boolean fixed | Partner Account
IsCustomerPortal boolean fixed | Customer Portal Account
ChannelProgramName string(255) ro | Channel Program Name
ChannelProgramLevelName string(255) ro | Channel Program Level Name
Jigsaw string(20) | Data.com Key
JigsawCompanyId string(20) ro | Jigsaw Company ID
AccountSource picklist(40) {_SOURCES} | Account Source
SicDesc string(80) | SIC Description

= Contact 003 owned types | Contact | Contacts
MasterRecordId ref(Contact) ro | Master Record ID
AccountId ref(Account) children=Contacts cascade | Account ID
LastName string(80) required of=Name | Last Name
FirstName string(40) of=Name | First Name
Salutation picklist(40) of=Name [Mr.; Ms.; Mrs.; Dr.; Prof.; Mx.] | Salutation
Name string(121) name ro | Full Name
{_ADDRESS.format("Mailing", "Mailing")}
Phone phone(40) | Business Phone
Fax phone(40) | Business Fax
MobilePhone phone(40) | Mobile Phone
HomePhone phone(40) | Home Phone
ReportsToId ref(Contact) | Reports To ID
Email email(80) lookup | Email
Title string(128) | Title
Department string(80) | Department
LeadSource picklist(40) {_SOURCES} | Lead Source
Birthdate date | Birthdate
Description textarea(32000) | Contact Description
HasOptedOutOfEmail boolean | Email Opt Out
DoNotCall boolean | Do Not Call
LastActivityDate date ro | Last Activity
LastViewedDate datetime ro | Last Viewed Date
LastReferencedDate datetime ro | Last Referenced Date
EmailBouncedReason string(255) ro | Email Bounced Reason
EmailBouncedDate datetime ro | Email Bounced Date
IsEmailBounced boolean ro | Is Email Bounced
PhotoUrl url(255) ro | Photo URL

= Lead 00Q owned types | Lead | Leads
LastName string(80) required of=Name | Last Name
FirstName string(40) of=Name | First Name
Salutation picklist(40) of=Name [Mr.; Ms.; Mrs.; Dr.; Prof.; Mx.] | Salutation
Name string(121) name ro | Full Name
Title string(128) | Title
Company string(255) required | Company
Street textarea(255) plain | Street
City string(40) | City
PostalCode string(20) | Zip/Postal Code
Country string(80) | Country
Phone phone(40) | Phone
Email email(80) lookup | Email
Website url(255) | Website
Description textarea(32000) | Description
LeadSource picklist(40) {_SOURCES} | Lead Source
Status picklist(255) required default=Open [Open; Contacted; Qualified; Unqualified] | Status
Industry picklist(40) {_INDUSTRIES} | Industry
Rating picklist(40) {_RATINGS} | Rating
AnnualRevenue currency(18.0) | Annual Revenue
NumberOfEmployees int(8) | Employees
PartnerAccountId ref(Account) | Partner Account ID
IsConverted boolean ro | Converted
ConvertedDate date ro | Converted Date
ConvertedAccountId ref(Account) ro | Converted Account ID
ConvertedContactId ref(Contact) ro | Converted Contact ID
ConvertedOpportunityId ref(Opportunity) ro | Converted Opportunity ID

= Opportunity 006 owned types | Opportunity | Opportunities
AccountId ref(Account) children=Opportunities cascade | Account ID
IsPrivate boolean | Private
Name string(120) name required | Name
Description textarea(32000) | Description
StageName picklist(255) required [Prospecting; Qualification; Needs Analysis; Value Proposition; Id. Decision Makers; Perception Analysis; Proposal/Price Quote; Negotiation/Review; Closed Won; Closed Lost] | Stage
Amount currency(18.2) | Amount
Probability percent(3.0) | Probability (%)
ExpectedRevenue currency(18.2) ro | Expected Amount
TotalOpportunityQuantity double(18.2) | Quantity
CloseDate date required | Close Date
Type picklist(40) [Existing Customer - Upgrade; Existing Customer - Replacement; Existing Customer - Downgrade; New Customer; New Business; Renewal; Existing Business] | Opportunity Type
NextStep string(255) | Next Step
LeadSource picklist(40) {_SOURCES} | Lead Source
IsClosed boolean ro | Closed
IsWon boolean ro | Won
ForecastCategory picklist(40) ro [Omitted; Pipeline; BestCase; MostLikely; Forecast; Closed] | Forecast Category
ForecastCategoryName picklist(40) [Omitted; Pipeline; Best Case; Commit; Closed] | Forecast Category
CampaignId ref(Campaign) | Campaign ID
PartnerAccountId ref(Account) children=PartnerOpportunities | Partner Account ID
HasOpportunityLineItem boolean ro | Has Line Item
Pricebook2Id ref(Pricebook2) | Price Book ID
LastActivityDate date ro | Last Activity
PushCount int(8) ro | Push Count
LastStageChangeDate datetime ro | Last Stage Change Date
FiscalQuarter int(8) ro | Fiscal Quarter
FiscalYear int(8) ro | Fiscal Year
Fiscal string(6) ro | Fiscal Period
ContactId ref(Contact) ro | Contact ID
LastViewedDate datetime ro | Last Viewed Date
LastReferencedDate datetime ro | Last Referenced Date
HasOpenActivity boolean ro | Has Open Activity
HasOverdueTask boolean ro | Has Overdue Task

= OpportunityStage 01J fixed | Opportunity Stage | Opportunity Stages
MasterLabel string(255) name required | Master Label
ApiName string(255) | API Name
IsActive boolean default=true | Is Active
SortOrder int(8) | Sort Order
IsClosed boolean | Closed
IsWon boolean | Won
DefaultProbability percent(3.0) | Probability (%)
ForecastCategoryName picklist(40) [Omitted; Pipeline; Best Case; Commit; Closed] | Forecast Category

= OpportunityContactRole 00K | Opportunity Contact Role | Opportunity Contact Roles
OpportunityId ref(Opportunity) required fixed children=OpportunityContactRoles cascade | Opportunity ID
ContactId ref(Contact) required fixed children=OpportunityContactRoles cascade | Contact ID
Role picklist(40) [Business User; Decision Maker; Economic Buyer; Economic Decision Maker; Evaluator; Executive Sponsor; Influencer; Technical Buyer; Other] | Role
IsPrimary boolean | Primary

= Partner 00I | Partner | Partners
OpportunityId ref(Opportunity) fixed children=Partners cascade | Opportunity ID
AccountFromId ref(Account) fixed children=PartnersFrom cascade | Account From ID
AccountToId ref(Account) required fixed children=PartnersTo cascade | Account To ID
Role picklist(40) fixed [System Integrator; Agency; Advertiser; VAR/Reseller; Distributor; Developer; Broker; Lender; Supplier; Institution; Contractor; Dealer; Consultant] | Role
IsPrimary boolean fixed | Primary
ReversePartnerId ref(Partner) ro | Reverse Partner ID

= OpportunityPartner 00J fixed | Opportunity Partner | Opportunity Partners
OpportunityId ref(Opportunity) required children=OpportunityPartnersFrom cascade | Opportunity ID
AccountToId ref(Account) required children=OpportunityPartnersTo cascade | Account To ID
Role picklist(40) [System Integrator; Agency; Advertiser; VAR/Reseller; Distributor; Developer; Broker; Lender; Supplier; Institution; Contractor; Dealer; Consultant] | Role
IsPrimary boolean | Primary
ReversePartnerId ref(Partner) | Reverse Partner ID

= Campaign 701 owned types | Campaign | Campaigns
Name string(80) name required | Name
ParentId ref(Campaign) children=ChildCampaigns | Parent Campaign ID
Type picklist(40) [Conference; Webinar; Trade Show; Public Relations; Partners; Referral Program; Advertisement; Email; Other] | Type
Status picklist(40) [Planned; In Progress; Completed; Aborted] | Status
StartDate date | Start Date
EndDate date | End Date
IsActive boolean | Active
Description textarea(32000) | Description

= Pricebook2 01s | Price Book | Price Books
Name string(255) name required | Price Book Name
IsActive boolean | Active
IsStandard boolean ro | Is Standard Price Book
Description string(255) | Description

= Product2 01t types | Product | Products
Name string(255) name required | Product Name
ProductCode string(255) | Product Code
Description textarea(4000) | Product Description
IsActive boolean | Active
Family picklist(40) [None] | Product Family

= Task 00T owned | Task | Tasks
WhoId ref(Contact,Lead) rel=Who children=Tasks | Name ID
WhatId ref(Account,Opportunity,Campaign) rel=What children=Tasks cascade | Related To ID
Subject string(255) name | Subject
ActivityDate date | Due Date Only
Status picklist(255) required default=Not_Started [Not Started; In Progress; Completed; Waiting on someone else; Deferred] | Status
Priority picklist(255) required default=Normal [High; Normal; Low] | Priority
Type picklist(40) [Call; Meeting; Other] | Type
IsClosed boolean ro | Closed
Description textarea(32000) | Description
AccountId ref(Account) ro | Account ID

= Event 00U owned | Event | Events
WhoId ref(Contact,Lead) rel=Who children=Events | Name ID
WhatId ref(Account,Opportunity,Campaign) rel=What children=Events cascade | Related To ID
Subject string(255) name | Subject
Location string(255) | Location
ActivityDate date | Due Date Only
StartDateTime datetime | Start Date Time
EndDateTime datetime | End Date Time
DurationInMinutes int(8) | Duration
Description textarea(32000) | Description
AccountId ref(Account) ro | Account ID

= User 005 | User | Users
Username string(80) required lookup | Username
LastName string(80) required | Last Name
FirstName string(40) | First Name
Name string(121) name ro | Full Name
Email email(128) required | Email
Alias string(8) | Alias
CompanyName string(80) | Company Name
Division string(80) | Division
Department string(80) | Department
Title string(80) | Title
CountryCode picklist(10) | Country Code
Phone phone(40) | Phone
IsActive boolean default=true | Active
TimeZoneSidKey picklist(40) default=UTC | Time Zone
LocaleSidKey picklist(40) default=en_US | Locale
LanguageLocaleKey picklist(40) default=en_US | Language
EmailEncodingKey picklist(40) default=UTF-8 | Email Encoding
UserType picklist(40) ro [Standard; PowerPartner; PowerCustomerSuccess; CustomerSuccess; Guest; AutomatedProcess] | User Type
ProfileId ref(Profile) children=Users | Profile ID
UserRoleId ref(UserRole) children=Users | Role ID
ManagerId ref(User) children=ManagedUsers | Manager ID
AccountId ref(Account) ro children=Users | Account ID
ContactId ref(Contact) children=Users | Contact ID
FederationIdentifier string(512) | SAML Federation ID
LastLoginDate datetime ro | Last Login

= Group 00G | Group | Groups
Name string(40) name required | Name
DeveloperName string(80) | Developer Name
Type picklist(40) [Regular; Queue; Role] | Type

= Profile 00e fixed | Profile | Profiles
Name string(255) name required | Name
UserType picklist(40) [Standard; PowerPartner] | User Type

= UserRole 00E fixed | Role | Roles
Name string(80) name required | Name
DeveloperName string(80) | Developer Name
ParentRoleId ref(UserRole) | Parent Role ID

= RecordType 012 | Record Type | Record Types
Name string(80) name required | Name
DeveloperName string(80) required | Record Type Name
NamespacePrefix string(15) ro | Namespace Prefix
Description string(255) | Description
SobjectType picklist(40) required | SObject Type Name
IsActive boolean default=true | Active

= Organization 00D fixed | Organization | Organizations
Name string(80) name required | Name
Division string(80) | Division
Street textarea(255) plain | Street
City string(40) | City
PostalCode string(20) | Zip/Postal Code
Country string(80) | Country
CountryCode picklist(10) | Country Code
Phone phone(40) | Phone
PrimaryContact string(80) | Primary Contact
DefaultLocaleSidKey picklist(40) | Locale
TimeZoneSidKey picklist(40) | Time Zone
LanguageLocaleKey picklist(40) | Language
FiscalYearStartMonth int(8) | Fiscal Year Starts In
UsesStartDateAsFiscalYearName boolean | Fiscal Year Name by Start
DefaultAccountAccess picklist(40) | Default Account Access
OrganizationType picklist(40) [Developer Edition; Enterprise Edition; Unlimited Edition; Professional Edition] | Edition
NamespacePrefix string(15) | Namespace Prefix
InstanceName string(5) | Instance Name
IsSandbox boolean | Is Sandbox
TrialExpirationDate datetime | Trial Expiration Date

= CurrencyType 01L multi | Currency Type | Currency Types
IsoCode picklist(3) name required fixed | Currency ISO Code
ConversionRate double(18.6) required | Conversion Rate
DecimalPlaces int(8) required default=2 | Decimal Places
IsActive boolean default=true | Active
IsCorporate boolean | Corporate Currency

= DatedConversionRate 04w dated | Dated Conversion Rate | Dated Conversion Rates
IsoCode picklist(3) name required | Currency ISO Code
StartDate date required | Start Date
NextStartDate date ro | Next Start Date
ConversionRate double(18.6) required | Conversion Rate
"""  # noqa: E501
