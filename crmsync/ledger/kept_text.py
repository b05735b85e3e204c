"""Text as both databases can hold it: PostgreSQL refuses a NUL, and neither driver can encode half a surrogate pair.

A CRM may answer with either. Were they not replaced, the outcome of such a record could never be noted, and each run
would stop at it again.
"""

from __future__ import annotations

import re

from sqlalchemy import Dialect, types

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
REPLACED = "\ufffd"


def storable(text: str) -> str:
    """The same text, with U+FFFD for each character that no database takes."""
    return UNSTORABLE.sub(REPLACED, text)


class Text(types.TypeDecorator[str]):
    """A TEXT column whose values are made storable on their way in."""

    impl = types.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """What is sent to the database."""
        return None if value is None else storable(value)
