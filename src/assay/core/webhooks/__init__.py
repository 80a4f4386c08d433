"""Webhooks: whom to tell, what was told, and whether it arrived.

A feature emits an event in the transaction that makes it true. The event is a delivery row, numbered within its
subject (a run), and beside it stands a command that wakes the sender of this subject. The sender delivers a subject's
events one after the other, in that order; what it needs to know is in the rows.
"""
