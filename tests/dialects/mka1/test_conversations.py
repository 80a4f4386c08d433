"""Conversations and embeddings (M§3.7), by the published client."""

from __future__ import annotations

import base64
import struct

from tests.support.mka1 import Client

ITEM = {"type": "message", "role": "user", "content": "hello"}


async def test_a_conversation_lives_and_ends(client: Client) -> None:
    made = await client.ask("conversations.create", metadata={"a": "b"})
    assert made.id.startswith("conv_")
    assert (made.metadata, made.deleted_at) == ({"a": "b"}, None)
    assert await client.ask("conversations.get", conversation_id=made.id) == made
    changed = await client.ask("conversations.update", conversation_id=made.id, metadata={"c": "d"})
    assert changed.metadata == {"c": "d"}
    listed = await client.ask("conversations.list", limit=1, order="desc")
    assert [row.id for row in listed.data] == [made.id]
    assert (await client.ask("conversations.delete", conversation_id=made.id)).deleted is True
    await client.refused(404, "conversations.get", conversation_id=made.id)


async def test_items_are_added_listed_and_removed(client: Client) -> None:
    made = await client.ask("conversations.create")
    added = await client.ask("conversations.create_items", conversation_id=made.id, items=[ITEM, ITEM, ITEM])
    ids = [item.id for item in added.data]
    assert len(set(ids)) == 3

    page = await client.ask("conversations.list_items", conversation_id=made.id, order="asc", limit=2)
    assert ([item.id for item in page.data], page.has_more) == (ids[:2], True)
    rest = await client.ask("conversations.list_items", conversation_id=made.id, order="asc", after=page.last_id)
    assert [item.id for item in rest.data] == ids[2:]
    one = await client.ask("conversations.get_item", conversation_id=made.id, item_id=ids[0])
    assert one.content[0].text == "hello"
    await client.ask("conversations.delete_item", conversation_id=made.id, item_id=ids[0])
    await client.refused(404, "conversations.get_item", conversation_id=made.id, item_id=ids[0])


async def test_too_many_items_are_refused(client: Client) -> None:
    made = await client.ask("conversations.create")
    await client.refused(400, "conversations.create_items", conversation_id=made.id, items=[ITEM] * 21)


async def test_texts_are_embedded(client: Client) -> None:
    reply = await client.ask("embeddings.embed", model="simulator/embedding", input=["a b", "b c"], dimensions=8)
    assert [len(row.embedding) for row in reply.data] == [8, 8]
    assert reply.usage.prompt_tokens > 0

    packed = await client.ask(
        "embeddings.embed", model="simulator/embedding", input="a b", dimensions=8, encoding_format="base64"
    )
    values = struct.unpack("<8f", base64.b64decode(packed.data[0].embedding))
    assert list(values) == reply.data[0].embedding


async def test_models_that_embed_are_listed(client: Client) -> None:
    listed = await client.ask("embeddings.list_models")
    assert "simulator/embedding" in {row.id for row in listed.data}


async def test_embedding_needs_a_model_that_does(client: Client) -> None:
    await client.refused(400, "embeddings.embed", model="nobody/knows", input="a")
