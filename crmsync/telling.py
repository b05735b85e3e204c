"""The last stage of the belt: people are told what a run has changed and what is about to end.

Nothing here decides on tiers or writes them. Whatever dies between finding and sending is found again by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import structlog

from crmsync import errors
from crmsync.belt import Belt, program_of
from crmsync.configuration import Configuration
from crmsync.configuration_notices import MAIL, OPERATOR, OWNER, PARTNER, SALES_OPS, TASK, NoticeRules
from crmsync.connectors.mapping_sinks import NOTICE_TASK
from crmsync.errors import ConfigError
from crmsync.failpoints import hit
from crmsync.ledger.chain import anchor
from crmsync.ledger.conflicts import record_told, untold_conflicts
from crmsync.ledger.ledger import Ledger
from crmsync.logs import shown
from crmsync.notices import events as e
from crmsync.notices import outbox as o
from crmsync.notices.channels import Channels, is_address, open_channels
from crmsync.notices.digests import digests_of
from crmsync.notices.drafting import ONCE, Drafting, draft_notices, redraft_notices
from crmsync.notices.events import Event
from crmsync.notices.facts import (
    attributes_of,
    begin_telling,
    label_of,
    lapsing_certificates,
    newest_link,
    rows_of_partners,
    rows_that_end,
    tier_moves,
    unwritten_partners,
    written_by,
)
from crmsync.notices.people import PARTNERS, Suppressed, check_columns, read_people, read_suppressed
from crmsync.notices.sending import Sending, Sent, send_due, settle_lost
from crmsync.notices.tasks import TaskChannel
from crmsync.notices.templates import Templates, open_notice_templates
from crmsync.notices.waiting import OF_RUNS, held_back, let_go_of_moved, let_go_of_past, let_go_of_plans, waiting_of
from crmsync.programs.program import Program
from crmsync.settings import Settings
from crmsync.snapshots import Snapshot
from crmsync.writeback.fields import FieldMap
from crmsync.writeback.plan import Plan

log = structlog.get_logger()


def now_in_utc() -> datetime:
    """This moment."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Told:
    """What telling did. `new`: notices that were drafted; `nobody`: by audience, partners without anybody to tell."""

    new: int
    sent: Sent
    nobody: dict[str, int]


@dataclass(frozen=True)
class Teller:
    """Rules, texts and channels, all checked. Make it with `open_teller`."""

    ledger: Ledger
    configuration: Configuration
    settings: Settings
    rules: NoticeRules
    templates: Templates
    channels: Channels
    suppressed: Suppressed
    tasks: TaskChannel | None
    clock: Callable[[], datetime] = now_in_utc
    tier_field: str | None = None  # of the account: the field that holds the granted tier
    account: str | None = None  # the object of accounts

    def ready(self, snapshot: Snapshot) -> None:
        """Refuse rules that name columns which the snapshot does not have, before anything is written."""
        file = snapshot.tables.get(PARTNERS)
        check_columns(self.rules, tuple(file.columns) if file else ())

    # --- a run

    def tell(
        self,
        run_id: str,
        as_of: date,
        program: Program,
        standings: pa.Table,
        snapshot: Snapshot | None,
        without_account: Collection[str] = (),
    ) -> Told:
        """Tell what a run has changed. `snapshot`: None where it is not kept any more; the next run tells the rest.
        `without_account`: partners who have no record to write a tier onto."""
        self._settle(run_id, as_of)
        let_go_of_plans(self.ledger, None)
        found = self._found(run_id, as_of, program, standings, snapshot, without_account)
        partners = self._partners(found)
        people = None
        if snapshot is not None:
            waiting = waiting_of(self.ledger, OF_RUNS)
            people = read_people(self.rules, snapshot, partners, {one.partner_id or "" for one in waiting})
            let_go_of_moved(self.ledger, people, waiting)
        link = newest_link(self.ledger)
        drafting = replace(
            self._drafting(run_id, as_of, link, label_of(program)),
            program=program,
            intents=written_by(self.ledger, partners),
            attributes=attributes_of(snapshot, program, partners) if snapshot is not None else {},
        )
        drafting = drafting if people is None else replace(drafting, people=people)
        o.renew_texts(self.ledger, redraft_notices(drafting, found, lambda keys: o.changeable_keys(self.ledger, keys)))
        new = self._add(drafting, found, link)
        record_told(self.ledger, [event.period for event in found if event.name == e.CONFLICT])
        sent = self._send(run_id, label_of(program), link)
        return Told(new, sent, dict(people.unknown) if people is not None else {})

    def _found(
        self,
        run_id: str,
        as_of: date,
        program: Program,
        standings: pa.Table,
        snapshot: Snapshot | None,
        without_account: Collection[str],
    ) -> list[Event]:
        ledger, leads = self.ledger, self.rules.lead_days
        moves = tier_moves(ledger, program.key, as_of, run_id)
        rows = rows_of_partners(standings, program.key, {move.partner_id for move in moves})
        held = {(row["partner_id"], row["category"]): row for row in rows}
        ending = rows_that_end(standings, program.key)
        lasting: list[Event] = [
            *e.falling_events(program, ending, as_of, leads),
            *e.override_events(program, ending, as_of, leads),
        ]
        if snapshot is not None:
            lapsing = lapsing_certificates(snapshot, as_of, max(leads))
            lasting += e.certificate_events(lapsing, as_of, leads)
        true_now = [*e.tier_events(program, moves, held), *lasting]
        read = set(standings.column("partner_id").unique().to_pylist())
        let_go_of_past(ledger, read, true_now, with_certificates=snapshot is not None)
        # Without its snapshot an owner could not be found, and an edit that counts as told is written again.
        conflicts = [e.conflict_event(one) for one in untold_conflicts(ledger)] if snapshot is not None else []
        return [*e.written_only(true_now, self._unwritten | frozenset(without_account)), *conflicts]

    @property
    def _unwritten(self) -> frozenset[str]:
        return unwritten_partners(self.ledger, self.tier_field, self.account)

    def _partners(self, events: Iterable[Event]) -> set[str]:
        return {event.partner_id for event in events if event.partner_id is not None}

    # --- other moments

    def tell_blocked(self, run_id: str, plan: Plan) -> Told:
        """Tell that a plan waits for a person."""
        let_go_of_plans(self.ledger, plan.digest)
        guards = [
            {"guard": one.guard, "value": one.value, "limit": one.limit, "way_out": one.way_out}
            for one in plan.guards
            if one.tripped
        ]
        return self._tell_one(run_id, plan.as_of, e.guard_event(plan.digest, plan.writes, len(plan.movers), guards))

    def tell_failed(self, run_id: str, error: BaseException, exit_code: int) -> Told:
        """Tell that a run failed; once a day of each kind."""
        today = self.clock().astimezone(self.configuration.zone).date()
        event = e.failure_event(_kind_of(error), shown(str(error)), exit_code, today)
        return self._tell_one(run_id, today, event)

    def tell_due(self, run_id: str) -> Told:
        """Send what may go now: after a night, an approval, a week. No run is needed for it."""
        today = self.clock().astimezone(self.configuration.zone).date()
        self._settle(run_id, today)
        link = newest_link(self.ledger)
        return Told(0, self._send(run_id, self._label(), link), {})

    def _tell_one(self, run_id: str, as_of: date, event: Event) -> Told:
        self._settle(run_id, as_of)
        link = newest_link(self.ledger)
        new = self._add(self._drafting(run_id, as_of, link), [event], link)
        return Told(new, self._send(run_id, self._label(), link), {})

    # --- steps

    def _label(self) -> str:
        """How people call the program; its file where it cannot be read just now."""
        try:
            return label_of(program_of(self.configuration))
        except ConfigError:
            return self.configuration.program.stem

    def _drafting(self, run_id: str, as_of: date, link: str, label: str | None = None) -> Drafting:
        return Drafting(
            self.rules, self.templates, self.channels, None, label or self._label(), as_of, run_id, link,
            suppressed=self.suppressed,
        )  # fmt: skip

    def _settle(self, run_id: str, as_of: date) -> None:
        """Find out what became of what was leaving when a process died, and tell the operator what nobody knows."""
        settle_lost(self._sending)
        o.expire_held(self.ledger, self.clock(), self.rules.hold_days)
        unsure = [one for one in o.notices_in(self.ledger, o.UNKNOWN) if one.event != e.NOTICE_UNKNOWN]
        said = {place for one in o.notices_of(self.ledger, e.NOTICE_UNKNOWN) for place in e.places_of(one.period)}
        unsure = [one for one in unsure if e.place_of(one.reference, one.attempts) not in said]
        if unsure:
            listed = [
                {"key": one.reference, "event": one.event, "audience": one.audience, "channel": one.channel,
                 "reference": one.reference, "place": e.place_of(one.reference, one.attempts)}
                for one in unsure
            ]  # fmt: skip
            link = newest_link(self.ledger)
            self._add(self._drafting(run_id, as_of, link), [e.unknown_event(listed)], link)

    def _add(self, drafting: Drafting, found: Iterable[Event], link: str) -> int:
        """Render everything, then put it into the outbox. Returns how many notices are new."""
        events = list(found)
        notices = draft_notices(
            drafting,
            events,
            lambda keys: o.known_keys(self.ledger, keys),
            lambda partners: o.told_already(self.ledger, partners, ONCE),
        )
        new = o.add_notices(self.ledger, notices)
        hit("notices_drafted")
        if link and any(one.audience != PARTNER for one in notices):
            anchor(self.ledger, "notice")  # their footers hold it
        return new

    def _send(self, run_id: str, label: str, link: str) -> Sent:
        ledger, now = self.ledger, self.clock()
        sending = self._sending
        collected = [
            one for one in o.notices_in(ledger, o.COLLECTED) if not held_back(one, self.rules, sending.unwritten)
        ]
        for parts in digests_of(collected, self.rules, self.templates, now, run_id, label, link):
            o.bundle(ledger, parts)
        sent = send_due(sending, now)
        o.forget(ledger, now - timedelta(days=self.rules.keep_days))
        log.info("notices_told", sent=sent.sent, later=sent.later, refused=sent.refused, unknown=sent.unknown)
        return sent

    @property
    def _sending(self) -> Sending:
        return Sending(
            self.ledger, self.rules, self.channels, self.templates.speeches, self.suppressed, self.tasks,
            self.settings.notices.timeout_s, self._unwritten,
        )  # fmt: skip


def _kind_of(error: BaseException) -> str:
    """What the operator does next, as errors.py sorts it: `AccessError`, `Retriable`, …"""
    kinds = (kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return next(kinds, type(error)).__name__


# --- opening


def open_teller(belt: Belt) -> Teller | None:
    """Everything that telling needs, checked before a run begins; None where notices are off.

    Errors: ConfigError for a template, a setting, or a list that cannot be used.
    """
    rules = belt.configuration.notices
    if rules is None:
        return None
    tasks = _tasks(belt) if TASK in _ways(rules) else None
    begin_telling(belt.ledger)
    teller = _teller(rules, belt.ledger, belt.configuration, belt.settings, belt.fields, tasks)
    return replace(teller, tier_field=belt.fields.fields.get("granted_tier"), account=belt.fields.object)


def open_teller_alone(ledger: Ledger, configuration: Configuration, settings: Settings) -> Teller | None:
    """The same where the org cannot be reached: enough to tell that, but no tasks. Errors: ConfigError."""
    rules = configuration.notices
    return None if rules is None else _teller(rules, ledger, configuration, settings, None, None)


def _teller(
    rules: NoticeRules,
    ledger: Ledger,
    configuration: Configuration,
    settings: Settings,
    fields: FieldMap | None,
    tasks: TaskChannel | None,
) -> Teller:
    templates, channels, suppressed = open_rules(rules, settings, fields)
    return Teller(ledger, configuration, settings, rules, templates, channels, suppressed, tasks)


def open_rules(
    rules: NoticeRules, settings: Settings, fields: FieldMap | None
) -> tuple[Templates, Channels, Suppressed]:
    """Texts, places and the suppression list, checked. `fields`: where tasks go, None where it is not known.

    Errors: ConfigError, naming the file and line or the variable.
    """
    templates = open_notice_templates(rules.templates)
    _check_locales(rules, templates)
    channels = open_channels(settings.notices)
    _check_places(rules, channels)
    if TASK in _ways(rules) and fields is not None and fields.sink(NOTICE_TASK) is None:
        raise ConfigError(
            "owners are told `by: task`, but the field map has no `sinks: notice_task: {key: …}` below `writes:`",
            file=rules.file, line=rules.line,
        )  # fmt: skip
    return templates, channels, read_suppressed(rules.suppressed)


def _check_locales(rules: NoticeRules, templates: Templates) -> None:
    for locale in {rules.locale, *(one.locale for one in rules.audiences.values() if one.locale)}:
        if locale not in templates.speeches:
            known = ", ".join(sorted(templates.speeches))
            raise ConfigError(
                f"there are no templates for the locale {locale}, only for {known}", file=rules.file, line=rules.line
            )


def _ways(rules: NoticeRules) -> Collection[str]:
    return {one.by for name, one in rules.audiences.items() if name in (PARTNER, OWNER)}


def _check_places(rules: NoticeRules, channels: Channels) -> None:
    needed: list[tuple[str, bool, str]] = [
        ("mail", MAIL not in _ways(rules) or channels.mail is not None, "partners or owners are told by mail"),
        (SALES_OPS, SALES_OPS not in rules.audiences or bool(channels.sales_ops), "sales ops is told"),
        (OPERATOR, OPERATOR not in rules.audiences or bool(channels.operator), "the operator is told"),
    ]
    for name, present, what in needed:
        if not present:
            raise ConfigError(
                f"{what}, but CRMSYNC_NOTICES__{name.upper()} is not set", file=rules.file, line=rules.line
            )
    if channels.mail is not None and not is_address(str(channels.mail.plugin.from_addr[1])):
        raise ConfigError("environment variable CRMSYNC_NOTICES__MAIL: it names no sender; add ?from=name@example.com")


def _tasks(belt: Belt) -> TaskChannel | None:
    """Where tasks go, by the field map; None where it does not say."""
    sink = belt.fields.sink(NOTICE_TASK)
    if sink is None or sink.key is None or sink.partner is None:
        return None
    return TaskChannel(belt.target, sink.object, sink.key, sink.partner, sink.fields)
