"""Pages and query parameters (P§1.4, P§2.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from fastapi import Request
from starlette.datastructures import URL

from assay.core.datasets.types import DatasetQuery, DatasetSort
from assay.db.slices import Counted, Slice, SortKey
from assay.dialects.posthog.credentials import PARAMETER
from assay.dialects.posthog.errors import FieldError

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_OFFSET = 2**31 - 1
MAX_IDS = 1000
T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)


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
    order = read_order(parameters.get("order_by", ""), DatasetSort)
    return DatasetQuery(ids=read_ids(request), search=parameters.get("search", ""), order=order)


def read_dataset_filter(request: Request) -> UUID | None:
    """The dataset whose items are asked for.

    Raises:
        FieldError: It is no UUID.
    """
    return read_id(request, "dataset")


def read_id(request: Request, name: str) -> UUID | None:
    """An id to filter by; None where there is none.

    Raises:
        FieldError: It is no UUID.
    """
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError as error:
        raise FieldError(name, "invalid", f"`{text[:64]}` is not a valid UUID.") from error


def read_flag(request: Request, name: str) -> bool | None:
    """A yes or no to filter by, in any case; None for anything else."""
    return {"true": True, "1": True, "false": False, "0": False}.get(request.query_params.get(name, "").lower())


def read_choice(request: Request, name: str, choices: type[Choice]) -> Choice | None:
    """A word to filter by; None where there is none.

    Raises:
        FieldError: It is not among the choices.
    """
    text = request.query_params.get(name)
    if not text:
        return None
    if text not in set(choices):
        raise FieldError(name, "invalid_choice", f"`{text[:64]}` is not a valid choice. Choose from {_named(choices)}.")
    return choices(text)


def _count(text: str | None) -> int | None:
    """A number of rows above 0; None for anything else."""
    digits = (text or "").strip()
    return int(digits) or None if digits.isascii() and digits.isdecimal() and len(digits) <= 12 else None


def read_order(text: str, choices: type[StrEnum]) -> Sequence[SortKey]:
    """The keys of an order, each at most once.

    Raises:
        FieldError: A key is unknown.
    """
    keys: dict[str, SortKey] = {}
    for token in filter(None, map(str.strip, text.split(","))):
        name = token.removeprefix("-")
        if name not in set(choices):
            message = f"Cannot order by `{token[:64]}`. Choose from {_named(choices)}."
            raise FieldError("order_by", "invalid_choice", message)
        keys.setdefault(name, SortKey(choices(name), descending=token.startswith("-")))
    return list(keys.values())


def _named(choices: type[StrEnum]) -> str:
    return ", ".join(choice.value for choice in choices)


def read_ids(request: Request) -> list[UUID] | None:
    """The ids that a list is kept to; None where any will do.

    Raises:
        FieldError: One is no UUID, or there are too many.
    """
    text = request.query_params.get("id__in")
    if not text:
        return None
    tokens = [token.strip() for token in text.split(",") if token.strip()]
    if len(tokens) > MAX_IDS:
        raise FieldError("id__in", "invalid", f"At most {MAX_IDS} ids can be given.")
    try:
        return [UUID(token) for token in tokens]
    except ValueError as error:
        raise FieldError("id__in", "invalid", "Give UUIDs, separated by commas.") from error


def page_url(request: Request) -> URL:
    """The request's own address, for the address of another page: without a key, which no answer may hold."""
    return request.url.remove_query_params(PARAMETER)


def _url(request: Request, limit: int, offset: int) -> str:
    url = page_url(request).remove_query_params("offset").include_query_params(limit=limit)
    return str(url.include_query_params(offset=offset) if offset > 0 else url)
