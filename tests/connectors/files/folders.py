"""Small folders of files for tests, and what was read from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from crmsync.connectors.base import ExtractReport
from crmsync.connectors.files import FilesMapping, read_tables
from crmsync.snapshots import Staging

PARTNERS = "partner_id,name\n1,One\n2,Two\n"


@dataclass(frozen=True)
class Read:
    """A staged folder and its report."""

    staging: Staging
    report: ExtractReport

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The staged rows of a table."""
        return list(pq.read_table(self.staging.tables[table].path).to_pylist())

    def column(self, table: str, name: str) -> list[Any]:
        """The staged cells of a column."""
        return [row[name] for row in self.rows(table)]

    @property
    def faults(self) -> list[tuple[int | None, str, str]]:
        """Line, column and value of each rejected cell."""
        return [(bad.line, bad.column, bad.value) for bad in self.report.rejected]


def read(folder: Path, files: Mapping[str, str | bytes], mapping: FilesMapping | None = None, **more: Any) -> Read:
    """Write `files` into a folder and read it. A name without ending is a CSV file."""
    tables = folder / "tables"
    tables.mkdir(exist_ok=True)
    for name, content in files.items():
        path = tables / (name if "." in name else f"{name}.csv")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    staging = Staging(folder / "snapshot")
    return Read(staging, read_tables(tables, staging, mapping=mapping, **more))
