"""The history of the schema: one linear line of Alembic revisions under ``versions``."""
