"""The clip that a sample's dataset row holds (M§2.7).

A task may name its column of audio; otherwise the row is searched for something that looks like a clip. Rows hold a
clip as a ``data:`` URI, as a web address, or, as Hugging Face writes them, as an object with ``bytes`` in base64.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.projects.types import Principal
from assay.core.runs import repository
from assay.core.runs.errors import ClipTooLargeError, RunInputError, SampleNotFoundError
from assay.core.runs.models import ItemRow, RunRow
from assay.core.runs.service import get_run_row

MAX_CLIP_BYTES = 25 * 1024 * 1024
"""Of an inline clip, decoded (R22)."""
DEFAULT_MEDIA_TYPE = "audio/wav"

_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(;[\w=.+-]+)*;base64,")
_WEB_ADDRESS = re.compile(r"https?://[^\s]+", re.IGNORECASE)
_SOUND_ADDRESS = re.compile(
    r"https?://[^\s?#]+\.(wav|mp3|flac|ogg|oga|opus|m4a|aac|webm|aiff?)([?#]\S*)?", re.IGNORECASE
)
_ADDRESS_KEYS = ("url", "src", "uri", "audio")


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip: a ``data:`` URI in base64, or a web address."""

    audio: str
    sample_index: int
    task_id: str
    model: str


async def get_clip(
    session: AsyncSession,
    principal: Principal,
    *,
    run_id: UUID,
    sample_index: int,
    task_id: str | None = None,
    model: str | None = None,
) -> Clip:
    """A sample's clip, which is the same for all models.

    Raises:
        RunNotFoundError: Not visible to the caller.
        SampleNotFoundError: No sample has that index, task and model, or its row holds no clip.
        RunInputError: Several tasks have the index.
        ClipTooLargeError: An inline clip exceeds 25 MiB.
    """
    run = await get_run_row(session, principal, run_id)
    task_no = await _find_task(session, run, sample_index=sample_index, task_id=task_id)
    if model is not None and model not in run.models:
        raise SampleNotFoundError("The run has no such model.", param="model")
    item = await session.get_one(ItemRow, (run.id, task_no, sample_index))
    column = await _audio_column(session, run, run.task_order[task_no])
    audio = find_clip(item.dataset_row, column)
    if audio is None:
        raise SampleNotFoundError("The sample's row holds no audio.", param="sample_index")
    _check_size(audio)
    return Clip(audio, sample_index, run.task_order[task_no], run.models[0] if model is None else model)


def find_clip(row: Mapping[str, Any], column: str | None) -> str | None:
    """The clip in a row: in the named column, else the first thing anywhere that looks like one."""
    if column is not None and column in row and (clip := _read(row[column])) is not None:
        return clip
    return next(_search(row), None)


def _read(value: Any) -> str | None:
    """What a column that is said to hold audio holds."""
    if isinstance(value, str):
        return value if _DATA_URI.match(value) or _WEB_ADDRESS.fullmatch(value) else None
    return _read_object(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else None


def _read_object(value: Mapping[str, Any]) -> str | None:
    content = value.get("bytes")
    if isinstance(content, str) and _is_base64(content):
        name = value.get("path")
        guessed = mimetypes.guess_type(name)[0] if isinstance(name, str) else None
        media_type = guessed if guessed is not None and guessed.startswith("audio/") else DEFAULT_MEDIA_TYPE
        return f"data:{media_type};base64,{content}"
    return next((found for key in _ADDRESS_KEYS if (found := _read(value.get(key))) is not None), None)


def _search(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if (value.startswith("data:audio/") and _DATA_URI.match(value)) or _SOUND_ADDRESS.fullmatch(value):
            yield value
    elif isinstance(value, Mapping):
        parts = cast("Mapping[str, Any]", value)
        is_clip = "bytes" in parts and ("path" in parts or "sampling_rate" in parts)
        if is_clip and (found := _read_object(parts)) is not None:
            yield found
        for part in parts.values():
            yield from _search(part)
    elif isinstance(value, list):
        for part in cast("list[Any]", value):
            yield from _search(part)


def _is_base64(text: str) -> bool:
    try:
        return text != "" and base64.b64decode(text, validate=True) != b""
    except (binascii.Error, ValueError):
        return False


def _check_size(audio: str) -> None:
    found = _DATA_URI.match(audio)
    if found is None:
        return
    size = (len(audio) - found.end()) * 3 // 4
    if size > MAX_CLIP_BYTES + 2:
        raise ClipTooLargeError(size, MAX_CLIP_BYTES)


async def _find_task(session: AsyncSession, run: RunRow, *, sample_index: int, task_id: str | None) -> int:
    wanted = [number for number, known in enumerate(run.task_order) if task_id in {None, known}]
    query = select(ItemRow.task_no).where(
        ItemRow.run_id == run.id, ItemRow.task_no.in_(wanted), ItemRow.sample_index == sample_index
    )
    found = (await session.scalars(query.limit(2))).all()
    if not found:
        raise SampleNotFoundError("The run has no such sample.", param="sample_index")
    if len(found) > 1:
        raise RunInputError(f"Several tasks have the index {sample_index}; say which by `task_id`.", param="task_id")
    return found[0]


async def _audio_column(session: AsyncSession, run: RunRow, task_id: str) -> str | None:
    manifest = await repository.find_manifest(session, run.suite_version_id)
    # Read as it was stored: an old version stays readable when the schema has moved on.
    for task in manifest.get("tasks", ()):
        if task.get("id") == task_id:
            return task.get("dataset", {}).get("audio_column")
    return None
