"""Pages, filters, search and order of lists (O§1.3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from fastapi import Request
from pydantic import BaseModel

from assay.db.listing import Comparison, Filter, ListQuery, SortBy
from assay.db.slices import Slice
from assay.dialects.overmind.errors import FieldErrors, InvalidPageError
from assay.dialects.overmind.wire.base import INT_MAX, INT_MIN

PAGE_SIZE = 25
MAX_PAGE_SIZE = 100
MAX_PAGE = 10_000_000
MAX_TERMS = 20


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter that filters."""

    field: str
    read: Callable[[str], Any]
    """Raises ``ValueError`` with the message for the client."""
    schema: Mapping[str, Any]
    comparison: Comparison = Comparison.EQUALS


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list can be filtered and ordered by."""

    parameters: Mapping[str, Parameter] = field(default_factory=dict[str, Parameter])
    order: Sequence[str] = ()


def uuid_of(field_name: str) -> Parameter:
    """Equal to an id."""

    def read(text: str) -> UUID:
        try:
            return UUID(text)
        except ValueError as error:
            raise ValueError(f"“{text[:64]}” is not a valid UUID.") from error

    return Parameter(field_name, read, {"type": "string", "format": "uuid"})


def uuid_text_of(field_name: str) -> Parameter:
    """Equal to an id that is kept as text."""
    strict = uuid_of(field_name)
    return Parameter(field_name, lambda text: str(strict.read(text)), strict.schema)


def one_of(field_name: str) -> Parameter:
    """Equal to one of several texts, between commas."""

    def read(text: str) -> list[str]:
        return [part.strip() for part in text.split(",") if part.strip()][:MAX_TERMS]

    return Parameter(field_name, read, {"type": "string"}, Comparison.ONE_OF)


def yes_or_no(field_name: str, *, yes: Sequence[Any], no: Sequence[Any]) -> Parameter:
    """A question that a field answers by its value."""

    def read(text: str) -> Sequence[Any]:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError("Must be a valid boolean.")
        return yes if text.lower() in ("true", "1") else no

    return Parameter(field_name, read, {"type": "boolean"}, Comparison.ONE_OF)


def scaled_of(field_name: str, comparison: Comparison, factor: int) -> Parameter:
    """Compared with a number in a unit that is so many times that of the field."""
    plain = number_of(field_name, comparison)
    return Parameter(field_name, lambda text: _bounded(plain.read(text) * factor), plain.schema, comparison)


def _bounded(value: float) -> int:
    return int(min(max(value, INT_MIN), INT_MAX - 1024))


def text_of(field_name: str, comparison: Comparison = Comparison.EQUALS) -> Parameter:
    """Equal to a text, or with a part of it."""
    return Parameter(field_name, str, {"type": "string"}, comparison)


def choice_of(field_name: str, choices: type[StrEnum]) -> Parameter:
    """Equal to a member."""

    def read(text: str) -> str:
        if text not in set(choices):
            raise ValueError(f"Select a valid choice. {text[:64]} is not one of the available choices.")
        return text

    return Parameter(field_name, read, {"type": "string", "enum": [*choices]})


def integer_of(field_name: str, comparison: Comparison = Comparison.EQUALS) -> Parameter:
    """Compared with an integer."""

    def read(text: str) -> int:
        if not (text.removeprefix("-").isdecimal() and text.isascii() and len(text) <= 20):
            raise ValueError("Enter a whole number.")
        if not INT_MIN <= int(text) <= INT_MAX:
            raise ValueError("Ensure this value fits in 64 bits.")
        return int(text)

    return Parameter(field_name, read, {"type": "integer", "format": "int64"}, comparison)


def number_of(field_name: str, comparison: Comparison) -> Parameter:
    """Compared with a number."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError("Enter a number.")
        return value

    return Parameter(field_name, read, {"type": "number", "format": "double"}, comparison)


def moment_of(field_name: str, comparison: Comparison) -> Parameter:
    """Compared with a time; one without a zone is UTC."""

    def read(text: str) -> datetime:
        try:
            value = datetime.fromisoformat(text)
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValueError("Enter a valid date/time.") from error

    return Parameter(field_name, read, {"type": "string", "format": "date-time"}, comparison)


def read_slice(request: Request) -> Slice:
    """The page that is asked for; a size that makes no sense is as if it were not there.

    Raises:
        InvalidPageError: The page is no number from 1.
    """
    page = _positive(request.query_params.get("page", "1"))
    if page is None or page > MAX_PAGE:
        raise InvalidPageError
    size = min(_positive(request.query_params.get("page_size", "")) or PAGE_SIZE, MAX_PAGE_SIZE)
    return Slice(limit=size, offset=(page - 1) * size)


def read_query(request: Request, filters: Filters) -> ListQuery:
    """Filters, search and order.

    Raises:
        FieldErrors: With each parameter whose value is wrong.
    """
    conditions: list[Filter] = []
    faults: dict[str, list[str]] = {}
    for name, parameter in filters.parameters.items():
        text = request.query_params.get(name, "").strip()
        if not text:
            continue
        try:
            conditions.append(Filter(parameter.field, parameter.comparison, parameter.read(text)))
        except ValueError as error:
            faults[name] = [str(error)]
    if faults:
        raise FieldErrors(faults)
    terms = request.query_params.get("search", "").split()[:MAX_TERMS]
    return ListQuery(conditions, terms, _order(request.query_params.get("ordering", ""), filters.order))


def names_any(request: Request, names: Iterable[str]) -> bool:
    """Whether a request gives one of these parameters a value."""
    return any(request.query_params.get(name, "").strip() for name in names)


def render_page(request: Request, part: Slice, count: int, results: Sequence[BaseModel | str]) -> dict[str, Any]:
    """The page's body, with absolute URLs that keep every other parameter.

    Raises:
        InvalidPageError: The list ends before this page.
    """
    if part.offset and part.offset >= count:
        raise InvalidPageError
    page = part.offset // part.limit + 1
    return {
        "count": count,
        "next": _url(request, page + 1) if part.offset + part.limit < count else None,
        "previous": _url(request, page - 1) if page > 1 else None,
        "results": results,
    }


def describe(filters: Filters | None) -> list[dict[str, Any]]:
    """The parameters of a list, for its OpenAPI operation."""
    if filters is None:
        return []
    known = {name: dict(parameter.schema) for name, parameter in filters.parameters.items()}
    order = "Comma-separated, each with a `-` before it for descending: " + ", ".join(filters.order) + "."
    more: dict[str, dict[str, Any]] = {
        "ordering": {"type": "string", "description": order},
        "page": {"type": "integer", "minimum": 1},
        "page_size": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE},
        "search": {"type": "string"},
    }
    return [
        {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in (known | more).items()
    ]


def _positive(text: str) -> int | None:
    digits = text.strip()
    return int(digits) or None if digits.isascii() and digits.isdecimal() and len(digits) <= 12 else None


def _order(text: str, known: Sequence[str]) -> list[SortBy]:
    tokens = (token.strip() for token in text.split(","))
    keys = [SortBy(token.removeprefix("-"), token.startswith("-")) for token in tokens]
    return [key for key in keys if key.field in known][: len(known)]


def _url(request: Request, page: int) -> str:
    url = request.url.remove_query_params("page")
    return str(url.include_query_params(page=page) if page > 1 else url)
