"""How one table is read: the field map checked against what the org really has, before anything is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import quote

from crmsync.connectors.mapping import Credited, Place, SalesforceMapping, TableMap, WriteMap
from crmsync.connectors.salesforce.describe import (
    COMPOUND,
    NUMBERS,
    Describe,
    FieldPath,
    SObject,
    is_identifier,
    located,
)  # fmt: skip
from crmsync.connectors.salesforce.one_currency import has_several
from crmsync.connectors.salesforce.parts import Part, part_of
from crmsync.connectors.salesforce.rows import ID, ReadColumn
from crmsync.connectors.salesforce.soql import Condition, condition_of
from crmsync.errors import AccessError, ConfigError
from crmsync.tables import CANONICAL, ColumnType

PARTNERS = "partners"
CONDITION_MAX = 15_000  # encoded; the address line of a count ends at about 16 KB
MULTI_CURRENCY_FIELDS = frozenset({"currencyisocode"})
DATES_OF_RATES = frozenset({"startdate", "nextstartdate"})
MULTI_CURRENCY_OBJECTS = frozenset({"datedconversionrate", "currencytype"})
_TEXTS = frozenset(
    {"string", "picklist", "multipicklist", "textarea", "combobox", "id", "reference", "email", "phone", "url"}
)
_FITTING: Mapping[ColumnType, frozenset[str]] = {
    ColumnType.NUMBER: NUMBERS,
    ColumnType.MONEY: NUMBERS,
    ColumnType.MEASURE: NUMBERS,
    ColumnType.DATE: frozenset({"date", "datetime"}),
    ColumnType.YES_NO: frozenset({"boolean"}),
    ColumnType.LIST: _TEXTS,
}
_FROM_SALESFORCE: Mapping[str, ColumnType] = {
    "currency": ColumnType.MONEY,
    "double": ColumnType.NUMBER,
    "percent": ColumnType.NUMBER,
    "int": ColumnType.NUMBER,
    "long": ColumnType.NUMBER,
    "boolean": ColumnType.YES_NO,
    "date": ColumnType.DATE,
    "datetime": ColumnType.DATE,
    "multipicklist": ColumnType.LIST,
}


@dataclass(frozen=True)
class CreditRead:
    """Credited partners: where their id stands, their role (a word or a column), their share (a number or a column).

    `part`: the query of an object of its own, whose `opportunity` says of which; None: lookups of the opportunity.
    """

    partner: ReadColumn
    role: str | ReadColumn | None
    share: float | ReadColumn
    part: Part | None = None
    opportunity: ReadColumn | None = None


@dataclass(frozen=True)
class CurrentField:
    """One field that write-back owns. `source` None: the org does not have it yet."""

    name: str
    source: str | None


@dataclass(frozen=True)
class TablePlan:
    """Everything that reading one table needs. `output`: the columns of the finished table and their types;
    `constant`: text columns that hold the same in every row."""

    table: TableMap
    part: Part
    columns: tuple[ReadColumn, ...]
    credited: tuple[CreditRead, ...]
    output: Mapping[str, ColumnType]
    time_zone: str
    current: tuple[CurrentField, ...] = ()
    notes: tuple[str, ...] = field(default=())
    constant: Mapping[str, str] = field(default_factory=dict)

    @property
    def object(self) -> str:
        """The object that a row is a record of."""
        return self.part.object

    @property
    def count_soql(self) -> str:
        """How many records there are."""
        return self.part.count_soql

    @property
    def parts(self) -> tuple[Part, ...]:
        """Its queries: that of the table, and those of the objects that credit partners."""
        return (self.part, *(one.part for one in self.credited if one.part is not None))


def plan_table(
    mapping: SalesforceMapping, name: str, describe: Describe, time_zone: str, *, with_current: bool,
    currency: Callable[[], str | None] = lambda: None,
) -> TablePlan | None:  # fmt: skip
    """How to read one table, or None where the org cannot have it (rates of a single-currency org).

    `with_current`: read along with partners what the fields that write-back owns hold now; `currency`: asks for the one
    currency of a single-currency org.

    Errors: ConfigError naming file:line, object.field and the nearest existing name.
    """
    return _Planning(mapping, mapping.tables[name], describe, time_zone, currency).plan(with_current)


class _Planning:
    """The steps of checking one table of the field map."""

    def __init__(
        self, mapping: SalesforceMapping, table: TableMap, describe: Describe, time_zone: str,
        currency: Callable[[], str | None],
    ) -> None:  # fmt: skip
        self.mapping, self.table, self.describe = mapping, table, describe
        self.time_zone, self.currency = time_zone, currency
        self.sobject = table.object.text
        self.undated = False
        self.constant: dict[str, str] = {}
        self.notes: list[str] = []
        self.paths: list[FieldPath] = []

    def plan(self, with_current: bool) -> TablePlan | None:
        sobject = self.object()
        if sobject is None:
            return None
        self.sobject = sobject
        self.paths.append(self.describe.resolve(sobject, ID))
        columns = [column for name, place in self.table.columns.items() if (column := self.column(name, place))]
        columns += self.people(sobject)
        credited = tuple(self.credit(number, one) for number, one in enumerate(self.table.partners))
        current = self.current_fields(sobject) if with_current else ()
        condition = self.condition(self.table.filter, sobject)
        return TablePlan(
            table=self.table,
            part=part_of(self.table.name, self.describe.object(sobject), self.paths, condition, self.describe),
            columns=tuple(columns),
            credited=credited,
            output=_output(columns, credited) | dict.fromkeys(self.constant, ColumnType.TEXT),
            time_zone=self.time_zone,
            current=current,
            notes=tuple(self.notes),
            constant=self.constant,
        )

    def object(self) -> str | None:
        place = self.table.object
        found = self.describe.find(place.text)
        if found is not None:
            return found.name
        if place.text.lower() in MULTI_CURRENCY_OBJECTS:
            return self.undated_rates()
        try:
            return self.describe.object(place.text).name
        except AccessError as error:
            raise located(error, self.mapping.file, place.line) from None

    def undated_rates(self) -> str | None:
        """The rates of an org with several currencies whose rates have no dates; None: it has one currency."""
        found = self.describe.find("CurrencyType")
        if found is None:
            return None
        self.undated = True
        self.notes.append(f"{self.table.name}: the org's rates have no dates; those of CurrencyType hold for every day")
        return found.name

    def resolve(self, place: Place) -> FieldPath:
        path = self.resolved(place, self.sobject)
        self.paths.append(path)
        return path

    def resolved(self, place: Place, sobject: str) -> FieldPath:
        try:
            path = self.describe.resolve(sobject, place.text)
        except AccessError as error:
            raise located(error, self.mapping.file, place.line) from None
        if path.field.type in COMPOUND or path.field.type == "base64":
            raise self.wrong(
                place, f"{path.owner}.{path.field.name} is a compound field ({path.field.type}); {self.parts_of(path)}"
            )
        return path

    def parts_of(self, path: FieldPath) -> str:
        """`map its parts, for example BillingCountryCode`"""
        whole = path.field.name.lower()
        parts = [one.name for one in self.describe.object(path.owner).fields.values() if one.compound.lower() == whole]
        named = next((name for name in parts if name.endswith("CountryCode")), parts[0] if parts else "")
        return f"map its parts, for example {named}" if named else "map its parts"

    def column(self, name: str, place: Place) -> ReadColumn | None:
        if place.text.lower().split(".")[-1] in MULTI_CURRENCY_FIELDS and not self.multi_currency(place):
            self.one_currency(name, place)
            return None
        if self.undated and place.text.lower() in DATES_OF_RATES:
            return None
        path = self.resolve(place)
        known = CANONICAL[self.table.name].columns.get(name) if self.table.name in CANONICAL else None
        kind = known or _FROM_SALESFORCE.get(path.field.type, ColumnType.TEXT)
        if kind in _FITTING and path.field.type not in _FITTING[kind]:
            raise self.wrong(
                place,
                f"{self.table.name}.{name} is {kind.value}, but {path.owner}.{path.field.name} is {path.field.type}",
            )
        is_id = path.field.type in ("id", "reference") or name in ("partner_id", "parent_id")
        return ReadColumn(name, path.path, kind, path.field.type, is_id and kind is ColumnType.TEXT)

    def people(self, sobject: str) -> Iterator[ReadColumn]:
        """What people say about a tier, beside its own columns; a field that is not there yet gives a note."""
        writes = self.mapping.writes
        if writes is None or self.table.name != PARTNERS or writes.object.text.lower() != sobject.lower():
            return
        for name, place in writes.people.items():
            if name in self.table.columns:
                continue
            if self.describe.object(sobject).field(place.text) is None:
                self.notes.append(f"{sobject}.{place.text} does not exist or is hidden: {name} is not read")
            elif (column := self.column(name, place)) is not None:
                yield column

    def multi_currency(self, place: Place) -> bool:
        try:
            self.describe.resolve(self.sobject, place.text)
        except AccessError:
            return has_several(self.describe)  # then it is a field like any other that is not there
        return True

    def one_currency(self, name: str, place: Place) -> None:
        """Every record is in the org's one currency, which none of them names."""
        only = self.currency()
        told = "the org has one currency only"
        if only is None:
            self.notes.append(f"{self.table.name}.{name}: {told} ({place.text} does not exist)")
            return
        self.constant[name] = only
        self.notes.append(f"{self.table.name}.{name}: {told}, {only} ({place.text} does not exist)")

    def credit(self, number: int, one: Credited) -> CreditRead:
        if one.object is not None:
            return self.credit_by_object(number, one, one.object)
        partner = self.lookup("partner_id", one.partner, self.resolve(one.partner))
        path = self.resolve(one.share) if isinstance(one.share, Place) else None
        return CreditRead(partner, one.role.text if one.role else None, self.share(one.share, path))

    def credit_by_object(self, number: int, one: Credited, place: Place) -> CreditRead:
        """The credited partners that records of another object name."""
        assert one.opportunity is not None
        try:
            sobject = self.describe.object(place.text)
        except AccessError as error:
            raise located(error, self.mapping.file, place.line) from None
        paths = [FieldPath(ID, self.resolved(Place(ID, place.line), sobject.name).field, sobject.name, sobject.name)]

        def asked(wanted: Place) -> FieldPath:
            paths.append(self.resolved(wanted, sobject.name))
            return paths[-1]

        opportunity = self.lookup("opportunity_id", one.opportunity, asked(one.opportunity))
        partner = self.lookup("partner_id", one.partner, asked(one.partner))
        role: str | ReadColumn | None = one.role.text if one.role else None
        if one.role is not None and _names_field(one.role.text, sobject):
            path = asked(path_of(one.role, self.mapping.file))
            role = ReadColumn("role", path.path, ColumnType.TEXT, path.field.type)
        share = self.share(one.share, asked(one.share) if isinstance(one.share, Place) else None)
        condition = self.condition(one.filter, sobject.name)
        key = f"{self.table.name}-partners-{number + 1}"
        return CreditRead(
            partner, role, share, part_of(key, sobject, paths, condition, self.describe), opportunity
        )  # fmt: skip

    def lookup(self, name: str, place: Place, path: FieldPath) -> ReadColumn:
        if path.field.type not in ("reference", "id", "string"):
            raise self.wrong(place, f"{path.owner}.{path.field.name} is {path.field.type}, not a lookup")
        return ReadColumn(name, path.path, ColumnType.TEXT, path.field.type, is_id=True)

    def share(self, share: Decimal | Place | None, path: FieldPath | None) -> float | ReadColumn:
        if not isinstance(share, Place):
            return 1.0 if share is None else float(share)
        assert path is not None
        if path.field.type not in NUMBERS:
            raise self.wrong(share, f"{path.owner}.{path.field.name} is {path.field.type}, not a number")
        return ReadColumn(
            "share", path.path, ColumnType.NUMBER, path.field.type, hundredths=path.field.type == "percent"
        )

    def condition(self, place: Place | None, sobject: str) -> Condition:
        if place is None:
            return Condition("")
        condition = condition_of(place.text, self.describe, sobject, self.mapping.file, place.line)
        if len(quote(condition.text)) > CONDITION_MAX:
            raise self.wrong(
                place,
                f"the filter is too long to be counted by Salesforce ({len(condition.text):,} characters); shorten it",
            )
        return condition

    def current_fields(self, sobject: str) -> tuple[CurrentField, ...]:
        """The fields that write-back owns, read along with the partners so that a plan knows what stands there now."""
        writes = self.mapping.writes
        if writes is None:
            return ()
        self.check_written_object(writes, sobject)
        fields = []
        for place in writes.all_fields:
            found = self.describe.object(sobject).field(place.text)
            if found is None:
                self.notes.append(f"{sobject}.{place.text} does not exist or is hidden: nothing can be written to it")
            else:
                self.paths.append(FieldPath(found.name, found, sobject, sobject))
            fields.append(CurrentField(place.text if found is None else found.name, found.type if found else None))
        return tuple(fields)

    def check_written_object(self, writes: WriteMap, sobject: str) -> None:
        if writes.object.text.lower() != sobject.lower():
            raise self.wrong(
                writes.object, f"write-back goes to {writes.object.text}, but partners are read from {sobject}"
            )

    def wrong(self, place: Place, message: str) -> ConfigError:
        return ConfigError(message, file=self.mapping.file, line=place.line)


def _names_field(word: str, sobject: SObject) -> bool:
    """Whether a role is a field: it has the shape of a custom one or of a path, or the object has it."""
    return "." in word or word.lower().endswith("__c") or sobject.field(word) is not None


def path_of(role: Place, file: str) -> Place:
    """A role that is meant as a field. Errors: ConfigError where it has not the shape of one."""
    if not all(is_identifier(step) for step in role.text.split(".")):
        raise ConfigError(f"`{role.text}` is not a field path", file=file, line=role.line)
    return role


def _output(columns: list[ReadColumn], credited: tuple[CreditRead, ...]) -> dict[str, ColumnType]:
    output = {column.name: column.kind for column in columns}
    if credited:
        output["partner_id"] = ColumnType.TEXT
        if any(one.role is not None for one in credited):
            output["role"] = ColumnType.TEXT
        if any(one.share != 1.0 for one in credited):
            output["share"] = ColumnType.NUMBER
    return output
