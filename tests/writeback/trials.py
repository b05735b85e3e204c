"""A trial: the same accounts of a sandbox org get new values, by processes that may be killed anywhere.

`World` is the org and a connector that has described it; `work` is what one process does; `trial_checks.py` says
afterwards what went wrong.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import requests

from crmsync.connectors.base import Into
from crmsync.connectors.mapping import read_mapping
from crmsync.connectors.mapping_sinks import ChildMap
from crmsync.connectors.salesforce.connector import SalesforceConnector
from crmsync.ledger.accepted import accept_standings, newest_standings
from crmsync.ledger.ledger import Ledger
from crmsync.settings import SalesforceSettings
from crmsync.writeback.apply import apply_plan, settle_open_intents, verify_plan
from crmsync.writeback.changes import Change
from crmsync.writeback.fields import FieldMap, Sink
from crmsync.writeback.last_error import tell_last_errors
from crmsync.writeback.plan import Basis, Plan, sealed
from crmsync.writeback.planfile import load_plan, save_plan
from tests.databases import opened_again

FIELD_MAP = Path(__file__).parent.parent.parent / "config" / "connectors" / "salesforce.yaml"
AS_OF = date(2026, 11, 21)
ACCOUNTS = 3
REFUSED = "FIELD_CUSTOM_VALIDATION_EXCEPTION", "closed by finance"


def short(seconds: float) -> None:
    """A pause, cut short: the org answers at once."""
    time.sleep(min(seconds, 0.02))


def a_sink(name: str, child: ChildMap) -> Sink:
    fields = {what: place.text for what, place in child.fields.items()}
    return Sink(name, child.object.text, child.key.text, child.partner.text, fields)


@dataclass
class World:
    """The org, and a connector that has described it before the first fork."""

    url: str
    token: str
    connector: SalesforceConnector
    fields: FieldMap
    accounts: list[str] = field(default_factory=list)
    door: requests.Session = field(default_factory=requests.Session)

    @classmethod
    def of(cls, url: str, token: str, folder: Path) -> World:
        settings = SalesforceSettings(instance_url=url, access_token=token)  # type: ignore[arg-type]
        connector = SalesforceConnector(settings, read_mapping(FIELD_MAP), folder / "tmp")
        writes = connector.mapping.writes
        assert writes is not None
        assert writes.standings is not None
        assert writes.history is not None
        assert writes.last_error is not None
        names = {key: place.text for key, place in writes.fields.items()}
        sinks = (a_sink("standings", writes.standings), a_sink("history", writes.history))
        fields = FieldMap(writes.object.text, names, writes.token.text, sinks, writes.last_error.text).plain()
        world = cls(url, token, connector, fields)
        world.door.headers["Authorization"] = f"Bearer {token}"
        soql = f"SELECT Id FROM Account ORDER BY Id LIMIT {ACCOUNTS}"
        world.accounts = [row["Id"] for row in connector.org.query(soql)["records"]]
        connector.read(world.accounts, [world.text])
        connector.identity()
        for sink in world.fields.sinks:
            assert connector.into(Into(sink.object, sink.key)).fields.key
        connector.org.session.close()
        world.ask("PUT", "effects", {"changes": [world.error]})
        return world

    @property
    def text(self) -> str:
        return self.fields.fields["main_blocker"]

    @property
    def error(self) -> str:
        assert self.fields.last_error is not None
        return self.fields.last_error

    @property
    def objects(self) -> list[str]:
        """In the order in which they are written."""
        return [self.fields.object, *(sink.object for sink in self.fields.sinks)]

    def sink(self, name: str) -> Sink:
        found = self.fields.sink(name)
        assert found is not None
        return found

    def target(self, bulk: str) -> SalesforceConnector:
        """The connector, which writes by jobs the accounts, what stands beside them, or nothing."""
        self.connector.bulk_from = 1 if bulk == "accounts" else None
        self.connector.beside_bulk_from = 1 if bulk == "beside" else None
        self.connector.org.session.close()  # no socket is shared with the parent
        return self.connector

    def ask(self, method: str, door: str, body: Any = None) -> Any:
        answer = self.door.request(method, f"{self.url}/__sandbox/{door}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def quiet(self) -> None:
        """Wait until the calls of who has died have had their effect: the next one starts at once, where a machine
        that starts it again takes a while. What comes later still is told in docs/writes.md."""
        idle = 0
        while idle < 2:
            idle = 0 if self.ask("GET", "effects?object=-")["running"] else idle + 1

    def held(self, *names: str) -> Mapping[str, Mapping[str, str | None]]:
        """What the accounts hold now."""
        return self.connector.read(self.accounts, list(names))


@dataclass
class Trial:
    """New values for the accounts, named by `text`. `bulk`: accounts, beside, or empty; `stop`: what the org does to
    jobs; `refused`: an account that the org refuses; `told`: one that says so since an earlier trial."""

    text: str
    state: Path
    bulk: str
    stop: dict[str, Any] | None = None
    replans: bool = False  # from some child on, each drafts what is still wanted instead of continuing the plan
    url: str | None = None  # of the ledger, where it is no file of the state folder
    refused: str | None = None
    told: str | None = None

    @property
    def run(self) -> str:
        return f"run-{self.text}-"

    @property
    def faults(self) -> list[dict[str, Any]]:
        """What the org does wrong. It refuses the account as accounts are written, not what is told on it after that:
        that is written by collections."""
        code, message = REFUSED
        rows = {"ids": [self.refused], "code": code, "message": message}
        paths = ("/sobjects/{object}/{id}", "/jobs/ingest/{job}") if self.refused else ()
        refuse = [{"method": "PATCH", "path": path, "nth": "every", "do": {"rows": rows}} for path in paths]
        return [*([self.stop] if self.stop else []), *refuse]

    def open(self, *, exclusive: bool = True) -> Ledger:
        """The ledger; the process that held it may have been killed a moment ago."""
        return opened_again(lambda: Ledger.open(self.state, exclusive=exclusive, url=self.url))


# --- what one process does


def work(world: World, trial: Trial, digest: str | None) -> None:
    """Settle, (draft,) apply, verify, tell the accounts why, accept: as a run does."""
    with trial.open() as ledger:
        target = world.target(trial.bulk)
        settle_open_intents(ledger, target, pause=short)
        plan = load_plan(digest, ledger.state_dir) if digest else drafted(world, trial, ledger)
        outcomes = apply_plan(plan, target, ledger, pause=short)
        outcomes = verify_plan(plan, target, ledger, outcomes)
        tell_last_errors(plan, target, ledger)
        problems = [(one.record_id, one.state, one.code, one.message) for one in outcomes.problems]
        assert problems == ([(trial.refused, "parked", *REFUSED)] if trial.refused else []), outcomes
        if not is_accepted(trial, ledger):
            accept_standings(ledger, plan.run_id, AS_OF, trial.state / "standings")


def is_accepted(trial: Trial, ledger: Ledger) -> bool:
    newest = newest_standings(ledger)
    return newest is not None and newest.run_id.startswith(trial.run)


def drafted(world: World, trial: Trial, ledger: Ledger) -> Plan:
    """The plan of what is still wanted, saved."""
    token = world.fields.token or ""
    now = world.target(trial.bulk).read(world.accounts, [world.text, token])
    changes = tuple(
        Change(one, one, {world.text: trial.text}, dict(now[one]), "test")
        for one in world.accounts
        if now[one][world.text] != trial.text
    )
    beside = [*standings(world, trial), *([] if is_accepted(trial, ledger) else history(world, trial))]
    run_id = f"{trial.run}{os.getpid()}-{random.randrange(10**9)}"
    basis = Basis("channel", "p" * 64, "c" * 64, "s" * 64, "d" * 64, {"partners": len(changes)})
    plan = sealed(Plan("", run_id, "", AS_OF, basis, world.fields, ACCOUNTS, changes, (), (), (), tuple(beside)))
    save_plan(plan, ledger)
    return plan


def keys_of(world: World, trial: Trial) -> dict[str, str]:
    """Key of the standing of each account: every second is there from the trial before, the others are made."""
    return {one: f"std|{one}" if place % 2 else f"{trial.text}|{one}" for place, one in enumerate(world.accounts)}


def standings(world: World, trial: Trial) -> Iterator[Change]:
    sink, keys = world.sink("standings"), keys_of(world, trial)
    category, program = sink.fields["category"], sink.fields["program"]
    now = world.connector.into(Into(sink.object, sink.key)).read(list(keys.values()), [category])
    for account, key in keys.items():
        held = now.get(key)
        if held is not None and held[category] != trial.text:
            yield Change(key, account, {category: trial.text}, dict(held), "test", sink.name, sink.object, sink.key)
        elif held is None:
            values = {str(sink.partner): account, program: "Channel", category: trial.text}
            yield Change(key, account, values, {}, "test", sink.name, sink.object, sink.key)


def history(world: World, trial: Trial) -> Iterator[Change]:
    sink = world.sink("history")
    for account in world.accounts:
        values = {str(sink.partner): account, sink.fields["program"]: "Channel", sink.fields["category"]: trial.text}
        yield Change(f"h-{trial.text}|{account}", account, values, {}, "test", sink.name, sink.object, sink.key)
