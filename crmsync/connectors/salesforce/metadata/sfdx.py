"""The same components as a project that `sf project deploy start` takes, with what an admin does by hand beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from crmsync.connectors.salesforce.metadata.components import (
    DASHBOARD,
    DASHBOARD_FOLDER,
    FIELD,
    LIST_VIEW,
    OBJECT,
    PERMISSION_SET,
    RECORD_TYPE,
    REPORT,
    REPORT_FOLDER,
    REPORT_TYPE,
    Component,
    described,
    xml_of,
)
from crmsync.connectors.salesforce.metadata.permissions import RUN
from crmsync.errors import ConfigError, StoreError
from crmsync.metadata_schema import write

SOURCE = Path("force-app/main/default")
APP = "Crmsync"
MARK = "sfdx-project.json"
LIST = ".crmsync-files"
NAME = "crmsync-metadata"

_PLACES: Mapping[str, str] = {
    PERMISSION_SET: "permissionsets/{name}.permissionset-meta.xml",
    REPORT_TYPE: "reportTypes/{name}.reportType-meta.xml",
    REPORT_FOLDER: "reports/{name}.reportFolder-meta.xml",
    REPORT: "reports/{name}.report-meta.xml",
    DASHBOARD_FOLDER: "dashboards/{name}.dashboardFolder-meta.xml",
    DASHBOARD: "dashboards/{name}.dashboard-meta.xml",
    OBJECT: "objects/{name}/{name}.object-meta.xml",
    FIELD: "objects/{parent}/fields/{own}.field-meta.xml",
    RECORD_TYPE: "objects/{parent}/recordTypes/{own}.recordType-meta.xml",
    LIST_VIEW: "objects/{parent}/listViews/{own}.listView-meta.xml",
}


def write_project(folder: Path, components: Sequence[Component], version: str) -> list[Path]:
    """Write the project; what an earlier one wrote and this one does not is removed, other files stay.

    Errors: ConfigError when the folder holds something else; StoreError when the disk does not take it.
    """
    files = dict(project_files(components, version))
    files[Path(LIST)] = "".join(f"{path.as_posix()}\n" for path in files).encode()
    try:
        _refuse_other(folder)
        _clear(folder, files)
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: the project cannot be written: {error.strerror}") from error
    return [folder / path for path in files]


def _refuse_other(folder: Path) -> None:
    mark = folder / MARK
    if not folder.exists() or not any(folder.iterdir()):
        return
    try:
        ours = json.loads(mark.read_text(encoding="utf-8")).get("name") == NAME
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise ConfigError("--to takes an empty folder, or one that an earlier `--to` has written", file=str(folder))


def _clear(folder: Path, files: Mapping[Path, bytes]) -> None:
    """Remove what the list of an earlier project names; a name that leads out of the folder is not followed."""
    listed = folder / LIST
    for line in listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else ():
        path = folder / line
        if Path(line) not in files and path.resolve().is_relative_to(folder.resolve()):
            path.unlink(missing_ok=True)


def project_files(components: Sequence[Component], version: str) -> Iterator[tuple[Path, bytes]]:
    """Path and content of each file of the project."""
    yield Path(MARK), _project(version)
    yield Path(".forceignore"), IGNORED.encode()
    yield Path("README.md"), README.encode()
    yield from ((SOURCE / _place(one), xml_of(one)) for one in components)
    yield SOURCE / f"externalClientApps/{APP}.eca-meta.xml", write("ExternalClientApplication", APP_BODY)
    # Its settings are a project of their own: an org that refuses them must not refuse the fields with them.
    yield LOGIN / MARK, _project(version)
    yield LOGIN / ".forceignore", IGNORED.encode()
    yield from ((LOGIN / SOURCE / place, write(kind, body)) for place, kind, body in _login())


def _project(version: str) -> bytes:
    project = {
        "packageDirectories": [{"path": "force-app", "default": True}],
        "name": NAME,
        "namespace": "",
        "sfdcLoginUrl": "https://login.salesforce.com",
        "sourceApiVersion": version,
    }
    return (json.dumps(project, indent=2) + "\n").encode()


def _place(component: Component) -> str:
    return _PLACES[component.kind].format(name=component.name, parent=component.parent, own=component.own_name)


def _login() -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """How crmsync logs in through the app, without any secret: key and certificate are added by hand."""
    yield f"extlClntAppOauthSettings/{APP}_oauth.ecaOauth-meta.xml", "ExtlClntAppOauthSettings", {
        "commaSeparatedOauthScopes": "Api, RefreshToken",  # without the second the JWT login of an app is refused
        "externalClientApplication": APP,
        "label": f"{APP}_oauth",
    }  # fmt: skip
    yield f"extlClntAppOauthPolicies/{APP}_policy.ecaOauthPlcy-meta.xml", "ExtlClntAppOauthConfigurablePolicies", {
        "commaSeparatedPermissionSet": RUN,
        "externalClientApplication": APP,
        "ipRelaxationPolicyType": "Enforce",
        "isClientCredentialsFlowEnabled": False,
        "label": f"{APP}_policy",
        "permittedUsersPolicyType": "AdminApprovedPreAuthorized",
        "refreshTokenPolicyType": "Infinite",
    }  # fmt: skip
    yield f"extlClntAppGlobalOauthSets/{GLOBAL}", "ExtlClntAppGlobalOauthSettings", {
        "callbackUrl": "http://localhost:1717/OauthRedirect",
        "certificate": "PUT THE TEXT OF crmsync.crt HERE, WITHOUT ITS FIRST AND LAST LINE",
        "externalClientApplication": APP,
        "isClientCredentialsFlowEnabled": False,
        "isConsumerSecretOptional": False,
        "isPkceRequired": True,
        "isSecretRequiredForRefreshToken": True,
        "label": f"{APP}_global",
    }  # fmt: skip


APP_BODY = {
    "contactEmail": "salesforce-admin@example.com",
    "description": described("The login of crmsync. Put the address of who is responsible for it above."),
    "distributionState": "Local",
    "isProtected": False,
    "label": APP,
}
LOGIN = Path("external-client-app")
GLOBAL = f"{APP}_global.ecaGlblOauth-meta.xml.example"

IGNORED = """\
# What `sf` must not send: examples and texts
**/*.example
.crmsync-files
README.md
"""

README = f"""\
# Metadata of crmsync

Written by `crmsync deploy plan --to`. It holds what write-back needs in this org and nothing else: fields, objects,
permission sets, list views, a report type, reports and a dashboard. No page layout, no standard field, no secret.
Files of components that the org has already are as they will be afterwards: no value of a picklist is lost.

## 1. Look at it, then deploy it

    sf org login web --alias crm
    sf project deploy start --target-org crm --dry-run
    sf project deploy start --target-org crm

## 2. The user that runs crmsync

1. Setup, Users: a new user with the licence *Salesforce Integration* and the profile *Minimum Access - API Only
   Integrations*.
2. On that user, *Permission Set License Assignments*: add *Salesforce API Integration*. Do this first; without it the
   next step fails.
3. Give it the permission set: `sf org assign permset --name {RUN} --on-behalf-of USERNAME --target-org crm`
4. Where accounts are private, share them with this user, read and write, by a sharing rule.

## 3. Its login

A certificate of your own is enough; the key stays with crmsync, only the certificate goes to Salesforce:

    openssl req -x509 -newkey rsa:2048 -nodes -days 730 -subj "/CN=crmsync" -keyout crmsync.key -out crmsync.crt

1. Setup, External Client App Manager, *{APP}* (deployed in step 1), *Settings*, *OAuth*: enable OAuth and *JWT Bearer
   Flow*, upload `crmsync.crt`. The same as metadata is the project in `{LOGIN}`: fill the file in
   `extlClntAppGlobalOauthSets`, drop `.example` from its name, and `cd {LOGIN} && sf project deploy start`. Keep that
   folder out of every repository from then on: what Salesforce gives back holds the consumer key.
2. *Policies*: permitted users *Admin approved users are pre-authorized*, permission set *{RUN}*.
3. Copy the consumer key, and tell crmsync:

    CRMSYNC_SALESFORCE__INSTANCE_URL=https://YOUR-DOMAIN.my.salesforce.com
    CRMSYNC_SALESFORCE__CLIENT_ID=the consumer key
    CRMSYNC_SALESFORCE__USERNAME=the username of step 2
    CRMSYNC_SALESFORCE__JWT_KEY_FILE=/path/to/crmsync.key

## 4. People

Give `Crmsync_Sales_Ops` to sales operations (exceptions, disputes) and `Crmsync_View` to account managers.
Put the fields onto your page layouts yourself; a deployed layout would overwrite yours.

`crmsync deploy verify` shows what is still missing.
"""
