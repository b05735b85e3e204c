"""Who approves in the shell: a person by name, never the login of a container."""

from __future__ import annotations

import getpass

from crmsync.errors import ConfigError

NOT_A_PERSON = frozenset({"root", "nobody", "daemon", "app", "crmsync", "ubuntu", "admin", "administrator"})
"""Logins that name no person: an approval binds somebody by name."""


def named(by: str | None) -> str:
    """Who approves: as given, else who is logged in. Errors: ConfigError where there is no name of a person."""
    if by is not None:
        if not by.strip():
            raise ConfigError("an approval needs the name of a person; give it with --by")
        return by.strip()
    found = login()
    if not found or found.lower() in NOT_A_PERSON:
        raise ConfigError(f"the login {found or 'here'!r} names no person; give the name of who approves with --by")
    return found


def login() -> str:
    """Who is logged in; empty in a container whose user has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
