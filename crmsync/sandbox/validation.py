"""Rules that a record must obey once it is stored: validation rules, duplicate rules, values by record type."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from crmsync.sandbox.answers import ApiError
from crmsync.sandbox.formula_sql import Calculation
from crmsync.sandbox.schema import DuplicateRule, Field, SObject
from crmsync.sandbox.store import collation

if TYPE_CHECKING:
    from crmsync.sandbox.org import Org
    from crmsync.sandbox.rows import Rows

Priors = dict[str, Any]
"""Stored values before a change, by parameter name of the rules' SQL; `is_new` is 1 for a new record."""

_saves_duplicates: ContextVar[bool] = ContextVar("saves duplicates", default=False)


def allow_duplicates(header: str) -> None:
    """Take `allowSave=true` of the header Sforce-Duplicate-Rule-Header for the rest of this call."""
    wanted = {part.strip().lower().replace(" ", "") for part in header.replace(";", ",").split(",")}
    _saves_duplicates.set("allowsave=true" in wanted)


@contextmanager
def guarded(rows: Rows, sobject: SObject) -> Iterator[None]:
    """What is stored within is undone when a rule refuses it; nothing is done for objects without rules."""
    if not (sobject.rules or sobject.duplicate_rules):
        yield
        return
    rows.connection.execute("SAVEPOINT guarded")
    before = len(rows.changed)
    try:
        yield
    except BaseException:
        rows.connection.execute("ROLLBACK TO guarded")
        rows.connection.execute("RELEASE guarded")
        del rows.changed[before:]
        raise
    rows.connection.execute("RELEASE guarded")


class Rulebook:
    """The validation rules of one object, as one statement: which of them a record breaks."""

    def __init__(self, org: Org, sobject: SObject) -> None:
        self.rules = [rule for rule in sobject.rules if rule.active]
        self.name = sobject.name
        asked: dict[str, Field] = {}
        made = Calculation(org.schema, org.clock.today().isoformat(), org.clock.now(), priors=asked)
        conditions = [made.condition(rule.condition, sobject, "t0") for rule in self.rules]
        self.asked = list(asked)
        broken = ", ".join(f"coalesce({sql}, 0)" for sql in conditions)
        self.statement = f'SELECT {broken} FROM "{self.name}" t0 WHERE t0."Id" = :id' if broken else ""

    def priors(self, connection: sqlite3.Connection, record_id: str) -> Priors:
        """What the rules ask about a record before it is changed."""
        found: Priors = {"is_new": 0}
        if self.asked:
            listed = ", ".join(f'"{name}"' for name in self.asked)
            row = connection.execute(f'SELECT {listed} FROM "{self.name}" WHERE "Id" = ?', [record_id]).fetchone()
            found |= {f"old_{name}": value for name, value in zip(self.asked, row, strict=True)}
        return found

    def new(self) -> Priors:
        """The same of a new record: it had no values."""
        return {"is_new": 1} | {f"old_{name}": None for name in self.asked}

    def check(self, connection: sqlite3.Connection, record_id: str, priors: Priors) -> None:
        """Errors: ApiError FIELD_CUSTOM_VALIDATION_EXCEPTION with the text of each rule that is broken."""
        if not self.statement:
            return
        broken = connection.execute(self.statement, priors | {"id": record_id}).fetchone()
        errors = [
            ApiError(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message, [rule.field] if rule.field else [])
            for rule, holds in zip(self.rules, broken, strict=True)
            if holds
        ]
        if errors:
            errors[0].more = tuple(errors[1:])
            raise errors[0]


def check_duplicates(rows: Rows, sobject: SObject, record_id: str, new: bool, changed: Mapping[str, Any]) -> None:
    """Errors: ApiError DUPLICATES_DETECTED when a rule finds other records with the same values."""
    for rule in sobject.duplicate_rules:
        action = rule.on_insert if new else rule.on_update
        if not rule.active or (action == "Allow" and _saves_duplicates.get()):
            continue
        if (new or set(rule.match) & set(changed)) and _twin(rows, sobject, rule, record_id):
            raise ApiError(400, "DUPLICATES_DETECTED", rule.message, [])


def _twin(rows: Rows, sobject: SObject, rule: DuplicateRule, record_id: str) -> str | None:
    same = []
    for name in rule.match:
        fold = collation(sobject.by_name[name.lower()])
        same.append(f'o."{name}" = t0."{name}"{fold}')  # an empty field equals none
    alive = ' AND o."IsDeleted" = 0' if sobject.field("IsDeleted") else ""
    row = rows.connection.execute(
        f'SELECT o."Id" FROM "{sobject.name}" t0 JOIN "{sobject.name}" o ON {" AND ".join(same)} '
        f'WHERE t0."Id" = ? AND o."Id" <> t0."Id"{alive} LIMIT 1', [record_id],
    ).fetchone()  # fmt: skip
    return row[0] if row else None


def check_kind_values(rows: Rows, sobject: SObject, record_type: str | None, values: Mapping[str, Any]) -> None:
    """Errors: ApiError when a restricted picklist gets a value that the record's type does not allow."""
    if record_type is None or not any(kind.values for kind in sobject.kinds):
        return
    row = rows.connection.execute('SELECT "DeveloperName" FROM "RecordType" WHERE "Id" = ?', [record_type]).fetchone()
    kind = next((kind for kind in sobject.kinds if row and kind.name.lower() == str(row[0]).lower()), None)
    for name, allowed in kind.values if kind else ():
        known = sobject.by_name[name.lower()]
        given = values.get(known.name)
        if given is None or not known.restricted:
            continue
        if any(part not in allowed for part in str(given).split(";")):
            raise ApiError(
                400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                f"{known.label}: bad value for restricted picklist field: {given}", [known.name],
            )  # fmt: skip
