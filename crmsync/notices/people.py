"""Who is told: the persons of partners and the owners of accounts, as the partners table of a snapshot names them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.configuration_notices import OWNER, PARTNER, TASK, Audience, NoticeRules
from crmsync.errors import ConfigError
from crmsync.notices.channels import MAIL, is_address
from crmsync.snapshots import Snapshot
from crmsync.strict_yaml import nearest, read_text

PARTNERS, PARTNER_ID, NAME, OWNER_ID = "partners", "partner_id", "name", "owner_id"

WANTS_MAIL = ("", "false", "no", "n", "0")
"""What the column of `opted_out` says of who may be told. Anything else counts as no: a mail cannot be taken back."""


@dataclass(frozen=True)
class Person:
    """Somebody who is told. `recipient`: a mail address, or the id of a user of the CRM for a task."""

    recipient: str
    channel: str
    name: str = ""
    locale: str = ""
    zone: str = ""
    opted_out: bool = False


@dataclass(frozen=True)
class People:
    """`names`: of partners; `persons`: by audience and partner; `unknown`: by audience, how many partners have nobody
    who can be told."""

    names: Mapping[str, str]
    persons: Mapping[str, Mapping[str, Person]]
    unknown: Mapping[str, int]


def check_columns(rules: NoticeRules, present: Collection[str]) -> None:
    """Refuse a column of people that partners do not have. Errors: ConfigError with file and line."""
    for audience in rules.audiences.values():
        for what, column in _columns(audience).items():
            if column not in present:
                raise ConfigError(
                    f"`{column}` is no column of partners ({what} of {audience.name}); add it to the partners of the "
                    f"field map{nearest(column, present)}",
                    file=rules.file, line=audience.lines.get(what, rules.line),
                )  # fmt: skip


def _columns(audience: Audience) -> dict[str, str]:
    if audience.name not in (PARTNER, OWNER):
        return {}
    columns = dict(audience.columns)
    if audience.by == TASK:
        columns["address"] = OWNER_ID
    return columns


def read_people(rules: NoticeRules, snapshot: Snapshot, partners: Iterable[str], further: Iterable[str] = ()) -> People:
    """The persons of these partners; a person without a plain mail address cannot be told. `further`: partners who are
    looked up as well, and do not count among those that have nobody."""
    wanted = {name: _columns(one) for name, one in rules.audiences.items() if _columns(one)}
    counted = set(partners)
    rows = _rows(snapshot, sorted({*counted, *further}), {column for one in wanted.values() for column in one.values()})
    persons: dict[str, dict[str, Person]] = {}
    unknown: dict[str, int] = {}
    for name, columns in wanted.items():
        found = {row[PARTNER_ID]: _person(row, columns, rules.audiences[name].by) for row in rows}
        persons[name] = {partner: person for partner, person in found.items() if person is not None}
        unknown[name] = sum(1 for partner, person in found.items() if person is None and partner in counted)
    return People({row[PARTNER_ID]: row.get(NAME) or row[PARTNER_ID] for row in rows}, persons, unknown)


def _rows(snapshot: Snapshot, partners: list[str], columns: set[str]) -> list[dict[str, Any]]:
    file = snapshot.tables.get(PARTNERS)
    if file is None or not partners:
        return []
    asked = sorted({PARTNER_ID, *({NAME} & set(file.columns)), *(columns & set(file.columns))})
    of_them = pc.field(PARTNER_ID).isin(pa.array(partners, pa.string()))
    rows: list[dict[str, Any]] = pq.read_table(file.path, columns=asked, filters=of_them).to_pylist()
    return rows


def _person(row: Mapping[str, Any], columns: Mapping[str, str], by: str) -> Person | None:
    said = {what: str(row.get(column) or "").strip() for what, column in columns.items()}
    address = said["address"] if by == TASK else said["address"].lower()
    if not address or (by == MAIL and not is_address(address)):
        return None
    return Person(
        address, TASK if by == TASK else MAIL, said.get("name", ""), said.get("locale", ""), said.get("time_zone", ""),
        said.get("opted_out", "").lower() not in WANTS_MAIL,
    )  # fmt: skip


# --- who is not told


@dataclass(frozen=True)
class Suppressed:
    """Who is never told: addresses, whole domains (`@example.com`), partners (`partner:P1`)."""

    entries: frozenset[str] = frozenset()

    def why(self, recipient: str, partner_id: str | None) -> str | None:
        """The entry that keeps this recipient from being told; None where there is none."""
        address = recipient.lower()
        asked = (address, f"@{address.partition('@')[2]}", f"partner:{partner_id}")
        return next((entry for entry in asked if entry in self.entries), None)


def read_suppressed(path: Path | None) -> Suppressed:
    """The list of a file: one entry per line, `#` begins a remark. Errors: ConfigError with file and line."""
    if path is None:
        return Suppressed()
    entries = set()
    for number, line in enumerate(read_text(path).splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        if entry.startswith("partner:"):
            entries.add(entry)
        elif is_address(entry) or is_address(f"x{entry}"):
            entries.add(entry.lower())
        else:
            raise ConfigError(f"`{entry}` is no address, no @domain and no partner:ID", file=str(path), line=number)
    return Suppressed(frozenset(entries))
