"""Labels from an uploaded file: CSV or JSONL with the columns of a label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.calibration.errors import LabelInputError
from assay.core.calibration.service import put_labels
from assay.core.calibration.types import DEFAULT_LABELER, MAX_IMPORTED_LABELS, NewLabel, SubjectKind
from assay.core.datasets.reading import infer_format, read_rows
from assay.core.files.service import get_file, open_content
from assay.core.files.store import FileStore
from assay.core.projects.types import Principal

COLUMNS = ("sample_id", "event_id", "metric", "value", "labeler", "note")
_SAMPLE_PREFIX = "eval_sample_"
_PASS = {"true": 1.0, "pass": 1.0, "yes": 1.0, "false": 0.0, "fail": 0.0, "no": 0.0}
_LONGEST = {"metric": 128, "labeler": 255, "note": 10_000}


async def import_labels(
    session: AsyncSession, principal: Principal, *, store: FileStore, file_id: UUID
) -> tuple[int, int]:
    """Keep all labels of a file, or none.

    Each row has ``sample_id`` or ``event_id``, ``metric`` and ``value``, which is a number or one of pass, fail, true,
    false, yes and no. It may have ``labeler`` and ``note``.

    Returns:
        How many labels the file has, and how many of them are new.

    Raises:
        FileNotFoundInProjectError: Not visible to the caller.
        DatasetRowError, EmptyDatasetError, DatasetFormatError: The file cannot be read.
        LabelInputError: A row is wrong; the message has its number.
    """
    file = await get_file(session, principal, file_id=file_id)
    content = await open_content(session, principal, store=store, file_id=file.id)
    labels: list[NewLabel] = []
    rows = read_rows(content.chunks, format=infer_format(file.filename), max_rows=MAX_IMPORTED_LABELS + 1)
    async for row in rows:
        labels.append(_read(row.values, len(labels) + 1))
    return len(labels), await put_labels(session, principal, labels)


def _read(row: Mapping[str, Any], number: int) -> NewLabel:
    unknown = sorted(set(row) - set(COLUMNS))
    if unknown:
        raise _fault(number, f"unknown column '{unknown[0][:100]}'; there are {', '.join(COLUMNS)}")
    given = {name: value for name, value in row.items() if value not in (None, "")}
    if ("sample_id" in given) is ("event_id" in given):
        raise _fault(number, "give one of sample_id and event_id")
    kind = SubjectKind.SAMPLE if "sample_id" in given else SubjectKind.EVENT
    for name, longest in _LONGEST.items():
        text = given.get(name, "")
        if not isinstance(text, str) or len(text) > longest:
            raise _fault(number, f"{name} must be a text of at most {longest:,} characters")
    if "metric" not in given:
        raise _fault(number, "metric is missing")
    return NewLabel(
        kind=kind,
        subject_id=_subject_id(given[f"{kind.value}_id"], number),
        metric=given["metric"],
        value=_value(given.get("value"), number),
        labeler=given.get("labeler", DEFAULT_LABELER),
        note=given.get("note"),
    )


def _subject_id(text: Any, number: int) -> UUID:
    try:
        return UUID(str(text).removeprefix(_SAMPLE_PREFIX))
    except ValueError as exc:
        raise _fault(number, f"'{str(text)[:80]}' is no id") from exc


def _value(value: Any, number: int) -> float:
    if isinstance(value, str):
        value = _PASS.get(value.strip().lower(), value)
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise _fault(number, "value must be a number, or pass or fail") from exc


def _fault(number: int, reason: str) -> LabelInputError:
    return LabelInputError(f"Row {number}: {reason}.", param="file_id")
