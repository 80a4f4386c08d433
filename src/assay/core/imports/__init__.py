"""Imports: runs that were carried out elsewhere, taken in with their samples.

An imported run is a run like any other, to be listed, read and compared; only no workflow stands behind it, so it can
be neither retried nor rerun here.
"""
