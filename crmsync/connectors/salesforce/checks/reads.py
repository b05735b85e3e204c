"""What the field map reads, field by field: there, visible, of a fitting type, and whether its changes are noticed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crmsync.connectors.mapping import Place, SalesforceMapping, TableMap
from crmsync.connectors.salesforce.checks.findings import Finding, cannot, look
from crmsync.connectors.salesforce.describe import Describe, FieldPath
from crmsync.connectors.salesforce.table_plan import (
    MULTI_CURRENCY_FIELDS,
    MULTI_CURRENCY_OBJECTS,
    TablePlan,
    plan_table,
)
from crmsync.errors import AccessError, ConfigError
from crmsync.tables import ColumnType

GRANT = "correct the name, or let the login see it: `crmsync deploy apply --assign USERNAME` grants what is read"
MADE = "`crmsync deploy apply` makes it"


@dataclass
class TableCheck:
    """What was found of one table. `columns`: column -> type, for the program; `plan`: None where it cannot be read."""

    name: str
    findings: list[Finding] = field(default_factory=list)
    columns: dict[str, ColumnType] = field(default_factory=dict)
    texts: dict[str, frozenset[str]] = field(default_factory=dict)
    plan: TablePlan | None = None
    missing: int = 0
    seen: int = 0


def check_table(mapping: SalesforceMapping, name: str, describe: Describe, made: Sequence[str]) -> TableCheck:
    """Every finding of one table. `made`: objects that a deploy makes, in small letters."""
    table = mapping.tables[name]
    found = TableCheck(name)
    if describe.find(table.object.text) is None:
        if table.object.text.lower() not in MULTI_CURRENCY_OBJECTS:  # an org with one currency has none, and needs none
            found.findings.append(_no_object(mapping, table, describe, made))
        return found
    for column, owner, place in _places(table):
        _check_place(found, mapping, column, owner, place, describe)
    _plan(found, mapping, describe)
    return found


def _no_object(mapping: SalesforceMapping, table: TableMap, describe: Describe, made: Sequence[str]) -> Finding:
    place = table.object
    near = describe.nearest(place.text)
    what = f"the object does not exist in this org, or is hidden from this login{near}"
    way = MADE if place.text.lower() in made else GRANT
    return cannot(place.text, what, way, mapping.file, place.line)


def _places(table: TableMap) -> Iterator[tuple[str, str, Place]]:
    """(column, object, path) of everything that a table reads."""
    own = table.object.text
    yield from ((column, own, place) for column, place in table.columns.items())
    for one in table.partners:
        owner = one.object.text if one.object is not None else own
        yield "partner_id", owner, one.partner
        if isinstance(one.share, Place):
            yield "share", owner, one.share
        if one.opportunity is not None:
            yield "opportunity", owner, one.opportunity


def _check_place(
    found: TableCheck, mapping: SalesforceMapping, column: str, owner: str, place: Place, describe: Describe
) -> None:
    if place.text.lower().rpartition(".")[2] in MULTI_CURRENCY_FIELDS and _resolved(describe, owner, place) is None:
        return  # an org with one currency has no such field, and a run knows it
    try:
        path = describe.resolve(owner, place.text)
    except AccessError as error:
        found.missing += 1
        found.findings.append(cannot(f"{owner}.{place.text}", str(error), GRANT, mapping.file, place.line))
        return
    found.seen += 1
    found.findings += _about(path, f"{found.name}.{column}", mapping.file, place)
    if path.field.values and path.field.type in ("picklist", "multipicklist"):
        found.texts[column] = frozenset((*path.field.values, *path.field.inactive))


def _resolved(describe: Describe, owner: str, place: Place) -> FieldPath | None:
    try:
        return describe.resolve(owner, place.text)
    except AccessError:
        return None


def _about(path: FieldPath, column: str, file: str, place: Place) -> Iterator[Finding]:
    about = f"{path.owner}.{path.field.name}"
    if path.field.calculated:
        what = (
            f"{column} is a formula or a roll-up: it changes without a new SystemModstamp of its record, so an "
            "incremental read sees the change only when the record itself changes or all is read anew"
        )
        way = "map the fields it is computed from, or keep full reads frequent"
        yield look(about, what, way, file, place.line)


def _plan(found: TableCheck, mapping: SalesforceMapping, describe: Describe) -> None:
    """The plan of a run, which knows what else may be wrong; its first fault is told if it is not told yet."""
    try:
        found.plan = plan_table(mapping, found.name, describe, "UTC", with_current=False)
    except ConfigError as error:
        if not any(one.line == error.line for one in found.findings if one.severity.value == "cannot"):
            about = f"table {found.name}"
            found.findings.append(cannot(about, error.message, "correct this line", error.file, error.line))
        return
    if found.plan is not None:
        found.columns = dict(found.plan.output)
        _roles(found, mapping.tables[found.name], describe)


def _roles(found: TableCheck, table: TableMap, describe: Describe) -> None:
    """The roles that there are: words of the field map, and the values of a picklist that says the role."""
    roles: set[str] = set()
    for one in table.partners:
        if one.role is None:
            return
        owner = one.object.text if one.object is not None else table.object.text
        path = _resolved(describe, owner, one.role) if one.object is not None else None
        if path is None:
            roles.add(one.role.text)
        elif path.field.values:
            roles.update((*path.field.values, *path.field.inactive))
        else:
            return  # any text may come
    if roles:
        found.texts["role"] = frozenset(roles)


def texts_of(checks: Sequence[TableCheck]) -> Mapping[tuple[str, str], frozenset[str]]:
    """(table, column) -> the values of its picklist."""
    return {(one.name, column): texts for one in checks for column, texts in one.texts.items()}
