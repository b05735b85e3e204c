"""Notices as tasks of the CRM. A task has a key, so that it can be read back: it is made exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crmsync.connectors.base import Into, ManyObjects, Target, Write, WritesSeveral
from crmsync.errors import AccessError, ConfigError, CrmsyncError, Deferred
from crmsync.notices.channels import Delivery, Ending
from crmsync.notices.outbox import Notice
from crmsync.writeback.fields import fitted

SUBJECT_LENGTH, TEXT_LENGTH = 255, 32_000
DUE_DAYS = 7


@dataclass(frozen=True)
class TaskChannel:
    """Where tasks go. `fields`: subject, due_on, why, owner -> field; `key`: the field that names a task; `partner`:
    the field that points at the account."""

    target: Target
    object: str
    key: str
    partner: str
    fields: Mapping[str, str]

    def send(self, notice: Notice, account: str | None, now: datetime) -> Delivery:
        """Make the task, unless it is there. `account`: the record id of the partner's account, where it is known."""
        into = self._into()
        key = task_key(notice)
        try:
            if key in into.read([key], [self.key]):
                return Delivery(Ending.SENT, "the task was there already")
            write = Write(key, self._values(notice, account, now), {})
            written = into.write_several([write])[0] if isinstance(into, WritesSeveral) else into.write_one(write)
        except (AccessError, Deferred) as fault:
            return Delivery(Ending.NOT_SENT, str(fault), down=True)
        except CrmsyncError as fault:  # no answer, or none that can be read: the next go looks the task up
            return Delivery(Ending.UNKNOWN, str(fault), down=True)
        if written.state == "applied":
            return Delivery(Ending.SENT)
        if written.state == "unknown":
            return Delivery(Ending.UNKNOWN, written.message)
        return Delivery(Ending.REFUSED, f"{written.code}: {written.message}")

    def present(self, notices: Sequence[Notice]) -> frozenset[str]:
        """Keys of those notices whose task is in the CRM."""
        keys = {task_key(one): one.notice_key for one in notices}
        found = self._into().read(list(keys), [self.key]) if keys else {}
        return frozenset(keys[key] for key in found)

    def _into(self) -> Target:
        if not isinstance(self.target, ManyObjects):
            raise ConfigError(
                "notices: owners are told `by: task`, but what is written to has no tasks; use `by: mail`"
            )
        return self.target.into(Into(self.object, self.key))

    def _values(self, notice: Notice, account: str | None, now: datetime) -> dict[str, str | None]:
        said = {
            "subject": fitted(notice.subject, SUBJECT_LENGTH),
            "why": fitted(notice.body, TEXT_LENGTH),
            "due_on": (now + timedelta(days=DUE_DAYS)).date().isoformat(),
            "owner": notice.recipient,
        }
        values: dict[str, str | None] = {self.fields[what]: text for what, text in said.items() if what in self.fields}
        return {self.partner: account, **values} if account else values


def task_key(notice: Notice) -> str:
    """The external key of the task of a notice."""
    return f"notice|{notice.notice_key}"
