"""Deliveries of a schedule's webhook. Not part of the published API: ours, beside the schedule's own paths."""

from __future__ import annotations

from assay.core.schedules.service import get_schedule
from assay.core.webhooks import service
from assay.core.webhooks.types import DeliveryFilter, DeliveryStatus, OwnerKind
from assay.db.paging import Page
from assay.dialects.mka1.deliveries import delivery_writer, to_delivery
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.mapping import to_list
from assay.dialects.mka1.query import AfterEvent, PageLimit, RunIdFilter
from assay.dialects.mka1.route import EvalsReader, EvalsWriter, Session, mka1_router
from assay.dialects.mka1.wire.base import WireList
from assay.dialects.mka1.wire.deliveries import WireDelivery

router = mka1_router("/api/v1/llm/evals", tag="webhooks")


@router.get("/schedules/{schedule_id}/deliveries")
async def list_deliveries(
    schedule_id: str,
    caller: EvalsReader,
    session: Session,
    after: AfterEvent = None,
    limit: PageLimit = 20,
    run_id: RunIdFilter = None,
    status: DeliveryStatus | None = None,
) -> WireList[WireDelivery]:
    """List what was sent to a schedule's webhook, newest first."""
    owner_id = read_id(Prefix.SCHEDULE, schedule_id, param="schedule_id")
    await get_schedule(session, caller, schedule_id=owner_id)
    endpoints = await service.find_endpoints(session, owner_kind=OwnerKind.SCHEDULE, owner_ids=[owner_id])
    if owner_id not in endpoints:
        return to_list(Page(items=(), has_more=False), delivery_writer(owner_id))
    page = await service.list_deliveries(
        session,
        caller,
        endpoint_id=endpoints[owner_id].id,
        delivery_filter=DeliveryFilter(status=status, subject_id=run_id),
        after=after,
        limit=limit,
    )
    return to_list(page, delivery_writer(owner_id))


@router.post("/schedules/{schedule_id}/deliveries/{delivery_id}/redeliver")
async def redeliver(schedule_id: str, delivery_id: str, caller: EvalsWriter, session: Session) -> WireDelivery:
    """Send an event again."""
    owner_id = read_id(Prefix.SCHEDULE, schedule_id, param="schedule_id")
    endpoint = await service.get_endpoint(session, caller, owner_kind=OwnerKind.SCHEDULE, owner_id=owner_id)
    row_id = read_id(Prefix.EVENT, delivery_id, param="delivery_id")
    delivery = await service.redeliver(session, caller, endpoint_id=endpoint.id, delivery_id=row_id)
    return to_delivery(delivery, owner_id)
