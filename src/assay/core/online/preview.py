"""Trying a Hog program on recent traffic before it is kept (P§4.2). Nothing is stored, and nothing is sent.

Samples are the newest of the last days: generations, or the traces or sessions that generations belong to. Conditions
choose among the generations, without their sampling rates. A program that fails on one sample fails on that one only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from assay.core.evaluators.conditions import normalize_conditions
from assay.core.evaluators.definition import compile_source
from assay.core.evaluators.outputs import normalize_output
from assay.core.evaluators.targets import INACTIVITY, normalize_target
from assay.core.evaluators.types import OutputKind, TargetKind
from assay.core.events.service import get_unit_events, list_events
from assay.core.events.types import GENERATION, EventPosition, EventQuery, StoredEvent
from assay.core.online.batches import MAX_UNIT_EVENTS, unit_facts
from assay.core.online.filters import evaluate_expression, load_persons
from assay.core.online.programs import output_rule
from assay.core.projects.types import Principal
from assay.kit.clock import utc_now
from assay.sandbox.hog import HogSandbox, OutputRule, Program, Verdict
from assay.scoring.online import (
    Condition,
    decide,
    event_input,
    event_output,
    generation_variables,
    preview,
    target_variables,
)

LOOKED_BACK = timedelta(days=7)
MAX_SAMPLES = 10
MAX_EXAMINED = 2000
"""Generations that are looked at for those that meet the conditions."""

_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRequest:
    """What to try, and on what."""

    source: str
    sample_count: int = 5
    """1 to 10."""
    conditions: Sequence[Any] = ()
    output_kind: OutputKind = OutputKind.BOOLEAN
    output_config: Mapping[str, Any]
    target: TargetKind = TargetKind.GENERATION
    target_config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """A generation, trace or session."""

    target: TargetKind
    id: str
    trace_id: str | None
    events: Sequence[StoredEvent]
    """The generation alone, or all of the unit in order of time."""

    def variables(self) -> dict[str, Any]:
        """What a program sees of it."""
        events = [event.for_scoring() for event in self.events]
        if self.target is TargetKind.GENERATION:
            return generation_variables(events[0])
        return target_variables(unit_facts(self.target, self.id, self.events), events)

    @property
    def previews(self) -> tuple[str, str]:
        """The beginnings of what went in first and of what came out last."""
        generations = [event for event in self.events if event.event == GENERATION] or self.events
        first, last = generations[0].for_scoring(), generations[-1].for_scoring()
        return preview(event_input(first)), preview(event_output(last))


@dataclass(frozen=True, slots=True)
class Trial:
    """What a program said of a sample."""

    sample: Sample
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PreparedPreview:
    """A checked request with its samples: what is left to do needs no database."""

    program: Program
    rule: OutputRule
    samples: Sequence[Sample]
    quiet_period: timedelta | None
    """How long a session must have been silent to be among the samples."""


async def prepare_preview(session: AsyncSession, principal: Principal, request: PreviewRequest) -> PreparedPreview:
    """Check a request and find its samples.

    Raises:
        DefinitionError: A part of the request is wrong; a ``SourceError`` if the program does not compile.
    """
    program = compile_source(request.source)
    config = normalize_output(request.output_kind, request.output_config)
    rule = replace(output_rule(request.output_kind, config), minimum=config.get("min"), maximum=config.get("max"))
    conditions = [Condition.from_wire(item) for item in normalize_conditions(request.conditions)]
    quiet_period = _quiet_period(request)
    samples: dict[str, Sample] = {}
    async for event in _generations(session, principal, conditions):
        sample = await _sample(session, request.target, event, known=samples, quiet_period=quiet_period)
        if sample is not None:
            samples[sample.id] = sample
        if len(samples) == request.sample_count:
            break
    return PreparedPreview(program, rule, list(samples.values()), quiet_period)


async def run_preview(sandbox: HogSandbox, prepared: PreparedPreview) -> list[Trial]:
    """Try the program on each sample.

    Raises:
        SandboxUnavailableError: Programs cannot be run.
    """
    cases = [sample.variables() for sample in prepared.samples]
    verdicts = await sandbox.evaluate(prepared.program, cases, rule=prepared.rule)
    return [Trial(sample, verdict) for sample, verdict in zip(prepared.samples, verdicts, strict=True)]


def _quiet_period(request: PreviewRequest) -> timedelta | None:
    """Which field is given tells the strategy; a trace needs not be complete to be looked at."""
    given = dict(request.target_config)
    if "strategy" not in given and "quiet_period_seconds" in given:
        given["strategy"] = INACTIVITY
    elif "strategy" not in given and "window_seconds" in given:
        given["strategy"] = "fixed_window"
    config = normalize_target(request.target, given)
    if request.target is not TargetKind.SESSION or "quiet_period_seconds" not in config:
        return None
    return timedelta(seconds=config["quiet_period_seconds"])


async def _generations(
    session: AsyncSession, principal: Principal, conditions: Sequence[Condition]
) -> AsyncIterator[StoredEvent]:
    """Recent generations that meet a condition, or all without one; newest first."""
    now = utc_now()
    query = EventQuery(event=GENERATION, after=now - LOOKED_BACK)
    position: EventPosition | None = None
    for _ in range(0, MAX_EXAMINED, _PAGE):
        page = await list_events(session, principal, query, position=position, limit=_PAGE)
        persons = await load_persons(session, principal.project_id, conditions, page.events)
        for event in page.events:
            seen = event.for_scoring(persons.get(event.distinct_id))
            decision = decide(seen, conditions, now=now, evaluate_expression=evaluate_expression, ignore_rollout=True)
            if not conditions or decision.fires:
                yield event
        position = page.next
        if position is None:
            return


async def _sample(
    session: AsyncSession,
    target: TargetKind,
    event: StoredEvent,
    *,
    known: Mapping[str, Sample],
    quiet_period: timedelta | None,
) -> Sample | None:
    """The unit that a generation belongs to; None if it has none, is known, is too large or is not over."""
    if target is TargetKind.GENERATION:
        return Sample(target, str(event.uuid), event.trace_id, [event])
    key = event.trace_id if target is TargetKind.TRACE else event.session_id
    if key is None or key in known:
        return None
    which = "trace_id" if target is TargetKind.TRACE else "session_id"
    unit = await get_unit_events(session, event.project_id, **{which: key}, limit=MAX_UNIT_EVENTS + 1)
    if len(unit) > MAX_UNIT_EVENTS:
        return None
    if quiet_period is not None and max(one.timestamp for one in unit) > utc_now() - quiet_period:
        return None
    return Sample(target, key, key if target is TargetKind.TRACE else event.trace_id, unit)
