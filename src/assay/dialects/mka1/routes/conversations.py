"""Conversations and their items (M§3.7)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query

from assay.core.conversations import service
from assay.core.conversations.items import public_item
from assay.core.conversations.service import ConversationItem
from assay.db.paging import Order
from assay.dialects.mka1.identifiers import Prefix, write_id
from assay.dialects.mka1.query import AfterConversation, PageLimit
from assay.dialects.mka1.responses import read_conversation_id, to_conversation
from assay.dialects.mka1.route import ResponsesReader, ResponsesWriter, Session, mka1_router
from assay.dialects.mka1.routes.responses import to_item_list
from assay.dialects.mka1.wire.responses import (
    CreateConversation,
    CreateItems,
    UpdateConversation,
    WireConversation,
    WireConversationDeleted,
    WireConversationList,
    WireItemList,
)

NotSupported = Annotated[str | None, Query(max_length=0, description="There is no search.")]

router = mka1_router("/api/v1/llm/conversations", tag="conversations")


@router.post("")
async def create_conversation(body: CreateConversation, caller: ResponsesWriter, session: Session) -> WireConversation:
    """Begin a conversation."""
    made = await service.create_conversation(session, caller, items=body.items or (), metadata=body.metadata)
    return to_conversation(made)


@router.get("")
async def list_conversations(
    caller: ResponsesReader,
    session: Session,
    after: AfterConversation = None,
    limit: PageLimit = 20,
    order: Order = Order.ASC,
    search: NotSupported = None,
) -> WireConversationList:
    """List conversations by when they were last changed."""
    page = await service.list_conversations(session, caller, after=after, limit=limit, order=order)
    data = [to_conversation(conversation) for conversation in page.items]
    first, last = (data[0].id, data[-1].id) if data else ("", "")
    return WireConversationList(object="list", data=data, first_id=first, last_id=last, has_more=page.has_more)


@router.get("/{conversation_id}")
async def get_conversation(conversation_id: str, caller: ResponsesReader, session: Session) -> WireConversation:
    """Retrieve a conversation."""
    row_id = read_conversation_id(conversation_id)
    return to_conversation(await service.get_conversation(session, caller, conversation_id=row_id))


@router.post("/{conversation_id}")
async def update_conversation(
    conversation_id: str, body: UpdateConversation, caller: ResponsesWriter, session: Session
) -> WireConversation:
    """Replace a conversation's metadata."""
    changed = await service.update_conversation(
        session, caller, conversation_id=read_conversation_id(conversation_id), metadata=body.metadata
    )
    return to_conversation(changed)


@router.delete("/{conversation_id}")
async def delete_conversation(
    conversation_id: str, caller: ResponsesWriter, session: Session
) -> WireConversationDeleted:
    """Delete a conversation."""
    row_id = read_conversation_id(conversation_id)
    await service.delete_conversation(session, caller, conversation_id=row_id)
    return WireConversationDeleted(
        id=write_id(Prefix.CONVERSATION, row_id), object="conversation.deleted", deleted=True
    )


@router.get("/{conversation_id}/items")
async def list_conversation_items(
    conversation_id: str,
    caller: ResponsesReader,
    session: Session,
    after: str | None = None,
    limit: PageLimit = 20,
    order: Order = Order.ASC,
) -> WireItemList:
    """List the items of a conversation."""
    page = await service.list_items(
        session,
        caller,
        conversation_id=read_conversation_id(conversation_id),
        after=after,
        limit=limit,
        order=order,
    )
    return to_item_list([_item(item) for item in page.items], has_more=page.has_more)


@router.post("/{conversation_id}/items")
async def create_conversation_items(
    conversation_id: str, body: CreateItems, caller: ResponsesWriter, session: Session
) -> WireItemList:
    """Append items to a conversation."""
    added = await service.add_items(
        session, caller, conversation_id=read_conversation_id(conversation_id), items=body.items
    )
    return to_item_list([_item(item) for item in added], has_more=False)


@router.get("/{conversation_id}/items/{item_id}")
async def get_conversation_item(
    conversation_id: str, item_id: str, caller: ResponsesReader, session: Session
) -> dict[str, Any]:
    """Retrieve one item."""
    row_id = read_conversation_id(conversation_id)
    return _item(await service.get_item(session, caller, conversation_id=row_id, item_id=item_id))


@router.delete("/{conversation_id}/items/{item_id}")
async def delete_conversation_item(
    conversation_id: str, item_id: str, caller: ResponsesWriter, session: Session
) -> WireConversation:
    """Remove one item."""
    row_id = read_conversation_id(conversation_id)
    return to_conversation(await service.delete_item(session, caller, conversation_id=row_id, item_id=item_id))


def _item(entry: ConversationItem) -> dict[str, Any]:
    if entry.response_id is None:
        return dict(entry.item)
    return {**public_item(entry.item), "response_id": write_id(Prefix.RESPONSE, entry.response_id)}
