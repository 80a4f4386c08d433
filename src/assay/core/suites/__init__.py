"""Evaluation suites: named lists of tasks, kept in immutable, append-only versions."""
