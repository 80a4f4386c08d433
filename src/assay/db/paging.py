"""Lists by key: a page starts after the last row of the one before, wherever that row has moved to meanwhile.

Unlike an offset it costs the same at any depth and neither skips nor repeats rows while others are inserted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from assay.kit.errors import InvalidError

Row = TypeVar("Row")
Item = TypeVar("Item")
Other = TypeVar("Other")


class Order(StrEnum):
    """Direction of a list."""

    ASC = "asc"
    DESC = "desc"


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Part of a list."""

    items: tuple[Item, ...]
    has_more: bool
    """Whether at least one row follows the last item."""

    def map(self, convert: Callable[[Item], Other]) -> Page[Other]:
        """The same page with every item converted."""
        return Page(items=tuple(convert(item) for item in self.items), has_more=self.has_more)


@dataclass(frozen=True, slots=True)
class OffsetPage:
    """Which part of a list to read, for APIs that count rows; costs more the deeper it goes."""

    offset: int = 0
    limit: int = 20
    order: Order = Order.DESC


class UnknownCursorError(InvalidError):
    """``after`` names no row that the caller can see."""

    code = "unknown_cursor"

    def __init__(self) -> None:
        super().__init__(
            "`after` is not the id of an object in this list. Send the last id of the page before, or leave it out.",
            param="after",
        )


class InvalidPageSizeError(InvalidError):
    """A page of less than one row."""

    code = "invalid_limit"

    def __init__(self) -> None:
        super().__init__("`limit` must be at least 1.", param="limit")


async def fetch_page(
    session: AsyncSession,
    statement: Select[Row],
    *,
    sort: Sequence[InstrumentedAttribute[Any]],
    after: UUID | None,
    limit: int,
    order: Order = Order.DESC,
    within: ColumnElement[bool],
) -> Page[Row]:
    """One page of ``statement``, which must have no order of its own.

    Args:
        session: Where to read.
        statement: Selects one entity, with the list's filters.
        sort: Not-null columns in order of weight; the last is the unique ``id``. An index on the tenant column followed
            by these makes every page an index range.
        after: Id of the last row of the page before.
        limit: Most items, at least 1.
        order: Direction of all sort columns.
        within: Where ``after`` may point to: the caller's rows, without the list's filters, so that a row that has left
            the filter (its status changed, it was deleted) still marks its place.

    Raises:
        UnknownCursorError: ``after`` is not within.
        InvalidPageSizeError: ``limit`` is below 1.
    """
    if limit < 1:
        raise InvalidPageSizeError
    if after is not None:
        position = await _find_position(session, sort, after=after, within=within)
        key = tuple_(*sort)
        statement = statement.where(key < position if order is Order.DESC else key > position)
    ordering = [column.desc() if order is Order.DESC else column.asc() for column in sort]
    rows = (await session.scalars(statement.order_by(*ordering).limit(limit + 1))).all()
    return Page(items=tuple(rows[:limit]), has_more=len(rows) > limit)


async def _find_position(
    session: AsyncSession, sort: Sequence[InstrumentedAttribute[Any]], *, after: UUID, within: ColumnElement[bool]
) -> tuple[Any, ...]:
    found = (await session.execute(select(*sort).where(sort[-1] == after, within))).one_or_none()
    if found is None:
        raise UnknownCursorError
    return tuple(found)


async def fetch_slice(
    session: AsyncSession, statement: Select[Row], *, sort: Sequence[InstrumentedAttribute[Any]], page: OffsetPage
) -> Page[Row]:
    """One page of ``statement``, which must have no order of its own, after so many rows.

    Args:
        session: Where to read.
        statement: Selects one entity, with the list's filters.
        sort: Columns in order of weight; the last is unique.
        page: Which part.
    """
    ordering = [column.desc() if page.order is Order.DESC else column.asc() for column in sort]
    statement = statement.order_by(*ordering).offset(page.offset).limit(page.limit + 1)
    rows = (await session.scalars(statement)).all()
    return Page(items=tuple(rows[: page.limit]), has_more=len(rows) > page.limit)
