"""One record that a plan writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """One record that is written. `values`: only the fields that differ; `expected`: what they hold now, and the
    stamps beside them (a field whose present value is not known is absent).

    `sink`: empty for the account itself; of a record beside it, the part of the field map that says where it goes, and
    `record_id` is then its key in `key_field` (None: its own id), and `account` the record id of the account.
    """

    record_id: str
    partner_id: str
    values: Mapping[str, str | None]
    expected: Mapping[str, str | None]
    why: str
    sink: str = ""
    object: str = ""
    key_field: str | None = None
    account: str = ""
