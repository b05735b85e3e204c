"""What a CRM must be able to hold for write-back: values by key, with the words that explain them to its users.

Plain of any vendor: a connector turns these into fields of its own. The texts and sizes come from the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Shape(StrEnum):
    """What a field holds."""

    TEXT = "text"
    LONG_TEXT = "long text"
    KEY = "key"  # text that names one record: unique, with regard to case
    CHOICE = "choice"
    CHOICES = "choices"
    NUMBER = "number"
    PERCENT = "percent"
    MONEY = "money"
    DATE = "date"
    YES_NO = "yes or no"
    PARTNER = "partner"  # points at the account; the record belongs to it
    ACCOUNT = "account"  # points at an account, loosely
    USER = "user"

    @property
    def points(self) -> bool:
        """Whether it is the id of another record."""
        return self in (Shape.PARTNER, Shape.ACCOUNT, Shape.USER)


@dataclass(frozen=True)
class Choice:
    """One value of a choice and the label that people see."""

    value: str
    label: str


@dataclass(frozen=True)
class Said:
    """One value: its shape and the sentence that a user of the CRM reads beside it.

    `length`: characters of a new field; `least`: what a present one must hold; `whole`, `decimals`: digits of a
    number; `restricted`: no other choice may be stored.
    """

    shape: Shape
    help: str
    length: int = 0
    least: int = 0
    whole: int = 0
    decimals: int = 0
    choices: tuple[Choice, ...] = ()
    restricted: bool = True


@dataclass(frozen=True)
class Dictionary:
    """Every value that write-back knows, by its key of the field map."""

    account: Mapping[str, Said]
    token: Said
    last_error: Said
    people: Mapping[str, Said]
    partner_safe: Mapping[str, Said]
    standings: Mapping[str, Said]
    history: Mapping[str, Said]
    overrides: Mapping[str, Said]
    partner: Said
    key: Said
    badges: Said
    plan_record: Mapping[str, Said] = field(default_factory=dict)
    run_record: Mapping[str, Said] = field(default_factory=dict)
    objects: Mapping[str, str] = field(default_factory=dict)  # standings, … -> what a record of it says
