"""Lists by position, for the published APIs that page by limit and offset.

The order must be total, so that rows which are equal in what is sorted by neither repeat nor go missing between pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import UnaryExpression

T = TypeVar("T")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Slice:
    """Part of a list, by position."""

    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class Counted(Generic[T]):
    """Some rows of a list, and how many it has in all."""

    count: int
    rows: Sequence[T]


class SortKey(NamedTuple):
    """One key of an order."""

    column: str
    """Name of what is sorted by; each list says which it knows."""
    descending: bool


def ordering(column: InstrumentedAttribute[Any], key: SortKey) -> UnaryExpression[Any]:
    """A column in the direction of a key."""
    return column.desc() if key.descending else column.asc()


async def count_rows(session: AsyncSession, statement: Select[*tuple[Any, ...]]) -> int:
    """How many rows a query has, without its order."""
    counting = select(func.count()).select_from(statement.order_by(None).subquery())
    return await session.scalar(counting) or 0


async def read_slice(session: AsyncSession, statement: Select[Row], part: Slice) -> Counted[Row]:
    """The rows of a query's part; the query gives one object a row, in a total order."""
    count = await count_rows(session, statement)
    rows = (await session.scalars(statement.limit(part.limit).offset(part.offset))).all()
    return Counted(count, rows)
