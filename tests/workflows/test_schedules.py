"""The clock and the ledger together, on a real Temporal. Intervals below a minute come from the tests alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select, text
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client
from tests.support import evals as support
from tests.support.evals import Evals, kill, open_evals, question_rows, spawn_worker, working
from tests.support.model_server import ModelServer
from tests.support.waiting import eventually

from assay.core.schedules import repository, service
from assay.core.schedules.cadence import CronCadence, OnceCadence
from assay.core.schedules.cron import parse_cron
from assay.core.schedules.models import FireRow
from assay.core.schedules.types import (
    Fire,
    FireKind,
    FireOutcome,
    NewSchedule,
    OverlapPolicy,
    Schedule,
    ScheduleChanges,
)
from assay.core.webhooks.types import WebhookTools
from assay.db import migrate
from assay.db.session import transaction
from assay.outbound.policy import OutboundPolicy
from assay.worker import schedule_kinds
from assay.workflows.schedules.adapter import ClockDefinition, TemporalClock
from assay.workflows.schedules.kinds import EVAL_SCHEDULES
from assay.workflows.schedules.reading import ClockReadings
from assay.workflows.schedules.shared import FireInput
from assay.workflows.schedules.syncing import OVERDUE_AFTER, Reconciler, Repairs, sync_schedule

NO_SECRETS = WebhookTools(OutboundPolicy.of([], []), None)

SUPERVISOR = Path(support.__file__).with_name("supervisor.py")


@pytest.fixture
async def evals(database_url: str, temporal_address: str, tmp_path: Path) -> AsyncIterator[Evals]:
    async with (
        ModelServer() as models,
        open_evals(
            database_url=database_url, temporal_address=temporal_address, home=tmp_path, models=models
        ) as opened,
    ):
        yield opened


@pytest.fixture
def clock(temporal_client: Client) -> TemporalClock:
    return TemporalClock(temporal_client, task_queue=f"clock-{uuid4().hex}")


def clock_of(evals: Evals) -> TemporalClock:
    return TemporalClock(evals.runtime.temporal, task_queue=evals.place.task_queue)


def reconciler_of(evals: Evals) -> Reconciler:
    runtime = evals.runtime
    return Reconciler(
        runtime.engine,
        runtime.sessions,
        clock_of(evals),
        kinds=schedule_kinds(runtime),
        wake_dispatcher=lambda: None,
    )


async def make(evals: Evals, *, every: int = 60, policy: OverlapPolicy = OverlapPolicy.ALLOW_ALL) -> Schedule:
    """A schedule; below a minute the interval is put into the row, past the checks."""
    suite_id = await evals.suite(question_rows(2))
    new = NewSchedule(
        name="s",
        suite_id=suite_id,
        run={"models": [support.MODEL]},
        interval_seconds=max(every, 60),
        overlap_policy=policy,
    )
    async with transaction(evals.runtime.sessions) as session:
        schedule = await service.create_schedule(session, evals.principal, new=new, webhooks=NO_SECRETS)
        await session.execute(
            text("""
                UPDATE schedules SET interval_seconds = CAST(:every AS integer),
                    next_due_at = date_trunc('second', anchor_at) + make_interval(secs => CAST(:every AS integer))
                WHERE id = :id
            """),
            {"every": every, "id": schedule.id},
        )
    return schedule


async def update(evals: Evals, schedule: Schedule, changes: ScheduleChanges) -> Schedule:
    async with transaction(evals.runtime.sessions) as session:
        return await service.update_schedule(
            session,
            evals.principal,
            schedule_id=schedule.id,
            changes=changes,
            webhooks=NO_SECRETS,
        )


async def fires_of(evals: Evals, schedule: Schedule) -> list[Fire]:
    query = select(FireRow).where(FireRow.schedule_id == schedule.id).order_by(FireRow.due_at)
    async with evals.runtime.sessions() as session:
        return [repository.to_fire(row) for row in await session.scalars(query)]


async def matching_times(client: Client, schedule_id: str, start: datetime, end: datetime) -> set[datetime]:
    """What Temporal says, month by month: one answer holds a thousand instants at most."""
    found: set[datetime] = set()
    while start < end:
        until = min(start + timedelta(days=30), end)
        request = ListScheduleMatchingTimesRequest(
            namespace="default", schedule_id=schedule_id, start_time=_stamp(start), end_time=_stamp(until)
        )
        answer = await client.workflow_service.list_schedule_matching_times(request)
        found |= {at.ToDatetime().replace(tzinfo=UTC) for at in answer.start_time}
        start = until
    return found


def _stamp(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def definition(cadence: CronCadence | OnceCadence, *, revision: int = 1, paused: bool = True) -> ClockDefinition:
    return ClockDefinition(f"test/{uuid4()}", revision, cadence, paused, "schedule_fire", FireInput(str(uuid4())))


@pytest.mark.parametrize(
    ("cron", "timezone"),
    [
        ("30 2 * * *", "America/New_York"),
        ("0 2 * * *", "America/New_York"),
        ("30 1 * * *", "America/New_York"),
        ("0 * * * *", "America/New_York"),
        ("15 2 * * *", "Australia/Lord_Howe"),
        ("45 1 * * *", "Australia/Lord_Howe"),
        ("*/15 1-2 * * *", "Australia/Lord_Howe"),
        ("30 2 * * *", "Asia/Tokyo"),
        ("0 9-17/2 1,15 */3 MON-FRI", "Europe/London"),
        ("0 0 13 * 5", "UTC"),
    ],
)
async def test_temporal_strikes_whenever_a_cron_is_due(
    clock: TemporalClock, temporal_client: Client, cron: str, timezone: str
) -> None:
    """All the due instants of the year after next month, and nothing else but the repeated local times."""
    cadence = CronCadence(parse_cron(cron), timezone)
    made = definition(cadence)
    now = datetime.now(UTC)
    await clock.put(made, now=now)
    start = now.replace(microsecond=0) + timedelta(days=31)
    end = min(start + timedelta(days=365), datetime(now.year + 2, 1, 1, tzinfo=UTC))
    due: set[datetime] = set()
    for at in cadence.after(start - timedelta(seconds=1)):
        if at > end:
            break
        due.add(at)
    struck = await matching_times(temporal_client, f"{clock_queue(clock)}/{made.name}", start, end)
    assert due
    assert due <= struck, sorted(due - struck)
    surplus = struck - due
    assert len(surplus) <= 2 * len(cadence.expression.times), sorted(surplus)
    await clock.delete(made.name)


def clock_queue(clock: TemporalClock) -> str:
    return clock._task_queue  # pyright: ignore[reportPrivateUsage] - ids begin with it


async def test_once_strikes_once(clock: TemporalClock, temporal_client: Client) -> None:
    at = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    made = definition(OnceCadence(at), paused=False)
    await clock.put(made, now=datetime.now(UTC))
    name, end = f"{clock_queue(clock)}/{made.name}", datetime(2060, 1, 1, tzinfo=UTC)
    assert await matching_times(temporal_client, name, at - timedelta(days=90), end) == {at}
    entry = await clock.describe(made.name)
    assert entry is not None
    assert entry.next_fires[0] == at
    await clock.delete(made.name)
    await clock.delete(made.name)
    assert await clock.describe(made.name) is None


async def test_an_older_revision_does_not_win(clock: TemporalClock) -> None:
    new = definition(CronCadence(parse_cron("0 3 * * *"), "UTC"), revision=7)
    now = datetime.now(UTC)
    await clock.put(new, now=now)
    old = ClockDefinition(new.name, 6, new.cadence, paused=False, workflow=new.workflow, argument=new.argument)
    await clock.put(old, now=now)
    entry = await clock.describe(new.name)
    assert entry is not None
    assert (entry.note, entry.paused) == (new.note(now), True)
    await clock.delete(new.name)


async def test_the_clock_follows_the_row(evals: Evals) -> None:
    schedule, clock = await make(evals), clock_of(evals)
    name, sessions = EVAL_SCHEDULES.clock_name(schedule.id), evals.runtime.sessions
    await sync_schedule(sessions, clock, EVAL_SCHEDULES, schedule.id)
    entry = await clock.describe(name)
    assert entry is not None
    assert not entry.paused
    readings = await ClockReadings(clock).next_fires([schedule])
    assert readings[schedule.id] == entry.next_fires[0] == schedule.next_due_at
    paused = await update(evals, schedule, ScheduleChanges(enabled=False))
    assert await ClockReadings(clock).next_fires([paused]) == {schedule.id: None}
    await sync_schedule(sessions, clock, EVAL_SCHEDULES, schedule.id)
    entry = await clock.describe(name)
    assert entry is not None
    assert entry.paused
    async with transaction(sessions) as session:
        await service.delete_schedule(session, evals.principal, schedule_id=schedule.id)
    await sync_schedule(sessions, clock, EVAL_SCHEDULES, schedule.id)
    assert await clock.describe(name) is None


async def test_an_instant_that_passed_before_the_clock_knew_is_struck_at_once(evals: Evals) -> None:
    schedule = await make(evals, every=3600)
    async with transaction(evals.runtime.sessions) as session:
        columns = ("anchor_at", "settled_until", "next_due_at")
        shifts = ", ".join(f"{column} = {column} - interval '1 hour'" for column in columns)
        await session.execute(text(f"UPDATE schedules SET {shifts}"))
    async with working(evals):
        await sync_schedule(evals.runtime.sessions, clock_of(evals), EVAL_SCHEDULES, schedule.id)

        async def fired() -> Fire:
            fires = await fires_of(evals, schedule)
            assert len(fires) == 1
            return fires[0]

        # Sooner than the reconciler would settle it.
        fire = await eventually(fired, timeout=OVERDUE_AFTER.total_seconds() / 2)
    assert (fire.outcome, fire.kind) == (FireOutcome.RUN, FireKind.CADENCE)


async def test_the_reconciler_repairs_everything(evals: Evals, temporal_client: Client) -> None:
    clock, reconciler = clock_of(evals), reconciler_of(evals)
    missing, stale, resumed, fine = [await make(evals) for _ in range(4)]
    for schedule in (stale, resumed, fine):
        await sync_schedule(evals.runtime.sessions, clock, EVAL_SCHEDULES, schedule.id)
    await update(evals, stale, ScheduleChanges(cron="0 3 * * *"))
    queue = evals.place.task_queue
    await temporal_client.get_schedule_handle(f"{queue}/{EVAL_SCHEDULES.clock_name(resumed.id)}").pause()
    orphan, foreign = uuid4(), definition(CronCadence(parse_cron("0 3 * * *"), "UTC"))
    cadence = CronCadence(parse_cron("0 3 * * *"), "UTC")
    named = ClockDefinition(
        EVAL_SCHEDULES.clock_name(orphan), 1, cadence, False, "schedule_fire", FireInput(str(orphan))
    )
    await clock.put(named, now=datetime.now(UTC))
    await clock.put(foreign, now=datetime.now(UTC))

    async def listed(count: int) -> bool:
        return len([entry async for entry in clock.list_entries()]) == count

    await eventually(lambda: listed(5))
    repairs = await reconciler.reconcile()
    assert repairs == Repairs(put=3, deleted=1)
    for schedule in (missing, stale, resumed, fine):
        entry = await clock.describe(EVAL_SCHEDULES.clock_name(schedule.id))
        assert entry is not None
        assert not entry.paused
        assert entry.note.startswith("revision 2," if schedule is stale else "revision 1,")
    assert await clock.describe(EVAL_SCHEDULES.clock_name(orphan)) is None
    assert await clock.describe(foreign.name) is not None, "of another kind: not ours to delete"

    async def settled() -> bool:
        return await reconciler.reconcile() == Repairs()

    await eventually(settled)
    await clock.delete(foreign.name)


async def test_the_reconciler_catches_up_once(evals: Evals) -> None:
    schedule, reconciler = await make(evals), reconciler_of(evals)
    async with transaction(evals.runtime.sessions) as session:
        columns = ("anchor_at", "settled_until", "next_due_at")
        shifts = ", ".join(f"{column} = {column} - interval '1 day 30 seconds'" for column in columns)
        await session.execute(text(f"UPDATE schedules SET {shifts}"))
    repairs = await reconciler.reconcile()
    assert repairs is not None
    assert repairs.settled == 1
    missed, caught_up = await fires_of(evals, schedule)
    assert (missed.outcome, missed.count) == (FireOutcome.MISSED, 1439)
    assert caught_up.outcome is FireOutcome.RUN
    repairs = await reconciler.reconcile()
    assert repairs is not None
    assert repairs.settled == 0


async def test_one_reconciler_at_a_time(evals: Evals) -> None:
    await make(evals)
    found = await asyncio.gather(*(reconciler_of(evals).reconcile() for _ in range(3)))
    assert None in found
    assert any(found)


async def test_a_fire_becomes_a_finished_run(evals: Evals) -> None:
    schedule = await make(evals, every=2)
    async with working(evals):

        async def ran_twice() -> list[Fire]:
            fires = await fires_of(evals, schedule)
            assert len([fire for fire in fires if fire.outcome is FireOutcome.RUN]) >= 2
            return fires

        fires = await eventually(ran_twice, timeout=30)
        assert fires[0].run_id is not None
        run = await evals.until(fires[0].run_id)
    assert run.metrics is not None
    assert all(fire.kind is FireKind.CADENCE for fire in fires)
    assert fires[0].started_at is not None


async def test_a_buffered_fire_starts_when_the_run_ends(evals: Evals) -> None:
    evals.models.behaviour.latency_seconds = 3
    schedule = await make(evals, every=2, policy=OverlapPolicy.BUFFER_ONE)
    async with working(evals):

        async def waited() -> bool:
            fires = await fires_of(evals, schedule)
            return any(fire.outcome is FireOutcome.RUN and fire.blocked_by is not None for fire in fires)

        await eventually(waited, timeout=30)
        await update(evals, schedule, ScheduleChanges(enabled=False))


def check_account(fires: list[Fire], *, every: int) -> Counter[FireOutcome]:
    """Every due instant, from the first recorded to the last, has exactly one record."""
    seen: list[datetime] = []
    for fire in fires:
        seen.extend(fire.due_at + timedelta(seconds=every * n) for n in range(fire.count))
    expected = [seen[0] + timedelta(seconds=every * n) for n in range(len(seen))]
    assert seen == expected
    run_ids = [fire.run_id for fire in fires if fire.run_id is not None]
    assert len(run_ids) == len(set(run_ids))
    return Counter(fire.outcome for fire in fires)


@pytest.mark.timeout(150)
async def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """SIGKILL of the worker, of Temporal and of PostgreSQL while a schedule fires every two seconds."""
    async with (
        ModelServer() as models,
        _services(tmp_path / "services") as report,
        _open(tmp_path / "evals", report, models) as evals,
    ):
        schedule = await make(evals, every=2)
        worker = await spawn_worker(evals.place)
        try:
            await _records(evals, schedule, 2)
            await kill(worker)
            worker = await spawn_worker(evals.place)
            for service_name in ("temporal", "postgres"):
                await _records(evals, schedule, await _count(evals, schedule) + 2)
                os.kill(report["pids"][service_name], signal.SIGKILL)
            await _records(evals, schedule, await _count(evals, schedule) + 3)
            await _disable(evals, schedule)
        finally:
            await kill(worker)
        fires = await fires_of(evals, schedule)
        outcomes = check_account(fires, every=2)
        assert set(outcomes) <= {FireOutcome.RUN, FireOutcome.MISSED}
        async with evals.runtime.sessions() as session:
            runs = set(await session.scalars(text("SELECT id FROM runs")))
        assert {UUID(str(run)) for run in runs} == {fire.run_id for fire in fires if fire.run_id is not None}


@asynccontextmanager
async def _services(home: Path) -> AsyncGenerator[dict[str, dict[str, int]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SUPERVISOR), str(home), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield orjson.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def _open(home: Path, report: dict[str, dict[str, int]], models: ModelServer) -> AsyncGenerator[Evals]:
    database_url, temporal_address = str(report["database_url"]), str(report["temporal_address"])
    await migrate.upgrade(database_url)
    async with open_evals(
        database_url=database_url, temporal_address=temporal_address, home=home, models=models
    ) as opened:
        yield opened


async def _count(evals: Evals, schedule: Schedule) -> int:
    async def counted() -> list[Fire]:
        with suppress(Exception):
            return await fires_of(evals, schedule)
        return []

    return len(await eventually(counted, timeout=60))


async def _records(evals: Evals, schedule: Schedule, count: int) -> None:
    async def recorded() -> bool:
        with suppress(Exception):
            return len(await fires_of(evals, schedule)) >= count
        return False

    await eventually(recorded, timeout=90)


async def _disable(evals: Evals, schedule: Schedule) -> None:
    async def disabled() -> bool:
        with suppress(Exception):
            await update(evals, schedule, ScheduleChanges(enabled=False))
            return True
        return False

    await eventually(disabled, timeout=30)
