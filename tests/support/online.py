"""Production traffic, judged for real: evaluators, events and what the ledger says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from tests.support.evals import Evals
from tests.support.waiting import eventually

from assay.core.capture.service import capture
from assay.core.capture.types import Arrival, RawEvent
from assay.core.evaluators.models import EvaluatorRow, EvaluatorVersionRow, ProviderKeyRow
from assay.core.evaluators.rows import definition_columns, digest_definition, read_evaluator
from assay.core.evaluators.types import (
    Definition,
    Evaluator,
    EvaluatorKind,
    EvaluatorStatus,
    KeyProvider,
    KeyState,
    ModelChoice,
    OutputKind,
    TargetKind,
)
from assay.core.events.service import list_events
from assay.core.events.types import EVALUATION, GENERATION, EventQuery, StoredEvent
from assay.core.ownership import owner_columns
from assay.db.session import transaction
from assay.kit.clock import utc_now

JUDGE_KEY = "sk-judge-0123456789"
EVERYTHING: Sequence[Mapping[str, Any]] = ({"id": "all", "rollout_percentage": 100, "properties": []},)
BOOLEAN: Mapping[str, Any] = {"allows_na": False, "true_is_failure": False}


def hog(source: str, **more: Any) -> Definition:
    """A Hog evaluator of generations with a boolean output, unless told otherwise."""
    return definition(EvaluatorKind.HOG, {"source": source}, **more)


def judge(model: ModelChoice, prompt: str = "Is it kind?", **more: Any) -> Definition:
    """A judge of generations with a boolean output, unless told otherwise."""
    return definition(EvaluatorKind.LLM_JUDGE, {"prompt": prompt}, model=model, **more)


def definition(
    kind: EvaluatorKind,
    config: Mapping[str, Any],
    *,
    output: OutputKind = OutputKind.BOOLEAN,
    output_config: Mapping[str, Any] = BOOLEAN,
    target: TargetKind = TargetKind.GENERATION,
    target_config: Mapping[str, Any] | None = None,
    model: ModelChoice | None = None,
) -> Definition:
    """A definition."""
    return Definition(
        kind=kind,
        config=config,
        output_kind=output,
        output_config=output_config,
        target=target,
        target_config=target_config or {},
        model=model,
    )


class Traffic:
    """One project's events and evaluators."""

    def __init__(self, evals: Evals) -> None:
        self.evals = evals
        self.principal = evals.principal
        self.sessions = evals.runtime.sessions

    async def evaluator(
        self,
        what: Definition,
        *,
        conditions: Sequence[Mapping[str, Any]] = EVERYTHING,
        enabled: bool = True,
        name: str = "e",
    ) -> Evaluator:
        """Make an evaluator."""
        async with transaction(self.sessions) as session:
            row = EvaluatorRow(
                **owner_columns(self.principal),
                **definition_columns(what),
                id=uuid4(),
                name=name,
                conditions=list(conditions),
                enabled=enabled,
                status=(EvaluatorStatus.ACTIVE if enabled else EvaluatorStatus.PAUSED).value,
                version=1,
            )
            session.add(row)
            await session.flush()
            version = EvaluatorVersionRow(
                id=uuid4(),
                evaluator_id=row.id,
                number=1,
                digest=digest_definition(what),
                **definition_columns(what),
            )
            session.add(version)
            await session.flush()
            return read_evaluator(row, version.id)

    async def key(self, *, base_url: str | None = None, state: KeyState = KeyState.OK) -> ModelChoice:
        """A key of the project's own for the model server, and a model that it opens."""
        secrets = self.evals.runtime.secrets
        assert secrets is not None, "give the place a secret key"
        async with transaction(self.sessions) as session:
            row = ProviderKeyRow(
                **owner_columns(self.principal),
                id=uuid4(),
                provider=KeyProvider.OPENAI_COMPATIBLE.value,
                name="own",
                sealed_secret=secrets.encrypt(JUDGE_KEY),
                masked="sk-o...",
                base_url=base_url or self.evals.models.url,
                state=state.value,
            )
            session.add(row)
        return ModelChoice(KeyProvider.OPENAI_COMPATIBLE, "mock-judge", row.id)

    async def send(self, *events: Mapping[str, Any]) -> list[StoredEvent]:
        """Capture generations, each given by its properties, or by ``event``, ``uuid`` and ``properties``."""
        raw = [
            RawEvent(
                event=event.get("event", GENERATION),
                distinct_id=event.get("distinct_id", "someone"),
                uuid=event.get("uuid"),
                properties=event.get("properties", event),
            )
            for event in events
        ]
        async with transaction(self.sessions) as session:
            captured = await capture(session, self.principal, raw, Arrival(received_at=utc_now()))
        return list(captured.stored)

    async def outcomes(self, evaluator: Evaluator) -> Counter[tuple[str | None, str | None]]:
        """Entries of an evaluator by outcome and reason."""
        query = text("SELECT outcome, reason FROM online_evaluations WHERE evaluator_id = :id")
        async with self.sessions() as session:
            rows = (await session.execute(query, {"id": evaluator.id})).all()
        return Counter((outcome, reason) for outcome, reason in rows)

    async def settled(self, evaluator: Evaluator, count: int, *, timeout: float = 20) -> Counter[Any]:
        """Wait until an evaluator has so many entries, all with an outcome."""

        async def check() -> Counter[Any]:
            found = await self.outcomes(evaluator)
            assert sum(found.values()) == count, found
            assert all(outcome is not None for outcome, _ in found), found
            return found

        return await eventually(check, timeout=timeout)

    async def results(self, evaluator: Evaluator) -> list[StoredEvent]:
        """Result events of an evaluator, newest first."""
        async with self.sessions() as session:
            page = await list_events(session, self.principal, EventQuery(event=EVALUATION), limit=1000)
        wanted = str(evaluator.id)
        return [event for event in page.events if event.properties["$ai_evaluation_id"] == wanted]

    async def delete(self, evaluator: Evaluator) -> None:
        """Let an evaluator see no more events."""
        async with transaction(self.sessions) as session:
            row = await session.get_one(EvaluatorRow, evaluator.id)
            row.deleted_at = utc_now()

    async def open(self) -> int:
        """Entries of all evaluators without an outcome."""
        query = text("SELECT count(*) FROM online_evaluations WHERE state <> 'done'")
        async with self.sessions() as session:
            return (await session.execute(query)).scalar_one()

    async def reload(self, evaluator: Evaluator) -> EvaluatorRow:
        """An evaluator as it is now."""
        async with self.sessions() as session:
            return await session.get_one(EvaluatorRow, evaluator.id)


def generation(output: str = "fine", **more: Any) -> dict[str, Any]:
    """Properties of a simulated call of a model."""
    return {
        "$ai_trace_id": "trace-1",
        "$ai_model": "simulated",
        "$ai_provider": "openai",
        "$ai_input": [{"role": "user", "content": "How are you?"}],
        "$ai_output_choices": [{"role": "assistant", "content": output}],
        **more,
    }


def uuid_of(number: int) -> UUID:
    """A UUID for an event."""
    return UUID(int=number + (4 << 76) + (8 << 60))
