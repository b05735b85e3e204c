"""What every test may use: the shared data, and Hypothesis with printed seeds that repeat in CI."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).parent.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

settings.register_profile(
    "crmsync",
    deadline=None,  # two cores are shared; a slow example is no fault
    derandomize=IN_CI,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("crmsync")


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
