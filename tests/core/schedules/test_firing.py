from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.core.schedules.conftest import Ledger

from assay.core.runs.retirement import delete_suite
from assay.core.runs.types import RunStatus
from assay.core.schedules.firing import fail_due, fire_due
from assay.core.schedules.types import FireKind, FireOutcome, OverlapPolicy
from assay.core.suites.errors import SuiteNotFoundError
from assay.db.session import transaction
from assay.gateway.errors import UnknownModelError
from assay.kit.clock import utc_now

RUN, SKIPPED, BUFFERED = FireOutcome.RUN, FireOutcome.SKIPPED, FireOutcome.BUFFERED
MISSED, FAILED = FireOutcome.MISSED, FireOutcome.FAILED


async def test_nothing_is_due_at_first(ledger: Ledger) -> None:
    schedule = await ledger.make()
    assert await ledger.fire(schedule) is None
    assert await ledger.fires(schedule) == []


async def test_a_due_instant_makes_one_run(ledger: Ledger) -> None:
    schedule = await ledger.make(metadata={"team": "a"})
    await ledger.age(schedule, seconds=65)
    fire = await ledger.fire(schedule)
    assert fire is not None
    assert (fire.kind, fire.outcome, fire.count, fire.reason) == (FireKind.CADENCE, RUN, 1, None)
    assert utc_now() - timedelta(seconds=7) < fire.due_at < utc_now() - timedelta(seconds=4)
    assert await ledger.fire(schedule) is None
    assert [one.id for one in await ledger.fires(schedule)] == [fire.id]
    assert await ledger.run_count() == 1


async def test_many_deliveries_at_once_make_one_run(ledger: Ledger) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.ALLOW_ALL)
    await ledger.age(schedule, seconds=60)
    found = await asyncio.gather(*(ledger.fire(schedule) for _ in range(6)))
    assert sum(fire is not None for fire in found) == 1
    assert await ledger.run_count() == 1


async def test_the_table_refuses_a_second_record(ledger: Ledger) -> None:
    schedule = await ledger.make()
    fire = await ledger.fire_at_once(schedule)
    async with ledger.sessions() as session:
        columns = "schedule_id, due_at, last_due_at, count, kind, outcome, recorded_at"
        copy = f"INSERT INTO schedule_fires (id, {columns}) SELECT gen_random_uuid(), {columns} FROM schedule_fires"
        with pytest.raises(Exception, match="ix_schedule_fires_due"):
            await session.execute(text(copy))
    assert [one.id for one in await ledger.fires(schedule)] == [fire.id]


async def test_a_rolled_back_fire_is_still_due(ledger: Ledger) -> None:
    schedule = await ledger.make()
    await ledger.age(schedule, seconds=60)
    async with ledger.sessions() as session:
        assert await fire_due(session, catalog=ledger.catalog, schedule_id=schedule.id) is not None
        await session.rollback()
    assert await ledger.fires(schedule) == []
    assert await ledger.run_count() == 0
    assert await ledger.fire(schedule) is not None


async def test_a_clock_slightly_ahead_is_believed(ledger: Ledger) -> None:
    schedule = await ledger.make()
    await ledger.age(schedule, seconds=58)
    due_at = schedule.created_at.replace(microsecond=0) + timedelta(seconds=2)
    async with transaction(ledger.sessions) as session:
        fire = await fire_due(session, catalog=ledger.catalog, schedule_id=schedule.id, scheduled_at=due_at)
        assert fire is not None
    assert await ledger.fire(schedule) is None


async def test_a_clock_far_ahead_is_not(ledger: Ledger) -> None:
    schedule = await ledger.make()
    async with transaction(ledger.sessions) as session:
        ahead = utc_now() + timedelta(seconds=61)
        assert await fire_due(session, catalog=ledger.catalog, schedule_id=schedule.id, scheduled_at=ahead) is None


async def test_after_an_outage_one_catches_up(ledger: Ledger) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.ALLOW_ALL, interval_seconds=300)
    await ledger.age(schedule, seconds=86_400 + 100)
    fire = await ledger.fire(schedule)
    missed, caught_up = await ledger.fires(schedule)
    assert fire == caught_up
    assert (caught_up.kind, caught_up.outcome) == (FireKind.CATCH_UP, RUN)
    assert (missed.outcome, missed.count) == (MISSED, 287)
    assert missed.reason
    assert missed.last_due_at - missed.due_at == timedelta(seconds=286 * 300)
    assert caught_up.due_at - missed.last_due_at == timedelta(seconds=300)
    assert await ledger.run_count() == 1


async def test_skip_drops_while_a_run_is_active(ledger: Ledger) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.SKIP)
    first = await ledger.fire_at_once(schedule)
    second = await ledger.fire_at_once(schedule)
    assert (second.outcome, second.run_id, second.blocked_by) == (SKIPPED, None, first.run_id)
    assert second.reason
    await ledger.end(first.run_id, RunStatus.CANCELLING)
    assert (await ledger.fire_at_once(schedule)).outcome is SKIPPED
    await ledger.end(first.run_id, RunStatus.FAILED)
    assert (await ledger.fire_at_once(schedule)).outcome is RUN
    assert (await ledger.make()).last_run_id is None, "another schedule of the same suite"


async def test_allow_all_runs_side_by_side(ledger: Ledger) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.ALLOW_ALL)
    fires = [await ledger.fire_at_once(schedule) for _ in range(3)]
    assert [fire.outcome for fire in fires] == [RUN, RUN, RUN]
    assert {fire.blocked_by for fire in fires} == {None}


async def test_buffer_one_keeps_one(ledger: Ledger) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.BUFFER_ONE)
    first, second, third = [await ledger.fire_at_once(schedule) for _ in range(3)]
    assert [fire.outcome for fire in (first, second, third)] == [RUN, BUFFERED, SKIPPED]
    await ledger.after(first.run_id)
    assert [fire.outcome for fire in await ledger.fires(schedule)] == [RUN, BUFFERED, SKIPPED], "not ended yet"
    await ledger.end(first.run_id)
    await ledger.after(first.run_id)
    await ledger.after(first.run_id)
    started = (await ledger.fires(schedule))[1]
    assert (started.id, started.outcome) == (second.id, RUN)
    assert started.started_at is not None
    assert started.reason
    assert await ledger.run_count() == 2
    assert (await ledger.fire_at_once(schedule)).outcome is BUFFERED


async def test_a_pending_fire_goes_before_the_next(ledger: Ledger) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.BUFFER_ONE)
    first, second = [await ledger.fire_at_once(schedule) for _ in range(2)]
    await ledger.end(first.run_id)
    third = await ledger.fire_at_once(schedule)
    started = (await ledger.fires(schedule))[1]
    assert (started.id, started.outcome) == (second.id, RUN)
    assert (third.outcome, third.blocked_by) == (BUFFERED, started.run_id)


async def test_the_sweep_starts_what_a_crash_left(ledger: Ledger) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.BUFFER_ONE)
    first, _ = [await ledger.fire_at_once(schedule) for _ in range(2)]
    await ledger.end(first.run_id)
    await asyncio.gather(*(ledger.start_pending(schedule) for _ in range(4)))
    assert [fire.outcome for fire in await ledger.fires(schedule)] == [RUN, RUN]
    assert await ledger.run_count() == 2


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(OverlapPolicy.SKIP, RUN), (OverlapPolicy.BUFFER_ONE, BUFFERED), (OverlapPolicy.ALLOW_ALL, RUN)],
)
async def test_a_trigger_bypasses_skip_alone(ledger: Ledger, policy: OverlapPolicy, expected: FireOutcome) -> None:
    schedule = await ledger.make(policy=policy)
    await ledger.trigger(schedule)
    await ledger.trigger(schedule)
    first, second = await ledger.fires(schedule)
    assert (first.kind, first.outcome) == (FireKind.MANUAL, RUN)
    assert (second.kind, second.outcome) == (FireKind.MANUAL, expected)


async def test_a_trigger_leaves_the_cadence_alone(ledger: Ledger) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.ALLOW_ALL)
    await ledger.age(schedule, seconds=60)
    await ledger.trigger(schedule)
    assert await ledger.fire(schedule) is not None
    assert [fire.kind for fire in await ledger.fires(schedule)] == [FireKind.MANUAL, FireKind.CADENCE]


async def test_a_trigger_works_while_disabled(ledger: Ledger) -> None:
    schedule = await ledger.make(enabled=False)
    assert (await ledger.trigger(schedule)).last_run_status is RunStatus.QUEUED


async def test_what_cannot_start_is_recorded_and_the_schedule_goes_on(ledger: Ledger) -> None:
    schedule = await ledger.make(models=["nobody/nothing"])
    for _ in range(2):
        fire = await ledger.fire_at_once(schedule)
        assert (fire.outcome, fire.run_id) == (FAILED, None)
        assert fire.reason is not None
        assert "nobody/nothing" in fire.reason
    with pytest.raises(UnknownModelError):
        await ledger.trigger(schedule)
    await ledger.update(schedule, run={"models": ["simulator/strong"]})
    assert (await ledger.fire_at_once(schedule)).outcome is RUN


async def test_a_pending_fire_that_cannot_start_is_recorded(ledger: Ledger) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.BUFFER_ONE)
    await ledger.trigger(schedule)
    await ledger.trigger(schedule)
    await ledger.update(schedule, run={"models": ["nobody/nothing"]})
    first, _ = await ledger.fires(schedule)
    await ledger.end(first.run_id)
    await ledger.after(first.run_id)
    assert (await ledger.fires(schedule))[1].outcome is FAILED


async def test_a_hidden_suite_is_a_reason(ledger: Ledger) -> None:
    schedule = await ledger.make()
    async with transaction(ledger.sessions) as session:
        await session.execute(text("UPDATE suites SET deleted_at = now()"))
    fire = await ledger.fire_at_once(schedule)
    assert (fire.outcome, fire.reason) == (FAILED, "No such suite.")


async def test_faults_of_ours_are_recorded(ledger: Ledger) -> None:
    schedule = await ledger.make()
    await ledger.age(schedule, seconds=60)
    async with transaction(ledger.sessions) as session:
        await fail_due(session, schedule_id=schedule.id, reason="Internal error: KeyError.")
    [fire] = await ledger.fires(schedule)
    assert (fire.outcome, fire.reason) == (FAILED, "Internal error: KeyError.")
    assert await ledger.fire(schedule) is None


async def test_disabled_and_deleted_schedules_are_not_due(ledger: Ledger) -> None:
    disabled, deleted = await ledger.make(), await ledger.make()
    await ledger.update(disabled, enabled=False)
    await ledger.delete(deleted)
    for schedule in (disabled, deleted):
        await ledger.age(schedule, seconds=600)
        assert await ledger.fire(schedule) is None


async def test_enabling_starts_anew(ledger: Ledger) -> None:
    schedule = await ledger.make()
    await ledger.update(schedule, enabled=False)
    await ledger.age(schedule, seconds=1000)
    enabled = await ledger.update(schedule, enabled=True)
    assert enabled.timing.anchor_at == enabled.updated_at
    assert await ledger.fire(schedule) is None
    assert (await ledger.fire_at_once(schedule)).outcome is RUN
    assert [fire.outcome for fire in await ledger.fires(schedule)] == [RUN], "nothing was due while disabled"


@pytest.mark.parametrize("changes", [{"cron": "0 3 * * *"}, {"enabled": False}, {"interval_seconds": 90}], ids=str)
async def test_a_change_accounts_for_what_was_due(ledger: Ledger, changes: dict[str, object]) -> None:
    schedule = await ledger.make()
    await ledger.age(schedule, seconds=125)
    await ledger.update(schedule, **changes)
    [missed] = await ledger.fires(schedule)
    assert (missed.outcome, missed.count) == (MISSED, 2)
    assert await ledger.fire(schedule) is None


async def test_other_changes_leave_what_is_due(ledger: Ledger) -> None:
    schedule = await ledger.make()
    await ledger.age(schedule, seconds=60)
    await ledger.update(schedule, name="new")
    fire = await ledger.fire(schedule)
    assert fire is not None
    assert fire.outcome is RUN


@pytest.mark.parametrize("way", ["disable", "delete"])
async def test_stopping_gives_up_what_is_pending(ledger: Ledger, way: str) -> None:
    schedule = await ledger.make(policy=OverlapPolicy.BUFFER_ONE)
    first, second = [await ledger.fire_at_once(schedule) for _ in range(2)]
    await (ledger.update(schedule, enabled=False) if way == "disable" else ledger.delete(schedule))
    await ledger.end(first.run_id)
    await ledger.after(first.run_id)
    given_up = (await ledger.fires(schedule))[1]
    assert (given_up.id, given_up.outcome) == (second.id, SKIPPED)
    assert given_up.reason
    assert await ledger.run_count() == 1


async def test_deleting_the_suite_stops_its_schedules(ledger: Ledger) -> None:
    schedule = await ledger.make()
    await ledger.age(schedule, seconds=600)
    async with transaction(ledger.sessions) as session:
        await delete_suite(session, ledger.principal, suite_id=ledger.suite_id)
    assert await ledger.fire(schedule) is None
    with pytest.raises(SuiteNotFoundError):
        await ledger.make()


async def test_a_fire_and_the_suites_deletion_do_not_lock_each_other_out(ledger: Ledger) -> None:
    schedules = [await ledger.make(policy=OverlapPolicy.ALLOW_ALL) for _ in range(4)]
    for schedule in schedules:
        await ledger.age(schedule, seconds=60)

    async def delete() -> None:
        async with transaction(ledger.sessions) as session:
            await delete_suite(session, ledger.principal, suite_id=ledger.suite_id)

    async with asyncio.timeout(10):
        await asyncio.gather(*(ledger.fire(schedule) for schedule in schedules), delete())
