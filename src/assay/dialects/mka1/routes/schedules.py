"""Schedules (M§2.1, rows 30 to 36), and their history, which is ours."""

from __future__ import annotations

from uuid import UUID

from assay.core.runs.types import RunFilter, RunStatus
from assay.core.schedules import service
from assay.core.schedules.history import list_history
from assay.core.schedules.types import Schedule, ScheduleFilter
from assay.dialects.edge.state import ApiState, give_back
from assay.dialects.mka1 import mapping
from assay.dialects.mka1.identifiers import Prefix, read_id
from assay.dialects.mka1.query import (
    AfterFire,
    AfterRun,
    AfterSchedule,
    Flag,
    PageLimit,
    SuiteIdFilter,
    SuiteVersionFilter,
    parse_flag,
)
from assay.dialects.mka1.route import EvalsReader, EvalsWriter, Session, State, mka1_router
from assay.dialects.mka1.schedules import from_create_schedule, from_update_schedule, to_fire, to_schedule
from assay.dialects.mka1.wire.base import WireList
from assay.dialects.mka1.wire.runs import WireRun
from assay.dialects.mka1.wire.schedules import (
    CreateSchedule,
    UpdateSchedule,
    WireFire,
    WireSchedule,
    WireScheduleDeleted,
)

router = mka1_router("/api/v1/llm/evals", tag="schedules")


@router.post("/schedules")
async def create_schedule(body: CreateSchedule, caller: EvalsWriter, session: Session, state: State) -> WireSchedule:
    """Create a schedule."""
    schedule = await service.create_schedule(session, caller, new=from_create_schedule(body), webhooks=state.webhooks)
    return to_schedule(schedule, schedule.next_due_at)


@router.get("/schedules")
async def list_schedules(
    caller: EvalsReader,
    session: Session,
    state: State,
    after: AfterSchedule = None,
    limit: PageLimit = 20,
    suite_id: SuiteIdFilter = None,
    enabled: Flag = None,
) -> WireList[WireSchedule]:
    """List schedules, newest first."""
    schedule_filter = ScheduleFilter(suite_id=suite_id, enabled=parse_flag(enabled))
    page = await service.list_schedules(session, caller, schedule_filter=schedule_filter, after=after, limit=limit)
    await give_back(session)
    next_fires = await state.clock.next_fires(page.items)
    return mapping.to_list(page, lambda schedule: to_schedule(schedule, next_fires[schedule.id]))


@router.get("/schedules/{schedule_id}")
async def get_schedule(schedule_id: str, caller: EvalsReader, session: Session, state: State) -> WireSchedule:
    """Retrieve a schedule."""
    row_id = _read(schedule_id)
    schedule = await service.get_schedule(session, caller, schedule_id=row_id)
    await give_back(session)
    return await _with_next_run(state, schedule)


@router.patch("/schedules/{schedule_id}")
async def update_schedule(
    schedule_id: str, body: UpdateSchedule, caller: EvalsWriter, session: Session, state: State
) -> WireSchedule:
    """Change a schedule; null clears, what is left out stays."""
    schedule = await service.update_schedule(
        session, caller, schedule_id=_read(schedule_id), changes=from_update_schedule(body), webhooks=state.webhooks
    )
    return to_schedule(schedule, schedule.next_due_at)


@router.delete("/schedules/{schedule_id}")
async def delete_schedule(schedule_id: str, caller: EvalsWriter, session: Session) -> WireScheduleDeleted:
    """Delete a schedule; its runs stay."""
    await service.delete_schedule(session, caller, schedule_id=_read(schedule_id))
    return WireScheduleDeleted(id=schedule_id, object="eval.schedule.deleted", deleted=True)


@router.post("/schedules/{schedule_id}/trigger")
async def trigger_schedule(schedule_id: str, caller: EvalsWriter, session: Session, state: State) -> WireSchedule:
    """Fire a schedule at once, besides its cadence."""
    schedule = await service.trigger_schedule(session, caller, schedule_id=_read(schedule_id), catalog=state.catalog)
    return to_schedule(schedule, schedule.next_due_at)


@router.get("/schedules/{schedule_id}/runs")
async def list_schedule_runs(
    schedule_id: str,
    caller: EvalsReader,
    session: Session,
    after: AfterRun = None,
    limit: PageLimit = 20,
    suite_id: SuiteIdFilter = None,
    suite_version: SuiteVersionFilter = None,
    status: RunStatus | None = None,
) -> WireList[WireRun]:
    """List the runs that a schedule made, newest first."""
    page = await service.list_schedule_runs(
        session,
        caller,
        schedule_id=_read(schedule_id),
        run_filter=RunFilter(suite_id=suite_id, suite_version=suite_version, status=status),
        after=after,
        limit=limit,
    )
    return mapping.to_list(page, mapping.to_run)


@router.get("/schedules/{schedule_id}/history")
async def list_schedule_history(
    schedule_id: str, caller: EvalsReader, session: Session, after: AfterFire = None, limit: PageLimit = 20
) -> WireList[WireFire]:
    """List what each fire came to, newest first, and how each run did compared with the one before it."""
    page = await list_history(session, caller, schedule_id=_read(schedule_id), after=after, limit=limit)
    return mapping.to_list(page, to_fire)


def _read(schedule_id: str) -> UUID:
    return read_id(Prefix.SCHEDULE, schedule_id, param="schedule_id")


async def _with_next_run(state: ApiState, schedule: Schedule) -> WireSchedule:
    next_fires = await state.clock.next_fires([schedule])
    return to_schedule(schedule, next_fires[schedule.id])
