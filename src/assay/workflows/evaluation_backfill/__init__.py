"""The ``evaluation_backfill`` workflow: one for each backfill, scanning stored events step by step."""
