"""Production traffic: events, one event with what judges said of it, traces as trees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from starlette.responses import Response

from assay.core.evaluators.service import list_evaluators
from assay.core.evaluators.types import Evaluator, EvaluatorQuery, TargetKind
from assay.core.events import service
from assay.core.events.types import (
    EVALUATION,
    GENERATION,
    SPAN,
    TRACE,
    EventPosition,
    EventQuery,
    StoredEvent,
    TraceNode,
)
from assay.core.online.service import RunRequest, list_entries, request_run
from assay.core.online.trends import passes
from assay.core.online.types import Entry, EntryQuery
from assay.core.projects.service import get_project
from assay.core.projects.types import Scope
from assay.db.slices import Slice
from assay.kit.errors import InvalidError
from assay.scoring.online import event_input, event_output, preview
from assay.ui.charts import Span
from assay.ui.edge import FieldError, Pages, Visit, read_uuid

PAGE = 50
MAX_EVALUATORS = 200
KINDS = {GENERATION: "model calls", TRACE: "traces", SPAN: "spans", EVALUATION: "verdicts"}
pages = Pages()


@dataclass(frozen=True, slots=True)
class Row:
    """An event in a list."""

    event: StoredEvent
    given: str
    said: str
    model: str | None
    seconds: float | None
    cost: float | None
    tokens: int | None


@dataclass(frozen=True, slots=True)
class Judged:
    """What an evaluator said of an event."""

    entry: Entry
    evaluator: Evaluator | None
    passed: bool | None


@dataclass(frozen=True, slots=True)
class Message:
    """A turn of a conversation."""

    role: str
    text: Any


@pages.get("/traffic", Scope.ANALYTICS_READ)
async def list_events(visit: Visit) -> Response:
    """Events, newest first."""
    kind = visit.query("kind") or GENERATION
    query = EventQuery(
        event=None if kind == "all" else kind,
        distinct_id=visit.query("user"),
        trace_id=visit.query("trace"),
        session_id=visit.query("session"),
    )
    page = await service.list_events(visit.session, visit.principal, query, position=_read_position(visit), limit=PAGE)
    values: dict[str, Any] = {
        "rows": [as_row(event) for event in page.events],
        "following": None if page.next is None else f"{page.next.timestamp.isoformat()}|{page.next.id}",
        "chosen": {
            "kind": kind,
            "user": visit.query("user") or "",
            "trace": visit.query("trace") or "",
            "session": visit.query("session") or "",
        },
    }
    if visit.request.headers.get("x-fragment") is not None:
        return visit.fragment("events_table.html", **values)
    project = await get_project(visit.session, visit.principal)
    return await visit.render(
        "traffic.html", **values, kinds=KINDS, project=project, address=str(visit.request.base_url).rstrip("/")
    )


@pages.get("/traffic/events/{uuid}", Scope.ANALYTICS_READ)
async def show_event(visit: Visit) -> Response:
    """One event: what went in, what came out, what judges said."""
    event = await service.find_event(visit.session, visit.principal, visit.path_id("uuid"))
    seen = event.for_scoring()
    evaluators = await all_evaluators(visit)
    return await visit.render(
        "event.html",
        event=event,
        row=as_row(event),
        given=as_messages(event_input(seen)),
        said=as_messages(event_output(seen)),
        judged=await _judged(visit, str(event.uuid), evaluators),
        evaluators=[one for one in evaluators.values() if one.definition.target is TargetKind.GENERATION],
        is_generation=event.event == GENERATION,
    )


@pages.post("/traffic/events/{uuid}/judge", Scope.EVALUATION_WRITE)
async def judge_event(visit: Visit) -> Response:
    """Have an evaluator judge an event now."""
    event = await service.find_event(visit.session, visit.principal, visit.path_id("uuid"))
    evaluator_id = read_uuid(visit.field("evaluator"))
    if evaluator_id is None:
        raise FieldError("Choose an evaluator.", param="evaluator")
    await request_run(
        visit.session,
        visit.principal,
        RunRequest(
            evaluator_id=evaluator_id,
            event_uuid=event.uuid,
            timestamp=event.timestamp,
            event=event.event,
            distinct_id=event.distinct_id,
        ),
    )
    return visit.go(f"/traffic/events/{event.uuid.hex}", "It is being judged.")


@pages.get("/traffic/traces/{trace_id:path}", Scope.ANALYTICS_READ)
async def show_trace(visit: Visit) -> Response:
    """A trace: its steps as a tree and over time."""
    trace_id = visit.request.path_params["trace_id"]
    trace = await service.read_trace(visit.session, visit.principal, trace_id)
    events = flatten(trace.roots)
    steps = [event for event in events if event.event not in (EVALUATION, TRACE)]
    evaluators = await all_evaluators(visit)
    calls = [as_row(event) for event in steps if event.event == GENERATION]
    return await visit.render(
        "trace.html",
        trace_id=trace_id,
        trace=trace,
        events=events,
        first=min(events, key=lambda event: event.timestamp),
        spans=_spans(steps),
        judged=await _judged(visit, trace_id, evaluators),
        cost=_sum(row.cost for row in calls),
        tokens=_sum(row.tokens for row in calls),
        calls=len(calls),
        as_row=as_row,
    )


async def all_evaluators(visit: Visit) -> dict[UUID, Evaluator]:
    """The project's evaluators by id; none for who may not see them."""
    if not visit.may(Scope.EVALUATION_READ):
        return {}
    found = await list_evaluators(
        visit.session, visit.principal, EvaluatorQuery(), Slice(limit=MAX_EVALUATORS, offset=0)
    )
    return {one.id: one for one in found.rows}


async def _judged(visit: Visit, target_id: str, evaluators: Mapping[UUID, Evaluator]) -> list[Judged]:
    if not visit.may(Scope.EVALUATION_READ):
        return []
    entries = await list_entries(
        visit.session, visit.principal, EntryQuery(target_id=target_id), before_id=None, limit=50
    )
    return [as_judged(entry, evaluators) for entry in entries]


def as_judged(entry: Entry, evaluators: Mapping[UUID, Evaluator]) -> Judged:
    """An entry of the ledger with whose it is and whether it passed."""
    evaluator = evaluators.get(entry.evaluator_id)
    passed = None if evaluator is None else passes(evaluator.definition, entry.result)
    return Judged(entry, evaluator, passed if entry.outcome is not None and entry.outcome.is_verdict else None)


def as_row(event: StoredEvent) -> Row:
    """An event as lists show it."""
    seen, properties = event.for_scoring(), event.properties
    tokens = [_number(properties.get(name)) for name in ("$ai_input_tokens", "$ai_output_tokens")]
    name = properties.get("$ai_span_name") or properties.get("$ai_evaluation_name")
    given = preview(event_input(seen)) or (str(name) if name else "")
    return Row(
        event=event,
        given=given,
        said=preview(event_output(seen)) or str(properties.get("$ai_evaluation_reasoning") or ""),
        model=str(properties["$ai_model"]) if properties.get("$ai_model") else None,
        seconds=_number(properties.get("$ai_latency")),
        cost=_number(properties.get("$ai_total_cost_usd")),
        tokens=int(sum(one for one in tokens if one is not None)) if any(one is not None for one in tokens) else None,
    )


def as_messages(value: Any) -> list[Message]:
    """Input or output as turns of a conversation, whatever form the sender gave it."""
    if not isinstance(value, list):
        return [] if value in (None, "") else [Message("", value)]
    messages: list[Message] = []
    for item in cast("list[Any]", value):
        if not isinstance(item, Mapping):
            messages.append(Message("", item))
            continue
        turn = cast("Mapping[str, Any]", item)
        content = turn.get("content", turn.get("parts", turn.get("text")))
        messages.append(Message(str(turn.get("role") or turn.get("type") or ""), _text_of(content, turn)))
    return messages


def _text_of(content: Any, turn: Mapping[str, Any]) -> Any:
    if isinstance(content, list):
        parts = cast("list[Any]", content)
        texts = [text for part in parts if isinstance(text := _text_of_part(part), str)]
        return "\n".join(texts) if texts and len(texts) == len(parts) else parts
    if content in (None, "") and turn.get("tool_calls"):
        return turn["tool_calls"]
    return turn if content is None else content


def _text_of_part(part: Any) -> Any:
    return cast("Mapping[str, Any]", part).get("text") if isinstance(part, Mapping) else None


def flatten(roots: Sequence[TraceNode]) -> list[StoredEvent]:
    """The events of a tree."""
    nodes = list(roots)
    for node in nodes:
        nodes.extend(node.children)
    return [node.event for node in nodes]


def _spans(events: Sequence[StoredEvent]) -> list[Span]:
    """When each step ran. Events come when a step began; how long it took is said by its latency."""
    if not events:
        return []
    ordered = sorted(events, key=lambda event: event.timestamp)
    first = ordered[0].timestamp
    spans: list[Span] = []
    for event in ordered:
        start = (event.timestamp - first).total_seconds()
        seconds = _number(event.properties.get("$ai_latency")) or 0.0
        faulty = event.properties.get("$ai_is_error") is True
        name = event.properties.get("$ai_span_name") or event.properties.get("$ai_model") or event.event
        tone = "bad" if faulty else "main" if event.event == GENERATION else "off"
        spans.append(Span(str(name), start, start + seconds, tone))
    return spans


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _sum(values: Any) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) if found else None


def _read_position(visit: Visit) -> EventPosition | None:
    text = visit.query("after")
    if text is None:
        return None
    moment, _, event_id = text.partition("|")
    found = read_uuid(event_id)
    try:
        timestamp = datetime.fromisoformat(moment)
    except ValueError:
        timestamp = None
    if found is None or timestamp is None or timestamp.tzinfo is None:
        raise InvalidError("`after` is no place in this list.", param="after")
    return EventPosition(timestamp, found)
