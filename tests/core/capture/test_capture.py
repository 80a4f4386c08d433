"""The rules of single events, and requests of good and bad ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.capture.errors import AllRefusedError, NoEventsError, OversizedError, TooManyEventsError, all_refused
from assay.core.capture.service import capture
from assay.core.capture.types import MAX_EVENT_BYTES, MAX_EVENTS, Arrival, Fault, RawEvent, Unreadable
from assay.core.capture.validation import EventFaultError, check_event
from assay.core.events.service import find_event, get_persons
from assay.core.projects.authentication import Authenticator
from assay.core.projects.errors import MissingScopeError
from assay.core.projects.service import create_organization, get_operator
from assay.core.projects.types import Principal

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
ARRIVAL = Arrival(received_at=NOW)
UUID_TEXT = "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001"


def raw(**values: Any) -> RawEvent:
    defaults: dict[str, Any] = {"event": "$ai_generation", "distinct_id": "ann"}
    return RawEvent(**(defaults | values))


@dataclass(frozen=True, slots=True)
class Kept:
    """A raw event, and one field of what is kept."""

    id: str
    raw: RawEvent
    field: str
    expected: Any
    arrival: Arrival = ARRIVAL


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


SKEWED = replace(ARRIVAL, sent_at=NOW - timedelta(hours=1))
KEPT = [
    Kept("uuid", raw(uuid=UUID_TEXT), "uuid", UUID(UUID_TEXT)),
    Kept("uuid upper case", raw(uuid=UUID_TEXT.upper()), "uuid", UUID(UUID_TEXT)),
    Kept("number as distinct id", raw(distinct_id=12), "distinct_id", "12"),
    Kept("fraction as distinct id", raw(distinct_id=1.5), "distinct_id", "1.5"),
    Kept("huge number as distinct id", raw(distinct_id=10**30), "distinct_id", str(10**30)),
    Kept("long distinct id", raw(distinct_id="x" * 500), "distinct_id", "x" * 200),
    Kept("NUL in distinct id", raw(distinct_id="a\0b"), "distinct_id", "a\ufffdb"),
    Kept("NUL in name", raw(event="a\0b"), "event", "a\ufffdb"),
    Kept("half surrogate in name", raw(event="a\ud800b"), "event", "a\ufffdb"),
    Kept("no time", raw(), "timestamp", NOW),
    Kept("unreadable time", raw(timestamp="yesterday"), "timestamp", NOW),
    Kept("time of another type", raw(timestamp=[1]), "timestamp", NOW),
    Kept("zone", raw(timestamp="2026-01-02T12:00:00+02:00"), "timestamp", NOW - timedelta(hours=2)),
    Kept("Z", raw(timestamp="2026-01-02T11:00:00Z"), "timestamp", NOW - timedelta(hours=1)),
    Kept("no zone", raw(timestamp="2026-01-02T11:00:00.5"), "timestamp", NOW - timedelta(hours=1, seconds=-0.5)),
    Kept("far ahead", raw(timestamp="2027-01-02T11:00:00Z"), "timestamp", NOW),
    Kept("first day", raw(timestamp="0001-01-01T00:00:00+14:00"), "timestamp", NOW),
    Kept("last day", raw(timestamp="9999-12-31T23:59:59-14:00"), "timestamp", NOW),
    Kept("slow clock", raw(timestamp="2026-01-02T10:59:00Z"), "timestamp", NOW - timedelta(minutes=1), SKEWED),
    Kept(
        "clock that is right",
        raw(timestamp="2026-01-02T10:59:00Z", is_clock_right=True),
        "timestamp",
        NOW - timedelta(minutes=61),
        SKEWED,
    ),
    Kept(
        "no clock at all",
        raw(timestamp="2026-01-02T10:59:00Z"),
        "timestamp",
        NOW - timedelta(minutes=61),
        replace(ARRIVAL, sent_at=datetime(1970, 1, 1, tzinfo=UTC)),
    ),
    Kept("no properties", raw(), "properties", {}),
    Kept("extra", raw(properties={"a": 1}, extra={"a": 2, "b": 3}), "properties", {"a": 1, "b": 3}),
    Kept("NUL in properties", raw(properties={"a\0": ["b\0"]}), "properties", {"a\ufffd": ["b\ufffd"]}),
    Kept("half surrogate in properties", raw(properties={"a": "\ud800"}), "properties", {"a": "\ufffd"}),
    Kept("huge number", raw(properties={"a": 10**30}), "properties", {"a": 1e30}),
    Kept("set", raw(set={"plan": "pro"}), "set", {"plan": "pro"}),
    Kept("set in properties wins", raw(set={"a": 1, "b": 1}, properties={"$set": {"a": 2}}), "set", {"a": 2, "b": 1}),
    Kept("set once", raw(properties={"$set_once": {"a": 2}}), "set_once", {"a": 2}),
    Kept("set of another type", raw(set=[1], properties={"$set": "x"}), "set", None),
]


@pytest.mark.parametrize("case", KEPT, ids=lambda case: case.id)
def test_what_is_put_right(case: Kept) -> None:
    assert getattr(check_event(case.raw, case.arrival), case.field) == case.expected


@pytest.mark.parametrize("uuid", [None, "", "7", 7, {}, "x" * 1000, UUID_TEXT[:-1]])
def test_an_id_that_is_no_uuid_is_replaced(uuid: Any) -> None:
    assert check_event(raw(uuid=uuid), ARRIVAL).uuid.version == 7


@pytest.mark.parametrize(
    ("event", "arrival", "fault"),
    [
        (raw(event=None), ARRIVAL, Fault.EVENT_NAME),
        (raw(event=""), ARRIVAL, Fault.EVENT_NAME),
        (raw(event="  "), ARRIVAL, Fault.EVENT_NAME),
        (raw(event={"a": 1}), ARRIVAL, Fault.EVENT_NAME),
        (raw(event="x" * 201), ARRIVAL, Fault.EVENT_NAME),
        (raw(distinct_id=None), ARRIVAL, Fault.DISTINCT_ID),
        (raw(distinct_id=""), ARRIVAL, Fault.DISTINCT_ID),
        (raw(distinct_id=True), ARRIVAL, Fault.DISTINCT_ID),
        (raw(distinct_id=["a"]), ARRIVAL, Fault.DISTINCT_ID),
        (raw(properties=[]), ARRIVAL, Fault.PROPERTIES),
        (raw(properties="{}"), ARRIVAL, Fault.PROPERTIES),
        (raw(properties=False), ARRIVAL, Fault.PROPERTIES),
        (raw(properties={"a": _nested(300)}), ARRIVAL, Fault.PROPERTIES),
        (raw(properties={"a": _nested(100_000)}), ARRIVAL, Fault.PROPERTIES),
        (raw(properties={"a": "x" * MAX_EVENT_BYTES}), ARRIVAL, Fault.TOO_LARGE),
        (raw(timestamp="yesterday"), replace(ARRIVAL, is_strict=True), Fault.TIMESTAMP),
    ],
)
def test_what_is_refused(event: RawEvent, arrival: Arrival, fault: Fault) -> None:
    with pytest.raises(EventFaultError) as raised:
        check_event(event, arrival)
    assert raised.value.fault is fault


@pytest.fixture
async def sender(session: AsyncSession) -> Principal:
    """Whoever has the project's capture token."""
    credentials = await create_organization(session, name="First")
    return await Authenticator().authenticate_capture(session, credentials.capture_token)


async def test_bad_events_cost_no_good_ones(session: AsyncSession, sender: Principal) -> None:
    reader = await get_operator(session, project=sender.project_id)
    good = [raw(uuid=str(uuid4()), properties={"n": n}, set={"last": n}) for n in range(3)]
    bad = [raw(event="", uuid=UUID_TEXT), Unreadable(fault=Fault.NOT_AN_OBJECT, reason="no")]

    done = await capture(session, sender, [bad[0], good[0], good[1], bad[1], good[2], good[2]], ARRIVAL)

    assert (done.accepted, [event.properties["n"] for event in done.stored]) == (4, [0, 1, 2])
    assert [(refusal.index, refusal.uuid, refusal.fault) for refusal in done.refused] == [
        (0, UUID_TEXT, Fault.EVENT_NAME),
        (3, None, Fault.NOT_AN_OBJECT),
    ]
    assert (await find_event(session, reader, UUID(good[1].uuid))).properties == {"n": 1, "$set": {"last": 1}}
    assert await get_persons(session, sender.project_id, ["ann"]) == {"ann": {"last": 2}}
    again = await capture(session, sender, good, ARRIVAL)
    assert (again.accepted, list(again.stored)) == (3, [])


async def test_more_events_than_one_statement_takes(session: AsyncSession, sender: Principal) -> None:
    done = await capture(session, sender, [raw(properties={"n": n}) for n in range(2500)], ARRIVAL)

    assert [event.properties["n"] for event in done.stored] == list(range(2500))


async def test_requests_without_a_good_event(session: AsyncSession, sender: Principal) -> None:
    large = raw(properties={"a": "x" * MAX_EVENT_BYTES})
    with pytest.raises(NoEventsError):
        await capture(session, sender, [], ARRIVAL)
    with pytest.raises(TooManyEventsError):
        await capture(session, sender, [raw()] * (MAX_EVENTS + 1), ARRIVAL)
    done = await capture(session, sender, [raw(distinct_id="")], ARRIVAL)
    assert (done.accepted, isinstance(all_refused(done.refused), AllRefusedError)) == (0, True)
    done = await capture(session, sender, [large], ARRIVAL)
    assert (done.accepted, isinstance(all_refused(done.refused), OversizedError)) == (0, True)
    with pytest.raises(MissingScopeError):
        await capture(session, replace(sender, scopes=frozenset()), [raw()], ARRIVAL)
