"""The ledger of the first version: runs, plans, outbox, history, accepted standings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    _create_runs()
    _create_plans()
    _create_outbox()
    _create_history()


def _create_runs() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "config_version",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("first_used_at", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "run",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("as_of", sa.Text),
        sa.Column("snapshot_digest", sa.Text),
        sa.Column("program_digest", sa.Text),
        sa.Column("config_digest", sa.Text),
        sa.Column("plan_digest", sa.Text),
        sa.Column("started_at", sa.Text, nullable=False),
        sa.Column("ended_at", sa.Text),
        sa.Column("exit_code", sa.Integer),
        sa.Column("stats", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "run_phase",
        sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), primary_key=True),
        sa.Column("phase", sa.Text, primary_key=True),
        sa.Column("seconds", sa.REAL, nullable=False),
        sa.Column("ended_at", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "api_usage",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("api", sa.Text, primary_key=True),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("org_used", sa.Integer),
        sa.Column("org_limit", sa.Integer),
        sqlite_strict=True,
    )


def _create_plans() -> None:
    op.create_table(
        "plan",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("as_of", sa.Text, nullable=False),
        sa.Column("changes", sa.Integer, nullable=False),
        sa.Column("movers", sa.Integer, nullable=False),
        sa.Column("blocked", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("drafted_at", sa.Text, nullable=False),
        sa.UniqueConstraint("digest", "run_id", name="plan_digest_run"),
        sqlite_strict=True,
    )
    op.create_table(
        "guard_result",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("guard", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("bound", sa.Text, nullable=False),
        sa.Column("tripped", sa.Integer, nullable=False),
        sa.Column("way_out", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "approval",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("approved_at", sa.Text, nullable=False),
        sa.Column("until", sa.Text, nullable=False),
        sqlite_strict=True,
    )


def _create_outbox() -> None:
    op.create_table(
        "crm_job",
        sa.Column("job_ref", sa.Text, primary_key=True),
        sa.Column("crm_job_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("payload_sha256", sa.Text, nullable=False),
        sa.Column("applied", sa.Integer),
        sa.Column("failed", sa.Integer),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "intent",
        sa.Column("intent_id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("wanted", sa.Text, nullable=False),
        sa.Column("pre_image", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("job_ref", sa.Text, sa.ForeignKey("crm_job.job_ref")),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("intent_plan", "intent", ["digest", "run_id"])
    op.create_index("intent_record", "intent", ["record_id"])
    op.create_index("intent_state", "intent", ["state"])
    op.create_table(
        "outcome",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("intent_id", sa.Text, sa.ForeignKey("intent.intent_id"), nullable=False),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("message", sa.Text),
        sa.Column("at", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("outcome_record", "outcome", ["record_id"])
    op.create_table(
        "field_state",
        sa.Column("record_id", sa.Text, primary_key=True),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("value", sa.Text),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("written_at", sa.Text, nullable=False),
        sqlite_strict=True,
    )


def _create_history() -> None:
    op.create_table(
        "tier_history",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("program", sa.Text, nullable=False),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("as_of", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("from_tier", sa.Text),
        sa.Column("to_tier", sa.Text),
        sa.Column("movement", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("tier_history_partner", "tier_history", ["program", "partner_id", "category"])
    op.create_table(
        "standings",
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("as_of", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("table_rows", sa.Text, nullable=False),
        sa.Column("accepted_at", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("standings_as_of", "standings", ["as_of"])
