"""Leases and slots, sealed snapshots, conflicts, notices, the audit chain, and the files that a run was made of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables and columns, and make the audit append-only."""
    _widen()
    _create_worker()
    _create_snapshots()
    _create_files()
    _create_people()
    _create_audit()
    _close_audit(op.get_bind().dialect.name)


def _widen() -> None:
    for name in ("owner", "slot_schedule", "slot_period", "files_digest"):
        op.add_column("run", sa.Column(name, sa.Text))
    op.add_column("run", sa.Column("fencing", sa.Integer))
    op.add_column("run_phase", sa.Column("attempts", sa.Integer, nullable=False, server_default="1"))
    op.add_column("run_phase", sa.Column("checkpoint", sa.Text))
    op.add_column("approval", sa.Column("source", sa.Text, nullable=False, server_default="shell"))
    op.add_column("approval", sa.Column("record_id", sa.Text))
    for name in ("next_try", "first_failed_at"):
        op.add_column("intent", sa.Column(name, sa.Text))
    op.add_column("crm_job", sa.Column("object", sa.Text, nullable=False, server_default=""))


def _create_worker() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("fencing", sa.Integer, nullable=False),
        sa.Column("acquired_at", sa.Text, nullable=False),
        sa.Column("renewed_at", sa.Text, nullable=False),
        sa.Column("released_at", sa.Text),
        sqlite_strict=True,
    )
    op.create_table(
        "schedule_slot",
        sa.Column("schedule", sa.Text, primary_key=True),
        sa.Column("period", sa.Text, primary_key=True),
        sa.Column("due_at", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("started_at", sa.Text),
        sa.Column("ended_at", sa.Text),
        sa.Column("exit_code", sa.Integer),
        sa.Column("not_before", sa.Text),
        sa.Column("told", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("schedule_slot_state", "schedule_slot", ["state"])


def _create_snapshots() -> None:
    op.create_table(
        "snapshot",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("as_of", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("sealed_at", sa.Text, nullable=False),
        sa.Column("period_end", sa.Integer, nullable=False, server_default="0"),
        sa.Column("removed_at", sa.Text),
        sqlite_strict=True,
    )
    op.create_table(
        "snapshot_object",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, primary_key=True),
        sa.Column("count_before", sa.Integer),
        sa.Column("rows_read", sa.Integer, nullable=False),
        sa.Column("count_after", sa.Integer),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("figures", sa.Text, nullable=False, server_default="{}"),
        sqlite_strict=True,
    )


def _create_files() -> None:
    op.create_table(
        "config_file",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "file_text",
        sa.Column("sha256", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sqlite_strict=True,
    )


def _create_people() -> None:
    op.create_table(
        "conflict",
        sa.Column("conflict_id", sa.Text, primary_key=True),
        sa.Column("record_id", sa.Text, nullable=False),
        sa.Column("partner_id", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("ours", sa.Text),
        sa.Column("found", sa.Text),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("found_at", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Text, nullable=False),
        sa.Column("until", sa.Text),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("category", sa.Text),
        sa.Column("tier", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("conflict_record", "conflict", ["record_id"])
    op.create_index("conflict_state", "conflict", ["state"])
    op.create_table(
        "notice",
        sa.Column("notice_key", sa.Text, primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("partner_id", sa.Text),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False, server_default="UTC"),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("html", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("needs_approval", sa.Integer, nullable=False),
        sa.Column("approved_by", sa.Text),
        sa.Column("intent_id", sa.Text),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("unsure", sa.Integer, nullable=False, server_default="0"),
        sa.Column("error", sa.Text),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("not_before", sa.Text),
        sa.Column("sent_at", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("notice_partner", "notice", ["partner_id"])
    op.create_index("notice_state", "notice", ["state"])


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "audit_anchor",
        sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("place", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sqlite_strict=True,
    )


SQLITE_TRIGGERS = (
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
)
POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION audit_closed() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN RAISE EXCEPTION ''the audit is append-only''; END'",
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_closed()",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_closed()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_closed()",
)


def _close_audit(dialect: str) -> None:
    for statement in POSTGRESQL_TRIGGERS if dialect == "postgresql" else SQLITE_TRIGGERS:
        op.execute(statement)
