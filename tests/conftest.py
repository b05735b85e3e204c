"""What every test may use: the shared data, and Hypothesis with printed seeds that repeat in CI."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from crmsync.ledger.ledger import Ledger
from tests import warm
from tests.databases import Place, PostgresqlServer
from tests.warm import cold  # noqa: F401 (a fixture)

PROJECT = Path(__file__).parent.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# Hundreds of processes are started: what they import is compiled once, also where the environment says otherwise.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
warm.install()
typer.main.get_command = cache(typer.main.get_command)  # a process of a user makes its commands once, too

settings.register_profile(
    "crmsync",
    deadline=None,  # two cores are shared; a slow example is no fault
    derandomize=IN_CI,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("crmsync")
if IN_CI:  # examples are drawn from constants of the modules that happen to be imported: the same ones in every run
    providers._get_local_constants = lambda: providers._local_constants


def pytest_unconfigure() -> None:
    """The process that forks is not left behind."""
    warm.uninstall()


LONGEST = ("test_kill.py", "test_machine.py", "test_random_edits.py", "test_oracle.py", "test_races.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests go first, so that no worker waits for one at the end; the others stay together by file."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def project() -> Path:
    """The root of the repository."""
    return PROJECT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared folder beside the project: contracts and reference data. Missing is a failure in CI, else a skip."""
    folder = PROJECT.parent / "shared"
    if not (folder / "data").is_dir():
        message = f"the shared data is not at {folder}; it lies beside the project"
        pytest.fail(message) if IN_CI else pytest.skip(message)
    return folder


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on, or writes to, what the developer's own CRMSYNC_ variables point at."""
    for name in [name for name in os.environ if name.startswith("CRMSYNC_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A real PostgreSQL server, started by the first test that asks for it."""
    with PostgresqlServer() as server:
        yield server


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with an empty ledger, migrated once: that takes longer than most tests."""
    folder = tmp_path_factory.mktemp("template") / "state"
    Ledger.open(folder).close()
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A state folder with a ledger that is made, and empty."""
    state = tmp_path / "state"
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("template"), state)
        return Place(request.param, state, None)
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return Place(request.param, state, server.emptied())
