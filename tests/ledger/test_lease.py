"""One worker may write; who has lost the lease cannot commit any more."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from crmsync.errors import AlreadyRunning, ConfigError, StoreError
from crmsync.ledger import tables as t
from crmsync.ledger.backups import KEPT, back_up
from crmsync.ledger.file_systems import network_file_system
from crmsync.ledger.lease import break_lease
from crmsync.ledger.ledger import Ledger
from crmsync.ledger.sqlite_store import SqliteStore
from tests.databases import Place


def events(ledger: Ledger) -> list[str]:
    with ledger.reading() as connection:
        return list(connection.execute(select(t.audit.c.event).order_by(t.audit.c.sequence)).scalars())


def broken(ledger: Ledger, fencing: int) -> None:
    with ledger.writing() as connection:
        break_lease(connection, fencing, "shell:ann")


def test_every_start_has_a_higher_number_and_gives_the_lease_back(place: Place) -> None:
    numbers = []
    for _ in range(3):
        with place.open() as ledger:
            lease = ledger.lease()
            assert lease is not None
            assert lease.released_at is None
            numbers.append(lease.fencing)
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    with place.open(exclusive=False) as reader:
        last = reader.lease()
        assert last is not None
        assert last.released_at is not None
        assert "lease_taken" not in events(reader)


def test_a_second_start_is_told_who_holds_the_lease(place: Place) -> None:
    with place.open() as holder:
        lease = holder.lease()
        assert lease is not None
        with pytest.raises(AlreadyRunning, match=rf"process {lease.pid} on .*lease {lease.fencing}\)"):
            place.open()
        with place.open(exclusive=False) as reader:
            assert reader.is_running()
    with place.open(exclusive=False) as reader:
        assert not reader.is_running()


def test_who_has_lost_the_lease_cannot_commit_even_what_it_had_begun(place: Place) -> None:
    with place.open() as worker, place.open(exclusive=False) as person:
        run_id = worker.start_run("run")
        lease = worker.lease()
        assert lease is not None
        with pytest.raises(ConfigError, match=f"the lease that is held has number {lease.fencing}"):
            broken(person, lease.fencing + 7)
        broken(person, lease.fencing)
        with pytest.raises(AlreadyRunning, match=f"lease {lease.fencing} of this process"):
            worker.end_run(run_id, 0)
        with pytest.raises(ConfigError, match="no lease is held"):
            broken(person, lease.fencing + 1)
        assert events(person)[-1] == "lease_broken"
        with person.reading() as connection:
            assert connection.scalar(select(t.run.c.state).where(t.run.c.run_id == run_id)) == "running"


def test_a_lease_that_was_never_given_back_is_taken_over_and_told(place: Place) -> None:
    died = place.open()
    died.store.close()  # as a kill does: lock and connections go, the row stays
    with place.open() as ledger:
        assert events(ledger)[-1] == "lease_taken"
        lease = ledger.lease()
        assert lease is not None
        assert lease.released_at is None


def test_a_broken_lock_is_free_for_the_next_start_on_postgresql(place: Place) -> None:
    with place.open() as hangs, place.open(exclusive=False) as person:
        lease = hangs.lease()
        assert lease is not None
        broken(person, lease.fencing)
        assert person.store.break_lock() is (place.kind == "postgresql")
        if place.kind == "postgresql":
            with place.open() as next_one:
                taken = next_one.lease()
                assert taken is not None
                assert taken.fencing == lease.fencing + 2


def test_a_finished_run_leaves_a_copy_that_is_a_ledger_of_its_own(place: Place, tmp_path: Path) -> None:
    with place.open() as ledger:
        copies = [back_up(ledger, f"run-{number}") for number in range(KEPT + 2)]
        run_id = ledger.start_run("run")
        newest = back_up(ledger, run_id)
    if place.kind == "postgresql":
        assert newest is None
        return
    assert newest is not None
    assert [one.exists() for one in copies if one] == [False] * 3 + [True] * (KEPT - 1)
    restored = tmp_path / "restored"
    restored.mkdir()
    newest.rename(restored / "ledger.sqlite")
    with Ledger.open(restored) as ledger, ledger.reading() as connection:
        assert connection.execute(select(t.run.c.run_id)).scalars().all() == [run_id]


MOUNTS = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:30 / /srv/with\040space rw - nfs4 server:/x rw
31 22 0:31 / /srv/data rw,relatime shared:1 - fuse.sshfs user@host:/x rw
32 31 0:32 / /srv/data/local rw - xfs /dev/vdb rw
nonsense
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/with space/state", "nfs4"), ("/srv/data", "fuse.sshfs"), ("/srv/data/local/state", None),
        ("/srv/database", None), ("/var/lib", None),
    ],
)  # fmt: skip
def test_a_network_file_system_is_known_by_the_nearest_mount(tmp_path: Path, folder: str, kind: str | None) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert network_file_system(Path(folder), mounts) == kind
    assert network_file_system(Path(folder), tmp_path / "absent") is None


def test_a_ledger_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crmsync.ledger.sqlite_store.network_file_system", lambda _: "nfs4")
    with pytest.raises(StoreError, match=r"network file system \(nfs4\).*CRMSYNC_LEDGER_URL"):
        SqliteStore(tmp_path)
