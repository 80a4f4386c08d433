"""Keeping and reading events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.events import service
from assay.core.events.errors import EventNotFoundError, TraceNotFoundError
from assay.core.events.traces import MAX_DEPTH, build_tree
from assay.core.events.types import EventQuery, NewEvent, StoredEvent, TraceNode
from assay.core.projects.service import create_organization, get_operator
from assay.core.projects.types import Principal
from assay.scoring.online import PropertyFilter

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
async def principal(session: AsyncSession) -> Principal:
    credentials = await create_organization(session, name="First")
    return await get_operator(session, project=credentials.project_id)


@pytest.fixture
async def stranger(session: AsyncSession) -> Principal:
    credentials = await create_organization(session, name="Other")
    return await get_operator(session, project=credentials.project_id)


def event(name: str = "$ai_generation", *, at: float = 0, **values: Any) -> NewEvent:
    """An event of a person, ``at`` seconds after noon."""
    properties: Mapping[str, Any] = values.pop("properties", {})
    defaults: dict[str, Any] = {
        "uuid": uuid4(),
        "event": name,
        "distinct_id": "ann",
        "timestamp": NOON + timedelta(seconds=at),
        "properties": properties,
    }
    return NewEvent(**(defaults | values))


async def test_an_event_comes_back_as_it_was_sent(session: AsyncSession, principal: Principal) -> None:
    properties = {
        "z": 1,
        "a": [1.0, 1e16, None, {"b": "é"}],
        "$ai_trace_id": "t",
        "$ai_session_id": 7,
        "$ai_span_id": "s",
        "$ai_parent_id": "p",
    }
    sent = event(properties=properties)

    [kept] = await service.store_events(session, principal.project_id, [sent])
    found = await service.find_event(session, principal, sent.uuid)

    assert found == kept
    assert list(found.properties) == list(properties)
    assert repr(found.properties["a"]) == repr(properties["a"])
    assert (found.trace_id, found.session_id, found.span_id, found.parent_id) == ("t", "7", "s", "p")
    assert (found.timestamp, found.distinct_id, found.event) == (NOON, "ann", "$ai_generation")
    assert await service.get_events(session, principal.project_id, [uuid4(), kept.id]) == [kept]


async def test_the_same_uuid_counts_once(session: AsyncSession, principal: Principal, stranger: Principal) -> None:
    first, second = event(properties={"n": 1}), event()
    again = replace(first, properties={"n": 2}, event="other")

    kept = await service.store_events(session, principal.project_id, [first, again, second])
    assert [row.uuid for row in kept] == [first.uuid, second.uuid]
    assert await service.store_events(session, principal.project_id, [again]) == []
    assert (await service.find_event(session, principal, first.uuid)).properties == {"n": 1}
    assert len(await service.store_events(session, stranger.project_id, [again])) == 1
    assert (await service.find_event(session, stranger, first.uuid)).event == "other"


async def test_other_projects_see_nothing(session: AsyncSession, principal: Principal, stranger: Principal) -> None:
    [kept] = await service.store_events(session, principal.project_id, [event(properties={"$ai_trace_id": "t"})])

    with pytest.raises(EventNotFoundError):
        await service.find_event(session, stranger, kept.uuid)
    with pytest.raises(TraceNotFoundError):
        await service.read_trace(session, stranger, "t")
    assert (await service.list_events(session, stranger, EventQuery())).events == []
    assert await service.get_events(session, stranger.project_id, [kept.id]) == []
    delegated = replace(principal, on_behalf_of="somebody")
    assert (await service.list_events(session, delegated, EventQuery())).events == []


async def test_pages_neither_skip_nor_repeat_events_of_one_time(session: AsyncSession, principal: Principal) -> None:
    sent = [event(at=0) for _ in range(25)]
    await service.store_events(session, principal.project_id, sent)
    seen: list[UUID] = []
    position = None
    while True:
        page = await service.list_events(session, principal, EventQuery(), position=position, limit=7)
        seen += [row.uuid for row in page.events]
        if (position := page.next) is None:
            break
    assert seen == [row.uuid for row in reversed(sent)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (EventQuery(), [4, 3, 2, 1, 0]),
        (EventQuery(event="$ai_generation"), [3, 0]),
        (EventQuery(distinct_id="bob"), [2]),
        (EventQuery(trace_id="t"), [4, 1]),
        (EventQuery(session_id="s"), [3]),
        (EventQuery(after=NOON + timedelta(seconds=1)), [4, 3, 2]),
        (EventQuery(before=NOON + timedelta(seconds=1)), [0]),
        (EventQuery(filters=[PropertyFilter(key="n", value=3)]), [3]),
        (EventQuery(filters=[PropertyFilter(key="n", value=2, operator="lt")], event="$ai_generation"), [0]),
        (EventQuery(filters=[PropertyFilter(key="plan", value="pro", type="person")]), [4, 3, 1, 0]),
        (EventQuery(filters=[PropertyFilter(key="n", operator="no such operator")]), []),
        (EventQuery(filters=[PropertyFilter(key="n", type="cohort")]), []),
    ],
)
async def test_queries(session: AsyncSession, principal: Principal, query: EventQuery, expected: list[int]) -> None:
    sent = [
        event(at=0, properties={"n": 0}, set={"plan": "pro"}),
        event("$ai_span", at=1, properties={"n": 1, "$ai_trace_id": "t"}),
        event("$ai_span", at=2, properties={"n": 2}, distinct_id="bob"),
        event(at=3, properties={"n": 3, "$ai_session_id": "s"}),
        event("$ai_trace", at=4, properties={"n": 4, "$ai_trace_id": "t"}),
    ]
    await service.store_events(session, principal.project_id, sent)

    page = await service.list_events(session, principal, query)

    assert [row.properties["n"] for row in page.events] == expected


async def test_filtered_lists_go_on_where_they_stopped(
    session: AsyncSession, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_EXAMINED", 4)
    monkeypatch.setattr(service, "_BATCH", 2)
    await service.store_events(
        session, principal.project_id, [event(at=n, properties={"even": n % 2 == 0, "n": n}) for n in range(10)]
    )
    query = EventQuery(filters=[PropertyFilter(key="even", value=True)])
    pages: list[list[int]] = []
    position = None
    while True:
        page = await service.list_events(session, principal, query, position=position, limit=3)
        pages.append([row.properties["n"] for row in page.events])
        if (position := page.next) is None:
            break
    assert [number for page in pages for number in page] == [8, 6, 4, 2, 0]
    assert len(pages) > 1


async def test_large_events_make_short_pages(
    session: AsyncSession, principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_PAGE_BYTES", 2500)
    sent = [event(at=n, properties={"n": n, "$ai_trace_id": "t", "text": "x" * 1000}) for n in range(5)]
    await service.store_events(session, principal.project_id, sent)
    for filters in ([], [PropertyFilter(key="n", value=9, operator="lt")]):
        pages: list[list[int]] = []
        position = None
        while True:
            page = await service.list_events(session, principal, EventQuery(filters=filters), position=position)
            pages.append([row.properties["n"] for row in page.events])
            if (position := page.next) is None:
                break
        assert pages == [[4, 3], [2, 1], [0]]
    trace = await service.read_trace(session, principal, "t")
    assert ([node.event.properties["n"] for node in trace.roots], trace.is_truncated) == ([0, 1], True)
    monkeypatch.setattr(service, "MAX_PAGE_BYTES", 1)
    assert len((await service.list_events(session, principal, EventQuery())).events) == 1


async def test_persons_keep_the_last_value_and_the_first_of_what_is_set_once(
    session: AsyncSession, principal: Principal
) -> None:
    first = event(set={"plan": "free", "age": 3}, set_once={"source": "ad"})
    await service.store_events(session, principal.project_id, [first, event(set={"plan": "pro"})])
    await service.store_events(session, principal.project_id, [event(set_once={"source": "mail"})])
    # Sent again, long after: it is known, so it changes nothing.
    await service.store_events(session, principal.project_id, [first])

    known = await service.get_persons(session, principal.project_id, ["ann", "bob"])

    assert known == {"ann": {"plan": "pro", "age": 3, "source": "ad"}}


async def test_what_is_known_of_a_person_is_bounded(session: AsyncSession, principal: Principal) -> None:
    half = "x" * (service.MAX_PERSON_BYTES // 2)
    for name in ("a", "b", "c"):
        await service.store_events(session, principal.project_id, [event(set={name: half})])
    await service.store_events(session, principal.project_id, [event(set={"d": 1})])

    known = await service.get_persons(session, principal.project_id, ["ann"])

    assert set(known["ann"]) == {"a", "d"}


def stored(*parents: tuple[str, str | None]) -> list[StoredEvent]:
    """Spans of one trace, each as its id and its parent's."""
    return [
        StoredEvent(
            id=uuid4(),
            project_id=uuid4(),
            uuid=uuid4(),
            event="$ai_trace" if span == "t" else "$ai_span",
            distinct_id="ann",
            timestamp=NOON,
            created_at=NOON,
            properties={"name": span},
            trace_id="t",
            session_id=None,
            span_id=None if span == "t" else span,
            parent_id=parent,
        )
        for span, parent in parents
    ]


def drawn(nodes: Sequence[TraceNode]) -> list[Any]:
    return [
        (node.event.properties["name"], drawn(node.children)) if node.children else node.event.properties["name"]
        for node in nodes
    ]


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ([("a", None), ("b", "a"), ("c", "a"), ("d", "b")], [("a", [("b", ["d"]), "c"])]),
        ([("b", "t"), ("t", None), ("c", "b")], [("t", [("b", ["c"])])]),
        ([("b", "t"), ("c", "gone")], ["b", "c"]),
        ([("a", "a")], ["a"]),
        ([("x", "b"), ("a", "b"), ("b", "a")], [("a", [("b", ["x"])])]),
        ([("a", "c"), ("b", "a"), ("c", "b")], [("a", [("b", ["c"])])]),
        ([("a", None), ("a", "a"), ("b", "a")], [("a", ["a", "b"])]),
    ],
)
def test_trees(parents: list[tuple[str, str | None]], expected: list[Any]) -> None:
    assert drawn(build_tree(stored(*parents))) == expected


def test_deep_trees_are_bent_and_hold_every_event() -> None:
    names = [f"s{n}" for n in range(2000)]
    tree = build_tree(stored(*zip(names, [None, *names], strict=False)))
    depth, count, level = 0, 0, tree
    while level:
        depth, count = depth + 1, count + len(level)
        level = tuple(child for node in level for child in node.children)
    assert (depth, count) == (MAX_DEPTH, 2000)


async def test_results_hang_below_what_they_judge(session: AsyncSession, principal: Principal) -> None:
    judged = event(at=0, properties={"$ai_trace_id": "t", "$ai_span_id": "s"})
    verdict = event("$ai_evaluation", at=1, properties={"$ai_trace_id": "t", "$ai_target_event_id": str(judged.uuid)})
    await service.store_events(session, principal.project_id, [verdict, judged])

    [root] = (await service.read_trace(session, principal, "t")).roots

    assert root.event.uuid == judged.uuid
    assert [child.event.uuid for child in root.children] == [verdict.uuid]
