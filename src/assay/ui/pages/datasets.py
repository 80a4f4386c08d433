"""Stored datasets: the list, one with its items, and adding to one from a file, an event or a sample."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.responses import Response

from assay.core.datasets import service
from assay.core.datasets.models import DatasetItemRow
from assay.core.datasets.reading import infer_format, read_rows
from assay.core.datasets.types import DatasetQuery
from assay.core.events.service import find_event
from assay.core.projects.types import Scope
from assay.core.runs.views import get_sample
from assay.db.slices import Slice
from assay.kit.errors import DomainError, LimitError
from assay.scoring.online import event_input, event_output
from assay.ui.edge import FieldError, Pages, Visit, read_uuid
from assay.ui.pages.uploads import read_upload

PAGE = 50
MAX_IMPORTED_ROWS = 5000
"""Of one file: more belong into a file that a suite names."""
_EXPECTED = ("expected", "output", "target", "answer", "label")
pages = Pages()


class TooManyRowsError(LimitError):
    """The file is longer than what can be taken at once."""

    code = "too_many_rows"


@dataclass(frozen=True, slots=True)
class Draft:
    """An item that is being written, as texts of JSON."""

    input: str = ""
    expected: str = ""
    details: str = ""
    source: str = ""
    """Where it comes from: ``event:…`` or ``sample:…/…``."""


@pages.get("/datasets", Scope.DATASET_READ)
async def list_datasets(visit: Visit) -> Response:
    """Datasets, newest first."""
    query = DatasetQuery(search=visit.query("search") or "")
    offset = read_offset(visit)
    found = await service.list_datasets(visit.session, visit.principal, query, Slice(PAGE, offset))
    return await visit.render(
        "datasets.html",
        datasets=found.rows,
        total=found.count,
        offset=offset,
        page=PAGE,
        search=query.search,
    )


@pages.get("/datasets/new", Scope.DATASET_WRITE)
async def ask_for_dataset(visit: Visit) -> Response:
    """The form for a new dataset."""
    return await visit.render("dataset_form.html", dataset=None, form=visit.form, error=None)


@pages.post("/datasets", Scope.DATASET_WRITE, max_bytes=None)
async def create_dataset(visit: Visit) -> Response:
    """Make a dataset, with the rows of a file if one is given."""
    try:
        async with visit.session.begin_nested():
            dataset = await service.create_dataset(visit.session, visit.principal, _read_dataset(visit))
            added = await _import_rows(visit, dataset.id)
    except DomainError as error:
        return await visit.render("dataset_form.html", status=422, dataset=None, form=visit.form, error=error)
    return visit.go(f"/datasets/{dataset.id.hex}", f"{dataset.name} is made, with {added:,} items.")


@pages.get("/datasets/add", Scope.DATASET_WRITE)
async def ask_what_to_add(visit: Visit) -> Response:
    """The form to add an event or a sample, filled in."""
    return await _show_adding(visit, await _draft(visit))


@pages.post("/datasets/add", Scope.DATASET_WRITE)
async def add_item(visit: Visit) -> Response:
    """Add an item to a dataset, which may be new."""
    draft = _read_draft(visit)
    try:
        async with visit.session.begin_nested():
            dataset_id = await _choose_dataset(visit)
            values = {"dataset_id": dataset_id, **_read_item(visit), **await _origin(visit, draft.source)}
            await service.create_item(visit.session, visit.principal, values)
    except DomainError as error:
        return await _show_adding(visit, draft, error=error)
    return visit.go(f"/datasets/{dataset_id.hex}", "It is added.")


@pages.get("/datasets/{dataset_id}", Scope.DATASET_READ)
async def show_dataset(visit: Visit) -> Response:
    """One dataset with its items, newest first."""
    dataset = await service.find_dataset(visit.session, visit.principal, visit.path_id("dataset_id"))
    offset = read_offset(visit)
    found = await service.list_items(visit.session, visit.principal, Slice(PAGE, offset), dataset_id=dataset.id)
    return await visit.render(
        "dataset.html", dataset=dataset, items=found.rows, total=found.count, offset=offset, page=PAGE
    )


@pages.post("/datasets/{dataset_id}", Scope.DATASET_WRITE)
async def update_dataset(visit: Visit) -> Response:
    """Change a dataset's name and description."""
    dataset = await service.find_dataset(visit.session, visit.principal, visit.path_id("dataset_id"), lock=True)
    await service.update_dataset(visit.session, dataset, _read_dataset(visit))
    return visit.go(f"/datasets/{dataset.id.hex}", "The dataset is changed.")


@pages.post("/datasets/{dataset_id}/delete", Scope.DATASET_WRITE)
async def delete_dataset(visit: Visit) -> Response:
    """Delete a dataset. An API client can bring it back."""
    dataset = await service.find_dataset(visit.session, visit.principal, visit.path_id("dataset_id"), lock=True)
    await service.update_dataset(visit.session, dataset, {"deleted": True})
    return visit.go("/datasets", "The dataset is deleted.")


@pages.post("/datasets/{dataset_id}/import", Scope.DATASET_WRITE, max_bytes=None)
async def import_rows(visit: Visit) -> Response:
    """Add the rows of a file."""
    dataset = await service.find_dataset(visit.session, visit.principal, visit.path_id("dataset_id"))
    if visit.upload("rows") is None:
        raise FieldError("Choose a file of rows, .jsonl or .csv.", param="rows")
    added = await _import_rows(visit, dataset.id)
    return visit.go(f"/datasets/{dataset.id.hex}", f"{added:,} items are added.")


@pages.get("/datasets/{dataset_id}/items/{item_id}", Scope.DATASET_READ)
async def show_item(visit: Visit) -> Response:
    """One item, to read and to edit."""
    item = await service.find_item(visit.session, visit.principal, visit.path_id("item_id"))
    return await _show_item(visit, item, Draft(_write(item.input), _write(item.expected), _write(item.details)))


@pages.post("/datasets/{dataset_id}/items/{item_id}", Scope.DATASET_WRITE)
async def update_item(visit: Visit) -> Response:
    """Change an item."""
    item = await service.find_item(visit.session, visit.principal, visit.path_id("item_id"), lock=True)
    try:
        values = _read_item(visit)
    except DomainError as error:
        return await _show_item(visit, item, _read_draft(visit), error=error)
    await service.update_item(visit.session, visit.principal, item, values)
    return visit.go(f"/datasets/{item.dataset_id.hex}", "The item is changed.")


@pages.post("/datasets/{dataset_id}/items/{item_id}/delete", Scope.DATASET_WRITE)
async def delete_item(visit: Visit) -> Response:
    """Delete an item."""
    item = await service.find_item(visit.session, visit.principal, visit.path_id("item_id"), lock=True)
    await service.update_item(visit.session, visit.principal, item, {"deleted": True})
    return visit.go(f"/datasets/{item.dataset_id.hex}", "The item is deleted.")


async def _show_item(visit: Visit, item: DatasetItemRow, draft: Draft, *, error: DomainError | None = None) -> Response:
    dataset = await service.find_dataset(visit.session, visit.principal, item.dataset_id)
    return await visit.render(
        "dataset_item.html", status=200 if error is None else 422, dataset=dataset, item=item, draft=draft, error=error
    )


async def _show_adding(visit: Visit, draft: Draft, *, error: DomainError | None = None) -> Response:
    found = await service.list_datasets(visit.session, visit.principal, DatasetQuery(), Slice(200, 0))
    return await visit.render(
        "dataset_add.html",
        status=200 if error is None else 422,
        datasets=found.rows,
        draft=draft,
        chosen=visit.query("dataset") or visit.field("dataset"),
        new_name=visit.field("new_name"),
        error=error,
    )


async def _draft(visit: Visit) -> Draft:
    event_id, run_id, sample_id = visit.query_id("event"), visit.query_id("run"), visit.query_id("sample")
    if event_id is not None and visit.may(Scope.ANALYTICS_READ):
        event = await find_event(visit.session, visit.principal, event_id)
        seen = event.for_scoring()
        return Draft(_write(event_input(seen)), _write(event_output(seen)), source=f"event:{event_id.hex}")
    if run_id is not None and sample_id is not None and visit.may(Scope.EVALS_READ):
        sample = await get_sample(visit.session, visit.principal, run_id=run_id, sample_id=sample_id)
        given = sample.dataset_row if sample.dataset_row is not None else sample.prompt
        return Draft(_write(given), _write(sample.target), source=f"sample:{run_id.hex}/{sample_id.hex}")
    return Draft()


async def _origin(visit: Visit, source: str) -> dict[str, Any]:
    """Where an item comes from, if it is an event that the visitor can see."""
    event_id = read_uuid(source.removeprefix("event:")) if source.startswith("event:") else None
    if event_id is None or not visit.may(Scope.ANALYTICS_READ):
        return {}
    event = await find_event(visit.session, visit.principal, event_id)
    return {
        "source_trace_id": event.trace_id,
        "source_timestamp": event.timestamp,
        "source_event_id": str(event.uuid),
    }


async def _choose_dataset(visit: Visit) -> UUID:
    if visit.field("new_name"):
        made = await service.create_dataset(visit.session, visit.principal, {"name": visit.field("new_name")[:400]})
        return made.id
    dataset_id = read_uuid(visit.field("dataset"))
    if dataset_id is None:
        raise FieldError("Choose a dataset, or name a new one.", param="dataset")
    return (await service.find_dataset(visit.session, visit.principal, dataset_id)).id


async def _import_rows(visit: Visit, dataset_id: UUID) -> int:
    upload = visit.upload("rows")
    if upload is None:
        return 0
    form = infer_format(upload.filename or "")
    added = 0
    async for row in read_rows(read_upload(upload), format=form, max_rows=MAX_IMPORTED_ROWS + 1):
        added += 1
        if added > MAX_IMPORTED_ROWS:
            raise TooManyRowsError(
                f"The file has more than {MAX_IMPORTED_ROWS:,} rows. Use it as a file of a suite, or split it.",
                param="rows",
            )
        await service.create_item(visit.session, visit.principal, {"dataset_id": dataset_id, **as_item(row.values)})
    return added


def as_item(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as an item: its ``input`` and what is expected where it has such columns, else the row as it is."""
    target = next((name for name in _EXPECTED if name in row), None)
    rest = {name: value for name, value in row.items() if name not in {target, "input", "metadata"}}
    item: dict[str, Any] = {"input": row.get("input", rest)}
    if target is not None:
        item["expected"] = row[target]
    if "metadata" in row:
        item["details"] = row["metadata"]
    elif "input" in row and rest:
        item["details"] = rest
    return item


def _read_dataset(visit: Visit) -> dict[str, Any]:
    name = visit.field("name")
    if not 1 <= len(name) <= 400:
        raise FieldError("Give it a name of up to 400 characters.", param="name")
    return {"name": name, "description": visit.field("description")}


def _read_draft(visit: Visit) -> Draft:
    return Draft(visit.field("input"), visit.field("expected"), visit.field("details"), visit.field("source"))


def _read_item(visit: Visit) -> dict[str, Any]:
    draft = _read_draft(visit)
    return {
        "input": _read_value(draft.input, "input"),
        "expected": _read_value(draft.expected, "expected"),
        "details": _read_value(draft.details, "details"),
    }


def _read_value(text: str, name: str) -> Any:
    """JSON where it is JSON; any other text stands for itself."""
    if not text:
        return None
    try:
        value: Any = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        if text[0] in "{[":
            raise FieldError(
                f"`{name}` begins like JSON and is none; mend it, or begin with a word.", param=name
            ) from None
        return text
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)


def _write(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def read_offset(visit: Visit) -> int:
    """Where a counted list goes on."""
    text = visit.query("offset") or "0"
    return min(int(text), 1_000_000) if text.isascii() and text.isdecimal() else 0
