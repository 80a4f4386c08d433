"""Pages and query parameters (P§1.4, P§2.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from fastapi import Request

from assay.core.datasets.types import DatasetQuery, DatasetSort
from assay.db.slices import Counted, Slice, SortKey
from assay.dialects.posthog.errors import FieldError

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_OFFSET = 2**31 - 1
MAX_IDS = 1000
T = TypeVar("T")


def read_slice(request: Request) -> Slice:
    """Limit and offset; what makes no sense is as if it were not there."""
    limit = _count(request.query_params.get("limit"))
    offset = _count(request.query_params.get("offset"))
    return Slice(limit=min(limit, MAX_LIMIT) if limit else DEFAULT_LIMIT, offset=min(offset or 0, MAX_OFFSET))


def render_page(
    request: Request, part: Slice, found: Counted[T], render: Callable[[T], dict[str, Any]]
) -> dict[str, Any]:
    """The page's body, with absolute URLs that keep every other parameter."""
    following, preceding = part.offset + part.limit, part.offset - part.limit
    return {
        "count": found.count,
        "next": _url(request, part.limit, following) if following < found.count else None,
        "previous": _url(request, part.limit, preceding) if part.offset > 0 else None,
        "results": [render(row) for row in found.rows],
    }


def read_dataset_query(request: Request) -> DatasetQuery:
    """The filters and the order of a list of datasets.

    Raises:
        FieldError: An id is no UUID, or a key of the order is unknown.
    """
    parameters = request.query_params
    ids = _ids(parameters["id__in"]) if parameters.get("id__in") else None
    return DatasetQuery(ids=ids, search=parameters.get("search", ""), order=_order(parameters.get("order_by", "")))


def read_dataset_filter(request: Request) -> UUID | None:
    """The dataset whose items are asked for.

    Raises:
        FieldError: It is no UUID.
    """
    text = request.query_params.get("dataset")
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise FieldError("dataset", "invalid", f"`{text[:64]}` is not a valid UUID.") from error


def _count(text: str | None) -> int | None:
    """A number of rows above 0; None for anything else."""
    digits = (text or "").strip()
    return int(digits) or None if digits.isascii() and digits.isdecimal() and len(digits) <= 12 else None


def _order(text: str) -> Sequence[SortKey]:
    keys: list[SortKey] = []
    for token in filter(None, map(str.strip, text.split(","))):
        name = token.removeprefix("-")
        if name not in set(DatasetSort):
            choices = ", ".join(DatasetSort)
            raise FieldError("order_by", "invalid_choice", f"Cannot order by `{token[:64]}`. Choose from {choices}.")
        keys.append(SortKey(DatasetSort(name), descending=token.startswith("-")))
    return keys[: len(DatasetSort)]


def _ids(text: str) -> list[UUID]:
    tokens = [token.strip() for token in text.split(",") if token.strip()]
    if len(tokens) > MAX_IDS:
        raise FieldError("id__in", "invalid", f"At most {MAX_IDS} ids can be given.")
    try:
        return [UUID(token) for token in tokens]
    except ValueError as error:
        raise FieldError("id__in", "invalid", "Give UUIDs, separated by commas.") from error


def _url(request: Request, limit: int, offset: int) -> str:
    url = request.url.remove_query_params("offset").include_query_params(limit=limit)
    return str(url.include_query_params(offset=offset) if offset > 0 else url)
