"""The tables of the ledger, as SQLAlchemy Core sees them. Migrations create them; a test keeps the two equal.

Amounts and values are text, instants are ISO text in UTC, dates ISO text, structured values canonical JSON.
"""

from __future__ import annotations

from sqlalchemy import REAL, Column, ForeignKey, Index, Integer, MetaData, Table, UniqueConstraint

from crmsync.ledger.kept_text import Text

HEAD = "0003"
"""The migration this code was written for."""

KNOWN = frozenset({"0001", "0002", HEAD})
"""Every migration this code knows; any other one in a ledger was made by a newer crmsync."""

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_strict=True,
)

config_version = Table(
    "config_version",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("first_used_at", Text, nullable=False),
    sqlite_strict=True,
)

run = Table(
    "run",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("sequence", Integer, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("as_of", Text),
    Column("snapshot_digest", Text),
    Column("program_digest", Text),
    Column("config_digest", Text),
    Column("plan_digest", Text),
    Column("started_at", Text, nullable=False),
    Column("ended_at", Text),
    Column("exit_code", Integer),
    Column("stats", Text, nullable=False),
    Column("owner", Text),  # host:pid of the process
    Column("slot_schedule", Text),  # which slot of the schedule it fills; by hand: none
    Column("slot_period", Text),
    Column("fencing", Integer),  # of the lease under which it runs
    Column("files_digest", Text),  # of the program files it was made of
    sqlite_strict=True,
)

run_phase = Table(
    "run_phase",
    metadata,
    Column("run_id", Text, ForeignKey("run.run_id"), primary_key=True),
    Column("phase", Text, primary_key=True),
    Column("seconds", REAL, nullable=False),
    Column("ended_at", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="1"),
    Column("checkpoint", Text),  # JSON: what a resumed run goes on from
    sqlite_strict=True,
)

plan = Table(
    "plan",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("as_of", Text, nullable=False),
    Column("changes", Integer, nullable=False),
    Column("movers", Integer, nullable=False),
    Column("blocked", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("drafted_at", Text, nullable=False),
    UniqueConstraint("digest", "run_id", name="plan_digest_run"),
    sqlite_strict=True,
)

guard_result = Table(
    "guard_result",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("guard", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("bound", Text, nullable=False),
    Column("tripped", Integer, nullable=False),
    Column("way_out", Text, nullable=False),
    sqlite_strict=True,
)

approval = Table(
    "approval",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("approved_at", Text, nullable=False),
    Column("until", Text, nullable=False),
    Column("source", Text, nullable=False, server_default="shell"),  # or crm
    Column("record_id", Text),  # the plan record in the CRM
    sqlite_strict=True,
)

crm_job = Table(
    "crm_job",
    metadata,
    Column("job_ref", Text, primary_key=True),
    Column("crm_job_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("payload_sha256", Text, nullable=False),
    Column("applied", Integer),
    Column("failed", Integer),
    Column("created_at", Text, nullable=False),
    Column("changed_at", Text, nullable=False),
    Column("object", Text, nullable=False, server_default=""),  # empty: the account
    sqlite_strict=True,
)

intent = Table(
    "intent",
    metadata,
    Column("intent_id", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("pre_image", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("code", Text),
    Column("message", Text),
    Column("job_ref", Text, ForeignKey("crm_job.job_ref")),
    Column("created_at", Text, nullable=False),
    Column("changed_at", Text, nullable=False),
    Column("sink", Text, nullable=False, server_default=""),  # part of the plan; empty: the account itself
    Column("object", Text, nullable=False, server_default=""),
    Column("key_field", Text),  # names the record where that is not its own id
    Column("next_try", Text),
    Column("first_failed_at", Text),
    Index("intent_state", "state"),
    Index("intent_record", "record_id"),
    Index("intent_plan", "digest", "run_id"),
    sqlite_strict=True,
)

outcome = Table(
    "outcome",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("intent_id", Text, ForeignKey("intent.intent_id"), nullable=False),
    Column("record_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("code", Text),
    Column("message", Text),
    Column("at", Text, nullable=False),
    Index("outcome_record", "record_id"),
    sqlite_strict=True,
)

field_state = Table(
    "field_state",
    metadata,
    Column("record_id", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("value", Text),
    Column("token", Text, nullable=False),
    Column("written_at", Text, nullable=False),
    sqlite_strict=True,
)

tier_history = Table(
    "tier_history",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("program", Text, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("as_of", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("from_tier", Text),
    Column("to_tier", Text),
    Column("movement", Text, nullable=False),
    Index("tier_history_partner", "program", "partner_id", "category"),
    sqlite_strict=True,
)

standings = Table(
    "standings",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("as_of", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("table_rows", Text, nullable=False),
    Column("accepted_at", Text, nullable=False),
    Index("standings_as_of", "as_of"),
    sqlite_strict=True,
)

api_usage = Table(
    "api_usage",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("api", Text, primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("org_used", Integer),
    Column("org_limit", Integer),
    sqlite_strict=True,
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("fencing", Integer, nullable=False),  # raised each time the lease is taken
    Column("acquired_at", Text, nullable=False),
    Column("renewed_at", Text, nullable=False),
    Column("released_at", Text),
    sqlite_strict=True,
)

schedule_slot = Table(
    "schedule_slot",
    metadata,
    Column("schedule", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("due_at", Text, nullable=False),
    Column("state", Text, nullable=False),  # due, running, done, failed, skipped
    Column("run_id", Text),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("started_at", Text),
    Column("ended_at", Text),
    Column("exit_code", Integer),
    Column("not_before", Text),  # a failed one is not tried again before; empty: not at all
    Column("told", Text),  # why it was skipped or failed
    Index("schedule_slot_state", "state"),
    sqlite_strict=True,
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("as_of", Text, nullable=False),
    Column("kind", Text, nullable=False),  # full, increment
    Column("sealed_at", Text, nullable=False),
    Column("period_end", Integer, nullable=False, server_default="0"),  # of a review date: kept for longer
    Column("removed_at", Text),  # by retention
    sqlite_strict=True,
)

snapshot_object = Table(
    "snapshot_object",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("count_before", Integer),
    Column("rows_read", Integer, nullable=False),
    Column("count_after", Integer),
    Column("sha256", Text, nullable=False),
    Column("figures", Text, nullable=False, server_default="{}"),  # JSON: what the trend guards compare
    sqlite_strict=True,
)

config_file = Table(
    "config_file",
    metadata,
    Column("digest", Text, primary_key=True),  # run.files_digest
    Column("path", Text, primary_key=True),  # below the folder that all of them share
    Column("sha256", Text, nullable=False),
    Column("role", Text, nullable=False),  # main, listed, part
    sqlite_strict=True,
)

file_text = Table(
    "file_text",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("text", Text, nullable=False),
    sqlite_strict=True,
)

conflict = Table(
    "conflict",
    metadata,
    Column("conflict_id", Text, primary_key=True),
    Column("record_id", Text, nullable=False),
    Column("partner_id", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("ours", Text),
    Column("found", Text),
    Column("policy", Text, nullable=False),  # restore, adopt, freeze
    Column("state", Text, nullable=False),  # open, told, restored, gone
    Column("run_id", Text, nullable=False),
    Column("found_at", Text, nullable=False),
    Column("changed_at", Text, nullable=False),
    Column("until", Text),  # adopted: the last day
    Column("since", Text, nullable=False),  # as_of of the run that found it
    Column("category", Text),
    Column("tier", Text),  # key of the tier that was set by hand
    Index("conflict_record", "record_id"),
    Index("conflict_state", "state"),
    sqlite_strict=True,
)

notice = Table(
    "notice",
    metadata,
    Column("notice_key", Text, primary_key=True),
    Column("event", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("partner_id", Text),
    Column("period", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("locale", Text, nullable=False),
    Column("zone", Text, nullable=False, server_default="UTC"),  # of the recipient, for quiet hours
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("html", Text),
    Column(
        "state", Text, nullable=False
    ),  # waiting, held, approved, sending, sent, bundled, unknown, failed, suppressed
    Column("needs_approval", Integer, nullable=False),
    Column("approved_by", Text),
    Column("intent_id", Text),
    Column("run_id", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("unsure", Integer, nullable=False, server_default="0"),  # an earlier try may have arrived
    Column("error", Text),
    Column("created_at", Text, nullable=False),
    Column("not_before", Text),
    Column("sent_at", Text),
    Index("notice_partner", "partner_id"),
    Index("notice_state", "state"),
    sqlite_strict=True,
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("content", Text, nullable=False),  # canonical JSON
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    sqlite_strict=True,
)

audit_anchor = Table(
    "audit_anchor",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("place", Text, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("at", Text, nullable=False),
    sqlite_strict=True,
)
