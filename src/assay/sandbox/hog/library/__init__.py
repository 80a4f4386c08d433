"""The library of the language (contract §5.8), by subject.

    general.py    types, conversion, conditions, comparison, arithmetic
    strings.py    text, patterns
    encoding.py   URLs, base 64, digests, addresses
    arrays.py     arrays, tuples, objects, callbacks
    documents.py  JSON
    calendars.py  dates

Each function takes the run's `Budget` and its arguments, and pays before it works. ``LIBRARY`` maps names to functions.
"""

from assay.sandbox.hog.library import arrays, calendars, documents, encoding, general, strings
from assay.sandbox.hog.library.registry import LIBRARY

__all__ = ["LIBRARY", "arrays", "calendars", "documents", "encoding", "general", "strings"]
