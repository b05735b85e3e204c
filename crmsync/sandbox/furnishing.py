"""Opening an org: the saved one, or a new one with its own records (users, stages, currencies, …) and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from crmsync.sandbox.deriving import STAGES
from crmsync.sandbox.load_tables import LoadError, Table, company_tables, folder_tables
from crmsync.sandbox.loading import Loading
from crmsync.sandbox.org import USERNAME, Options, Org, new_org, saved_org
from crmsync.sandbox.permissions import FACT, start_fields
from crmsync.sandbox.person_accounts import complete_persons
from crmsync.sandbox.row_defaults import defaults, end_rates
from crmsync.sandbox.schema_file import features_of, read_schema_file
from crmsync.sandbox.standard import Features
from crmsync.sandbox.users import ADMINISTRATOR, LEAST, PEOPLE, PROFILES


def open_org(
    options: Options,
    data: Path | None = None,
    sample: int | None = None,
    opportunities: int | None = None,
    certifications: int | None = None,
) -> Org:
    """The org of the state file if there is one, else a new one with the data folder or the sample.

    Errors: SchemaError, StateError, LoadError.
    """
    if data is not None and sample is not None:
        raise LoadError("--data and --sample exclude each other: an org holds one company")
    org = saved_org(options)
    if org is not None:
        _bring_up(org)
        return org
    definition, tables, source = _content(options, data, (sample, opportunities, certifications))
    features = replace(_features(tables), **features_of(definition, source))
    org = new_org(options, definition, features, source)
    try:
        _fill(org, tables)
    except BaseException:
        org.store.close()
        if options.state is not None:
            _remove_state(options.state)
        raise
    return org


def _content(
    options: Options, data: Path | None, sizes: tuple[int | None, int | None, int | None]
) -> tuple[Mapping[str, Any], list[Table], str]:
    sample, opportunities, certifications = sizes
    if sample is not None:
        from datetime import date

        from crmsync.sandbox.company import make_company

        company = make_company(sample, options.seed, options.today or date.today(), opportunities, certifications)
        return company.schema, company_tables(company.objects), "sample"
    if data is None:
        return {"objects": {}}, [], "schema"
    schema = data / "schema.yaml"
    tables = folder_tables(data)
    return (read_schema_file(schema) if schema.exists() else {"objects": {}}), tables, schema.name


def _features(tables: Sequence[Table]) -> Features:
    names = {table.name.lower() for table in tables}
    columns = {column.lower() for table in tables for column in table.columns}
    dated = "datedconversionrate" in names
    return Features(dated or "currencytype" in names or "currencyisocode" in columns, dated)


def _kind_rows(org: Org) -> list[tuple[Any, ...]]:
    """Rows of RecordType for the record types that the schema names."""
    return [
        (kind.label, kind.name, sobject.name, kind.active, kind.description, *([kind.person] * _persons(org)))
        for sobject in org.schema
        for kind in sobject.kinds
    ]


def _persons(org: Org) -> int:
    return int(org.features.person_accounts)


def _kind_table(org: Org) -> Table:
    """The record types of the schema as a table, so that other tables may refer to them by name."""
    columns = ["Name", "DeveloperName", "SobjectType", "IsActive", "Description", *(["IsPersonType"] * _persons(org))]
    return Table("RecordType", "schema.yaml", columns, ((number, row) for number, row in enumerate(_kind_rows(org), 1)))


def _complete_kinds(org: Org, loading: Loading) -> None:
    """The record types of the schema that the data's own RecordType table does not have."""
    found = loading.connection.execute('SELECT "SobjectType", "DeveloperName" FROM "RecordType"')
    known = {(str(name).lower(), str(kind).lower()) for name, kind in found}
    for label, name, sobject, active, description, *person in _kind_rows(org):
        if (sobject.lower(), name.lower()) not in known:
            _insert(org, loading, "RecordType", {
                "Id": org.next_id("012"), "Name": label, "DeveloperName": name, "SobjectType": sobject,
                "IsActive": int(active), "Description": description,
            } | ({"IsPersonType": int(person[0])} if person else {}))  # fmt: skip


def _fill(org: Org, tables: Sequence[Table]) -> None:
    first = [table for table in tables if table.name.lower() in ("opportunitystage", "currencytype")]
    rest = [table for table in tables if table not in first]
    with org.store.writing() as connection:
        loading = Loading(org, connection, org.clock.stamp())
        _furnish(org, loading, {table.name.lower() for table in tables})
        own_kinds = any(table.name.lower() == "recordtype" for table in tables)
        loading.load([*([] if own_kinds or not _kind_rows(org) else [_kind_table(org)]), *first, *rest])
        _complete(org, loading)
        org.store.keep_facts(_facts(org, loading.stamp) | {FACT: start_fields(org.schema)}, connection)
    org.store.create_indexes(org.schema)
    org.refresh()


def _facts(org: Org, stamp: str) -> dict[str, Any]:
    return {
        "definition": org.definition,
        "features": asdict(org.features),
        "stamp": stamp,
        "numbers": org.numbers,
        "seed": org.seed,
    }


def _bring_up(org: Org) -> None:
    """What orgs of older states lack, and the profile that this start asks for."""
    with org.store.writing() as connection:
        _furnish_people(org, Loading(org, connection, org.clock.now()))
        if org.store.fact(FACT) is None:
            org.store.keep_facts({FACT: start_fields(org.schema)}, connection)


def _furnish_people(org: Org, loading: Loading) -> None:
    """The profiles and people that every org has, where they are missing; and the integration user's profile."""
    run = loading.connection.execute
    known = {row[0] for row in run('SELECT "Id" FROM "Profile" UNION ALL SELECT "Id" FROM "User"')}
    for name, profile in PROFILES.items():
        if profile not in known:
            _insert(org, loading, "Profile", {"Id": profile, "Name": name, "UserType": "Standard"})
    for person in PEOPLE:
        if person.id not in known:
            _insert(org, loading, "User", {
                "Id": person.id, "Username": person.username, "FirstName": person.first, "LastName": person.last,
                "Name": f"{person.first} {person.last}", "Email": person.username, "Alias": person.alias,
                "Title": person.title, "IsActive": 1, "UserType": "Standard", "ProfileId": PROFILES[person.profile],
            })  # fmt: skip
    profile = PROFILES[LEAST if org.options.least_privilege else ADMINISTRATOR]
    run('UPDATE "User" SET "ProfileId" = ? WHERE "Id" = ?', [profile, org.user_id])


def _furnish(org: Org, loading: Loading, given: set[str]) -> None:
    """Records that every org has; those that the data brings are left to it."""
    org.numbers |= {"005": 1, "00e": len(PROFILES)}
    _insert(org, loading, "User", {
        "Id": org.user_id, "Username": USERNAME, "FirstName": "Integration", "LastName": "User",
        "Name": "Integration User", "Email": USERNAME, "Alias": "integr",
        "IsActive": 1, "UserType": "Standard",
    })  # fmt: skip
    _furnish_people(org, loading)
    if "organization" not in given:
        _insert(org, loading, "Organization", {
            "Id": org.org_id, "Name": "Sandbox Company", "OrganizationType": "Enterprise Edition",
            "InstanceName": "LOCAL", "IsSandbox": 1, "FiscalYearStartMonth": 1, "TimeZoneSidKey": "UTC",
            "DefaultLocaleSidKey": "en_US", "LanguageLocaleKey": "en_US", "Country": "US",
        })  # fmt: skip
    if "opportunitystage" not in given:
        _furnish_stages(org, loading)


def _furnish_stages(org: Org, loading: Loading) -> None:
    for order, stage in enumerate(STAGES, 1):
        _insert_stage(org, loading, stage.label, order)


def _insert_stage(org: Org, loading: Loading, label: str, order: int) -> None:
    stage = org.deriving.stages[label]
    _insert(org, loading, "OpportunityStage", {
        "Id": org.next_id("01J"), "MasterLabel": label, "ApiName": label, "IsActive": 1, "SortOrder": order,
        "IsClosed": int(stage.closed), "IsWon": int(stage.won), "DefaultProbability": stage.probability,
        "ForecastCategoryName": stage.forecast,
    })  # fmt: skip


def _insert(org: Org, loading: Loading, name: str, values: dict[str, Any]) -> None:
    sobject = org.schema.find(name)
    assert sobject is not None
    row = {
        key: value for key, value in defaults(org, sobject, loading.stamp).items() if key != "CurrencyIsoCode"
    } | values
    listed = ", ".join(f'"{key}"' for key in row)
    loading.connection.execute(
        f'INSERT INTO "{name}" ({listed}) VALUES ({", ".join("?" * len(row))})', list(row.values())
    )


def _complete(org: Org, loading: Loading) -> None:
    """What follows from the loaded rows: stages they used, currencies they named, ends of dated rates."""
    rows = loading.connection.execute('SELECT "MasterLabel" FROM "OpportunityStage"').fetchall()
    known = {row[0] for row in rows}
    for label in [label for label in org.deriving.stages if label not in known]:
        if label not in {stage.label for stage in STAGES} or not known:
            known.add(label)
            _insert_stage(org, loading, label, len(known))
    _complete_kinds(org, loading)
    if org.features.person_accounts:
        complete_persons(org, loading.connection)
    if org.features.multi_currency:
        _complete_currencies(org, loading)
    if org.features.dated_rates:
        end_rates(loading.connection)


def _complete_currencies(org: Org, loading: Loading) -> None:
    connection = loading.connection
    known = {row[0] for row in connection.execute('SELECT "IsoCode" FROM "CurrencyType"')}
    used: set[str] = set()
    for sobject in org.schema:
        column = "IsoCode" if sobject.name == "DatedConversionRate" else "CurrencyIsoCode"
        if sobject.field(column) and sobject.name != "CurrencyType":
            used |= {
                row[0] for row in connection.execute(f'SELECT DISTINCT "{column}" FROM "{sobject.name}"') if row[0]
            }
    if not known:
        known = {"USD"} | used
        for iso in sorted(known):
            _insert(org, loading, "CurrencyType", {
                "Id": org.next_id("01L"), "IsoCode": iso, "ConversionRate": 1_000_000, "DecimalPlaces": 2,
                "IsActive": 1, "IsCorporate": int(iso == "USD"),
            })  # fmt: skip
    missing = sorted(used - known)
    if missing:
        raise LoadError(f"CurrencyType.csv: has no row for {', '.join(missing)}, which other files use")
    corporate = connection.execute('SELECT "IsoCode" FROM "CurrencyType" WHERE "IsCorporate" = 1').fetchall()
    if len(corporate) != 1:
        raise LoadError(f"CurrencyType.csv: IsCorporate must be true on exactly one row, not on {len(corporate)}")
    for sobject in org.schema:
        if sobject.field("CurrencyIsoCode"):
            connection.execute(
                f'UPDATE "{sobject.name}" SET "CurrencyIsoCode" = ? WHERE "CurrencyIsoCode" IS NULL', [corporate[0][0]]
            )


def _remove_state(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
