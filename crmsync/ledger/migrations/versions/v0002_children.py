"""The outbox holds writes of several objects: object, naming field, part of the plan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; what is there already are writes of accounts."""
    for name in ("sink", "object"):
        op.add_column("intent", sa.Column(name, sa.Text, nullable=False, server_default=""))
    op.add_column("intent", sa.Column("key_field", sa.Text))
