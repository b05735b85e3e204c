"""The table of connectors: each name opens one, and no vendor client is loaded before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import responses

from crmsync.connectors.catalogue import OPENERS
from crmsync.settings import Settings


@responses.activate
@pytest.mark.parametrize("name", OPENERS)
def test_each_name_opens_a_connector_without_a_call(name: str, project: Path, tmp_path: Path) -> None:
    connector = OPENERS[name](Settings(state_dir=tmp_path), project / "config")
    assert all(hasattr(connector, step) for step in ("extract", "read", "write_one", "create_job", "job_results"))
    assert len(responses.calls) == 0


def test_no_vendor_client_is_loaded_with_the_table() -> None:
    code = "import sys, crmsync.connectors.catalogue; print({'simple_salesforce', 'requests'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
