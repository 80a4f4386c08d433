"""Judging production traffic as it arrives: the ledger, what is due in it, and what comes of it.

enrolment.py    captured events become entries, in capture's own transaction
leasing.py      which entries are due, and whose they are for a while
carrying.py     programs, sentiment and judges over leased entries
recording.py    outcomes, with the events that tell of them
service.py      what users ask: runs by hand, lists, counts, backfills
"""
