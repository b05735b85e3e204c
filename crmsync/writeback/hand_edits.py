"""Hand edits: computed fields that no longer hold what was written last. Pure: values in, verdicts out.

The worker owns its computed fields, on accounts and on the records beside them, but no edit of a person is overwritten
unseen: in the run that finds it, the field is left alone and people are told. What then becomes of it is a policy per
field. `restore`: the next run writes it again. `freeze`: it is left alone while it holds that value. `adopt` (the
account's granted tier): it counts as an override until a day. An edit that is taken back, or edited once more, is
closed (`gone`); the new one is a conflict of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Literal

from crmsync.configuration_conflicts import Conflicts
from crmsync.programs.program import Program
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap, account_of, normalised, same
from crmsync.writeback.wording import Standing

Outcome = Literal["waits", "restored", "frozen", "adopted", "gone"]


@dataclass(frozen=True)
class HandEdit:
    """One edited field. `ours`: written last; `found`: what it holds; `outcome`: what this plan does about it.

    Of an adopted one: `category` and `tier` (keys) of the override it is, and its last day as ISO text.
    """

    conflict_id: str
    record_id: str
    partner_id: str
    object: str
    field: str
    ours: str | None
    found: str | None
    policy: str
    outcome: Outcome
    until: str | None = None
    category: str | None = None
    tier: str | None = None


@dataclass(frozen=True)
class LastWritten:
    """What the worker wrote last into a field, and the token it wrote with."""

    value: str | None
    token: str


@dataclass(frozen=True)
class KnownEdit:
    """An edit that an earlier run found and that is not closed. `told`: people know of it."""

    conflict_id: str
    record_id: str
    partner_id: str
    object: str
    field: str
    ours: str | None
    found: str | None
    policy: str
    told: bool
    until: date | None = None


def nothing_written(_records: Collection[str]) -> dict[str, dict[str, LastWritten]]:
    """Of an empty ledger: no field was ever written."""
    return {}


@dataclass(frozen=True)
class Watch:
    """What is known of earlier writes. `written`: record ids -> record -> field; `known`: edits that are still open;
    `fields`: those that the last accepted plan looked after, as `watched_name` names them."""

    rules: Conflicts = field(default_factory=Conflicts)
    written: Callable[[Collection[str]], Mapping[str, Mapping[str, LastWritten]]] = nothing_written
    known: Sequence[KnownEdit] = ()
    fields: Collection[str] = ()


def watched_name(sink: str, name: str) -> str:
    """How a field is noted as looked after: one of the account by its name, one beside it with its sink before it."""
    return f"{sink}.{name}" if sink else name


def watched_names(fields: FieldMap) -> frozenset[str]:
    """Every field that a plan with this field map looks after."""
    beside = {watched_name(sink.name, name) for sink in fields.sinks for name in sink.fields.values()}
    return frozenset({*fields.fields.values(), *beside})


EMPTY_FROM_THE_START = LastWritten(None, "")
"""Of a field that was looked after, of a record that was written, but was right as it stood: nothing."""

Held = Callable[[str], Mapping[str, Mapping[str, str | None]] | None]
"""Sink (empty: the account) -> record id -> what it holds now; None where that is not known."""


@dataclass(frozen=True)
class Judging:
    """What a verdict takes beside the watch. `left_alone`: partners of whom nothing is known this time."""

    program: Program
    fields: FieldMap
    as_of: date
    partners: Mapping[str, Sequence[Standing]]
    left_alone: Collection[str] = ()

    def keys(self, sink: str) -> dict[str, str]:
        """Field of the CRM -> key of what is computed for it, of one kind of record."""
        return self._keys.get(sink, {})

    @cached_property
    def _keys(self) -> dict[str, dict[str, str]]:
        maps = {"": self.fields.fields, **{sink.name: sink.fields for sink in self.fields.sinks}}
        return {sink: {name: key for key, name in of.items()} for sink, of in maps.items()}

    def sink_of(self, known: KnownEdit) -> str | None:
        """Which kind of record an edit was found on; None where the field map does not write it any more."""
        if known.object == self.fields.object:
            return ""
        return next((sink.name for sink in self.fields.sinks if sink.object == known.object), None)


def apart(
    watch: Watch, judging: Judging, changes: Sequence[Change], held: Held
) -> tuple[tuple[Change, ...], tuple[HandEdit, ...]]:
    """The changes without the fields that are left alone, and every edit with what becomes of it.

    Only records that would be changed are looked at, and those of open edits, so it costs as much as there is to do.
    """
    written = watch.written([change.record_id for change in changes if change.expected])
    open_edits = {(known.record_id, known.field): known for known in watch.known}
    kept: list[Change] = []
    edits: list[HandEdit] = []
    for change in changes:
        found = list(_edits(watch, judging, change, written.get(change.record_id, {}), open_edits))
        edits += found
        left_alone = {edit.field for edit in found if edit.outcome != "restored"}
        if remaining := _without(change, left_alone):
            kept.append(remaining)
    seen = {edit.conflict_id for edit in edits}
    edits += [edit for edit in _others(judging, watch.known, held) if edit.conflict_id not in seen]
    return tuple(kept), tuple(edits)


def _edits(
    watch: Watch,
    judging: Judging,
    change: Change,
    written: Mapping[str, LastWritten],
    open_edits: Mapping[tuple[str, str], KnownEdit],
) -> Iterator[HandEdit]:
    keys = judging.keys(change.sink)
    for name in change.values:
        last = _last(watch, change, name, written)
        if last is None or name not in change.expected or name not in keys:
            continue
        key, found = keys[name], change.expected[name]
        if same(normalised(key, found), normalised(key, last.value)):
            continue
        edit, known = _new(watch.rules, judging, change, name, key, last), open_edits.get((change.record_id, name))
        if known is not None and same(known.found, found) and known.policy == edit.policy:
            yield _handled(judging, known)
        else:  # under another rule than it was found it is judged anew; what was known of it is closed
            yield edit


def _last(watch: Watch, change: Change, name: str, written: Mapping[str, LastWritten]) -> LastWritten | None:
    """What was written last; None where it was never ours to write, so that what stands there is nobody's edit."""
    if name in written or not written:
        return written.get(name)
    return EMPTY_FROM_THE_START if watched_name(change.sink, name) in watch.fields else None


def _new(rules: Conflicts, judging: Judging, change: Change, name: str, key: str, last: LastWritten) -> HandEdit:
    """An edit that no run has seen: it is left alone now, whatever its policy.

    The day and the rule are part of its id: the same edit, taken back and made again, is one of its own.
    """
    found, policy = change.expected[name], rules.policy_of(key)
    text = "\x1f".join((change.record_id, name, last.token, judging.as_of.isoformat(), policy, found or ""))
    edit = HandEdit(
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32], change.record_id, change.partner_id,
        change.object or judging.fields.object, name, last.value, found, policy, "waits",
    )  # fmt: skip
    if edit.policy == "freeze":
        return replace(edit, outcome="frozen")
    if edit.policy != "adopt":
        return edit
    category, tier = (None, None) if change.sink else _tier_meant(judging, change.partner_id, found)
    if tier is None:  # no tier of the program has that name, or it stands beside the account: nothing to adopt
        return replace(edit, policy="restore")
    until = (judging.as_of + timedelta(days=rules.adopt_for_days)).isoformat()
    return replace(edit, outcome="adopted", until=until, category=category, tier=tier)


def _handled(judging: Judging, known: KnownEdit) -> HandEdit:
    """An edit of an earlier run that is still there."""
    if known.policy == "freeze":
        return _told_of(known, "frozen")
    if _is_adopted(judging, known):
        return _told_of(known, "adopted")
    return _told_of(known, "restored" if known.told else "waits")


def _told_of(known: KnownEdit, outcome: Outcome) -> HandEdit:
    return HandEdit(
        known.conflict_id, known.record_id, known.partner_id, known.object, known.field, known.ours, known.found,
        known.policy, outcome, None if known.until is None else known.until.isoformat(),
    )  # fmt: skip


def _is_adopted(judging: Judging, known: KnownEdit) -> bool:
    return known.policy == "adopt" and known.until is not None and judging.as_of <= known.until


def _others(judging: Judging, known: Iterable[KnownEdit], held: Held) -> Iterator[HandEdit]:
    """Open edits of fields that this plan would not write: they hold what we want, were edited anew, or taken back; or
    their record is gone, or nobody writes the field any more."""
    for one in known:
        sink = judging.sink_of(one)
        if sink is None or one.field not in judging.keys(sink):
            yield _told_of(one, "gone")
            continue
        records = held(sink)
        if records is None or one.partner_id in judging.left_alone:
            continue  # not read this time: nothing is known of it
        now = records.get(one.record_id)
        if now is not None and one.field not in now:
            continue
        stays = now is not None and _is_adopted(judging, one) and same(now[one.field], one.found)
        yield _told_of(one, "adopted" if stays else "gone")


def _tier_meant(judging: Judging, partner_id: str, found: str | None) -> tuple[str | None, str | None]:
    """Category (None in a program without) and key of the tier whose label or key somebody wrote onto the account."""
    rows = judging.partners.get(partner_id)
    if not rows or not found:
        return None, None
    category = account_of(judging.program, rows).headline["category"].partition("/")[0]
    tiers = judging.program.ladder_of(category).tiers
    key = next((tier.key for tier in tiers if found.strip() in (tier.label, tier.key)), None)
    return (category if judging.program.categories else None), key


def _without(change: Change, names: Collection[str]) -> Change | None:
    if not names:
        return change
    values = {name: value for name, value in change.values.items() if name not in names}
    if not values:
        return None
    expected = {name: value for name, value in change.expected.items() if name not in names}
    return replace(
        change, values=values, expected=expected, why=f"{change.why}; left alone: {', '.join(sorted(names))}"
    )
