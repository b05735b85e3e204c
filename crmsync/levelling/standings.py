"""The standings table: its columns, and how it is written to and read from CSV, JSON lines and Parquet.

Source: architecture, standings. JSON columns are nested values in JSON lines and Parquet, JSON text in CSV.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crmsync.errors import ConfigError, StoreError

COLUMNS = (
    "program", "program_version", "as_of", "partner_id", "category", "calculated_tier", "earned_tier", "granted_tier",
    "previous_tier", "pending_tier", "pending_on", "headline_tier", "primary_category", "projected_tier", "pace_tier",
    "movement", "category_check", "reassess_on", "overrides", "tier_since", "grace_until", "next_review", "per_value",
    "next_tier", "progress", "gap", "gap_summary", "main_blocker", "risk", "risk_on", "risk_reasons", "provisional",
    "provisional_reasons", "metrics", "benefits", "state", "format",
)  # fmt: skip
JSON_COLUMNS = frozenset({"overrides", "gap", "risk_reasons", "provisional_reasons", "metrics", "benefits", "state"})
DATES = frozenset({"as_of", "pending_on", "reassess_on", "tier_since", "grace_until", "next_review", "risk_on"})
ENDINGS = (".csv", ".jsonl", ".parquet")


def check_ending(file: Path, what: str) -> None:
    """Errors: ConfigError, naming the flag or thing (`what`), when the file name says no format."""
    if file.suffix not in ENDINGS:
        raise ConfigError(f"{what} {file}: the name ends in {file.suffix or 'nothing'}; use {', '.join(ENDINGS)}")


def write_standings(standings: pa.Table | Iterable[pa.Table], out: Path) -> None:
    """Write a table, or tables one after the other (at least one), in the format that the ending of `out` names.

    The file appears in one move. Errors: ConfigError, StoreError.
    """
    check_ending(out, "standings file")
    partial = out.with_name(f".{out.name}.partial")
    parts = iter([standings] if isinstance(standings, pa.Table) else standings)
    try:
        _WRITERS[out.suffix](parts, partial)
        partial.replace(out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"{out}: cannot be written: {error.strerror or error}") from error


def _write_parquet(parts: Iterator[pa.Table], path: Path) -> None:
    part = next(parts)
    with pq.ParquetWriter(path, part.schema, compression="zstd") as writer:
        writer.write_table(part)
        for part in parts:
            writer.write_table(part)


def _write_csv(parts: Iterator[pa.Table], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for number, part in enumerate(parts):
            names = part.column_names
            if not number:
                writer.writerow(names)
            for batch in part.to_batches(max_chunksize=10_000):
                columns = [_csv_column(name, batch) for name in names]
                writer.writerows(zip(*columns, strict=True))


def _csv_column(name: str, batch: pa.RecordBatch) -> list[Any]:
    values = batch.column(name)
    if name in JSON_COLUMNS:
        return [None if value is None else json_text(value) for value in _own_values(name, batch)]
    if pa.types.is_boolean(values.type):
        return [None if value is None else "true" if value else "false" for value in values.to_pylist()]
    plain: list[Any] = values.to_pylist()
    return plain


def _write_lines(parts: Iterator[pa.Table], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for batch in (one for part in parts for one in part.to_batches(max_chunksize=10_000)):
            columns = {name: _own_values(name, batch) for name in batch.schema.names}
            rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
            stream.writelines(json_text(row) + "\n" for row in rows)


_WRITERS = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_lines}


def together(standings: Sequence[pa.Table]) -> pa.Table:
    """The standings of several programs in one table, by partner, category and program.

    A JSON column then has the parts of all programs; which are whose is kept beside it for `write_standings`.
    """
    if len(standings) == 1:
        return standings[0]
    rows = pa.concat_tables([_without_type(one) for one in standings], promote_options="permissive")
    order = [(name, "ascending") for name in ("partner_id", "category", "program")]
    own = {
        one.column("program")[0].as_py(): {name: _parts(one, name) for name in JSON_COLUMNS}
        for one in standings
        if one.num_rows
    }
    return rows.take(pc.sort_indices(rows, order)).replace_schema_metadata({OWN_PARTS: json.dumps(own)})


def _without_type(standings: pa.Table) -> pa.Table:
    """JSON columns that are empty text, because the program has no such parts, get the type of the others'."""
    for at, name in enumerate(standings.column_names):
        if name in JSON_COLUMNS and pa.types.is_string(standings.schema.field(name).type):
            standings = standings.set_column(at, name, pa.nulls(standings.num_rows))
    return standings


def _parts(standings: pa.Table, name: str) -> list[str]:
    kind = standings.schema.field(name).type
    return [field.name for field in kind] if pa.types.is_struct(kind) else []


OWN_PARTS = b"crmsync.own_parts"


def _own_values(name: str, batch: pa.RecordBatch) -> list[Any]:
    """The cells of a column; of a struct only what is the row's own: a part of its program, a split value it has."""
    plain: list[Any] = batch.column(name).to_pylist()
    kind = batch.schema.field(name).type
    if not pa.types.is_struct(kind):
        return plain
    own = json.loads((batch.schema.metadata or {}).get(OWN_PARTS, b"{}"))
    if own:
        known = {program: frozenset(parts[name]) for program, parts in own.items()}
        programs = batch.column("program").to_pylist()
        plain = [
            None if one is None or not known[program] else {key: one[key] for key in one if key in known[program]}
            for program, one in zip(programs, plain, strict=True)
        ]
    if name != "metrics" or not any(field.name.endswith("]") for field in kind):
        return plain
    return [
        None if one is None else {key: cell for key, cell in one.items() if cell is not None or not key.endswith("]")}
        for one in plain
    ]


def json_text(value: Any) -> str:
    """JSON without spaces; dates as ISO text, decimals as numbers."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)


def json_ready(value: Any) -> Any:
    """The same value in what JSON has: dates as ISO text, decimals as numbers."""
    return json.loads(json_text(value))


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value))


def read_standings(path: Path, columns: Sequence[str] = COLUMNS) -> pa.Table:
    """Columns of a standings file: texts, dates and `overridden` (whether any override was in force).

    Only flat columns are given back; of the JSON columns only `overrides` can be asked for.
    Errors: ConfigError when the file is missing, of another ending, lacks a column, or a cell cannot be read.
    """
    return _typed(path, _rows(path, columns), columns)


def read_nested(path: Path, columns: Sequence[str]) -> pa.Table:
    """The same, with `overrides` as a list of structs with a kind, and `state` as a struct. Errors: as above."""
    check_ending(path, "standings file")
    if path.suffix != ".parquet":
        return _nested(path, _rows(path, columns), columns)
    try:
        _check_columns(path, columns, pq.read_schema(path).names)
        return pq.read_table(path, columns=list(columns))
    except FileNotFoundError as error:
        raise ConfigError("no such file", file=str(path)) from error
    except pa.ArrowException as error:
        raise ConfigError(f"not a standings file: {error}", file=str(path)) from error


def _rows(path: Path, columns: Sequence[str]) -> Rows:
    check_ending(path, "standings file")
    try:
        return _READERS[path.suffix](path, columns)
    except FileNotFoundError as error:
        raise ConfigError("no such file", file=str(path)) from error
    except (UnicodeDecodeError, pa.ArrowException) as error:
        raise ConfigError(f"not a standings file: {error}", file=str(path)) from error


def _nested(path: Path, rows: Rows, columns: Sequence[str]) -> pa.Table:
    values: dict[str, list[Any]] = {name: [] for name in columns}
    for line, row in rows:
        for name in columns:
            if name == "overrides":
                kinds = _json_cell(path, line, name, row[name]) or []
                values[name].append([{"kind": _kind(path, line, one)} for one in kinds])
            elif name == "state":
                values[name].append(_json_cell(path, line, name, row[name]) or None)
            else:
                values[name].append(_cell(path, line, name, row[name]))
    types = {"overrides": pa.list_(pa.struct([("kind", pa.string())])), "state": None}
    try:
        return pa.table(
            {
                name: pa.array(values[name], types.get(name, pa.date32() if name in DATES else pa.string()))
                for name in columns
            }
        )
    except pa.ArrowException as error:
        raise ConfigError(f"not a standings file: {error}", file=str(path)) from error


def _json_cell(path: Path, line: int, name: str, value: Any) -> Any:
    return _json(path, line, name, value) if isinstance(value, str) else value


def _kind(path: Path, line: int, entry: Any) -> str | None:
    if not isinstance(entry, dict):
        raise ConfigError(f"overrides holds {entry!r}, not an override", file=str(path), line=line)
    kind = entry.get("kind")
    return None if kind is None else str(kind)


Rows = Iterable[tuple[int, Mapping[str, Any]]]
"""Line (or row) numbers from 1 and the cells of each."""


def _read_parquet(path: Path, columns: Sequence[str]) -> Rows:
    known = pq.read_schema(path).names
    _check_columns(path, columns, known)
    return enumerate(pq.read_table(path, columns=list(columns)).to_pylist(), 1)


def _read_csv(path: Path, columns: Sequence[str]) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        _check_columns(path, columns, reader.fieldnames or ())
        return [(reader.line_num, {name: row[name] or None for name in columns}) for row in reader]


def _read_lines(path: Path, columns: Sequence[str]) -> Rows:
    rows = []
    with path.open(encoding="utf-8") as stream:
        for line, text in enumerate(stream, 1):
            if text.strip():
                row = _json(path, line, "a row", text)
                _check_columns(path, columns, row if isinstance(row, dict) else ())
                rows.append((line, row))
    return rows


_READERS = {".parquet": _read_parquet, ".csv": _read_csv, ".jsonl": _read_lines}


def _check_columns(path: Path, wanted: Sequence[str], there: Iterable[str]) -> None:
    missing = [name for name in wanted if name not in set(there)]
    if missing:
        raise ConfigError(f"not a standings file: it has no column {', '.join(missing)}", file=str(path))


def _json(path: Path, line: int, what: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{what} is not JSON: {text.strip()[:80]!r}", file=str(path), line=line) from error


def _typed(path: Path, rows: Rows, columns: Sequence[str]) -> pa.Table:
    values: dict[str, list[Any]] = {name: [] for name in columns}
    for line, row in rows:
        for name in columns:
            values[name].append(_cell(path, line, name, row[name]))
    arrays: dict[str, pa.Array] = {}
    for name in columns:
        if name == "overrides":
            arrays["overridden"] = pa.array(values[name], pa.bool_())
        else:
            arrays[name] = pa.array(values[name], pa.date32() if name in DATES else pa.string())
    return pa.table(arrays)


def _cell(path: Path, line: int, name: str, value: Any) -> Any:
    if name == "overrides":
        return bool(_json(path, line, "overrides", value) if isinstance(value, str) else value)
    if name not in DATES:
        return None if value is None else str(value)
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ConfigError(f"{name} {value!r} is not a date like 2026-01-31", file=str(path), line=line) from error
