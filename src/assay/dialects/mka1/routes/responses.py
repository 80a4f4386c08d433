"""Responses (M§3.7)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from assay.core.requests.service import StoredResponse
from assay.core.responses import service
from assay.core.responses.errors import ResponseInputError
from assay.db.paging import Order
from assay.dialects.edge.state import state_of
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.agents import iso
from assay.dialects.mka1.following import MEDIA_TYPE
from assay.dialects.mka1.query import AfterResponse, PageLimit
from assay.dialects.mka1.responses import from_create_response, read_response_id, render_response
from assay.dialects.mka1.route import Mka1Route, ResponsesReader, ResponsesWriter, Session, State, mka1_router
from assay.dialects.mka1.waiting import EVENTS_WHEN_DONE, JSON_WHEN_DONE, WaitingResponse, follow_response
from assay.dialects.mka1.wire.base import WireList
from assay.dialects.mka1.wire.responses import (
    CreateResponse,
    UpdateResponse,
    WakeResponse,
    WireItemList,
    WireResponse,
    WireResponseDeleted,
    WireResponseWake,
)
from assay.kit.clock import utc_now

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"model": WireResponse, "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "OK"}
}


class ResponseRoute(Mka1Route):
    """A repeated request waits for the response that the first one made."""

    def replay(self, request: Request, remembered: StoredResponse) -> Response:
        """The same answer again, which may still be to come."""
        if remembered.content_type not in {JSON_WHEN_DONE, EVENTS_WHEN_DONE}:
            return super().replay(request, remembered)
        response_id = read_response_id(f"resp_{remembered.body.decode()}")
        return WaitingResponse(state_of(request).sessions, response_id, request, kind=remembered.content_type)


router = mka1_router("/api/v1/llm/responses", tag="responses", route_class=ResponseRoute)


@router.post("", responses=_EVENTS, response_model=WireResponse)
async def create_response(
    body: CreateResponse, caller: ResponsesWriter, session: Session, state: State, request: Request
) -> Any:
    """Make a response: at once when it is to run in the background, else when it has ended, or as events."""
    new = from_create_response(body)
    if new.background and not new.stored:
        raise ResponseInputError("`background` responses are stored; leave `store` out.", param="store")
    response = await service.create_response(session, caller, new=new, tools=state.responses)
    if body.stream is True:
        return WaitingResponse(state.sessions, response.id, request, kind=EVENTS_WHEN_DONE)
    if new.background:
        return WireResponse(**render_response(response))
    return WaitingResponse(state.sessions, response.id, request, kind=JSON_WHEN_DONE)


@router.get("")
async def list_responses(
    caller: ResponsesReader,
    session: Session,
    after: AfterResponse = None,
    before: AfterResponse = None,
    limit: PageLimit = 20,
    order: Order = Order.DESC,
) -> WireList[WireResponse]:
    """List stored responses by age; ``before`` gives the page that ends ahead of an id."""
    if after is not None and before is not None:
        raise ResponseInputError("`after` and `before` exclude each other.", param="before")
    backwards = before is not None
    direction = (Order.ASC if order is Order.DESC else Order.DESC) if backwards else order
    page = await service.list_responses(session, caller, after=before or after, limit=limit, order=direction)
    listed = mapping.to_list(page, lambda response: WireResponse(**render_response(response)))
    if backwards:
        listed.data.reverse()
        listed.first_id, listed.last_id = listed.last_id, listed.first_id
    return listed


@router.get("/{response_id}", responses=_EVENTS, response_model=WireResponse)
async def get_response(
    response_id: str,
    caller: ResponsesReader,
    session: Session,
    state: State,
    request: Request,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
) -> Any:
    """Retrieve a response, or follow its events."""
    response = await service.get_response(session, caller, response_id=read_response_id(response_id))
    if not stream:
        return WireResponse(**render_response(response))
    after = -1 if starting_after is None else starting_after
    frames = follow_response(state.sessions, response.id, after=after, is_gone=request.is_disconnected)
    return StreamingResponse(frames, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-cache"})


@router.post("/{response_id}")
async def update_response(
    response_id: str, body: UpdateResponse, caller: ResponsesWriter, session: Session
) -> WireResponse:
    """Replace a response's metadata."""
    response = await service.update_response(
        session, caller, response_id=read_response_id(response_id), metadata=body.metadata
    )
    return WireResponse(**render_response(response))


@router.delete("/{response_id}")
async def delete_response(response_id: str, caller: ResponsesWriter, session: Session) -> WireResponseDeleted:
    """Delete a response."""
    await service.delete_response(session, caller, response_id=read_response_id(response_id))
    return WireResponseDeleted(id=response_id, object="response", deleted=True)


@router.post("/{response_id}/cancel")
async def cancel_response(response_id: str, caller: ResponsesWriter, session: Session) -> WireResponse:
    """Cancel a response that has not ended."""
    response = await service.cancel_response(session, caller, response_id=read_response_id(response_id))
    return WireResponse(**render_response(response))


@router.post("/{response_id}/wake")
async def wake_response(
    response_id: str, body: WakeResponse, caller: ResponsesWriter, session: Session
) -> WireResponseWake:
    """End the sleep of a response, and give it something to go on with."""
    await service.wake_response(session, caller, response_id=read_response_id(response_id), input=body.input)
    return WireResponseWake(object="response.sleep_wake", response_id=response_id, created_at=iso(utc_now()))


@router.get("/{response_id}/input_items")
async def list_response_input_items(
    response_id: str,
    caller: ResponsesReader,
    session: Session,
    after: str | None = None,
    limit: PageLimit = 20,
    order: Order = Order.DESC,
) -> WireItemList:
    """List what a response was given."""
    page = await service.list_input_items(
        session, caller, response_id=read_response_id(response_id), after=after, limit=limit, order=order
    )
    return to_item_list([dict(item) for item in page.items], has_more=page.has_more)


def to_item_list(items: list[dict[str, Any]], *, has_more: bool) -> WireItemList:
    """A page of items; the published form wants texts for the ids of an empty one."""
    first, last = (items[0]["id"], items[-1]["id"]) if items else ("", "")
    return WireItemList(object="list", data=items, first_id=first, last_id=last, has_more=has_more)
