"""Who acts: the users that every org has, their profiles, and the user of the present call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crmsync.sandbox.ids import make_id

if TYPE_CHECKING:
    from crmsync.sandbox.org import Org

LEAST = "Minimum Access - API Only Integrations"
ADMINISTRATOR = "System Administrator"
STANDARD = "Standard User"
PROFILES = {LEAST: make_id("00e", 1), ADMINISTRATOR: make_id("00e", 2), STANDARD: make_id("00e", 3)}
INTEGRATION = make_id("005", 1)
_HIGH = 900_000_000_000  # the org's own people have numbers that no loaded user gets

_acting: ContextVar[str | None] = ContextVar("acting user", default=None)


@dataclass(frozen=True)
class Person:
    """A user that every org has beside the integration user."""

    id: str
    username: str
    first: str
    last: str
    alias: str
    profile: str
    title: str


PEOPLE = (
    Person(
        make_id("005", _HIGH + 1), "admin@crmsync.example", "Ada", "Admin", "aadmin", ADMINISTRATOR, "Administrator"
    ),
    Person(make_id("005", _HIGH + 2), "salesops@crmsync.example", "Sam", "Sales-Ops", "sops", STANDARD, "Sales Ops"),
    Person(
        make_id("005", _HIGH + 3), "manager@crmsync.example", "Max", "Manager", "mmanag", STANDARD, "Account Manager"
    ),
)
MANAGER = PEOPLE[2].id


def acting_id() -> str:
    """The user of the present call; the integration user where nobody called."""
    return _acting.get() or INTEGRATION


def caller() -> str | None:
    """The user of the present call; None where the org itself acts."""
    return _acting.get()


def act_as(user_id: str | None) -> None:
    """The rest of this call is this user's; None: nobody's, until a login says whose."""
    _acting.set(user_id)


@contextmanager
def acting_as(user_id: str) -> Iterator[None]:
    """What happens within is done by this user."""
    token = _acting.set(user_id)
    try:
        yield
    finally:
        _acting.reset(token)


def user_of(org: Org, username: str) -> tuple[str, bool] | None:
    """(id, active) of the user of that name in any case, or None."""
    row = org.store.reader().execute(
        'SELECT "Id", "IsActive" FROM "User" WHERE "Username" = ? COLLATE NOCASE', [username]
    ).fetchone()  # fmt: skip
    return (str(row[0]), bool(row[1])) if row else None
