"""A run as it was at one moment, as JSON that can be kept and read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import TypeAdapter

from assay.core.runs.types import Run

_RUN = TypeAdapter(Run)


def write_snapshot(run: Run) -> dict[str, Any]:
    """The run's facts as JSON values; decimals become texts, so that no digit is lost."""
    # orjson knows dataclasses, UUIDs and times by itself.
    return orjson.loads(orjson.dumps(run, default=str))


def read_snapshot(snapshot: Mapping[str, Any]) -> Run:
    """The run that was written; fields that are newer than the snapshot must have defaults.

    Raises:
        pydantic.ValidationError: It is no snapshot of a run.
    """
    return _RUN.validate_python(dict(snapshot))
