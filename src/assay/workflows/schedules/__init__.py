"""Temporal Schedules as the clock: each is kept equal to its row, and wakes the ledger when it strikes."""
