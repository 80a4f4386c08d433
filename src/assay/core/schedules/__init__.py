"""Schedules: suites that are run again and again, and an account of every time they were due.

Two parts, kept apart. The *clock* (Temporal, above this floor) wakes a schedule up. The *ledger* here decides what that
means: it works out from the schedule's row which instants have become due since the last one it settled, writes down
exactly one outcome for each, and starts at most one run. A clock that is late, repeats itself, has lost its database or
disagrees about a time zone therefore changes when the ledger is asked, and never what it answers.
"""
