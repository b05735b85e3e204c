"""One Parquet file becomes one typed table of a snapshot; a file that already fits is copied as it is."""

from __future__ import annotations

from pathlib import Path

from crmsync.connectors.base import Progress
from crmsync.connectors.files_csv import Order, TableRead
from crmsync.errors import ConfigError


def read_parquet_table(order: Order, target: Path, progress: Progress) -> TableRead:
    """Write the rows of a Parquet file to `target`."""
    raise ConfigError("Parquet is not read yet", file=str(order.path))
