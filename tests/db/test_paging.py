"""Lists by key, walked page by page."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from uuid import UUID

import pytest
from sqlalchemy import Integer, MetaData, delete, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from assay.db.paging import InvalidPageSizeError, Order, Page, UnknownCursorError, fetch_page
from assay.kit.ids import new_id


class PagingBase(DeclarativeBase):
    metadata = MetaData()


class Thing(PagingBase):
    __tablename__ = "paging_things"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    rank: Mapped[int] = mapped_column(Integer)
    tenant: Mapped[str]


IDS = [new_id() for _ in range(12)]


@pytest.fixture(autouse=True)
async def things(engine: AsyncEngine) -> AsyncGenerator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(PagingBase.metadata.create_all)
        # Three rows share each rank, so that the id has to break the tie.
        await connection.execute(
            insert(Thing), [{"id": key, "rank": place // 3, "tenant": "a"} for place, key in enumerate(IDS)]
        )
        await connection.execute(insert(Thing), [{"id": new_id(), "rank": 1, "tenant": "b"}])
    yield
    async with engine.begin() as connection:
        await connection.run_sync(PagingBase.metadata.drop_all)


async def fetch(
    session: AsyncSession, *, after: UUID | None = None, limit: int = 5, order: Order = Order.ASC
) -> Page[Thing]:
    mine = Thing.tenant == "a"
    return await fetch_page(
        session,
        select(Thing).where(mine),
        sort=(Thing.rank, Thing.id),
        after=after,
        limit=limit,
        order=order,
        within=mine,
    )


@pytest.mark.parametrize("limit", [1, 5, 6, 12, 100])
@pytest.mark.parametrize("order", list(Order))
async def test_pages_cover_the_list_once_and_in_order(session: AsyncSession, limit: int, order: Order) -> None:
    walked: list[UUID] = []
    after = None
    while True:
        page = await fetch(session, after=after, limit=limit, order=order)
        walked += [thing.id for thing in page.items]
        after = walked[-1]
        if not page.has_more:
            break
        assert len(page.items) == limit
    assert walked == (IDS if order is Order.ASC else IDS[::-1])


async def test_after_the_last_row_is_an_empty_page(session: AsyncSession) -> None:
    assert await fetch(session, after=IDS[-1]) == Page(items=(), has_more=False)


async def test_unknown_cursors_are_refused(session: AsyncSession) -> None:
    foreign = (await session.scalars(select(Thing.id).where(Thing.tenant == "b"))).one()
    for after in (new_id(), foreign):
        with pytest.raises(UnknownCursorError) as caught:
            await fetch(session, after=after)
        assert caught.value.param == "after"


async def test_an_empty_page_size_is_refused(session: AsyncSession) -> None:
    with pytest.raises(InvalidPageSizeError):
        await fetch(session, limit=0)


async def test_a_cursor_that_left_the_filter_still_marks_its_place(session: AsyncSession) -> None:
    await session.execute(update(Thing).where(Thing.id == IDS[4]).values(tenant="c"))
    page = await fetch_page(
        session,
        select(Thing).where(Thing.tenant == "a"),
        sort=(Thing.rank, Thing.id),
        after=IDS[4],
        limit=3,
        order=Order.ASC,
        within=true(),
    )
    assert [thing.id for thing in page.items] == IDS[5:8]


async def test_inserts_and_deletes_before_the_cursor_move_nothing(session: AsyncSession) -> None:
    await session.execute(insert(Thing), [{"id": new_id(), "rank": 0, "tenant": "a"}])
    await session.execute(delete(Thing).where(Thing.id == IDS[0]))
    page = await fetch(session, after=IDS[5], limit=2)
    assert [thing.id for thing in page.items] == IDS[6:8]
