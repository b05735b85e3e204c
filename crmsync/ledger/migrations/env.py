"""Run the migrations on the connection that `store.py` hands over; the caller owns the transaction."""

from __future__ import annotations

from alembic import context

from crmsync.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
