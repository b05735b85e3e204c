"""Which rejected rows are new since the accepted run: told by place, column and value, not by how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crmsync.errors import Rejected
from crmsync.ledger.accepted import Accepted
from crmsync.ledger.ledger import Ledger
from crmsync.offline import record_rejected
from crmsync.watching import rejections
from crmsync.writeback.guards import Rejections
from tests.writeback.conftest import NewState
from tests.writeback.facts import AS_OF

BAD = Rejected("opportunities.csv", 7, "closed_on", "2026-05-99", "is no day")
OTHER = Rejected("opportunities.csv", 9, "amount", "=1+1", "is not a number")


@pytest.fixture
def belt(new_state: NewState) -> Iterator[Any]:
    with Ledger.open(new_state()) as ledger:
        (ledger.state_dir / "rejected").mkdir()
        yield SimpleNamespace(ledger=ledger, state=ledger.state_dir)


def accepted(belt: Any, *rows: Rejected, kept: bool = True) -> Accepted:
    run_id = belt.ledger.start_run("run")
    belt.ledger.end_run(run_id, 3, "done", {"rejected": len(rows)})
    if kept:
        record_rejected(belt.state / "rejected" / run_id, rows)
    return Accepted(AS_OF, "run-other", Path(f"{run_id}.parquet"), "")


def test_one_mended_and_one_broken_is_one_new(belt: Any) -> None:
    assert rejections(belt, [OTHER], accepted(belt, BAD)) == Rejections(1, 1, 1)


def test_the_same_row_on_another_line_is_not_new(belt: Any) -> None:
    moved = Rejected(BAD.file, 8, BAD.column, BAD.value, "is no day, as on line 8")
    assert rejections(belt, [moved, OTHER], accepted(belt, BAD, OTHER)) == Rejections(2, 2, 0)
    assert rejections(belt, [BAD, BAD], accepted(belt, BAD)) == Rejections(2, 1, 1)


def test_where_the_list_is_not_kept_the_numbers_tell(belt: Any) -> None:
    assert rejections(belt, [OTHER], accepted(belt, BAD, kept=False)) == Rejections(1, 1, 0)
    assert rejections(belt, [OTHER, BAD], accepted(belt, BAD, kept=False)) == Rejections(2, 1, 1)
    assert rejections(belt, [OTHER], accepted(belt)) == Rejections(1, 0, 1)
    assert rejections(belt, [OTHER], None) is None
