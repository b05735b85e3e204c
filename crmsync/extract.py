"""Extract: every table from where the configuration says, matched, checked, sealed into one snapshot, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path

import structlog

from crmsync.belt import Belt
from crmsync.configuration import TableSource
from crmsync.connectors.base import ExtractReport
from crmsync.connectors.checks import check_rows
from crmsync.connectors.matching import match_partners
from crmsync.connectors.partner_ids import COLUMN, Merging, use_known_ids
from crmsync.errors import ConfigError, Rejected
from crmsync.increments import start_of
from crmsync.people_edits import add_adopted
from crmsync.snapshots import Snapshot, Staging
from crmsync.writeback.plan import CURRENT_VALUES

log = structlog.get_logger()


@dataclass(frozen=True)
class Extracted:
    """One sealed snapshot, and what was left out of it. `direct`: rows of nobody, per table."""

    as_of: date
    snapshot: Snapshot
    rejected: tuple[Rejected, ...]
    direct: Mapping[str, int]
    notes: tuple[str, ...]


def extract(belt: Belt, folder: Path, as_of: date) -> Extracted:
    """Read all tables into a snapshot at `folder`. Errors: of a source that is unusable; nothing is sealed then."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    start = start_of(belt, folder.parent, as_of)
    log.info("reading", changes_only=start.since is not None, why=start.why)
    staging = Staging(folder, start.since, belt.configuration.reading.overlap_s)
    try:
        reports = list(_reports(belt, staging))
        unmatched = _matched(belt, staging)
        _use_known_ids(belt, staging)
        add_adopted(staging, belt.ledger)
        checks = check_rows(staging)
        if staging.held:
            staging.held = start.kept(staging.held, as_of)
        snapshot = staging.seal(_counts(reports))
    except BaseException:
        staging.discard()
        raise
    rejected = (*(bad for report in reports for bad in report.rejected), *unmatched, *checks.rejected)
    notes = tuple(note for report in reports for note in report.notes)
    for name, table in snapshot.tables.items():
        log.info("table_extracted", table=name, rows=table.rows)
    direct = Counter(checks.direct)
    for report in reports:
        direct.update(report.direct)
    return Extracted(as_of, snapshot, rejected, direct, notes)


def _reports(belt: Belt, staging: Staging) -> Iterator[ExtractReport]:
    """One report per connector and folder, in the order of the configuration."""
    sources = sorted(belt.configuration.tables.values(), key=_place)
    for _, group in groupby(sources, key=_place):
        tables = list(group)
        names = [table.table for table in tables]
        if "partners" in names and belt.configuration.write_to == tables[0].connector == "salesforce":
            names.append(CURRENT_VALUES)  # one query for both: what partners are, and what stands on their accounts
        yield belt.source(tables[0]).extract(names, staging, belt.progress)
    if belt.configuration.write_to == "files":
        yield belt.target.extract([CURRENT_VALUES], staging, belt.progress)


def _place(table: TableSource) -> tuple[str, str]:
    return (table.connector, str(table.folder or ""))


def _matched(belt: Belt, staging: Staging) -> tuple[Rejected, ...]:
    """Replace other systems' account numbers by partner ids; rows that match no partner are rejected."""
    rejected: list[Rejected] = []
    for table in belt.configuration.tables.values():
        if table.match is not None:
            try:
                rejected.extend(match_partners(staging, table.table, table.match))
            except ConfigError as error:
                raise ConfigError(error.message, file=str(belt.configuration.file)) from error
    return tuple(rejected)


def _use_known_ids(belt: Belt, staging: Staging) -> None:
    """Files that name partners by the CRM's own ids may have them short, or still name a partner merged away."""
    tables = belt.configuration.tables
    partners = belt.source(tables["partners"])
    ours = [
        name
        for name, table in tables.items()
        if table.connector == "files" and table.match is None and COLUMN in staging.tables[name].columns
    ]
    if not ours or not isinstance(partners, Merging):
        return
    merged = partners.merged_partners()
    for name in ours:
        changed = use_known_ids(staging, name, merged)
        if changed:
            log.info("partner_ids_completed", table=name, rows=changed)


def _counts(reports: Sequence[ExtractReport]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for report in reports:
        for table, before in report.counts_before.items():
            read = report.rows.get(table, before)
            counts[table] = {"read": read, "before": before, "after": report.counts_after.get(table, before)}
    return counts
