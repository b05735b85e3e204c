"""What each page shows. Every function runs as the user that the browser chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from crmsync.sandbox.answers import Answer, ApiError, Call, not_found
from crmsync.sandbox.org import Org
from crmsync.sandbox.page import forms, records, tables
from crmsync.sandbox.page.forms import Form, Given
from crmsync.sandbox.page.rendering import page
from crmsync.sandbox.page.session import USERS, Session, whole_id
from crmsync.sandbox.page.shown import NOTHING, label, local, readable, shown
from crmsync.sandbox.permissions import SETUP
from crmsync.sandbox.queries import first_page
from crmsync.sandbox.schema import Field, SObject
from crmsync.sandbox.trail import MOST_NOTED, Noted

MISSING = object()
_SEARCHED = ("Account", "Contact", "Opportunity")
_SEARCH_ROWS = 10
_MOST_WORDS = 120
_RECORD_CHANGES = 5
_CREATED_WITH = 6
"""Values that are told of a new record."""


@dataclass(frozen=True)
class Visit:
    """One call of a page: the org, the call, the browser, and the form that it sent."""

    org: Org
    call: Call
    session: Session
    given: Given

    def render(self, template: str, title: str, status: int = 200, **context: Any) -> Answer:
        """A page with what all of them show."""
        common = {
            "title": title, "users": USERS, "user_id": self.session.user_id, "csrf": self.session.token(self.org),
            "tabs": _tabs(self.org), "path": self.call.path, "org_id": self.org.org_id,
            "zone": self.org.clock.zone.key, "today": self.org.clock.today().isoformat(), "words": "",
        }  # fmt: skip
        return page(template, status, common | context)

    def sobject(self) -> SObject:
        """The object that the address names. Errors: ApiError NOT_FOUND."""
        found = self.org.visible.find(self.call.parts["object"])
        if found is None or found.name in SETUP:
            name = self.call.parts["object"]
            raise not_found(f"{name[:80]}: there is no such object, or this user may not see it")
        return found


def _tabs(org: Org) -> list[SObject]:
    """Accounts, opportunities, and the org's own objects."""
    standard = [found for name in ("Account", "Opportunity", "Contact") if (found := org.visible.find(name))]
    return standard + sorted((each for each in org.visible if each.custom), key=lambda each: each.plural)


def home(visit: Visit) -> Answer:
    """Who I am, and the list views of accounts with the number of records in each."""
    org = visit.org
    account = org.visible.find("Account")
    views: list[tuple[str, str, int | None, str]] = []
    for view in tables.views_of(org, account) if account is not None else []:
        assert account is not None
        name = str(view["developerName"])
        try:
            views.append((view["label"], name, tables.count(org, tables.of_view(org, account, name)), ""))
        except ApiError as error:
            views.append((view["label"], name, None, error.message))
    total = tables.count(org, tables.everything(account)) if account is not None else 0
    return visit.render("home.html", "Home", views=views, total=total, account=account, lines=_changed(org, 8))


def listing(visit: Visit) -> Answer:
    """A list view, all records of an object, or those that refer to one record."""
    org, call, sobject = visit.org, visit.call, visit.sobject()
    address = f"/lightning/o/{sobject.name}/list"
    view, link = call.query.get("filtername", ""), call.query.get("link", "")
    views = tables.views_of(org, sobject)
    kept: dict[str, str] = {}
    parent = None
    if link:
        known = sobject.field(link)
        if known is None or known.type != "reference" or known.hidden or not known.filterable:
            raise not_found(f"{sobject.label} has no field {link[:80]!r} to another record that this user may see")
        of = whole_id(call.query.get("of", ""))
        above = records.find(org, of)
        parent = (records.title(above, records.read(org, above, of)), of)
        found, kept = tables.everything(sobject, (known.name, of)), {"link": known.name, "of": of}
        heading = sobject.plural
    elif view:
        found, kept = tables.of_view(org, sobject, view), {"filterName": view}
        heading = next((str(each["label"]) for each in views if each["developerName"].lower() == view.lower()), view)
    else:
        found, heading = tables.everything(sobject), f"All {sobject.plural.lower()}"
    part = tables.table(org, found, tables.Order.of(call), address, kept)
    return visit.render(
        "list.html", heading, sobject=sobject, heading=heading, views=views, view=view, table=part, parent=parent,
        address=address,
    )  # fmt: skip


def search(visit: Visit) -> Answer:
    """Records by a part of their name."""
    org = visit.org
    words = visit.call.query.get("q", "").strip()[:_MOST_WORDS]
    parts: list[tuple[SObject, tables.Table]] = []
    for name in _SEARCHED if words else ():
        sobject = org.visible.find(name)
        found = tables.named(sobject, words) if sobject is not None else None
        if sobject is not None and found is not None:
            parts.append((sobject, tables.table(org, found, tables.Order(), "/search", {"q": words}, _SEARCH_ROWS)))
    total = sum(part.total for _, part in parts)
    return visit.render("search.html", f"Search: {words}", words=words, parts_found=parts, total=total)


def by_id(visit: Visit) -> Answer:
    """`/{id}`: on to the record's own page."""
    record_id = whole_id(visit.call.parts["record"])
    sobject = records.find(visit.org, record_id)
    return to(f"/lightning/r/{sobject.name}/{record_id}/view")


def to(address: str) -> Answer:
    """On to another page, by GET. Only addresses made here come in."""
    return Answer("", 303, {"Location": address, "Cache-Control": "no-store"}, "text/plain")


def record(visit: Visit) -> Answer:
    """One record: its fields in groups, and the records that refer to it."""
    org, record_id = visit.org, whole_id(visit.call.parts["id"])
    sobject = records.find(org, record_id)
    values = records.read(org, sobject, record_id)
    return visit.render(
        "record.html", records.title(sobject, values), sobject=sobject, record_id=record_id,
        name=records.title(sobject, values), groups=records.groups(org, sobject, values),
        related=records.related(org, record_id, sobject), ends=records.ends(sobject),
        lines=_changed(org, _RECORD_CHANGES, record_id),
        owner=records.linked(org, sobject.by_name["ownerid"], values) if sobject.field("OwnerId") else None,
        saved=visit.call.query.get("saved") == "1",
    )  # fmt: skip


def edit(visit: Visit) -> Answer:
    """The form of a record, or of one group of its fields."""
    org, record_id = visit.org, whole_id(visit.call.parts["id"])
    sobject = records.find(org, record_id)
    values = records.read(org, sobject, record_id)
    form = forms.sent(visit.given)
    fields = _asked(sobject, visit.call.query.get("group", ""), False)
    if visit.call.method == "POST":
        stamp = (visit.given.get("stamp") or [""])[-1]
        if forms.save(org, sobject, record_id, form, values, stamp):
            return to(f"/lightning/r/{sobject.name}/{record_id}/view?saved=1")
        values = records.read(org, sobject, record_id)
    return _form(visit, sobject, fields, values, form, f"Edit {records.title(sobject, values)}")


def _asked(sobject: SObject, group: str, new: bool) -> list[Field]:
    fields = forms.asked_fields(sobject, new)
    chosen = [field for field in readable(sobject) if group and records.group_of(sobject, field) == group]
    return chosen or records.in_order(fields, sobject)


def new(visit: Visit) -> Answer:
    """The form of a new record, perhaps of one that refers to a record shown."""
    org, sobject = visit.org, visit.sobject()
    if not sobject.createable:
        raise ApiError(403, "INSUFFICIENT_ACCESS_OR_READONLY", f"this user may not create a {sobject.label}")
    form = forms.sent(visit.given)
    fields = _asked(sobject, "", True)
    query = visit.call.query
    link = sobject.field(query.get("link", ""))
    if visit.call.method == "POST":
        made = forms.save(org, sobject, None, form, {}, "")
        if made:
            back = form.values.get(link.name, "") if link is not None else ""
            return to(_back(org, back) or f"/lightning/r/{sobject.name}/{made}/view?saved=1")
    elif link is not None and query.get("of"):
        form.values[link.name] = whole_id(query["of"])
    return _form(visit, sobject, fields, {}, form, f"New {sobject.label}")


def _back(org: Org, record_id: str) -> str | None:
    """The page of the record that a new one belongs to."""
    try:
        found = whole_id(record_id)
        return f"/lightning/r/{records.find(org, found).name}/{found}/view?saved=1"
    except ApiError:
        return None


def _form(
    visit: Visit, sobject: SObject, fields: list[Field], values: dict[str, Any], form: Form, title: str
) -> Answer:
    inputs = forms.inputs(visit.org, fields, values, form)
    parts: dict[str, list[forms.Input]] = {}
    for entry in inputs:
        parts.setdefault(records.group_title(sobject, entry.field), []).append(entry)
    refused = bool(form.errors or form.general)
    back = f"/{values['Id']}" if values else f"/{visit.call.query.get('of') or ''}"
    return visit.render(
        "form.html", title, 400 if refused else 200, sobject=sobject, parts=parts, form=form, back=back,
        stamp=str(values.get("SystemModstamp") or ""), labels={entry.field.name: entry.field.label for entry in inputs},
        address=_address(visit),
    )  # fmt: skip


def _address(visit: Visit) -> str:
    """Where the form is sent to: the address of the page itself."""
    query = {name: visit.call.query[name] for name in ("group", "link", "of") if visit.call.query.get(name)}
    return f"{visit.call.path}?{urlencode(query)}" if query else visit.call.path


def end(visit: Visit) -> Answer:
    """An override ends today."""
    org, record_id = visit.org, whole_id(visit.call.parts["id"])
    sobject = records.find(org, record_id)
    day = records.ends(sobject)
    if day is None:
        raise ApiError(403, "INSUFFICIENT_ACCESS_OR_READONLY", f"this user may not end a {sobject.label}")
    with org.rows(counted=False) as rows:
        rows.update(sobject, record_id, {day.name: org.clock.today().isoformat()})
    return to(f"/lightning/r/{sobject.name}/{record_id}/view?saved=1")


def recent(visit: Visit) -> Answer:
    """The latest changes: who, when, what."""
    return visit.render("changes.html", "Recent changes", lines=_changed(visit.org))


def _changed(org: Org, most: int = MOST_NOTED, record_id: str | None = None) -> list[dict[str, Any]]:
    """The latest changes of what the user may see, newest first; of one record where it is named."""
    lines: list[dict[str, Any]] = []
    names: dict[str, str] = dict(USERS)
    for change in org.trail.latest():
        sobject = org.visible.find(change.object)
        if sobject is None or sobject.name in SETUP or len(lines) >= most:
            continue
        if record_id is not None and change.record_id != record_id:
            continue
        zone = org.clock.zone
        told = [
            _told(org, known, change, value)
            for name, value in change.values.items()
            if (known := sobject.field(name)) is not None
            and not known.hidden
            and not (change.kind == "created" and tables.technical(known))
            and change.before.get(name, MISSING) != value
        ]
        if change.kind == "created":
            told = told[:_CREATED_WITH]
        elif change.values and not told:
            continue
        lines.append({
            "when": local(change.stamp, zone).strftime("%Y-%m-%d %H:%M:%S"), "who": _who(org, change.user_id, names),
            "kind": change.kind, "label": sobject.label, "name": _name(org, sobject, change.record_id),
            "href": f"/{change.record_id}" if change.kind not in ("deleted", "merged") else None, "told": told,
        })  # fmt: skip
    return lines


def _told(org: Org, known: Field, change: Noted, value: Any) -> tuple[str, str | None, str]:
    """(label, text before or None, text now) of one field that was written."""
    before = change.before.get(known.name, MISSING)
    return label(known), None if before is MISSING else _said(org, known, before), _said(org, known, value)


def _said(org: Org, known: Field, value: Any) -> str:
    """A stored value as people read it; another record by its name."""
    target = org.visible.of_id(str(value)) if known.type == "reference" and value else None
    if target is not None:
        return _name(org, target, str(value))
    return shown(known, _unscaled(known, value), org.clock.zone)


def _unscaled(known: Field, value: Any) -> Any:
    """What was stored, as a query shows it."""
    return value / 10**known.scale if value is not None and known.kind == "decimal" and known.scale >= 0 else value


def _who(org: Org, user_id: str, names: dict[str, str]) -> str:
    if user_id not in names:
        row = org.store.reader().execute('SELECT "Name" FROM "User" WHERE "Id" = ?', [user_id]).fetchone()
        names[user_id] = str(row[0]) if row else user_id
    return names[user_id]


def _name(org: Org, sobject: SObject, record_id: str) -> str:
    known = sobject.name_field
    if known is None:
        return record_id
    soql = f"SELECT {known.name} FROM {sobject.name} WHERE Id = {tables.literal(record_id)}"
    found = first_page(org, soql, "", deleted_too=True)["records"]
    return str(found[0][known.name]) if found else record_id


def api_use(visit: Visit) -> Answer:
    """What of the allowance is used, and what clients did since the start."""
    effects = visit.org.effects.as_json()
    return visit.render("api.html", "API use", limits=visit.org.allowance.as_json(), effects=effects, nothing=NOTHING)


def who(visit: Visit) -> str:
    """The user that the browser asks to be, by id. Errors: ApiError."""
    user_id = (visit.given.get("user") or [""])[-1]
    if user_id not in USERS:
        raise ApiError(400, "NO_SUCH_USER", f"{user_id[:40]!r} is none of the users of this page")
    return user_id
