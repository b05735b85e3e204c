"""What a run was made of is known by the order of the runs, whatever the clock said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock

from crmsync.ledger.accepted import accept_standings
from crmsync.ledger.ledger import Ledger, RunFacts
from crmsync.ledger.made_of import accepted_runs

JUNE, JULY, AUGUST = date(2026, 6, 1), date(2026, 7, 1), date(2026, 8, 1)


def accepted(ledger: Ledger, folder: Path, as_of: date) -> Path:
    run_id = ledger.start_run("run", RunFacts(as_of, "snapshot", "program", files_digest="files"))
    path = folder / f"{run_id}.parquet"
    path.write_text(run_id)
    accept_standings(ledger, run_id, as_of, path)
    return path


def test_the_standings_before_are_found_after_the_clock_went_back(ledger: Ledger, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with mock.patch("crmsync.ledger.canon.datetime") as clock:
        paths = []
        for day, hours in ((JUNE, 0), (JULY, 3), (AUGUST, -2), (AUGUST, -1)):
            clock.now.return_value = now + timedelta(hours=hours)
            paths.append(accepted(ledger, tmp_path, day))
    assert [made.previous for made in accepted_runs(ledger)] == [paths[1], paths[1], paths[0], None]
