"""What the stories of the state machine are told of: an org with people in it, and a belt over it that may die.

The belt is the real one from the sealed snapshot on: assess on DuckDB, draft with its guards, apply, verify, last
errors, acceptance, notices over a real mail server. Only the org is small, and reading it is.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import select

from crmsync.configuration_conflicts import Conflicts
from crmsync.connectors.base import Into, NotThere, Unwritable, Written
from crmsync.errors import ConfigError
from crmsync.ledger import tables as t
from crmsync.ledger.accepted import Accepted, newest_standings, previous_standings
from crmsync.ledger.intents import last_written
from crmsync.ledger.ledger import Ledger
from crmsync.levelling.assess import assess
from crmsync.levelling.standings import write_standings
from crmsync.notices.facts import unwritten_partners
from crmsync.notices.templates import Templates
from crmsync.people_edits import add_adopted, keep_edits, settle_edits, watch_of
from crmsync.snapshots import Snapshot, Staging
from crmsync.telling import Teller
from crmsync.writeback.apply import Outcomes, accept_plan, apply_plan, settle_open_intents, verify_plan
from crmsync.writeback.figures import figures_of
from crmsync.writeback.guards_trends import Snapshots
from crmsync.writeback.last_error import tell_last_errors
from crmsync.writeback.plan import Drafting, Plan, draft_plan
from crmsync.writeback.planfile import save_plan
from tests.notices.servers import Mailbox
from tests.notices.tellers import a_teller
from tests.writeback.facts import FIELDS, SCHEMA, a_program, add_table, standing, standings
from tests.writeback.org import Beside, Fault, Org

TIERS = ("registered", "silver", "gold")
REACHED = {"registered": ("0", "0"), "silver": ("90000", "0"), "gold": ("600000", "6")}
"""Revenue and certified people by which a partner reaches a tier."""
TIER, TOKEN, ERROR = FIELDS.fields["granted_tier"], str(FIELDS.token), "error__c"
STORY_FIELDS = replace(FIELDS, last_error=ERROR)
PROGRAM = a_program()
MOST_DEMOTIONS = 5  # of a program with fewer than 100 partners
READ = [("partners", column) for column in ("partner_id", "revenue", "people", "region")]

Row = dict[str, str | None]
Loss = Callable[[list[Row]], list[Row]]


# --- what an extract may lose, though the CRM counts its rows rightly

LOSSES: Mapping[str, Loss] = {
    "nothing": lambda rows: rows,
    "a page": lambda rows: rows[: len(rows) * 2 // 3],
    "one partner": lambda rows: rows[1:],
    "all values": lambda rows: [{**row, "revenue": None} for row in rows],
    "everything": lambda _: [],
}


def no_pause(_: float) -> None:
    """The small org answers at once."""


class StoryOrg(Org):
    """The small org with an allowance of calls, fields that become read-only or go, and accounts that are merged."""

    def __init__(self, fault: Callable[[str], Fault]) -> None:
        super().__init__(fault=fault)
        self.used = 0
        self.lost: Mapping[str, bool] = {}  # field -> whether it cannot even be read
        self.merged: dict[str, str] = {}

    @property
    def api_usage(self) -> tuple[int, int]:
        return self.used, 1000

    @property
    def calls_used(self) -> int:
        return 0

    def into(self, into: Into) -> Beside | StoryOrg:  # type: ignore[override]
        return self if into.object == FIELDS.object else super().into(into)

    def unwritable(self, fields: Sequence[str]) -> dict[str, Unwritable]:
        return {name: Unwritable("made read-only", self.lost[name]) for name in fields if name in self.lost}

    def merged_partners(self) -> Mapping[str, str]:
        return self.merged

    def merge(self, loser: str, survivor: str) -> None:
        self.delete(loser)
        self.merged[loser] = survivor

    def read(self, record_ids: Sequence[str], fields: Sequence[str]) -> dict[str, dict[str, str | None]]:
        gone = [name for name in fields if self.lost.get(name)]
        if gone:
            raise NotThere(f"No such column '{gone[0]}' on entity 'Account'")
        return super().read(record_ids, fields)

    def effect(self, record_id: str, values: Mapping[str, str | None]) -> Written:
        if gone := sorted(set(values) & set(self.lost)):
            return Written(record_id, "failed", "INVALID_FIELD_FOR_INSERT_UPDATE", f"{gone[0]} cannot be written")
        if set(values) == {ERROR} and record_id in self.effects():
            self.put(record_id, {**self.held(record_id), **values})  # what is told of a write is none
            return Written(record_id, "applied")
        return super().effect(record_id, values)


@dataclass(frozen=True)
class Drafted:
    """A plan with what it was drafted from."""

    plan: Plan
    table: pa.Table
    snapshot: Snapshot


class Belt:
    """The belt from the extract to the notices, over one ledger and one org."""

    def __init__(self, template: Path, templates: Templates, mailbox: Mailbox, fault: Callable[[str], Fault]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="story-"))
        self.state = Path(shutil.copytree(template, self.folder / "state"))
        self.ledger = Ledger.open(self.state)
        self.org = StoryOrg(fault)
        self.templates, self.mailbox = templates, mailbox
        self.tiers: dict[str, str] = {}
        self.policy = Conflicts()
        self.config = "one"
        self.figures: Mapping[str, Any] = {}
        self.extracts = 0

    def close(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_again(self) -> None:
        """The kernel frees the lock of a process that is gone; the next one opens the ledger."""
        self.ledger.close()
        self.ledger = Ledger.open(self.state)

    # --- the stages

    def extract(self, loss: str = "nothing") -> Snapshot:
        """Partners and what their accounts hold; of the partners a part may be missing."""
        self.extracts += 1
        there = list(self.org.effects())
        partners = [self._partner(record) for record in there]
        kept = LOSSES[loss](partners)
        staging = Staging(self.folder / f"snapshot-{self.extracts}")
        add_table(staging, "partners", kept, ["partner_id", "name", "region", "revenue", "people", "mail"])
        shown = [name for name in STORY_FIELDS.names if not self.org.lost.get(name)]
        current = [{"record_id": one, "partner_id": one, **self._held(one, shown)} for one in there]
        add_table(staging, "current_values", current, ["record_id", "partner_id", *shown])
        add_adopted(staging, self.ledger)
        counted = {"read": len(kept), "before": len(partners), "after": len(partners)}
        return staging.seal({"partners": counted})

    def _partner(self, record: str) -> Row:
        revenue, people = REACHED[self.tiers[record]]
        mail = f"{record}@partner.example"
        return {
            "partner_id": record, "name": f"Firm {record}", "region": "EMEA", "revenue": revenue, "people": people,
            "mail": mail,
        }  # fmt: skip

    def _held(self, record: str, names: Sequence[str]) -> Row:
        held = self.org.held(record)
        return {name: held.get(name) for name in names}

    def assess(self, snapshot: Snapshot, as_of: date, previous: Accepted | None, path: Path) -> pa.Table:
        """Standings of the day, kept at `path`."""
        found = assess(PROGRAM, snapshot, as_of, bare(previous.path) if previous else None, light=True)
        write_standings(found.standings, bare(path))
        rows = found.standings.to_pylist()  # tiers and movement; what else a standing has is the same for everybody
        kept = [{name: value for name, value in row.items() if name in SCHEMA.names} for row in rows]
        pq.write_table(standings([standing(row["partner_id"]) | row for row in kept]), path)
        return pq.read_table(path)

    def draft(self, run_id: str, as_of: date, path: Path, table: pa.Table, snapshot: Snapshot) -> Drafted:
        """The plan of these standings, with every guard that can be had here."""
        accepted = newest_standings(self.ledger)
        given = Drafting(
            config_digest=self.config,
            standings_path=str(path),
            previous=pq.read_table(accepted.path) if accepted else None,
            snapshots=Snapshots(
                figures_of(snapshot), self.figures, READ, accepted_on=accepted.as_of if accepted else None
            ),
            watch=watch_of(self.ledger, self.policy),
        )
        return Drafted(draft_plan(PROGRAM, table, snapshot, STORY_FIELDS, run_id, as_of, given), table, snapshot)

    def write(self, drafted: Drafted) -> Outcomes:
        """Apply, verify, tell the accounts why, accept, tell the partners. Errors: those of applying."""
        plan = drafted.plan
        outcomes = apply_plan(plan, self.org, self.ledger, pause=no_pause)
        outcomes = verify_plan(plan, self.org, self.ledger, outcomes)
        tell_last_errors(plan, self.org, self.ledger)
        newest = newest_standings(self.ledger)
        if newest is None or newest.run_id != plan.run_id:
            accept_plan(plan, self.ledger, drafted.table, plan.run_id)
        self.figures = figures_of(drafted.snapshot)
        settle_edits(self.ledger, plan, told=False)
        self.teller.tell(
            plan.run_id, plan.as_of, PROGRAM, drafted.table, drafted.snapshot, plan.unknown_partners
        )  # fmt: skip
        return outcomes

    def run(self, loss: str = "nothing", meanwhile: Callable[[], None] | None = None) -> Drafted | None:
        """A run up to its plan, saved; None where it fails: the clock stands before the day that is accepted, or
        there is nobody to assess."""
        run_id = self.ledger.start_run("run")
        settle_open_intents(self.ledger, self.org, pause=no_pause)
        as_of, path = datetime.now(UTC).date(), self.state / f"{run_id}.parquet"
        try:
            previous = previous_standings(self.ledger, as_of)
        except ConfigError:
            newest = newest_standings(self.ledger)
            assert newest is not None
            assert as_of < newest.as_of
            return None
        snapshot = self.extract(loss)
        try:
            table = self.assess(snapshot, as_of, previous, path)
        except ConfigError:
            assert not snapshot.tables["partners"].rows
            return None
        drafted = self.draft(run_id, as_of, path, table, snapshot)
        save_plan(drafted.plan, self.ledger)
        keep_edits(self.ledger, drafted.plan)
        if meanwhile is not None:
            meanwhile()
        if drafted.plan.blocked:
            self.teller.tell_blocked(run_id, drafted.plan)
        return drafted

    @property
    def teller(self) -> Teller:
        """The real one, over a real mail server."""
        return a_teller(self.ledger, self.templates, self.mailbox, tier_field=TIER)

    # --- what it can be asked

    def again(self, drafted: Drafted) -> list[tuple[str, str]]:
        """Record and field of what a second plan over the same standings would write, but what waits."""
        plan = drafted.plan
        path = Path(plan.standings)
        second = self.draft(f"{plan.run_id}-again", plan.as_of, path, drafted.table, self.extract()).plan
        waits = {(edit.record_id, edit.field) for edit in second.hand_edits}
        wanted = [(one.record_id, name) for one in second.changes for name in one.values]
        return [place for place in wanted if place[1] not in self.org.lost and place not in waits]

    def disagreements(self) -> list[str]:
        """Accounts whose token is not the one that the ledger wrote last."""
        return [
            record
            for record in self.org.effects()
            if self.org.held(record)[TOKEN] != last_written(self.ledger, record).get(TOKEN)
        ]

    def demoted(self, table: pa.Table) -> list[str]:
        """Partners who stand lower than in the accepted standings."""
        accepted = newest_standings(self.ledger)
        before = ranks(pq.read_table(accepted.path)) if accepted else {}
        return [partner for partner, rank in ranks(table).items() if rank < before.get(partner, -1)]

    def steps(self) -> list[Any]:
        """Every change of tier that the ledger has, oldest first."""
        with self.ledger.reading() as connection:
            return list(connection.execute(select(t.tier_history).order_by(t.tier_history.c.sequence)).all())

    def unwritten(self) -> frozenset[str]:
        """Partners whose account does not hold what it should."""
        return unwritten_partners(self.ledger, TIER)

    def intents(self) -> list[Any]:
        with self.ledger.reading() as connection:
            return list(connection.execute(select(t.intent)).all())

    def applied(self) -> Counter[str]:
        """By intent, how often it was told to be applied."""
        with self.ledger.reading() as connection:
            ended = connection.execute(select(t.outcome.c.intent_id).where(t.outcome.c.state == "applied")).scalars()
            return Counter(ended)


def bare(path: Path) -> Path:
    """Where the standings stand as they were assessed, for the next day."""
    return path.with_suffix(".bare.parquet")


def ranks(table: pa.Table) -> dict[str, int]:
    """By partner, how high it stands."""
    rows = table.select(["partner_id", "granted_tier"]).to_pylist()
    return {row["partner_id"]: TIERS.index(row["granted_tier"]) for row in rows if row["granted_tier"]}
