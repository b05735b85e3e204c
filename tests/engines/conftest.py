"""A Spark Connect server without Java: Sail, in this process, for as long as the tests of this folder run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from crmsync.levelling import rows


@pytest.fixture(scope="package", autouse=True)
def _as_on_a_large_base() -> Iterator[None]:
    """Few things are counted as bits on small tables too."""
    with patch.object(rows, "MANY_ROWS", 0):
        yield


@pytest.fixture(scope="session")
def remote() -> Iterator[str]:
    """The address of the server."""
    os.environ.setdefault("RUST_LOG", "off")  # read once, when the module is imported
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer(ip="127.0.0.1", port=0)
    server.start(background=True)
    assert server.listening_address is not None
    host, port = server.listening_address
    yield f"sc://{host}:{port}"
    server.stop()
