"""Copying an org into a folder: read every object whole, choose rows, mask, write `schema.yaml` and one CSV each."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crmsync.connectors.base import Progress, no_progress
from crmsync.connectors.mapping import SalesforceMapping
from crmsync.connectors.salesforce.bulk_query import bulk_blocks
from crmsync.connectors.salesforce.copying.extent import Extent, Known, extent_of, texts_in_use
from crmsync.connectors.salesforce.copying.masking import EMPTY, KEEP, Masks, kind_of
from crmsync.connectors.salesforce.copying.schema import is_custom, schema_of
from crmsync.connectors.salesforce.describe import Describe
from crmsync.connectors.salesforce.org import Org
from crmsync.connectors.salesforce.rest_query import count_rows, rest_blocks
from crmsync.connectors.salesforce.soql import checked_filter
from crmsync.errors import StoreError

BULK_FROM = 2_000
"""Rows from which on an object is read by a bulk query job."""
LONGEST_QUERY = 8_000
"""Signs of a query that still fit into an address with all that encoding adds to them."""

_ACCOUNT = "Account"
_ONLY_NAMED = frozenset({"User"})  # people are copied only where a copied record names them


@dataclass
class Copied:
    """What was copied. `masked`, `kept`: fields of text by what happened to them; `blanked`: references to records
    that are not in the copy, by field; `left`: what could not be copied, and why."""

    org: str
    folder: Path
    rows: dict[str, int] = field(default_factory=dict)
    masked: dict[str, list[str]] = field(default_factory=dict)
    kept: dict[str, list[str]] = field(default_factory=dict)
    blanked: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    calls: int = 0


@dataclass
class _Raw:
    """The rows of one object as they were read, on disk."""

    name: str
    path: Path
    fields: list[Mapping[str, Any]]
    ids: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        return [str(one["name"]) for one in self.fields]

    @property
    def links(self) -> list[tuple[int, str]]:
        """Place and name of each reference."""
        return [(at, str(one["name"])) for at, one in enumerate(self.fields) if one["type"] == "reference"]

    def rows(self) -> Iterator[list[str]]:
        with self.path.open(encoding="utf-8", newline="") as file:
            yield from csv.reader(file)


def copy_org(
    org: Org, mapping: SalesforceMapping, known: Known, there: frozenset[str], to: Path, *, masked: bool,
    limit: int | None = None,
    progress: Progress = no_progress,
) -> Copied:  # fmt: skip
    """Copy into an empty folder; nothing is written to the org. `limit`: at most so many partners, and what is theirs.
    `known`, `there`: standard objects and records that every sandbox has.

    Errors: AccessError, DataError, Transient; ConfigError for a filter; StoreError when the disk does not take it.
    """
    with _disk(to):
        to.mkdir(parents=True, exist_ok=True)
        extent = extent_of(org, mapping, known)
        done = Copied(org.organization["id"], to, left=extent.left)
        with tempfile.TemporaryDirectory(prefix=".reading-", dir=to) as scratch:
            raws = {}
            for number, name in enumerate(extent.objects):
                progress(name, number, len(extent.objects))
                raws[name] = _read(org, name, extent.fields(name, known), Path(scratch))
            chosen = None if limit is None else _chosen(org, mapping, raws, limit)
            kept = _with_people(raws, {name: raw.ids for name, raw in raws.items()} if chosen is None else chosen)
            used = texts_in_use(mapping)
            masks = Masks() if masked else None
            loose: set[str] = set()
            for raw in raws.values():
                _write(raw, kept, masks, used, done, loose, there)
        _write_schema(to / "schema.yaml", extent, frozenset(loose))
    done.calls = org.session.usage.calls
    return done


@contextmanager
def _disk(to: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or to}: the copy cannot be written: {error.strerror or error}") from error


def _read(org: Org, name: str, fields: list[Mapping[str, Any]], scratch: Path) -> _Raw:
    """All rows of an object. Small ones come by REST, since not every set-up object can be read in bulk."""
    raw = _Raw(name, scratch / f"{name}.raw", fields)
    soql = f"SELECT {', '.join(raw.names)} FROM {name}"
    total = count_rows(org, f"SELECT COUNT() FROM {name}")
    blocks = (
        bulk_blocks(org, soql, name, raw.names, scratch)
        if total > BULK_FROM or len(soql) > LONGEST_QUERY
        else rest_blocks(org, org.query(soql), name, raw.names)
    )
    key = raw.names.index("Id")
    with raw.path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for block in blocks:
            columns = [block[column].to_pylist() for column in raw.names]
            raw.ids.update(columns[key])
            writer.writerows(zip(*columns, strict=True))
    return raw


def _chosen(org: Org, mapping: SalesforceMapping, raws: Mapping[str, _Raw], limit: int) -> dict[str, set[str]]:
    """Ids by object: the first partners, records that name one of them, and then what these name themselves."""
    first = _first_partners(org, mapping, limit)
    kept: dict[str, set[str]] = {name: set() for name in raws}
    kept[_ACCOUNT] = first & raws[_ACCOUNT].ids if _ACCOUNT in raws else set()
    for name, raw in raws.items():
        to_account = [at for at, link in raw.links if _ACCOUNT in _targets(raw, link)]
        if name in (_ACCOUNT, *_ONLY_NAMED):
            continue
        key = raw.names.index("Id")
        # what has nothing to do with accounts (rates, credentials) is small and needed whole
        kept[name] = {row[key] for row in raw.rows() if not to_account or any(row[at] in first for at in to_account)}
    grew = True
    while grew:
        grew = False
        for raw in raws.values():
            key = raw.names.index("Id")
            for row in raw.rows():
                if row[key] in kept[raw.name]:
                    grew = _follow(raw, row, raws, kept) or grew
    return kept


def _follow(raw: _Raw, row: list[str], raws: Mapping[str, _Raw], kept: dict[str, set[str]]) -> bool:
    """Keep the records that a kept row names; whether there were new ones."""
    grew = False
    for at, link in raw.links:
        for target in _targets(raw, link) if row[at] else ():
            if target in raws and row[at] in raws[target].ids and row[at] not in kept[target]:
                kept[target].add(row[at])
                grew = True
    return grew


def _with_people(raws: Mapping[str, _Raw], kept: dict[str, set[str]]) -> dict[str, set[str]]:
    """The kept records, and of people only those whom one of them names."""
    named: set[str] = set()
    for raw in raws.values():
        places = [at for at, link in raw.links if "User" in _targets(raw, link)]
        key = raw.names.index("Id")
        for row in raw.rows() if places and raw.name not in _ONLY_NAMED else ():
            if row[key] in kept[raw.name]:
                named |= {row[at] for at in places if row[at]}
    return kept | {name: raws[name].ids & named for name in _ONLY_NAMED if name in raws}


def _targets(raw: _Raw, link: str) -> Sequence[str]:
    return next(tuple(one.get("referenceTo") or ()) for one in raw.fields if one["name"] == link)


def _first_partners(org: Org, mapping: SalesforceMapping, limit: int) -> set[str]:
    """Ids of the first partners, by id."""
    table = mapping.tables.get("partners")
    where = ""
    if table is not None and table.filter is not None:
        place = table.filter
        where = " WHERE " + checked_filter(place.text, Describe(org), _ACCOUNT, mapping.file, place.line)
    page = org.query(f"SELECT Id FROM {_ACCOUNT}{where} ORDER BY Id LIMIT {limit}")
    return {
        str(identity)
        for block in rest_blocks(org, page, _ACCOUNT, ["Id"])
        for identity in block["Id"].to_pylist()
    }  # fmt: skip


def _write(
    raw: _Raw,
    kept: Mapping[str, set[str]],
    masks: Masks | None,
    used: frozenset[str],
    done: Copied,
    loose: set[str],
    there: frozenset[str],
) -> None:
    """One CSV; what is masked, kept, blanked and used though inactive is noted."""
    names = raw.names
    written = [at for at, one in enumerate(raw.fields) if not (one.get("autoNumber") and one.get("nameField"))]
    kinds = [kind_of(raw.name, one, used) if masks is not None else KEEP for one in raw.fields]
    _note(raw, kinds, done)
    inactive = _inactive(raw)
    links = {at: [kept[target] for target in _targets(raw, link) if target in kept] for at, link in raw.links}
    key, own, count = names.index("Id"), kept[raw.name], 0
    with (done.folder / f"{raw.name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([names[at] for at in written])
        for row in raw.rows():
            if row[key] not in own or row[key] in there:
                continue
            for at, targets in links.items():
                if row[at] and not any(row[at] in ids for ids in targets):
                    row[at] = ""
                    told = f"{raw.name}.{names[at]}"
                    done.blanked[told] = done.blanked.get(told, 0) + 1
            for at, values in inactive.items():
                if values.intersection(row[at].split(";")):
                    loose.add(f"{raw.name}.{names[at]}")
            if masks is not None:
                row = [
                    text if kind == KEEP else masks.mask(kind, text, int(one.get("length") or 0))
                    for text, kind, one in zip(row, kinds, raw.fields, strict=True)
                ]
            writer.writerow([row[at] for at in written])
            count += 1
    done.rows[raw.name] = count


def _note(raw: _Raw, kinds: Sequence[str], done: Copied) -> None:
    for one, kind in zip(raw.fields, kinds, strict=True):
        if kind != KEEP:
            done.masked.setdefault(raw.name, []).append(f"{one['name']}{' (emptied)' if kind == EMPTY else ''}")
        elif one["type"] in ("string", "textarea", "email", "phone", "url", "encryptedstring", "combobox"):
            done.kept.setdefault(raw.name, []).append(str(one["name"]))


def _inactive(raw: _Raw) -> dict[int, set[str]]:
    """Values of restricted picklists that may no longer be stored, by the place of their column."""
    found = {}
    for at, one in enumerate(raw.fields):
        if one.get("restrictedPicklist") and is_custom(str(one["name"])):
            found[at] = {str(entry["value"]) for entry in one.get("picklistValues") or () if not entry.get("active")}
    return {at: values for at, values in found.items() if values}


def _write_schema(path: Path, extent: Extent, loose: frozenset[str]) -> None:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(schema_of(extent.objects, loose), file)
