"""Revisions. Each copies the types it needs and imports nothing of the application."""
