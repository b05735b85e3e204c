"""One org: its schema, store, clock, users and counters. Every door works on this."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfoNotFoundError

from crmsync.sandbox.allowance import REQUESTS, Allowance
from crmsync.sandbox.clock import Clock
from crmsync.sandbox.deriving import STAGES, Deriving, Stage
from crmsync.sandbox.effects import Change, Effects
from crmsync.sandbox.faults import Faults
from crmsync.sandbox.ids import make_id
from crmsync.sandbox.logins import Logins
from crmsync.sandbox.permissions import Permissions
from crmsync.sandbox.schema import Choice, Schema, SObject
from crmsync.sandbox.schema_file import make_schema
from crmsync.sandbox.soql.scope import World
from crmsync.sandbox.standard import Features
from crmsync.sandbox.store import Store
from crmsync.sandbox.trail import Trail, kept_trail
from crmsync.sandbox.users import INTEGRATION, acting_id, caller

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crmsync.sandbox.rows import Rows

USERNAME = "integration@crmsync.example"
DAILY_REQUESTS = 115_000


@dataclass(frozen=True)
class Options:
    """How the org is started. `latency_ms` delays every answer; `public_url` is what tokens and `id` links say."""

    today: date | None = None
    seed: int = 1
    state: Path | None = None
    latency_ms: int = 0
    public_url: str | None = None
    jwt_public_key: Path | None = None
    daily_requests: int = DAILY_REQUESTS
    bulk_charset: bool = False
    least_privilege: bool = False


@dataclass
class Org:
    """The org while it runs. `numbers` are the last record numbers by key prefix."""

    store: Store
    options: Options
    definition: dict[str, Any]
    features: Features
    schema: Schema
    clock: Clock
    seed: int
    numbers: dict[str, int]
    base_url: str = ""
    effects: Effects = field(default_factory=Effects)
    permissions: Permissions = field(default_factory=Permissions)
    trail: Trail = field(default_factory=Trail)
    faults: Faults = field(default_factory=Faults)
    allowance: Allowance = field(default_factory=Allowance)
    rules_on: dict[str, bool] = field(default_factory=lambda: {"validation": True, "duplicates": True})
    deriving: Deriving = field(default_factory=lambda: Deriving({stage.label: stage for stage in STAGES}))
    tokens: dict[str, str] = field(default_factory=dict)  # access token -> user id
    cursors: dict[str, Any] = field(default_factory=dict)
    jobs: dict[str, Any] = field(default_factory=dict)
    deploys: dict[str, Any] = field(default_factory=dict)  # deploys and retrieves of metadata by id
    deploying: RLock = field(default_factory=RLock)  # one change of metadata at a time
    tooling: Any = None  # the org's own description as objects of the Tooling API
    logins: Logins = field(default_factory=Logins)
    corporate: str | None = None  # ISO code that rates are against; None with a single currency
    lock: RLock = field(default_factory=RLock)
    changed_schema: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    _waiting: list[Change] | None = None
    _waiting_trail: Trail = field(default_factory=Trail)

    def __post_init__(self) -> None:
        self.allowance.most[REQUESTS] = self.options.daily_requests

    @property
    def org_id(self) -> str:
        """The org's 18-character id, which depends on the seed."""
        return make_id("00D", self.seed + 1)

    @property
    def user_id(self) -> str:
        """The integration user, as whom clients log in unless they name another."""
        return INTEGRATION

    @property
    def acting_id(self) -> str:
        """The user of the present call, who signs what it writes."""
        return acting_id()

    @property
    def visible(self) -> Schema:
        """The objects and fields that the user of the present call may see, with what that user may write."""
        user_id = caller()
        return self.schema if user_id is None else self.permissions.visible(self, user_id)

    def permissions_changed(self) -> None:
        """What users may see is worked out anew; for writers that bypass `rows`."""
        self.permissions.forget()

    @property
    def url(self) -> str:
        """The address that the org gives as its own."""
        return self.options.public_url or self.base_url

    def secret(self, purpose: str, length: int = 64) -> str:
        """A made-up secret that is the same for the same seed."""
        text = hashlib.sha512(f"{self.seed}:{purpose}".encode()).hexdigest()
        return text[:length]

    @property
    def client_id(self) -> str:
        """The id of the one app that may log in."""
        return "3MVG9" + self.secret("client id", 60)

    @property
    def client_secret(self) -> str:
        """The secret of that app."""
        return self.secret("client secret").upper()

    @property
    def password(self) -> str:
        """The password of every user."""
        return self.secret("password", 12)

    @property
    def security_token(self) -> str:
        """What follows the password in logins from outside."""
        return self.secret("security token", 24)

    @property
    def refresh_token(self) -> str:
        """A refresh token that the app may use."""
        return "5Aep" + self.secret("refresh token", 60)

    def new_token(self, purpose: str, user_id: str | None = None) -> str:
        """An access token as Salesforce shapes it; it stays valid while the org runs."""
        token = f"{self.org_id[:15]}!{self.secret(f'token {purpose}', 80)}"
        self.tokens[token] = user_id or self.user_id
        return token

    def numbered_token(self, user_id: str) -> str:
        """The next access token, of this user."""
        with self.lock:
            self.numbers["token"] = self.numbers.get("token", 0) + 1
            return self.new_token(str(self.numbers["token"]), user_id)

    def random(self, purpose: str) -> random.Random:
        """A random source that repeats for the same seed and purpose."""
        return random.Random(f"{self.seed}:{purpose}")

    def world(self) -> World:
        """What SOQL may need to know."""
        return World(
            self.visible, self.clock.today(), self.clock.start_of, self.deriving.fiscal_month,
            self.deriving.fiscal_by_start, self.features.dated_rates, self.schema, self.clock.now(),
        )  # fmt: skip

    def next_id(self, prefix: str) -> str:
        """The id of a new record."""
        with self.lock:
            self.numbers[prefix] = self.numbers.get(prefix, 0) + 1
            return make_id(prefix, self.numbers[prefix])

    @contextmanager
    def rows(self, counted: bool = True) -> Iterator[Rows]:
        """Rows within one transaction; their effects count once it is committed, unless a person is at work."""
        from crmsync.sandbox.rows import Rows

        with self.store.writing() as connection:
            rows = Rows(self, connection, self.clock.stamp())
            yield rows
            self.store.keep_facts({"stamp": rows.stamp, "numbers": self.numbers}, connection)
            if self.options.state is not None:
                rows.trail.keep(connection)
        self.permissions.notice(rows.changed)
        (self.trail if self._waiting is None else self._waiting_trail).take(rows.trail)
        if not counted:
            return
        if self._waiting is not None:
            self._waiting += rows.changed
        else:
            self.effects.record_changes(rows.changed, rows.stamp, self.acting_id)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Several `rows` blocks as one transaction; effects count once all of it is committed."""
        with self.store.joined():
            self._waiting, self._waiting_trail = [], Trail()
            try:
                yield
            except BaseException:
                self._waiting = None
                self.permissions.forget()
                raise
            changed, self._waiting = self._waiting, None
        self.trail.take(self._waiting_trail)
        self.permissions.notice(changed)
        self.effects.record_changes(changed, self.clock.now(), self.acting_id)

    def changed(self, definition: Mapping[str, Any]) -> tuple[dict[str, Any], Schema]:
        """The definition with the key prefix of every custom object, and its schema. Errors: SchemaError."""
        objects: dict[str, dict[str, Any]] = {}
        for name, body in (definition.get("objects") or {}).items():
            known = self._custom(name)
            objects[name] = dict(body or {}) | ({"keyPrefix": known.prefix} if known else {})
        made_of = {**definition, "objects": objects}
        schema = make_schema(made_of, self.features, "schema")
        for name, body in objects.items():
            made = schema.find(name)
            if made is not None and made.custom:
                body["keyPrefix"] = made.prefix
        return made_of, schema

    def reshape(self, definition: Mapping[str, Any]) -> tuple[dict[str, Any], Schema]:
        """Change the tables, perhaps within a transaction of the caller, who shows the schema once that is committed.

        Errors: SchemaError; nothing is changed then.
        """
        with self.store.writing() as connection, self.lock:  # in the order in which rows take them
            made, schema = self.changed(definition)
            self.store.reshape(self.schema, schema, connection)
            self.store.keep_facts({"definition": made}, connection)
            return made, schema

    def show_schema(self, definition: dict[str, Any], schema: Schema) -> None:
        """The schema that every call sees from now on."""
        with self.lock:
            self.definition, self.schema = definition, self._with_live_choices(schema)
            self.cursors.clear()  # their plans name columns that may be gone
            # HTTP dates have whole seconds: a change is always later than the one before
            later = self.changed_schema + timedelta(seconds=1)
            self.changed_schema = max(datetime.now(UTC).replace(microsecond=0), later)

    def _custom(self, name: str) -> SObject | None:
        found = self.schema.find(name)
        return found if found is not None and found.custom else None

    def refresh(self) -> None:
        """Take currencies, stages, time zone and fiscal year from the org's own records."""
        reader = self.store.reader()
        self.deriving.stages = {
            label: Stage(label, bool(closed), bool(won), probability or 0, forecast or "Pipeline")
            for label, closed, won, probability, forecast in reader.execute(
                'SELECT "MasterLabel", "IsClosed", "IsWon", "DefaultProbability", "ForecastCategoryName" '
                'FROM "OpportunityStage" WHERE "IsDeleted" = 0 ORDER BY "SortOrder", rowid'
            )
        }
        zone, month, by_start = reader.execute(
            'SELECT "TimeZoneSidKey", "FiscalYearStartMonth", "UsesStartDateAsFiscalYearName" FROM "Organization"'
        ).fetchone()
        self.deriving.fiscal_month, self.deriving.fiscal_by_start = month or 1, bool(by_start)
        try:
            self.clock.use_zone(zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError):
            self.clock.use_zone("UTC")
        self.schema = self._with_live_choices(self.schema)

    def _with_live_choices(self, schema: Schema) -> Schema:
        stages = [Choice(stage, stage) for stage in self.deriving.stages]
        currencies: list[Choice] = []
        if self.features.multi_currency:
            found = self.store.reader().execute(
                'SELECT "IsoCode", "IsCorporate", "IsActive" FROM "CurrencyType" ORDER BY "IsoCode"'
            )
            rows = found.fetchall()
            self.corporate = next((iso for iso, corporate, _ in rows if corporate), None)
            currencies = [Choice(iso, iso, bool(corporate), bool(active)) for iso, corporate, active in rows]
        live = {"CurrencyIsoCode": currencies, "StageName": stages}
        objects = []
        for sobject in schema:
            fields = tuple(
                replace(known, choices=tuple(live[known.name])) if known.name in live else known
                for known in sobject.fields
            )
            objects.append(replace(sobject, fields=fields))
        return Schema(objects, self.schema.multi_currency)


def new_org(options: Options, definition: Mapping[str, Any], features: Features, source: str = "schema") -> Org:
    """An org with the tables of this schema and no records yet. Errors: SchemaError, StateError."""
    schema = make_schema(definition, features, source)
    store = Store(options.state)
    store.create_tables(schema)
    return Org(store, options, dict(definition), features, schema, Clock(options.today), options.seed, {})


def saved_org(options: Options) -> Org | None:
    """The org of an existing state file, or None when there is none yet. Errors: StateError, SchemaError."""
    if options.state is None or not options.state.exists():
        return None
    store = Store(options.state)
    facts = {name: store.fact(name) for name in ("definition", "features", "stamp", "numbers", "seed")}
    if facts["definition"] is None:
        store.close()
        return None
    features = Features(**facts["features"])
    schema = make_schema(facts["definition"], features, str(options.state))
    store.create_tables(schema)
    clock = Clock(options.today, facts["stamp"])
    org = Org(store, options, facts["definition"], features, schema, clock, facts["seed"], facts["numbers"])
    org.trail = kept_trail(store.reader())
    org.refresh()
    return org
