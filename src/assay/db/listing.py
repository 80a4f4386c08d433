"""Lists by position, filtered and ordered by names: for APIs that publish pages with numbers.

A caller says which fields to compare, in words; the feature's repository says which columns they are. So no SQL is
needed where a request is read, and no request is needed where SQL is written. A list by key (``db.paging``) is the
better one wherever the API allows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, UnaryExpression, and_, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from assay.db.slices import Counted, Slice, read_slice

Row = TypeVar("Row")

Columns = Mapping[str, "InstrumentedAttribute[Any] | ColumnElement[Any]"]
"""The columns of a list, by the names under which they are filtered and ordered."""


class Comparison(StrEnum):
    """How a field is compared with a value."""

    EQUALS = "equals"
    CONTAINS = "contains"
    """Text, in any case."""
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    ONE_OF = "one_of"


class Filter(NamedTuple):
    """A condition on one field; a row without a value does not meet it."""

    field: str
    comparison: Comparison
    value: Any


class SortBy(NamedTuple):
    """One key of an order; rows without a value come last."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which rows, and in which order."""

    filters: Sequence[Filter] = ()
    """All must hold."""
    terms: Sequence[str] = ()
    """Each must be found, in any case, in one of the columns that are searched."""
    order: Sequence[SortBy] = ()


async def list_rows(
    session: AsyncSession,
    statement: Select[Row],
    query: ListQuery,
    part: Slice,
    *,
    columns: Columns,
    searched: Sequence[ColumnElement[str] | InstrumentedAttribute[str]] = (),
    otherwise: Sequence[SortBy],
) -> Counted[Row]:
    """The rows of a part of a list.

    Args:
        session: Where to read.
        statement: Selects one entity that the caller may see.
        query: Filters and order; every field it names is in ``columns``.
        part: Which rows of all.
        columns: See ``Columns``; ``id`` is among them, and decides between rows that are equal in the order.
        searched: Where ``query.terms`` are looked for.
        otherwise: The order of a query that has none.
    """
    conditions = [_condition(columns[field], comparison, value) for field, comparison, value in query.filters]
    conditions += [or_(*(text.icontains(term, autoescape=True) for text in searched)) for term in query.terms]
    statement = statement.where(and_(True, *conditions))
    ordering = [_ordering(columns[key.field], key) for key in (*(query.order or otherwise), SortBy("id"))]
    return await read_slice(session, statement.order_by(*ordering), part)


def _condition(column: Any, comparison: Comparison, value: Any) -> ColumnElement[bool]:
    match comparison:
        case Comparison.EQUALS:
            return column == value
        case Comparison.CONTAINS:
            return column.icontains(value, autoescape=True)
        case Comparison.AT_LEAST:
            return column >= value
        case Comparison.AT_MOST:
            return column <= value
        case Comparison.ONE_OF:
            return column.in_(value)


def _ordering(column: Any, key: SortBy) -> UnaryExpression[Any]:
    return (column.desc() if key.descending else column.asc()).nulls_last()
