"""What a new suite begins with: a manifest that fits the rows it is made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from assay.core.datasets.reading import infer_format, read_rows
from assay.core.datasets.service import list_datasets, read_examples
from assay.core.datasets.types import DatasetQuery
from assay.core.files.service import get_file, open_content
from assay.core.projects.types import Scope
from assay.core.suites.manifest.text import write_manifest_text
from assay.core.suites.sources import parse_file_id
from assay.db.slices import Slice
from assay.kit.errors import DomainError
from assay.ui.edge import Visit

_PROMPTS = ("prompt", "question", "input", "text", "ticket", "query", "review", "message")
_TARGETS = ("target", "answer", "label", "output", "expected", "category", "class")
_MAX_DATASETS = 50


class Start(NamedTuple):
    """A stored dataset that a suite can be made of."""

    dataset_id: UUID
    name: str


async def list_starts(visit: Visit) -> list[Start]:
    """The newest stored datasets."""
    if not visit.may(Scope.DATASET_READ):
        return []
    found = await list_datasets(visit.session, visit.principal, DatasetQuery(), Slice(limit=_MAX_DATASETS, offset=0))
    return [Start(row.id, row.name) for row in found.rows]


async def make_starter(visit: Visit, *, file_id: str | None, dataset_id: UUID | None) -> str:
    """A manifest for a file or stored dataset, by its first row; else one to learn from."""
    if dataset_id is not None:
        rows = await read_examples(visit.session, visit.principal, dataset_id, limit=1)
        columns = [f"input.{key}" for key in _keys(rows, "input")] or ["input"]
        return _write({"dataset_id": str(dataset_id)}, columns, ["output"])
    if file_id is not None:
        columns = await _columns_of(visit, file_id)
        return _write({"file_id": file_id}, columns, columns)
    return _write({"file_id": "file_…"}, ["question"], ["answer"])


def _write(dataset: dict[str, Any], columns: list[str], targets: list[str]) -> str:
    prompt = _choose(columns, _PROMPTS) or "question"
    target = _choose(targets, _TARGETS) or "answer"
    task: dict[str, Any] = {
        "id": "answers",
        "type": "qa",
        "dataset": dataset,
        "prompt_template": f"Answer in as few words as possible.\n\n{{{{{prompt}}}}}",
        "target_template": f"{{{{{target}}}}}",
    }
    return write_manifest_text({"tasks": [task]})


def _choose(columns: list[str], wanted: tuple[str, ...]) -> str | None:
    for name in wanted:
        for column in columns:
            if column.rsplit(".", 1)[-1].lower() == name:
                return column
    return columns[0] if columns else None


def _keys(rows: list[dict[str, Any]], name: str) -> list[str]:
    value = rows[0].get(name) if rows else None
    return [str(key) for key in value] if isinstance(value, Mapping) else []  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - any JSON


async def _columns_of(visit: Visit, file_id: str) -> list[str]:
    """The columns of a file's first row; none when it cannot be read, which the check will say better."""
    row_id = parse_file_id(file_id)
    if row_id is None:
        return []
    try:
        file = await get_file(visit.session, visit.principal, file_id=row_id)
        content = await open_content(visit.session, visit.principal, store=visit.state.files, file_id=row_id)
        async for row in read_rows(content.chunks, format=infer_format(file.filename), max_rows=1):
            return list(row.values)
    except DomainError:
        return []
    return []
