"""Alembic migrations of the ledger, run by `store.py`; no alembic.ini is needed."""
