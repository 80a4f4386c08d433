"""What a user can do with conversations (M§3.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.conversations.errors import (
    ConversationItemNotFoundError,
    ConversationNotFoundError,
    TooManyItemsError,
)
from assay.core.conversations.items import check_items
from assay.core.conversations.models import ConversationItemRow, ConversationRow
from assay.core.metadata import check_metadata
from assay.core.ownership import owner_columns, visible_to
from assay.core.projects.types import Principal
from assay.db.paging import Order, Page, UnknownCursorError, fetch_page
from assay.kit.clock import utc_now
from assay.kit.ids import new_id

MAX_NEW_ITEMS = 20
MAX_ITEMS = 10_000
"""Of one conversation; longer ones are compacted or begun anew."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation."""

    id: UUID
    metadata: Mapping[str, str]
    created_at: datetime
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ConversationItem:
    """An item, and the turn of a response that it came from, if any."""

    item: Mapping[str, Any]
    response_id: UUID | None = None
    turn: int | None = None


async def create_conversation(
    session: AsyncSession,
    principal: Principal,
    *,
    items: Sequence[Mapping[str, Any]] = (),
    metadata: Mapping[str, str] | None = None,
) -> Conversation:
    """Begin a conversation.

    Raises:
        ItemError, TooManyItemsError, MetadataError: Something is out of its bounds.
    """
    now = utc_now()
    row = ConversationRow(
        id=new_id(),
        **owner_columns(principal),
        labels=check_metadata(metadata),
        item_count=0,
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    await session.flush()
    await _append_new(session, row, items)
    return _conversation(row)


async def get_conversation(session: AsyncSession, principal: Principal, *, conversation_id: UUID) -> Conversation:
    """One conversation.

    Raises:
        ConversationNotFoundError: Not visible to the caller.
    """
    return _conversation(await _get_row(session, principal, conversation_id))


async def list_conversations(
    session: AsyncSession, principal: Principal, *, after: UUID | None, limit: int, order: Order
) -> Page[Conversation]:
    """The caller's conversations, by when they were last changed.

    Raises:
        UnknownCursorError: ``after`` is none of them.
    """
    page = await fetch_page(
        session,
        select(ConversationRow).where(visible_to(principal, ConversationRow)),
        sort=(ConversationRow.updated_at, ConversationRow.id),
        after=after,
        limit=limit,
        order=order,
        within=visible_to(principal, ConversationRow, include_deleted=True),
    )
    return page.map(_conversation)


async def update_conversation(
    session: AsyncSession, principal: Principal, *, conversation_id: UUID, metadata: Mapping[str, str]
) -> Conversation:
    """Replace the metadata.

    Raises:
        ConversationNotFoundError: Not visible to the caller.
        MetadataError: The metadata is out of its bounds.
    """
    row = await _get_row(session, principal, conversation_id, lock=True)
    row.labels = check_metadata(metadata)
    row.updated_at = utc_now()
    await session.flush()
    return _conversation(row)


async def delete_conversation(session: AsyncSession, principal: Principal, *, conversation_id: UUID) -> None:
    """Delete a conversation; responses that went on from it stay.

    Raises:
        ConversationNotFoundError: Not visible to the caller.
    """
    row = await _get_row(session, principal, conversation_id, lock=True)
    row.deleted_at = utc_now()
    await session.execute(delete(ConversationItemRow).where(ConversationItemRow.conversation_id == row.id))
    await session.flush()


async def add_items(
    session: AsyncSession, principal: Principal, *, conversation_id: UUID, items: Sequence[Mapping[str, Any]]
) -> list[ConversationItem]:
    """Append at most 20 items.

    Raises:
        ConversationNotFoundError: Not visible to the caller.
        ItemError, TooManyItemsError: Something is out of its bounds.
    """
    row = await _get_row(session, principal, conversation_id, lock=True)
    return await _append_new(session, row, items)


async def list_items(
    session: AsyncSession, principal: Principal, *, conversation_id: UUID, after: str | None, limit: int, order: Order
) -> Page[ConversationItem]:
    """The items of a conversation.

    Raises:
        ConversationNotFoundError: Not visible to the caller.
        UnknownCursorError: ``after`` is none of them.
    """
    row = await _get_row(session, principal, conversation_id)
    query = select(ConversationItemRow).where(ConversationItemRow.conversation_id == row.id)
    position = ConversationItemRow.position
    if after is not None:
        found = await _find_item(session, row.id, after)
        if found is None:
            raise UnknownCursorError
        query = query.where(position < found.position if order is Order.DESC else position > found.position)
    query = query.order_by(position.desc() if order is Order.DESC else position).limit(limit + 1)
    rows = (await session.scalars(query)).all()
    return Page(tuple(_item(one) for one in rows[:limit]), len(rows) > limit)


async def get_item(
    session: AsyncSession, principal: Principal, *, conversation_id: UUID, item_id: str
) -> ConversationItem:
    """One item.

    Raises:
        ConversationNotFoundError, ConversationItemNotFoundError: Not visible to the caller, or not there.
    """
    row = await _get_row(session, principal, conversation_id)
    found = await _find_item(session, row.id, item_id)
    if found is None:
        raise ConversationItemNotFoundError
    return _item(found)


async def delete_item(
    session: AsyncSession, principal: Principal, *, conversation_id: UUID, item_id: str
) -> Conversation:
    """Remove one item.

    Raises:
        ConversationNotFoundError, ConversationItemNotFoundError: Not visible to the caller, or not there.
    """
    row = await _get_row(session, principal, conversation_id, lock=True)
    found = await _find_item(session, row.id, item_id)
    if found is None:
        raise ConversationItemNotFoundError
    await session.delete(found)
    row.updated_at = utc_now()
    await session.flush()
    return _conversation(row)


async def read_items(session: AsyncSession, conversation_id: UUID) -> list[ConversationItem]:
    """All items in order, for a response that goes on from them; whoever asks has checked who may."""
    query = (
        select(ConversationItemRow)
        .where(ConversationItemRow.conversation_id == conversation_id)
        .order_by(ConversationItemRow.position)
        .limit(MAX_ITEMS)
    )
    return [_item(row) for row in await session.scalars(query)]


async def append_items(session: AsyncSession, conversation_id: UUID, items: Sequence[ConversationItem]) -> None:
    """Append what a response added. A conversation that was deleted meanwhile is left alone."""
    query = select(ConversationRow).where(ConversationRow.id == conversation_id).with_for_update()
    row = await session.scalar(query)
    if row is not None and row.deleted_at is None:
        await _append(session, row, items)


async def _append_new(
    session: AsyncSession, row: ConversationRow, items: Sequence[Mapping[str, Any]]
) -> list[ConversationItem]:
    if len(items) > MAX_NEW_ITEMS:
        raise TooManyItemsError(
            f"`items` has {len(items)} entries; at most {MAX_NEW_ITEMS} are allowed.", param="items"
        )
    if row.item_count + len(items) > MAX_ITEMS:
        raise TooManyItemsError(f"A conversation holds at most {MAX_ITEMS:,} items; begin another.", param="items")
    added = [ConversationItem(item) for item in check_items(items, where="items")]
    await _append(session, row, added)
    return added


async def _append(session: AsyncSession, row: ConversationRow, items: Sequence[ConversationItem]) -> None:
    now = utc_now()
    known: set[str] = set()
    if items:
        ids = [str(one.item["id"]) for one in items]
        there = select(ConversationItemRow.item_id).where(
            ConversationItemRow.conversation_id == row.id, ConversationItemRow.item_id.in_(ids)
        )
        known = set(await session.scalars(there))
    values: list[dict[str, Any]] = []
    for one in items:
        name = str(one.item["id"])
        if name in known:
            # A client may send back what the conversation holds already.
            continue
        known.add(name)
        values.append(
            {
                "conversation_id": row.id,
                "position": row.item_count + len(values),
                "item_id": name,
                "item": dict(one.item),
                "response_id": one.response_id,
                "turn": one.turn,
                "created_at": now,
            }
        )
    if values:
        await session.execute(insert(ConversationItemRow), values)
    row.item_count += len(values)
    row.updated_at = now
    await session.flush()


async def _get_row(
    session: AsyncSession, principal: Principal, conversation_id: UUID, *, lock: bool = False
) -> ConversationRow:
    query = select(ConversationRow).where(ConversationRow.id == conversation_id, visible_to(principal, ConversationRow))
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise ConversationNotFoundError
    return row


async def _find_item(session: AsyncSession, conversation_id: UUID, item_id: str) -> ConversationItemRow | None:
    query = select(ConversationItemRow).where(
        ConversationItemRow.conversation_id == conversation_id, ConversationItemRow.item_id == item_id
    )
    return await session.scalar(query)


def _conversation(row: ConversationRow) -> Conversation:
    return Conversation(row.id, row.labels, row.created_at, row.deleted_at)


def _item(row: ConversationItemRow) -> ConversationItem:
    return ConversationItem(row.item, row.response_id, row.turn)
