"""Rows and the files they come from."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class DatasetFormat(StrEnum):
    """How a dataset file is written."""

    JSONL = "jsonl"
    """One JSON object a line."""
    CSV = "csv"
    """RFC 4180 with a header row; every value is text."""


class Row(NamedTuple):
    """One row of a dataset; a tuple because a million of them are made."""

    line: int
    """Where the row begins in its file, from 1."""
    values: dict[str, Any]
    """By column."""
