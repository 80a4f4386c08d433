"""Rows and the files they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from assay.db.slices import SortKey


class DatasetFormat(StrEnum):
    """How a dataset file is written."""

    JSONL = "jsonl"
    """One JSON object a line."""
    CSV = "csv"
    """RFC 4180 with a header row; every value is text."""
    PARQUET = "parquet"
    """Apache Parquet, with types of its own."""


class Row(NamedTuple):
    """One row of a dataset; a tuple because a million of them are made."""

    line: int
    """Where the row begins in its file, from 1."""
    values: dict[str, Any]
    """By column."""


class DatasetSort(StrEnum):
    """What a list of datasets can be sorted by."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


@dataclass(frozen=True, slots=True)
class DatasetQuery:
    """Which datasets to list; conditions hold together."""

    ids: Sequence[UUID] | None = None
    search: str = ""
    """Part of the name, the description or the JSON text of the metadata, in any case; empty matches all."""
    order: Sequence[SortKey] = ()
    """Without a key, newest first."""
